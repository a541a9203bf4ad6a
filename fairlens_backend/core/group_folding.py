"""An attribute of more values than can be compared: those with the fewest rows are counted as not known, and nothing is lost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairlens_backend.core.counts import MAX_GROUPS, CountTable
from fairlens_backend.core.labels import UNKNOWN

__all__ = ["Folded", "fold_rare_values"]


@dataclass(frozen=True)
class Folded:
    """What became of an attribute.

    Parameters
    ----------
    values : that it had, "unknown" not counted
    kept : of them those that are still told apart
    rows : decisions whose value counts as not known now
    """

    attribute: str
    values: int
    kept: int
    rows: int


def fold_rare_values(
    table: CountTable, most: int, kept: Mapping[str, str] | None = None, *, max_groups: int = MAX_GROUPS
) -> tuple[CountTable, list[Folded]]:
    """The table with at most so many values of each attribute; every row is still counted, under "unknown" where its value has
    no room. "unknown" is compared with nothing, as any group of a mixture would have to be.

    Parameters
    ----------
    table : counts, none negative; it may have more groups than `max_groups`
    most : values that an attribute may have, beside "unknown"; the ones with the most rows stay, of equal ones the first by name
    kept : by attribute a value that stays, as its reference group does
    max_groups : combinations of values that may occur; where there are more, the attribute with the most values loses half of
        them, and so on

    Returns
    -------
    the table, and what became of each attribute that lost values

    Examples
    --------
    >>> team = ["a"] * 3 + ["b"] * 2 + ["c"]
    >>> table, folded = fold_rare_values(CountTable.from_arrays({"team": team}, [1] * 6), most=2)
    >>> table.groups, table.total, folded
    ((('a',), ('b',), ('unknown',)), 6, [Folded(attribute='team', values=3, kept=2, rows=1)])
    """
    sizes = [_sizes(table, place) for place in range(len(table.attributes))]
    room = [min(most, len(one)) for one in sizes]
    wanted = dict(kept or {})
    made = table
    while True:
        names = [
            _largest(one, n, wanted.get(name))
            for one, n, name in zip(sizes, room, table.attributes, strict=True)
        ]
        if any(n < len(one) for n, one in zip(room, sizes, strict=True)):
            made = _with_values(table, names)
        if len(made.groups) <= max_groups or max(room) <= 1:
            break
        room[room.index(max(room))] //= 2
    folded = [
        Folded(name, len(one), n, sum(rows for value, rows in one.items() if value not in stay))
        for name, one, n, stay in zip(table.attributes, sizes, room, names, strict=True)
        if n < len(one)
    ]
    return made, folded


def _sizes(table: CountTable, place: int) -> Counter[str]:
    """The rows of each value of an attribute that is known."""
    sizes: Counter[str] = Counter()
    for group, rows in zip(table.groups, table.n.sum(axis=(1, 2, 3)).tolist(), strict=True):
        if group[place] != UNKNOWN:
            sizes[group[place]] += rows
    return sizes


def _largest(sizes: Mapping[str, int], n: int, wanted: str | None) -> frozenset[str]:
    ordered = sorted(sizes, key=lambda value: (value != wanted, -sizes[value], value))
    return frozenset(ordered[:n])


def _with_values(table: CountTable, names: list[frozenset[str]]) -> CountTable:
    groups = [
        tuple(value if value in stay else UNKNOWN for value, stay in zip(group, names, strict=True))
        for group in table.groups
    ]
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    places = np.array([index[group] for group in groups], dtype=np.int64)
    n = np.zeros((len(index), *table.n.shape[1:]), dtype=np.int64)
    units = np.zeros_like(n)
    np.add.at(n, places, table.n)
    np.add.at(units, places, table.score_units)
    return CountTable(table.attributes, tuple(index), n, units)
