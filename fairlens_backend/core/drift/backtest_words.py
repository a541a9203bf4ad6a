"""A back-test of one series, in sentences: what came when, how early, how much of it was false."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

_EARLY: Final = ("early_warning", "pre_alert", "prediction", "cusum", "adwin")
NAMES: Final[Mapping[str, str]] = {
    "threshold": "a value beyond the limit",
    "cusum": "the CUSUM",
    "adwin": "ADWIN",
    "pre_alert": "a pre-alert",
    "prediction": "a prediction",
    "early_warning": "an early warning",
}


def series_sentences(series: Mapping[str, Any]) -> list[str]:
    """What became of one series of `core.backtest.backtest`.

    Examples
    --------
    >>> series_sentences({"attribute": "sex", "metric": "theil_index", "reason": "3 checks, 20 needed.", "detectors": {}})
    ['theil_index by sex: nothing could be tried. 3 checks, 20 needed.']
    """
    title = f"{series['metric']} by {series['attribute']}"
    if series["reason"] is not None:
        return [f"{title}: nothing could be tried. {series['reason']}"]
    scores: Mapping[str, Mapping[str, Any]] = series["detectors"]
    first = next(iter(scores.values()))
    windows, crossed, limit = first["n_windows"], first["crossed"], f"{series['threshold']:g}"
    if crossed is None:
        said = [f"{title}: in {windows} windows after the baseline the average was never beyond {limit}."]
    else:
        said = [f"{title}: the average was first beyond {limit} on {_when(crossed)} ({windows} windows)."]
    said += [_came(name, score, crossed) for name, score in scores.items()]
    return said + _false(scores)


def _came(name: str, score: Mapping[str, Any], crossed: str | None) -> str:
    what, n = NAMES.get(name, name), score["n_alarms"]
    what = what[0].upper() + what[1:]
    if not n:
        return f"{what} would not have come."
    said = f"{what} would have come {_times(n)}, first on {_when(score['first_alarm'])}"
    lead = score["lead_hours"]
    if crossed is None or lead is None or name not in _EARLY:
        return said + "."
    if abs(lead) < 1e-9:
        return said + ", with the crossing."
    return said + f", {_span(abs(lead))} {'before' if lead > 0 else 'after'} the crossing."


def _false(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which alarms were false, where somebody says what changed."""
    known = {name: score for name, score in scores.items() if score["false_alarms"] is not None}
    if not known:
        return []
    quiet = next(iter(known.values()))["n_quiet_windows"]
    false = [
        f"{NAMES.get(name, name)} {_times(score['false_alarms'])}"
        for name, score in known.items()
        if score["false_alarms"]
    ]
    if not quiet:
        return ["No window lies before the first change, so nothing can be said of false alarms."]
    if not false:
        return [f"Nothing came in the {quiet} windows before any change: no false alarm."]
    return [f"False in the {quiet} windows before any change: {', '.join(false)}."]


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _when(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
