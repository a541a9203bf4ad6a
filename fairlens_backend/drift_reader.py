"""A model's drift: series from the figures of its audits, what the detectors say of them, where a change comes from."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import count_history, drift_series
from fairlens_backend.audit_history import KEPT
from fairlens_backend.audit_record import SHORT_METRICS
from fairlens_backend.audit_runner import settle
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.analysis import analyse
from fairlens_backend.core.drift.cusum import BASELINE
from fairlens_backend.core.drift.decomposition import decompose_change
from fairlens_backend.core.drift.series import Check, Series, align, grain_hours
from fairlens_backend.core.drift.strata import Rate
from fairlens_backend.errors import InvalidInput
from fairlens_backend.schemas.backtest import BacktestRequest
from fairlens_backend.schemas.drift import DriftQuery
from fairlens_backend.storage import audits, figures
from fairlens_backend.storage.figures import Figure
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import Audit

MAX_SERIES: Final = 60
MAX_CHECKS: Final = 3_000
"""Newest checks of a series that are looked at, beside those of its baseline: 30 days of every quarter of an hour."""
ALL_CHECKS: Final = 15_000
"""Of all series of a call together, so that many of them are looked at less far back."""
MAX_DECOMPOSITIONS: Final = 20
RESAMPLES: Final = 400

BY_SHORT_NAME: Final = {metric.short_name: metric.name for metric in KEPT.values() if metric.short_name}
RATE_OF: Final[Mapping[str, Rate]] = {
    "equal_opportunity_difference": "true_positive_rate",
    "equalized_odds_difference": "true_positive_rate",
    "average_odds_difference": "true_positive_rate",
    "false_negative_rate_difference": "true_positive_rate",
    "false_positive_rate_difference": "false_positive_rate",
    "predictive_parity_difference": "precision",
}
"""The rate whose gap a metric is about; of the others it is the selection rate."""


def drift(tenant: str, model: str, wanted: DriftQuery, now: datetime) -> dict[str, Any]:
    """How each metric of each attribute has moved in a window, what that means, and where the change comes from.

    Detectors also see what lies before the window: the baseline is the model's first 20 checks, and of the others the
    newest 3,000, or less of many series. Checks that share rows with one before them are left out (`audit_history.past_gaps`).

    Returns
    -------
    model_id, since, until, window_days, source ("counts" where periods were summed and assessed exactly; "audits" where
        they were read as they were made, or nothing else is there), grain_hours, checks_per_series (how many of the newest were read), cut (whether a
    series has more than these in the window), status ("ok", or "insufficient_data" where no check of the window has
    a value: that is unknown, not fair), reason, series (one `core.drift.analysis.analyse` an attribute and metric),
    aligned (all of them on one grid of times), decomposition (`core.drift.decomposition.decompose_change` between first and
    last audit of the window, by every other attribute that both counted)

    Raises
    ------
    NotFound : no such model, neither registered nor ever audited
    InvalidInput : a metric, an attribute or a grain that does not exist, more than 60 series at once, a window that ends
        before it begins or has too many periods
    """
    since, until = asked_window(wanted, now)
    days = (until - since) / timedelta(days=1)
    metrics = metrics_named(wanted.metrics)
    grain = None if wanted.grain in (None, "audit") else _grain(wanted.grain)
    with read_snapshot():
        subject = settle(tenant, model, None, {}, registered=not audits.any_of_model(tenant, model))
        known_attributes = figures.attributes(tenant, model)
        if grain is not None:
            known_attributes = list(dict.fromkeys([*count_history.attributes_of(subject), *known_attributes]))
        attributes = _attributes(known_attributes, wanted.attribute)
        _check_size(len(attributes) * len(metrics))
        newest = min(MAX_CHECKS, ALL_CHECKS // max(1, len(attributes) * len(metrics)))
        rows = {
            (attribute, metric): figures.read(
                tenant, model, attribute, metric, since, until, first=BASELINE, newest=newest
            )
            for attribute in attributes
            for metric in metrics
        }
        parts = _decompositions(tenant, rows, since, metrics)
        counted = None
        if grain is not None:
            hours = grain_hours(grain)
            counted = drift_series.from_counts(subject, attributes, metrics, since, until, hours)
    every = [_series(model, *key, found) for key, found in rows.items()]
    if counted is not None:
        every, grain = list(counted.values()), None
    shown = [series.between(since, until) for series in every]
    known = any(one.known for one in shown)
    return {
        "model_id": model,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "window_days": days,
        "source": "audits" if counted is None else "counts",
        "grain_hours": every[0].grain_hours if counted else None if grain is None else grain_hours(grain),
        "checks_per_series": newest,
        "cut": counted is None and any(_is_cut(found, since, newest) for found in rows.values()),
        "status": "ok" if known else "insufficient_data",
        "reason": None if known else _nothing(model, days, shown, counted is not None),
        "series": [
            # What was said of checks long past is no answer about a window that has none.
            analyse(series, grain=grain, shown_since=since) if part.known else analyse(part, grain=grain)
            for series, part in zip(every, shown, strict=True)
        ],
        "aligned": {**align(shown, grain), **({"grain_hours": every[0].grain_hours} if counted else {})},
        "decomposition": parts,
    }


def asked_window(wanted: DriftQuery | BacktestRequest, now: datetime) -> tuple[datetime, datetime]:
    """From when until when somebody asks: `since` and `until`, or the days before now; `InvalidInput` names `since`."""
    until = min(wanted.until, now) if wanted.until else now
    since = wanted.since or until - timedelta(days=wanted.window_days)
    if since >= until:
        raise InvalidInput(
            f"since is {since.isoformat()}, a time before {until.isoformat()} was expected.",
            field="since",
            got=since.isoformat(),
            expected=f"a time before {until.isoformat()}",
        )
    return since, until


def metrics_named(text: str) -> list[str]:
    """The metrics of a list separated by commas, by long or short name; of an empty one those of the record.

    Examples
    --------
    >>> metrics_named("dir, theil_index")
    ['disparate_impact_ratio', 'theil_index']
    """
    names = [name.strip() for name in text.split(",") if name.strip()] or list(SHORT_METRICS)
    for name in names:
        if name not in KEPT and name not in BY_SHORT_NAME:
            known = ", ".join(KEPT)
            hint = " Metric 12 is itself the CUSUM of a series: see cusum_high and cusum_low."
            raise InvalidInput(
                f"metrics names {name!r}, some of {known} were expected.{hint if 'drift' in name else ''}",
                field="metrics",
                got=name,
                expected=f"some of {known}",
            )
    return list(dict.fromkeys(BY_SHORT_NAME.get(name, name) for name in names))


def _grain(text: str) -> int | str:
    grain = int(text) if text.isdecimal() and text.isascii() else text
    grain_hours(grain)
    return grain


def _attributes(known: Sequence[str], wanted: str | None) -> list[str]:
    if wanted is None or not known:
        return list(known)
    if wanted not in known:
        raise InvalidInput(
            f"Nothing of this model is counted by {wanted!r}; there are {', '.join(known)}.",
            field="attribute",
            got=wanted,
            expected=f"one of {', '.join(known)}",
        )
    return [wanted]


def _check_size(n_series: int) -> None:
    if n_series > MAX_SERIES:
        raise InvalidInput(
            f"These are {n_series} series, at most {MAX_SERIES} are looked at in one call: name metrics or an attribute.",
            field="metrics",
            got=n_series,
            expected=f"at most {MAX_SERIES} series",
        )


def _is_cut(rows: Sequence[Figure], since: datetime, newest: int) -> bool:
    """Whether the window begins before the newest checks that were read."""
    known = [row for row in rows if row.value is not None]
    return len(known) > newest and known[-newest].at > since


def _series(model: str, attribute: str, metric: str, rows: Sequence[Figure]) -> Series:
    described = KEPT[metric]
    checks = [
        Check(
            row.at,
            row.value,
            None if row.standard_error is None else row.standard_error**2,
            row.n,
            row.status,
            start=row.window_start,
        )
        for row in rows
    ]
    threshold = rows[-1].threshold if rows else described.threshold
    return Series(model, attribute, metric, threshold, described.breached_when, checks)


def _nothing(model: str, days: float, shown: Iterable[Series], counted: bool) -> str:
    checks = max((len(one.checks) for one in shown), default=0)
    hint = "" if counted else " With grain=hour or day, decisions are counted that no audit saw."
    window = f"the last {days:g} day{'' if days == 1 else 's'}"
    said = (
        f"None of {checks} checks has a value in {window}" if checks else f"No audit of {model} in {window}"
    )
    return f"{said}: whether it drifts is unknown, which does not mean fair.{hint}"


def _decompositions(
    tenant: str,
    rows: Mapping[tuple[str, str], Sequence[Figure]],
    since: datetime,
    metrics: Sequence[str],
) -> list[dict[str, Any]]:
    """For each attribute the change between first and last audit of the window, by rate and by other attribute."""
    rates = list(dict.fromkeys(RATE_OF.get(metric, "selection_rate") for metric in metrics))
    found: list[dict[str, Any]] = []
    for attribute in dict.fromkeys(name for name, _ in rows):
        inside = [
            row
            for (name, _), some in rows.items()
            if name == attribute
            for row in some
            if row.at > since and row.value is not None
        ]
        if not inside:
            continue
        first = min(inside, key=lambda row: (row.at, row.id)).audit_id
        last = max(inside, key=lambda row: (row.at, row.id)).audit_id
        ends = {"attribute": attribute, "from_audit": first, "to_audit": last}
        before, after = audits.find(first, tenant), audits.find(last, tenant)
        strata = _strata(attribute, before, after)
        if first == last or not strata:
            reason = (
                "The window has one audit: nothing has changed yet."
                if first == last
                else f"The two audits counted no other attribute together with {attribute}."
            )
            found.append({**ends, "status": "insufficient_data", "reason": reason})
            continue
        assert before is not None and after is not None
        tables = CountTable.from_dict(before.counts), CountTable.from_dict(after.counts)
        found += [
            {**ends, **_split(tables, after, attribute, stratum, rate)}
            for rate in rates
            for stratum in strata[: MAX_DECOMPOSITIONS - len(found)]
        ]
    return found[:MAX_DECOMPOSITIONS]


def _strata(attribute: str, before: Audit | None, after: Audit | None) -> list[str]:
    """The other attributes that both counted."""
    if before is None or after is None:
        return []
    there = set(before.counts["attributes"])
    return [name for name in after.counts["attributes"] if name in there and name != attribute]


def _split(
    tables: tuple[CountTable, CountTable], after: Audit, attribute: str, stratum: str, rate: Rate
) -> dict[str, Any]:
    """One decomposition, of the groups that the last audit compared."""
    opening = {"attribute": attribute, "stratum": [stratum], "rate": rate}
    compared = after.result["attributes"][attribute]["statistical_parity_difference"]["groups_compared"]
    if len(compared) != 2:
        return {**opening, "status": "insufficient_data", "reason": "The last audit compared no two groups."}
    try:
        return decompose_change(
            *tables,
            attribute=attribute,
            stratum=stratum,
            groups=(compared[0], compared[1]),
            rate=rate,
            n_resamples=RESAMPLES,
        )
    except InvalidInput as error:  # more strata than can be told apart
        return {**opening, "status": "insufficient_data", "reason": str(error)}
