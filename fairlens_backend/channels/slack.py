"""Slack, by an incoming webhook: Block Kit, with every name escaped.

Source: Slack, "Sending messages using incoming webhooks", "Block Kit: blocks" and "Formatting message text": 50 blocks,
150 characters a header, 3,000 a text, 2,000 a field and 10 fields a section; & < > are escaped, and `verbatim` keeps
names from becoming links.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from fairlens_backend.alert_messages import cut, tell
from fairlens_backend.channels._channel import EVERYTHING, Channel, Target
from fairlens_backend.config import Settings
from fairlens_backend.webhooks import Delivery, denial_of, post_once

MAX_HEADER: Final = 150
MAX_TEXT: Final = 3000
MAX_FIELD: Final = 2000
SIGNS: Final = {"CRITICAL": "🔴", "HIGH": "🟠", "MEDIUM": "🟡"}


def default_target(settings: Settings) -> dict[str, Any] | None:
    """ALERT_SLACK_URL."""
    return {"url": settings.alert_slack_url} if settings.alert_slack_url else None


def escape(text: str, limit: int = MAX_TEXT) -> str:
    """Text that Slack shows as it is: no mention, no link. Cut so that no escape is cut through.

    Examples
    --------
    >>> escape("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    made = [{"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(letter, letter) for letter in text]
    if sum(map(len, made)) <= limit:
        return "".join(made)
    length, kept = 1, []
    for piece in made:
        length += len(piece)
        if length > limit:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def message(payload: Mapping[str, Any], message_id: str) -> dict[str, Any]:
    """The message: a header, the finding, the facts, the next steps, where it is from."""
    told = tell(payload)
    sign = "🟢" if payload["kind"] == "resolved" else SIGNS.get(payload["severity"], "🔵")
    headline = f"{sign} {told.headline}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(headline, MAX_HEADER), "emoji": False}}
    ]
    if told.sentence:
        blocks.append({"type": "section", "text": _mrkdwn(escape(told.sentence))})
    fields = [_mrkdwn(f"*{label}*\n{escape(text, MAX_FIELD - 20)}") for label, text in told.facts]
    blocks.append({"type": "section", "fields": fields})
    steps = "\n".join(f"{number}. {escape(step, 500)}" for number, step in enumerate(told.steps, 1))
    blocks.append({"type": "section", "text": _mrkdwn(f"*What to do next*\n{steps}")})
    if told.link:
        blocks.append({"type": "section", "text": _mrkdwn(f"<{_address(told.link)}|Open it in FairLens>")})
    footer = f"{told.footer}, message {message_id}"
    blocks.append({"type": "context", "elements": [_mrkdwn(escape(footer, MAX_FIELD))]})
    return {"text": escape(headline, MAX_TEXT), "blocks": blocks}


def deliver(target: Target, payload: Mapping[str, Any], message_id: str, now: datetime) -> Delivery:
    """Post the message."""
    body = json.dumps(message(payload, message_id)).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "FairLens/1"}
    return post_once(target["url"], body, headers, message_id=message_id, now=now, denial=denial_of)


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _address(link: str) -> str:
    return escape(link.replace("|", "%7C"), MAX_TEXT - 50)


CHANNEL = Channel(
    name="slack",
    hears=EVERYTHING,
    keeps_state=False,
    default_target=default_target,
    shown=lambda target: urlsplit(target["url"]).hostname or "",
    deliver=deliver,
)
