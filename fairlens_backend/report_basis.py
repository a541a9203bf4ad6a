"""Which audits the figures of a range rest on, and the sum of their count tables.

The range is not assessed from today's event counts but from the tables that its audits have kept, since those are the ones
with a record: whoever has the records can add the same tables up again.
"""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np

from fairlens_backend.core.columns import CELL_SHAPE
from fairlens_backend.core.counts import CountTable
from fairlens_backend.storage import report_rows
from fairlens_backend.storage.report_rows import AuditRow

GRAINS_H: Final = (1, 2, 3, 4, 6, 8, 12, 24, 48, 168, 336)
MAX_PERIODS: Final = 100
_HOUR: Final = timedelta(hours=1)

Cell = tuple[Any, ...]
"""A group, the decision, the truth, the score bin."""


class _Counts(msgspec.Struct):
    """The part of a stored count table that is summed."""

    attributes: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], int, int, int, int, str]]
    audits: list[str] = []
    events: int | None = None
    """how many of a window's decisions came singly; an older audit does not say"""
    reference_groups: dict[str, str] = {}


@dataclass
class Basis:
    """The audits that the range's figures rest on.

    Parameters
    ----------
    used : those whose tables are summed, by their end
    over_edge, overlapping, other_attributes : those that are not, and why
    table : the sum; periods : the sum of each period, by its number
    repeated : submissions used whose counts are those of another one that is used
    events : single decisions in the windows used, without submissions where their audits tell the two apart
    grain_h : hours of a period; period p ends at since + (p + 1) · grain_h
    reference_groups : as the audits declared them, the newest one's word for each attribute
    """

    since: datetime
    grain_h: int
    used: list[AuditRow]
    over_edge: list[AuditRow]
    overlapping: list[AuditRow]
    other_attributes: list[AuditRow]
    table: CountTable
    periods: dict[int, CountTable]
    reference_groups: dict[str, str] = field(default_factory=dict)
    events: int = 0
    repeated: int = 0

    def period_end(self, period: int) -> datetime:
        """When a period ends."""
        return self.since + (period + 1) * self.grain_h * _HOUR

    def digest(self) -> str:
        """SHA-256 over one line an audit, in the order of their records: audit_id, seq, hash_value, audit_sha256."""
        return digest_of(self.used)


