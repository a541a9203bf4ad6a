"""Puts an alert's messages into the outbox: to whom, and in which order they must arrive."""

import uuid
from datetime import datetime
from typing import Any

from fairlens_backend import alert_messages, alert_router
from fairlens_backend.storage import outbox
from fairlens_backend.storage.alert_tables import Alert
from fairlens_backend.storage.session import current_session

TO_THOSE_TOLD = ("acknowledged", "resolved")
FACTS = (
    *(
        "alert_id",
        "tenant",
        "model",
        "model_version",
        "attribute",
        "metric",
        "state",
        "severity",
        "opened_at",
    ),
    *("resolved_at", "breaches", "audit_id", "record_id", "figures"),
)


def speak(alert: Alert, kind: str, now: datetime, *, quiet: bool = False, **more: Any) -> int:
    """Tell of one turn in an alert's life, in the unit of work of the turn; to how many targets.

    A silenced alert says nothing. Its end is told to receivers alone that keep an incident open until they hear of it.

    Parameters
    ----------
    quiet : it was silenced until now
    more : facts for the message: by, reason, previous_severity
    """
    if alert.state == "silenced":
        return 0
    keys = list(alert.targets)
    if kind not in TO_THOSE_TOLD:
        keys += alert_router.matching(alert.tenant, alert.model, alert.severity)
    payload = alert_messages.compose(kind, {name: getattr(alert, name) for name in FACTS}, now, **more)
    alert.messages += 1
    told = []
    for key in dict.fromkeys(keys):
        channel = alert_router.channel_of(alert.tenant, key)
        if channel is None or kind not in channel.hears or (quiet and not channel.keeps_state):
            continue
        # The same for the same turn, alert and target, so that a receiver knows a repetition.
        name = f"{alert_messages.EVENT}:{alert.alert_id}:{alert.messages}:{key}"
        message_id = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        outbox.add(alert.tenant, key, payload, message_id, now, alert.alert_id)
        told.append(key)
    if told and kind not in TO_THOSE_TOLD:
        alert.targets = sorted({*alert.targets, *told})
        alert.announced_at = alert.announced_at or now
    current_session().flush()
    return len(told)
