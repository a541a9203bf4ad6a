"""Audits from before there were figures get theirs, from their stored results, so that their series can be read.

Revision ID: 0010
Revises: 0009
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AT_ONCE = 200
Z95 = 1.959963984540054
# The metrics of counts that were kept as series when this was written; of those with a limit on either side the signed value.
SIGNED = (
    "statistical_parity_difference",
    "false_positive_rate_difference",
    "false_negative_rate_difference",
)
KEPT = (
    *SIGNED,
    "demographic_parity_difference",
    "equalized_odds_difference",
    "equal_opportunity_difference",
    "disparate_impact_ratio",
    "average_odds_difference",
    "statistical_parity_subgroup_lift",
    "predictive_parity_difference",
    "calibration_gap",
    "theil_index",
)

audits = sa.table(
    "audits",
    sa.column("audit_id", sa.String),
    sa.column("tenant", sa.String),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("result", sa.JSON),
)
checks = sa.table(
    "fairness_checks",
    sa.column("id", sa.BigInteger),
    sa.column("audit_id", sa.String),
    sa.column("model", sa.String),
    sa.column("model_version", sa.String),
    sa.column("timestamp", sa.DateTime(timezone=True)),
)
figures = sa.table(
    "audit_figures",
    *(sa.column(name, sa.String) for name in ("audit_id", "tenant", "model", "model_version", "attribute")),
    *(sa.column(name, sa.String) for name in ("metric", "status", "severity")),
    *(sa.column(name, sa.DateTime(timezone=True)) for name in ("at", "window_start")),
    *(sa.column(name, sa.Boolean) for name in ("apart", "known")),
    *(sa.column(name, sa.Float) for name in ("value", "lower", "upper", "standard_error", "threshold")),
    sa.column("n", sa.BigInteger),
)


def upgrade() -> None:
    """Read each audit without figures, the oldest first, and keep its figures; a window that shares rows is not apart."""
    if op.get_context().as_sql:
        return  # written as SQL there is no database whose audits could be read
    ends: dict[tuple[str, ...], datetime] = {}
    for row in _without_figures():
        result = row.result or {}
        made = []
        start, end = _time(result.get("window_start")), _time(result.get("window_end"))
        at = end or _time(row.timestamp)
        for attribute in result.get("protected_attributes") or ():
            series = (row.tenant, row.model, attribute)
            last = ends.get(series)
            apart = start is None or last is None or last <= start
            if apart:
                ends[series] = max(at, last or at)
            for name, figure in (result.get("attributes") or {}).get(attribute, {}).items():
                if name in KEPT and figure.get("threshold") is not None:
                    made.append(
                        {**_figure(name, figure), **_whose(row, attribute, at, start), "apart": apart}
                    )
        if made:
            op.get_bind().execute(sa.insert(figures), made)


def downgrade() -> None:
    """They stay: figures of old audits harm nobody."""


def _without_figures() -> Iterator[Any]:
    last = 0
    while True:
        wanted = (
            sa.select(
                checks.c.id, checks.c.model, checks.c.model_version, checks.c.timestamp,
                audits.c.audit_id, audits.c.tenant, audits.c.result,
            )
            .join(audits, audits.c.audit_id == checks.c.audit_id)
            .where(
                checks.c.id > last,
                ~sa.exists(sa.select(figures.c.audit_id).where(figures.c.audit_id == audits.c.audit_id)),
            )
            .order_by(checks.c.id)
            .limit(AT_ONCE)
        )  # fmt: skip
        rows = op.get_bind().execute(wanted).all()
        yield from rows
        if len(rows) < AT_ONCE:
            return
        last = rows[-1].id


def _whose(row: Any, attribute: str, at: datetime, start: datetime | None) -> dict[str, Any]:
    return {
        "audit_id": row.audit_id,
        "tenant": row.tenant,
        "model": row.model,
        "model_version": row.model_version,
        "attribute": attribute,
        "at": at,
        "window_start": start,
    }


def _figure(name: str, figure: dict[str, Any]) -> dict[str, Any]:
    value = figure.get("signed" if name in SIGNED else "value")
    interval = figure.get("confidence_interval") or {}
    lower, upper = interval.get("lower"), interval.get("upper")
    error = None
    if None not in (value, lower, upper):
        arm = max(upper - value, value - lower)
        error = arm / Z95 if arm > 0 else None
    return {
        "metric": name,
        "value": value,
        "lower": lower,
        "upper": upper,
        "standard_error": error,
        "n": sum((figure.get("sample_sizes") or {}).values()),
        "threshold": figure["threshold"],
        "status": figure.get("status") or "ok",
        "severity": figure.get("severity") or "UNKNOWN",
        "known": value is not None,
    }


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
