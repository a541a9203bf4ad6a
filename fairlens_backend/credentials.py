"""The bytes of credentials: password hashes, signed tokens, API keys. No rows, no requests."""

import base64
import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fairlens_backend import config
from fairlens_backend.errors import InvalidInput, NotAuthenticated

ROLES = ("monitor", "auditor", "admin")
"""Each may do what those before it may."""

# OWASP Password Storage Cheat Sheet: Argon2id with at least 19 MiB, 2 iterations, 1 lane (one of its equal-strength settings).
MEMORY_KIB = 19 * 1024
ITERATIONS = 2
LANES = 1
SALT_BYTES = 16
HASH_BYTES = 32

MIN_PASSWORD_LENGTH = config.MIN_PASSWORD_LENGTH
MAX_PASSWORD_BYTES = (
    1024  # hashing is slow on purpose: a megabyte of password would be a way to keep a worker busy
)
# A letter or digit first, then letters, digits and . _ @ + -: no space, no control character, nothing a path would split.
USERNAME = re.compile(r"\w[\w.@+-]{0,99}\Z")
TENANT = re.compile(r"\w[\w.-]{0,99}\Z")

ALGORITHM = "HS256"
FIRST_KID = "1"
KID = re.compile(r"[1-9][0-9]{0,8}")
REQUIRED_CLAIMS = ("sub", "role", "tenant", "exp", "iat", "jti", "type", "family")
KEY_FORM = re.compile(r"fl_(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})\Z")


@dataclass(frozen=True)
class Claims:
    """What a token says, checked."""

    username: str
    role: str
    tenant: str
    jti: str
    family: str
    """shared by all tokens that come from one login"""
    expires_at: int
    """seconds since 1970"""


def hash_password(password: str) -> str:
    """Argon2id of `password` as a PHC string, which carries its own salt and cost."""
    hasher = Argon2id(
        salt=os.urandom(SALT_BYTES),
        length=HASH_BYTES,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return hasher.derive_phc_encoded(_password_bytes(password))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether `password` has that hash; None stands for an unknown user and costs the same time."""
    try:
        Argon2id.verify_phc_encoded(_password_bytes(password), password_hash or _hash_of_nothing())
    except InvalidKey:
        return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Whether a hash was made at another cost than today's."""
    return not password_hash.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}$")


def check_new_password(username: str, password: str) -> None:
    """Refuse a weak password. The error tells its length, never the password.

    Raises
    ------
    InvalidInput : under 12 characters, over 1024 bytes, the user's name, or five or fewer different characters
    """
    length = len(password)
    expected = f"{MIN_PASSWORD_LENGTH} characters to {MAX_PASSWORD_BYTES} bytes, not the username"
    if length < MIN_PASSWORD_LENGTH:
        fault = f"has {length} characters, at least {MIN_PASSWORD_LENGTH} are needed"
    elif len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        fault = f"has {length} characters, at most {MAX_PASSWORD_BYTES} bytes are taken"
    elif password.casefold() == username.casefold():
        fault = "is the username"
    elif len(set(password)) <= 5:
        fault = "has five or fewer different characters"
    else:
        return
    raise InvalidInput(
        f"The password {fault}.", field="password", got=f"{length} characters", expected=expected
    )


def check_new_name(name: str, field: str, pattern: re.Pattern[str] = USERNAME) -> None:
    """Refuse a name with spaces, control or path characters, or one that two spellings would share."""
    if not pattern.match(name) or unicodedata.normalize("NFKC", name) != name:
        signs = ". _ @ + -" if pattern is USERNAME else ". _ -"
        expected = f"1 to 100 letters, digits and {signs}, a letter or digit first"
        raise InvalidInput(
            f"{field} is {name[:100]!r}, {expected}, were expected.",
            field=field,
            got=name[:100],
            expected=expected,
        )


