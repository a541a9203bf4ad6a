"""The count table of rows whose group is known only as a probability: expected counts by stratum of the proxy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fairlens_backend.core.columns import require_groups
from fairlens_backend.core.proxies.membership import (
    CELLS,
    MEMBERSHIP_UNITS,
    FloatArray,
    IntArray,
    checked_membership,
    decision_cells,
    entropy,
    exact_sums,
    group_labels,
    strata_of,
)
from fairlens_backend.errors import InvalidInput

MAX_STRATA: Final = 20_000
FORMAT_VERSION: Final = 1
Stratum = tuple[str, str]


@dataclass(frozen=True, eq=False)
class SoftCounts:
    """Expected counts of rows by stratum, group, decision and truth. They add and subtract like a `CountTable`.

    This is another type than `CountTable` on purpose: a group by proxy is never merged with a recorded one.

    Parameters
    ----------
    attribute : name of the protected attribute that the proxy stands for
    groups : labels of the groups, in the order of the membership columns
    strata : (stratum of the proxy, cell of the membership), in order; those without rows are dropped. Bounds are taken
        within the first; the second keeps rows of unlike membership apart, so that a resampled table varies as rows do.
    n : int64 array, shape (n_strata, 2, 3), rows by decision and truth (2 = not known)
    membership_units : int64 array, shape (n_strata, n_groups, 2, 3), sums of P(g | row) in units of 2**-32, fixed
        point, so that sums are exact and independent of order. What is missing to n is of unknown group.
    entropy_units : int64 array, shape (n_strata,), sums over rows of the entropy of P(· | row), in nats and the same
        units, the unknown remainder being a group of its own

    Examples
    --------
    >>> soft = SoftCounts.from_arrays("sex", ["F", "M"], [[0.9, 0.1], [0.2, 0.8]], decision=[1, 0])
    >>> soft.total, soft.expected().sum(axis=(1, 2)).round(6).tolist()
    (2, [1.1, 0.9])
    >>> soft + soft - soft == soft
    True
    """

    attribute: str
    groups: tuple[str, ...]
    strata: tuple[Stratum, ...]
    n: IntArray
    membership_units: IntArray
    entropy_units: IntArray

    def __post_init__(self) -> None:
        groups, strata = tuple(self.groups), tuple(self.strata)
        n = np.array(self.n, dtype=np.int64)
        units = np.array(self.membership_units, dtype=np.int64)
        entropies = np.array(self.entropy_units, dtype=np.int64)
        size = len(strata)
        if (n.shape, units.shape, entropies.shape) != ((size, 2, 3), (size, len(groups), 2, 3), (size,)):
            raise InvalidInput("counts do not have the shape of their strata and groups", field="n")
        if len(set(groups)) != len(groups) or not groups or len(set(strata)) != size:
            raise InvalidInput(
                "groups and strata must be distinct, and there must be a group", field="groups"
            )
        occurring = (n != 0).any(axis=(1, 2)) | (units != 0).any(axis=(1, 2, 3)) | (entropies != 0)
        order = [i for i in sorted(range(size), key=strata.__getitem__) if occurring[i]]
        for name, values in (("n", n), ("membership_units", units), ("entropy_units", entropies)):
            kept = values[order]
            kept.flags.writeable = False
            object.__setattr__(self, name, kept)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "strata", tuple(strata[i] for i in order))

    @classmethod
    def from_arrays(
        cls,
        attribute: str,
        groups: Sequence[object],
        membership: Any,
        decision: Any,
        truth: Any = None,
        stratum: Any = None,
        *,
        max_strata: int = MAX_STRATA,
    ) -> "SoftCounts":
        """Collapse rows into their expected counts.

        Parameters
        ----------
        groups : labels of the columns of `membership`
        membership : P(g | row), shape (n_rows, n_groups), each in [0, 1], each row summing to at most 1; what is
            missing to 1 is of unknown group (a row without a proxy is all zeros)
        decision, truth : as for `CountTable.from_arrays`
        stratum : labels, shape (n_rows,), of the values of the proxy (surname × area, say), within which the bounds
            are taken; None for cells of 0.1 of the membership itself. Coarser strata give wider bounds, never wrong ones.

        Raises
        ------
        InvalidInput
            Lengths differ, a probability is outside its range, or more than `max_strata` strata occur.
        """
        within = decision_cells(decision, truth)
        rows = len(within)
        labels = group_labels(groups)
        p = checked_membership(membership, rows, len(labels))
        codes, strata = strata_of(p, stratum)
        require_groups("stratum", len(strata), max_strata)
        cell = codes * CELLS + within
        n = np.bincount(cell, minlength=len(strata) * CELLS)
        units = [exact_sums(cell, p[:, g], len(strata) * CELLS) for g in range(len(labels))]
        shape = (len(strata), 2, 3)
        stacked = np.stack([part.reshape(shape) for part in units], axis=1)
        return cls(
            str(attribute),
            labels,
            tuple(strata),
            n.reshape(shape),
            stacked,
            exact_sums(codes, entropy(p), len(strata)),
        )

    @staticmethod
    def sum(parts: Iterable["SoftCounts"]) -> "SoftCounts":
        """The counts of all rows of all parts."""
        return _combined([(part, 1) for part in parts])

    def __add__(self, other: "SoftCounts") -> "SoftCounts":
        """The counts of both windows; equal to collapsing their rows together."""
        return _combined([(self, 1), (other, 1)])

    def __sub__(self, other: "SoftCounts") -> "SoftCounts":
        """The counts with the other's rows retracted; they may go below zero."""
        return _combined([(self, 1), (other, -1)])

    def __eq__(self, other: object) -> bool:
        """Whether attribute, groups, strata and all sums are the same."""
        if not isinstance(other, SoftCounts):
            return NotImplemented
        return (self.attribute, self.groups, self.strata) == (
            other.attribute,
            other.groups,
            other.strata,
        ) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("n", "membership_units", "entropy_units")
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def total(self) -> int:
        """Number of rows."""
        return int(self.n.sum())

    @property
    def negative(self) -> bool:
        """Whether a cell is below zero, so that these are a change and no window of rows."""
        return bool((self.n < 0).any() or (self.membership_units < 0).any())

    def expected(self) -> FloatArray:
        """Expected counts of each group by decision and truth, shape (n_groups, 2, 3)."""
        return np.asarray(self.membership_units.sum(axis=0) / MEMBERSHIP_UNITS, dtype=np.float64)

    @property
    def proxy_quality(self) -> float | None:
        """Share of the uncertainty about a row's group that the proxy takes away, 0 to 1.

        1 − (mean entropy of P(· | row)) / (entropy of the mean of P(· | row)): 0 when every row has the same
        probabilities, 1 when each is certain. None without rows, or when all belong to one group anyway.
        """
        if not self.total:
            return None
        shares = self.expected().sum(axis=(1, 2)) / self.total
        overall = float(entropy(shares[None, :])[0])
        if overall < 1e-9:
            return None
        left = int(self.entropy_units.sum()) / MEMBERSHIP_UNITS / self.total
        return min(1.0, max(0.0, 1 - left / overall))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, the same for equal counts; units are decimal text, as in `CountTable.to_dict`."""
        return {
            "version": FORMAT_VERSION,
            "is_proxy": True,
            "attribute": self.attribute,
            "groups": list(self.groups),
            "strata": [
                [
                    *stratum,
                    self.n[s].ravel().tolist(),
                    [[str(u) for u in self.membership_units[s, g].ravel()] for g in range(len(self.groups))],
                    str(self.entropy_units[s]),
                ]
                for s, stratum in enumerate(self.strata)
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SoftCounts":
        """The counts that `to_dict` wrote; `InvalidInput` when they are none."""
        try:
            if data["version"] != FORMAT_VERSION:
                raise ValueError(f"version {data['version']}, {FORMAT_VERSION} expected")
            groups, rows = tuple(str(group) for group in data["groups"]), list(data["strata"])
            if not all(type(count) is int for row in rows for count in row[2]):
                raise ValueError("a count is not a whole number")
            n = np.array([row[2] for row in rows], dtype=np.int64).reshape(-1, 2, 3)
            units = np.array([[[int(u) for u in group] for group in row[3]] for row in rows], dtype=np.int64)
            entropies = np.array([int(row[4]) for row in rows], dtype=np.int64)
            strata = tuple((str(row[0]), str(row[1])) for row in rows)
            return cls(
                str(data["attribute"]), groups, strata, n, units.reshape(-1, len(groups), 2, 3), entropies
            )
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise InvalidInput(
                f"not counts by proxy: {error}", field="soft_counts", expected="what to_dict wrote"
            ) from error


def _combined(parts: Sequence[tuple[SoftCounts, int]]) -> SoftCounts:
    if not parts:
        raise InvalidInput("no counts to sum: at least one is needed", field="counts")
    first = parts[0][0]
    for part, _ in parts:
        if (part.attribute, part.groups) != (first.attribute, first.groups):
            raise InvalidInput(
                f"{part.attribute} {list(part.groups)} cannot be combined with {first.attribute} {list(first.groups)}",
                field="groups",
                got=list(part.groups),
                expected=str(list(first.groups)),
            )
    index = {s: i for i, s in enumerate(dict.fromkeys(s for part, _ in parts for s in part.strata))}
    n = np.zeros((len(index), 2, 3), dtype=np.int64)
    units = np.zeros((len(index), len(first.groups), 2, 3), dtype=np.int64)
    entropies = np.zeros(len(index), dtype=np.int64)
    for part, sign in parts:
        at = [index[stratum] for stratum in part.strata]
        n[at] += sign * part.n
        units[at] += sign * part.membership_units
        entropies[at] += sign * part.entropy_units
    return SoftCounts(first.attribute, first.groups, tuple(index), n, units, entropies)
