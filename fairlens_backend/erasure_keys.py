"""The keys of erasures: of the digests by which erased ids, requests and dead letters are known, and of requests under way.

All come from the root by way of `sign_record`, so that they outlive a change of the master key or of a data key.
"""

import base64
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken

from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.errors import TamperedArtefact
from fairlens_backend.security_utils import sign_record

_IDS: Final = "fairlens erased event ids v1"
_REQUEST: Final = "fairlens erasure request v1"
_LETTERS: Final = "fairlens dead letters v1"
_SEAL: Final = "fairlens erasure request sealing v1"


def id_key() -> bytes:
    """32 bytes for the digests of erased ids."""
    return _derived(_IDS)


def letter_key() -> bytes:
    """32 bytes for the digests by which a dead letter that is sent again is known."""
    return _derived(_LETTERS)


def request_digest(tenant: str, asked: Any) -> str:
    """64 hexadecimal digits that stand for what was asked for: equal for the same request, and without the key no guess."""
    return sign_record({"purpose": _REQUEST, "tenant": tenant, "asked": asked})


def seal(request: Any) -> str:
    """What is looked for, encrypted for as long as the erasure is under way."""
    return _fernet().encrypt(canonical_json(request)).decode()


def unseal(sealed: str) -> bytes:
    """The JSON that `seal` encrypted.

    Raises
    ------
    TamperedArtefact : it was altered, or the server's root key is another one
    """
    try:
        return _fernet().decrypt(sealed.encode())
    except InvalidToken:
        raise TamperedArtefact("The request of an erasure cannot be decrypted; ask for it anew.") from None


def _fernet() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_derived(_SEAL)))


def _derived(purpose: str) -> bytes:
    return bytes.fromhex(sign_record({"purpose": purpose}))
