"""The report's data: which rows, which figures, what is said where nothing is known."""

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import audit_runner, model_registry, prediction_ingest, window_auditor
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.compliance_report import report_file
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.prediction_ingest import Sender
from fairlens_backend.schemas.audits import WindowAuditRequest
from tests.ingest_kit import NOW as EVENT_NOW
from tests.ingest_kit import event, register, send
from tests.report_kit import (
    DAY,
    FORBIDDEN,
    NOW,
    START,
    audit,
    decisions,
    falling_days,
    query,
    report,
    text_of,
)

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def falling() -> list[dict[str, Any]]:
    """Four even days, then three in which half as many women are selected."""
    return falling_days()


def test_the_range_is_assessed_as_one(falling: list[dict[str, Any]]) -> None:
    """Women: 4·120 + 3·60 = 660 of 1,400; men 840 of 1,400: 0.7857 to four digits."""
    found = report()
    ratio = found["results"]["attributes"]["sex"]["disparate_impact_ratio"]
    assert ratio["value"] == pytest.approx(660 / 840)
    assert ratio["sample_sizes"] == {"F": 1400, "M": 1400}
    assert ratio["confidence_interval"]["lower"] < 660 / 840 < ratio["confidence_interval"]["upper"]
    assert (found["scope"]["decisions"], found["scope"]["audits_used"], found["scope"]["labelled"]) == (
        2800,
        7,
        2800,
    )
    assert found["results"]["reference_groups"]["sex"] == {"group": "M", "chosen": "declared"}
    assert "temporal_drift_index" not in found["results"]["metrics"]


def test_the_days_before_and_after_are_not_in_it(falling: list[dict[str, Any]]) -> None:
    """The second to the fourth day alone: parity."""
    found = report(start="2026-03-02", end="2026-03-04")
    assert found["results"]["attributes"]["sex"]["disparate_impact_ratio"]["value"] == 1.0
    assert found["scope"]["audits_used"] == 3 and found["audits"]["alerting"] == 0


def test_the_trend_is_of_the_summed_counts(falling: list[dict[str, Any]]) -> None:
    """A point a day: 1 four times, then 0.5."""
    series = next(one for one in report()["trend"] if one["attribute"] == "sex")
    assert (series["metric"], series["grain_hours"]) == ("disparate_impact_ratio", 24)
    assert [point["value"] for point in series["points"]] == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.5])
    assert [point["confirmed"] for point in series["points"]][-1] is True
    assert series["cusum"]["status"] == "insufficient_data" and "20 needed" in series["cusum"]["reason"]


def test_a_run_of_alerts_is_one_incident(falling: list[dict[str, Any]]) -> None:
    """Three days alert; nothing clears them; the lowest ratio is 0.5."""
    (run,) = report()["incidents"]["runs"]
    assert (run["audits"], run["first"][:10], run["last"][:10]) == (3, "2026-03-06", "2026-03-08")
    assert run["cleared_at"] is None and run["lowest_ratio"] == pytest.approx(0.5)
    audit(7, decisions(60, 60))
    assert report()["incidents"]["runs"][0]["cleared_at"].startswith("2026-03-09")


def test_what_is_unknown_does_not_end_an_incident(falling: list[dict[str, Any]]) -> None:
    """A day without decisions clears nothing."""
    audit(7, CountTable.empty(["sex", "region"]))
    (run,) = report()["incidents"]["runs"]
    assert run["cleared_at"] is None
    assert report()["audits"]["by_severity"]["UNKNOWN"] == 1


def test_the_proofs_are_of_the_audits_that_were_summed(falling: list[dict[str, Any]]) -> None:
    """A line an audit; the latest and the three alerting ones are named, with hashes that were computed again."""
    evidence = report()["evidence"]
    lines = evidence["basis"]["lines"]
    assert [line.split()[0] for line in lines] == [one["audit_id"] for one in falling]
    digest = hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    assert evidence["basis"]["digest"] == digest
    cited = {one["audit_id"]: one for one in evidence["cited"]}
    assert set(cited) == {one["audit_id"] for one in falling[4:]}
    assert all(one["record_intact"] and one["audit_intact"] for one in cited.values())
    assert cited[falling[6]["audit_id"]]["hash_value"] == falling[6]["evidence"]["hash"]


