"""Compares the figures that audits state with those that their count tables give, many audits at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.figure_batches import Figure, Layout, cells_of, figures
from fairlens_backend.verifier.bodies import (
    COUNTS_VERSION,
    AuditBody,
    Counts,
    Fault,
    ShortBody,
    StatedOf,
    layout_of,
    misstated,
)
from fairlens_backend.verifier.kinds import Kind, Kinds
from fairlens_backend.verifier.lines import Wrong
from fairlens_backend.verifier.numbers import ShortAudits, Unreadable, size_faults
from fairlens_backend.verifier.spelling import Spelt
from fairlens_backend.verifier.stated_intervals import interval_faults
from fairlens_backend.verifier.tables import Batch, batches

AT_ONCE: Final = 20_000
"""audits of version 2 that wait at most, by their numbers alone; those of version 1, which wait as they are, count as ten"""
_LONG: Final = 10
TOLERANCE: Final = 1e-12
"""Between two machines the last bits of a division may differ; figures that differ by more were not computed from these counts."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Statement:
    """What audits of one layout that state the same figures state: NaN where they state no value or no sign.

    Parameters
    ----------
    shape : attribute, metric and basis of each figure
    places : of the audits among those of the layout, shape (n_audits,)
    value, signed : shape (n_audits, n_figures)
    """

    shape: Sequence[StatedOf]
    places: npt.NDArray[np.int64]
    value: FloatArray
    signed: FloatArray


class FigureCheck:
    """Takes audits one by one and compares them in batches.

    Parameters
    ----------
    intervals : whether intervals and p-values are recomputed too, by the whole engine: 25 to 100 ms an audit
    kinds : those that were seen before
    """

    def __init__(self, *, intervals: bool = False, kinds: Kinds | None = None) -> None:
        self.recomputed = 0
        """figures compared so far"""
        self.of_rows = 0
        """stated figures that no count table gives: of samples of rows, of earlier audits"""
        self.without_counts = 0
        """audits that were computed elsewhere, and stored without counts"""
        self.uncounted = 0
        """figures that these state all the same"""
        self.kinds = kinds or Kinds()
        self._intervals = intervals
        self._long: dict[Layout, list[tuple[int, AuditBody]]] = {}
        self._short: dict[Kind, ShortAudits] = {}
        self._n_waiting = 0
        self._fault: Fault | None = None

    def add(self, index: int, body: AuditBody | ShortBody, kind: Kind | None = None) -> None:
        """One more audit.

        Parameters
        ----------
        kind : of a body of version 2, where the caller has asked `kinds` for it already

        Raises
        ------
        Wrong : its settings, its table or its sizes are none that an audit has
        """
        if isinstance(body, ShortBody):
            kind = kind or self.kinds.of(index, body)
            self._of(kind).add_body(index, body, whole=self._intervals)
        elif body.counts is None:
            self.without_counts += 1
            self.uncounted += sum(one.value is not None for one in body.figures)
            return
        else:
            layout = _long_layout(index, body, body.counts)
            self._long.setdefault(layout, []).append((index, body))
            self._n_waiting += _LONG
        if self._n_waiting >= AT_ONCE:
            self.compare()

    def add_spelt(self, indexes: Iterable[int], kinds: Iterable[Kind], audits: Spelt) -> None:
        """More audits, by their spelling. Where intervals are recomputed they must be read instead."""
        sizes = audits.sample_size, audits.labelled_size
        rows = zip(*sizes, audits.n, audits.value, audits.signed, strict=True)
        for index, kind, row in zip(indexes, kinds, rows, strict=True):
            self._of(kind).add(index, row)
        if self._n_waiting >= AT_ONCE:
            self.compare()

    def _of(self, kind: Kind) -> ShortAudits:
        """Those of a kind, among which one more is to wait."""
        self._n_waiting += 1
        found = self._short.get(kind)
        if found is None:
            found = self._short[kind] = ShortAudits(kind)
        return found

    def count(self, recomputed: int, of_rows: int, without_counts: int, uncounted: int) -> None:
        """What another check counted of other audits."""
        self.recomputed += recomputed
        self.of_rows += of_rows
        self.without_counts += without_counts
        self.uncounted += uncounted

    def compare(self) -> None:
        """Compare what still waits, and remember the first audit that states what its counts do not give."""
        long, short = self._long, self._short
        self._long, self._short, self._n_waiting = {}, {}, 0
        faults = [] if self._fault is None else [self._fault]
        for layout, some in long.items():
            faults += self._compare_long(layout, some)
        for batch in batches(short.values()):
            faults += self._compare_short(batch)
        self._fault = min(faults, key=lambda fault: fault[0], default=None)

    def judge(self, size: int) -> None:
        """Say what is wrong with the figures of the entries below `size`, of those that were compared.

        Raises
        ------
        Wrong : the first audit that states what its counts do not give
        """
        if self._fault is not None and self._fault[0] < size:
            raise self._fault[1]

    def finish(self) -> None:
        """Compare what still waits.

        Raises
        ------
        Wrong : the first audit that states what its counts do not give
        """
        self.compare()
        if self._fault is not None:
            raise self._fault[1]

    def _compare_long(self, layout: Layout, some: Sequence[tuple[int, AuditBody]]) -> list[Fault]:
        indexes = [index for index, _ in some]
        try:
            made = list(
                figures(layout, cells_of(layout, [body.counts.rows for _, body in some if body.counts]))
            )
        except (ValueError, IndexError, OverflowError) as error:
            return [(indexes[0], Wrong(f"Entry {indexes[0]}: its count table cannot be read: {error}."))]
        # Audits of one layout state the same figures in the same order, nearly always: those are compared as columns.
        alike: dict[tuple[StatedOf, ...], list[int]] = {}
        for place, (_, body) in enumerate(some):
            shape = tuple([(one.attribute, one.metric, one.basis) for one in body.figures])
            alike.setdefault(shape, []).append(place)
        stated = []
        for shape, places in alike.items():
            value, signed = (
                np.array([[getattr(one, name) for one in some[place][1].figures] for place in places], float)
                for name in ("value", "signed")
            )  # None becomes NaN
            stated.append(_Statement(shape, np.array(places), value, signed))
        faults = self._compare(indexes, made, stated)
        if self._intervals and not faults:
            faults = interval_faults(some)
        return faults

    def _compare_short(self, batch: Batch) -> list[Fault]:
        try:
            n = batch.cells()
            numbers = [(some.kind.shape, *some.figures()) for some in batch.audits]
        except Unreadable as wrong:
            if len(batch.audits) == 1:
                return [(wrong.index, wrong)]
            # Each kind by itself: another of them may stand above.
            alone = [Batch(some.kind.layout, batch.scored, [some]) for some in batch.audits]
            return [fault for one in alone for fault in self._compare_short(one)]
        indexes = batch.indexes()
        faults = size_faults(indexes, np.concatenate([some.sizes() for some in batch.audits]), n)
        stated, start = [], 0
        for shape, value, signed in numbers:
            places = np.arange(start, start + len(value))
            stated.append(_Statement(shape, places, value, signed))
            start += len(places)
        faults += self._compare(indexes, list(figures(batch.layout, n)), stated)
        if self._intervals and not faults:
            faults = interval_faults([one for some in batch.audits for one in some.whole])
        return faults

    def _compare(
        self, indexes: Sequence[int], made: Sequence[Figure], stated: Iterable[_Statement]
    ) -> list[Fault]:
        """What audits of one layout state, with what their tables give: the first fault of each statement, and of all."""
        column = {(one.attribute, one.metric): i for i, one in enumerate(made)}
        said = np.full((2, len(made), len(indexes)), np.nan)
        faults = []
        for one in stated:
            first = indexes[int(one.places[0])]
            places: dict[int, int] = {}
            for i, (attribute, metric, basis) in enumerate(one.shape):
                place = column.get((attribute or "", metric))
                if basis != "counts":
                    self.of_rows += int(np.count_nonzero(~np.isnan(one.value[:, i])))
                elif place is None or place in places:
                    wrong = Wrong(f"Entry {first}: its counts give no {metric} of {attribute}.")
                    faults.append((first, wrong))
                else:
                    places[place] = i
            here, there = np.ix_(np.array([*places], dtype=np.int64), one.places), [*places.values()]
            said[0][here], said[1][here] = one.value.T[there], one.signed.T[there]
            self.recomputed += len(places) * len(one.places)
        given = np.array(
            [[one.value for one in made], [one.signed for one in made]], dtype=np.float64
        ).reshape(2, len(made), len(indexes))
        return faults + _differing(indexes, made, said, given)


