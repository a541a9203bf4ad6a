"""A bounded sample of rows for the metrics that need whole rows, and what such a metric hands to an assessment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.columns import FloatArray, IntArray, checked_numbers, require_length
from fairlens_backend.core.labels import UNKNOWN, canonical_labels
from fairlens_backend.errors import InvalidInput

__all__ = ["SAMPLE_ROWS", "Interval", "RowMeasured", "RowReservoir", "RowSample"]

Interval = tuple[float, float, str]

SAMPLE_ROWS: Final = 10_000
NOT_KNOWN: Final = -1


@dataclass(frozen=True)
class RowMeasured:
    """One row-based metric (9, 10, 17) of one attribute, or of all rows.

    Parameters
    ----------
    metric_name : its name in results and settings
    attribute : the protected attribute; None for a metric of all people (9, 17)
    value : None with a status other than `ok`
    signed : the signed difference, worst group minus reference; None where the metric has no sign
    interval : (low, high, method) of `value` at 95 %, always around it; None without a value
    p_value : raw, in [0, 1]; None without a value
    test : the name of the test behind `p_value`; None without one
    sizes : rows used, by group; for a metric of all people {"all": rows}
    compared : (worst group, reference group); empty for a metric of all people
    status : `ok`, `undefined`, `insufficient_data`, `no_scores`, `no_model`, …
    reason : a sentence that says why there is no value; None where there is one
    parts : further figures by name
    sentence : about this very value, with its numbers; None without a value
    """

    metric_name: str
    attribute: str | None
    value: float | None = None
    signed: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    test: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    compared: tuple[str, ...] = ()
    status: str = "ok"
    reason: str | None = None
    parts: Mapping[str, float | str | None] = field(default_factory=dict)
    sentence: str | None = None


@dataclass(frozen=True, eq=False)
class RowSample:
    """Rows drawn at random, without replacement and in random order, so that the first k are a sample too.

    Parameters
    ----------
    features : one column a feature, n_rows of them as they came; it may hold a protected attribute under its own
        name, where a model takes it as an input. No column when the features are not known.
    decision : shape (n_rows,), each 0 or 1
    truth : shape (n_rows,), each 0, 1 or −1 for not known
    score : shape (n_rows,), each in [0, 1] or NaN for not known
    protected : for each attribute its labels, str, shape (n_rows,); "unknown" where missing
    total : how many rows the sample stands for

    Examples
    --------
    >>> rows = pd.DataFrame({"income": range(100)})
    >>> sample = RowSample.draw(rows, decision=[0, 1] * 50, protected={"sex": ["F", "M"] * 50}, n=10, seed=1)
    >>> len(sample), sample.total, (sample.decision == (sample.protected["sex"] == "M")).all()
    (10, 100, np.True_)
    """

    features: pd.DataFrame
    decision: IntArray
    truth: IntArray
    score: FloatArray
    protected: Mapping[str, npt.NDArray[np.object_]]
    total: int

    def __len__(self) -> int:
        return len(self.decision)

    @property
    def plain_features(self) -> pd.DataFrame:
        """The features that are no protected attribute."""
        return self.features[[name for name in self.features if name not in self.protected]]

    def first(self, n: int) -> "RowSample":
        """The first n rows, which are a random sample as well."""
        return RowSample(
            self.features.iloc[:n],
            self.decision[:n],
            self.truth[:n],
            self.score[:n],
            {name: labels[:n] for name, labels in self.protected.items()},
            self.total,
        )

    @classmethod
    def draw(
        cls,
        features: Any,
        decision: Any,
        truth: Any = None,
        score: Any = None,
        protected: Mapping[str, Any] | None = None,
        *,
        n: int = SAMPLE_ROWS,
        seed: int = 0,
    ) -> "RowSample":
        """Draw at most n rows.

        Parameters
        ----------
        features : DataFrame or mapping of names to columns, n_rows each; None when not known
        decision : shape (n_rows,), each 0 or 1, 1 the favourable one
        truth : shape (n_rows,), each 0, 1 or −1 (NaN too) for not known; None when nothing is known
        score : shape (n_rows,), each in [0, 1], NaN for not known; None when there are none
        protected : for each attribute its labels, shape (n_rows,), made comparable as those of a count table
        n : most rows
        seed : the same rows and seed give the same sample

        Raises
        ------
        InvalidInput
            Lengths differ, or a drawn row holds a value outside its range.
        """
        reservoir = RowReservoir(n, seed)
        reservoir.add(features, decision, truth, score, protected)
        return reservoir.sample()


class RowReservoir:
    """Draws the sample of rows that come in pieces, in memory for n rows and one piece.

    Every row gets a random number and the n rows with the lowest are kept, which is sampling without replacement.
    How the rows are cut into pieces changes nothing: one piece and a hundred give the same sample.

    Examples
    --------
    >>> pieces = RowReservoir(n=3, seed=7)
    >>> for start in range(0, 100, 10):
    ...     pieces.add({"x": list(range(start, start + 10))}, decision=[0] * 10)
    >>> whole = RowSample.draw({"x": list(range(100))}, decision=[0] * 100, n=3, seed=7)
    >>> pieces.sample().features["x"].tolist() == whole.features["x"].tolist()
    True

    Source: Vitter, Random sampling with a reservoir (ACM TOMS 1985); Fan, Muller and Rezucha (JASA 1962) for the keys.
    """

    def __init__(self, n: int = SAMPLE_ROWS, seed: int = 0) -> None:
        if n < 1:
            raise InvalidInput(f"n is {n}, at least 1 was expected", field="n", got=n, expected="at least 1")
        self._n = n
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._total = 0
        self._attributes: tuple[str, ...] | None = None
        self._keys: FloatArray = np.zeros(0)
        self._limit = np.inf  # n rows are there with a lower key
        self._rows: list[pd.DataFrame] = []

    def add(
        self,
        features: Any,
        decision: Any,
        truth: Any = None,
        score: Any = None,
        protected: Mapping[str, Any] | None = None,
    ) -> None:
        """Take a piece; the columns are as `RowSample.draw` describes.

        Raises
        ------
        InvalidInput
            Lengths differ within the piece, or its protected attributes are not those of the pieces before it.
        """
        protected = protected or {}
        rows = len(decision)
        columns: dict[tuple[str, str], Any] = {("", "decision"): decision}
        columns |= {("", name): v for name, v in (("truth", truth), ("score", score)) if v is not None}
        columns |= {("protected", name): values for name, values in protected.items()}
        if features is not None:
            columns |= {("features", str(name)): features[name] for name in features}
        for (kind, name), values in columns.items():
            require_length(f"{kind}.{name}".lstrip("."), len(values), rows)
        if self._attributes is not None and self._attributes != tuple(protected):
            raise InvalidInput(
                f"this piece has the protected attributes {list(protected)}, those before it {list(self._attributes)}",
                field="protected",
                got=list(protected),
                expected=f"{list(self._attributes)}",
            )
        self._attributes = tuple(protected)
        keys = self._rng.random(rows)
        candidates = np.flatnonzero(keys < self._limit)
        if len(candidates) > self._n:
            candidates = np.sort(candidates[np.argpartition(keys[candidates], self._n)[: self._n]])
        self._total += rows
        if len(candidates):
            # a mapping of tuples becomes columns with two levels: a feature may have the name of a protected attribute
            self._rows.append(pd.DataFrame({at: _taken(v, candidates) for at, v in columns.items()}))
            self._keys = np.concatenate([self._keys, keys[candidates]])
        # not at every piece: each time copies all rows that are kept
        if len(self._keys) > 2 * self._n:
            self._shrink()

    def sample(self) -> RowSample:
        """The sample of all rows so far.

        Raises
        ------
        InvalidInput
            A row of the sample holds a decision, truth or score outside its range.
        """
        self._shrink()
        rows = self._rows[0] if self._rows else pd.DataFrame({("", "decision"): []})
        size = len(rows)
        own = {name: rows[("", name)].to_numpy() for kind, name in rows.columns if kind == ""}
        decision = checked_numbers(own["decision"], "decision", "0 or 1", lambda v: (v == 0) | (v == 1))
        truth, score = np.full(size, float(NOT_KNOWN)), np.full(size, np.nan)
        if "truth" in own:
            truth = checked_numbers(
                own["truth"], "truth", "0, 1 or -1", lambda v: np.isnan(v) | np.isin(v, (-1, 0, 1))
            )
        if "score" in own:
            score = checked_numbers(
                own["score"], "score", "in [0, 1]", lambda v: np.isnan(v) | ((v >= 0) & (v <= 1))
            )
        named = [name for kind, name in rows.columns if kind == "features"]
        features = pd.DataFrame({name: rows[("features", name)] for name in named}, index=range(size))
        return RowSample(
            features.infer_objects(),
            decision.astype(np.int64),
            np.nan_to_num(truth, nan=NOT_KNOWN).astype(np.int64),
            score,
            {
                name: _labels(rows[("protected", name)] if size else pd.Series([], dtype=object))
                for name in self._attributes or ()
            },
            self._total,
        )

    def _shrink(self) -> None:
        """Keep the rows with the lowest keys, lowest first."""
        order = np.argsort(self._keys, kind="stable")[: self._n]
        self._keys = self._keys[order]
        if len(self._keys) == self._n:
            self._limit = float(self._keys[-1])
        if self._rows:
            self._rows = [pd.concat(self._rows, ignore_index=True).iloc[order].reset_index(drop=True)]


def _taken(values: Any, at: npt.NDArray[np.intp]) -> Any:
    """Values at some rows, whatever holds them."""
    if isinstance(values, pd.Series):
        return values.iloc[at].reset_index(drop=True)
    if isinstance(values, np.ndarray | pd.api.extensions.ExtensionArray):
        return values[at]
    return [values[i] for i in at]


def _labels(values: pd.Series) -> npt.NDArray[np.object_]:
    codes, labels = canonical_labels(values)
    # the last place is for the missing (-1 indexes it)
    result: npt.NDArray[np.object_] = np.array([*labels, UNKNOWN], dtype=object)[codes]
    return result