def test_nothing_in_the_range_is_unknown_and_no_pass(falling: list[dict[str, Any]]) -> None:
    """A range before the first audit, and a model that was registered and never audited."""
    declared = {"columns": {"protected": ["sex"]}}
    model_registry.register_model(
        "silent", "v1", declarations=declared, created_by="t", now=START, tenant="acme"
    )
    for found in (report(start="2026-01-01", end="2026-01-31"), report("silent")):
        assert found["results"] is None and found["trend"] == [] and found["scope"]["decisions"] == 0
        assert found["evidence"]["basis"]["audits"] == 0
    text = text_of(report_file("acme", "silent", query("pdf"), NOW).content)
    assert "UNKNOWN. No audit of this model lies in the range" in text
    assert "PASS" not in text and not FORBIDDEN.search(text)


def test_too_few_decisions_are_unknown() -> None:
    """45 decisions without outcomes."""
    table = CountTable.from_arrays({"sex": ["F"] * 20 + ["M"] * 25}, [1] * 10 + [0] * 35)
    audit(0, table)
    assert report()["results"]["overall_severity"] == "UNKNOWN"
    text = text_of(report_file("acme", "loans", query("pdf"), NOW).content)
    assert "UNKNOWN. Over the whole range the data allow no judgement" in text
    assert "No outcomes were known" in text


def test_other_tenants_see_nothing_of_it(falling: list[dict[str, Any]]) -> None:
    """404, as if the model did not exist; and their own model of that name has its own report."""
    with pytest.raises(NotFound):
        report(tenant="other")
    audit(0, decisions(50, 50), tenant="other")
    found = report(tenant="other")
    assert found["scope"]["audits"] == 1 and found["scope"]["decisions"] == 400


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        ("2026-03-02", "2026-03-01", "end_date"),
        ("2026-03-01", "2026-04-03", "end_date"),
        ("2026-05-01", "2026-05-02", "start_date"),
        ("2024-01-01", "2026-03-01", "start_date"),
    ],
)
def test_ranges_that_cannot_be(falling: list[dict[str, Any]], start: str, end: str, field: str) -> None:
    """The end before the start, days to come, more than 400 days."""
    with pytest.raises(InvalidInput) as refused:
        report(start=start, end=end)
    assert refused.value.details["field"] == field


def test_decisions_that_no_audit_has_seen_are_told() -> None:
    """Of 80 events that were counted, 60 lie in the audited hour: three quarters, and the report says it."""
    register()
    women = [("F", place < 10) for place in range(40)]
    men = [("M", place < 20) for place in range(40)]
    for number, (sex, chosen) in enumerate([*women, *men]):
        late = number % 4 == 0
        at = EVENT_NOW - (timedelta(hours=3) if late else timedelta(minutes=20))
        tags = {"sex": sex, "age": 41}
        label = {"label": "yes" if chosen else "no"}
        send(event(f"e{number}", timestamp=at.isoformat(), prediction=label, demographic_tags=tags))
    wanted = WindowAuditRequest(window_hours=1, until=EVENT_NOW.replace(second=0))
    window_auditor.audit_window("acme", "hiring", wanted, EVENT_NOW)
    day = EVENT_NOW.date().isoformat()
    scope = report("hiring", start=day, end=day)["scope"]
    assert (scope["decisions_counted_by_event"], scope["events_in_windows"], scope["windows_used"]) == (
        80,
        60,
        1,
    )
    text = text_of(report_file("acme", "hiring", query("pdf", day, day), NOW).content)
    assert "counted 80 single decisions" in text and "hold 60, which is 75.0 %" in text


