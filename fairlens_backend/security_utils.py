"""Encryption of alert texts, keyed hashes of personal columns, canonical JSON and its signatures.

Alert texts are encrypted by data keys of the table `data_keys`; the master key only wraps those and is the root from which
the other keys are derived (HKDF-SHA256, one purpose a key). No process keeps data keys: each call reads the table, so a
rotation by one worker is seen by all.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fairlens_backend import telemetry
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.errors import ConfigurationError, InvalidInput, TamperedArtefact
from fairlens_backend.key_providers import master_key
from fairlens_backend.storage import checks, keys, ledger_events
from fairlens_backend.storage.session import read_snapshot, unit_of_work

if TYPE_CHECKING:
    import pandas as pd

PURPOSE_WRAP = b"fairlens data key wrapping v1"
PURPOSE_LEDGER = b"fairlens ledger key wrapping v1"
PURPOSE_ANONYMIZE = b"fairlens personal columns v1"
PURPOSE_WITNESS = b"fairlens witness v1"
PURPOSE_SIGN = b"fairlens record signature v1"
PURPOSE_TOKENS = b"fairlens personal tokens v1"


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def load_fernet() -> MultiFernet:
    """Every data key, the newest first: it encrypts, all decrypt. Makes the first one when there is none.

    Raises
    ------
    ConfigurationError : the master key is not the one that wrapped the data keys
    Unavailable : the database, KMS or Vault does not answer
    """
    with read_snapshot():
        found = _unwrap(keys.newest_first())
    if not found:
        with unit_of_work():
            keys.lock()
            # Two workers may both have found none: the second sees the first one's key behind the lock.
            found = _unwrap(keys.newest_first()) or [_add_data_key("first use", telemetry.utc_now())]
    return MultiFernet(found)


def encrypt_text(text: str) -> str:
    """Encrypt with the newest data key; a Fernet token."""
    return load_fernet().encrypt(text.encode()).decode()


def decrypt_text(token: str) -> str:
    """Decrypt a token of any data key.

    Raises
    ------
    TamperedArtefact : the token was altered, or none of this database's keys made it
    """
    with read_snapshot():
        found = _unwrap(keys.newest_first())
    try:
        # MultiFernet refuses an empty list of keys, and without keys no token can be ours.
        return MultiFernet(found).decrypt(token.encode()).decode() if found else _refuse()
    except InvalidToken:
        return _refuse()


def rotate_data_key(by: str, now: datetime) -> int:
    """Make a new data key and encrypt every alert text again with it, in one unit of work.

    Old keys stay in the table, so tokens kept elsewhere stay readable. A token that cannot be decrypted is left as it is,
    since it is evidence, and said in the log.

    Returns
    -------
    int : alert texts encrypted again
    """
    done, unreadable = 0, []
    with unit_of_work():
        # Whoever appends a record encrypts behind this lock: none can slip in with the old key.
        checks.lock_chain()
        keys.lock()
        _add_data_key(by, now)
        fernet = MultiFernet(_unwrap(keys.newest_first()))
        for rows in checks.encrypted():
            for row in rows:
                try:
                    row.encrypted_alert = fernet.rotate((row.encrypted_alert or "").encode()).decode()
                    done += 1
                except InvalidToken:
                    unreadable.append(row.record_id)
        ledger_events.key_rotated("data", by, now, reencrypted=done, unreadable=len(unreadable))
    telemetry.log(
        "KEY_ROTATED", by=by, reencrypted=done, unreadable=unreadable[:20], n_unreadable=len(unreadable)
    )
    return done


def witness_seed() -> bytes:
    """The Ed25519 seed with which this server cosigns other ledgers' heads, derived from the master key."""
    return _derive(PURPOSE_WITNESS)


def wrap_ledger_key(seed: bytes) -> str:
    """The ledger's private key encrypted under a key derived from the master key; a Fernet token."""
    return Fernet(base64.urlsafe_b64encode(_derive(PURPOSE_LEDGER))).encrypt(seed).decode()


