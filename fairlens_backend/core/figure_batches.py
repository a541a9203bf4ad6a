"""Every count-based figure of many audits at once: what the engine gives for each of their count tables.

Audits whose tables have the same attributes and groups are computed together, as one array with an axis more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.audit_view import CROSS
from fairlens_backend.core.audit_views import MAX_CROSSINGS
from fairlens_backend.core.columns import CELL_SHAPE, CELLS
from fairlens_backend.core.labels import UNKNOWN, canonical_label
from fairlens_backend.core.metrics import METRICS, GroupRates, Metric
from fairlens_backend.core.reference_group import MIN_SHARE

__all__ = ["Figure", "Layout", "Row", "figures"]

Row = tuple[tuple[str, ...], int, int, int, int, str]
"""a cell of a count table as it is written: [group, ŷ, y, score bin, n, score units]"""
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
MEASURED: Final = tuple(metric for metric in METRICS if "history" not in metric.needs)


@dataclass(frozen=True)
class Layout:
    """What audits must share to be computed together.

    Parameters
    ----------
    attributes : of the tables, in their order
    groups : that occur in each of the tables, sorted
    protected : the attributes that are assessed
    references : (attribute, declared reference group) of those that declare one
    least : the smallest size of a group that takes part
    """

    attributes: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    protected: tuple[str, ...]
    references: tuple[tuple[str, str], ...]
    least: int


@dataclass(frozen=True)
class Figure:
    """One metric of one attribute, of every audit: `value` and `signed`, shape (n_audits,), NaN where there is none."""

    attribute: str
    metric: str
    value: npt.NDArray[np.float64]
    signed: npt.NDArray[np.float64]


def cells_of(layout: Layout, tables: Sequence[Sequence[Row]]) -> IntArray:
    """The counts of tables of one layout, shape (n_audits, n_groups, 2, 3, 11)."""
    number = {group: i * CELLS for i, group in enumerate(layout.groups)}
    _, truths, bins = CELL_SHAPE
    places = np.array(
        [number[row[0]] + (row[1] * truths + row[2]) * bins + row[3] for rows in tables for row in rows],
        dtype=np.int64,
    )
    counts = np.array([row[4] for rows in tables for row in rows], dtype=np.int64)
    width = len(layout.groups) * CELLS
    places += np.repeat(np.arange(len(tables)) * width, [len(rows) for rows in tables])
    n = np.zeros(len(tables) * width, dtype=np.int64)
    np.add.at(n, places, counts)
    return n.reshape(len(tables), len(layout.groups), *CELL_SHAPE)


def figures(layout: Layout, n: IntArray) -> Iterator[Figure]:
    """Every figure that count tables give, of every attribute and crossing, in the order of an audit.

    Parameters
    ----------
    n : as of `cells_of`

    Source: STATISTICS sections 1 and 2; each metric is computed by the engine's own `compute`.
    """
    declared = dict(layout.references)
    kept: list[tuple[str, ...]] = [(name,) for name in layout.protected]
    kept += list(combinations(layout.protected, 2))[:MAX_CROSSINGS]
    for names in kept:
        labels, marginal = _marginal(layout, n, names)
        known = np.array([UNKNOWN not in label for label in labels], dtype=np.bool_)
        scope = "attribute" if len(names) == 1 else "crossing"
        reference = np.full(len(n), -1, dtype=np.int64)
        if scope == "attribute":
            reference = _references(labels, marginal, known, declared.get(names[0]), layout.least)
        for metric in MEASURED:
            if metric.scope == scope:
                value, signed = _measure(metric, marginal, known, reference, layout.least)
                yield Figure(CROSS.join(names), metric.name, value, signed)


def _marginal(layout: Layout, n: IntArray, names: tuple[str, ...]) -> tuple[list[tuple[str, ...]], IntArray]:
    columns = [layout.attributes.index(name) for name in names]
    of_group = [tuple(group[i] for i in columns) for group in layout.groups]
    labels = sorted(set(of_group))
    summed = np.zeros((len(n), len(labels), *CELL_SHAPE), dtype=np.int64)
    for i, label in enumerate(of_group):
        summed[:, labels.index(label)] += n[:, i]
    return labels, summed


def _references(
    labels: Sequence[tuple[str, ...]], n: IntArray, known: BoolArray, declared: str | None, least: int
) -> IntArray:
    """The index of each audit's reference group, as `reference_group` chooses it; −1 where no group is known."""
    if declared is not None:
        wanted = (canonical_label(declared),)
        return np.full(len(n), labels.index(wanted) if wanted in labels else -1, dtype=np.int64)
    if not labels:  # of audits of nothing
        return np.full(len(n), -1, dtype=np.int64)
    sizes = n.sum(axis=(2, 3, 4))
    rates = np.nan_to_num(GroupRates(n.sum(axis=4)).selection, nan=-1.0)
    candidates = np.broadcast_to(known, sizes.shape)
    for enough in (sizes >= MIN_SHARE * sizes.sum(axis=1, keepdims=True), sizes >= least):
        fewer = candidates & enough
        candidates = np.where(fewer.any(axis=1, keepdims=True), fewer, candidates)
    for better in (rates, sizes):
        best = np.where(candidates, better, -2).max(axis=1, keepdims=True)
        candidates = candidates & (better == best)
    return np.where(candidates.any(axis=1), candidates.argmax(axis=1), -1)


def _measure(
    metric: Metric, n: IntArray, known: BoolArray, reference: IntArray, least: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The metric of each audit among the groups that are large enough; NaN where the engine gives no value."""
    used = n[:, :, :, :2] if "truth" in metric.needs else n
    used = used[..., :10] if "score" in metric.needs else used
    large = (used.sum(axis=(2, 3, 4)) >= least) & known
    value, signed = np.full(len(n), np.nan), np.full(len(n), np.nan)
    pattern = np.column_stack([large, reference])
    left = np.arange(len(n))
    while len(
        left
    ):  # audits in which the same groups take part against the same one, together; mostly that is all
        first = pattern[left[0]]
        taking, chosen = np.flatnonzero(first[:-1]), int(first[-1])
        alike = (pattern[left] == first).all(axis=1)
        rows, left = left[alike], left[~alike]
        if not _computable(metric, taking, chosen, used[rows]):
            continue
        some = n[rows][:, taking]
        place = int(np.searchsorted(taking, chosen)) if chosen in taking else -1
        rates = GroupRates(some.sum(axis=4), some[..., :2, :10].sum(axis=2))
        computed = metric.compute(rates, place)
        value[rows], signed[rows] = computed.value, computed.signed
    return value, signed


def _computable(metric: Metric, taking: IntArray, chosen: int, used: IntArray) -> bool:
    """Whether enough groups take part, the reference group among them where one is needed."""
    if not used.any():
        return False
    if metric.compared == "people":
        return len(taking) > 0
    return len(taking) >= 2 and (metric.compared != "reference" or chosen in taking)
