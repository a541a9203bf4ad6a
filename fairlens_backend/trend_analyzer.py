"""The last checks of a model as a series: moving average, velocity, breakpoints, pre-alert, prediction (STATISTICS section 5)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fairlens_backend import audit_runner, compliance_logger, fairness_predictor, ledger_keeper, telemetry
from fairlens_backend.core.drift.breakpoints import breakpoints
from fairlens_backend.core.metrics import METRICS
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import audits, checks
from fairlens_backend.storage.session import read_snapshot, unit_of_work

DEFAULT_TENANT = "default"
DEFAULT_MODEL = "loan_model"
LEVEL_ALREADY_UNDER = "the moving average is beyond the threshold"
ALWAYS_MEASURED = ("sample_size", "severity", "alert", "message")
METRIC_OF_SHORT = {metric.short_name: metric for metric in METRICS}


def log_to_db(
    metrics: Mapping[str, Any],
    *,
    model: str = DEFAULT_MODEL,
    version: str = audit_runner.UNVERSIONED,
    tenant: str = DEFAULT_TENANT,
    drift_level: float | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Keep the result of `compute_all_metrics` as a check, with its evidence.

    Parameters
    ----------
    metrics : what `fairness_metrics.compute_all_metrics` gave

    Returns
    -------
    the record that was kept

    Raises
    ------
    InvalidInput : what `compute_all_metrics` always gives is missing; the error names it
    """
    missing = [name for name in ALWAYS_MEASURED if name not in metrics]
    if missing:
        raise InvalidInput(
            f"metrics lacks {', '.join(missing)}; the result of compute_all_metrics was expected.",
            field=f"metrics.{missing[0]}",
            expected="the result of compute_all_metrics",
        )
    now = now or telemetry.utc_now()
    audit_id, record_id = audit_runner.new_id("aud", now), audit_runner.new_id("rec", now)
    result, counts = dict(metrics), dict[str, Any]()
    check = {
        "record_id": record_id,
        "tenant": tenant,
        "model": model,
        "model_version": version,
        "audit_id": audit_id,
        "sample_size": metrics["sample_size"],
        "severity": metrics["severity"],
        "alert": metrics["alert"],
        **{name: metrics.get(name) for name in (*audit_runner.SHORT_METRICS, "female_rate", "male_rate")},
        "drift_level": drift_level,
        "audit_sha256": compliance_logger.audit_digest(result, counts),
        "alert_text": metrics["message"] if metrics["alert"] else None,
    }
    with unit_of_work():
        audits.insert(audit_id, tenant, result, counts, now)
        record = compliance_logger.log_event(check, now=now)
        ledger_keeper.record_check(tenant, record, now)
    compliance_logger.publish()
    return record


def get_recent(
    window: int = 20, *, model: str | None = None, tenant: str = DEFAULT_TENANT
) -> list[dict[str, Any]]:
    """The last `window` checks, oldest first; of one model, or of all."""
    with read_snapshot():
        return checks.recent(tenant, model=model, window=window)


