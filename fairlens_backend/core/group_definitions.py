"""Which values of an attribute make one group: values, sets of values, numeric ranges, everyone else."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.labels import UNKNOWN, canonical_label, canonical_labels
from fairlens_backend.errors import InvalidInput

AGE_BANDS: Final = (18, 30, 40, 50, 60)
"""The limits of UNDER_18, 18_30, 30_40, 40_50, 50_60 and 60_PLUS."""

_KEYS: Final = ("values", "sets", "bands", "ranges", "else")
# Labels are canonical already. No float(): it would read the band "18_30" as 1830.
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?\Z")


@dataclass(frozen=True)
class Range:
    """The numbers from `low` (included) to `high` (not included)."""

    low: float
    high: float
    group: str


@dataclass(frozen=True)
class GroupDefinition:
    """How the values of one attribute become groups. Each value falls into exactly one.

    A missing value stays "unknown". A value that is named goes to its group, then a number to the range it is in. What
    remains goes to `otherwise`; where that is None it keeps its own label, but beside ranges it is "unknown"
    unless it is the name of a group already.

    Parameters
    ----------
    named : the group of each named value, by canonical label
    ranges : in order, not overlapping
    otherwise : the group of everyone else; None when not declared

    Examples
    --------
    >>> age = GroupDefinition.parse({"bands": [18, 30, 40, 50, 60]})
    >>> age.apply([17.5, 30, "61", None, "n/a"]).tolist()
    ['UNDER_18', '30_40', '60_PLUS', 'unknown', 'unknown']
    >>> race = GroupDefinition.parse({"sets": {"White": ["White", "Caucasian"]}, "else": "Other"})
    >>> race.apply(["Caucasian", "Hispanic", ""]).tolist()
    ['White', 'Other', 'unknown']
    """

    named: Mapping[str, str]
    ranges: tuple[Range, ...] = ()
    otherwise: str | None = None

    @classmethod
    def parse(cls, declared: Any, field: str = "groups") -> "GroupDefinition":
        """Read a declaration.

        Parameters
        ----------
        declared : a mapping with at least one of
            values : {value: group}
            sets : {group: [value, …]}
            bands : numbers in increasing order; 18, 30 makes the groups UNDER_18, 18_30 and 30_PLUS
            ranges : [{"name": group, "from": number, "below": number}, …], either limit may be left out; a group
                may have several
            else : the group of everyone else
        field : where the declaration stands, for messages

        Raises
        ------
        InvalidInput
            The declaration is not as described, ranges overlap, or a value is in two groups; it names the place.
        """
        if not isinstance(declared, Mapping) or not set(declared) & set(_KEYS):
            raise _refused(field, declared, f"a mapping with some of {', '.join(_KEYS)}")
        for key in declared:
            if key not in _KEYS:
                raise _refused(f"{field}.{key}", key, f"one of {', '.join(_KEYS)}")
        if "bands" in declared and "ranges" in declared:
            raise _refused(f"{field}.ranges", "ranges beside bands", "one of the two")
        ranges = _bands(declared["bands"], f"{field}.bands") if "bands" in declared else ()
        if "ranges" in declared:
            ranges = _ranges(declared["ranges"], f"{field}.ranges")
        otherwise = _name(declared["else"], f"{field}.else") if "else" in declared else None
        return cls(_named(declared, field), ranges, otherwise)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that are declared, each once, in order; values that keep their own label add to them."""
        last = [self.otherwise] if self.otherwise is not None else []
        return tuple(dict.fromkeys([*self.named.values(), *(one.group for one in self.ranges), *last]))

    def apply(self, values: Any) -> npt.NDArray[np.object_]:
        """The group of each value, shape (n_rows,), str.

        Parameters
        ----------
        values : array-like, shape (n_rows,), of anything; compared as labels are, so 1, "1" and 1.0 are one value
        """
        column = (
            values if isinstance(values, (pd.Series, np.ndarray)) else pd.Series(list(values), dtype=object)
        )
        codes: npt.NDArray[np.intp]
        groups: Sequence[str] | npt.NDArray[np.object_]
        if self.ranges and pd.api.types.is_numeric_dtype(column.dtype) and column.dtype != bool:
            # millions of different incomes are placed without making a text of each
            numbers = pd.Series(column).to_numpy(dtype=np.float64, na_value=np.nan)
            codes, unique = pd.factorize(numbers, use_na_sentinel=True)
            groups = self._groups_of_numbers(np.asarray(unique, dtype=np.float64))
        else:
            codes, labels = canonical_labels(column)
            groups = self._groups_of_labels(labels)
        # the last place is for the missing (-1 indexes it)
        result: npt.NDArray[np.object_] = np.array([*groups, UNKNOWN], dtype=object)[codes]
        return result

    def _groups_of_labels(self, labels: Sequence[str]) -> list[str]:
        numbers = np.array([float(label) if _NUMBER.match(label) else np.nan for label in labels])
        placed = self._in_ranges(numbers)
        known = set(self.groups)

        def left(label: str) -> str:
            if self.otherwise is not None:
                return self.otherwise
            return label if not self.ranges or label in known else UNKNOWN

        return [self.named.get(label) or placed[i] or left(label) for i, label in enumerate(labels)]

    def _groups_of_numbers(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
        groups = self._in_ranges(np.where(np.isfinite(numbers), numbers, np.nan))
        for label, group in self.named.items():
            if _NUMBER.match(label):
                groups[numbers == float(label)] = group
        groups[groups == None] = self.otherwise or UNKNOWN  # noqa: E711 (elementwise)
        return groups

    def _in_ranges(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
        """The group of each number by its range; None where it is in none, or NaN."""
        groups = np.full(len(numbers), None, dtype=object)
        if self.ranges and len(numbers):
            lows = np.array([one.low for one in self.ranges])
            highs = np.array([one.high for one in self.ranges])
            names = np.array([one.group for one in self.ranges], dtype=object)
            at = np.maximum(np.searchsorted(lows, numbers, side="right") - 1, 0)
            inside = (numbers >= lows[at]) & (numbers < highs[at])
            groups[inside] = names[at[inside]]
        return groups


def parse_groups(declared: Any, field: str = "groups") -> dict[str, GroupDefinition]:
    """The definitions of several attributes from {attribute: declaration}.

    Raises
    ------
    InvalidInput
        As for `GroupDefinition.parse`; the place starts with `field` and the attribute.
    """
    if not isinstance(declared, Mapping):
        raise _refused(field, declared, "a mapping of attributes to their groups")
    return {str(name): GroupDefinition.parse(one, f"{field}.{name}") for name, one in declared.items()}


def _named(declared: Mapping[str, Any], field: str) -> dict[str, str]:
    named: dict[str, str] = {}

    def put(value: Any, group: str, where: str) -> None:
        label = canonical_label(value) if _is_scalar(value) else None
        if label is None:
            raise _refused(where, value, "a text, a number or a truth value; a missing one is always unknown")
        if named.setdefault(label, group) != group:
            raise _refused(where, label, f"a value of one group; it is in {named[label]} already")

    values, sets = declared.get("values", {}), declared.get("sets", {})
    for key, given in (("values", values), ("sets", sets)):
        if not isinstance(given, Mapping) or (key in declared and not given):
            raise _refused(f"{field}.{key}", given, "a mapping that is not empty")
    for value, group in values.items():
        put(value, _name(group, f"{field}.values.{value}"), f"{field}.values.{value}")
    for group, members in sets.items():
        where = f"{field}.sets.{group}"
        if isinstance(members, str | bytes | Mapping) or not isinstance(members, Sequence) or not members:
            raise _refused(where, members, "a list of values")
        for i, value in enumerate(members):
            put(value, _name(group, where), f"{where}.{i}")
    return named


def _bands(limits: Any, field: str) -> tuple[Range, ...]:
    if isinstance(limits, str | bytes) or not isinstance(limits, Sequence) or not limits:
        raise _refused(field, limits, "a list of numbers")
    numbers = [_number(limit, f"{field}.{i}") for i, limit in enumerate(limits)]
    for i, (low, high) in enumerate(itertools.pairwise(numbers), start=1):
        if not low < high:
            raise _refused(f"{field}.{i}", high, f"a number above {low:g}")
    text = [canonical_label(number) for number in numbers]
    inner = [
        Range(low, high, f"{a}_{b}")
        for (low, high), (a, b) in zip(itertools.pairwise(numbers), itertools.pairwise(text), strict=True)
    ]
    return (
        Range(-math.inf, numbers[0], f"UNDER_{text[0]}"),
        *inner,
        Range(numbers[-1], math.inf, f"{text[-1]}_PLUS"),
    )


def _ranges(given: Any, field: str) -> tuple[Range, ...]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence) or not given:
        raise _refused(field, given, "a list of ranges")
    read: list[tuple[Range, str]] = []
    for i, one in enumerate(given):
        where = f"{field}.{i}"
        if not isinstance(one, Mapping) or "name" not in one or set(one) - {"name", "from", "below"}:
            raise _refused(where, one, 'a mapping with "name" and "from", "below" or both')
        if not {"from", "below"} & set(one):
            raise _refused(where, one, 'at least one of "from" and "below"; "else" is for everyone else')
        low = _number(one["from"], f"{where}.from") if "from" in one else -math.inf
        high = _number(one["below"], f"{where}.below") if "below" in one else math.inf
        if not low < high:
            raise _refused(f"{where}.below", high, f"a number above {low:g}")
        read.append((Range(low, high, _name(one["name"], f"{where}.name")), where))
    read.sort(key=lambda item: item[0].low)
    for (before, _), (after, where) in itertools.pairwise(read):
        if after.low < before.high:
            raise _refused(
                where,
                f"{after.group}, which starts at {after.low:g}",
                f"ranges that do not overlap; {before.group} ends at {before.high:g}",
            )
    return tuple(one for one, _ in read)


def _number(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise _refused(field, value, "a number")
    return float(value)


def _name(value: Any, field: str) -> str:
    label = canonical_label(value) if _is_scalar(value) else None
    if label is None:
        raise _refused(field, value, "the name of a group")
    return label


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | np.generic)


def _refused(field: str, got: Any, expected: str) -> InvalidInput:
    shown = str(got)[:100]
    return InvalidInput(
        f"{field} is {shown!r}; expected was {expected}", field=field, got=shown, expected=expected
    )
