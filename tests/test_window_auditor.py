"""Audits of a window over what was ingested and submitted: counts by brute force, each source alone and both, who is left out."""

import random
from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import (
    audit_reader,
    count_keeper,
    prediction_submission,
    window_auditor,
    window_counts_reader,
)
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.evidence_verifier import verify_record
from fairlens_backend.schemas.audits import WindowAuditRequest
from fairlens_backend.schemas.checks import SubmitRequest
from fairlens_backend.storage import count_horizon, session
from fairlens_backend.window_auditor import MINUTE
from tests.api import rows_of
from tests.ingest_kit import NOW, brute_table, event, label, register, send

pytestmark = pytest.mark.usefixtures("database")
FIGURES = (
    "attributes",
    "metrics",
    "demographic_slices",
    "overall_severity",
    "impact_ratio_tables",
    "worst_groups",
)


def audit(model: str = "hiring", now: Any = NOW, **wanted: Any) -> dict[str, Any]:
    """The door's own call."""
    return window_auditor.audit_window("acme", model, WindowAuditRequest(**wanted), now)


def submit(
    model: str = "hiring", now: Any = NOW, attribute: str = "sex", **counts: tuple[int, int]
) -> dict[str, Any]:
    """Submit rows of groups: F=(selected, n)."""
    body = {
        "model_name": model,
        "columns": {"decision": "decision", "protected": [attribute]},
        "favourable": {"decision": [1]},
        "rows": rows_of(counts, attribute),
    }
    return prediction_submission.submit("acme", SubmitRequest(**body), None, now)


def crowd(n: int, seed: int, hours: float = 30) -> list[tuple[Any, ...]]:
    """Decisions at random: minutes before now, decision, truth or None, score or None, sex, age."""
    chance = random.Random(seed)
    return [
        (
            chance.randrange(int(hours * 60)),
            chance.choice(["yes", "no"]),
            chance.choice(["good", "bad", None]),
            chance.choice([None, chance.random()]),
            chance.choice("FM"),
            chance.choice([25, 41, 66]),
        )
        for _ in range(n)
    ]


BANDS = {25: "UNDER_30", 41: "30_50", 66: "50_PLUS"}
"""What the registered bands are called."""


def ingest(people: list[tuple[Any, ...]]) -> None:
    """Send them as events, labels apart."""
    events, labels = [], []
    for i, (ago, decision, truth, score, sex, age) in enumerate(people):
        prediction = {"label": decision, **({} if score is None else {"score": score})}
        at = (NOW - timedelta(minutes=ago)).isoformat()
        events.append(
            event(f"e{i}", timestamp=at, prediction=prediction, demographic_tags={"sex": sex, "age": age})
        )
        if truth is not None:
            labels.append((f"e{i}", truth))
    for start in range(0, len(events), 500):
        send(events[start : start + 500])
    for start in range(0, len(labels), 500):
        label(labels[start : start + 500])


@pytest.mark.parametrize("hours", [1, 2.5, 24])
def test_a_window_s_figures_are_those_of_its_rows(hours: float) -> None:
    """2,000 decisions over 30 hours, labels apart: counts by a dictionary, figures of the same rows to the last digit."""
    register()
    people = crowd(2_000, seed=1)
    ingest(people)
    end = NOW.replace(second=0) + MINUTE
    first = end - timedelta(hours=hours)
    inside = [one for one in people if NOW - timedelta(minutes=one[0]) >= first]
    expected = brute_table([(d, t, s, sex, BANDS[age]) for _, d, t, s, sex, age in inside])
    found = audit(window_hours=hours, sample_rows=0)
    counts = audit_reader.read_audit("acme", found["audit_id"], counts=True)["counts"]
    assert CountTable.from_dict(counts) == expected
    assert found["sample_size"] == len(inside) == found["events"] and found["audits_summed"] == 0
    from_rows = assess(expected)
    assert {name: found[name] for name in FIGURES} == {name: from_rows[name] for name in FIGURES}