def history(
    tenant: str, *, limit: int, cursor: str | None, model: str | None, alert: bool | None
) -> dict[str, Any]:
    """One page of records, newest first: `items`, and `next_cursor`, None on the last page.

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    with read_snapshot():
        rows, next_cursor = checks.list_checks(tenant, limit=limit, cursor=cursor, model=model, alert=alert)
    return {"items": rows, "next_cursor": next_cursor}


def rolling_average(
    metric: str, window: int = 10, *, model: str | None = None, tenant: str = DEFAULT_TENANT
) -> float | None:
    """The mean of a metric over the last `window` checks that have it; None when none has."""
    values = _known(_series(metric, window, model, tenant))
    return sum(values) / len(values) if values else None


def pre_alert_check(
    metric: str = "dir",
    threshold: float | None = None,
    window: int = 10,
    *,
    horizon: int = 5,
    model: str | None = None,
    tenant: str = DEFAULT_TENANT,
) -> dict[str, Any]:
    """Whether the average is beyond the threshold, or on its way there within `horizon` checks.

    Parameters
    ----------
    threshold : None for the metric's own. A ratio is beyond it when under; the others when their size is over.
    horizon : checks to look ahead

    Returns
    -------
    dict of pre_alert (None when there are fewer than two checks with a value: unknown, not fair), reasons,
    moving_average, velocity (later half's mean − earlier half's, per check), projected, threshold, n_checks
    """
    described = _metric(metric)
    threshold = described.threshold if threshold is None else threshold
    series = _series(metric, window, model, tenant)
    values = _known(series)
    if described.breached_when != "below":
        values = [abs(value) for value in values]
    answer = {"metric": metric, "model": model, "window": window, "threshold": threshold, "horizon": horizon}
    if len(values) < 2:
        reason = (
            f"{len(values)} of the last {len(series)} checks have a {metric}, at least 2 are needed: "
            "this says nothing about fairness"
        )
        blank = dict.fromkeys(("pre_alert", "moving_average", "velocity", "projected"))
        return {**answer, **blank, "reasons": [reason], "n_checks": len(values)}
    average = sum(values) / len(values)
    speed = velocity(values)
    projected = max(0.0, average + speed * horizon)  # neither a ratio nor a size is under 0
    # Toward the threshold: a ratio falls, the others grow.
    side = -1 if described.breached_when == "below" else 1
    reasons = []
    if side * (average - threshold) > 1e-9:
        reasons.append(f"{LEVEL_ALREADY_UNDER}: {average:.3f} against {threshold:g}")
    elif side * speed > 0 and side * (projected - threshold) > 1e-9:
        reasons.append(
            f"at {speed:+.4f} a check the average of {average:.3f} passes {threshold:g} within {horizon} checks"
        )
    return {
        **answer,
        "pre_alert": bool(reasons),
        "reasons": reasons
        or [f"the moving average of {average:.3f} is within {threshold:g} and is not heading there"],
        "moving_average": average,
        "velocity": speed,
        "projected": projected,
        "n_checks": len(values),
    }


def velocity(values: list[float]) -> float:
    """Mean of the later half minus mean of the earlier half, per check; the middle value of an odd number is in neither.

    Examples
    --------
    >>> velocity([0.9, 0.9, 0.8, 0.8])
    -0.05
    """
    half = len(values) // 2
    if half == 0:
        return 0.0
    gap = sum(values[-half:]) / half - sum(values[:half]) / half
    # The centres of the halves are n − half checks apart.
    return round(gap / (len(values) - half), 12)


def trend(metric: str, window: int, *, model: str | None, tenant: str) -> dict[str, Any]:
    """Recent values with their records, the moving average, the velocity and where the level changed."""
    _metric(metric)
    rows = get_recent(window, model=model, tenant=tenant)
    series = [row[metric] for row in rows]
    known = [(place, value) for place, value in enumerate(series) if value is not None]
    values = [value for _, value in known]
    points = [
        {
            "record_id": row["record_id"],
            "timestamp": row["timestamp"],
            "model": row["model"],
            "value": row[metric],
            "moving_average": _mean(_known(series[: place + 1])),
            "severity": row["severity"],
            "alert": row["alert"],
        }
        for place, row in enumerate(rows)
    ]
    return {
        "metric": metric,
        "model": model,
        "window": window,
        "n_checks": len(rows),
        "n_undefined": len(rows) - len(values),
        "values": points,
        "moving_average": _mean(values),
        "velocity": velocity(values) if len(values) > 1 else None,
        "breakpoints": [rows[known[place][0]]["record_id"] for place in breakpoints(values)],
        "threshold": _metric(metric).threshold,
    }


def predict(window: int, *, model: str | None, tenant: str, threshold: float, horizon: int) -> dict[str, Any]:
    """Where the disparate impact ratio will be after `horizon` more checks (`fairness_predictor.predict_drift`)."""
    series = _series("dir", window, model, tenant)
    predicted = fairness_predictor.predict_drift(series, threshold=threshold, horizon=horizon)
    return {"metric": "dir", "model": model, "window": window, **predicted}


def require_checks(model: str | None, tenant: str) -> None:
    """Refuse a model of which nothing is stored; `NotFound` names it."""
    if model is not None and not get_recent(1, model=model, tenant=tenant):
        raise NotFound(f"No check of a model {model!r} is stored.", field="model", got=model)


def _metric(short_name: str) -> Any:
    if short_name not in METRIC_OF_SHORT:
        known = ", ".join(audit_runner.SHORT_METRICS)
        raise InvalidInput(
            f"metric is {short_name!r}, one of {known} was expected.",
            field="metric",
            got=short_name,
            expected=known,
        )
    return METRIC_OF_SHORT[short_name]


def _series(metric: str, window: int, model: str | None, tenant: str) -> list[float | None]:
    _metric(metric)
    return [row[metric] for row in get_recent(window, model=model, tenant=tenant)]


def _known(series: list[float | None]) -> list[float]:
    return [value for value in series if value is not None]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
