"""The last checks of a model as a series: moving average, velocity, breakpoints, pre-alert, prediction (STATISTICS section 5).

The values are those of the stored figures, as `drift_reader` reads them: of several attributes the worst, and of checks that
share rows, or of one that was made anew, one. A record that has no figures, such as one of `log_to_db`, speaks for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fairlens_backend import audit_runner, compliance_logger, fairness_predictor, ledger_keeper, telemetry
from fairlens_backend.audit_record import SHORT_METRICS
from fairlens_backend.core.drift import trend as trend_room
from fairlens_backend.core.drift.breakpoints import breakpoints
from fairlens_backend.core.drift.series import Check, Series
from fairlens_backend.core.metrics import METRICS
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import audits, checks, figures, schedules
from fairlens_backend.storage.session import read_snapshot, unit_of_work

DEFAULT_TENANT = "default"
DEFAULT_MODEL = "loan_model"
ALWAYS_MEASURED = ("sample_size", "severity", "alert", "message")
METRIC_OF_SHORT = {metric.short_name: metric for metric in METRICS}
LOOKED_AT = 4
"""Records read for each check that is asked for: an hour that is audited every quarter of an hour is one check of four."""
_FIRST, _APART = datetime(1970, 1, 1, tzinfo=UTC), timedelta(hours=1)


@dataclass(frozen=True)
class _Point:
    """A record and its value of a metric; the attribute is None where the record has no figures."""

    record: Mapping[str, Any]
    value: float | None
    standard_error: float | None
    attribute: str | None

    def shown(self) -> dict[str, Any]:
        """As a value of the trend."""
        said = {name: self.record[name] for name in ("record_id", "timestamp", "model")}
        said |= {"value": self.value, "attribute": self.attribute}
        return {**said, "severity": self.record["severity"], "alert": self.record["alert"]}


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
        **{name: metrics.get(name) for name in (*SHORT_METRICS, "female_rate", "male_rate")},
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
    return _mean(_known(_points(metric, window, model, tenant)))


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
    threshold : None for the model's own, or the metric's where it has none. A ratio is beyond it when under; the others when
        their size is over.
    horizon : checks to look ahead

    Returns
    -------
    dict of pre_alert (None when there are fewer than two checks with a value: unknown, not fair), reasons,
    moving_average, velocity (later half's mean − earlier half's, per check), projected, threshold, n_checks
    """
    described = _metric(metric)
    threshold = _limit(metric, model, tenant) if threshold is None else threshold
    points = _points(metric, window, model, tenant)
    answer = {"metric": metric, "model": model, "window": window, "threshold": threshold, "horizon": horizon}
    checks_ = [Check(_FIRST + place * _APART, point.value) for place, point in enumerate(points)]
    series = Series("", "", described.name, threshold, described.breached_when, checks_)
    said = trend_room.pre_alert(series, max(1, len(points)), horizon)
    if said["pre_alert"] is None:
        reason = (
            f"{said['n_checks']} of the last {len(points)} checks have a {metric}, at least 2 are needed: "
            "this says nothing about fairness"
        )
        blank = dict.fromkeys(("pre_alert", "moving_average", "velocity", "projected"))
        return {**answer, **blank, "reasons": [reason], "n_checks": said["n_checks"]}
    return {
        **answer,
        "pre_alert": said["pre_alert"],
        "reasons": [reason.rstrip(".") for reason in said["reasons"]],
        "moving_average": said["moving_average"],
        "velocity": said["velocity"],
        "projected": said["projected"],
        "n_checks": said["n_checks"],
    }


def velocity(values: list[float]) -> float:
    """Mean of the later half minus mean of the earlier half, per check; the middle value of an odd number is in neither.

    Examples
    --------
    >>> velocity([0.9, 0.9, 0.8, 0.8])
    -0.05
    """
    return trend_room.velocity(values) or 0.0


