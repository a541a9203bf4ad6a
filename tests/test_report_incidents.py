"""What the report says of mitigations, incidents and alerts: everything is counted, once, and what is left out is said."""

from datetime import timedelta
from typing import Any

from fairlens_backend import report_incidents
from fairlens_backend.report_sections import incidents_and_alerts, mitigations
from fairlens_backend.report_sections._blocks import Table
from fairlens_backend.storage import ledger
from fairlens_backend.storage.report_rows import AuditRow
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from tests.ingest_kit import NOW


def found() -> dict[str, object]:
    with read_snapshot():
        return report_incidents.mitigations("acme", "loans", NOW, NOW + timedelta(days=1), [])


def test_more_entries_than_are_listed_are_counted(database: None) -> None:
    """300 registrations and one of another model: the newest 200, 300 in all, and a note that says so."""
    with unit_of_work():
        ledger.append_many(
            [("MODEL_REGISTERED", "acme", {"model": "loans", "version": f"v{n}"}) for n in range(300)], NOW
        )
        ledger.append("MODEL_REGISTERED", "acme", {"model": "credit", "version": "v1"}, NOW)
        ledger.append("MODEL_REGISTERED", "other", {"model": "loans", "version": "v1"}, NOW)
    said = found()
    assert (said["events_total"], len(said["events"])) == (300, 200)  # type: ignore[arg-type]
    assert [one["leaf_index"] for one in said["events"]] == list(range(100, 300))  # type: ignore[attr-defined]
    assert said["events_by_type"] == {
        "MITIGATION_TRIGGERED": 0, "MITIGATION_COMPLETED": 0, "MODEL_PROMOTED": 0, "MODEL_REGISTERED": 300,
    }  # fmt: skip
    (table,) = [one for one in mitigations.build({"mitigations": said}) if isinstance(one, Table)]
    assert [row[-1] for row in table.rows] == [str(index) for index in range(260, 300)]
    assert (
        "The newest 40 of 300 are shown" in table.notes[-1] and "300 × version registered" in table.notes[-1]
    )


def test_few_entries_are_all_there_and_nothing_is_noted(database: None) -> None:
    """As does a model without any say that it has none."""
    assert found()["events_by_type"] == dict.fromkeys(report_incidents._MITIGATION, 0)
    with unit_of_work():
        ledger.append("MODEL_REGISTERED", "acme", {"model": "loans", "version": "v1"}, NOW)
    (table,) = [one for one in mitigations.build({"mitigations": found()}) if isinstance(one, Table)]
    assert len(table.rows) == 1 and len(table.notes) == 1


def alerting(seq: int, start: int | None, end: int, size: int) -> AuditRow:
    """An alerting audit of the minutes from `start` to `end`; without a start, of a submission."""
    begin = None if start is None else NOW + timedelta(minutes=start)
    return AuditRow(
        f"aud_{seq}", f"rec_{seq}", seq, NOW, "v1", size, "HIGH", True, 0.7, None, "", "", begin,
        NOW + timedelta(minutes=end),
    )  # fmt: skip


def test_an_incident_counts_each_decision_once() -> None:
    """Of three hours that overlap the first, audited anew, and the last share no time: 105 + 90, and 50 that were submitted."""
    rows = [
        alerting(1, 0, 60, 100), alerting(2, 15, 75, 110), alerting(3, 60, 120, 90), alerting(4, 0, 60, 105),
        alerting(5, None, 90, 50),
    ]  # fmt: skip
    (run,) = report_incidents._runs(rows)
    assert (run["audits"], run["decisions"]) == (5, 245)


def alert(metric: str, told: bool, peak: str = "HIGH", **other: Any) -> dict[str, Any]:
    """An alert of sex as the report has it, open from 06:00 on."""
    return {
        "alert_id": metric, "attribute": "sex", "metric": metric, "state": "open", "peak": peak, "breaches": 3,
        "first_opened_at": "2026-03-02T06:00:00.000000Z", "resolved_at": None,
        "announced_at": "2026-03-02T06:00:01.000000Z" if told else None, **other,
    }  # fmt: skip


def test_an_alert_that_another_one_spoke_for_was_told_of() -> None:
    """The ratio speaks for the difference of the same rates; for no other gap, attribute or time, and for none that is worse."""
    earlier = {"first_opened_at": "2026-03-01T00:00:00.000000Z", "resolved_at": "2026-03-01T12:00:00.000000Z"}
    alerts = [
        alert("disparate_impact_ratio", told=True),
        alert("demographic_parity_difference", told=False),
        alert("demographic_parity_difference", told=False, peak="CRITICAL"),
        alert("demographic_parity_difference", told=False, attribute="race"),
        alert("demographic_parity_difference", told=False, state="resolved", **earlier),
        alert("equal_opportunity_difference", told=False),
    ]
    report_incidents._tell_apart(alerts)
    assert [one["told_with"] for one in alerts] == [None, "disparate_impact_ratio", None, None, None, None]
    said = {"runs": [], "alerts": alerts, "alerts_total": len(alerts), "texts_read": 0}
    (table,) = [one for one in incidents_and_alerts._alerts(said) if isinstance(one, Table)]
    assert [row[-1] for row in table.rows] == [
        "2026-03-02 06:00", "with disparate impact ratio", *["nobody was told"] * 4
    ]  # fmt: skip
