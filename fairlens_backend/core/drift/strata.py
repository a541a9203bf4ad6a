"""Two groups by strata: their counts, resampled, and the formula that splits a difference of their rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.counts import CountTable, Group
from fairlens_backend.core.labels import canonical_label
from fairlens_backend.errors import InvalidInput

FloatArray = npt.NDArray[np.float64]
Rate = Literal["selection_rate", "true_positive_rate", "false_positive_rate", "precision"]

MAX_STRATA: Final = 1_000
"""More strata than this have hardly a row in each, and no interval in bounded time."""

MAX_RESAMPLES: Final = 10_000
_GROUPS_NAMED: Final = 20


@dataclass(frozen=True)
class Wording:
    """Which decisions a rate counts, as (decision, truth) cells, and what its parts are called."""

    counted: tuple[tuple[int, int], ...]
    others: tuple[tuple[int, int], ...]
    name: str
    rows: str
    mix: str
    rates: str


WORDINGS: Final[Mapping[str, Wording]] = {
    "selection_rate": Wording(
        ((1, 0), (1, 1), (1, 2)),
        ((0, 0), (0, 1), (0, 2)),
        "selection rate",
        "rows",
        "who applied",
        "how they were treated",
    ),
    "true_positive_rate": Wording(
        ((1, 1),),
        ((0, 1),),
        "true positive rate",
        "rows whose true outcome is favourable",
        "who qualified",
        "how they were treated",
    ),
    "false_positive_rate": Wording(
        ((1, 0),),
        ((0, 0),),
        "false positive rate",
        "rows whose true outcome is unfavourable",
        "who did not qualify",
        "how they were treated",
    ),
    "precision": Wording(
        ((1, 1),),
        ((1, 0),),
        "precision",
        "selected rows with a known truth",
        "who was selected",
        "how often the selected proved right",
    ),
}


@dataclass(frozen=True)
class Asked:
    """What is decomposed: a rate of two groups of an attribute, by strata; `labels` are the strata that occur."""

    attribute: str
    strata: tuple[str, ...]
    groups: tuple[str, str]
    rate: Rate
    labels: tuple[Group, ...]
    labelled: bool

    @property
    def wording(self) -> Wording:
        """How the rate is spoken of."""
        return WORDINGS[self.rate]

    def name(self, k: int) -> str:
        """The stratum of index k, as in region=North."""
        return ", ".join(f"{name}={value}" for name, value in zip(self.strata, self.labels[k], strict=True))


def ask(
    tables: Sequence[CountTable],
    attribute: str,
    stratum: str | Sequence[str],
    groups: Sequence[object],
    rate: Rate,
) -> Asked:
    """Check what is asked for against the tables; `InvalidInput` says what does not fit."""
    strata = (stratum,) if isinstance(stratum, str) else tuple(stratum)
    if rate not in WORDINGS:
        raise _refusal(f"no rate {rate!r}", "rate", rate, f"one of {', '.join(WORDINGS)}")
    if not strata or attribute in strata:
        raise _refusal(
            f"{attribute} cannot be split by {', '.join(strata) or 'nothing'}; another attribute is needed",
            "stratum",
            list(strata),
            f"attributes other than {attribute}",
        )
    if any(table.negative for table in tables):
        raise _refusal(
            "a table has negative counts: it is a difference of tables, not a window of rows",
            "counts",
            "negative counts",
            "counts of at least 0",
        )
    joint = [table.marginal([attribute, *strata]) for table in tables]
    known = sorted({group[0] for table in joint for group in table.groups})
    labels = [canonical_label(group) for group in groups]
    if len(labels) != 2 or labels[0] == labels[1]:
        raise _refusal("two different groups are compared", "groups", [str(g) for g in groups], "two groups")
    for given, label in zip(groups, labels, strict=True):
        if label not in known:
            there_are = ", ".join(known[:_GROUPS_NAMED]) + (" …" if len(known) > _GROUPS_NAMED else "")
            raise _refusal(
                f"no row has the group {given!r} of {attribute}; the groups are: {there_are}",
                "groups",
                str(given),
                f"one of: {there_are}",
            )
    occurring = sorted({group[1:] for table in joint for group in table.groups if group[0] in labels})
    if len(occurring) > MAX_STRATA:
        raise _refusal(
            f"{', '.join(strata)} makes {len(occurring)} strata; at most {MAX_STRATA} can be told apart",
            "stratum",
            len(occurring),
            f"at most {MAX_STRATA} strata",
        )
    labelled = any(table.labelled > 0 for table in tables)
    return Asked(attribute, strata, (str(labels[0]), str(labels[1])), rate, tuple(occurring), labelled)


def draws(table: CountTable, asked: Asked, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    """The counts of both groups by stratum, and after them resampled ones.

    Returns
    -------
    float array, shape (1 + n_resamples, 2, n_strata, 2): rows of group (0 the group, 1 the reference) and stratum
    that the rate does not count and that it counts. The first is the table itself, the others are multinomial
    draws of all its rows, those of other groups included: a group's size varies as it does in resampled rows.
    """
    if not 0 <= n_resamples <= MAX_RESAMPLES:
        raise _refusal(
            f"n_resamples is {n_resamples}", "n_resamples", n_resamples, f"a number from 0 to {MAX_RESAMPLES}"
        )
    joint = table.marginal([asked.attribute, *asked.strata])
    row = {group: i for i, group in enumerate(joint.groups)}
    n = joint.decided
    counts = np.zeros((2, len(asked.labels), 2), dtype=np.int64)
    for i, group in enumerate(asked.groups):
        for k, label in enumerate(asked.labels):
            at = row.get((group, *label))
            if at is not None:
                counts[i, k, 0] = sum(int(n[at][cell]) for cell in asked.wording.others)
                counts[i, k, 1] = sum(int(n[at][cell]) for cell in asked.wording.counted)
    found = np.empty((1 + n_resamples, *counts.shape))
    found[0] = counts
    if n_resamples and table.total:
        cells = np.append(counts.ravel(), table.total - counts.sum())
        drawn = rng.multinomial(table.total, cells / table.total, size=n_resamples)
        found[1:] = drawn[:, :-1].reshape(n_resamples, *counts.shape)
    else:
        found[1:] = 0
    return found


def kitagawa(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Split rate(second) − rate(first) into mix and rates by stratum.

    Parameters
    ----------
    first, second : counts, shape (..., n_strata, 2), not counted and counted by the rate

    Returns
    -------
    mix, rates : each of shape (..., n_strata); NaN where one side has no rows at all. Their sum over the strata is the
    difference of the overall rates, up to rounding; exchanging the sides changes the sign and nothing else.
    """
    share_1, rate_1 = _shares_and_rates(first)
    share_2, rate_2 = _shares_and_rates(second)
    # A stratum that one side has not takes the other side's rate there, so that it is mix alone; one that
    # neither has takes part in nothing.
    rate_1, rate_2 = (
        np.nan_to_num(np.where(np.isnan(rate_1), rate_2, rate_1)),
        np.nan_to_num(np.where(np.isnan(rate_2), rate_1, rate_2)),
    )
    average = (overall(first) + overall(second))[..., None] / 2
    mix = (share_2 - share_1) * ((rate_1 + rate_2) / 2 - average)
    rates = (share_1 + share_2) / 2 * (rate_2 - rate_1)
    return mix, rates


def overall(cells: FloatArray) -> FloatArray:
    """The rate over all strata, shape (...,); NaN without rows."""
    return _ratio(cells[..., 1].sum(axis=-1), cells.sum(axis=(-2, -1)))


def _shares_and_rates(cells: FloatArray) -> tuple[FloatArray, FloatArray]:
    sizes = cells.sum(axis=-1)
    return _ratio(sizes, sizes.sum(axis=-1, keepdims=True)), _ratio(cells[..., 1], sizes)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    part, whole = np.broadcast_arrays(part, whole)
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _refusal(message: str, field: str, got: Any, expected: str) -> InvalidInput:
    return InvalidInput(message, field=field, got=got, expected=expected)