def _long_layout(index: int, body: AuditBody, counts: Counts) -> Layout:
    if body.settings is None:
        raise Wrong(f"Entry {index} has counts and no settings.")
    groups = sorted({row[0] for row in counts.rows})
    layout = layout_of(index, body.settings, counts.attributes, groups)
    total, labelled = _sizes(index, counts)
    if (total, labelled) != (body.sample_size, body.labelled_size):
        raise misstated(
            index, "its sizes", f"{body.sample_size} and {body.labelled_size}", f"{total} and {labelled}"
        )
    return layout


def _sizes(index: int, counts: Counts) -> tuple[int, int]:
    """How many decisions a table counts, and how many of known truth. A row outside the table would count for another's."""
    if counts.version != COUNTS_VERSION:
        raise Wrong(
            f"Entry {index}: its count table is of version {counts.version}; this verifier reads version {COUNTS_VERSION}."
        )
    total = labelled = 0
    width = len(counts.attributes)
    for group, decision, truth, score, n, _ in counts.rows:
        if n < 0 or not (0 <= decision <= 1 and 0 <= truth <= 2 and 0 <= score <= 10) or len(group) != width:
            raise Wrong(
                f"Entry {index}: its count table has a row that none can have: decision {decision}, truth {truth},"
                f" score bin {score}, {n} decisions, {len(group)} labels for {width} attributes."
            )
        total += n
        labelled += n if truth != 2 else 0
    return total, labelled


def _differing(
    indexes: Sequence[int], made: Sequence[Figure], said: FloatArray, given: FloatArray
) -> list[Fault]:
    """The first audit whose statement is not what its counts give; both of shape (2: value and sign, n_figures, n_audits)."""
    apart, most = said - given, np.abs(given)
    np.abs(apart, out=apart)
    np.maximum(most, 1.0, out=most)
    most *= TOLERANCE
    wrong = ~((apart <= most) | (np.isnan(said) & np.isnan(given)))
    places = np.flatnonzero(wrong.any(axis=(0, 1)))
    if not len(places):
        return []
    place = min(places.tolist(), key=lambda one: indexes[one])
    figure = int(np.flatnonzero(wrong[:, :, place].any(axis=0))[0])
    sign = int(not wrong[0, figure, place])
    what = f"{made[figure].metric} of {made[figure].attribute}" + " (signed)" * sign
    words = (
        None if np.isnan(one) else float(one)
        for one in (said[sign, figure, place], given[sign, figure, place])
    )
    return [(indexes[place], misstated(indexes[place], what, *words))]
