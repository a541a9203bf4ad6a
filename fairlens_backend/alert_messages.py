"""What an alert says at each turn of its life.

A message is made once, as plain facts, when it is put into the outbox: it says the same however often and by whatever
channel it goes out. `tell` turns the facts into words; a channel only sets them in its own form. Names of groups,
attributes and models come from users' data: `clean` takes out what could break a line, and each channel escapes the rest.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlens_backend import config, telemetry

EVENT = "fairness.alert"
MAX_NAME = 120

WHAT_TO_DO = {
    "CRITICAL": (
        "Do not let this model decide alone until a person has looked at these figures.",
        "Find what changed: data, features, threshold, who applies; the audit lists every group with its rates.",
        "Verify this record, then decide on mitigation or on going back to the version before.",
    ),
    "HIGH": (
        "Have a person look at these figures before the model's next release, within a day.",
        "Find what changed: data, features, threshold, who applies; the audit lists every group with its rates.",
        "Verify this record and plan a mitigation.",
    ),
}
CALM = {
    "resolved": (
        "Nothing is urgent now.",
        "Write down what changed, if you know it: the figures do not say why.",
    ),
    "closed": (
        "A person closed it, not the figures: the next breach opens it again.",
        "Look at the newest audit if the reason does not convince you.",
    ),
    "acknowledged": ("Nothing, unless it was you: no more reminders come.",),
    "test": ("Nothing. This is how an alert will reach you.",),
}


@dataclass(frozen=True)
class Told:
    """A message in words: `facts` are label and value, `link` is None without PUBLIC_URL."""

    headline: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[str, ...]
    link: str | None
    footer: str


def what_to_do(severity: str) -> tuple[str, ...]:
    """The next steps for a person, by severity."""
    return WHAT_TO_DO.get(severity, ("Look at the audit before the model's next training.",))


def verify_path(record_id: str) -> str:
    """Where the record's evidence is checked."""
    return f"/api/verify_alert/{record_id}"


def alert_path(alert_id: str) -> str:
    """Where the alert is read."""
    return f"/v1/alerts/{alert_id}"


def public_link(path: str) -> str:
    """The path below PUBLIC_URL; the path alone without one."""
    return config.current().public_url.rstrip("/") + path


def compose(kind: str, alert: Mapping[str, Any], now: datetime, **more: Any) -> dict[str, Any]:
    """The facts of one message, as the webhook sends them and every channel words them.

    Parameters
    ----------
    kind : opened, reopened, worse, reminder, silence_over, acknowledged or resolved
    alert : alert_id, tenant, model, model_version, attribute, metric, state, severity, opened_at, resolved_at, breaches,
        audit_id, record_id, figures, as the row has them
    more : by (who acted), reason, previous_severity
    """
    ended = alert["resolved_at"] if kind == "resolved" else None
    figures = dict(alert["figures"])
    return {
        "event": EVENT,
        "kind": kind,
        "alert_id": alert["alert_id"],
        "tenant": alert["tenant"],
        "model": alert["model"],
        "model_version": alert["model_version"],
        "attribute": alert["attribute"],
        "metric": alert["metric"],
        "state": alert["state"],
        "severity": alert["severity"],
        "since": telemetry.timestamp(alert["opened_at"]),
        "until": telemetry.timestamp(ended) if ended else None,
        "duration_s": int(((ended or now) - alert["opened_at"]).total_seconds()),
        "breaches": alert["breaches"],
        **figures,
        "audit_id": alert["audit_id"],
        "record_id": alert["record_id"],
        "timestamp": telemetry.timestamp(now),
        "what_to_do": list(
            CALM.get("closed" if ended and more.get("by") else kind) or what_to_do(alert["severity"])
        ),
        "url": public_link(alert_path(alert["alert_id"])),
        "verify_url": public_link(verify_path(alert["record_id"])),
        **more,
    }


def compose_test(tenant: str, by: str, channel: str, alert_id: str, now: datetime) -> dict[str, Any]:
    """The facts of a test message: it names nothing of a model."""
    return {
        "event": EVENT,
        "kind": "test",
        "alert_id": alert_id,
        "tenant": tenant,
        "channel": channel,
        "severity": "TEST",
        "by": by,
        "timestamp": telemetry.timestamp(now),
        "what_to_do": list(CALM["test"]),
        "url": public_link("/"),
    }


