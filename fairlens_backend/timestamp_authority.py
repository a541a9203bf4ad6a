"""Asks a timestamp authority (RFC 3161) over HTTP to stamp bytes, and believes it only below the configured roots."""

from datetime import datetime
from pathlib import Path

import requests
from cryptography import x509

from fairlens_backend import config
from fairlens_backend.core import timestamp_token
from fairlens_backend.errors import ConfigurationError, TamperedArtefact, Unavailable

TIMEOUT_S = 10
MAX_ANSWER_BYTES = 100_000  # an answer with a chain of three RSA-4096 certificates has about 8,000


def stamp(data: bytes) -> tuple[bytes, datetime]:
    """Have these bytes stamped; the answer as it came, in DER, and the time that it proves.

    Raises
    ------
    ConfigurationError : no authority is set, its roots cannot be read, or the package rfc3161-client is missing
    Unavailable : the authority does not answer, or refuses
    TamperedArtefact : its answer is about other bytes or signed by nobody we believe
    """
    url = config.current().timestamp_url
    if not url:
        raise ConfigurationError("TIMESTAMP_URL is not set.", field="TIMESTAMP_URL")
    request, nonce = timestamp_token.request_for(data)
    try:
        with requests.post(
            url,
            data=request,
            headers={"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"},
            timeout=TIMEOUT_S,
            stream=True,
        ) as answered:
            body = answered.raw.read(MAX_ANSWER_BYTES + 1, decode_content=True)
            status, kind = answered.status_code, answered.headers.get("Content-Type", "")
    except (requests.RequestException, OSError) as error:
        raise Unavailable(
            f"The timestamp authority does not answer ({type(error).__name__}).", retry_after_s=60
        ) from error
    if status != requests.codes.ok:
        raise Unavailable(f"The timestamp authority answered {status}.", retry_after_s=60)
    if not kind.startswith("application/timestamp-reply") or len(body) > MAX_ANSWER_BYTES:
        raise TamperedArtefact("The timestamp authority's answer is no timestamp reply.")
    return body, timestamp_token.proved_time(body, data, roots(), nonce=nonce)


def roots() -> bytes:
    """The certificates in PEM that timestamps must lead to.

    Raises
    ------
    ConfigurationError : TIMESTAMP_ROOTS is not set or cannot be read
    """
    path = config.current().timestamp_roots
    if not path:
        raise ConfigurationError(
            "TIMESTAMP_URL is set without TIMESTAMP_ROOTS, the file of the authority's root certificate in PEM.",
            field="TIMESTAMP_ROOTS",
        )
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"TIMESTAMP_ROOTS is {path!r}, which cannot be read ({error.strerror}).", field="TIMESTAMP_ROOTS"
        ) from error


def require_valid() -> None:
    """Check at the start that stamps can be asked for and checked.

    Raises
    ------
    ConfigurationError : as `roots`, the file holds no certificate, or the package rfc3161-client is missing
    """
    timestamp_token.request_for(b"any")  # the package is there
    try:
        x509.load_pem_x509_certificates(roots())
    except ValueError as error:
        raise ConfigurationError(
            f"TIMESTAMP_ROOTS is {config.current().timestamp_roots!r}, which holds no certificate in PEM.",
            field="TIMESTAMP_ROOTS",
        ) from error
