"""The count table: a window of rows, collapsed once, from which every count-based figure follows (STATISTICS section 1)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fairlens_backend.core.columns import (
    CELL_SHAPE,
    CELLS,
    SCORE_UNITS,
    TRUTH_UNKNOWN,
    Group,
    IntArray,
    collapse,
    require_groups,
)
from fairlens_backend.errors import InvalidInput

__all__ = ["MAX_GROUPS", "SCORE_UNITS", "CountTable", "Group", "IntArray"]

MAX_GROUPS: Final = 20_000
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, eq=False)
class CountTable:
    """Counts of rows by group, decision, truth and score bin. Tables add and subtract.

    Groups are sparse and sorted, and a group whose cells are all zero is dropped, so that adding rows and then
    retracting them gives the table that was there before. Counts may be negative: a table is also a signed delta
    (a label that arrives late is −1 in (ŷ, ∅) and +1 in (ŷ, y)). `assess` refuses a table that is negative.

    Parameters
    ----------
    attributes : names of the protected attributes, in order
    groups : one label for each attribute; only combinations that occurred
    n : int64 array, shape (n_groups, 2, 3, 11), rows by decision ŷ (0, 1), truth y (0, 1, 2 = not known)
        and score bin (0–9 equal-width on [0, 1], the last one closed, 10 = no score)
    score_units : int64 array of the same shape, the sum of the scores in units of 2**-32.
        Fixed point, so that sums are exact, independent of order and taken back by subtraction. A score is kept
        to 1.2e-10; a cell overflows beyond 2,147,483,647 rows of score 1.

    Examples
    --------
    >>> table = CountTable.from_arrays({"sex": ["F", "F", "M"]}, decision=[0, 1, 1], truth=[1, 1, -1])
    >>> table.groups, table.total, table.labelled
    ((('F',), ('M',)), 3, 2)
    >>> table + table - table == table
    True
    """

    attributes: tuple[str, ...]
    groups: tuple[Group, ...]
    n: IntArray
    score_units: IntArray

    def __post_init__(self) -> None:
        attributes = tuple(self.attributes)
        groups = [tuple(group) for group in self.groups]
        shape = (len(groups), *CELL_SHAPE)
        if any(np.asarray(cells).dtype.kind not in "iu" for cells in (self.n, self.score_units)):
            raise InvalidInput("counts must be whole numbers", field="n", expected="arrays of integers")
        n = np.array(self.n, dtype=np.int64)
        units = np.array(self.score_units, dtype=np.int64)
        if n.shape != shape or units.shape != shape:
            raise InvalidInput(
                f"n has shape {n.shape} and score_units {units.shape}, {shape} was expected for {len(groups)} groups",
                field="n",
                got=list(n.shape),
                expected=str(shape),
            )
        _refuse_repeated(attributes)
        if any(len(group) != len(attributes) for group in groups) or len(set(groups)) != len(groups):
            raise InvalidInput(
                f"groups must be distinct, each with one label for each of the attributes {list(attributes)}",
                field="groups",
                expected=f"{len(attributes)} labels a group",
            )
        occurring = ((n != 0) | (units != 0)).reshape(len(groups), CELLS).any(axis=1).tolist()
        order = [i for i in sorted(range(len(groups)), key=groups.__getitem__) if occurring[i]]
        n, units = n[order], units[order]
        n.flags.writeable = units.flags.writeable = False
        object.__setattr__(self, "attributes", attributes)
        object.__setattr__(self, "groups", tuple(groups[i] for i in order))
        object.__setattr__(self, "n", n)
        object.__setattr__(self, "score_units", units)

    @classmethod
    def empty(cls, attributes: Sequence[str]) -> "CountTable":
        """The table of no rows."""
        none = np.zeros((0, *CELL_SHAPE), dtype=np.int64)
        return cls(tuple(attributes), (), none, none)

    @classmethod
    def from_arrays(
        cls,
        protected: Mapping[str, Any],
        decision: Any,
        truth: Any = None,
        score: Any = None,
        *,
        max_groups: int = MAX_GROUPS,
    ) -> "CountTable":
        """Collapse rows into their table.

        Parameters
        ----------
        protected : for each attribute its labels, shape (n_rows,), made comparable by `core.labels` (1, "1" and 1.0
            are one group); None, NaN and "" become the group "unknown"
        decision : shape (n_rows,), each 0 or 1, 1 the favourable one
        truth : shape (n_rows,), each 0, 1 or −1 (NaN too) for not known; None when nothing is known
        score : shape (n_rows,), each in [0, 1], NaN for not known; None when there are none
        max_groups : most combinations of labels that may occur; memory is proportional to their number

        Raises
        ------
        InvalidInput
            Lengths differ, a value is outside its range, or more than `max_groups` combinations occur.
        """
        groups, n, score_units = collapse(protected, decision, truth, score, max_groups)
        return cls(tuple(protected), tuple(groups), n, score_units)

    @staticmethod
    def sum(tables: Iterable["CountTable"], *, max_groups: int = MAX_GROUPS) -> "CountTable":
        """The table of all rows of all tables; `max_groups` as for `from_arrays`.

        Raises
        ------
        InvalidInput
            There is no table (the attributes would not be known), the attributes differ in name or order, or more
            than `max_groups` combinations occur in them together.
        """
        parts = [(table, 1) for table in tables]
        groups = {group for table, _ in parts for group in table.groups}
        require_groups(", ".join(parts[0][0].attributes) if parts else "groups", len(groups), max_groups)
        return _combined(parts)

    def __add__(self, other: "CountTable") -> "CountTable":
        """The table of both windows; equal to collapsing their rows together."""
        return _combined([(self, 1), (other, 1)])

    def __sub__(self, other: "CountTable") -> "CountTable":
        """The table with the other's rows retracted; it may go below zero."""
        return _combined([(self, 1), (other, -1)])

    def __eq__(self, other: object) -> bool:
        """Whether attributes, groups, counts and score sums are the same."""
        if not isinstance(other, CountTable):
            return NotImplemented
        return (
            self.attributes == other.attributes
            and self.groups == other.groups
            and np.array_equal(self.n, other.n)
            and np.array_equal(self.score_units, other.score_units)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def total(self) -> int:
        """Number of rows."""
        return int(self.n.sum())

    @property
    def labelled(self) -> int:
        """Number of rows whose truth is known."""
        return int(self.n[:, :, :TRUTH_UNKNOWN].sum())

    @property
    def decided(self) -> IntArray:
        """Counts without the score bins, shape (n_groups, 2, 3): what `core.metrics` computes on."""
        return np.asarray(self.n.sum(axis=3), dtype=np.int64)

    @property
    def negative(self) -> bool:
        """Whether a cell is below zero, so that the table is a delta and no window of rows."""
        return bool((self.n < 0).any())

    def marginal(self, attributes: Sequence[str]) -> "CountTable":
        """The table of some of the attributes, in the given order, summed over the others.

        Examples
        --------
        >>> table = CountTable.from_arrays({"sex": ["F", "F"], "race": ["A", "B"]}, decision=[0, 1])
        >>> table.marginal(["sex"]).groups
        (('F',),)
        """
        absent = [name for name in attributes if name not in self.attributes]
        if absent:
            raise InvalidInput(
                f"no attribute {', '.join(absent)}; there are {', '.join(self.attributes) or 'none'}",
                field="attributes",
                got=absent,
                expected=f"some of {list(self.attributes)}",
            )
        _refuse_repeated(attributes)
        columns = [self.attributes.index(name) for name in attributes]
        return _summed(
            tuple(attributes),
            [tuple(group[i] for i in columns) for group in self.groups],
            self.n,
            self.score_units,
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, the same for equal tables.

        Returns
        -------
        dict with `version`, `attributes` and `rows`, the cells that are not zero in order:
        [group, ŷ, y (2 = not known), score bin (10 = none), n, score units]. The units are decimal text, since a
        JSON number beyond 2**53 is not exact (RFC 8785, section 3.2.2.3).
        """
        rows = [
            [
                list(self.groups[g]),
                int(d),
                int(y),
                int(b),
                int(self.n[g, d, y, b]),
                str(self.score_units[g, d, y, b]),
            ]
            for g, d, y, b in np.argwhere((self.n != 0) | (self.score_units != 0))
        ]
        return {"version": FORMAT_VERSION, "attributes": list(self.attributes), "rows": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CountTable":
        """The table that `to_dict` wrote; `InvalidInput` when it is not one."""
        try:
            if data["version"] != FORMAT_VERSION:
                raise ValueError(f"version {data['version']}, {FORMAT_VERSION} expected")
            attributes = tuple(str(name) for name in data["attributes"])
            rows = [(tuple(map(str, group)), (d, y, b), n, int(u)) for group, d, y, b, n, u in data["rows"]]
            index = {group: i for i, group in enumerate(dict.fromkeys(row[0] for row in rows))}
            counts = np.zeros((len(index), *CELL_SHAPE), dtype=np.int64)
            units = np.zeros_like(counts)
            for group, cell, n, u in rows:
                if type(n) is not int:
                    raise ValueError(f"count {n!r} is not a whole number")
                if not all(type(i) is int and 0 <= i < k for i, k in zip(cell, CELL_SHAPE, strict=True)):
                    raise ValueError(f"cell {cell} is not one of {CELL_SHAPE}")
                counts[(index[group], *cell)] += n
                units[(index[group], *cell)] += u
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidInput(
                f"not a count table: {error}",
                field="counts",
                expected="version, attributes and rows [group, y_hat, y, bin, n, score_units]",
            ) from error
        return cls(attributes, tuple(index), counts, units)


def _combined(parts: Sequence[tuple[CountTable, int]]) -> CountTable:
    if not parts:
        raise InvalidInput(
            "no table to sum: at least one is needed", field="tables", got=0, expected="1 or more"
        )
    attributes = parts[0][0].attributes
    for table, _ in parts:
        if table.attributes != attributes:
            raise InvalidInput(
                f"a table of {list(table.attributes)} cannot be combined with one of {list(attributes)}",
                field="attributes",
                got=list(table.attributes),
                expected=str(list(attributes)),
            )
    return _summed(
        attributes,
        [group for table, _ in parts for group in table.groups],
        np.concatenate([sign * table.n for table, sign in parts]),
        np.concatenate([sign * table.score_units for table, sign in parts]),
    )


def _summed(
    attributes: tuple[str, ...], groups: Sequence[Group], n: IntArray, score_units: IntArray
) -> CountTable:
    """Add up the rows of equal groups."""
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    rows = np.fromiter((index[group] for group in groups), dtype=np.int64, count=len(groups))
    counts = np.zeros((len(index), *CELL_SHAPE), dtype=np.int64)
    units = np.zeros_like(counts)
    np.add.at(counts, rows, n)
    np.add.at(units, rows, score_units)
    return CountTable(attributes, tuple(index), counts, units)


def _refuse_repeated(attributes: Sequence[str]) -> None:
    if len(set(attributes)) != len(attributes):
        raise InvalidInput(
            f"an attribute is named twice in {list(attributes)}",
            field="attributes",
            got=list(attributes),
            expected="each attribute once",
        )