def unwrap_ledger_key(wrapped: str) -> bytes:
    """The private key that `wrap_ledger_key` encrypted.

    Raises
    ------
    ConfigurationError : it was wrapped by another master key
    """
    try:
        return Fernet(base64.urlsafe_b64encode(_derive(PURPOSE_LEDGER))).decrypt(wrapped.encode())
    except InvalidToken:
        raise ConfigurationError(
            "The ledger's key cannot be unwrapped: the master key is not the one that this database was used with. "
            "Set FERNET_KEY (or KEY_PROVIDER and its settings) to that one.",
            field="FERNET_KEY",
        ) from None


def anonymize_df(df: "pd.DataFrame", cols: Sequence[str] = ("application_id",)) -> "pd.DataFrame":
    """A copy whose named columns are keyed hashes: the same value gives the same 64 hexadecimal digits.

    HMAC-SHA256 under a key derived from the master key. A bare SHA-256 of a small id space could be reversed by hashing every id.
    Values compare as text, and a whole number is the same as integer and as float (7 and 7.0). Missing values stay missing.

    Raises
    ------
    InvalidInput : a column that is not there, or is there twice
    """
    key = _derive(PURPOSE_ANONYMIZE)
    out = df.copy()
    for name in cols:
        if list(df.columns).count(name) != 1:
            times = list(df.columns).count(name)
            there = ", ".join(str(column) for column in df.columns)
            raise InvalidInput(
                f"The column {name!r} is there {times} times, once was expected; the columns are: {there}",
                field=str(name), got=times, expected=f"one of {there}",
            )  # fmt: skip
        known = {value: _keyed_hash(key, value) for value in df[name].dropna().unique()}
        out[name] = df[name].astype(object).map(known).astype("str")
    return out


def sign_record(record: dict[str, Any]) -> str:
    """HMAC-SHA256 over the record's canonical JSON, 64 hexadecimal digits, under a key derived from the master key."""
    return hmac.digest(_derive(PURPOSE_SIGN), canonical_json(record), "sha256").hex()


def token_key(tenant: str, version: int = 1) -> bytes:
    """64 bytes that make a tenant's tokens of personal data (AES-SIV), derived from the master key.

    Parameters
    ----------
    version : counts up when the tenant's token key is changed; the keys before it stay derivable, so old tokens stay readable
    """
    # The number stands first and ends at the NUL: no tenant's name can make another's purpose.
    info = PURPOSE_TOKENS + f"\0{version}\0{tenant}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=64, salt=None, info=info).derive(master_key())


def _refuse() -> str:
    raise TamperedArtefact(
        "The encrypted text cannot be decrypted: it was altered, or its data key is not in this database."
    )


def _derive(purpose: bytes) -> bytes:
    # HKDF without salt: the master key is uniformly random (RFC 5869 section 3.1).
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(master_key())


def _wrapping() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_derive(PURPOSE_WRAP)))


def _unwrap(wrapped: Sequence[Any]) -> list[Fernet]:
    wrapping = _wrapping()
    found = []
    for row in wrapped:
        try:
            found.append(Fernet(wrapping.decrypt(row.wrapped_key.encode())))
        except InvalidToken:
            raise ConfigurationError(
                f"Data key {row.id} cannot be unwrapped: the master key is not the one that this database was used with. "
                "Set FERNET_KEY (or KEY_PROVIDER and its settings) to that one.",
                field="FERNET_KEY",
            ) from None
    return found


def _add_data_key(by: str, now: datetime) -> Fernet:
    data_key = Fernet.generate_key()
    keys.add(_wrapping().encrypt(data_key).decode(), by, now)
    return Fernet(data_key)


def _keyed_hash(key: bytes, value: Any) -> str:
    # A column of integers becomes float when one value is missing; its hashes must not change by that.
    whole = getattr(value, "is_integer", None)
    text = str(int(value)) if whole is not None and whole() else str(value)
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()