def test_what_was_ingested_a_moment_ago_is_in_the_audit() -> None:
    """Sent with the time of now, audited in the same second: the window ends with the minute under way."""
    register()
    send([event(f"e{i}", timestamp=NOW.isoformat()) for i in range(7)])
    found = audit()
    assert found["sample_size"] == 7
    assert (found["window_start"][11:19], found["window_end"][11:19]) == ("11:31:00", "12:31:00")


def test_events_and_submissions_are_one_window() -> None:
    """10 of 40 women by events, 20 of 60 by a submission: 30 of 100; the counts name the submission."""
    register(columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    send([
        event(f"{sex}{i}", prediction={"label": "yes" if i < k else "no"}, demographic_tags={"sex": sex})
        for sex, k in (("F", 10), ("M", 20)) for i in range(40)
    ])  # fmt: skip
    handed_in = submit(F=(20, 60), M=(40, 60))
    found = audit()
    assert (found["sample_size"], found["events"], found["audits_summed"]) == (200, 80, 1)
    rates = {
        one["attributes"]["sex"]: one["rates"]["selection_rate"]["value"]
        for one in found["demographic_slices"]
    }
    assert rates == {"F": 0.3, "M": 0.6}
    counts = audit_reader.read_audit("acme", found["audit_id"], counts=True)["counts"]
    assert counts["audits"] == [handed_in["audit_id"]] and counts["events"] == 80


def test_each_source_alone() -> None:
    """A window with events and no submission, one with a submission and no event, one with neither."""
    register(columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    send([event(f"e{i}", demographic_tags={"sex": "F"}) for i in range(9)])
    later = NOW + timedelta(hours=2)
    submit(now=later, F=(20, 60), M=(40, 60))
    assert audit()["sample_size"] == 9
    assert (audit(now=later)["sample_size"], audit(now=later)["events"]) == (120, 0)
    neither = audit(now=NOW + timedelta(hours=9))
    assert (neither["sample_size"], neither["overall_severity"]) == (0, "UNKNOWN")


def test_windows_side_by_side_take_each_decision_once() -> None:
    """A submission and events on the very limit belong to the later window."""
    register(columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    noon = NOW.replace(minute=0, second=0)
    send([event(f"e{i}", timestamp=noon.isoformat(), demographic_tags={"sex": "F"}) for i in range(5)])
    submit(now=noon, F=(1, 3), M=(1, 3))
    subject = window_auditor.settle("acme", "hiring", None, {})
    sizes = [
        window_counts_reader.read_window(subject, noon + a * MINUTE, noon + b * MINUTE).table.total
        for a, b in ((-15, 0), (0, 15))
    ]
    assert sizes == [0, 11]


def test_what_was_counted_by_other_attributes_is_left_out_and_said() -> None:
    """v1 declared sex alone, v2 sex and age: by both only v2 can be counted, by sex all."""
    register(version="v1", columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    register(version="v2")
    send([event(f"a{i}", model_version="v1") for i in range(10)])
    send([event(f"b{i}", model_version="v2") for i in range(6)])
    both = audit()
    assert both["sample_size"] == 6 and both["model_version"] == "v2"
    assert any("10 decisions were not counted by sex, age" in one for one in both["remarks"])
    by_sex = audit(protected_attributes=["sex"])
    assert by_sex["sample_size"] == 16 and any("2 versions: v1, v2" in one for one in by_sex["remarks"])
    assert audit(version="v1")["sample_size"] == 10


def test_a_window_of_an_old_version_alone_is_counted_by_what_it_has() -> None:
    """Registered is sex and age by now; the hour has decisions of the version before: by sex, and a remark says so."""
    register(version="v1", columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    send([event(f"a{i}", model_version="v1") for i in range(10)])
    register(version="v2")
    found = audit()
    assert (found["protected_attributes"], found["sample_size"]) == (["sex"], 10)
    assert any("not by all of the registered sex, age" in one for one in found["remarks"])


def test_of_too_many_values_the_rare_ones_are_not_told_apart(make_settings: Any) -> None:
    """One version takes no more, but two may have more together: the window is audited, every decision counted, and a remark says
    so. The reference group stays, be it rare. Absent is no value."""
    make_settings(MAX_ATTRIBUTE_GROUPS="5")
    by_sex = {"columns": {"decision": "hired", "protected": ["sex"]}, "group_definitions": {}}
    register(**by_sex)
    send([event(f"e{i}", demographic_tags={"sex": f"person {i}"}) for i in range(5)])
    send([event("e6", demographic_tags={})])
    assert audit()["sample_size"] == 6
    register(version="v2", **by_sex, reference_groups={"sex": "person 7"})
    send([event(f"f{i}", model_version="v2", demographic_tags={"sex": f"person {i}"}) for i in range(3)])
    send([event(f"g{i}", model_version="v2", demographic_tags={"sex": f"person {i}"}) for i in (6, 7)])
    found = audit()
    assert found["sample_size"] == 11 and found["reference_groups"]["sex"]["group"] == "person 7"
    sizes = {one["attributes"]["sex"]: one["size"] for one in found["demographic_slices"]}
    # Two each of 0, 1, 2; of those with one the reference, and 3, the first by name; 4, 6 and the one that is absent.
    assert sizes == {"person 0": 2, "person 1": 2, "person 2": 2, "person 3": 1, "person 7": 1, "unknown": 3}
    assert any(
        one.startswith("sex has 7 different values in this window, of which the 5 with")
        for one in found["remarks"]
    )
    assert any("; 2 decisions of the others are counted as unknown" in one for one in found["remarks"])
    verdict = verify_record(found["record_id"], "acme")
    assert verdict["parts"]["ledger"]["ok"]


def test_a_window_that_begins_where_minutes_are_gone_begins_with_its_hour() -> None:
    """Nothing that was asked for is missed, and a remark says from when on it is counted."""
    register()
    begin = (NOW - timedelta(days=40)).replace(minute=0, second=0)
    for name, minutes in (("before", -1), ("first", 1), ("later", 61)):
        send([event(name, timestamp=(begin + timedelta(minutes=minutes)).isoformat())])
    asked = {"window_hours": 40 * 24 + 0.25}  # from a quarter past the hour on
    assert audit(**asked)["sample_size"] == 1
    count_keeper.compact(NOW)
    with session.unit_of_work():
        count_horizon.drop_minutes(int(NOW.timestamp()) // 60 - 60 * 24)
    found = audit(**asked)
    assert found["sample_size"] == 2
    assert any(f"{begin:%Y-%m-%d %H:%M} UTC" in one for one in found["remarks"])


def test_attributes_that_nobody_counted_are_refused_with_those_there_are() -> None:
    """What was asked for is named, and what could be."""
    register()
    send([event("e")])
    with pytest.raises(InvalidInput) as refused:
        audit(protected_attributes=["height"])
    assert refused.value.details["field"] == "protected_attributes" and "age, sex" in refused.value.message
    with pytest.raises(NotFound):
        audit(model="nobody")
    with pytest.raises(NotFound, match="There is: v1"):
        audit(version="v9")


def test_metrics_on_rows_come_from_a_sample() -> None:
    """Consistency needs features: with them and a sample it has a value, the same each time; with 0 rows it says why not."""
    register()
    chance = random.Random(3)
    send([
        event(f"e{i}", features={"income": chance.gauss(50, 9)}, prediction={"label": chance.choice(["yes", "no"])},
              demographic_tags={"sex": "FM"[i % 2], "age": 41})
        for i in range(300)
    ])  # fmt: skip
    found = [audit(sample_rows=200)["metrics"]["consistency"] for _ in range(2)]
    assert found[0]["status"] == "ok" and 0 <= found[0]["value"] <= 1 and found[0] == found[1]
    without = audit(sample_rows=0)["metrics"]["consistency"]
    assert without["value"] is None and without["reason"]


def test_a_window_may_end_in_the_past() -> None:
    """With `until` an hour of yesterday is audited."""
    register()
    yesterday = NOW.replace(minute=0, second=0) - timedelta(days=1)
    send([event(f"e{i}", timestamp=(yesterday - 10 * MINUTE).isoformat()) for i in range(4)])
    found = audit(until=yesterday)
    assert (found["sample_size"], found["window_end"][:16]) == (4, f"{yesterday:%Y-%m-%dT%H:%M}")
