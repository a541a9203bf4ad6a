"""How long a compliance report of 90 days with 8,640 audits takes, in each form, against what it is made of.

    .venv/bin/python -m benchmarks.compliance_report [--audits 8640]

Fills an empty SQLite database with audits of a quarter of an hour each: two attributes, some 500 decisions with outcomes and
scores, half of the audits alerting after a drift in the last third. The rows are written past the engine, since 8,640 audits
take minutes; they have records, figures, count tables and ledger entries as real ones have. Then makes the report as JSON, PDF
and HTML, each three times. Peer: reading and adding up the same 8,640 count tables with the standard library's `json` and the
count table's own classes, which is the least that a report without the stream of `report_basis` would have to do.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from fairlens_backend import compliance_report, config
from fairlens_backend.audit_history import keep
from fairlens_backend.compliance_logger import audit_digest, log_event
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.schemas.reports import ReportQuery
from fairlens_backend.storage import audits, ledger, report_rows, session, tables
from fairlens_backend.storage.figures import Window
from fairlens_backend.telemetry import timestamp

START = datetime(2026, 7, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)
AIM_S = 5.0
MODEL = "quarter-hourly"
SECRETS = {
    "JWT_SECRET": "k7Qe2vXz9LmN4tRb8WyC1uHd6FgJ3pSa5Zo0",
    "FERNET_KEY": "pZ0uVn3kq8m1Y7s5cR2xT9wB4hD6jL0fGaEiKoMyQ1U=",
    "ADMIN_PASSWORD": "Vq9-tree-Kite-river-42",
}
RACES = ("White", "Black", "Asian", "Hispanic", "Other")


def some_tables(kinds: int, drift: float) -> list[tuple[CountTable, dict[str, Any]]]:
    """Windows of 500 decisions with their assessments, to be used again and again."""
    rng = np.random.default_rng(round(1000 * drift))
    made = []
    for _ in range(kinds):
        n = 500
        sex, race = rng.choice(["Female", "Male"], n), rng.choice(RACES, n, p=[0.5, 0.25, 0.12, 0.1, 0.03])
        truth = rng.random(n) < 0.5
        score = np.clip(0.35 + 0.2 * truth + rng.normal(0, 0.15, n) - drift * (race == "Black"), 0, 1)
        table = CountTable.from_arrays(
            {"sex": sex, "race": race}, (score > 0.45).astype(int), truth.astype(int), score
        )
        made.append((table, assess(table, n_resamples=100)))
    return made


def fill(count: int) -> None:
    """Write the audits."""
    calm, drifted = some_tables(12, 0.0), some_tables(12, 0.12)
    spelled = {id(one): one[0].to_dict() for one in [*calm, *drifted]}
    for first in range(0, count, 240):
        with session.unit_of_work():
            for number in range(first, min(count, first + 240)):
                some = drifted if number > 2 * count // 3 else calm
                one = some[number % len(some)]
                add(number, copy.copy(one[1]), spelled[id(one)])


def add(number: int, result: dict[str, Any], counts: dict[str, Any]) -> None:
    """One audit with its record, figures and ledger entry."""
    start, end = START + number * STEP, START + (number + 1) * STEP
    audit_id, record_id = f"aud_{number:08d}", f"rec_{number:08d}"
    result.update(
        audit_id=audit_id, model=MODEL, model_id=MODEL, model_version="1", audit_timestamp=timestamp(end),
        window_start=timestamp(start), window_end=timestamp(end), remarks=[],
    )  # fmt: skip
    audits.insert(audit_id, "default", result, counts, end)
    event = {
        "record_id": record_id, "tenant": "default", "model": MODEL, "model_version": "1", "audit_id": audit_id,
        "sample_size": result["sample_size"], "severity": result["overall_severity"], "alert": result["alert"],
        "dir": result["metrics"]["disparate_impact_ratio"]["value"], "audit_sha256": audit_digest(result, counts),
    }  # fmt: skip
    record = log_event(event, now=end)
    keep(result, "default", Window(start, end))
    body = {"model": MODEL, "record_id": record_id, "audit_id": audit_id, "hash_value": record["hash_value"]}
    ledger.append("AUDIT_COMPLETED", "default", body, end)


def plain_sum(count: int) -> CountTable:
    """The peer: every table through `json` and its class."""
    with session.read_snapshot():
        ids = [f"aud_{number:08d}" for number in range(count)]
        made = (CountTable.from_dict(json.loads(text)) for _, text in report_rows.counts_of("default", ids))
        total = CountTable.empty(["sex", "race"])
        for table in made:
            total = total + table
    return total


def cost(times: int, run: Callable[[], Any]) -> tuple[float, float, float]:
    """Median of some runs: CPU seconds of this process, and seconds on the clock; and those of the slowest, the cold one."""
    cpu, clock = [], []
    for _ in range(times):
        begin, spent = time.perf_counter(), time.process_time()
        run()
        clock.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - spent)
    return statistics.median(cpu), statistics.median(clock), max(clock)


def main() -> None:
    """Fill, measure, print; 1 where a form takes more CPU than it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=8_640)
    count = parser.parse_args().audits
    with tempfile.TemporaryDirectory() as folder:
        given = {"DATA_DIR": folder, "MODELS_DIR": str(Path(folder) / "models"), "LOG_LEVEL": "error"}
        config.use(config.load_settings({**SECRETS, **given, "CLOCK_ENABLED": "false"}))
        tables.Base.metadata.create_all(session.engine())
        begin = time.perf_counter()
        fill(count)
        print(f"{count:,} audits written in {time.perf_counter() - begin:.0f} s")
        last = START + (count - 1) * STEP
        now = last + timedelta(days=2)
        days = {"start_date": START.date(), "end_date": last.date()}
        peer, clock, _ = cost(1, lambda: plain_sum(count))
        print(
            f"{'peer: the count tables alone, one by one':44} {peer:6.2f} CPU s, {clock:6.2f} s on the clock"
        )
        missed = False
        for form in ("json", "pdf", "html"):
            wanted = ReportQuery(**days, format=form)  # type: ignore[arg-type]
            make = compliance_report.compliance_report if form == "json" else compliance_report.report_file
            cpu, clock, slowest = cost(
                3, lambda make=make, wanted=wanted: make("default", MODEL, wanted, now)
            )
            said = f"report of {wanted.start_date} to {wanted.end_date} as {form}"
            print(
                f"{said:44} {cpu:6.2f} CPU s, {clock:6.2f} s on the clock ({slowest:.2f} at most), {cpu / peer:.2f} of the peer"
            )
            missed = missed or cpu > AIM_S
        session.dispose_engines()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
