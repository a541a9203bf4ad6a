"""A demonstration: decisions go through the SDK window by window in simulated time, each window is audited, drift is looked for."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fairlens_backend.demo_client import Api
from fairlens_backend.demo_data import Scenario
from fairlens_backend.errors import Unavailable

RATIO: Final = "disparate_impact_ratio"
OF_SELECTION: Final = (RATIO, "statistical_parity_difference", "temporal_drift_index")
"""What the injected drift moves; an alert of anything else is about something else in the data."""
LIMIT: Final = 0.8
LABELS_AFTER_HOURS: Final = 12
"""Simulated hours until the true outcome of a decision is known."""
FLUSH_S: Final = 60.0


@dataclass(frozen=True)
class Target:
    """A server to feed.

    Parameters
    ----------
    api : with the token of an administrator
    key : an API key of scope ingest
    """

    api: Api
    key: str


@dataclass(frozen=True)
class Seen:
    """What a window's audit said."""

    number: int
    end: datetime
    n_sent: int
    ratio: float | None
    severity: str
    elapsed_s: float


@dataclass(frozen=True)
class Moment:
    """The first time that something was said."""

    window: int
    at: datetime
    elapsed_s: float
    ratio: float | None
    said: str


@dataclass
class Outcome:
    """What a demonstration came to.

    Parameters
    ----------
    other_alerts : what audits alerted of that the drift does not touch
    false_alarms : what was said before the drift
    whole : the audit of all windows together, with the labels that have arrived
    sent : decisions that the server acknowledged
    lost : decisions and labels that it never took, by the SDK's own counters
    """

    model: str
    scenario: Scenario
    start: datetime
    windows: list[Seen] = field(default_factory=list)
    drift: Moment | None = None
    pre_alert: Moment | None = None
    alert: Moment | None = None
    false_alarms: list[Moment] = field(default_factory=list)
    other_alerts: list[str] = field(default_factory=list)
    whole: dict[str, Any] | None = None
    sent: int = 0
    lost: int = 0


def open_target(api: Api, api_key: str | None, model: str, scenario: Scenario) -> Target:
    """Register the demonstration's model, and make a key for it where none is given.

    Raises
    ------
    InvalidInput : the server refuses; its message
    """
    body = {
        "model_name": model,
        "version": "v1",
        "columns": {"decision": scenario.decision, "protected": [scenario.attribute]},
        "favourable": {"decision": [1], "truth": [1]},
        "reference_groups": {scenario.attribute: scenario.reference},
        "use_case": scenario.use_case,
        "description": f"A demonstration: {scenario.title}.",
    }
    api.call("POST", "/api/models/register", body)
    if api_key is None:
        api_key = api.call("POST", "/api/admin/api_keys", {"name": f"{model} key", "scope": "ingest"})["key"]
    return Target(api, api_key)


def new_name() -> str:
    """A model's name that no earlier demonstration had."""
    return f"demo-{int(time.time()):x}-{secrets.token_hex(2)}"


