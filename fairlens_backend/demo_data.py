"""Decisions of a demonstration, window by window: fair within noise at first, drifting against one group from half-way on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from fairlens_backend.data_simulator import generate_loan_data
from fairlens_backend.errors import InvalidInput

FULL_DRIFT: Final = 0.25
"""Of the simulator, at the end: a disparate impact ratio near 0.73."""
LOST_SHARE: Final = 0.27
"""Of the women selected in real data, how many are no longer at the end."""
ADULT_COLUMNS: Final = ("sex", "income", "age", "education-num", "hours-per-week")
SELECTED: Final = 0.5
"""Share of the people that the model trained on real data selects: with fewer, windows of this size are noisy."""


@dataclass(frozen=True)
class Scenario:
    """What is fed.

    Parameters
    ----------
    title : in words
    attribute, reference : the protected attribute, and the group that is not drifted against
    decision : the column of the decision, for the registration
    use_case : of the events
    windows : one list of decisions a window: {features, prediction, tags, truth}
    drift_window : the first window that drifts
    window_hours : how long each is
    """

    title: str
    attribute: str
    reference: str
    decision: str
    use_case: str
    windows: list[list[dict[str, Any]]]
    drift_window: int
    window_hours: int

    @property
    def n_decisions(self) -> int:
        """In all windows."""
        return sum(len(one) for one in self.windows)

    @property
    def n_hours(self) -> int:
        """Of all windows."""
        return len(self.windows) * self.window_hours


def simulated(windows: int, window_hours: int, size: int, seed: int) -> Scenario:
    """Loans of `data_simulator`, `size` a window: what is recorded of women gets worse from half-way on."""
    listed = []
    for number, level in enumerate(_levels(windows)):
        frame = generate_loan_data(size, FULL_DRIFT * level, seed=seed + number)
        listed.append(
            [
                {
                    "features": {
                        "credit_score": row.credit_score,
                        "income": row.income,
                        "region": row.region,
                    },
                    "prediction": {"label": row.approved},
                    "tags": {"gender": row.gender},
                    "truth": row.true_label,
                }
                for row in frame.itertuples(index=False)
            ]
        )
    return Scenario(
        "simulated loans", "gender", "Male", "approved", "lending", listed, windows // 2, window_hours
    )


def adult(path: Path, windows: int, window_hours: int, size: int, seed: int) -> Scenario:
    """People of the Adult census data, `size` a window: a model trained on half of them decides on the others.

    At first the model's thresholds select the same share of both sexes; from half-way on that for women rises.

    Raises
    ------
    InvalidInput : the file cannot be read or lacks a column; the error names it
    """
    rows = _read_adult(path)
    rng = np.random.default_rng(seed)
    rich = rows["income"].str.contains(">50K").to_numpy()
    inputs = rows[list(ADULT_COLUMNS[2:])].to_numpy(dtype=np.float64)
    female = rows["sex"].str.strip().str.lower().eq("female").to_numpy()
    shuffled = rng.permutation(len(rows))
    trained, decided = shuffled[: len(rows) // 2], shuffled[len(rows) // 2 :]
    scores = _scores(inputs, rich, trained, decided)
    spread = {sex: np.sort(scores[female[decided] == sex]) for sex in (True, False)}
    listed = []
    for level in _levels(windows):
        limit = {
            sex: np.quantile(spread[sex], 1 - SELECTED * (1 - LOST_SHARE * level * sex)) for sex in spread
        }
        chosen = rng.integers(0, len(decided), size)
        listed.append(
            [
                {
                    "features": dict(zip(ADULT_COLUMNS[2:], inputs[row].tolist(), strict=True)),
                    "prediction": {"label": int(score >= limit[sex])},
                    "tags": {"sex": "Female" if sex else "Male"},
                    "truth": int(rich[row]),
                }
                for row, score, sex in _people(decided[chosen], scores[chosen], female)
            ]
        )
    title = f"Adult census data, {len(rows):,} people"
    return Scenario(title, "sex", "Male", "selected", "hiring", listed, windows // 2, window_hours)


def _levels(windows: int) -> list[float]:
    """0 until half-way, then in a straight line to 1 in the last window."""
    half = windows // 2
    return [max(0.0, (number - half + 1) / (windows - half)) for number in range(windows)]


def _people(places: Any, scores: Any, female: Any) -> Iterator[tuple[int, float, bool]]:
    for place, score in zip(places.tolist(), scores.tolist(), strict=True):
        yield place, score, bool(female[place])


def _scores(inputs: Any, rich: Any, trained: Any, decided: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(inputs[trained], rich[trained])
    return model.predict_proba(inputs[decided])[:, 1]


def _read_adult(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, skipinitialspace=True, dtype=str)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}).", field="--data") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is no CSV file: {error}.", field="--data") from error
    missing = [name for name in ADULT_COLUMNS if name not in rows.columns]
    numbers = rows[[name for name in ADULT_COLUMNS[2:] if name in rows]].apply(pd.to_numeric, errors="coerce")
    if missing or len(rows) < 1_000:
        what = f"lacks {', '.join(missing)}" if missing else f"has {len(rows)} rows, 1,000 are needed"
        raise InvalidInput(
            f"{path} {what}; the Adult census data as CSV with a header was expected ({', '.join(ADULT_COLUMNS)}).",
            field="--data",
        )
    return rows.assign(**numbers).dropna(subset=list(ADULT_COLUMNS)).reset_index(drop=True)