def sign_token(
    claims: Mapping[str, Any], kind: str, now: datetime, lives_s: int, key: tuple[str, str] | None = None
) -> str:
    """A token of `kind` ("access" or "refresh") that lives `lives_s` seconds from `now`.

    Parameters
    ----------
    key : `kid` and secret of the key that signs; None for the first one, JWT_SECRET
    """
    kid, secret = key or (FIRST_KID, config.current().jwt_secret)
    times = {"iat": int(now.timestamp()), "exp": int((now + timedelta(seconds=lives_s)).timestamp())}
    return jwt.encode({**claims, **times, "type": kind}, secret, algorithm=ALGORITHM, headers={"kid": kid})


def read_token(
    token: str, kind: str, now: datetime, secret_of: Callable[[str], str | None] | None = None
) -> Claims:
    """Check signature, algorithm, claims, type and age of a token.

    Parameters
    ----------
    token : what the caller sent
    kind : "access" or "refresh"; the other one is refused
    now : the time its age is measured at
    secret_of : the secret by its `kid`, None for one that does not count (any more); None for JWT_SECRET alone. A token
        without a `kid`, from before there were any, is of the first key

    Raises
    ------
    NotAuthenticated : not a token of this server, altered, unsigned, expired, or of the other kind
    """
    try:
        # The algorithm is ours to choose, never the token's: "none" and foreign ones are refused. The clock is the caller's.
        options: Any = {
            "require": list(REQUIRED_CLAIMS),
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        }
        kid = jwt.get_unverified_header(token).get("kid", FIRST_KID)
        find = secret_of or {FIRST_KID: config.current().jwt_secret}.get
        secret = find(kid) if KID.fullmatch(kid) else None
        if secret is None:
            raise NotAuthenticated(
                "The key that signed this token was revoked. Log in again.", reason="revoked"
            )
        claims = jwt.decode(token, secret, algorithms=[ALGORITHM], options=options)
    except (jwt.InvalidTokenError, UnicodeError):
        raise NotAuthenticated(
            "The token is not one of this server, or it was altered.", reason="invalid_token"
        ) from None
    if claims["type"] != kind:
        raise NotAuthenticated(
            f"This is a token of type {str(claims['type'])[:20]}, one of type {kind} is needed here.",
            reason="wrong_type",
        )
    texts = ("sub", "role", "tenant", "jti", "family")
    if type(claims["exp"]) is not int or not all(isinstance(claims[name], str) for name in texts):
        raise NotAuthenticated("The token's claims are not as expected.", reason="invalid_token")
    if claims["exp"] <= now.timestamp():
        way_on = "Get a new one with POST /api/refresh." if kind == "access" else "Log in again."
        raise NotAuthenticated(f"The {kind} token has expired. {way_on}", reason="expired")
    return Claims(
        username=claims["sub"],
        role=claims["role"],
        tenant=claims["tenant"],
        jti=claims["jti"],
        family=claims["family"],
        expires_at=claims["exp"],
    )


def new_id() -> str:
    """128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def new_api_key() -> tuple[str, str, str]:
    """A key, its public prefix and the hash that is kept of it."""
    prefix = secrets.token_hex(6)
    key = f"fl_{prefix}_{secrets.token_urlsafe(32)}"
    return key, prefix, hash_api_key(key)


def hash_api_key(key: str) -> str:
    """SHA-256 of a key.

    Slow hashes are for what people invent. The secret part is 256 random bits: there is no dictionary of
    those, and a fast hash keeps a machine's call cheap.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def prefix_of(key: str) -> str | None:
    """The public part of a key by which its row is found; None when this cannot be a key."""
    found = KEY_FORM.match(key)
    return found["prefix"] if found else None


def same_key(key: str, key_hash: str) -> bool:
    """Whether a key has that hash, in a time that tells nothing about how much of it is right."""
    return hmac.compare_digest(hash_api_key(key), key_hash)


def _password_bytes(password: str) -> bytes:
    # JSON can carry half a surrogate pair; it is then a wrong password and not an error of the server.
    return password.encode("utf-8", "surrogatepass")


def _hash_of_nothing() -> str:
    # Of no password anyone knows, at today's cost, and there without a first slow call that would tell.
    salt, digest = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (SALT_BYTES, HASH_BYTES))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}${salt}${digest}"
