"""Several workers and failures: one audit a window, by the common time, and nothing half done."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import (
    audit_runner,
    config,
    window_planner,
    window_runner,
)
from fairlens_backend.errors import Conflict, Unavailable
from fairlens_backend.storage import audit_windows, schedules, session
from fairlens_backend.storage.audit_windows import Span
from fairlens_backend.storage.session import unit_of_work
from tests.clock_kit import at, audits_there, decide, quick, schedule, tick, windows
from tests.ingest_kit import register


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `hiring`, registered, and audits without resampling."""
    quick(monkeypatch.setattr)
    register(reference_groups={"sex": "M"})


def test_a_clock_that_is_an_hour_ahead_on_one_host_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers go by the common time: on PostgreSQL the database's, whatever the host's own clock says."""
    asked = []
    monkeypatch.setattr(schedules, "common_time", lambda: asked.append(1) or at(16))
    monkeypatch.setattr(window_planner.telemetry, "utc_now", lambda: at(76))
    schedule()
    decide(3, women=10, men=20)
    assert window_planner.run_due()["audited"] == 1 and asked
    assert [one["window_end"][11:16] for one in windows()] == ["00:15"]


def test_postgresql_gives_the_common_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's clock is not asked; SQLite's users share a machine, and there it is."""
    real = schedules.common_time()
    monkeypatch.setattr(schedules.telemetry, "utc_now", lambda: at(0))
    assert (schedules.common_time() == at(0)) is not session.is_postgresql()
    assert abs(schedules.common_time() - real) < timedelta(minutes=1) or not session.is_postgresql()


def test_one_worker_at_a_time() -> None:
    """A lease that another holds is respected until it runs out; its holder's number is then worth nothing."""
    schedule()
    decide(3, women=10, men=20)
    with unit_of_work():
        other = schedules.take(1, "another", at(16), 60)
    assert other is not None and tick(16.5) == {} and windows() == []
    assert tick(17.1) == {"audited": 1}
    with pytest.raises(schedules.LeaseLost), unit_of_work():
        schedules.hold(other)


def test_a_worker_that_was_taken_for_dead_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it counts, another takes the model: nothing of its audit is kept, and the window is audited by the other."""
    schedule()
    decide(3, women=10, men=20)
    real = window_runner.window_counts_reader.read_window

    def slow(*args: Any, **more: Any) -> Any:
        with unit_of_work():
            assert schedules.take(1, "another", at(1_000), 60) is not None
        return real(*args, **more)

    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", slow)
    assert tick(16) == {}
    assert (windows(), audits_there()) == ([], 0)
    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", real)
    assert tick(1_002)["audited"] >= 1


def test_a_long_audit_keeps_its_lease(
    make_settings: Callable[..., config.Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the lease: it is renewed meanwhile, and nobody else gets it."""
    import threading

    make_settings(AUDIT_LEASE_S="1")
    schedule()
    decide(3, women=10, men=20)
    real, renewed = window_runner.window_counts_reader.read_window, threading.Event()
    kept = window_runner.schedules.renew

    def renew(*args: Any) -> None:
        kept(*args)
        renewed.set()

    def slow(*args: Any, **more: Any) -> Any:
        assert renewed.wait(20)
        return real(*args, **more)

    monkeypatch.setattr(window_runner.schedules, "renew", renew)
    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", slow)
    assert tick(16) == {"audited": 1}


def test_a_window_cannot_be_there_twice() -> None:
    """The unique key is the last word, whatever the code before it believes."""
    span = Span(None, at(0), at(15), at(0))
    facts = {"revision": 1, "state": "empty", "reason": None, "audit_id": None, "holder": "h"}
    facts |= {"done_at": at(16), "check_at": None, "check_from": at(16), "looked": None}
    with unit_of_work():
        audit_windows.add("acme", "hiring", span, **facts)
    with pytest.raises(Conflict), unit_of_work():
        audit_windows.add("acme", "hiring", span, **facts)


@pytest.mark.parametrize("where", ["audits.insert", "compliance_logger.log_event", "audit_history.keep"])
def test_a_failure_anywhere_leaves_nothing_and_the_next_tick_does_it(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away in the middle of an audit's unit of work: no audit, no window, no sequence; then all of it."""
    schedule()
    decide(3, women=10, men=20)
    room, name = where.split(".")

    def fails(*_: Any, **__: Any) -> None:
        raise Unavailable("The database does not answer; nothing was stored.")

    with monkeypatch.context() as patch:
        patch.setattr(getattr(audit_runner, room), name, fails)
        with pytest.raises(Unavailable):
            tick(16)
    assert (windows(), audits_there()) == ([], 0)
    # The lease is this process's own: it need not wait for it.
    assert tick(16.1) == {"audited": 1}
    assert (len(windows()), audits_there()) == (1, 1)


def test_a_record_that_cannot_be_kept_is_not_a_window_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another conflict than that of the window: it failed, and says why; it is not taken for one that is done."""

    def refuse(*_: Any, **__: Any) -> None:
        raise Conflict("There is a record of that name already.")

    monkeypatch.setattr(audit_runner.compliance_logger, "log_event", refuse)
    schedule()
    decide(3, women=10, men=20)
    assert tick(16) == {"failed": 1}
    (one,) = windows()
    assert (one["state"], one["reason"]) == ("failed", "There is a record of that name already.")


def test_a_bug_is_tried_again_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five tries, further and further apart, then the window is recorded as failed and those after it go on."""
    schedule()
    decide(3, women=10, men=20)
    decide(20, women=10, men=20)

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(audit_runner, "assess", broken)
        assert [tick(16 + minute) for minute in (0, 0.1, 0.3, 1, 2.5)] == [{}] * 5
        assert windows() == []
        assert tick(22) == {"failed": 1}
    assert tick(31) == {"audited": 1}
    assert "failed 5 times" in windows()[0]["reason"]
