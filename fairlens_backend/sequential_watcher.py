"""Looking at a model every quarter of an hour without crying wolf: confidence sequences over its windows, one a pair of groups.

Each difference in rates is watched from its baseline on, by counts that only grow. Of overlapping windows each decision is
taken once: a window gives its own part, the time since the window before it. When labels or late events change a past
window, the difference to what it gave before is added, so that the sequence is that of the decisions as they are known now.

The reference group is the declared one. Where none is declared it is the one that the first window compares with; the
sequences then begin with the window after it, since a pair that was picked by its outcomes is not covered on the same rows.
The n-th group that appears is watched at the level alpha / (n (n + 1)), which sums up to alpha over any number of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np

from fairlens_backend import telemetry
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.inference.sequential import SequentialWatch
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.policy import Policy
from fairlens_backend.storage import sequential_rows
from fairlens_backend.storage.audit_windows import Span
from fairlens_backend.storage.session import unit_of_work

MAX_GROUPS: Final = 20
"""Groups of an attribute that are watched, the largest at their first window."""
METHOD: Final = "asymptotic confidence sequence, valid at every look at once"
_NONE: Final = (0,) * 6

Looked = dict[str, dict[str, list[int]]]
"""For each attribute and group how many were decided 0 and 1, each with truth 0, 1 and not known."""


@dataclass(frozen=True)
class _Rate:
    """A rate by its places among the six counts, decision by truth: of whom, and which of them have the property."""

    of: tuple[int, ...]
    having: tuple[int, ...]
    words: str


RATES: Final = {
    "statistical_parity_difference": _Rate((0, 1, 2, 3, 4, 5), (3, 4, 5), "selected"),
    "equal_opportunity_difference": _Rate((1, 4), (4,), "selected, of those with a favourable outcome,"),
    "false_positive_rate_difference": _Rate((0, 3), (3,), "selected, of those with an unfavourable outcome,"),
    "predictive_parity_difference": _Rate((3, 4), (4,), "right, of those selected,"),
}
"""The differences in rates that are watched."""


@dataclass(frozen=True)
class Look:
    """What one audit adds to the sequences.

    Parameters
    ----------
    counts : of the window's own part
    before : what the revision before this one gave; None for the first
    declared : reference groups that were declared
    chosen : those that the audit compared with
    """

    span: Span
    counts: CountTable
    before: Looked | None
    declared: Mapping[str, str]
    chosen: Mapping[str, str | None]
    policy: Policy


def look(tenant: str, model: str, one: Look, now: datetime) -> tuple[dict[str, Any], Looked]:
    """Take an audit's look, in the unit of work that keeps the audit.

    Returns
    -------
    what the result says as `sequential` {alarm, alpha, method, watches, sentences}, and what the window gave, to be kept with
    it for its next revision
    """
    watches: list[dict[str, Any]] = []
    given: Looked = {}
    with unit_of_work():
        kept = sequential_rows.read(tenant, model, one.span.version)
        for attribute in one.counts.attributes:
            table = one.counts.marginal([attribute])
            cells = {
                group: np.asarray(table.decided[i]).reshape(6).tolist()
                for i, (group,) in enumerate(table.groups)
                if group != UNKNOWN
            }
            known = {group for metric in RATES for group in _groups(kept.get((attribute, metric)))}
            given[attribute] = _bounded(cells, known)
            for metric, rate in RATES.items():
                row = _moved(
                    kept.get((attribute, metric)), attribute, metric, rate, given[attribute], one, now
                )
                if row is not None:
                    sequential_rows.write(tenant, model, one.span.version, attribute, metric, row)
                    watches += _said(attribute, metric, row)
    alarms = [watch for watch in watches if watch["alarm"]]
    return (
        {
            "alarm": bool(alarms),
            "alpha": one.policy.alpha,
            "method": METHOD,
            "watches": watches,
            "sentences": [_sentence(watch) for watch in alarms],
        },
        given,
    )


def restart(tenant: str, model: str) -> None:
    """Forget what was watched of a model: its next window is the new baseline."""
    with unit_of_work():
        sequential_rows.remove(tenant, model)


def _moved(
    state: dict[str, Any] | None,
    attribute: str,
    metric: str,
    rate: _Rate,
    given: Mapping[str, list[int]],
    one: Look,
    now: datetime,
) -> dict[str, Any] | None:
    """The state of a metric's sequences after a look; None where there is nothing to compare with yet."""
    declared = one.declared.get(attribute)
    settings = {"band": one.policy.threshold(metric), "alpha": one.policy.alpha}
    if state is None or _differs(state, declared, settings):
        if one.before is not None:
            # What this window and those after it gave went into the sequences before: these begin with a window that gave none.
            return None
        reference = declared or one.chosen.get(attribute)
        if reference is None:
            return None
        # What chose the reference is not looked at: the first decisions that count are those after it.
        since = one.span.own_start if declared else one.span.end
        state = {"reference": reference, "since": since.isoformat(), **settings, "groups": {}}
    groups = dict(state["groups"])
    before = (one.before or {}).get(attribute, {})
    reference = state["reference"]
    if one.span.own_start >= datetime.fromisoformat(state["since"]):
        for group in sorted(given, key=lambda name: (-sum(given[name]), name)):
            if group != reference and group not in groups and len(groups) < MAX_GROUPS - 1:
                number = len(groups) + 1
                watch = SequentialWatch(
                    alpha=settings["alpha"] / (number * (number + 1)), band=settings["band"]
                )
                groups[group] = {
                    "since": one.span.own_start.isoformat(),
                    "watch": watch.to_dict(),
                    "alarmed_at": None,
                }
    for group, pair in groups.items():
        if one.span.own_start < datetime.fromisoformat(pair["since"]):
            continue
        n_g, k_g = _change(rate, given.get(group), before.get(group))
        n_r, k_r = _change(rate, given.get(reference), before.get(reference))
        watch = SequentialWatch.from_dict(pair["watch"]).add(n_g=n_g, k_g=k_g, n_r=n_r, k_r=k_r)
        alarmed = pair["alarmed_at"] or (telemetry.timestamp(now) if watch.alarm else None)
        groups[group] = {**pair, "watch": watch.to_dict(), "alarmed_at": alarmed}
    return {**state, "groups": groups}


