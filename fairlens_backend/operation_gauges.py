"""What the operator watches: audits, freshness, alerts, messages, jobs, counts, Redis, disk; as families for Prometheus.

These are figures of the whole installation, read from its rows: every server of it gives the same ones, so take `max` over
servers. What a server counts itself (`gauges`) adds up: take `sum`.
"""

import shutil
from collections.abc import Callable
from datetime import datetime
from typing import Final

from prometheus_client.metrics_core import Metric

from fairlens_backend import (
    __version__,
    config,
    counts_gauge,
    gauges,
    job_runner,
    schedule_keeper,
    self_check,
    telemetry,
)
from fairlens_backend.errors import FairLensError
from fairlens_backend.storage import heartbeats, outbox, overview, redis_link
from fairlens_backend.storage.session import read_snapshot, unit_of_work

CLOCK: Final = "clock"
MAX_MODELS: Final = 2_000
MAX_ROUNDS: Final = 20


def exposition(now: datetime, accept: str) -> tuple[bytes, str]:
    """Everything about this server and its installation as Prometheus reads it; and its content type.

    A part that does not answer leaves its families out, and says so in `fairlens_part_up`: the others are wanted then most of all.
    """
    families: list[Metric] = gauges.gauges(
        "fairlens_build_info", "The version that runs.", ("version",), [((__version__,), 1)]
    )
    up: dict[str, float] = {}
    for name, part in PARTS.items():
        try:
            families += part(now)
        except (FairLensError, OSError) as error:
            telemetry.log("GAUGE_FAILED", level="warning", part=name, error=type(error).__name__)
            up[name] = 0
        else:
            up[name] = 1
    families += gauges.gauges(
        "fairlens_part_up",
        "Whether a part of the server could be asked.",
        ("part",),
        [((name,), value) for name, value in up.items()],
    )
    return gauges.text_of(families, accept, with_counted=True)


def tally(now: datetime) -> int:
    """Carry the sums of audits on; how many audits. For the clock: what is read at a scrape stays bounded by it."""
    done = 0
    for _ in range(MAX_ROUNDS):
        with read_snapshot():
            if not overview.audits_waiting():
                break
        with unit_of_work():
            done += overview.tally_audits()
    return done


def _audits(now: datetime) -> list[Metric]:
    with read_snapshot():
        severities, letters = overview.audits_by_severity(), overview.dead_letters()
    return gauges.counters(
        "fairlens_audits",
        "Audits recorded, by severity.",
        ("severity",),
        [((severity,), n) for severity, n in sorted(severities.items())],
    ) + gauges.gauge(
        "fairlens_dead_letters", "Events that wait to be mended; 100000 stands for more.", letters
    )


def _freshness(now: datetime) -> list[Metric]:
    found = schedule_keeper.freshness(by_model=True)
    models = found["models"][:MAX_MODELS]

    def by_model(name: str, told: str, key: str) -> list[Metric]:
        known = [one for one in models if one[key] is not None]
        return gauges.gauges(
            name,
            told,
            ("tenant", "model"),
            [((one["tenant"], one["model"]), float(one[key])) for one in known],
        )

    return [
        *gauges.gauge(
            "fairlens_audit_age_seconds",
            "Seconds since the last audit on the clock, of any model.",
            found["last_audit_age_s"],
        ),
        *gauges.gauge("fairlens_schedules", "Models that are audited on the clock.", found["schedules"]),
        *gauges.gauge(
            "fairlens_schedules_overdue", "Of them, those whose next audit is late.", found["overdue"]
        ),
        *gauges.gauge(
            "fairlens_schedules_failing", "Of them, those whose last audit failed.", found["failing"]
        ),
        *gauges.gauge(
            "fairlens_windows_behind", "Windows that are due and not audited.", found["windows_behind"]
        ),
        *by_model(
            "fairlens_model_audit_age_seconds",
            "Seconds since a model's last audit on the clock.",
            "last_audit_age_s",
        ),
        *by_model(
            "fairlens_model_windows_behind",
            "Windows of a model that are due and not audited.",
            "windows_behind",
        ),
    ]


def _alerts(now: datetime) -> list[Metric]:
    with read_snapshot():
        alerts, waiting = overview.alerts_by_state(), outbox.health(now)
    return [
        *gauges.gauges(
            "fairlens_alerts", "Alerts that are not resolved.", ("severity", "state"), sorted(alerts.items())
        ),
        *gauges.gauges(
            "fairlens_outbox_messages",
            "Messages that wait to be delivered, and those set aside as undeliverable.",
            ("state",),
            [(("pending",), waiting["pending"]), (("dead",), waiting["dead"])],
        ),
        *gauges.gauge(
            "fairlens_outbox_oldest_seconds",
            "Age of the oldest message that waits; 0 without one.",
            waiting["oldest_pending_s"] or 0,
        ),
    ]


def _jobs(now: datetime) -> list[Metric]:
    found = job_runner.health(now)
    if found["status"] == "failed":
        raise OSError(found["reason"])
    return [
        *gauges.gauges(
            "fairlens_jobs",
            "Background jobs that have not ended, and those that were given up.",
            ("state",),
            [((state,), found[state]) for state in ("waiting", "running", "dead")],
        ),
        *gauges.gauge(
            "fairlens_jobs_overdue_seconds",
            "Seconds that the oldest job that is due has waited; 0 without one.",
            found["overdue_s"],
        ),
    ]


def _counts(now: datetime) -> list[Metric]:
    found = counts_gauge.health(now)
    return [
        *gauges.gauge(
            "fairlens_counted_days", "Days of counts that are compared with their raw rows.", found["days"]
        ),
        *gauges.gauge("fairlens_counted_days_due", "Of them, those whose comparison is due.", found["due"]),
        *gauges.gauge(
            "fairlens_counted_days_mismatched",
            "Of them, those whose counts were not those of their rows.",
            found["mismatches"],
        ),
    ]


def _ledger(now: datetime) -> list[Metric]:
    found = self_check.health(now)
    if found.get("checked_age_s") is None:
        return []
    return [
        *gauges.gauge(
            "fairlens_ledger_check_failed",
            "Whether the last check of the stored ledger found it altered.",
            float(found["status"] == "failed"),
        ),
        *gauges.gauge(
            "fairlens_ledger_check_age_seconds",
            "Seconds since the stored ledger was last checked whole.",
            found["checked_age_s"],
        ),
        *gauges.gauge("fairlens_ledger_checked_entries", "Entries that it read.", found["entries"]),
    ]


def _clock(now: datetime) -> list[Metric]:
    with read_snapshot():
        last = heartbeats.last_beat(CLOCK)
    age_s = None if last is None else max(0.0, (now - last).total_seconds())
    return gauges.gauge(
        "fairlens_clock_age_seconds", "Seconds since some process's clock last finished a round.", age_s
    )


def _redis(now: datetime) -> list[Metric]:
    if not redis_link.configured():
        return []
    return gauges.gauge("fairlens_redis_up", "Whether Redis answers.", float(redis_link.up()))


def _disk(now: datetime) -> list[Metric]:
    free = shutil.disk_usage(config.current().data_path).free
    return gauges.gauge("fairlens_disk_free_bytes", "Bytes free where DATA_DIR is.", free)


PARTS: Final[dict[str, Callable[[datetime], list[Metric]]]] = {
    "audits": _audits,
    "freshness": _freshness,
    "alerts": _alerts,
    "jobs": _jobs,
    "counts": _counts,
    "ledger": _ledger,
    "clock": _clock,
    "redis": _redis,
    "disk": _disk,
}
