"""Which addresses may be called, and that the connection goes to the address that was checked and to no other."""

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fairlens_backend import config
from fairlens_backend.errors import InvalidInput
from fairlens_backend.outbound_http import NoAnswer, check_target, is_public, post, resolve_name
from fairlens_backend.webhooks import send_webhook
from tests.receiver import running_receiver

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

# From the IANA registries of special-purpose addresses and the RFC beside each.
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254",  # RFC 1122 loopback
    "0.0.0.0", "0.1.2.3",  # RFC 791 this network
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",  # RFC 1918
    "169.254.169.254",  # RFC 3927 link-local: the clouds' metadata
    "100.64.0.1", "100.127.255.254",  # RFC 6598 carrier-grade NAT
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",  # RFC 6890, 5737, 2544
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",  # RFC 5771, 1112
    "::1", "::",  # RFC 4291
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe",  # IPv4-mapped
    "::127.0.0.1", "::ffff:0:127.0.0.1",  # RFC 4291 compatible, RFC 2765 translated
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",  # RFC 6052, 8215 NAT64
    "2002:7f00:1::", "2002:a00:1::1",  # RFC 3056 6to4 of 127.0.0.1 and 10.0.0.1
    "2001::1",  # RFC 4380 Teredo
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1",  # RFC 4193, 4291, 3879
    "ff02::1", "2001:db8::1", "100::1",  # RFC 4291, 3849, 6666
]  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


def check(url: str, *addresses: str, allow_private: bool = False, require_https: bool = False) -> list[str]:
    """The addresses that may be called, with a resolver that knows these ones."""
    target = check_target(
        url, allow_private=allow_private, require_https=require_https, resolve=lambda _host, _port: [*addresses]
    )  # fmt: skip
    return [*target.addresses]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    """Alone, beside a public one, and as a name's address; allowed only where private ones are."""
    assert not is_public(address)
    for found in ([address], ["8.8.8.8", address], [address, "8.8.8.8"]):
        with pytest.raises(InvalidInput, match="not a public address"):
            check("https://hooks.example/x", *found)
    assert check("https://hooks.example/x", address, allow_private=True) == [address]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_taken(address: str) -> None:
    """Neighbours of private ranges and IPv6 forms of public IPv4 addresses too."""
    assert is_public(address) and check("https://hooks.example/x", address) == [address]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]:8080/", "http://2130706433/", "http://0x7f000001/",
     "http://0177.0.0.1/", "http://127.1/", "http://localhost/", "http://0/", "http://127.0.0.1./"],
)  # fmt: skip
def test_loopback_is_refused_however_it_is_written(url: str) -> None:
    """The system's own resolver reads short, octal, hexadecimal and whole-number forms: its answer is what is checked.

    A form that this system does not resolve does not lead anywhere either.
    """
    with pytest.raises((InvalidInput, NoAnswer)):
        check_target(url, allow_private=False, require_https=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://hooks.example/", "scheme is ftp"),
        ("file:///etc/passwd", "scheme is file"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "scheme is gopher"),
        ("hooks.example/x", "cannot be read"),
        ("", "cannot be read"),
        ("https://", "cannot be read"),
        ("https://user:word@hooks.example/", "user name or password"),
        ("https://good.example@evil.example/", "user name or password"),
        ("https://hooks.example:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
    ],
)
def test_only_plain_http_addresses_are_taken(url: str, reason: str) -> None:
    """Other schemes, credentials and what cannot be read are refused, also where private addresses are allowed."""
    for allow_private in (False, True):
        with pytest.raises(InvalidInput, match=reason) as caught:
            check(url, "8.8.8.8", allow_private=allow_private)
        assert caught.value.details["field"] == "url" and "word" not in caught.value.message.replace(
            "password", ""
        )


def test_production_wants_https_except_in_ones_own_network() -> None:
    """Plain http is taken in development, and in production only where private addresses are allowed."""
    assert check("http://hooks.example/", "8.8.8.8") == ["8.8.8.8"]
    with pytest.raises(InvalidInput, match="plain http"):
        check("http://hooks.example/", "8.8.8.8", require_https=True)
    assert check("http://hooks.internal/", "10.0.0.7", require_https=True, allow_private=True) == ["10.0.0.7"]
    assert check("https://hooks.example:8443/", "8.8.8.8", require_https=True) == ["8.8.8.8"]


def test_the_host_that_is_checked_is_the_host_that_is_called() -> None:
    """Where parsers differ (a backslash, a fragment, a blank) the one that sends decides."""
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["8.8.8.8"]

    for url in (
        " https://HOOKS.example/x ",
        "https://hooks.example#@evil.example/",
        "https://hooks.example:444?@evil.example",
    ):
        target = check_target(url, allow_private=False, require_https=True, resolve=resolve)
        assert target.host == "hooks.example"
    assert asked == [("hooks.example", 443), ("hooks.example", 443), ("hooks.example", 444)]


