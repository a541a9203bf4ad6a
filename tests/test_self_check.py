"""The stored ledger is read anew on the clock: an untouched one is right, whatever was altered is named and stays told."""

import json
import stat
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text

from fairlens_backend import config, ledger_keeper, ledger_reader, self_check, trend_analyzer, window_auditor
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.schemas.audits import WindowAuditRequest
from fairlens_backend.storage import ledger
from fairlens_backend.storage.session import current_session, is_postgresql, read_snapshot, unit_of_work
from tests.ingest_kit import register
from tests.ledger_kit import assessed, at, audit, body_of, other, recorded

HOUR = timedelta(hours=1)


def tampered(statement: str, **values: Any) -> None:
    """What somebody does who owns the database and switches its refusals off."""
    with unit_of_work():
        session = current_session()
        tables = ("ledger_entries", "ledger_heads", "ledger_keys")
        if is_postgresql():
            for table in tables:
                session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        else:
            found = session.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
            for name, _ in found:
                session.execute(text(f"DROP TRIGGER {name}"))
        session.execute(text(statement), values)
        if is_postgresql():
            for table in tables:
                session.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only"))
        else:
            for _, sql in found:
                session.execute(text(sql))


def until_ended(minutes: float) -> dict[str, Any]:
    """Ticks until a round ends; what readiness says then."""
    for _ in range(500):
        if self_check.run_due(at(minutes)):
            return self_check.health(at(minutes))
    raise AssertionError("no round ended")


@pytest.fixture
def history(database: Any) -> None:
    """Twelve audits of two models and two tenants, other events among them, and a change of the key in the middle."""
    for i in range(6):
        audit(i * 5, seed=i % 3)
        other(i * 5 + 1)
        audit(i * 5 + 2, model="lending", tenant="globex", seed=1)
        if i == 3:
            ledger_keeper.rotate_key("admin", at(i * 5 + 3))
    with unit_of_work():
        ledger_keeper.sign_head(at(40))


def test_an_untouched_ledger_is_right(history: None) -> None:
    """Every entry, head and audit is read, and every figure of counts is recomputed."""
    assert self_check.health(at(50))["status"] == "waiting"
    found = until_ended(50)
    with read_snapshot():
        size = ledger.size()
        leaves = [json.loads(one.leaf) for one in ledger.entries(0, size)]
    stated = [body_of(one)["figures"] for one in leaves if one["type"] == "AUDIT_COMPLETED"]
    assert (found["status"], found["entries"], found["audits"]) == ("ok", size, 12)
    assert found["figures"] == sum(figure["basis"] == "counts" for figures in stated for figure in figures)
    kept = config.current().data_path / self_check.RESULT_FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600  # a finding may name what is a tenant's


def test_an_audit_of_an_empty_window_is_no_fault(database: Any) -> None:
    """Data that stopped coming is audited as UNKNOWN, and its entry is as good as any other."""
    register()
    for day in (0, 1):
        window_auditor.audit_window("acme", "hiring", WindowAuditRequest(), at(day * 1440))
    found = until_ended(3000)
    assert (found["status"], found["audits"]) == ("ok", 2)


@pytest.mark.parametrize("body", ["[1]", "{}", '{"model":5}', '"\\ud800"'])
def test_an_entry_with_another_body_and_its_hash_made_anew(history: None, body: str) -> None:
    """Whoever writes the hash anew too leaves bytes that are no audit: told as damage, not an error at each tick."""
    with read_snapshot():
        (entry,) = ledger.entries(6, 7)
    said = json.loads(entry.leaf)
    leaf = json.dumps(said | {"body": "BODY"}, sort_keys=True, separators=(",", ":")).replace('"BODY"', body)
    assert (
        entry.type == "AUDIT_COMPLETED" and said["index"] == 6
    )  # an even index completes its own hash alone
    tampered(
        "UPDATE ledger_entries SET leaf = :leaf, nodes = :nodes WHERE leaf_index = 6",
        leaf=leaf.encode(),
        nodes=sha256(b"\x00" + leaf.encode()).digest(),
    )
    assert until_ended(50)["status"] == "failed"
    assert "6" in self_check.last_result()["finding"]
    fault = ledger_reader.fault_of_record({"record_id": entry.record_id, "tenant": entry.tenant}, "0" * 64)
    assert fault == "has an entry 6 that cannot be read"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM ledger_keys", "The public keys of the ledger are gone"),
        ("UPDATE ledger_keys SET public_key = 'none' WHERE id = 2", "The ledger's key 2 was altered"),
    ],
)
def test_keys_that_are_gone_or_none(history: None, statement: str, said: str) -> None:
    """What verifies the heads is part of what is checked."""
    tampered(statement)
    assert until_ended(50)["status"] == "failed"
    assert said in self_check.last_result()["finding"]


