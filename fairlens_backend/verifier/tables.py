"""The count tables of audits of version 2, many of them as one array, so that their figures are computed together.

Audits whose tables have the same groups are computed by themselves. Where groups come and go, as rare ones do, few audits have just
the same: these share the union of their groups. A group without decisions takes part in nothing and is nobody's reference.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import SCORE_UNKNOWN
from fairlens_backend.core.figure_batches import Layout
from fairlens_backend.verifier.numbers import ShortAudits

IntArray = npt.NDArray[np.int64]
ENOUGH: Final = 200
"""audits of the same groups are computed by themselves: what is done once a layout costs as much as some hundred of them"""
CELLS_AT_ONCE: Final = 4_000_000
"""of a union: 32 MB"""
_TABLE: Final = (2, 3)
"""decisions and truths"""


@dataclass(frozen=True)
class Batch:
    """Audits that are computed together.

    Parameters
    ----------
    layout : theirs, or one with the groups of all of them
    scored : whether any decision may have a score
    audits : those of one kind after the other
    """

    layout: Layout
    scored: bool
    audits: Sequence[ShortAudits]

    def indexes(self) -> list[int]:
        """The entries of the audits."""
        return [index for some in self.audits for index in some.indexes]

    def cells(self) -> IntArray:
        """Their tables, shape (n_audits, n_groups, 2, 3, 11), or 1 for 11 where nothing is scored.

        Raises
        ------
        Unreadable : of one of them the numbers are not those of a table
        """
        place = {group: i for i, group in enumerate(self.layout.groups)}
        n = np.zeros((len(self.indexes()), len(place), *_TABLE, _bins(self.scored)), dtype=np.int64)
        start = 0
        for some in self.audits:
            kind, count = some.kind, len(some.indexes)
            bins = list(kind.bins) if self.scored else [0]
            there = n[start : start + count]
            start += count
            numbers = some.n().reshape(count, len(kind.layout.groups), *_TABLE, len(bins))
            if kind.layout.groups == self.layout.groups:
                there[..., bins] = numbers
            else:
                here = [place[group] for group in kind.layout.groups]
                there[np.ix_(range(count), here, *map(range, _TABLE), bins)] = numbers
        return n


def batches(waiting: Iterable[ShortAudits]) -> Iterator[Batch]:
    """All of them, each once, with those together that can be."""
    alike: dict[tuple[Layout, bool], list[ShortAudits]] = {}
    for some in waiting:
        alike.setdefault((some.kind.layout, some.kind.bins != (SCORE_UNKNOWN,)), []).append(some)
    few: dict[tuple[Layout, bool], list[list[ShortAudits]]] = {}
    for (layout, scored), audits in alike.items():
        # Where groups of no decisions would take part, as no audit of ours has it, they may not be put in.
        if layout.least < 1 or sum(len(some.indexes) for some in audits) >= ENOUGH:
            yield Batch(layout, scored, audits)
        else:
            few.setdefault((replace(layout, groups=()), scored), []).append(audits)
    for (frame, scored), of_layouts in few.items():
        yield from _unions(frame, scored, of_layouts)


def _unions(frame: Layout, scored: bool, of_layouts: Iterable[list[ShortAudits]]) -> Iterator[Batch]:
    groups: set[tuple[str, ...]] = set()
    count, together = 0, list[ShortAudits]()
    for audits in of_layouts:
        wider = groups.union(audits[0].kind.layout.groups)
        more = count + sum(len(some.indexes) for some in audits)
        if together and len(wider) * more * 6 * _bins(scored) > CELLS_AT_ONCE:
            yield Batch(replace(frame, groups=tuple(sorted(groups))), scored, together)
            wider, more, together = set(audits[0].kind.layout.groups), more - count, []
        groups, count = wider, more
        together += audits
    if together:
        yield Batch(replace(frame, groups=tuple(sorted(groups))), scored, together)


def _bins(scored: bool) -> int:
    return SCORE_UNKNOWN + 1 if scored else 1
