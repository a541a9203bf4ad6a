"""Which group of an attribute the others are compared with."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import UNKNOWN, canonical_label
from fairlens_backend.core.metrics._metric import selection_rates
from fairlens_backend.errors import InvalidInput

# STATISTICS section 1; the share under which 29 CFR 1607.15(A)(2) asks for no adverse impact figures.
MIN_SHARE: Final = 0.02
_GROUPS_NAMED: Final = 20


@dataclass(frozen=True)
class ReferenceGroup:
    """The reference ("privileged") group and how it came to be it."""

    group: str
    chosen: Literal["declared", "highest selection rate"]


def known_group(table: CountTable, wanted: object, field: str) -> str:
    """The label of a group of a one-attribute table; `InvalidInput` names it and the groups there are.

    Parameters
    ----------
    wanted : the group as the caller wrote it
    field : where the caller wrote it

    Examples
    --------
    >>> known_group(CountTable.from_arrays({"level": ["1", "2"]}, decision=[0, 1]), 1.0, "privileged")
    '1'
    """
    known = [group for (group,) in table.groups if group != UNKNOWN]
    label = canonical_label(wanted)
    if label is None or label not in known:
        there_are = ", ".join(known[:_GROUPS_NAMED]) or "none"
        if len(known) > _GROUPS_NAMED:
            there_are += f" and {len(known) - _GROUPS_NAMED} more"
        raise InvalidInput(
            f"{field}: no row has the group {wanted!r} of {table.attributes[0]}; the groups are: {there_are}",
            field=field,
            got=str(wanted),
            expected=f"one of: {there_are}",
        )
    return label


def reference_group(
    table: CountTable, declared: object = None, min_group_size: int = 30
) -> ReferenceGroup | None:
    """The declared reference group, else the one with the highest selection rate.

    Chosen among the groups with at least 2 % of the rows and `min_group_size` rows, or, when there is none, among
    the groups with as much as there is; never "unknown", which is no group of people. Of equal rates the larger
    group is taken, then the first by name.

    Parameters
    ----------
    table : counts of one attribute
    declared : the group's label as the owner of the model wrote it; None to choose
    min_group_size : rows a group needs to be chosen

    Returns
    -------
    None when no row has a known group.

    Raises
    ------
    InvalidInput
        The declared group does not occur; the message names it and the groups there are.

    Examples
    --------
    >>> table = CountTable.from_arrays({"sex": ["F", "F", "M", "M"]}, decision=[0, 1, 1, 1])
    >>> reference_group(table)
    ReferenceGroup(group='M', chosen='highest selection rate')
    """
    (attribute,) = table.attributes
    groups = [group for (group,) in table.groups]
    known = [group for group in groups if group != UNKNOWN]
    if declared is not None:
        label = known_group(table, declared, f"reference_groups.{attribute}")
        return ReferenceGroup(label, "declared")
    if not known:
        return None
    n = table.decided
    sizes = n.sum(axis=(1, 2))
    rates = np.nan_to_num(selection_rates(n), nan=-1.0)
    candidates = [i for i, group in enumerate(groups) if group != UNKNOWN]
    for enough in (sizes >= MIN_SHARE * sizes.sum(), sizes >= min_group_size):
        candidates = [i for i in candidates if enough[i]] or candidates
    best = min(candidates, key=lambda i: (-rates[i], -sizes[i], groups[i]))
    return ReferenceGroup(groups[best], "highest selection rate")