def _differs(state: Mapping[str, Any], declared: str | None, settings: Mapping[str, float]) -> bool:
    """Whether the question has changed, so that the looks until now do not answer it."""
    return (declared is not None and state["reference"] != declared) or any(
        state[name] != value for name, value in settings.items()
    )


def _change(rate: _Rate, now: Iterable[int] | None, before: Iterable[int] | None) -> tuple[int, int]:
    changed = np.array(now or _NONE) - np.array(before or _NONE)
    return int(changed[list(rate.of)].sum()), int(changed[list(rate.having)].sum())


def _groups(state: Mapping[str, Any] | None) -> set[str]:
    return set() if state is None else {state["reference"], *state["groups"]}


def _bounded(cells: dict[str, list[int]], known: set[str]) -> dict[str, list[int]]:
    """The groups that are watched already, and the largest beside them."""
    largest = sorted(cells, key=lambda group: (group not in known, -sum(cells[group]), group))
    return {group: cells[group] for group in largest[: max(MAX_GROUPS, len(known))]}


def _said(attribute: str, metric: str, state: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "attribute": attribute,
            "metric": metric,
            "group": group,
            "reference": state["reference"],
            "since": pair["since"],
            "alarmed_at": pair["alarmed_at"],
            **SequentialWatch.from_dict(pair["watch"]).summary(),
        }
        for group, pair in state["groups"].items()
    ]


def _sentence(watch: Mapping[str, Any]) -> str:
    """An alarm in words.

    Examples
    --------
    >>> _sentence({"attribute": "sex", "metric": "statistical_parity_difference", "group": "F", "reference": "M",
    ...     "since": "2026-03-02T12:00:00+00:00", "band": 0.1, "looks": 96, "alarmed_at": "2026-03-02T18:00:00Z",
    ...     "confidence_sequence": {"lower": -0.213, "upper": -0.134}})
    'Since 2026-03-02 12:00 UTC sex=F is selected 13.4 to 21.3 points less often than sex=M; the tolerance is 10 points.
    This held over 96 looks together, first at 2026-03-02 18:00 UTC.'
    """
    limits = watch["confidence_sequence"]
    since = _minute(watch["since"])
    pair = f"{watch['attribute']}={watch['group']}", f"{watch['attribute']}={watch['reference']}"
    words, band = RATES[watch["metric"]].words, f"the tolerance is {100 * watch['band']:g} points"
    looks = f"This held over {watch['looks']} looks together, first at {_minute(watch['alarmed_at'])}."
    if limits is None or limits["lower"] <= 0 <= limits["upper"]:
        return f"Since {since} {pair[0]} was {words} unlike {pair[1]} beyond the tolerance for a time; {band}. {looks}"
    low, high = sorted(100 * abs(limits[side]) for side in ("lower", "upper"))
    less = "less" if limits["upper"] < 0 else "more"
    return f"Since {since} {pair[0]} is {words} {low:.1f} to {high:.1f} points {less} often than {pair[1]}; {band}. {looks}"


def _minute(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M} UTC"
