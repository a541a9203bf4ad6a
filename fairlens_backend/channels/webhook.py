"""The generic webhook: the message's facts as canonical JSON, signed with its time (see `webhooks`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from fairlens_backend.channels._channel import EVERYTHING, Channel, Target
from fairlens_backend.config import Settings
from fairlens_backend.webhooks import Delivery, send_webhook


def default_target(settings: Settings) -> dict[str, Any] | None:
    """WEBHOOK_URL and its secret."""
    if not settings.webhook_url:
        return None
    return {"url": settings.webhook_url, "secret": settings.webhook_secret}


def deliver(target: Target, payload: Mapping[str, Any], message_id: str, now: datetime) -> Delivery:
    """Post it; the id is in the body too."""
    body = {**payload, "message_id": message_id}
    return send_webhook(body, url=target["url"], secret=target["secret"], message_id=message_id, now=now)


CHANNEL = Channel(
    name="webhook",
    hears=EVERYTHING,
    keeps_state=True,
    default_target=default_target,
    shown=lambda target: urlsplit(target["url"]).hostname or "",
    deliver=deliver,
)
