"""What the report says of mitigations: every entry is counted, and what is left out is said."""

from datetime import timedelta

from fairlens_backend import report_incidents
from fairlens_backend.report_sections import mitigations
from fairlens_backend.report_sections._blocks import Table
from fairlens_backend.storage import ledger
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
