"""What Slack and PagerDuty publish of the messages that they take, as checks; and a mail server. Nothing of the code under test.

Sources: Slack, "Block Kit: blocks" and "composition objects" (lengths and counts); PagerDuty, "Events API v2: Send an
event" (fields, enumerations, lengths).
"""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default as modern
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

PAGERDUTY_FIELDS = {
    "routing_key",
    "event_action",
    "dedup_key",
    "payload",
    "client",
    "client_url",
    "links",
    "images",
}
PAGERDUTY_PAYLOAD = {
    "summary",
    "source",
    "severity",
    "timestamp",
    "component",
    "group",
    "class",
    "custom_details",
}


def check_slack(body: bytes) -> dict[str, Any]:
    """A message that an incoming webhook takes, or an AssertionError that says why not."""
    message: dict[str, Any] = json.loads(body)
    assert set(message) <= {"text", "blocks", "attachments", "thread_ts", "mrkdwn", "response_type"}
    assert isinstance(message["text"], str) and 0 < len(message["text"]) <= 40_000
    _escaped(message["text"])
    blocks = message["blocks"]
    assert 0 < len(blocks) <= 50
    for block in blocks:
        kind = block["type"]
        if kind == "header":
            assert set(block) <= {"type", "text", "block_id"}
            assert block["text"]["type"] == "plain_text" and 0 < len(block["text"]["text"]) <= 150
        elif kind == "section":
            assert set(block) <= {"type", "text", "fields", "accessory", "block_id", "expand"}
            assert "text" in block or "fields" in block
            if "text" in block:
                _text(block["text"], 3000)
            fields = block.get("fields", [])
            assert "fields" not in block or 0 < len(fields) <= 10
            for one in fields:
                _text(one, 2000)
        elif kind == "context":
            assert 0 < len(block["elements"]) <= 10
            for one in block["elements"]:
                _text(one, 3000)
        else:
            raise AssertionError(f"a block of the type {kind} was not expected")
    return message


def _text(text: dict[str, Any], limit: int) -> None:
    assert text["type"] in ("mrkdwn", "plain_text")
    assert set(text) <= {"type", "text", "verbatim" if text["type"] == "mrkdwn" else "emoji"}
    assert 0 < len(text["text"]) <= limit
    if text["type"] == "mrkdwn":
        _escaped(text["text"])


def _escaped(text: str) -> None:
    """Control characters stand for themselves only in links to http addresses and in the three escapes."""
    rest = text
    for escape in ("&amp;", "&lt;", "&gt;"):
        rest = rest.replace(escape, "")
    assert "&" not in rest, text
    while "<" in rest:
        start = rest.index("<")
        end = rest.index(">", start)
        assert rest[start + 1 : end].startswith(("http://", "https://")), rest[start : end + 1]
        rest = rest[:start] + rest[end + 1 :]
    assert ">" not in rest, text


@dataclass
class PagerDuty:
    """The incidents that events open, by dedup_key: triggered, acknowledged, resolved."""

    routing_key: str
    incidents: dict[str, list[str]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def take(self, body: bytes) -> dict[str, Any]:
        """Check one event as the vendor's schema asks, and keep what it does to its incident."""
        assert len(body) <= 512 * 1024
        event: dict[str, Any] = json.loads(body)
        assert set(event) <= PAGERDUTY_FIELDS, set(event) - PAGERDUTY_FIELDS
        assert event["routing_key"] == self.routing_key and len(event["routing_key"]) == 32
        assert event["event_action"] in ("trigger", "acknowledge", "resolve")
        assert 0 < len(event["dedup_key"]) <= 255
        if event["event_action"] == "trigger":
            payload = event["payload"]
            assert set(payload) <= PAGERDUTY_PAYLOAD
            assert 0 < len(payload["summary"]) <= 1024 and payload["source"]
            assert payload["severity"] in ("critical", "error", "warning", "info")
            assert datetime.fromisoformat(payload["timestamp"]).tzinfo is not None
            assert isinstance(payload["custom_details"], dict)
            for link in event.get("links", []):
                assert link["href"].startswith("http") and link["text"]
        self.events.append(event)
        self.incidents.setdefault(event["dedup_key"], []).append(event["event_action"])
        return event


@dataclass
class Mailbox:
    """A mail server and what it took. `answers` are given to DATA in turn, the last one repeats."""

    host: str
    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=lambda: ["250 OK"])
    encrypted: list[bool] = field(default_factory=list)


class _OnFreePort(Controller):
    """aiosmtpd knocks at the port that it was given; with port 0 the system chose another."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


@contextmanager
def running_mailbox(
    *, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None, implicit: bool = False
) -> Iterator[Mailbox]:
    """A real SMTP server (aiosmtpd) on loopback until the block ends.

    Parameters
    ----------
    login : the only user and password that it takes, over TLS alone
    tls : offers STARTTLS, or speaks TLS from the first byte where `implicit`
    """

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            place.encrypted.append(session.ssl is not None or implicit)
            answer = place.answers[min(len(place.encrypted), len(place.answers)) - 1]
            if answer.startswith("250"):
                place.raw.append(envelope.content)
                place.mails.append(BytesParser(policy=modern).parsebytes(envelope.content))  # type: ignore[arg-type]
                place.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            return answer

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        place.logins.append(given)
        return AuthResult(success=given == login, handled=given == login)

    controller = _OnFreePort(
        Handler(),
        hostname="127.0.0.1",
        port=0,
        ready_timeout=20,
        ssl_context=tls if implicit else None,
        tls_context=None if implicit else tls,
        authenticator=authenticate if login else None,
        auth_required=login is not None,
        auth_require_tls=not implicit,
    )
    place = Mailbox("localhost", 0)
    controller.start()
    place.port = controller.port
    try:
        yield place
    finally:
        controller.stop()


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A certificate of its own for a name and its key, as files; valid in the year of the tests and long after."""
    from datetime import UTC, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_file, key_file