def trend(metric: str, window: int, *, model: str | None, tenant: str) -> dict[str, Any]:
    """Recent values with their records, the moving average, the velocity and where the level changed."""
    found = _points(metric, window, model, tenant)
    known = [(place, point.value) for place, point in enumerate(found) if point.value is not None]
    values = [value for _, value in known]
    return {
        "metric": metric,
        "model": model,
        "window": window,
        "n_checks": len(found),
        "n_undefined": len(found) - len(values),
        "values": [
            {**point.shown(), "moving_average": _mean(_known(found[: place + 1]))}
            for place, point in enumerate(found)
        ],
        "moving_average": _mean(values),
        "velocity": velocity(values) if len(values) > 1 else None,
        "breakpoints": [found[known[place][0]].record["record_id"] for place in breakpoints(values)],
        "threshold": _limit(metric, model, tenant),
    }


def predict(
    window: int, *, model: str | None, tenant: str, threshold: float | None, horizon: int
) -> dict[str, Any]:
    """Where the disparate impact ratio will be after `horizon` more checks (`fairness_predictor.predict_drift`).

    Parameters
    ----------
    threshold : None for the model's own, or 0.8 where it has none
    """
    threshold = _limit("dir", model, tenant) if threshold is None else threshold
    points = _points("dir", window, model, tenant)
    predicted = fairness_predictor.predict_drift(
        [point.value for point in points],
        variances=[None if point.standard_error is None else point.standard_error**2 for point in points],
        threshold=threshold,
        horizon=horizon,
    )
    return {"metric": "dir", "model": model, "window": window, **predicted}


def require_checks(model: str | None, tenant: str) -> None:
    """Refuse a model of which nothing is stored; `NotFound` names it."""
    if model is not None and not get_recent(1, model=model, tenant=tenant):
        raise NotFound(f"No check of a model {model!r} is stored.", field="model", got=model)


def _metric(short_name: str) -> Any:
    if short_name not in METRIC_OF_SHORT:
        known = ", ".join(SHORT_METRICS)
        raise InvalidInput(
            f"metric is {short_name!r}, one of {known} was expected.",
            field="metric",
            got=short_name,
            expected=known,
        )
    return METRIC_OF_SHORT[short_name]


def _limit(metric: str, model: str | None, tenant: str) -> float:
    """The limit that a model's audits on the clock are held to: its schedule's, else its own, else the metric's."""
    described = _metric(metric)
    if model is None:
        return float(described.threshold)
    with read_snapshot():
        schedule = schedules.find(tenant, model)
        asked = {} if schedule is None else schedule.policy or {}
    policy = audit_runner.settle(tenant, model, None, asked, registered=False).policy
    return policy.threshold(described.name)


def _points(metric: str, window: int, model: str | None, tenant: str) -> list[_Point]:
    """The last `window` checks, oldest first."""
    described = _metric(metric)
    with read_snapshot():
        records = checks.recent(tenant, model=model, window=window * LOOKED_AT)
        figures_of = figures.of_audits(tenant, [row["audit_id"] for row in records], described.name)
    found = []
    for record in records:
        kept = figures_of.get(record["audit_id"])
        if kept is None:
            own = record[metric]
            # The record of a difference has its sign, its figures have it only where the limit is on either side.
            unsigned = own is not None and described.breached_when == "above"
            found.append(_Point(record, abs(own) if unsigned else own, None, None))
            continue
        apart = [figure for figure in kept if figure.apart]
        known = [(figure.value, figure) for figure in apart if figure.value is not None]
        if not apart:
            continue
        if not known:
            found.append(_Point(record, None, None, None))
            continue
        side = 1 if described.breached_when == "below" else -1
        value, worst = min(known, key=lambda pair: side * (pair[0] if side > 0 else abs(pair[0])))
        found.append(_Point(record, value, worst.standard_error, worst.attribute))
    return found[-window:]


def _known(points: Sequence[_Point]) -> list[float]:
    return [point.value for point in points if point.value is not None]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
