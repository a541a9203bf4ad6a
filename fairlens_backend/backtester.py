"""A back-test of a model: its history is read, or counted anew where no audit was made, and settings are tried on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fairlens_backend import count_history
from fairlens_backend.audit_runner import POLICY_FIELDS, Subject, settle
from fairlens_backend.core.backtest import BacktestSettings, audits_of_windows, backtest, compare
from fairlens_backend.core.drift.backtest import DETECTORS, ChangePoint
from fairlens_backend.core.drift.backtest_words import series_sentences
from fairlens_backend.core.drift.drift_settings import BaselineWindow, DriftSettings
from fairlens_backend.core.policy_replay import StoredAudit
from fairlens_backend.count_history import Progress
from fairlens_backend.drift_reader import asked_window, metrics_named
from fairlens_backend.errors import InvalidInput
from fairlens_backend.schemas.backtest import BacktestRequest, TrialSettings
from fairlens_backend.storage import audits, figures
from fairlens_backend.storage.session import read_snapshot

MOST_WINDOWS: Final = 400
"""Windows that a request is tried on: some seconds of work."""
MOST_IN_TERMINAL: Final = 5_000
HOURS: Final = {"hour": 1, "day": 24}
# Of a stored result only what is judged anew is held in memory.
_NOT_NEEDED: Final = ("demographic_slices", "impact_ratio_tables", "sentences", "pairs")


@dataclass(frozen=True)
class _Told:
    """The history that was used, and what is said of it."""

    stored: list[StoredAudit]
    grain: str
    left_out: int
    attributes: list[str]
    uncounted: Sequence[str] = ()
    folded: Sequence[str] = ()


def run_backtest(
    tenant: str,
    model: str,
    wanted: BacktestRequest,
    now: datetime,
    *,
    most: int = MOST_WINDOWS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """How often, and how early, settings would have alerted on the stored history of a model. Nothing is written.

    Parameters
    ----------
    most : windows; of a longer history the newest are used, and the answer says how many are left out
    progress : called with windows done and windows in all while they are counted

    Returns
    -------
    dict
        model_id; status ("ok", or "insufficient_data" where nothing could be tried: no alarm is then no good news) and
        reason; history {source ("audits" or "counts"), grain, since, until, n_windows, n_decisions, left_out, attributes,
        sentence}; what `core.backtest.backtest` says of the settings; sentences; comparison, None or what
        `core.backtest.compare` says of both

    Raises
    ------
    NotFound : no such model, neither registered nor ever audited
    InvalidInput : a metric, an attribute or a setting that does not exist or is not possible, or a range that ends
        before it begins
    """
    since, until = asked_window(wanted, now)
    metrics = metrics_named(wanted.metrics)
    with read_snapshot():
        known = audits.any_of_model(tenant, model)
        first, subject = _settings(tenant, model, wanted.settings, known)
        second = _settings(tenant, model, wanted.compare, known)[0] if wanted.compare else None
        told = _history(subject, wanted, (since, until), first, most, progress)
    changes = None
    if wanted.changes is not None:
        changes = [ChangePoint(one.time, one.crosses) for one in wanted.changes]
    asked: dict[str, Any] = {
        "changes": changes,
        "metrics": metrics,
        "attributes": told.attributes,
        "detectors": wanted.detectors or DETECTORS,
        "audited": told.grain == "audit",
    }
    comparison = None
    if second is None:
        found = backtest(told.stored, first, **asked)
    else:
        comparison = compare(told.stored, first, second, **asked)
        found = comparison.pop("first")
    reason = _nothing(model, told, found)
    history = _described(told, (since, until))
    return {
        "model_id": model,
        "status": "insufficient_data" if reason else "ok",
        "reason": reason,
        "history": history,
        **found,
        "sentence": reason or found["sentence"],
        "sentences": [
            history["sentence"],
            *([reason] if reason else [found["sentence"]]),
            *(sentence for series in found["series"] for sentence in series_sentences(series)),
        ],
        "comparison": comparison,
    }


def _settings(
    tenant: str, model: str, trial: TrialSettings | None, known: bool
) -> tuple[BacktestSettings, Subject]:
    """What is to be tried: as registered but for what is given."""
    given = {} if trial is None else trial.model_dump(include=set(POLICY_FIELDS), exclude_none=True)
    subject = settle(tenant, model, None, given, registered=not known)
    drift = DriftSettings() if trial is None or trial.drift is None else trial.drift.settings()
    baseline = None
    if trial is not None and trial.baseline is not None:
        baseline = BaselineWindow(trial.baseline.since, trial.baseline.until)
    return BacktestSettings(policy=subject.policy, drift=drift, baseline=baseline), subject


def _history(
    subject: Subject,
    wanted: BacktestRequest,
    window: tuple[datetime, datetime],
    settings: BacktestSettings,
    most: int,
    progress: Progress | None,
) -> _Told:
    """The audits of the range; or, where that was asked for or there are too few, its counts."""
    audited = figures.attributes(subject.tenant, subject.model)
    names = [wanted.attribute] if wanted.attribute else audited
    if wanted.attribute and wanted.attribute not in {*audited, *count_history.attributes_of(subject)}:
        there = ", ".join(dict.fromkeys([*count_history.attributes_of(subject), *audited])) or "none"
        raise InvalidInput(
            f"attribute is {wanted.attribute!r}; the model's attributes are {there}.",
            field="attribute",
            got=wanted.attribute,
            expected=f"one of {there}",
        )
    if wanted.grain in (None, "audit"):
        ids = figures.audits_between(subject.tenant, subject.model, names, *window, newest=most + 1)
        if wanted.grain == "audit" or len(ids) > settings.drift.baseline:
            stored = [_slim(*pair) for pair in audits.with_ids(subject.tenant, ids[-most:])]
            return _Told(stored, "audit", max(0, len(ids) - most), names)
    begin = count_history.begin(subject.tenant, subject.model)
    attributes = [wanted.attribute] if wanted.attribute else count_history.attributes_of(subject)
    if begin is None or not attributes:
        return _Told([], wanted.grain or "audit", 0, attributes)
    since = max(begin, window[0])
    grain = wanted.grain or ("hour" if len(count_history.periods(since, window[1], 1)) <= most else "day")
    history = count_history.count(
        subject, since, window[1], HOURS[grain], attributes, most=most, progress=progress
    )
    if not history.n_decisions:
        return _Told([], grain, history.left_out, attributes, history.uncounted)
    assessed = audits_of_windows(history.windows, model=subject.model, policy=settings.policy)
    return _Told(assessed, grain, history.left_out, attributes, history.uncounted, history.folded)


def _slim(result: dict[str, Any], counts: Any) -> StoredAudit:
    kept = {name: value for name, value in result.items() if counts is None or name not in _NOT_NEEDED}
    return StoredAudit({"model_id": result["model"], **kept}, counts)


def _described(told: _Told, window: tuple[datetime, datetime]) -> dict[str, Any]:
    decisions = sum(int(one.result["sample_size"]) for one in told.stored)
    described = {
        "source": "audits" if told.grain == "audit" else "counts",
        "grain": told.grain,
        "since": window[0].isoformat(),
        "until": window[1].isoformat(),
        "n_windows": len(told.stored),
        "n_decisions": decisions,
        "left_out": told.left_out,
        "attributes": told.attributes,
    }
    what = "audits as they were made"
    if told.grain != "audit":
        what = f"{told.grain}s counted anew from the stored counts"
    said = f"History: {len(told.stored):,} {what}, with {decisions:,} decisions."
    if told.grain == "audit":
        said = f"History: {len(told.stored):,} {what}; their windows hold {decisions:,} decisions in all."
    if told.left_out:
        said += f" {_older(told)} left out, since these are as many as are tried at once."
    if told.uncounted:
        n = len(told.uncounted)
        said += f" {n:,} {told.grain}{'' if n == 1 else 's'} could not be counted; of the last: {told.uncounted[-1]}"
    if told.folded:
        n = len(told.folded)
        said += f" Of {n:,} {told.grain}{'' if n == 1 else 's'} rare values were counted as unknown; of the last: {told.folded[-1]}"
    return {**described, "sentence": said}


def _older(told: _Told) -> str:
    # Of audits it is known that there are more, and not how many.
    return "Older ones are" if told.grain == "audit" else f"{told.left_out:,} older ones are"


def _nothing(model: str, told: _Told, found: dict[str, Any]) -> str | None:
    """Why nothing can be said, where that is so."""
    if not told.stored and told.uncounted:
        return f"Nothing of {model} in this range could be counted: {told.uncounted[-1]} How these settings would have done is unknown."
    if not told.stored:
        what = {"audit": "audit was made", "hour": "decision was counted", "day": "decision was counted"}
        return (
            f"No {what[told.grain]} of {model} in this range: how these settings would have done is unknown, and no alarm is"
            " no good news."
        )
    reasons: Sequence[str] = [one["reason"] for one in found["series"] if one["reason"]]
    if len(reasons) == len(found["series"]):
        said = reasons[0] if reasons else "None of the metrics has a value."
        return f"No series is long enough to be tried: {said} That there was no alarm says nothing."
    return None
