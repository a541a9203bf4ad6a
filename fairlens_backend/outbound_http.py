"""HTTP to addresses that a person typed in: the target is checked, and the connection goes to what was checked.

What is refused (server-side request forgery): any scheme but http and https, a user name or password in the address,
plain http where https is required, and a name of which any address is not global. The connection goes to the very
address that was checked, while Host, TLS server name and certificate stay those of the name: a name that changes its
address in between changes nothing. Redirects are not followed; proxies and .netrc of the environment are not used.
"""

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from fairlens_backend.errors import InvalidInput

MAX_ANSWER_BYTES = 4096
MAX_ADDRESSES = 4
NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215

Resolver = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Target:
    """An address as it will be sent, and the IP addresses that it may go to."""

    url: str
    host: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a receiver said: its status, its headers and the beginning of its body, empty where that did not come in time."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class NoAnswer(OSError):
    """The receiver could not be reached or did not answer in time; the message names no path and no secret."""


def resolve_name(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order the system prefers; OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an IP address is a host of the public internet.

    An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4) is as public as that one.

    Examples
    --------
    >>> [is_public(address) for address in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False]

    Source: IANA special-purpose address registries, as Python's `ipaddress` has them.
    """
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if any(found in network for network in NAT64):
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local:
            return False
    # is_global alone lets multicast and ::127.0.0.1 (in the reserved ::/8) through.
    return found.is_global and not found.is_multicast and not found.is_reserved


def check_target(
    url: str, *, allow_private: bool, require_https: bool, resolve: Resolver = resolve_name
) -> Target:
    """Take an address apart, resolve it, and refuse what must not be called.

    Raises
    ------
    InvalidInput : the address is not one that may be called, with the reason
    NoAnswer : the name does not resolve now
    """
    prepared, host, port = read_address(url, plain_http=allow_private or not require_https)
    try:
        addresses = resolve(host, port)
    except UnicodeError:
        raise _refused(f"{host!r} is not a host name", "https://host/path") from None
    except OSError:
        addresses = []
    if not addresses:
        raise NoAnswer(f"{host} does not resolve")
    private = [address for address in addresses if not is_public(address)]
    if private and not allow_private:
        raise _refused(
            f"{host} is {private[0]}, which is not a public address",
            "a public address, or private ones allowed",
        )
    return Target(prepared, host, tuple(addresses[:MAX_ADDRESSES]))


def read_address(url: str, *, plain_http: bool) -> tuple[str, str, int]:
    """The address as it will be sent, its host and its port; refuses what could never be called. Asks no name server.

    Raises
    ------
    InvalidInput : with the reason
    """
    try:
        # Taken apart as it will be sent, so that no two parsers can read two hosts in one address.
        prepared = requests.Request("POST", url.strip()).prepare().url or ""
        parts = urlsplit(prepared)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except (ValueError, requests.RequestException):
        raise _refused("it cannot be read", "https://host/path") from None
    if parts.scheme not in ("http", "https"):
        raise _refused(f"its scheme is {parts.scheme or 'missing'}", "https://… (or http://…)")
    if "@" in parts.netloc:
        raise _refused("it has a user name or password in it", "an address without them")
    if not host:
        raise _refused("it names no host", "https://host/path")
    if parts.scheme == "http" and not plain_http:
        raise _refused("plain http is not used in production", "https://…, or private addresses allowed")
    return prepared, host, port


def post(
    target: Target, body: bytes, headers: Mapping[str, str], *, timeout_s: float, ca_bundle: str | bool = True
) -> Answer:
    """Send bytes to a checked target, once.

    Parameters
    ----------
    timeout_s : seconds for connecting, and seconds from then until the answer's end, also when it comes in drops
    ca_bundle : file of certificate authorities; True for the public ones

    Raises
    ------
    NoAnswer : no address took the connection, the certificate is not the name's, or the answer took too long
    """
    sent = {
        "Host": urlsplit(target.url).netloc,
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    prepared = requests.Request("POST", target.url, data=body, headers=sent).prepare()
    problem = "has no address"
    for address in target.addresses:
        adapter = _PinnedAdapter(address, timeout_s)
        try:
            # The adapter itself, no session: no redirects, no cookies, nothing from the environment.
            response = adapter.send(prepared, stream=True, timeout=timeout_s, verify=ca_bundle)
            if adapter.expired.is_set():
                # http.client takes headers that were cut off for whole ones.
                raise requests.ReadTimeout("the deadline cut the answer off")
            return Answer(response.status_code, response.headers, _read_a_little(response))
        except (requests.RequestException, HTTPError, OSError) as error:
            if adapter.expired.is_set() or isinstance(error, requests.Timeout):
                problem = f"did not answer within {timeout_s:g} s"
            elif isinstance(error, requests.exceptions.SSLError):
                problem = "did not show a valid certificate for its name"
            else:
                problem = "does not answer"
            if not _never_connected(error):
                break  # it may have the message: another address now could be a second delivery
        finally:
            adapter.finish()
    raise NoAnswer(f"{target.host} {problem}")


class _PinnedAdapter(HTTPAdapter):
    """Connects to one address whatever the name says now, and ends the exchange at a deadline.

    urllib3's timeouts are per read: a receiver that sends a byte a second would never meet one.
    """

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._timer: threading.Timer | None = None
        self.expired = threading.Event()
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools whose connections start the deadline when they are up."""
        super().init_poolmanager(*args, **kwargs)
        started = self._start_deadline

        class Http(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                started(self.sock)

        class Https(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                started(self.sock)

        self.poolmanager.pool_classes_by_scheme = {
            "http": type("HttpPool", (HTTPConnectionPool,), {"ConnectionCls": Http}),
            "https": type("HttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": Https}),
        }

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Put the checked address in place of the name, and keep the name for TLS."""
        pool_key: Any = super().build_connection_pool_key_attributes(request, verify, cert)
        host_params, pool_kwargs = pool_key
        if host_params["scheme"] == "https":
            pool_kwargs["server_hostname"] = host_params["host"].strip("[]")
        host_params["host"] = self._address
        return host_params, pool_kwargs

    def finish(self) -> None:
        """Stop the deadline and close the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self.close()

    def _start_deadline(self, connected: socket.socket) -> None:
        self._timer = threading.Timer(self._timeout_s, self._expire, (connected,))
        self._timer.daemon = True
        self._timer.start()

    def _expire(self, connected: socket.socket) -> None:
        self.expired.set()
        try:
            # The plain shutdown, also under TLS: the reader is woken, and its TLS state is not touched from here.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)
        except OSError:
            return  # closed meanwhile


def _read_a_little(response: requests.Response) -> bytes:
    try:
        return bytes(response.raw.read(MAX_ANSWER_BYTES, decode_content=False))
    except (requests.RequestException, HTTPError, OSError):
        return b""  # the status has arrived, and it is what counts
    finally:
        response.close()


def _never_connected(error: BaseException) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or (
        isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    )


def _refused(reason: str, expected: str) -> InvalidInput:
    return InvalidInput(
        f"The address is refused: {reason}; {expected} was expected.", field="url", expected=expected
    )