def digest_of(rows: Iterable[AuditRow]) -> str:
    """SHA-256, in hexadecimal, of `basis_line` of each row in the order of seq, each line ended by a newline."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda one: one.seq):
        digest.update(basis_line(row).encode() + b"\n")
    return digest.hexdigest()


def basis_line(row: AuditRow) -> str:
    """What stands for an audit in the list that the digest is made of."""
    return f"{row.audit_id} {row.seq} {row.hash_value} {row.audit_sha256}"


def tile(rows: Sequence[AuditRow]) -> list[AuditRow]:
    """Of audits of windows those that share no time and together hold the most decisions, by their end.

    Of several audits of one window the newest one with the most decisions is taken: late labels and late rows make
    revisions, and a revision takes the place of what it revises.

    Source: weighted interval scheduling; Kleinberg & Tardos, Algorithm design, section 6.1.
    """
    newest: dict[tuple[datetime, datetime], AuditRow] = {}
    for row in rows:
        if row.window_start is None:
            continue
        key = (row.window_start, row.window_end)
        known = newest.get(key)
        if known is None or (row.sample_size, row.seq) > (known.sample_size, known.seq):
            newest[key] = row
    ordered = sorted(newest.values(), key=lambda one: (one.window_end, one.window_start))
    ends = [row.window_end for row in ordered]
    best: list[tuple[int, int]] = [
        (0, 0)
    ]  # decisions and windows; of equal decisions more windows, so quiet ones count
    before: list[int] = []
    for place, row in enumerate(ordered):
        before.append(bisect_right(ends, row.window_start or row.window_end, 0, place))
        decisions, windows = best[before[place]]
        best.append(max(best[place], (decisions + row.sample_size, windows + 1)))
    chosen: list[AuditRow] = []
    place = len(ordered)
    while place:
        if best[place] == best[place - 1]:
            place -= 1
        else:
            chosen.append(ordered[place - 1])
            place = before[place - 1]
    return chosen[::-1]


def gather(tenant: str, rows: Sequence[AuditRow], since: datetime, until: datetime) -> Basis:
    """Choose the audits of a range that share no decisions, and sum their count tables, in all and by period.

    Tables are read a few hundred at a time and kept only as their sum.
    """
    over_edge = [row for row in rows if row.window_start is not None and row.window_start < since]
    edge = {row.audit_id for row in over_edge}
    windows = tile([row for row in rows if row.audit_id not in edge])
    single = [row for row in rows if row.window_start is None]
    grain_h = _grain([*windows, *single], until - since)
    total = _Sum(since, grain_h)
    total.add(tenant, windows)
    single = [row for row in single if row.audit_id not in total.sources]
    total.add(tenant, single)
    used = sorted((*windows, *single), key=lambda row: (row.window_end, row.seq))
    attributes = _attributes([(row, total.attributes[row.audit_id]) for row in used])
    fits = [row for row in used if set(attributes) <= set(total.attributes[row.audit_id])]
    periods = total.periods(attributes)
    taken, chosen = {row.audit_id for row in fits}, {row.audit_id for row in used}
    submitted = [total.alike[row.audit_id] for row in fits if row.window_start is None]
    return Basis(
        since=since,
        grain_h=grain_h,
        used=fits,
        over_edge=over_edge,
        overlapping=[row for row in rows if row.audit_id not in chosen and row.audit_id not in edge],
        other_attributes=[row for row in used if row.audit_id not in taken],
        table=CountTable.sum([CountTable.empty(attributes), *periods.values()]),
        periods=periods,
        repeated=len(submitted) - len(set(submitted)),
        events=sum(total.events.get(row.audit_id, 0) for row in fits if row.window_start is not None),
        reference_groups={
            name: group
            for row in sorted(fits, key=lambda one: one.seq)
            for name, group in total.references.get(row.audit_id, {}).items()
            if name in attributes
        },
    )


class _Sum:
    """Count tables on their way to their sum, in plain dictionaries: an object a table would cost more than the sum."""

    def __init__(self, since: datetime, grain_h: int) -> None:
        self.since = since
        self.grain = grain_h * _HOUR
        self.attributes: dict[str, tuple[str, ...]] = {}
        self.references: dict[str, dict[str, str]] = {}
        self.sources: set[str] = set()
        self.events: dict[str, int] = {}
        self.alike: dict[str, str] = {}
        self._counted: dict[tuple[str, ...], dict[int, dict[Cell, list[int]]]] = {}

    def add(self, tenant: str, rows: Sequence[AuditRow]) -> None:
        """Read the tables of these audits and add them to the periods in which they end."""
        decoder = msgspec.json.Decoder(_Counts)
        by_id = {row.audit_id: row for row in rows}
        for audit_id, text in report_rows.counts_of(tenant, list(by_id)):
            counts = decoder.decode(text)
            self.attributes[audit_id] = counts.attributes
            self.sources.update(counts.audits)
            if by_id[audit_id].window_start is None:
                told = repr((counts.attributes, sorted(counts.rows)))
                self.alike[audit_id] = hashlib.sha256(told.encode()).hexdigest()
            self.events[audit_id] = by_id[audit_id].sample_size if counts.events is None else counts.events
            if counts.reference_groups:
                self.references[audit_id] = counts.reference_groups
            period = self._period(by_id[audit_id])
            cells = self._counted.setdefault(counts.attributes, {}).setdefault(period, {})
            for *place, n, units in counts.rows:
                cell = tuple(place)
                sums = cells.get(cell)
                if sums is None:
                    cells[cell] = [n, int(units)]
                else:
                    sums[0] += n
                    sums[1] += int(units)

    def periods(self, attributes: tuple[str, ...]) -> dict[int, CountTable]:
        """The table of each period by number, of the audits that counted these attributes together."""
        parts: dict[int, list[CountTable]] = defaultdict(list)
        for there, by_period in self._counted.items():
            if set(attributes) <= set(there):
                for period, cells in by_period.items():
                    parts[period].append(_table(cells, there).marginal(attributes))
        return {period: CountTable.sum(parts[period]) for period in sorted(parts)}

    def _period(self, row: AuditRow) -> int:
        """A window's end belongs to the period that it closes; a submission's time to the one that it is in."""
        after = row.window_end - self.since
        return max(0, -(-after // self.grain) - 1) if row.window_start is not None else after // self.grain


def _attributes(used: Sequence[tuple[AuditRow, tuple[str, ...]]]) -> tuple[str, ...]:
    """The attributes, counted together, that the most decisions were counted by; of equals the more, then the newer."""
    sizes: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for wanted in {attributes for _, attributes in used}:
        having = [row for row, there in used if set(wanted) <= set(there)]
        sizes[wanted] = (
            sum(row.sample_size for row in having),
            len(wanted),
            max(row.seq for row in having),
        )
    return max(sizes, key=lambda one: (sizes[one], one)) if sizes else ()


def _grain(rows: Sequence[AuditRow], length: timedelta) -> int:
    """Hours of a period: at most 100 periods, and none shorter than the usual step from one audit to the next."""
    ends = sorted({row.window_end for row in rows})
    steps = sorted(after - before for before, after in pairwise(ends))
    least = max(length / MAX_PERIODS, steps[len(steps) // 2] if steps else _HOUR)
    return next((hours for hours in GRAINS_H if hours * _HOUR >= least), GRAINS_H[-1])


def _table(cells: Mapping[Cell, Sequence[int]], attributes: tuple[str, ...]) -> CountTable:
    groups: dict[Any, int] = {}
    for group, *_ in cells:
        groups.setdefault(group, len(groups))
    n = np.zeros((len(groups), *CELL_SHAPE), dtype=np.int64)
    units = np.zeros_like(n)
    for (group, decision, truth, score), sums in cells.items():
        at = groups[group], decision, truth, score
        n[at], units[at] = sums
    return CountTable(attributes, tuple(groups), n, units)
