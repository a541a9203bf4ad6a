"""The keys that sign tokens of login, by the `kid` in a token's header: the newest signs, those before it verify until they end.

The first one, "1", is JWT_SECRET. A process remembers keys for two seconds, and looks again for one that it does not know: a
rotation by one worker fails no request of another.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import config, credentials, key_wrapping
from fairlens_backend.credentials import Claims
from fairlens_backend.storage import keys
from fairlens_backend.storage.session import read_snapshot

FIRST: Final = credentials.FIRST_KID
REREAD_AFTER: Final = timedelta(seconds=2)


@dataclass(frozen=True)
class SigningKey:
    """A key and its `kid`; `ends_at` when its tokens cease to count."""

    kid: str
    secret: str
    ends_at: datetime | None = None


_known: dict[tuple[str, str], tuple[datetime, dict[str, SigningKey]]] = {}


def sign_token(claims: Mapping[str, Any], kind: str, now: datetime, lives_s: int) -> str:
    """As `credentials.sign_token`, by the newest key."""
    key = newest()
    return credentials.sign_token(claims, kind, now, lives_s, (key.kid, key.secret))


def read_token(token: str, kind: str, now: datetime) -> Claims:
    """As `credentials.read_token`, by the key that the token names."""

    def secret_of(kid: str) -> str | None:
        key = find(kid, now)
        return None if key is None else key.secret

    return credentials.read_token(token, kind, now, secret_of)


def newest() -> SigningKey:
    """The key that signs, as the database has it now.

    Raises
    ------
    ConfigurationError : the master key is not the one of this database
    """
    return max(_read().values(), key=lambda one: int(one.kid))


def find(kid: str, now: datetime) -> SigningKey | None:
    """The key of that `kid`; None for one that does not exist or has come to its end."""
    place = (config.current().sqlalchemy_url, config.current().jwt_secret)
    known = _known.get(place)
    if known is None or abs(now - known[0]) > REREAD_AFTER or kid not in known[1]:
        known = _known[place] = (now, _read())
    found = known[1].get(kid)
    return found if found is not None and (found.ends_at is None or now < found.ends_at) else None


def rotate(by: str, now: datetime, revoke: bool) -> int:
    """Make a new key, in the caller's unit of work and behind `keys.lock`; its version.

    Parameters
    ----------
    revoke : whether tokens of the keys before it cease to count now, and not when the last of them expires
    """
    settings = config.current()
    rows = keys.own(keys.JWT)
    if not rows:
        keys.add_own(keys.JWT, "", 1, None, "", now)
    version = rows[0].version + 1 if rows else 2
    wrapped = key_wrapping.wrap(key_wrapping.OWN, secrets.token_urlsafe(48).encode())
    keys.add_own(keys.JWT, "", version, wrapped, by, now)
    longest = max(settings.jwt_access_expire, settings.jwt_refresh_expire)
    keys.end_own(keys.JWT, "", version, now if revoke else now + timedelta(seconds=longest))
    keys.destroy_ended(keys.JWT, "", now)
    return version


def forget() -> None:
    """Read the keys anew at the next token."""
    _known.clear()


def _read() -> dict[str, SigningKey]:
    with read_snapshot():
        rows = keys.own(keys.JWT)
    found = {}
    for row in rows:
        if row.wrapped_key is not None:
            secret = key_wrapping.unwrap(key_wrapping.OWN, row.wrapped_key, "A key of tokens").decode()
            found[str(row.version)] = SigningKey(str(row.version), secret, row.ends_at)
    first = next((row.ends_at for row in rows if row.version == 1), None)
    return {FIRST: SigningKey(FIRST, config.current().jwt_secret, first), **found}


os.register_at_fork(after_in_child=_known.clear)
