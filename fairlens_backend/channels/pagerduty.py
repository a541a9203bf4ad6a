"""PagerDuty, Events API v2: an alert is one incident, by its dedup_key; acknowledged and resolved with it.

Source: PagerDuty, Events API v2 overview and "Send an Event": summary at most 1,024 characters, dedup_key at most 255,
severity critical, error, warning or info; 202 is taken, 429 and 5xx are to be tried again.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fairlens_backend import config
from fairlens_backend.alert_messages import clean, cut, tell
from fairlens_backend.channels._channel import EVERYTHING, Channel, Target
from fairlens_backend.config import Settings
from fairlens_backend.webhooks import Delivery, denial_of, post_once

SEVERITIES: Final = {"CRITICAL": "critical", "HIGH": "error", "MEDIUM": "warning"}
MAX_SUMMARY: Final = 1024
MAX_DEDUP_KEY: Final = 255
ACTIONS: Final = {"acknowledged": "acknowledge", "resolved": "resolve"}
DETAILS: Final = (
    "alert_id",
    "record_id",
    "audit_id",
    "tenant",
    "kind",
    "breaches",
    "verify_url",
    "by",
    "reason",
)


def default_target(settings: Settings) -> dict[str, Any] | None:
    """ALERT_PAGERDUTY_KEY."""
    return {"routing_key": settings.alert_pagerduty_key} if settings.alert_pagerduty_key else None


def event(routing_key: str, payload: Mapping[str, Any], message_id: str) -> dict[str, Any]:
    """The event of one message. Acknowledge and resolve need no more than the key of their incident."""
    told = tell(payload)
    action = ACTIONS.get(payload["kind"], "trigger")
    made: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": dedup_key(payload),
    }
    if action != "trigger":
        return made
    details = {name: payload[name] for name in DETAILS if payload.get(name) is not None}
    details |= {label.lower(): text for label, text in told.facts}
    details |= {
        "finding": told.sentence,
        "what_to_do_next": "\n".join(f"{n}. {step}" for n, step in enumerate(told.steps, 1)),
        "message_id": message_id,
    }
    made["payload"] = {
        "summary": cut(told.headline + (f". {told.sentence}" if told.sentence else ""), MAX_SUMMARY),
        "source": "FairLens",
        "severity": SEVERITIES.get(payload["severity"], "info"),
        "timestamp": payload["timestamp"],
        "component": clean(payload.get("model", "FairLens"), 255),
        "group": clean(payload.get("attribute", "test"), 255),
        "class": payload.get("metric", "test"),
        "custom_details": details,
    }
    made["client"] = "FairLens"
    if told.link:
        made |= {"client_url": told.link, "links": [{"href": told.link, "text": "The alert in FairLens"}]}
    return made


def dedup_key(payload: Mapping[str, Any]) -> str:
    """The same for every message of an alert."""
    return f"fairlens-{payload['alert_id']}"[:MAX_DEDUP_KEY]


def deliver(target: Target, payload: Mapping[str, Any], message_id: str, now: datetime) -> Delivery:
    """Send the event. A test opens an incident and closes it at once, so that nobody is left with it."""
    made = event(target["routing_key"], payload, message_id)
    delivery = _post(made, message_id, now)
    if payload["kind"] == "test" and delivery.delivered:
        return _post({**made, "event_action": "resolve"}, message_id, now)
    return delivery


def _post(made: Mapping[str, Any], message_id: str, now: datetime) -> Delivery:
    settings = config.current()
    return post_once(
        settings.alert_pagerduty_url.rstrip("/") + "/v2/enqueue",
        json.dumps(made).encode(),
        {"Content-Type": "application/json", "User-Agent": "FairLens/1"},
        message_id=message_id,
        now=now,
        denial=denial_of,
    )


CHANNEL = Channel(
    name="pagerduty",
    hears=EVERYTHING,
    keeps_state=True,
    default_target=default_target,
    shown=lambda target: "a PagerDuty service",
    deliver=deliver,
)
