"""What has served its time goes, and nothing else: messages 30 days after delivery, alerts and windows after 400."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from fairlens_backend import event_retention
from fairlens_backend.storage import alerts, audit_windows, outbox
from fairlens_backend.storage.alert_tables import Alert, AlertEvent
from fairlens_backend.storage.audit_windows import Span
from fairlens_backend.storage.schedule_tables import AuditWindow
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import OutboxMessage

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def looked(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_retention, "_looked", {})


def message(name: str, delivered: int | None, order: str | None = None, dead: int | None = None) -> None:
    """A message that was delivered, or set aside, so many days ago."""
    with unit_of_work() as here:
        outbox.add("acme", "slack", {}, name, NOW - 100 * DAY, order)
        done = {
            "delivered_at": None if delivered is None else NOW - delivered * DAY,
            "dead_at": None if dead is None else NOW - dead * DAY,
        }
        here.execute(update(OutboxMessage).where(OutboxMessage.message_id == name).values(**done))


def messages() -> set[str]:
    with read_snapshot() as here:
        return set(here.scalars(select(OutboxMessage.message_id)))


def alert(metric: str, state: str, resolved: int | None) -> None:
    with unit_of_work():
        made = alerts.add(
            NOW - 900 * DAY,
            tenant="acme", model="hiring", model_version="1", attribute="sex", metric=metric, state=state,
            severity="HIGH", peak="HIGH", opened_at=NOW - 900 * DAY, silenced_until=None, remind_at=None,
            resolved_at=None if resolved is None else NOW - resolved * DAY, times_opened=1, breaches=1,
            audit_id="aud", record_id="rec", figures={}, announced_at=None,
        )  # fmt: skip
        alerts.note(made, "opened", NOW - 900 * DAY)


def window(days_ago: int, model: str = "hiring") -> None:
    end = NOW - days_ago * DAY
    with unit_of_work():
        facts: dict[str, Any] = {
            "revision": 1,
            "state": "audited",
            "reason": None,
            "holder": "h",
            "done_at": end,
        }
        audit_windows.add("acme", model, Span(None, end - DAY, end, end - DAY), check_from=end, **facts)


def test_messages_go_30_days_after_their_delivery(database: None) -> None:
    """What waits or was set aside stays, and so does what tells that a message that was set aside is overtaken."""
    message("old", 31), message("new", 29), message("waits", None), message("dead", None, dead=90)
    message("first", None, "order", dead=90), message("second", 80, "order")
    message("third", 80, "other order")
    assert event_retention.purge(NOW)["messages"] == 2
    assert messages() == {"new", "waits", "dead", "first", "second"}


def test_alerts_go_400_days_after_they_were_resolved(database: None) -> None:
    """With their history; one that is open stays however old it is."""
    alert("one", "resolved", 401), alert("two", "resolved", 399), alert("three", "open", None)
    assert event_retention.purge(NOW)["alerts"] == 1
    with read_snapshot() as here:
        assert set(here.scalars(select(Alert.metric))) == {"two", "three"}
        assert here.scalar(select(func.count()).select_from(AlertEvent)) == 2


def test_windows_go_after_400_days_but_for_a_models_last(database: None) -> None:
    """Of a model that is not audited any more the last window tells when that was."""
    window(402), window(401), window(399), window(500, "credit"), window(450, "credit")
    assert event_retention.purge(NOW)["windows"] == 3
    with read_snapshot() as here:
        left = here.execute(select(AuditWindow.model, AuditWindow.window_end)).all()
    assert sorted(((NOW - end).days, model) for model, end in left) == [(399, "hiring"), (450, "credit")]


def test_a_window_that_may_be_audited_anew_is_kept(database: None, make_settings: Any) -> None:
    """REAUDIT_DAYS counts where it is longer, and each setting is its own."""
    make_settings(REAUDIT_DAYS="500", AUDIT_WINDOW_DAYS="10", OUTBOX_DAYS="5")
    window(450), window(1), message("old", 6), message("new", 4)
    done = event_retention.purge(NOW)
    assert (done["windows"], done["messages"]) == (0, 1)
    assert messages() == {"new"}


def test_many_go_in_pieces_and_are_looked_for_once_an_hour(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is a transaction of its own, so that nobody waits for long."""
    monkeypatch.setattr(event_retention, "DELETED_AT_ONCE", 2)
    for number in range(5):
        message(f"m{number}", 31)
    assert event_retention.purge(NOW)["messages"] == 5
    message("later", 31)
    assert event_retention.purge(NOW + timedelta(minutes=59))["messages"] == 0
    assert event_retention.purge(NOW + timedelta(minutes=60))["messages"] == 1
