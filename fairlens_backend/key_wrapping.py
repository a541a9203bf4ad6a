"""The master key at work: it wraps every other key of the server, and the root it first was derives the rest.

A wrapped key is one Fernet token for each master key that opens it, separated by spaces: one as a rule, and two while the
master key is changed, so that at no moment of a change, whatever crashes, a server with the old or with the new one is locked
out. Derived keys (hashes of personal columns, signatures of records, first token keys, the witness) come from the root, which is
the first master key and is kept wrapped as the other keys are: they outlive every change of the master key.
"""

import base64
import os
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.engine import make_url

from fairlens_backend import config
from fairlens_backend.errors import ConfigurationError, Conflict
from fairlens_backend.key_providers import master_key, next_master_key
from fairlens_backend.storage import keys
from fairlens_backend.storage.session import read_snapshot

DATA: Final = b"fairlens data key wrapping v1"
LEDGER: Final = b"fairlens ledger key wrapping v1"
OWN: Final = b"fairlens own key wrapping v1"

_roots: dict[tuple[str, bytes], bytes] = {}


def known_masters() -> list[bytes]:
    """The master key and, while it is changed, the one that is to follow."""
    following = next_master_key()
    return [master_key()] if following in (None, master_key()) else [master_key(), following]  # type: ignore[list-item]


def parts(wrapped: str) -> list[str]:
    """The tokens of a wrapped key, one a master key, the oldest first."""
    return wrapped.split(" ")


def wrap(purpose: bytes, key: bytes) -> str:
    """A key for keeping, in the caller's unit of work and behind `keys.lock`.

    Raises
    ------
    Conflict : the master key is being changed, and this process has not both of them: a server that has the other one could not
        read what it keeps
    ConfigurationError : the master key is not the one of this database
    """
    rows = keys.own(keys.ROOT)
    known = known_masters()
    if rows:
        unwrap(OWN, rows[0].wrapped_key or "", "The derivation root")
    if rows and not all(_opened(OWN, part, known) for part in parts(rows[0].wrapped_key or "")):
        raise Conflict(
            "The master key is being changed, and this server has one of the two only. Retire the old one first, or do it where"
            " both are set: FERNET_KEY and FERNET_KEY_NEXT.",
            field="FERNET_KEY_NEXT",
        )
    return wrap_by(purpose, key, known)


def wrap_by(purpose: bytes, key: bytes, masters: list[bytes]) -> str:
    """A key wrapped by these master keys."""
    return " ".join(_fernet(purpose, one).encrypt(key).decode() for one in masters)


def unwrap(purpose: bytes, wrapped: str, what: str) -> bytes:
    """The key that was wrapped.

    Parameters
    ----------
    what : whose key it is, for the message

    Raises
    ------
    ConfigurationError : none of the process's master keys wrapped it
    """
    found = opened(purpose, wrapped)
    if found is None:
        raise ConfigurationError(
            f"{what} cannot be unwrapped: the master key is not the one that this database was used with. "
            "Set FERNET_KEY (or KEY_PROVIDER and its settings) to that one.",
            field="FERNET_KEY",
        )
    return found


def opened(purpose: bytes, wrapped: str, masters: list[bytes] | None = None) -> bytes | None:
    """The key that was wrapped; None when none of these master keys (None: of the process's) opens it."""
    known = known_masters() if masters is None else masters
    return next((key for part in parts(wrapped) if (key := _opened(purpose, part, known)) is not None), None)


def derive(purpose: bytes, length: int = 32) -> bytes:
    """A key for one purpose, from the root.

    Raises
    ------
    ConfigurationError : the master key is not the one of this database
    """
    # HKDF without salt: the root is uniformly random (RFC 5869 section 3.1).
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=purpose).derive(_root())


def ensure_root(by: str, now: datetime) -> None:
    """Keep the root at the first start, and check at each that the master key opens it. In the caller's unit of work.

    Raises
    ------
    ConfigurationError : it does not
    """
    keys.lock()
    rows = keys.own(keys.ROOT)
    if rows:
        unwrap(OWN, rows[0].wrapped_key or "", "The derivation root")
        return
    for row in keys.newest_first():
        unwrap(DATA, row.wrapped_key, f"Data key {row.id}")
    keys.add_own(keys.ROOT, "", 1, wrap_by(OWN, master_key(), [master_key()]), by, now)


def is_database_there() -> bool:
    """Whether there can be kept keys: hashes are made without a server too, and must make no file for it."""
    url = config.current().sqlalchemy_url
    return not url.startswith("sqlite") or Path(make_url(url).database or "").exists()


def forget() -> None:
    """Read the root anew: it was replaced."""
    _roots.clear()


def _root() -> bytes:
    master = master_key()
    place = (config.current().sqlalchemy_url, master)
    if place not in _roots:
        wrapped = _kept_root()
        # Without a row no master key was changed yet: then it is the root itself.
        _roots[place] = master if wrapped is None else unwrap(OWN, wrapped, "The derivation root")
    return _roots[place]


def _kept_root() -> str | None:
    if not is_database_there():
        return None
    with read_snapshot():
        rows = keys.own(keys.ROOT) if keys.table_is_there() else []
    return rows[0].wrapped_key if rows else None


def _fernet(purpose: bytes, master: bytes) -> Fernet:
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(master)
    return Fernet(base64.urlsafe_b64encode(key))


def _opened(purpose: bytes, part: str, masters: list[bytes]) -> bytes | None:
    for master in masters:
        try:
            return _fernet(purpose, master).decrypt(part.encode())
        except InvalidToken:
            continue
    return None


os.register_at_fork(after_in_child=_roots.clear)
