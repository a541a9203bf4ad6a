"""What erasures leave untouched: audits, the ledger, bundles; and what happens when others write meanwhile."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import (
    audit_reader,
    cli,
    count_keeper,
    eraser,
    key_rotator,
    ledger_keeper,
    window_auditor,
)
from fairlens_backend.event_enricher import Enricher
from fairlens_backend.schemas.audits import WindowAuditRequest
from fairlens_backend.storage import driver_sql, migrate
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from tests.ingest_kit import NOW, event, label, register, send

MAIL = "ann.lee@example.org"
RANGE = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-03-03T00:00:00Z", "--tenant", "acme"]


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine too an erasure ends within its answer; where it must not, a test says so itself."""
    monkeypatch.setattr(eraser, "BUDGET_S", 600.0)


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that takes decisions, on a database that counts as migrated."""
    monkeypatch.setattr(migrate, "is_at_head", lambda: True)
    register(reference_groups={"sex": "M"})


def crowd(n: int) -> list[str]:
    """Decisions of women and men, some of them Ann's; their ids."""
    ids = [f"c{i}" for i in range(n)]
    send(
        [
            event(
                one,
                features={"email": MAIL if i % 10 == 0 else f"p{i}@example.org"},
                demographic_tags={"sex": "F" if i % 2 else "M", "age": 20 + i % 50},
                prediction={"label": "yes" if i % 3 else "no", "score": (i % 100) / 100},
            )
            for i, one in enumerate(ids)
        ]
    )
    label([(one, "good" if i % 4 else "bad") for i, one in enumerate(ids[: n // 2])])
    return ids


def audited() -> Any:
    """An audit of the last two hours."""
    return window_auditor.audit_window("acme", "hiring", WindowAuditRequest(window_hours=2), NOW)


def test_audits_and_bundles_are_what_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle from before still verifies, one from after too and with the same audits; the audit reads the same; a new audit of
    the same window has the same selection rates, since every cell is still counted."""
    key = ledger_keeper.ensure_key(NOW).text
    ids = crowd(120)
    first = audited()
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    assert cli.main(["export-evidence", "--model", "hiring", *RANGE, "--output", str(before)]) == 0
    read = audit_reader.read_audit("acme", first["audit_id"], counts=True)
    with read_snapshot():
        entries = driver_sql.rows("SELECT leaf_index, leaf, nodes FROM ledger_entries ORDER BY leaf_index")
    assert (
        eraser.erase("acme", {"value": {"field": "email", "text": MAIL}}, None, NOW)["erased"]["rows"] == 12
    )
    assert eraser.erase("acme", {"event_ids": ids[:50]}, None, NOW)["erased"]["rows"] == 45
    with read_snapshot():
        now = driver_sql.rows("SELECT leaf_index, leaf, nodes FROM ledger_entries ORDER BY leaf_index")
    assert now[: len(entries)] == entries and len(now) == len(entries) + 2
    assert audit_reader.read_audit("acme", first["audit_id"], counts=True) == read
    assert cli.main(["export-evidence", "--model", "hiring", *RANGE, "--output", str(after)]) == 0
    capsys.readouterr()
    for file in (before, after):
        assert cli.main(["verify", str(file), "--key", key]) == 0
        assert capsys.readouterr().out.startswith("RIGHT.")
    second = audited()
    for one in (first, second):
        assert one["sample_size"] == 120
    rates = [
        [
            (s["attributes"], s["size"], s["labelled_size"], s["rates"]["selection_rate"]["value"])
            for s in a["demographic_slices"]
        ]
        for a in (first, second)
    ]
    assert rates[0] == rates[1]


def test_labels_and_events_that_come_meanwhile_bring_nothing_back() -> None:
    """Erased, labelled and sent again at once from three threads, in any order: one row and one count each, no details, and the
    counts are those of the rows."""
    ids = crowd(60)
    failures: list[Exception] = []

    def run(work: Any) -> None:
        try:
            for start in range(0, 60, 20):
                work(ids[start : start + 20])
        except Exception as error:  # noqa: BLE001  (handed to the test's own thread)
            failures.append(error)

    works = [
        lambda some: eraser.erase("acme", {"event_ids": some}, None, NOW),
        lambda some: label([(one, "bad") for one in some]),
        lambda some: send([event(one, features={"email": MAIL}) for one in some]),
    ]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert failures == []
    window = WindowAuditRequest(window_hours=2)
    assert window_auditor.audit_window("acme", "hiring", window, NOW)["sample_size"] == 60
    assert all(
        one["equal"] and one["rows"] == 60 for one in count_keeper.check_counts("acme", "hiring", NOW.date())
    )
    assert label([(one, "good") for one in ids])["expired"] == 60
    assert send([event(one) for one in ids])["duplicates"] == 60
    with read_snapshot():
        assert driver_sql.rows("SELECT count(*) FROM early_labels") == [(0,)]


def test_rows_of_a_former_token_key_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of the tenant's token key, rows hold tokens of either; by value, and by the old token, both go."""
    send([event("old", features={"email": MAIL})])
    former = Enricher.of("acme", NOW).tokeniser.token("email", MAIL)
    key_rotator.rotate("tokens", "acme", "ann", NOW)
    later = NOW + timedelta(minutes=1)
    send([event("new", features={"email": MAIL})], now=later)
    present = Enricher.of("acme", later).tokeniser.token("email", MAIL)
    assert former != present
    looked = eraser.erase("acme", {"token": former}, None, later, dry_run=True)
    assert looked["erased"]["rows"] == 2
    done = eraser.erase("acme", {"value": {"field": "email", "text": MAIL}}, None, later)
    assert done["erased"]["rows"] == 2


def test_an_id_whose_row_was_purged_is_forgotten_too() -> None:
    """Its entry in the index of ids is all that is left, and it goes; the event does not come back."""
    send([event("gone"), event("also gone")])
    send([event("kept")], now=NOW)
    with unit_of_work():
        driver_sql.run("DELETE FROM event_cells WHERE batch_id = 1")
        driver_sql.run("DELETE FROM event_details WHERE batch_id = 1")
        driver_sql.run("DELETE FROM event_batches WHERE id = 1")
    done = eraser.erase("acme", {"event_ids": ["gone"]}, None, NOW)
    assert (done["erased"]["rows"], done["erased"]["ids_of_purged_rows"]) == (0, 1)
    assert eraser.erase("acme", {"event_ids": ["gone"]}, None, NOW)["found"] is False
    assert send([event("gone")])["duplicates"] == 1
