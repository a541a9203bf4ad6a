"""Audits to be observed, made by the real assessment, and what came of them."""

import functools
from datetime import UTC, datetime, timedelta
from typing import Any

from fairlens_backend import alert_manager, telemetry
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.policy import Policy
from fairlens_backend.storage.alert_tables import Alert
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work
from fairlens_backend.storage.tables import OutboxMessage

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TENANT = "acme"
RATIO = "disparate_impact_ratio"
FAIR, NEARLY, UNFAIR, WORSE = 40, 32, 28, 10
"""Of 100 women selected, beside 40 of 100 men: a ratio of 1, 0.8, 0.7 (HIGH where significant), 0.25 (CRITICAL)."""


def at(hours: float) -> datetime:
    """So many hours after the beginning."""
    return NOW + timedelta(hours=hours)


@functools.cache
def assessment(women: int, size: int, attribute: str) -> dict[str, Any]:
    """`women` of 100 and 40 of 100, ten times over where `size` is 1,000, so that a gap is more than chance."""
    times = size // 100
    table = CountTable.from_arrays(
        {attribute: ["Female"] * size + ["Male"] * size},
        decision=[1] * women * times + [0] * (size - women * times) + [1] * 40 * times + [0] * 60 * times,
    )
    return assess(table, policy=Policy(), n_resamples=0)


def result(
    women: int,
    hour: float = 0,
    *,
    size: int = 1000,
    attribute: str = "gender",
    model: str = "loan",
    window_h: float | None = None,
) -> dict[str, Any]:
    """A BiasAuditResult; with `window_h` of the window of so many hours that ends at `hour`."""
    return {
        "model": model,
        "model_version": "2",
        "audit_id": f"aud_{hour}",
        "audit_timestamp": telemetry.timestamp(at(hour)),
        "window_start": telemetry.timestamp(at(hour - window_h)) if window_h else None,
        "window_end": telemetry.timestamp(at(hour)) if window_h else None,
        **assessment(women, size, attribute),
    }


def observe(
    women: int, hour: float = 0, *, seen: float | None = None, tenant: str = TENANT, **given: Any
) -> list[str]:
    """Let an audit be observed at `hour` (or later, at `seen`)."""
    with unit_of_work():
        return alert_manager.observe(
            tenant, result(women, hour, **given), f"rec_{hour}", at(hour if seen is None else seen)
        )


def rows(tenant: str = TENANT, metric: str | None = RATIO) -> list[Alert]:
    """The alerts, oldest first; of the ratio alone where nothing else is said."""
    with read_snapshot():
        found = current_session().query(Alert).filter_by(tenant=tenant).order_by(Alert.id).all()
        return [row for row in found if metric in (None, row.metric)]


def the_alert() -> Alert:
    """The only alert of the ratio."""
    (row,) = rows()
    return row


def told(kind: str | None = None) -> list[dict[str, Any]]:
    """The messages put out, oldest first: their facts, target and id."""
    with read_snapshot():
        found = current_session().query(OutboxMessage).order_by(OutboxMessage.id).all()
        messages = [
            {**row.payload, "target": row.target, "message_id": row.message_id, "row": row} for row in found
        ]
    return [one for one in messages if kind in (None, one["kind"])]


def kinds() -> list[str]:
    """Of the messages put out, oldest first."""
    return [one["kind"] for one in told()]