def test_outcomes_that_came_after_the_audits_are_told() -> None:
    """Of 80 decisions audited without outcomes, 20 have one by now: the report says it, and takes a newer audit that has them."""
    register()
    at = (EVENT_NOW - timedelta(minutes=20)).isoformat()
    tags = [{"sex": "F" if number % 2 else "M", "age": 41} for number in range(80)]
    send([event(f"e{number}", timestamp=at, demographic_tags=tags[number]) for number in range(80)])
    wanted = WindowAuditRequest(window_hours=1, until=EVENT_NOW.replace(second=0))
    window_auditor.audit_window("acme", "hiring", wanted, EVENT_NOW)
    outcomes = [{"event_id": f"e{number}", "label": "good"} for number in range(20)]
    body = json.dumps({"labels": outcomes}).encode()
    prediction_ingest.add_labels(Sender("acme", "test"), body, EVENT_NOW)
    day = EVENT_NOW.date().isoformat()

    def told() -> str:
        return text_of(report_file("acme", "hiring", query("pdf", day, day), NOW).content)

    assert "No outcomes were known when the decisions were audited" in told()
    assert "By now the outcome of 20 decisions is known" in told()
    assert "R holds the true outcome of 0 of its 80 decisions" in told()
    assert "Of the 80 single decisions of the range the outcome of 20 is known by now" in told()
    window_auditor.audit_window("acme", "hiring", wanted, EVENT_NOW)
    assert "R holds the true outcome of 20 of its 80 decisions" in told()
    assert "1 audit of the range shares decisions" in told() and "known by now" not in told()


def test_decisions_without_any_audit_are_no_pass() -> None:
    """Events came, and nobody audited: the report says how many there were, and that nothing is known."""
    register()
    send([event(f"e{number}") for number in range(5)])
    day = EVENT_NOW.date().isoformat()
    found = report("hiring", start=day, end=day)
    assert found["results"] is None and found["scope"]["decisions_counted_by_event"] == 5
    text = text_of(report_file("acme", "hiring", query("pdf", day, day), NOW).content)
    assert "FairLens counted 5 decisions of the model in these days, but none of them was audited." in text


def test_an_empty_window_is_of_no_version(falling: list[dict[str, Any]]) -> None:
    """A second version that has decided nothing yet was not in use, whatever the audits of empty windows are called."""
    end = START + 4 * DAY
    empty = Subject("acme", "loans", "v2", {})
    audit_runner.run(empty, CountTable.empty(("sex", "region")), Context(window=(end - DAY / 2, end)), NOW)
    found = report()
    assert found["audits"]["total"] == 8
    assert [(one["version"], one["audits"]) for one in found["model"]["versions"]] == [("v1", 7)]


def test_what_was_submitted_twice_is_told() -> None:
    """Rows of submissions are not kept: that two share no decisions is not claimed, and that two have the same counts is said."""
    for hour, women in ((0, 60), (1, 60), (2, 55)):
        subject = Subject("acme", "loans", "v1", {"reference_groups": {"sex": "M"}})
        audit_runner.run(subject, decisions(women, 60), Context(), START + timedelta(hours=hour))
    found = report()
    assert (found["scope"]["submissions_used"], found["scope"]["submissions_alike"]) == (3, 1)
    text = text_of(report_file("acme", "loans", query("pdf"), NOW).content)
    assert "that share no decisions" not in text and "cannot tell whether two share some" in text
    assert (
        text.count("1 submission has exactly the counts of another one") == 2
    )  # on the first page and in section 2
    assert "Windows are chosen" not in text


def test_of_windows_it_is_claimed(falling: list[dict[str, Any]]) -> None:
    """Even days have the same counts and other decisions: nothing is said of submissions."""
    text = text_of(report_file("acme", "loans", query("pdf"), NOW).content)
    assert "7 audits of FairLens that share no decisions" in text and "Windows are chosen" in text
    assert "counts of another one" not in text and "Each submission" not in text
