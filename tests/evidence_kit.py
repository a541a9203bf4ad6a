"""Records for the tests of evidence, and what the files must hold for them, spelled by json and hashlib alone."""

import hashlib
import json
import os
import signal
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from fairlens_backend import compliance_logger, evidence_files, ledger_keeper
from fairlens_backend.storage import session
from fairlens_backend.storage.session import current_session, unit_of_work
from fairlens_backend.storage.tables import Audit, FairnessCheck

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TENANT = "acme"
OTHERS = {"id", "hash_value", "encrypted_alert"}


def plain_json(value: Any) -> bytes:
    """Canonical JSON by the standard library; right for the values of these tests (no whole or very small floats, ASCII keys)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    return hashlib.sha256(plain_json(value)).hexdigest()


def add(
    number: int,
    *,
    alert: str | None = None,
    tenant: str = TENANT,
    model: str = "loan",
    in_ledger: bool = True,
    **figures: Any,
) -> dict[str, Any]:
    """Log one check and its audit in a unit of work, as an audit does; not published."""
    result = {"audit_id": f"aud-{number}", "value": 0.1 + 0.2, "none": None}
    counts = {"n": [number, 2, 3]}
    event = {
        "record_id": f"rec-{number}", "tenant": tenant, "model": model, "model_version": "1", "audit_id": f"aud-{number}",
        "sample_size": 100 + number, "severity": "HIGH" if alert else "NONE", "alert": alert is not None, "alert_text": alert,
        "audit_sha256": digest({"result": result, "counts": counts}), "dir": 0.1 + 0.2, "spd": -0.123456789012345678,
        "male_rate": None, **figures,
    }  # fmt: skip
    with unit_of_work():
        current_session().add(
            Audit(
                audit_id=f"aud-{number}",
                tenant=tenant,
                model=model,
                submitted=True,
                created_at=NOW,
                result=result,
                counts=counts,
            )
        )
        now = NOW + timedelta(seconds=number)
        record = compliance_logger.log_event(event, now=now)
        if in_ledger:
            ledger_keeper.record_check(tenant, record, now)
        return record


def rows() -> list[dict[str, Any]]:
    """Every row in order, as the database gives it."""
    columns = FairnessCheck.__table__.columns
    with session.read_snapshot() as current:
        found = current.execute(select(*columns).order_by(columns["seq"])).mappings().all()
    return [dict(row) for row in found]


def record(row: dict[str, Any]) -> dict[str, Any]:
    """The hashed record of a row."""
    stamp = row["timestamp"].strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    return {name: value for name, value in row.items() if name not in OTHERS} | {"timestamp": stamp}


def expected_log() -> bytes:
    """What the log must hold for the rows."""
    return b"".join(plain_json(record(row) | {"hash_value": digest(record(row))}) + b"\n" for row in rows())


def expected_anchors() -> bytes:
    """What the anchors must hold for the rows."""
    lines = []
    for row in rows():
        hashed = digest(record(row))
        anchor = {
            "tx_id": "0x" + hashed[:16], "hash": hashed, "timestamp": record(row)["timestamp"], "network": "simulated",
            "simulated": True, "note": "Simulated: a line of a local file, no blockchain was written to.",
        }  # fmt: skip
        lines.append(plain_json(anchor) + b"\n")
    return b"".join(lines)


def log_bytes() -> bytes:
    path = evidence_files.log_path()
    return path.read_bytes() if path.exists() else b""


def anchor_bytes() -> bytes:
    path = evidence_files.anchor_path()
    return path.read_bytes() if path.exists() else b""


def assert_in_order(n_records: int) -> None:
    """Files hold exactly what the rows say, the chain is whole, and nothing is damaged or pending."""
    found = rows()
    assert [row["seq"] for row in found] == list(range(1, n_records + 1))
    assert [row["prev_hash"] for row in found] == ["0" * 64, *(row["hash_value"] for row in found)][
        :n_records
    ]
    assert [row["hash_value"] for row in found] == [digest(record(row)) for row in found]
    assert log_bytes() == expected_log()
    assert anchor_bytes() == expected_anchors()
    said = compliance_logger.verify_all()
    assert (said["ok"], said["failures"], said["damaged"], said["pending"]) == (True, [], None, 0)
    assert (said["records"], said["lines"], said["anchors"]) == (n_records, n_records, n_records)
    assert compliance_logger.health(NOW)["ok"]


def sql(statement: str, **given: Any) -> None:
    """Alter rows behind the program's back."""
    with unit_of_work() as current:
        current.execute(text(statement), given)


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process with connections of its own; gives its exit code (negative: the signal that ended it)."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            session.dispose_engines()
            work()
            code = 0
        except BaseException:  # noqa: BLE001  a child must never return into the test run
            os.write(2, traceback.format_exc().encode())
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Died(BaseException):
    """A crash inside one process; no handler of the program may catch it."""


class Fate:
    """Lets the n-th write, sync, cut or commit be the last one: before it, in its middle, or after it.

    How it ends: `kill` by SIGKILL, else by `Died`.
    """

    def __init__(self, last: int, when: str, *, kill: bool = False) -> None:
        self.left, self.when, self.kill = last, when, kill

    def over(self) -> None:
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Died

    def guard(self, real: Callable[..., Any], *, write: bool = False) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left != 0:
                return real(*given, **named)
            if self.when == "before":
                self.over()
            if self.when == "middle" and write:
                real(given[0], given[1][: len(given[1]) // 2], *given[2:])
                self.over()
            real(*given, **named)
            return self.over()

        return step

    def patches(self) -> list[tuple[Any, str, Any]]:
        """What must be put where."""
        return [
            (evidence_files.os, "pwrite", self.guard(os.pwrite, write=True)),
            (evidence_files.os, "fsync", self.guard(os.fsync)),
            (evidence_files.os, "ftruncate", self.guard(os.ftruncate)),
            (session.Session, "commit", self.guard(session.Session.commit)),
        ]
