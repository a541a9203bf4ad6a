"""`fairlens worker`: the server's clock as a process of its own, without HTTP.

Audits models when they are due, delivers alerts, repairs evidence, folds counts. Any number of them may run, on any number
of machines. Set CLOCK_ENABLED=false for the web servers then. SIGTERM or SIGINT ends it after the job under way, a second one
at once. Exit codes: 0 ended when asked; with --once, 1 when a job failed.
"""

import argparse
import os
import signal
import socket
from typing import Any

from fairlens_backend.commands._console import BREACHED, PASSED, write

NAME = "worker"
HELP = "audit on the clock, deliver alerts and fold counts, as a process of its own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--once", action="store_true", help="run each job once and end")


def run(wanted: argparse.Namespace) -> int:
    from fairlens_backend import (
        attestation_collector,
        audit_scheduler,
        config,
        schedule_settings,
        server_health,
        telemetry,
    )
    from fairlens_backend.clock_jobs import CLOCK_JOBS

    settings = config.current()
    server_health.require_schema()
    schedule_settings.require_valid()
    attestation_collector.require_valid()
    clock = audit_scheduler.make_clock(settings, CLOCK_JOBS)
    write(_status(clock, server_health.database_name()))
    if wanted.once:
        outcomes = clock.tick(telemetry.utc_now())
        failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
        write(
            f"fairlens worker: {len(outcomes) - len(failed)} jobs done, failed: {', '.join(failed) or 'none'}\n"
        )
        return BREACHED if failed else PASSED
    # Blocked before the thread is there, which then never gets one: only the wait below does.
    asked = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, asked)
    clock.ensure_running()
    number = signal.sigwait(asked)
    for one in asked:
        signal.signal(one, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, asked)
    write(f"fairlens worker: {signal.Signals(number).name}, ends after the job under way\n")
    clock.leave()
    write("fairlens worker: ended\n")
    return PASSED


def _status(clock: Any, database: str) -> str:
    return (
        f"fairlens worker {socket.gethostname()}:{os.getpid()} on {database}, a tick every {clock.interval_s:g} s:"
        f" {', '.join(clock.jobs)}\n"
    )