def tell(payload: Mapping[str, Any]) -> Told:
    """The facts in words, for a person who was asleep a minute ago."""
    kind, link = payload["kind"], payload["url"]
    shown_link = link if link.startswith("http") else None
    if kind == "test":
        by, channel = clean(payload["by"]), payload["channel"]
        return Told(
            f"Test: FairLens reaches you by {channel}",
            f"{by} sent this test message. No model has breached anything.",
            (("Sent", _time(payload["timestamp"])),),
            tuple(payload["what_to_do"]),
            shown_link,
            f"FairLens, tenant {clean(payload['tenant'])}, test message",
        )
    facts = [("Model", f"{clean(payload['model'])}, version {clean(payload['model_version'])}")]
    facts.append(("Groups", _groups(payload)))
    facts.append(("Value", _value(payload)))
    facts.append(("Audit", _audited(payload)))
    facts.append(("Since", _since(payload)))
    if payload.get("reason"):
        facts.append(("Reason", clean(payload["reason"], 500)))
    return Told(
        _headline(payload),
        clean(payload.get("sentence") or "", 600),
        tuple(facts),
        tuple(payload["what_to_do"]),
        shown_link,
        f"FairLens alert {payload['alert_id']}, {_turn(kind, payload.get('by'))}, record {payload['record_id']}",
    )


def clean(text: Any, limit: int = MAX_NAME) -> str:
    """A name on one line: control characters and those that turn the writing around become spaces; cut at `limit`.

    Examples
    --------
    >>> clean("a\\r\\nBcc: b@x"), clean("x" * 5, 4)
    ('a Bcc: b@x', 'xxx…')
    """
    # Cc, Cf, Zl, Zp: line ends, NUL, bidirectional marks, zero-width characters.
    kept = "".join(
        " " if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") else letter
        for letter in str(text)
    )
    return cut(" ".join(kept.split()), limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def duration(seconds: float) -> str:
    """A length of time with its two largest units.

    Examples
    --------
    >>> [duration(seconds) for seconds in (20, 3000, 12000, 100000)]
    ['20 s', '50 min', '3 h 20 min', '1 d 3 h']
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    parts = [
        (whole // 86400, "d"),
        (whole // 3600 % 24, "h"),
        (whole // 60 % 60, "min"),
    ]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def _headline(payload: Mapping[str, Any]) -> str:
    severity, kind = payload["severity"], payload["kind"]
    model, attribute = clean(payload["model"], 60), clean(payload["attribute"], 60)
    breaches = f"{model} breaches a fairness limit on {attribute}"
    by = clean(payload["by"], 60) if payload.get("by") else None
    if kind == "resolved":
        if by:
            return f"Closed by {by}: {model}, {attribute}"
        return f"All clear after {duration(payload['duration_s'])}: {model} on {attribute}"
    return {
        "opened": f"{severity}: {breaches}",
        "reopened": f"{severity}, open again: {breaches}",
        "worse": f"{severity}, worse (was {payload.get('previous_severity')}): {breaches}",
        "reminder": f"{severity}, still open after {duration(payload['duration_s'])}: {breaches}",
        "silence_over": f"{severity}, silence over and still open: {breaches}",
        "acknowledged": f"Taken by {by}: {severity}, {model} on {attribute}",
    }[kind]


def _turn(kind: str, by: str | None) -> str:
    return {
        "opened": "opening",
        "reopened": "open again",
        "silence_over": "silence over",
        "resolved": "closed by a person" if by else "all-clear",
    }.get(kind, kind)


def _groups(payload: Mapping[str, Any]) -> str:
    sizes: Mapping[str, int] = payload["sample_sizes"]
    named = [
        f"{clean(group)} ({sizes[group]} decisions)" if group in sizes else clean(group)
        for group in payload["groups_compared"]
    ]
    of = f", of {clean(payload['attribute'])}"
    return (" compared with ".join(named) if named else "all groups") + of


def _value(payload: Mapping[str, Any]) -> str:
    interval = payload["confidence_interval"]
    within = (
        f"{interval['level']:.0%} interval {interval['lower']:.3f} to {interval['upper']:.3f}"
        if interval
        else "no interval"
    )
    side = {"below": "at least", "outside": "within ±"}.get(payload["breached_when"], "at most")
    limit = f"{side}{'' if side.endswith('±') else ' '}{payload['threshold']:g}"
    name = str(payload["metric"]).replace("_", " ")
    return f"{name} {payload['value']:.3f} ({within}); the limit is {limit}"


def _audited(payload: Mapping[str, Any]) -> str:
    """Which decisions the value is of."""
    start, end = payload["window_start"], _time(payload["window_end"])
    window = f" from {_time(start).removesuffix(' UTC')} to {end}" if start else f", audited {end}"
    return f"{payload['sample_size']:,} decision{'' if payload['sample_size'] == 1 else 's'}{window}"


def _since(payload: Mapping[str, Any]) -> str:
    since = _time(payload["since"])
    if payload["until"]:
        return f"{since} until {_time(payload['until'])} ({duration(payload['duration_s'])})"
    if payload["duration_s"] < 60:
        return since
    return f"{since} ({duration(payload['duration_s'])}, {payload['breaches']} breaches)"


def _time(text: str) -> str:
    return f"{text[:10]} {text[11:16]} UTC"
