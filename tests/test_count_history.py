"""Periods beside each other: each has the counts that its own window has, and reading them costs what was counted in them."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sql_event

from fairlens_backend import audit_runner, count_history, count_keeper, drift_reader, window_counts_reader
from fairlens_backend.audit_runner import Subject
from fairlens_backend.core.assessment import assess, measure
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.schemas.drift import DriftQuery
from fairlens_backend.storage.session import engine, read_snapshot
from tests.ingest_kit import DECLARED, label, register, send
from tests.ingest_kit import event as an_event

START = datetime(2026, 2, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = START + 80 * HOUR
SUBJECT = Subject("acme", "hiring", "v1", DECLARED)


@pytest.fixture
def sent(database: None) -> list[tuple[datetime, str, str, str]]:
    """600 decisions of two versions over 80 hours, one in four hours empty; a third of them is not folded."""
    register()
    register(version="v2", columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    chance = random.Random(11)
    made: list[tuple[datetime, str, str, str]] = []
    events: list[dict[str, Any]] = []
    for i in range(600):
        hour = chance.choice([one for one in range(80) if one % 4])
        at = START + hour * HOUR + timedelta(seconds=chance.randrange(3600))
        sex, decision, version = (
            chance.choice("FMX"),
            chance.choice(["yes", "no"]),
            chance.choice(["v1", "v2"]),
        )
        tags = {"sex": sex, "age": chance.randrange(20, 70)} if version == "v1" else {"sex": sex}
        one = an_event(f"e{i}", timestamp=at.isoformat(), model_version=version, demographic_tags=tags)
        one["prediction"] = {"label": decision, "score": chance.random()}
        events.append(one)
        made.append((at, sex, decision, version))
    for start in range(0, 600, 50):
        send(events[start : start + 50], now=NOW)
        if start == 350:
            label([(f"e{i}", "good") for i in range(0, 400, 3)], now=NOW)
            count_keeper.compact(NOW)
    label([(f"e{i}", "bad") for i in range(0, 600, 7)], now=NOW)
    submitted = CountTable.from_arrays({"sex": ["F", "M"] * 40}, [0, 1] * 40)
    audit_runner.run(SUBJECT, submitted, audit_runner.Context(), START + 5 * HOUR + timedelta(minutes=30))
    return made


@pytest.mark.parametrize("hours", [1, 5, 24, 48])
def test_each_period_has_the_counts_of_its_window(sent: Any, hours: int) -> None:
    """Cell by cell what reading that window alone gives, by one attribute and by two; events, labels, submissions."""
    wanted = [["sex"], ["sex", "age"]]
    found = count_history.count_each(SUBJECT, START - HOUR, NOW + HOUR, hours, wanted, most=1000)
    for attributes, history in zip(wanted, found, strict=True):
        assert [(one.start, one.end) for one in history.windows] == count_history.periods(
            START - HOUR, NOW + HOUR, hours
        )
        for window in history.windows:
            alone = window_counts_reader.read_window(SUBJECT, window.start, window.end, attributes=attributes)
            assert window.counts == alone.table and window.reason is None
            assert dict(window.reference_groups) == dict(alone.reference_groups)


def test_each_hour_has_what_was_sent_in_it(sent: Any) -> None:
    """By a dictionary over the events, beside the 80 rows of a submission in the sixth hour."""
    history = count_history.count(SUBJECT, START, NOW, 1, ["sex"], most=1000)
    expected: Counter[Any] = Counter()
    for at, sex, decision, _ in sent:
        expected[(at - START) // HOUR, sex, int(decision == "yes")] += 1
    expected[5, "F", 0] += 40
    expected[5, "M", 1] += 40
    counted: Counter[Any] = Counter()
    for place, window in enumerate(history.windows):
        for (sex,), cells in zip(window.counts.groups, window.counts.n, strict=True):
            for decision in (0, 1):
                counted[place, sex, decision] += int(cells[decision].sum())
    assert +counted == expected and history.n_decisions == 680


def test_what_is_read_does_not_grow_with_the_periods(sent: Any) -> None:
    """80 hours take as many statements as eight, and the buckets of the range once, be it by one attribute or by three lists."""
    statements: list[str] = []

    def note(_c: Any, _cur: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    def reading(hours: int, wanted: list[list[str]]) -> int:
        statements.clear()
        count_history.count_each(SUBJECT, NOW - hours * HOUR, NOW, 1, wanted, most=1000)
        assert sum("count_buckets" in one for one in statements) == 1
        return len(statements)

    with read_snapshot():
        sql_event.listen(engine(), "before_cursor_execute", note)
        try:
            few = reading(8, [["sex"]])
            assert reading(80, [["sex"]]) == reading(80, [["sex"], ["age"], ["sex", "age"]]) == few
        finally:
            sql_event.remove(engine(), "before_cursor_execute", note)


def test_a_metric_alone_is_what_the_whole_assessment_says() -> None:
    """To the last digit, interval too; only what the many tests together say is left open."""
    chance = random.Random(3)
    n = 600
    table = CountTable.from_arrays(
        {"sex": [chance.choice("FM") for _ in range(n)], "team": [chance.choice("abc") for _ in range(n)]},
        [chance.randrange(2) for _ in range(n)],
        truth=[chance.choice([0, 1, -1]) for _ in range(n)],
        score=[chance.random() for _ in range(n)],
    )
    for attribute in ("sex", "team"):
        whole = assess(table, [attribute], n_resamples=100)["attributes"][attribute]
        alone = measure(table, attribute, [METRICS_BY_NAME[name] for name in whole], n_resamples=100)
        assert alone.keys() == whole.keys()
        for name, figure in whole.items():
            for key in (
                "value",
                "signed",
                "confidence_interval",
                "status",
                "reason",
                "sample_sizes",
                "p_value",
            ):
                assert alone[name][key] == figure[key], (name, key)


def test_a_drift_by_hour_says_what_its_hours_say(sent: Any) -> None:
    """Each point's ratio is that of the hour's own counts."""
    asked = DriftQuery(metrics="spd", attribute="sex", grain="hour", since=START, until=NOW)
    (series,) = drift_reader.drift("acme", "hiring", asked, NOW)["series"]
    assert len(series["timeseries"]) == 80
    history = count_history.count(SUBJECT, START, NOW, 1, ["sex"], most=1000)
    known = 0
    for point, window in zip(series["timeseries"], history.windows, strict=True):
        if point["value"] is not None:
            known += 1
            alone = assess(window.counts, ["sex"], window.reference_groups, n_resamples=0)
            assert point["value"] == alone["attributes"]["sex"]["statistical_parity_difference"]["signed"]
    assert known >= 1
