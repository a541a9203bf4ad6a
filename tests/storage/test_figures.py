"""Figures as series: which checks are apart, how far a series is read back, by which index."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from fairlens_backend.storage import audits, figures
from fairlens_backend.storage.figures import Window
from fairlens_backend.storage.session import current_session, engine, read_snapshot, unit_of_work

pytestmark = pytest.mark.usefixtures("database")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GAP = "demographic_parity_difference"
ALL = datetime(2030, 1, 1, tzinfo=UTC)


def add(
    number: int,
    window: Window,
    value: float | None = 0.5,
    *,
    attribute: str = "sex",
    tenant: str = "acme",
    metrics: tuple[str, ...] = (GAP, "theil_index"),
) -> None:
    """One audit with the same value of both metrics."""
    row = {
        "value": value, "lower": None, "upper": None, "standard_error": 0.1, "n": 100, "threshold": 0.1,
        "status": "ok" if value is not None else "undefined", "severity": "PASS",
    }  # fmt: skip
    with unit_of_work():
        audits.insert(f"aud_{tenant}_{number}", tenant, {}, {}, window.end)
        rows = [{"metric": metric, **row} for metric in metrics]
        figures.add(tenant, "hiring", "v1", f"aud_{tenant}_{number}", window, {attribute: rows})


def values(
    until: datetime = ALL, *, metric: str = GAP, first: int = 20, newest: int = 5_000, tenant: str = "acme"
) -> list[float]:
    with read_snapshot():
        return figures.values(tenant, "hiring", "sex", metric, until, first=first, newest=newest)


def test_an_hour_audited_every_quarter_of_an_hour_counts_once_an_hour() -> None:
    """Of windows that end at 12:00, 12:15, … those apart end at 12:00, 13:00 and 14:00; of both metrics."""
    for number in range(10):
        end = NOON + number * HOUR / 4
        add(number, Window(end - HOUR, end), float(number))
    assert values() == values(metric="theil_index") == [0.0, 4.0, 8.0]


def test_a_window_without_a_value_takes_its_place_too() -> None:
    """12:30 is not apart from 12:00, though the latter has no value: at 13:00 the next one is."""
    for number, value in enumerate([None, 1.0, 2.0]):
        end = NOON + number * HOUR / 2
        add(number, Window(end - HOUR, end), value)
    assert values() == [2.0]


def test_submissions_are_apart_and_a_window_over_them_is_not() -> None:
    """Two submissions, then a window that sums them, then a window after them."""
    add(1, Window(None, NOON), 1.0)
    add(2, Window(None, NOON), 2.0)
    add(3, Window(NOON - HOUR, NOON + HOUR), 3.0)
    add(4, Window(NOON, NOON + HOUR), 4.0)
    assert values() == [1.0, 2.0, 4.0]


def test_a_window_that_was_filled_late_is_apart() -> None:
    """Found empty in its turn and filled by late decisions: it stands between its neighbours, and one across them does not."""
    for number in (0, 2):
        add(number, Window(NOON + number * HOUR, NOON + (number + 1) * HOUR), float(number))
    add(3, Window(None, NOON + 3 * HOUR), 3.0)
    add(4, Window(NOON + 0.5 * HOUR, NOON + 1.5 * HOUR), 7.0)
    add(5, Window(NOON + 1.5 * HOUR, NOON + 2.5 * HOUR), 8.0)
    assert values() == [0.0, 2.0, 3.0]
    add(1, Window(NOON + HOUR, NOON + 2 * HOUR), 1.0)
    assert values() == [0.0, 1.0, 2.0, 3.0]


def test_a_revision_takes_the_place_of_what_it_revises() -> None:
    """The same window audited again: its newer value stands where the old one stood, also after later windows."""
    for number in range(3):
        add(number, Window(NOON + number * HOUR, NOON + (number + 1) * HOUR), float(number))
    add(3, Window(NOON, NOON + HOUR), 9.0)
    add(4, Window(NOON + HOUR / 2, NOON + 1.5 * HOUR), 7.0)
    assert values() == [9.0, 1.0, 2.0]


def test_a_revision_by_another_attribute_revises_nothing_else() -> None:
    """Each attribute has its own series."""
    add(1, Window(NOON, NOON + HOUR), 1.0)
    add(2, Window(NOON, NOON + HOUR), 2.0, attribute="race")
    assert values() == [1.0]


def test_up_to_a_time_and_of_one_tenant() -> None:
    """The time itself is included; another tenant's checks are not there."""
    for number in range(4):
        add(number, Window(None, NOON + number * HOUR), float(number))
    add(1, Window(None, NOON), 5.0, tenant="other")
    assert values(NOON + HOUR) == [0.0, 1.0]
    assert values(tenant="other") == [5.0]
    assert values(tenant="nobody") == []


