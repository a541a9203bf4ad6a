"""Series from the audits that were kept."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from fairlens_backend.core.drift.series import Check, Series, variance_of_interval
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.errors import InvalidInput

# It is itself what the CUSUM of metric 1 says: a series of it would be looked at twice.
_NOT_A_SERIES = frozenset({"temporal_drift_index"})


def series_of_audits(
    audits: Iterable[Mapping[str, Any]],
    *,
    metrics: Collection[str] | None = None,
    attributes: Collection[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> list[Series]:
    """The series of every (model, attribute, metric) of some audits.

    Parameters
    ----------
    audits : BiasAuditResults, in any order; of two of one window the later made counts, as a revision does
    metrics, attributes : those wanted; None for all. A name that does not occur gives no series
    thresholds : limits by metric that replace those kept with the newest audit

    Returns
    -------
    by model, attribute, metric. A check's time is the end of its window, else when it was made; its value the signed one
    where the limit is ±, its variance that of its interval, its n the rows of the groups compared.

    Raises
    ------
    InvalidInput
        An audit has no time.
    """
    found: dict[tuple[str, str, str], list[tuple[Check, float]]] = {}
    timed = sorted(((_made(audit), audit) for audit in audits), key=lambda pair: pair[0])
    for made, audit in timed:
        end, start = _time(audit.get("window_end")) or made, _time(audit.get("window_start"))
        for attribute, figures in audit["attributes"].items():
            if attributes is not None and attribute not in attributes:
                continue
            for name, figure in figures.items():
                known = name in METRICS_BY_NAME and name not in _NOT_A_SERIES
                if not known or (metrics is not None and name not in metrics):
                    continue
                check = _check(figure, METRICS_BY_NAME[name].breached_when == "outside", end, start)
                key = (str(audit.get("model_id", "")), attribute, name)
                found.setdefault(key, []).append((check, float(figure["threshold"])))
    limits = dict(thresholds or {})
    return [
        Series(
            model,
            attribute,
            metric,
            limits.get(metric, found[model, attribute, metric][-1][1]),
            METRICS_BY_NAME[metric].breached_when,
            [check for check, _ in found[model, attribute, metric]],
        )
        for model, attribute, metric in sorted(found)
    ]


def _check(figure: Mapping[str, Any], signed: bool, end: datetime, start: datetime | None) -> Check:
    value = figure["signed"] if signed else figure["value"]
    return Check(
        end,
        None if value is None else float(value),
        variance_of_interval(value, figure.get("confidence_interval")),
        sum(figure.get("sample_sizes", {}).values()),
        figure["status"],
        figure.get("reason"),
        start,
    )


def _made(audit: Mapping[str, Any]) -> datetime:
    made = _time(audit.get("audit_timestamp")) or _time(audit.get("window_end"))
    if made is None:
        raise InvalidInput(
            f"the audit {audit.get('audit_id')!r} has no time",
            field="audit_timestamp",
            expected="an ISO time with a zone",
        )
    return made


def _time(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        time = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo is not None else None
