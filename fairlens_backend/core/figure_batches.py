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
from fairlens_backend.core.columns import CELL_SHAPE, CELLS, SCORE_UNKNOWN
from fairlens_backend.core.labels import UNKNOWN, canonical_label
from fairlens_backend.core.metrics import METRICS, GroupRates, Metric
from fairlens_backend.core.reference_group import MIN_SHARE

__all__ = ["Figure", "Layout", "Row", "figures"]

Row = tuple[tuple[str, ...], int, int, int, int, str]
"""a cell of a count table as it is written: [group, ŷ, y, score bin, n, score units]"""
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
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
    value: FloatArray
    signed: FloatArray


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
    n : as of `cells_of`; of tables without any score the last axis may be of length 1

    Source: STATISTICS sections 1 and 2; each metric is computed by the engine's own `compute`.
    """
    declared = dict(layout.references)
    whole = _Tables.of(n)
    kept: list[tuple[str, ...]] = [(name,) for name in layout.protected]
    kept += list(combinations(layout.protected, 2))[:MAX_CROSSINGS]
    for names in kept:
        labels, tables = _marginal(layout, whole, names)
        known = np.array([UNKNOWN not in label for label in labels], dtype=np.bool_)
        scope = "attribute" if len(names) == 1 else "crossing"
        reference = np.full(len(n), -1, dtype=np.int64)
        if scope == "attribute":
            reference = _references(labels, tables, known, declared.get(names[0]), layout.least)
        metrics = [metric for metric in MEASURED if metric.scope == scope]
        measured: dict[str, tuple[FloatArray, FloatArray]] = {}
        for needs in dict.fromkeys(_needs(metric) for metric in metrics):
            alike = [metric for metric in metrics if _needs(metric) == needs]
            measured |= _measure(alike, tables, tables.sizes(*needs), known, reference, layout.least)
        for metric in metrics:
            value, signed = measured[metric.name]
            yield Figure(CROSS.join(names), metric.name, value, signed)


@dataclass(frozen=True)
class _Tables:
    """Count tables as metrics read them; audits are the last axis, so that numpy adds up groups a whole row of audits at a time.

    Parameters
    ----------
    n : decisions by group, decision and truth, shape (n_groups, 2, 3, n_audits)
    scored : the scored rows of known truth by group, truth and bin, shape (n_groups, 2, 10, n_audits); None for none
    """

    n: IntArray
    scored: IntArray | None

    @classmethod
    def of(cls, n: IntArray) -> "_Tables":
        """From cells, shape (n_audits, n_groups, 2, 3, 11 or 1)."""
        cells = np.ascontiguousarray(np.moveaxis(n, 0, -1))
        if n.shape[4] == 1:
            return cls(cells[:, :, :, 0], None)
        scored = cells[:, :, :2, :SCORE_UNKNOWN].sum(axis=1)
        return cls(cells.sum(axis=3), scored if scored.any() else None)

    def sizes(self, truth: bool, score: bool) -> IntArray:
        """The rows of each group that have what a metric needs, shape (n_groups, n_audits)."""
        if score:
            none = np.zeros((len(self.n), self.n.shape[-1]), dtype=np.int64)
            return none if self.scored is None else self.scored.sum(axis=(1, 2))
        return _rows(self.n, truth=truth)

    def ordered(self, order: IntArray) -> "_Tables":
        """With the groups of each audit in this order, shape (n_groups, n_audits)."""
        return _Tables(
            _in_order(self.n, order), None if self.scored is None else _in_order(self.scored, order)
        )

    def rates(self, groups: int | None = None, audits: IntArray | None = None) -> GroupRates:
        """The rates of the first so many groups of some audits, or of all."""

        def some(n: IntArray) -> IntArray:
            """As the engine has tables: the audits first."""
            return np.moveaxis(n[:groups] if audits is None else n[:groups, ..., audits], -1, 0)

        return GroupRates(some(self.n), None if self.scored is None else some(self.scored))


def _in_order(n: IntArray, order: IntArray) -> IntArray:
    """Cells with the groups, which are the first axis, of each audit in this order; by places, which are taken twice as fast as by axes."""
    cells = n.reshape(len(n), -1, n.shape[-1])
    made = np.empty_like(cells)
    places = order * cells[0].size + np.arange(cells.shape[2])
    for cell in range(cells.shape[1]):
        made[:, cell] = cells.reshape(-1).take(places + cell * cells.shape[2])
    return made.reshape(n.shape)


def _rows(n: IntArray, *, truth: bool) -> IntArray:
    """The rows of each group, or those of known truth, shape (n_groups, n_audits)."""
    known: IntArray = n[:, 0, 0] + n[:, 0, 1] + n[:, 1, 0] + n[:, 1, 1]
    return known if truth else known + n[:, 0, 2] + n[:, 1, 2]


def _marginal(
    layout: Layout, whole: _Tables, names: tuple[str, ...]
) -> tuple[list[tuple[str, ...]], _Tables]:
    columns = [layout.attributes.index(name) for name in names]
    of_group = [tuple(group[i] for i in columns) for group in layout.groups]
    labels = sorted(set(of_group))
    place = {label: i for i, label in enumerate(labels)}

    def summed(n: IntArray) -> IntArray:
        made = np.zeros((len(labels), *n.shape[1:]), dtype=np.int64)
        for i, label in enumerate(of_group):
            made[place[label]] += n[i]
        return made

    return labels, _Tables(summed(whole.n), None if whole.scored is None else summed(whole.scored))


def _references(
    labels: Sequence[tuple[str, ...]], tables: _Tables, known: BoolArray, declared: str | None, least: int
) -> IntArray:
    """The index of each audit's reference group, as `reference_group` chooses it; −1 where no group is known."""
    audits = tables.n.shape[-1]
    if declared is not None:
        wanted = (canonical_label(declared),)
        return np.full(audits, labels.index(wanted) if wanted in labels else -1, dtype=np.int64)
    if not labels:  # of audits of nothing
        return np.full(audits, -1, dtype=np.int64)
    sizes = _rows(tables.n, truth=False)
    rates = np.nan_to_num(tables.rates().selection.T, nan=-1.0)
    candidates = np.broadcast_to(known[:, None], sizes.shape)
    for enough in (sizes >= MIN_SHARE * sizes.sum(axis=0), sizes >= least):
        fewer = candidates & enough
        candidates = np.where(fewer.any(axis=0), fewer, candidates)
    for better in (rates, sizes):
        best = np.where(candidates, better, -2).max(axis=0)
        candidates = candidates & (better == best)
    return np.where(candidates.any(axis=0), candidates.argmax(axis=0), -1)


