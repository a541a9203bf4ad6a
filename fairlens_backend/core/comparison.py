"""The groups of one attribute that are compared, as a caller names them or as they are chosen."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.metrics import METRICS, GroupRates, Metric
from fairlens_backend.core.metrics._metric import pick, selection_rates
from fairlens_backend.core.reference_group import known_group, reference_group
from fairlens_backend.errors import InvalidInput

_BY_SHORT_NAME: Final[dict[str, Metric]] = {
    metric.short_name: metric for metric in METRICS if metric.short_name
}


@dataclass(frozen=True)
class Comparison:
    """The counts of the groups compared and the index of the reference group; −1 when there is none."""

    table: CountTable
    reference: int

    def read(self, short_name: str) -> float | None:
        """A metric in its `/api` form: signed where it has a sign, None where it is undefined."""
        value, signed, *_ = _BY_SHORT_NAME[short_name].compute(GroupRates(self.table.decided), self.reference)
        figure = float(value if math.isnan(signed) else signed)
        return None if math.isnan(figure) else figure + 0.0

    def pair(self) -> tuple[str | None, str | None]:
        """The reference group and, of the others, the one furthest from it in selection rate."""
        furthest = _BY_SHORT_NAME["spd"].compute(GroupRates(self.table.decided), self.reference)
        return self._label(self.reference), self._label(int(furthest.worst))

    def rate(self, group: str | None) -> float | None:
        """The selection rate of a group; None when it is not compared."""
        index = [i for i, (label,) in enumerate(self.table.groups) if label == group]
        return float(pick(selection_rates(self.table.decided), np.array(index[0]))) if index else None

    def _label(self, index: int) -> str | None:
        return self.table.groups[index][0] if index >= 0 else None


def compare_groups(
    table: CountTable, privileged: object = None, unprivileged: object = None, min_group_size: int = 30
) -> Comparison:
    """The named groups; for one that is None, what the data suggest.

    Parameters
    ----------
    table : counts of one attribute
    privileged : label of the reference group; None for the one with the highest selection rate
    unprivileged : label of the group to compare with it; None for all others with `min_group_size` rows, or simply
        all where there are no two groups of that size

    Raises
    ------
    InvalidInput
        A named group does not occur, or both names are the same.

    Examples
    --------
    >>> table = CountTable.from_arrays({"sex": ["F", "F", "M"]}, decision=[0, 1, 1])
    >>> compare_groups(table).pair()
    ('M', 'F')
    """
    other = None if unprivileged is None else known_group(table, unprivileged, "unprivileged")
    if privileged is not None:
        reference: str | None = known_group(table, privileged, "privileged")
    else:
        candidates = _only(table, {group for (group,) in table.groups} - {other})
        chosen = reference_group(candidates, None, min_group_size)
        reference = chosen.group if chosen else None
    if reference is not None and reference == other:
        raise InvalidInput(
            f"privileged and unprivileged are both {reference!r}; two groups are compared",
            field="unprivileged",
            got=reference,
            expected="another group than privileged",
        )
    if other is not None:
        groups = {other} if reference is None else {other, reference}
    else:
        sizes = {group: int(n.sum()) for (group,), n in zip(table.groups, table.n, strict=True)}
        sizes.pop(UNKNOWN, None)
        groups = {group for group, size in sizes.items() if size >= min_group_size}
        if len(groups) < 2 or reference not in groups:
            groups = set(sizes)
    compared = _only(table, groups)
    return Comparison(compared, -1 if reference is None else compared.groups.index((reference,)))


def _only(table: CountTable, groups: set[str | None] | set[str]) -> CountTable:
    """The rows of some groups."""
    rows = [i for i, (group,) in enumerate(table.groups) if group in groups]
    return CountTable(
        table.attributes, tuple(table.groups[i] for i in rows), table.n[rows], table.score_units[rows]
    )