def test_a_round_is_read_in_steps_and_again_after_an_hour(history: None) -> None:
    """Where the time of a tick is over at once each tick still reads on, and the next round waits for its time."""
    ticks = iter(range(10_000))
    ended = [self_check.run_due(at(50), budget_s=1.0, elapsed=lambda: float(next(ticks))) for _ in range(60)]
    assert ended.index(True) > 5
    assert self_check.health(at(50))["status"] == "ok"
    assert not self_check.run_due(at(50) + 0.9 * HOUR)
    assert self_check.run_due(at(50) + HOUR)
    assert self_check.health(at(50) + 6 * HOUR)["status"] == "degraded"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE ledger_entries SET leaf = replace(leaf, :old, :new) WHERE leaf_index = 4", "Entry 4 (row 4) was altered"),
        ("DELETE FROM ledger_entries WHERE leaf_index = 4", "Entry 4 is missing"),
        ("UPDATE ledger_entries SET tenant = 'mallory' WHERE leaf_index = 5", "The row of entry 5 was altered"),
        ("UPDATE ledger_entries SET record_id = 'x' WHERE leaf_index = 3", "The row of entry 3 was altered"),
        ("UPDATE ledger_heads SET tree_size = 4 WHERE tree_size = 6", "The head of 6 entries (head"),
        ("UPDATE ledger_heads SET note = replace(note, 'time 2026-03-02T00:05', 'time 2026-03-02T00:06')", "wrong signature"),
        ("UPDATE ledger_heads SET root = :root WHERE tree_size = 1", "its row is not what its note says"),
        ("UPDATE ledger_keys SET first_size = 8 WHERE id = 2", "The ledger's key 2 was put in"),
    ],
)  # fmt: skip
def test_what_was_altered_is_named(
    history: None, statement: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In readiness, as a gauge would read it, and in the log as an error; and it stays told at the next round."""
    values = {"old": b"MODEL", "new": b"MODER", "root": b"\0" * 32}
    if is_postgresql():
        statement = statement.replace(
            "replace(leaf, :old, :new)",
            "convert_to(replace(convert_from(leaf, 'UTF8'), 'MODEL', 'MODER'), 'UTF8')",
        )
    else:
        statement = statement.replace(
            "replace(leaf, :old, :new)", "CAST(replace(CAST(leaf AS TEXT), 'MODEL', 'MODER') AS BLOB)"
        )
    tampered(statement, **{name: value for name, value in values.items() if f":{name}" in statement})
    for minutes in (50, 120):
        found = until_ended(minutes)
        assert found["status"] == "failed"
        # Readiness is open to all, so the finding itself is for those who run the server.
        assert said not in found["reason"]
        assert said in self_check.last_result()["finding"]
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "LEDGER_DAMAGED" in line]
    assert [one["level"] for one in logged] == ["error"] * 2
    assert all(said in one["finding"] for one in logged)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE ledger_entries SET leaf = replace(leaf, 'MODEL', 'MODER') WHERE leaf_index = 4", "Entry 4 (row 4) was altered"),
        ("UPDATE ledger_entries SET leaf = CAST(leaf AS TEXT) || ' ' WHERE leaf_index = 4", "Entry 4 (row 4) was altered"),
        ("UPDATE ledger_entries SET nodes = 5 WHERE leaf_index = 4", "Entry 4 (row 4) was altered"),
        ("UPDATE ledger_entries SET at = 5 WHERE leaf_index = 4", "The row of entry 4 was altered"),
        ("UPDATE ledger_entries SET tenant = x'00' WHERE leaf_index = 4", "The row of entry 4 was altered"),
        ("UPDATE ledger_heads SET root = 'text' WHERE tree_size = 1", "its row is not what its note says"),
        ("UPDATE ledger_heads SET note = x'00' WHERE tree_size = 1", "its row is not what its note says"),
        ("UPDATE ledger_heads SET tree_size = 'text' WHERE tree_size = 1", "its row is not what its note says"),
        ("UPDATE ledger_heads SET at = 5 WHERE tree_size = 1", "its row is not what its note says"),
        ("UPDATE ledger_keys SET first_size = 'text' WHERE id = 2", "The ledger's key 2 was altered"),
        ("UPDATE ledger_keys SET public_key = x'00' WHERE id = 2", "The ledger's key 2 was altered"),
        ("UPDATE ledger_keys SET name = x'00' WHERE id = 2", "The ledger's key 2 was put in"),
    ],
)  # fmt: skip
def test_what_has_another_type_is_named(history: None, statement: str, said: str) -> None:
    """SQLite keeps a text where bytes were, as its own `replace` makes it: the check must not break at what it is there to find."""
    if is_postgresql():
        pytest.skip("PostgreSQL's columns have their types")
    tampered(statement)
    assert until_ended(50)["status"] == "failed"
    assert said in self_check.last_result()["finding"]


def test_a_long_ledger_is_read_more_seldom(history: None) -> None:
    """A round that took a quarter of an hour comes again after fifty of them: a fiftieth of one core."""
    until_ended(50)
    path = config.current().data_path / self_check.RESULT_FILE
    path.write_text(json.dumps({**self_check.last_result(), "took_s": 900}))
    assert not self_check.run_due(at(50) + 12.4 * HOUR)
    assert self_check.health(at(50) + 12.4 * HOUR)["status"] == "ok"
    assert self_check.run_due(at(50) + 12.5 * HOUR)


@pytest.mark.parametrize("name", ["cut", "forked"])
def test_a_history_that_changed_since_the_check_before_is_found(history: None, name: str) -> None:
    """Although all that is stored fits together: the root that was right is kept outside the database."""
    until_ended(50)
    path = config.current().data_path / self_check.RESULT_FILE
    kept = json.loads(path.read_text())
    size, root = kept["known"]
    kept["known"] = [size + 5, root] if name == "cut" else [size - 1, root]
    path.write_text(json.dumps(kept))
    for minutes in (120, 190):  # and it is not taken for right the time after
        assert until_ended(minutes)["status"] == "failed"
        assert f"The history was {name}" in self_check.last_result()["finding"]


def test_a_check_that_was_computed_elsewhere_is_no_fault(database: Any) -> None:
    """It has neither counts nor settings; the model's audits follow each other through it."""
    metrics: dict[str, Any] = dict.fromkeys(trend_analyzer.ALWAYS_MEASURED)
    metrics |= {"sample_size": 10, "severity": "LOW", "alert": False, "message": "fine"}
    trend_analyzer.log_to_db(metrics, model="hiring", tenant="acme", now=at(1))
    audit(5)
    assert until_ended(50)["status"] == "ok"


def test_a_record_is_checked_by_the_same_code(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that the counts of the entry do not give are named by the check of one record, too."""
    index = audit(5)
    with read_snapshot():
        (entry,) = ledger.entries(index, index + 1)
    record = {"record_id": "rec-hiring-5", "tenant": "acme", "audit_sha256": "1" * 64}
    assert ledger_reader.fault_of_record(record, "0" * 64) is None
    told = json.loads(entry.leaf)["body"]["figures"]["value"].split(" ")[0].encode()  # in units of 10⁻¹²
    assert entry.leaf.count(b'"value":"%b ' % told) == 1
    forged = entry.leaf.replace(b'"value":"%b ' % told, b'"value":"123456000000 ', 1)
    nodes = "UPDATE ledger_entries SET leaf = :leaf, nodes = :nodes WHERE leaf_index = :i"
    tampered(nodes, leaf=forged, nodes=leaf_hash(forged), i=index)
    fault = ledger_reader.fault_of_record(record, "0" * 64)
    assert fault is not None and "0.123456" in fault


def beautified(minutes: float) -> None:
    """An audit whose verdict is better than its figures, recorded with hash and head as any other."""
    counts, found = assessed(2)
    recorded(minutes, counts, {**found, "overall_severity": "PASS" if found["alert"] else "CRITICAL"})


@pytest.mark.parametrize(("whole", "status"), [("0", "ok"), ("2", "failed")])
def test_the_newest_audits_are_recomputed_whole(
    history: None, make_settings: Any, whole: str, status: str
) -> None:
    """Not their values alone: a verdict that does not follow is found, in as many of each model's newest as is set."""
    make_settings(SELF_CHECK_WHOLE=whole)
    beautified(41)
    audit(42)
    found = until_ended(50)
    assert found["status"] == status
    if whole != "0":
        assert "for overall_severity; its counts give" in self_check.last_result()["finding"]
    else:
        assert found["recomputed_whole"] == 0


def test_older_audits_are_recomputed_by_value(history: None, make_settings: Any) -> None:
    """A round stays cheap: behind the newest two of each model only values are looked at; each tick does something."""
    make_settings(SELF_CHECK_WHOLE="2")
    beautified(41)
    audit(42)
    audit(43)
    ticks = iter(range(10_000))
    ended = [self_check.run_due(at(50), elapsed=lambda: float(next(ticks))) for _ in range(80)]
    assert ended.count(True) == 1
    found = self_check.health(at(50))
    assert (found["status"], found["recomputed_whole"]) == ("ok", 4)  # two models, each of its own tenant


def test_one_record_is_recomputed_whole(history: None) -> None:
    """Who asks about one record is told of its verdict too."""
    beautified(41)
    fault = ledger_reader.fault_of_record(
        {"record_id": "rec-hiring-41", "tenant": "acme", "audit_sha256": "1" * 64}, "0" * 64
    )
    assert fault is not None and "for overall_severity; its counts give" in fault