def test_refusals_reach_the_caller_of_send_webhook(settings: config.Settings) -> None:
    """A name that resolves inside is a failure for good, with the reason; nothing is connected to."""
    with running_receiver() as inside:
        sent = send_webhook(
            {"a": 1}, url=f"http://hooks.example:{inside.port}/", secret="s", message_id="m", now=NOW,
            resolve=lambda _host, _port: ["127.0.0.1"],
        )  # fmt: skip
        assert sent.outcome == "failed" and "127.0.0.1, which is not a public address" in sent.reason
        assert inside.received == []


def test_a_name_that_changes_after_the_check_changes_nothing(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name is resolved once; the connection goes to that address though the name now leads elsewhere."""
    with running_receiver() as checked, running_receiver() as inside:
        looked_up: list[str] = []
        real = socket.getaddrinfo

        def rebound(host: str, *args: object, **kwargs: object) -> object:
            looked_up.append(host)
            if host == "hooks.example":
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", inside.port))]
            return real(host, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        answers = iter([["127.0.0.1"], ["127.0.0.9"]])
        sent = send_webhook(
            {"a": 1}, url=f"http://hooks.example:{checked.port}/hook", secret="s", message_id="m", now=NOW,
            allow_private=True, resolve=lambda _host, _port: next(answers),
        )  # fmt: skip
        assert sent.delivered and len(checked.received) == 1 and inside.received == []
        assert "hooks.example" not in looked_up
        assert checked.received[0].headers["host"] == f"hooks.example:{checked.port}"
        assert next(answers) == ["127.0.0.9"]  # asked once


def test_an_address_that_takes_no_connection_leaves_the_next_to_try() -> None:
    """Of several checked addresses the first that connects is used; a POST that was sent is not sent again."""
    with running_receiver() as place:
        target = check_target(
            f"http://hooks.example:{place.port}/", allow_private=True, require_https=False,
            resolve=lambda _host, _port: ["::1", "127.0.0.1"],  # the receiver listens on IPv4 only
        )  # fmt: skip
        assert post(target, b"{}", {}, timeout_s=5).status == 200
        hang_up = lambda _request, connection: connection.shutdown(socket.SHUT_RDWR)  # noqa: E731
        place.on_receive, place.received[:] = hang_up, []
        both = check_target(
            f"http://hooks.example:{place.port}/", allow_private=True, require_https=False,
            resolve=lambda _host, _port: ["127.0.0.1", "127.0.0.1"],
        )  # fmt: skip
        with pytest.raises(NoAnswer, match=r"hooks\.example does not answer"):
            post(both, b"{}", {}, timeout_s=5)
        assert len(place.received) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, ssl.SSLContext]]:
    """Make a certificate for a name or an address; gives it as an authority's file and as a server's context."""

    def make(subject: str) -> tuple[Path, ssl.SSLContext]:
        folder = tmp_path_factory.mktemp("tls")
        key = ec.generate_private_key(ec.SECP256R1())
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(subject))
        except ValueError:
            alternative = x509.DNSName(subject)
        made = (
            x509.CertificateBuilder().subject_name(named).issuer_name(named).public_key(key.public_key())
            .serial_number(1).not_valid_before(dt.datetime(2020, 1, 1)).not_valid_after(dt.datetime(2099, 1, 1))
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        return folder / "cert.pem", context

    return make


@pytest.mark.parametrize(
    ("subject", "accepted"), [("hooks.example", True), ("evil.example", False), ("127.0.0.1", False)]
)
def test_tls_is_checked_against_the_name_though_an_address_is_dialled(
    certificate: Callable[[str], tuple[Path, ssl.SSLContext]], subject: str, accepted: bool
) -> None:
    """Server name indication and certificate are the name's; a certificate for the address or another name is not it."""
    authority, context = certificate(subject)
    asked_for: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    with running_receiver(tls=context) as place:
        target = check_target(
            f"https://hooks.example:{place.port}/hook", allow_private=True, require_https=True,
            resolve=lambda _host, _port: ["127.0.0.1"],
        )  # fmt: skip
        if accepted:
            assert post(target, b"{}", {}, timeout_s=5, ca_bundle=str(authority)).status == 200
        else:
            with pytest.raises(NoAnswer, match="valid certificate for its name"):
                post(target, b"{}", {}, timeout_s=5, ca_bundle=str(authority))
        assert asked_for == ["hooks.example"] and len(place.received) == int(accepted)
        with pytest.raises(NoAnswer, match="valid certificate"):
            post(target, b"{}", {}, timeout_s=5)  # the public authorities do not know it
    assert resolve_name("127.0.0.1", 80) == ["127.0.0.1"]