class Feed:
    """One demonstration, from its first window to its last.

    Parameters
    ----------
    client : of the SDK
    start : of the first window, a whole hour; the last one must not end in the future
    speed : simulated minutes a second at most
    """

    def __init__(
        self, target: Target, client: Any, model: str, scenario: Scenario, start: datetime, speed: float
    ) -> None:
        self._api, self._client, self._scenario, self._speed = target.api, client, scenario, speed
        self._ids: list[list[str]] = []
        self._began = 0.0
        self._width = timedelta(hours=scenario.window_hours)
        self._labels_after = max(1, round(LABELS_AFTER_HOURS / scenario.window_hours))
        self.outcome = Outcome(model, scenario, start)

    def run(self) -> Iterator[Seen]:
        """Feed and audit window after window; the outcome grows meanwhile.

        Raises
        ------
        Unavailable : the server takes no events, or does not answer
        InvalidInput : it refuses an audit
        """
        self._began = time.monotonic()
        for number in range(len(self._scenario.windows)):
            seen = self._window(number)
            self.outcome.windows.append(seen)
            self._look(seen)
            yield seen
            ahead = (number + 1) * self._scenario.window_hours * 60 / self._speed - self._elapsed()
            if ahead > 0:
                time.sleep(ahead)
        self._finish()

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _window(self, number: int) -> Seen:
        begin = self.outcome.start + number * self._width
        if number == self._scenario.drift_window:
            self.outcome.drift = Moment(number, begin, self._elapsed(), None, "drift is injected")
        self._send(number, begin)
        end = begin + self._width
        asked = {"window_hours": self._scenario.window_hours, "until": end.isoformat()}
        audit = self._api.call("POST", f"/v1/models/{self.outcome.model}/audit", asked)
        figures = audit["attributes"][self._scenario.attribute]
        ratio = figures[RATIO]["value"]
        if audit["alert"] and not any(figures[name]["breached"] for name in OF_SELECTION):
            self.outcome.other_alerts.append(_finding(audit["sentences"], None))
        elif audit["alert"]:
            self._came(
                "alert", Moment(number, end, self._elapsed(), ratio, _finding(audit["sentences"], ratio))
            )
        return Seen(number, end, self.outcome.sent, ratio, audit["overall_severity"], self._elapsed())

    def _send(self, number: int, begin: datetime) -> None:
        decisions = self._scenario.windows[number]
        step = self._width / max(1, len(decisions))
        self._ids.append(
            [
                self._client.log_prediction(
                    one["features"],
                    one["prediction"],
                    demographic_tags=one["tags"],
                    timestamp=begin + place * step,
                )
                for place, one in enumerate(decisions)
            ]
        )
        known = number - self._labels_after
        if known >= 0:
            for event_id, one in zip(self._ids[known], self._scenario.windows[known], strict=True):
                self._client.log_ground_truth(event_id, one["truth"])
        if not self._client.flush(FLUSH_S):
            raise Unavailable(f"The server took no events for {FLUSH_S:g} seconds.", retry_after_s=0)
        self.outcome.sent += len(decisions)

    def _look(self, seen: Seen) -> None:
        """Whether the drift of the model calls for a warning now."""
        out = self.outcome
        if out.pre_alert is not None:
            return
        asked = f"metrics=dir&attribute={self._scenario.attribute}&window_days={self._scenario.n_hours / 24 + 1:g}"
        until = seen.end.isoformat().replace("+00:00", "Z")
        found = self._api.call("GET", f"/v1/models/{out.model}/drift?{asked}&until={until}")
        warning = found["series"][0]["early_warning"]
        if warning["early_warning"]:
            said = " ".join(warning["reasons"])
            self._came("pre_alert", Moment(seen.number, seen.end, self._elapsed(), seen.ratio, said))

    def _came(self, name: str, moment: Moment) -> None:
        """The first of its kind since the drift began, or a false one."""
        if moment.window < self._scenario.drift_window:
            self.outcome.false_alarms.append(moment)
        elif getattr(self.outcome, name) is None:
            setattr(self.outcome, name, moment)

    def _finish(self) -> None:
        out, hours = self.outcome, self._scenario.n_hours
        asked = {"window_hours": hours, "until": (out.start + timedelta(hours=hours)).isoformat()}
        out.whole = self._api.call("POST", f"/v1/models/{out.model}/audit", asked)
        stats = self._client.stats()
        out.lost = stats.lost + stats.rejected_by_server


def _finding(sentences: list[str], ratio: float | None) -> str:
    """What an audit says of the ratio where that is beyond its limit, else the first that it says."""
    of_ratio = [one for one in sentences if "times as often" in one and ratio is not None and ratio < LIMIT]
    return (of_ratio or sentences or ["A metric breached its threshold."])[0]


def spool_folder(parent: Path) -> Path:
    """Where the SDK of a demonstration keeps what it cannot send."""
    folder = parent / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
