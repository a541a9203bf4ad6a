"""What a demonstration shows: a line that moves on a terminal, a line for each thing that happens, a summary."""

import shutil
from datetime import datetime, timedelta
from typing import Any, Final, TextIO

from fairlens_backend.demo_feed import Moment, Outcome, Seen

BAR: Final = 20
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_SHOWN: Final = 24
_LOW, _HIGH = 0.6, 1.1
_HOUR: Final = timedelta(hours=1)


class Screen:
    """A progress line on `bar` where that is a terminal; what happens on `out`, as it happens.

    Parameters
    ----------
    out : None to say nothing
    """

    def __init__(self, bar: TextIO, out: TextIO | None) -> None:
        self._bar, self._out = bar if bar.isatty() else None, out
        self._told: set[str] = set()
        self._false = 0

    def wait(self, what: str) -> None:
        """What goes on before the first window."""
        self._draw(f"{what} …")

    def opening(self, outcome: Outcome, url: str) -> None:
        """What will be shown."""
        scenario, every = outcome.scenario, _every(outcome)
        self._say(
            f"FairLens demo: {scenario.title}, {scenario.n_decisions:,} decisions of {scenario.n_hours} hours, from"
            f" {_when(outcome.start)} UTC; model {outcome.model} at {url}"
        )
        self._say(
            f"{every} audited by {scenario.attribute}; the disparate impact ratio should be at least 0.8."
        )

    def window(self, outcome: Outcome, seen: Seen) -> None:
        """One more window is audited."""
        for name, moment in (
            ("drift", outcome.drift),
            ("pre_alert", outcome.pre_alert),
            ("alert", outcome.alert),
        ):
            if moment is not None and name not in self._told:
                self._told.add(name)
                self._say(_line(name, moment))
        for moment in outcome.false_alarms[self._false :]:
            self._say(f"{moment.elapsed_s:5.1f} s  {_when(moment.at)}  false alarm: {moment.said}")
        self._false = len(outcome.false_alarms)
        self._draw(_progress(outcome, seen))

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        if self._bar is not None:
            self._bar.write("\r\x1b[K")
            self._bar.flush()

    def _say(self, text: str) -> None:
        if self._out is not None:
            self.clear()
            self._out.write(text + "\n")
            self._out.flush()

    def _draw(self, text: str) -> None:
        if self._bar is not None:
            width = shutil.get_terminal_size().columns - 1
            self._bar.write("\r\x1b[K" + text[:width])
            self._bar.flush()


