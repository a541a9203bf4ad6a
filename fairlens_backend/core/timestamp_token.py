"""Timestamps of an outside authority: what it is asked, and what its answer proves.

An answer says that these very bytes existed at a time, signed by the authority under a certificate for nothing but that.
It is kept whole, so that anyone with the authority's root certificate can check it years later.

Source: RFC 3161, Time-Stamp Protocol; RFC 5816.
"""

from datetime import UTC, datetime
from typing import Any

from fairlens_backend.errors import ConfigurationError, TamperedArtefact


def request_for(data: bytes) -> tuple[bytes, int]:
    """The request for a timestamp of bytes (by their SHA-512, with the certificate asked for), in DER, and its nonce.

    Raises
    ------
    ConfigurationError : the package rfc3161-client is not installed
    """
    client = _client()
    request = client.TimestampRequestBuilder().data(data).build()
    return request.as_bytes(), int(request.nonce)


def proved_time(answer: bytes, data: bytes, roots: bytes, *, nonce: int | None = None) -> datetime:
    """When, by an authority's answer, these bytes existed at the latest.

    Parameters
    ----------
    answer : a TimeStampResp in DER, as the authority sent it
    data : the bytes that were stamped
    roots : certificates in PEM, one or more: the authorities that are believed
    nonce : of the request, where it is at hand: an answer to another request is then refused

    Returns
    -------
    datetime : UTC; the authority's own accuracy is not added

    Raises
    ------
    TamperedArtefact : the answer is not one, is about other bytes, or is not signed by an authority below `roots`
    ConfigurationError : the package rfc3161-client is not installed, or `roots` holds no certificate
    """
    from cryptography.x509 import load_pem_x509_certificates

    client = _client()
    try:
        believed = load_pem_x509_certificates(roots)
    except ValueError:
        raise ConfigurationError("The authority's root certificates are not PEM.") from None
    builder = client.VerifierBuilder()
    for one in believed:
        builder = builder.add_root_certificate(one)
    if nonce is not None:
        builder = builder.nonce(nonce)
    try:
        read = client.decode_timestamp_response(answer)
        builder.build().verify_message(read, data)
        at: datetime = read.tst_info.gen_time
    except (ValueError, client.VerificationError) as error:
        raise TamperedArtefact(f"The timestamp proves nothing about these bytes: {error}.") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _client() -> Any:
    try:
        import rfc3161_client
    except ImportError:
        raise ConfigurationError(
            "Timestamps need the package rfc3161-client. Install it with: pip install 'fairlens[anchor]'"
        ) from None
    return rfc3161_client
