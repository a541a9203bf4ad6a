"""Webhooks: one signed delivery of a message to the receiver that the settings name.

A receiver gets a POST whose body is canonical JSON (RFC 8785) and these headers::

    X-FairLens-Timestamp: 1767323045                  seconds since 1970, when it was signed
    X-FairLens-Signature: sha256=<hex>                HMAC-SHA256(secret, timestamp + "." + body)
    X-FairLens-Delivery:  <message_id>                the same at every repetition, also in the signed body

It checks the signature over the bytes as they came (`verify_signature`, or its two lines in any language), refuses a
timestamp more than five minutes off, and passes over a message_id that it has seen: delivery is at least once.

Receivers must have public addresses, and https in production; `WEBHOOK_ALLOW_PRIVATE` lifts both, for a receiver in
one's own network. The rest of what is refused is in `outbound_http`.
"""

import hashlib
import hmac
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import rfc8785

from fairlens_backend import config, telemetry
from fairlens_backend.errors import InvalidInput
from fairlens_backend.outbound_http import NoAnswer, Resolver, check_target, post, resolve_name

TIMESTAMP_HEADER = "X-FairLens-Timestamp"
SIGNATURE_HEADER = "X-FairLens-Signature"
DELIVERY_HEADER = "X-FairLens-Delivery"
USER_AGENT = "FairLens-Webhook/1"
DIRECT_TRIES = 3
DIRECT_WAIT_S = 30.0  # a caller who waits for the result is not kept longer than this between two tries
MAX_PAUSE_S = 86400.0  # a receiver may ask for a day, not for ever: until then nothing goes to it
RETRY_STATUS = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Delivery:
    """What came of a delivery: `delivered`, `retry` (may succeed later) or `failed` (will not)."""

    message_id: str
    outcome: str
    reason: str
    status_code: int | None = None
    retry_after_s: float | None = None
    attempts: int = 1
    elapsed_s: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver took the message."""
        return self.outcome == "delivered"


def sign(body: bytes, secret: str, timestamp: str) -> str:
    """The signature header of a body: `sha256=` and the HMAC in hex."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def verify_signature(
    body: bytes, headers: Mapping[str, str], secret: str, now: datetime, tolerance_s: float = 300
) -> bool:
    """Whether a received webhook was signed with the secret, not long ago. For receivers.

    Parameters
    ----------
    body : the bytes as they came, before any parsing
    headers : the request's headers, in any case
    tolerance_s : seconds that the two clocks may be apart; older messages may be replays

    Examples
    --------
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> stamp = str(int(noon.timestamp()))
    >>> signed = {"x-fairlens-timestamp": stamp, "x-fairlens-signature": sign(b"{}", "secret", stamp)}
    >>> verify_signature(b"{}", signed, "secret", noon), verify_signature(b"[]", signed, "secret", noon)
    (True, False)
    """
    given = {name.lower(): value for name, value in headers.items()}
    stamp = given.get(TIMESTAMP_HEADER.lower(), "")
    signature = given.get(SIGNATURE_HEADER.lower(), "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 and signature.isascii()):
        return False
    fresh = abs(now.timestamp() - int(stamp)) <= tolerance_s
    return hmac.compare_digest(sign(body, secret, stamp), signature) and fresh


def send_webhook(
    payload: Mapping[str, Any],
    *,
    url: str | None = None,
    secret: str | None = None,
    message_id: str | None = None,
    now: datetime | None = None,
    timeout_s: float | None = None,
    allow_private: bool | None = None,
    resolve: Resolver = resolve_name,
    sleep: Callable[[float], None] = time.sleep,
    ca_bundle: str | bool = True,
) -> Delivery:
    """Deliver a payload. What is not given comes from the settings. A receiver's fault is a result, not an error.

    With `message_id` it tries once: repeating is the outbox's. Without (`send_webhook(payload)`) it makes an id and
    tries up to three times, waiting up to 1 and 2 s between, or what Retry-After asks when that is at most 30 s.

    Parameters
    ----------
    now : when it is signed; the time now when None
    timeout_s : seconds for connecting, and again for the whole answer (finding the name is the system's time)
    ca_bundle : file of certificate authorities; True for the public ones

    Returns
    -------
    Delivery
        2xx is delivered; 408, 425, 429, 5xx and no answer are `retry`; a refused address and all else are `failed`.
    """
    settings = config.current()
    tries = DIRECT_TRIES if message_id is None else 1
    message_id = message_id or secrets.token_hex(16)
    url = settings.webhook_url if url is None else url
    secret = settings.webhook_secret if secret is None else secret
    if not url or not secret:
        missing = "WEBHOOK_SECRET" if url else "WEBHOOK_URL"
        return Delivery(message_id, "failed", f"{missing} is not set", attempts=0)
    try:
        body = rfc8785.dumps(dict(payload))
    except rfc8785.CanonicalizationError as error:
        return Delivery(message_id, "failed", f"The payload is not JSON: {error}", attempts=0)
    private = settings.webhook_allow_private if allow_private is None else allow_private
    for attempt in range(1, tries + 1):
        signed_at = now or telemetry.utc_now()
        delivery = post_once(
            url,
            body,
            _headers(body, secret, message_id, signed_at),
            message_id=message_id,
            now=signed_at,
            timeout_s=timeout_s,
            allow_private=private,
            resolve=resolve,
            ca_bundle=ca_bundle,
        )
        delivery = replace(delivery, attempts=attempt)
        wait_s = delivery.retry_after_s or random.uniform(0, 2 ** (attempt - 1))
        if delivery.outcome != "retry" or attempt == tries or wait_s > DIRECT_WAIT_S:
            break
        sleep(wait_s)
    return delivery


def post_once(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    message_id: str,
    now: datetime,
    timeout_s: float | None = None,
    allow_private: bool | None = None,
    resolve: Resolver = resolve_name,
    ca_bundle: str | bool = True,
    denial: Callable[[bytes], str | None] | None = None,
) -> Delivery:
    """Post bytes once to an address that a person typed in, and judge the answer as `send_webhook` does.

    Parameters
    ----------
    timeout_s, allow_private : those of the settings when None
    now : what a Retry-After that is a date is counted from
    denial : what the body of a 2xx says instead of yes, or None; such an answer is `retry`
    """
    settings = config.current()
    private = settings.webhook_allow_private if allow_private is None else allow_private
    started = time.monotonic()
    try:
        target = check_target(url, allow_private=private, require_https=settings.production, resolve=resolve)
        answer = post(
            target, body, headers, timeout_s=timeout_s or settings.webhook_timeout_s, ca_bundle=ca_bundle
        )
    except InvalidInput as error:
        delivery = Delivery(message_id, "failed", error.message)
    except NoAnswer as error:
        delivery = Delivery(message_id, "retry", str(error))
    else:
        delivery = _judge(message_id, answer.status, answer.headers, now)
        denied = denial(answer.body) if denial and delivery.delivered else None
        if denied:
            delivery = replace(delivery, outcome="retry", reason=f"{delivery.reason}, and sent {denied}")
    return replace(delivery, elapsed_s=time.monotonic() - started)


def denial_of(body: bytes) -> str | None:
    """What Slack and PagerDuty never say beside a 2xx: a page, as a proxy or a login sends it, or JSON that denies.

    Examples
    --------
    >>> denial_of(b"ok"), denial_of(b"<html>Log in</html>"), denial_of(b'{"ok": false, "error": "no_service"}')
    (None, 'a page of HTML', 'an error')
    """
    text = body.strip()
    if text.startswith(b"<"):
        return "a page of HTML"
    try:
        said = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    # Only what denies: a relay in between may say yes in words of its own, and would get the message again and again.
    status = str(said.get("status", "")).lower()
    denied = said.get("ok") is False or said.get("success") is False
    denied = denied or any(word in status for word in ("invalid", "error", "fail"))
    return "an error" if denied or said.get("error") or said.get("errors") else None


def _headers(body: bytes, secret: str, message_id: str, now: datetime) -> dict[str, str]:
    stamp = str(int(now.timestamp()))
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        DELIVERY_HEADER: message_id,
        TIMESTAMP_HEADER: stamp,
        SIGNATURE_HEADER: sign(body, secret, stamp),
    }


def _judge(message_id: str, status: int, headers: Mapping[str, str], now: datetime) -> Delivery:
    said = f"the receiver answered {status}"
    if 200 <= status < 300:
        return Delivery(message_id, "delivered", said, status)
    if status in RETRY_STATUS or status >= 500:
        return Delivery(message_id, "retry", said, status, _retry_after_s(headers.get("Retry-After"), now))
    if 300 <= status < 400:
        said += "; redirects are not followed"
    return Delivery(message_id, "failed", said, status)


def _retry_after_s(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, written as a number or as a date (RFC 9110 section 10.2.3); at most a day."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return min(float(text), MAX_PAUSE_S)
    try:
        wanted = parsedate_to_datetime(text)
    except ValueError:
        return None
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    return min(max(0.0, (wanted - now).total_seconds()), MAX_PAUSE_S)
