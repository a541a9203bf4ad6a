"""Encryption of alert texts, keyed hashes of personal columns, canonical JSON and its signatures.

Alert texts, dead letters and the secrets of alert routes are encrypted by data keys of the table `data_keys`, which the master
key only wraps (`key_wrapping`). No process keeps data keys: each call reads the table, so a rotation by one worker is seen by
all. The other keys are derived from the root (HKDF-SHA256, one purpose a key).
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from fairlens_backend import config, key_wrapping, telemetry
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.errors import InvalidInput, NotFound, TamperedArtefact
from fairlens_backend.key_providers import master_key
from fairlens_backend.storage import keys
from fairlens_backend.storage.key_tables import WrappedKey
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import DataKey

if TYPE_CHECKING:
    import pandas as pd

PURPOSE_ANONYMIZE = b"fairlens personal columns v1"
PURPOSE_WITNESS = b"fairlens witness v1"
PURPOSE_SIGN = b"fairlens record signature v1"
PURPOSE_TOKENS = b"fairlens personal tokens v1"

MARK = "k"
END = "."
MAX_DIGITS = 19
"""of a key's number: a token is whatever somebody put into the database"""
MAX_TOKEN_KEYS = 10_000
TOKEN_KEY_S = 60.0
"""after which a token key is read anew: one that another worker has retired leaves this one's memory by then"""
_token_keys: dict[tuple[str, bytes, str, int], tuple[float, bytes]] = {}


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class DataKeys(MultiFernet):
    """Every data key: the newest encrypts, all decrypt. A token begins with the number of its key: "k3.gAAAA…".

    Tokens from before they did are tried with every key.
    """

    def __init__(self, found: Sequence[tuple[int, Fernet]]) -> None:
        super().__init__([fernet for _, fernet in found])
        self._newest = found[0][1]
        self._by_mark = {f"{MARK}{number}".encode(): fernet for number, fernet in found}
        self.number = found[0][0]
        """of the newest key"""
        self.prefix = f"{MARK}{self.number}{END}"
        """what tokens of the newest key begin with"""

    def encrypt(self, msg: bytes) -> bytes:
        """A token by the newest key."""
        return self.prefix.encode() + self._newest.encrypt(msg)

    def decrypt(self, msg: bytes | str, ttl: int | None = None) -> bytes:
        """What was encrypted; InvalidToken when it was altered or none of these keys made it."""
        token = msg.encode() if isinstance(msg, str) else msg
        mark, end, body = token.partition(END.encode())
        if not end:
            return super().decrypt(token, ttl)
        if mark not in self._by_mark:
            raise InvalidToken
        return self._by_mark[mark].decrypt(body, ttl)


def load_fernet() -> DataKeys:
    """The data keys as the database has them now. Makes the first one when there is none.

    Raises
    ------
    ConfigurationError : the master key is not the one that wrapped the data keys
    Unavailable : the database, KMS or Vault does not answer
    """
    with read_snapshot():
        found = _unwrapped(keys.newest_first())
    if not found:
        with unit_of_work():
            keys.lock()
            # Two workers may both have found none: the second sees the first one's key behind the lock.
            if not keys.newest_first():
                add_data_key("first use", telemetry.utc_now())
            found = _unwrapped(keys.newest_first())
    return DataKeys(found)


def encrypt_text(text: str) -> str:
    """Encrypt with the newest data key; a Fernet token behind the number of its key."""
    return load_fernet().encrypt(text.encode()).decode()


def decrypt_text(token: str) -> str:
    """Decrypt a token of any data key.

    Raises
    ------
    TamperedArtefact : the token was altered, or none of this database's keys made it
    """
    with read_snapshot():
        found = _unwrapped(keys.newest_first())
    try:
        # MultiFernet refuses an empty list of keys, and without keys no token can be ours.
        return DataKeys(found).decrypt(token).decode() if found else _refuse()
    except InvalidToken:
        return _refuse()


def gone_key(token: str) -> str | None:
    """The mark of the data key that a token names and that is no longer there, as after a loss of the master key; None else."""
    mark, end, _ = token.partition(END)
    number = mark.removeprefix(MARK)
    if not end or not (number.isascii() and number.isdigit()) or len(number) > MAX_DIGITS:
        return None
    with read_snapshot():
        there = [row.id for row in keys.newest_first()]
    # A number that is higher than the newest one's never was a key's.
    return mark if there and int(number) not in there and int(number) < there[0] else None


def add_data_key(by: str, now: datetime) -> int:
    """Make a new data key, in the caller's unit of work and behind `keys.lock`; its number.

    Raises
    ------
    Conflict : the master key is being changed, and this process has one of the two only
    """
    return keys.add(key_wrapping.wrap(key_wrapping.DATA, Fernet.generate_key()), by, now).id


