"""E-mail by SMTP: the same words as plain text and as HTML, from the mail server of the settings or of the route."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape
from typing import Any, Final

from fairlens_backend import config
from fairlens_backend.alert_messages import Told, clean, tell
from fairlens_backend.channels._channel import URGENT, Channel, Target
from fairlens_backend.config import Settings, words
from fairlens_backend.errors import InvalidInput
from fairlens_backend.outbound_http import NoAnswer
from fairlens_backend.smtp_mail import MailServer, send_mail
from fairlens_backend.webhooks import Delivery

COLOURS: Final = {"CRITICAL": "#a4161a", "HIGH": "#b34700", "MEDIUM": "#7a6000"}
CALM: Final = "#1b6e3c"
NEUTRAL: Final = "#2f4858"

HTML: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{headline}</title></head>
<body style="margin:0;padding:16px;background:#f3f4f6;color:#1c1c1e;font:16px/1.5 -apple-system,'Segoe UI',Roboto,Arial,sans-serif">
<table role="presentation" cellpadding="0" cellspacing="0" style="max-width:640px;width:100%;margin:0 auto;background:#ffffff;border:1px solid #d9dce1">
<tr><td style="background:{colour};color:#ffffff;padding:16px 24px;font-size:19px;font-weight:600;line-height:1.35;word-break:break-word">{headline}</td></tr>
<tr><td style="padding:20px 24px;word-break:break-word">
{sentence}<table role="presentation" cellpadding="0" cellspacing="0" style="width:100%;border-collapse:collapse">{facts}</table>
<p style="margin:20px 0 4px;font-weight:600">What to do next</p>
<ol style="margin:0;padding-left:22px">{steps}</ol>
{link}</td></tr>
<tr><td style="padding:12px 24px;border-top:1px solid #d9dce1;color:#5c6370;font-size:12px;word-break:break-word">{footer}</td></tr>
</table></body></html>
"""
FACT: Final = (
    '<tr><td style="padding:5px 16px 5px 0;color:#5c6370;vertical-align:top;width:70px">{label}</td>'
    '<td style="padding:5px 0;vertical-align:top">{value}</td></tr>'
)
LINK: Final = (
    '<p style="margin:20px 0 0"><a href="{link}" style="display:inline-block;padding:10px 18px;background:{colour};'
    'color:#ffffff;text-decoration:none;font-weight:600">Open it in FairLens</a></p>'
)


def default_target(settings: Settings) -> dict[str, Any] | None:
    """ALERT_EMAIL_TO, by the mail server of the settings."""
    return {"to": words(settings.alert_email_to)} if settings.alert_email_to else None


def compose_mail(
    payload: Mapping[str, Any], message_id: str, sender: str, recipients: Sequence[str], now: datetime
) -> EmailMessage:
    """The mail: its headers are made from cleaned names, so that none can add a line to them."""
    told = tell(payload)
    mail = EmailMessage()
    mail["Subject"] = clean(f"[FairLens] {told.headline}", 200)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(now.astimezone(UTC))
    domain = parseaddr(sender)[1].rpartition("@")[2]
    mail["Message-ID"] = f"<{message_id}@{domain}>"
    # One conversation an alert: mail programs put its turns together.
    mail["References"] = f"<{payload['alert_id']}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-FairLens-Alert"] = payload["alert_id"]
    mail["X-FairLens-Delivery"] = message_id
    if payload["kind"] not in ("resolved", "test"):
        mail["Importance"] = "high"
    mail.set_content(as_text(told))
    mail.add_alternative(as_html(payload, told), subtype="html")
    return mail


def as_text(told: Told) -> str:
    """The plain part."""
    width = max(len(label) for label, _ in told.facts)
    lines = [told.headline, ""]
    if told.sentence:
        lines += [told.sentence, ""]
    lines += [f"{label + ':':<{width + 2}}{value}" for label, value in told.facts]
    lines += ["", "What to do next:", *(f"{n}. {step}" for n, step in enumerate(told.steps, 1))]
    if told.link:
        lines += ["", told.link]
    return "\n".join([*lines, "", "-- ", told.footer, ""])


def as_html(payload: Mapping[str, Any], told: Told) -> str:
    """The HTML part: styles inline, no picture, nothing from outside; every word escaped."""
    colour = CALM if payload["kind"] == "resolved" else COLOURS.get(payload["severity"], NEUTRAL)
    return HTML.format(
        colour=colour,
        headline=escape(told.headline),
        sentence=f'<p style="margin:0 0 14px">{escape(told.sentence)}</p>\n' if told.sentence else "",
        facts="".join(FACT.format(label=escape(label), value=escape(value)) for label, value in told.facts),
        steps="".join(f'<li style="margin:2px 0">{escape(step)}</li>' for step in told.steps),
        link=LINK.format(link=escape(told.link), colour=colour) if told.link else "",
        footer=escape(told.footer),
    )


def deliver(target: Target, payload: Mapping[str, Any], message_id: str, now: datetime) -> Delivery:
    """Hand the mail in; 4xx of the mail server may succeed later, 5xx will not."""
    settings = config.current()
    server, sender = _server(target, settings)
    if server is None:
        return Delivery(message_id, "failed", "SMTP_HOST and SMTP_FROM are not set", attempts=0)
    mail = compose_mail(payload, message_id, sender, target["to"], now)
    try:
        receipt = send_mail(server, mail, sender, target["to"], timeout_s=settings.webhook_timeout_s)
    except NoAnswer as error:
        return Delivery(message_id, "retry", str(error))
    except InvalidInput as error:
        return Delivery(message_id, "failed", error.message)
    outcome = "delivered" if receipt.code < 300 else "retry" if receipt.code < 500 else "failed"
    return Delivery(message_id, outcome, receipt.reason, receipt.code)


def _server(target: Target, settings: Settings) -> tuple[MailServer | None, str]:
    own = target.get("smtp")
    if own:
        # Somebody of a tenant typed it in, so it may not reach into the server's own network.
        server = MailServer(
            own["host"],
            own["port"],
            own["security"],
            own["username"],
            own["password"],
            may_be_private=settings.webhook_allow_private,
        )
        return server, own["sender"]
    if not (settings.smtp_host and settings.smtp_from):
        return None, ""
    server = MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_security,  # type: ignore[arg-type]
        settings.smtp_username,
        settings.smtp_password,
        may_be_private=True,
    )
    return server, settings.smtp_from


CHANNEL = Channel(
    name="email",
    hears=URGENT,
    keeps_state=False,
    default_target=default_target,
    shown=lambda target: ", ".join(target["to"]),
    deliver=deliver,
)
