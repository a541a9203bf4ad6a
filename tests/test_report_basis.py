"""Which audits a report rests on, and their sum."""

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from fairlens_backend import audit_runner
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.core.counts import CountTable
from fairlens_backend.report_basis import Basis, digest_of, gather, tile
from fairlens_backend.storage import report_rows
from fairlens_backend.storage.report_rows import AuditRow
from fairlens_backend.storage.session import read_snapshot

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=10)
HOUR = timedelta(hours=1)
SUBJECT = Subject("acme", "loans", "1", {})


def row(start: float, end: float, decisions: int, seq: int) -> AuditRow:
    """An audit of some hours."""
    return AuditRow(
        f"aud_{seq}", f"rec_{seq}", seq, START, "1", decisions, "PASS", False, None, None, "a" * 64, "b" * 64,
        START + start * HOUR, START + end * HOUR,
    )  # fmt: skip


def decisions(windows: tuple[AuditRow, ...]) -> int:
    return sum(one.sample_size for one in windows)


def free_of_overlap(windows: tuple[AuditRow, ...]) -> bool:
    ordered = sorted(windows, key=lambda one: one.window_end)
    return all(b.window_start is not None and a.window_end <= b.window_start for a, b in pairwise(ordered))


@pytest.mark.parametrize("seed", range(25))
def test_no_other_choice_of_windows_holds_more_decisions(seed: int) -> None:
    """Against every subset of eight windows."""
    rng = Random(seed)
    rows = []
    for seq in range(8):
        start = rng.randrange(10)
        rows.append(row(start, start + rng.randrange(1, 5), rng.randrange(1, 50), seq))
    chosen = tuple(tile(rows))
    every = (some for size in range(9) for some in combinations(rows, size))
    best = max(decisions(some) for some in every if free_of_overlap(some))
    assert free_of_overlap(chosen) and decisions(chosen) == best


def test_a_revision_takes_the_place_of_what_it_revises() -> None:
    """Of three audits of one hour the newest of those with the most decisions."""
    rows = [row(0, 1, 90, 1), row(0, 1, 100, 2), row(0, 1, 100, 3)]
    assert [one.seq for one in tile(rows)] == [3]


def test_quiet_hours_are_kept() -> None:
    """An hour without decisions is an audit too: it is in the way of nothing."""
    assert [one.seq for one in tile([row(0, 1, 0, 1), row(1, 2, 5, 2), row(2, 3, 0, 3)])] == [1, 2, 3]


def test_the_digest_is_of_lines_that_others_can_write() -> None:
    """SHA-256 of "id seq hash digest" a line, in the order of seq."""
    lines = f"aud_1 1 {'b' * 64} {'a' * 64}\naud_2 2 {'b' * 64} {'a' * 64}\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert digest_of([row(1, 2, 1, 2), row(0, 1, 1, 1)]) == expected


def loans(women: tuple[int, int], men: tuple[int, int], region: str | None = None) -> CountTable:
    """(selected, all) of each sex."""
    sex = ["F"] * women[1] + ["M"] * men[1]
    chosen = [*(np.arange(women[1]) < women[0]), *(np.arange(men[1]) < men[0])]
    protected: dict[str, Any] = {"sex": sex}
    if region:
        protected["region"] = [region] * len(sex)
    return CountTable.from_arrays(protected, np.array(chosen, dtype=np.int64))


def audit(
    table: CountTable, end: datetime, hours: float | None = 1, sources: list[str] | None = None
) -> dict[str, Any]:
    """An audit of a window, or of a submission without hours."""
    window = None if hours is None else (end - hours * HOUR, end)
    return audit_runner.run(SUBJECT, table, Context(window=window, sources=sources), end)


def basis(tenant: str = "acme", model: str = "loans") -> Basis:
    with read_snapshot():
        return gather(tenant, report_rows.audits_between(tenant, model, START, END), START, END)