def _needs(metric: Metric) -> tuple[bool, bool]:
    """Whether it counts only rows of known truth, and only those with a score."""
    return "truth" in metric.needs, "score" in metric.needs


def _measure(
    metrics: Sequence[Metric],
    tables: _Tables,
    sizes: IntArray,
    known: BoolArray,
    reference: IntArray,
    least: int,
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Value and sign of metrics that count the same rows, among the groups that are large enough; NaN where the engine gives none."""
    large = (sizes >= least) & known[:, None]
    taking = large.sum(axis=0)
    found = {metric.name: (np.full(len(taking), np.nan), np.full(len(taking), np.nan)) for metric in metrics}
    if not large.any():
        return found
    # The reference group first, then the others that take part: so audits are alike in which as many groups take part,
    # whichever they are. No metric asks for the names or the order of the others.
    rank = np.where(large, np.int8(1), np.int8(2))
    against = (reference >= 0) & large[reference, np.arange(len(taking))]
    rank[reference[against], np.flatnonzero(against)] = 0
    ordered = tables.ordered(np.argsort(rank, axis=0, kind="stable"))
    alike = 2 * taking + against
    for one in np.flatnonzero(np.bincount(alike)).tolist():
        count, compared = one // 2, bool(one % 2)
        audits = np.flatnonzero(alike == one)
        rates = ordered.rates(count, audits if len(audits) < len(taking) else None)
        for metric in metrics:
            if _computable(metric, count, compared):
                computed = metric.compute(rates, 0 if compared else -1)
                value, signed = found[metric.name]
                value[audits], signed[audits] = computed.value, computed.signed
    return found


def _computable(metric: Metric, taking: int, compared: bool) -> bool:
    """Whether enough groups take part, the reference group among them where one is needed."""
    if metric.compared == "people":
        return taking > 0
    return taking >= 2 and (metric.compared != "reference" or compared)
