"""Windows whose counts changed after their audit, by labels or late events: a new revision, bounded."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from fairlens_backend import (
    audit_reader,
    config,
)
from fairlens_backend.storage.schedule_tables import Schedule
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import AuditFigure
from tests.clock_kit import at, audits_there, decide, ended, quick, schedule, tick, windows
from tests.ingest_kit import label, register


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `hiring`, registered, and audits without resampling."""
    quick(monkeypatch.setattr)
    register(reference_groups={"sex": "M"})


def test_labels_make_a_new_revision_that_stands_in_the_place_of_the_old() -> None:
    """Labels an hour later: the audit of the window names the one before, the series has its figures once, the newest."""
    schedule()
    ids = decide(3, women=10, men=20)
    assert tick(16) == {"audited": 1}
    assert tick(32) == {"audited": 1, "compared": 1}  # looked at once more, and the same
    label([(one, "good") for one in ids], now=at(60))
    done = tick(61)
    assert done["revised"] == 1
    first, second = windows(state="audited")[0], windows(state="audited")[-1]
    assert (first["revision"], first["newest"], second["revision"], second["newest"]) == (1, False, 2, True)
    audit = audit_reader.read_audit("acme", second["audit_id"])
    assert (audit["revision"], audit["revises"]) == (2, first["audit_id"])
    assert (first["labelled_size"], second["labelled_size"]) == (0, 80)
    assert any("Revision 2 of this window" in one for one in audit["remarks"])
    with read_snapshot() as rows:
        apart = rows.execute(
            select(AuditFigure.audit_id, AuditFigure.apart).where(
                AuditFigure.attribute == "sex",
                AuditFigure.metric == "demographic_parity_difference",
                AuditFigure.audit_id.in_([first["audit_id"], second["audit_id"]]),
            )
        ).all()
    assert dict(tuple(row) for row in apart) == {first["audit_id"]: False, second["audit_id"]: True}


def test_a_past_window_stays_of_the_versions_it_was_of() -> None:
    """80 decisions by two versions were audited together; the schedule then asks for v2: the revision has all 80 still."""
    register(version="v2", reference_groups={"sex": "M"})
    schedule()
    ids = decide(3, 20, women=5, men=10)
    decide(4, 20, women=5, men=10, model_version="v2")
    assert tick(16) == {"audited": 1}
    schedule(minutes=17, version="v2")
    tick(33)
    label([(one, "good") for one in ids], now=at(60))
    assert tick(61)["revised"] == 1
    again = windows(state="audited")[-1]
    assert (again["window_end"][11:16], again["version"], again["revision"]) == ("00:15", None, 2)
    assert (again["sample_size"], again["labelled_size"]) == (80, 40)


def test_a_change_below_the_setting_is_let_be_and_adds_up() -> None:
    """With 5 % of 80 decisions: three labels change nothing, a fourth makes a revision with all four."""
    schedule(reaudit={"share": 0.05})
    ids = decide(3, women=10, men=20)
    tick(16)
    label([(one, "good") for one in ids[:3]], now=at(40))
    assert "revised" not in tick(41)
    label([(ids[3], "bad")], now=at(60))
    assert tick(61)["revised"] == 1
    assert windows(state="audited")[-1]["labelled_size"] == 4


def test_late_events_change_a_window_that_had_none() -> None:
    """A spool that comes late fills windows that were empty: they are audited after all, oldest first."""
    schedule()
    decide(3, women=10, men=20)
    for minute in (16, 31, 46, 61):
        tick(minute)
    decide(35, women=10, men=20)
    tick(63)
    decide(50, women=5, men=20)
    tick(80)
    again = [one for one in windows() if one["revision"] == 2]
    assert ended(again) == [("00:45", 2, "audited"), ("01:00", 2, "audited")]
    assert [one["sample_size"] for one in again] == [80, 80]


def test_a_window_is_not_audited_anew_for_ever() -> None:
    """Labels without end for eight hours: revisions come after 15, 30, 60, 120 and 240 minutes at the earliest."""
    schedule(minutes=-1, cron="0 0 * * *", window_minutes=60 * 24)
    ids = decide(-30, n=300, women=100, men=200)
    tick(1)
    for minute in range(2, 482, 5):
        label([(one, "good") for one in ids[minute : minute + 5]], now=at(minute))
        tick(minute + 0.5)
    revisions = [one for one in windows() if one["state"] == "audited"]
    assert [one["revision"] for one in revisions] == [1, 2, 3, 4, 5, 6]
    assert audits_there() == 6


def test_what_lies_too_far_back_is_let_be() -> None:
    """Labels behind the look-back: no revision, and the window is settled."""
    schedule(reaudit={"days": 1})
    ids = decide(3, women=10, men=20)
    tick(16)
    with unit_of_work() as rows:
        rows.execute(update(Schedule).values(planned_until=at(3_000), next_due_at=at(9_000)))
    label([(one, "good") for one in ids], now=at(3_000))
    tick(3_001)
    assert [one["compared_next_at"] for one in windows(state="audited")] == [None]


def test_events_of_last_month_and_of_tomorrow(make_settings: Callable[..., config.Settings]) -> None:
    """Those of last month are in no window of today; those of tomorrow, a day ahead, wait for theirs."""
    make_settings(INGEST_MAX_AHEAD_S="200000")
    schedule()
    decide(-43_200, women=10, men=20)
    decide(1_445, women=10, men=20)
    decide(3, women=10, men=20)
    assert tick(16) == {"audited": 1}
    assert windows()[0]["sample_size"] == 80
    for minute in range(31, 1_457, 15):
        tick(minute)
    tomorrow = [one for one in windows(state="audited") if one["window_end"][8:13] == "03T00"]
    assert [(one["window_end"][11:16], one["sample_size"]) for one in tomorrow] == [("00:15", 80)]
