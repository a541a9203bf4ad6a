"""Handing a mail in to a real mail server: TLS, logins, refusals, and hosts that may not be reached."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import pytest

from fairlens_backend.errors import InvalidInput
from fairlens_backend.outbound_http import NoAnswer
from fairlens_backend.smtp_mail import MailServer, Receipt, Security, send_mail
from tests.vendors import Mailbox, certificate, running_mailbox

USER = ("fairlens", "a password of the server")


def mail() -> EmailMessage:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = "x", "a@example.org", "b@example.org"
    made.set_content("hello")
    return made


def hand_in(
    place: Mailbox, security: Security = "none", user: tuple[str, str] = ("", ""), ca: Path | None = None, **given: object
) -> Receipt:  # fmt: skip
    server = MailServer(
        place.host, place.port, security, *user, may_be_private=bool(given.get("private", True))
    )
    return send_mail(
        server, mail(), "a@example.org", ["b@example.org"], timeout_s=5, ca_file=str(ca) if ca else None,
        resolve=lambda _host, _port: ["127.0.0.1"],
    )  # fmt: skip


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for localhost, and that certificate as an authority."""
    certificate_file, key_file = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)
    return context, certificate_file


@pytest.fixture
def plain() -> Iterator[Mailbox]:
    """A mail server without TLS or users."""
    with running_mailbox() as place:
        yield place


def test_a_mail_arrives(plain: Mailbox) -> None:
    """With its envelope, as it was made."""
    assert hand_in(plain) == Receipt(250, "the mail server took it")
    assert plain.envelopes == [("a@example.org", ["b@example.org"])]
    assert plain.mails[0]["Subject"] == "x" and plain.encrypted == [False]


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
def test_with_tls_and_a_login(tls: tuple[ssl.SSLContext, Path], implicit: bool) -> None:
    """STARTTLS, or TLS from the first byte; the password goes over it, a wrong one is refused for good."""
    security: Security = "tls" if implicit else "starttls"
    with running_mailbox(login=USER, tls=tls[0], implicit=implicit) as place:
        assert hand_in(place, security, USER, tls[1]).code == 250
        assert place.encrypted == [True] and place.logins == [USER]
        wrong = hand_in(place, security, ("fairlens", "guessed"), tls[1])
        assert wrong.code == 535 and "the login" in wrong.reason and "guessed" not in wrong.reason
        for user in (("f\u00fcr", "guessed"), ("fairlens", "gue\u00dfed")):
            odd = hand_in(place, security, user, tls[1])
            assert odd.code == 535 and "not ASCII" in odd.reason and user[1] not in odd.reason
        with pytest.raises(NoAnswer, match="certificate"):
            hand_in(place, security, USER)  # not an authority that anybody knows


def test_a_server_that_cannot_encrypt_gets_no_password(plain: Mailbox) -> None:
    """STARTTLS was wanted and is not there: refused, before any login."""
    said = hand_in(plain, "starttls", USER)
    assert said.code == 554 and plain.logins == [] and plain.mails == []


def test_refusals_say_the_code_and_no_recipient(plain: Mailbox) -> None:
    """4xx may pass, 5xx will not; words of the server, which may hold addresses, are not repeated."""
    plain.answers = ["451 try later, b@example.org", "554 no, b@example.org"]
    assert [(one.code, "b@example.org" in one.reason) for one in (hand_in(plain), hand_in(plain))] == [
        (451, False), (554, False),
    ]  # fmt: skip


def test_nobody_there(plain: Mailbox) -> None:
    """A closed port, a name that does not resolve: later may help."""
    gone = Mailbox("localhost", 1)
    with pytest.raises(NoAnswer):
        hand_in(gone)
    server = MailServer("nowhere.invalid", 25, "none", "", "", True)
    with pytest.raises(NoAnswer, match="does not resolve"):
        send_mail(server, mail(), "a@b.c", ["d@e.f"], timeout_s=1, resolve=lambda _host, _port: [])


@pytest.mark.parametrize(
    "greeting",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 hello\r\n354 go on\r\n"],
)
def test_what_is_no_mail_server_took_no_mail(greeting: bytes) -> None:
    """A web server or a shell at the port, or answers out of turn: an error and never a receipt."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            talk, _ = listener.accept()
            with talk, suppress(OSError):
                talk.sendall(greeting * 5)
                while talk.recv(4096):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        place = Mailbox("localhost", listener.getsockname()[1])
        with pytest.raises(NoAnswer):
            hand_in(place)
        thread.join()


def test_a_private_mail_server_is_refused_where_it_must_be(plain: Mailbox) -> None:
    """Somebody of a tenant typed it in: it may not reach into the server's own network."""
    with pytest.raises(InvalidInput, match="not a public address"):
        hand_in(plain, private=False)
    assert plain.mails == []