def summary(outcome: Outcome) -> str:
    """How long each took, in simulated and in real time, and what the whole looks like."""
    windows, last = outcome.windows, outcome.windows[-1]
    rate = outcome.sent / max(last.elapsed_s, 1e-9)
    lines = ["", f"ratio, oldest first  {_sparkline([one.ratio for one in windows], 64)}", ""]
    lines += [_found("drift injected", outcome.drift, None)]
    lines += [_found("first pre-alert", outcome.pre_alert, outcome.drift)]
    lines += [_found("first alert", outcome.alert, outcome.drift), ""]
    if outcome.pre_alert is not None and outcome.alert is not None:
        ahead = (outcome.alert.at - outcome.pre_alert.at) / _HOUR
        order = (
            f"{_hours(abs(ahead))} {'before' if ahead > 0 else 'after'}" if ahead else "in the same window as"
        )
        lines.append(f"The pre-alert came {order} the alert.")
    lines.append(
        f"False alarms before the drift: {len(outcome.false_alarms)} in {outcome.scenario.drift_window} audits."
    )
    if outcome.other_alerts:
        n = len(outcome.other_alerts)
        lines.append(
            f"{n} audit{'' if n == 1 else 's'} alerted of something that the drift does not touch, as of this:"
        )
        lines.append(f"  {outcome.other_alerts[0]}")
    whole = outcome.whole
    if whole is not None:
        lines.append(
            f"All together: {whole['overall_severity']}, {whole['sample_size']:,} decisions, {whole['labelled_size']:,}"
            " with their outcome, which came 12 hours later."
        )
        lines += [f"  {sentence}" for sentence in whole["sentences"][:2]]
        if whole["overall_severity"] in ("PASS", "LOW") and outcome.alert is not None:
            lines.append("  One audit of the whole does not show what the audits of its parts found.")
    lost = "nothing was lost" if not outcome.lost else f"{outcome.lost:,} were lost"
    lines.append(
        f"{outcome.sent:,} decisions in {last.elapsed_s:.0f} s ({rate:,.0f} a second) through the SDK; {lost}."
    )
    return "\n".join([*lines, ""])


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain values."""
    scenario = outcome.scenario
    return {
        "model": outcome.model,
        "data": scenario.title,
        "attribute": scenario.attribute,
        "hours": scenario.n_hours,
        "window_hours": scenario.window_hours,
        "decisions": outcome.sent,
        "lost": outcome.lost,
        "seconds": outcome.windows[-1].elapsed_s,
        "drift": _plain(outcome.drift, None),
        "pre_alert": _plain(outcome.pre_alert, outcome.drift),
        "alert": _plain(outcome.alert, outcome.drift),
        "false_alarms": [_plain(one, None) for one in outcome.false_alarms],
        "ratios": [
            {"until": one.end.isoformat(), "ratio": one.ratio, "severity": one.severity}
            for one in outcome.windows
        ],
        "other_alerts": outcome.other_alerts,
        "whole": None
        if outcome.whole is None
        else {
            name: outcome.whole[name]
            for name in ("overall_severity", "sample_size", "labelled_size", "sentences")
        },
    }


def _plain(moment: Moment | None, since: Moment | None) -> dict[str, Any] | None:
    if moment is None:
        return None
    said: dict[str, Any] = {
        "window": moment.window,
        "at": moment.at.isoformat(),
        "seconds": moment.elapsed_s,
        "ratio": moment.ratio,
        "said": moment.said,
    }
    if since is not None:
        said["hours_after_drift"] = (moment.at - since.at) / _HOUR
        said["seconds_after_drift"] = moment.elapsed_s - since.elapsed_s
    return said


def _line(name: str, moment: Moment) -> str:
    head = {"drift": "drift begins", "pre_alert": "PRE-ALERT", "alert": "ALERT"}[name]
    said = f"{moment.elapsed_s:5.1f} s  {_when(moment.at)}  {head}"
    return said if name == "drift" else f"{said}  {moment.said}"


def _found(title: str, moment: Moment | None, since: Moment | None) -> str:
    if moment is None:
        return f"{title:16} none"
    said = f"{title:16} {_when(moment.at)} UTC"
    if since is not None:
        took = (moment.at - since.at) / _HOUR
        said += f"  {_hours(took)} simulated, {moment.elapsed_s - since.elapsed_s:.1f} s real after the drift began"
    return said if moment.ratio is None else f"{said}  (ratio of that window {moment.ratio:.2f})"


def _progress(outcome: Outcome, seen: Seen) -> str:
    share = (seen.number + 1) / len(outcome.scenario.windows)
    filled = int(share * BAR)
    ratio = "  –  " if seen.ratio is None else f"{seen.ratio:5.2f}"
    recent = _sparkline([one.ratio for one in outcome.windows[-_SHOWN:]], _SHOWN)
    return (
        f"[{'#' * filled}{'.' * (BAR - filled)}] {share:4.0%}  {_when(seen.end)}  ratio {ratio} {recent:{_SHOWN}}"
        f"  {seen.severity:8}  {seen.n_sent:,} decisions, {seen.n_sent / max(seen.elapsed_s, 1e-9):,.0f}/s"
    )


def _every(outcome: Outcome) -> str:
    n = outcome.scenario.window_hours
    return f"Every {n} hours are" if n > 1 else "Every hour is"


def _sparkline(values: list[float | None], width: int) -> str:
    """The values in so many characters, each the mean of its share of them; a space where there is none."""
    drawn = []
    cells = min(width, len(values))
    for cell in range(cells):
        some = values[cell * len(values) // cells : (cell + 1) * len(values) // cells]
        known = [value for value in some if value is not None]
        if not known:
            drawn.append(" ")
            continue
        share = (sum(known) / len(known) - _LOW) / (_HIGH - _LOW)
        drawn.append(_BLOCKS[max(0, min(len(_BLOCKS) - 1, int(share * len(_BLOCKS))))])
    return "".join(drawn)


def _hours(hours: float) -> str:
    return f"{hours:.0f} hour{'' if round(hours) == 1 else 's'}"


def _when(at: datetime) -> str:
    return f"{at:%a %d %b %H:%M}"
