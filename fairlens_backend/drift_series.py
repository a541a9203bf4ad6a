"""Series of metrics from the stored counts: each hour or day summed and assessed exactly, whatever audits were made of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from fairlens_backend import count_history
from fairlens_backend.audit_history import KEPT
from fairlens_backend.audit_runner import Subject
from fairlens_backend.core.assessment import measure
from fairlens_backend.core.backtest import CountedWindow
from fairlens_backend.core.drift.series import Check, Series, variance_of_interval
from fairlens_backend.errors import InvalidInput

MOST_PERIODS: Final = 1_000
"""Of all attributes of a call together: some seconds of work."""
FIRST_PERIODS: Final = 40
"""Oldest periods that are always looked at, so that the baseline of 20 is found among them."""
RESAMPLES: Final = 100
"""For standard errors; the values themselves are exact."""


def from_counts(
    subject: Subject,
    attributes: Sequence[str],
    metrics: Sequence[str],
    since: datetime,
    until: datetime,
    hours: int,
) -> dict[tuple[str, str], Series] | None:
    """The whole periods up to a time: those of the window, the first ones of the model, and as many between as there is room for.

    Returns
    -------
    for each attribute and metric its series, a period without decisions, or that cannot be counted by the attribute, being a
        check without a value that says why; None where nothing was counted at all

    Raises
    ------
    InvalidInput : the window has more periods than are counted at once
    """
    begin = count_history.begin(subject.tenant, subject.model)
    if begin is None or not attributes:
        return None
    room = MOST_PERIODS // len(attributes)
    inside = len(count_history.periods(max(since, begin), until, hours))
    if inside > room - FIRST_PERIODS:
        raise InvalidInput(
            f"The window has {inside} periods of {hours} hours for each of {len(attributes)} attributes, at most"
            f" {room - FIRST_PERIODS} are counted at once: take a coarser grain, a shorter window or one attribute.",
            field="grain",
            got=inside,
            expected=f"at most {room - FIRST_PERIODS} periods",
        )
    every = count_history.periods(begin, until, hours)
    ranges = [(begin, until)]
    if len(every) > room:
        ranges = [(begin, every[FIRST_PERIODS - 1][1]), (every[-(room - FIRST_PERIODS)][0], until)]
    found: dict[tuple[str, str], Series] = {}
    n_decisions = 0
    wanted = [[attribute] for attribute in attributes]
    parts = [count_history.count_each(subject, *one, hours, wanted, most=room) for one in ranges]
    for attribute, *some in zip(attributes, *parts, strict=True):
        windows = [window for history in some for window in history.windows]
        n_decisions += sum(history.n_decisions for history in some)
        figures = [_figures(window, subject, attribute, metrics) for window in windows]
        for metric in metrics:
            checks = [_check(window, some, metric) for window, some in zip(windows, figures, strict=True)]
            limit, when = subject.policy.threshold(metric), KEPT[metric].breached_when
            found[attribute, metric] = Series(subject.model, attribute, metric, limit, when, checks, hours)
    return found if n_decisions else None


def _figures(
    window: CountedWindow, subject: Subject, attribute: str, metrics: Sequence[str]
) -> dict[str, Any] | None:
    if not window.counts.total:
        return None
    wanted = [KEPT[metric] for metric in metrics]
    references = window.reference_groups
    return measure(window.counts, attribute, wanted, references, subject.policy, n_resamples=RESAMPLES)


def _check(window: CountedWindow, figures: dict[str, Any] | None, metric: str) -> Check:
    if figures is None:
        said = window.reason or "No decisions in this period."
        return Check(window.end, None, None, 0, "insufficient_data", said, window.start)
    figure = figures[metric]
    value = figure["signed" if KEPT[metric].breached_when == "outside" else "value"]
    return Check(
        window.end,
        value,
        variance_of_interval(value, figure["confidence_interval"]),
        sum(figure["sample_sizes"].values()),
        figure["status"],
        figure["reason"] or window.folded,
        window.start,
    )