@pytest.mark.parametrize(
    ("first", "newest", "expected"),
    [
        (3, 5, [0, 1, 2, 7, 8, 9, 10, 11]),
        (3, 10, [0, 1, *range(2, 12)]),
        (3, 12, [*range(12)]),
        (20, 5, [*range(12)]),
        (0, 2, [10, 11]),
    ],
)
def test_both_ends_of_a_series(first: int, newest: int, expected: list[int]) -> None:
    """The first and the newest, each once, whether or not they meet."""
    for number in range(12):
        add(number, Window(None, NOON + number * HOUR), float(number))
    assert values(first=first, newest=newest) == expected


def test_gaps_are_read_in_the_window_alone() -> None:
    """Values from before the window too, checks without one only from within it; oldest first."""
    for number, value in enumerate([1.0, None, 2.0, None, 3.0]):
        add(number, Window(None, NOON + number * HOUR), value)
    with read_snapshot():
        read = figures.read("acme", "hiring", "sex", GAP, NOON + 1 * HOUR, NOON + 3 * HOUR, first=20)
    assert [(one.at - NOON) / HOUR for one in read] == [0, 2, 3]
    assert [(one.value, one.status) for one in read] == [(1.0, "ok"), (2.0, "ok"), (None, "undefined")]


def test_the_attributes_of_a_model() -> None:
    """Each once, in order; none of a model that was never audited."""
    for number, attribute in enumerate(["sex", "race", "sex", "age"]):
        add(number, Window(None, NOON + number * HOUR), attribute=attribute)
    with read_snapshot():
        assert figures.attributes("acme", "hiring") == ["age", "race", "sex"]
        assert figures.attributes("acme", "other") == []


def test_what_an_audit_asks_is_answered_from_the_index() -> None:
    """No question reads a whole table or sorts: the rows touched do not grow with the history."""
    add(0, Window(NOON - HOUR, NOON))
    asked: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, given: Any, *_more: Any) -> None:
        if "audit_figures" in statement and not statement.startswith("INSERT"):
            asked.append((statement, given))

    event.listen(engine(), "before_cursor_execute", listen)
    add(1, Window(NOON, NOON + HOUR))
    assert values(first=1, newest=1) == [0.5, 0.5]
    event.remove(engine(), "before_cursor_execute", listen)
    assert len(asked) == 5  # an update of what is revised, two for the last window, two ends of the series
    with read_snapshot():
        lite = engine().dialect.name == "sqlite"
        if not lite:
            current_session().execute(text("SET LOCAL enable_seqscan = off"))
        for statement, given in asked:
            explain = "EXPLAIN QUERY PLAN " if lite else "EXPLAIN "
            rows = current_session().connection().exec_driver_sql(explain + statement, given).all()
            plan = " ".join(str(row) for row in rows)
            assert "ix_audit_figures_series" in plan, plan
            assert not any(word in plan for word in ("SCAN audit", "TEMP B-TREE", "Seq Scan", "Sort")), plan