def rates(table: CountTable) -> dict[tuple[str, ...], tuple[int, int]]:
    """(selected, all) by group."""
    return {
        group: (int(cells[1].sum()), int(cells.sum()))
        for group, cells in zip(table.groups, table.n, strict=True)
    }


@pytest.mark.usefixtures("database")
class TestSum:
    """The sum over a database."""

    def test_windows_add_up(self) -> None:
        """20 of 100 and 30 of 100 women are 50 of 200."""
        audit(loans((20, 100), (50, 100)), START + HOUR)
        audit(loans((30, 100), (40, 100)), START + 2 * HOUR)
        found = basis()
        assert rates(found.table) == {("F",): (50, 200), ("M",): (90, 200)}
        assert [len(part) for part in (found.used, found.overlapping, found.over_edge)] == [2, 0, 0]

    def test_a_submission_that_a_window_has_summed_is_counted_once(self) -> None:
        """The window names it as a source; another submission, in the same hour and not named, is counted beside."""
        one = audit(loans((20, 100), (50, 100)), START + 0.5 * HOUR, None)
        audit(loans((1, 10), (5, 10)), START + 0.6 * HOUR, None)
        audit(loans((20, 100), (50, 100)), START + HOUR, 1, [one["audit_id"]])
        found = basis()
        assert rates(found.table) == {("F",): (21, 110), ("M",): (55, 110)}
        assert [entry.audit_id for entry in found.overlapping] == [one["audit_id"]]

    def test_overlapping_windows_are_counted_once(self) -> None:
        """An hour that is audited every quarter of an hour: of five audits two share nothing, 100 decisions each."""
        for quarter in range(5):
            audit(loans((10, 50), (25, 50)), START + HOUR + quarter * HOUR / 4)
        found = basis()
        assert found.table.total == 200 and len(found.overlapping) == 3

    def test_windows_over_the_edge_are_left_out(self) -> None:
        """One begins before the range, one ends after it, one ends just with it."""
        audit(loans((10, 50), (25, 50)), START + HOUR / 2)
        audit(loans((10, 50), (25, 50)), END)
        audit(loans((10, 50), (25, 50)), END + HOUR / 2)
        found = basis()
        assert found.table.total == 100 and len(found.over_edge) == 1

    def test_the_moment_of_a_submission_belongs_to_the_day_it_begins(self) -> None:
        """At the first moment it is in the range, at the end of the last day it is not."""
        audit(loans((10, 50), (25, 50)), START, None)
        audit(loans((10, 50), (25, 50)), END, None)
        assert len(basis().used) == 1

    def test_what_counted_other_attributes_is_left_out_or_summed_over(self) -> None:
        """A table of sex and region serves for sex; one of region alone does not."""
        audit(loans((20, 100), (50, 100)), START + HOUR)
        audit(loans((20, 100), (50, 100), "north"), START + 2 * HOUR)
        region = CountTable.from_arrays({"region": ["north"] * 40}, [1] * 40)
        audit(region, START + 3 * HOUR)
        found = basis()
        assert found.table.attributes == ("sex",) and found.table.total == 400
        assert len(found.other_attributes) == 1

    def test_periods_add_up_to_the_whole(self) -> None:
        """By day: three windows in two days; the window that ends at midnight belongs to the day it closes."""
        for hours in (12, 24, 30):
            audit(loans((hours, 100), (50, 100)), START + hours * HOUR)
        found = basis()
        assert found.grain_h == 12
        by_period = {found.period_end(p): rates(t)[("F",)][0] for p, t in found.periods.items()}
        assert by_period == {START + 12 * HOUR: 12, START + 24 * HOUR: 24, START + 36 * HOUR: 30}
        assert CountTable.sum(found.periods.values()) == found.table

    def test_another_tenant_and_another_model_are_not_seen(self) -> None:
        """Neither in the rows nor in the sum."""
        audit(loans((20, 100), (50, 100)), START + HOUR)
        assert basis("other").used == [] and basis("acme", "others").used == []
        assert basis("other").table.total == 0
