"""One mail by SMTP, with STARTTLS or TLS and a login where they are wanted; the connection goes to what was checked."""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Literal

from fairlens_backend.errors import InvalidInput
from fairlens_backend.outbound_http import NoAnswer, Resolver, is_public, resolve_name

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in.

    Parameters
    ----------
    security : "starttls", "tls" from the first byte, or "none"
    may_be_private : whether a private or loopback address is allowed
    """

    host: str
    port: int
    security: Security
    username: str
    password: str
    may_be_private: bool


@dataclass(frozen=True)
class Receipt:
    """What the server said: its code (250 when it took the mail), and how many recipients it refused."""

    code: int
    reason: str
    refused: int = 0


def send_mail(
    server: MailServer,
    mail: EmailMessage,
    sender: str,
    recipients: Sequence[str],
    *,
    timeout_s: float,
    ca_file: str | None = None,
    resolve: Resolver = resolve_name,
) -> Receipt:
    """Hand one mail in. A refusal by the server is a receipt with its code; the words name no recipient.

    Parameters
    ----------
    timeout_s : seconds for connecting and for each answer
    ca_file : certificate authorities; None for the public ones

    Raises
    ------
    NoAnswer : the server is not there, breaks off, or shows no valid certificate
    InvalidInput : its address is private and may not be
    """
    address = _address(server, resolve)
    context = ssl.create_default_context(cafile=ca_file)
    step = "the connection"
    try:
        with _connect(server, address, context, timeout_s) as talk:
            if server.security == "starttls":
                step = "STARTTLS"
                talk.starttls(context=context)
            if server.username:
                step = "the login"
                _log_in(talk, server)
            step = "the mail"
            refused = talk.send_message(mail, sender, list(recipients))
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code if _is_refusal(code) else 450 for code, _ in error.recipients.values()]
        # Later may help where it would for any of them.
        code = min(codes) if codes else 550
        return Receipt(code, f"the mail server answered {code} to every recipient", len(codes))
    except smtplib.SMTPResponseException as error:
        if not _is_refusal(error.smtp_code):
            # smtplib gives −1 to words that are no answer; taken for a code it would be below every refusal.
            raise NoAnswer(f"{server.host} answered to {step} what no mail server says") from None
        return Receipt(error.smtp_code, f"the mail server answered {error.smtp_code} to {step}")
    except _Unspeakable:
        return Receipt(
            535, "the user name or password has letters that are not ASCII, which smtplib cannot send"
        )
    except smtplib.SMTPNotSupportedError:
        return Receipt(554, f"the mail server does not know {step}")
    except ssl.SSLError:
        raise NoAnswer(f"{server.host} did not show a valid certificate for its name") from None
    except (smtplib.SMTPException, OSError):
        raise NoAnswer(f"{server.host} does not answer or broke off at {step}") from None
    said = "the mail server took it" + (f", but for {len(refused)} of the recipients" if refused else "")
    return Receipt(250, said, len(refused))


def _is_refusal(code: int) -> bool:
    """RFC 5321 section 4.2.1: 4yz may succeed later, 5yz will not; anything else was no refusal and no success either."""
    return 400 <= code <= 599


def _address(server: MailServer, resolve: Resolver) -> str:
    try:
        found = resolve(server.host, server.port)
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise NoAnswer(f"{server.host} does not resolve")
    private = [address for address in found if not is_public(address)]
    if private and not server.may_be_private:
        raise InvalidInput(
            f"The mail server is refused: {server.host} is {private[0]}, which is not a public address.",
            field="smtp.host",
            expected="a public address, or private ones allowed",
        )
    return found[0]


class _Unspeakable(Exception):
    """A login that cannot be written down."""


def _log_in(talk: smtplib.SMTP, server: MailServer) -> None:
    try:
        talk.login(server.username, server.password)
    except (
        UnicodeEncodeError
    ):  # smtplib writes logins in ASCII alone; the error's own words hold the password
        raise _Unspeakable from None


def _connect(server: MailServer, address: str, context: ssl.SSLContext, timeout_s: float) -> smtplib.SMTP:
    """A greeted connection to the checked address, under the server's own name for TLS."""
    name = socket.gethostname() or "localhost"

    class Plain(smtplib.SMTP):
        def _get_socket(self, host: str, port: int, timeout: float) -> Any:
            return socket.create_connection((address, port), timeout)

    class Tls(Plain):
        def _get_socket(self, host: str, port: int, timeout: float) -> Any:
            return context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=host)

    kind = Tls if server.security == "tls" else Plain
    return kind(server.host, server.port, local_hostname=name, timeout=timeout_s)