def witness_seed() -> bytes:
    """The Ed25519 seed with which this server cosigns other ledgers' heads, derived from the master key."""
    return key_wrapping.derive(PURPOSE_WITNESS)


def wrap_ledger_key(seed: bytes) -> str:
    """The ledger's private key encrypted under the master key, in the caller's unit of work and behind `keys.lock`."""
    return key_wrapping.wrap(key_wrapping.LEDGER, seed)


def unwrap_ledger_key(wrapped: str) -> bytes:
    """The private key that `wrap_ledger_key` encrypted.

    Raises
    ------
    ConfigurationError : it was wrapped by another master key
    """
    return key_wrapping.unwrap(key_wrapping.LEDGER, wrapped, "The ledger's key")


def anonymize_df(df: "pd.DataFrame", cols: Sequence[str] = ("application_id",)) -> "pd.DataFrame":
    """A copy whose named columns are keyed hashes: the same value gives the same 64 hexadecimal digits.

    HMAC-SHA256 under a key derived from the master key. A bare SHA-256 of a small id space could be reversed by hashing every id.
    Values compare as text, and a whole number is the same as integer and as float (7 and 7.0). Missing values stay missing.

    Raises
    ------
    InvalidInput : a column that is not there, or is there twice
    """
    key = key_wrapping.derive(PURPOSE_ANONYMIZE)
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
    return hmac.digest(key_wrapping.derive(PURPOSE_SIGN), canonical_json(record), "sha256").hex()


def token_key(tenant: str, version: int = 1) -> bytes:
    """64 bytes that make a tenant's tokens of personal data (AES-SIV): the first derived from the root, the others kept wrapped.

    Raises
    ------
    NotFound : the tenant has no key of this version, or not any more
    """
    place = (config.current().sqlalchemy_url, master_key(), tenant, version)
    known = _token_keys.get(place)
    if known is None or time.monotonic() - known[0] >= TOKEN_KEY_S:
        _forget_old_token_keys()
        known = _token_keys[place] = (time.monotonic(), _token_key(tenant, version))
    return known[1]


def token_keys(tenant: str, version: int) -> tuple[bytes, tuple[bytes, ...]]:
    """The tenant's token key of a version, and those before it that are still there, the newest first."""
    former = []
    for older in range(version - 1, 0, -1):
        with suppress(NotFound):
            former.append(token_key(tenant, older))
    return token_key(tenant, version), tuple(former)


def new_token_key(tenant: str, version: int, by: str, now: datetime) -> None:
    """Make the tenant's key of a version, in the caller's unit of work and behind `keys.lock`."""
    wrapped = key_wrapping.wrap(key_wrapping.OWN, secrets.token_bytes(64))
    keys.add_own(keys.TOKENS, tenant, version, wrapped, by, now)


def forget_keys() -> None:
    """Read everything anew that this process remembers of keys."""
    _token_keys.clear()
    key_wrapping.forget()


def _forget_old_token_keys() -> None:
    before = time.monotonic() - TOKEN_KEY_S
    for place, (read_at, _) in list(_token_keys.items()):
        if read_at <= before or len(_token_keys) >= MAX_TOKEN_KEYS:
            _token_keys.pop(place, None)


def _refuse() -> str:
    raise TamperedArtefact(
        "The encrypted text cannot be decrypted: it was altered, or its data key is not in this database."
    )


def _token_key(tenant: str, version: int) -> bytes:
    rows: Sequence[WrappedKey] = []
    if version > 1 or key_wrapping.is_database_there():
        with read_snapshot():
            rows = keys.own(keys.TOKENS, tenant) if keys.table_is_there() else []
    row = next((one for one in rows if one.version == version), None)
    if row is not None and row.wrapped_key is not None:
        return key_wrapping.unwrap(key_wrapping.OWN, row.wrapped_key, f"Token key {version} of {tenant}")
    if version > 1 or row is not None:
        raise NotFound(f"The tenant {tenant} has no token key of version {version}.", version=version)
    # The number stands first and ends at the NUL: no tenant's name can make another's purpose.
    return key_wrapping.derive(PURPOSE_TOKENS + f"\0{version}\0{tenant}".encode(), 64)


def _unwrapped(wrapped: Sequence[DataKey]) -> list[tuple[int, Fernet]]:
    return [
        (row.id, Fernet(key_wrapping.unwrap(key_wrapping.DATA, row.wrapped_key, f"Data key {row.id}")))
        for row in wrapped
    ]


def _keyed_hash(key: bytes, value: Any) -> str:
    # A column of integers becomes float when one value is missing; its hashes must not change by that.
    whole = getattr(value, "is_integer", None)
    text = str(int(value)) if whole is not None and whole() else str(value)
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


os.register_at_fork(after_in_child=_token_keys.clear)
