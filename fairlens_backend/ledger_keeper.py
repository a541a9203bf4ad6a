"""Keeps the ledger: signs its heads, rotates the key that signs them, and says what an audit leaves in it.

A head covers every entry before it. One is signed with every audit, in the same unit of work, and by the clock when the last
one is older than LEDGER_HEAD_S. Its time is never before that of an entry it covers, and entries after it are never earlier.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairlens_backend import __version__, config, key_providers, security_utils, telemetry
from fairlens_backend.core.audit_evidence import audit_body
from fairlens_backend.core.audit_notation import shortened
from fairlens_backend.core.signed_note import Checkpoint, VerifierKey, check_name, sign_note
from fairlens_backend.errors import ConfigurationError, InvalidInput
from fairlens_backend.storage import ledger, ledger_events, ledger_heads, ledger_search
from fairlens_backend.storage.ledger_tables import LedgerHead, LedgerKey
from fairlens_backend.storage.session import read_snapshot, unit_of_work

LATE = 3
"""times LEDGER_HEAD_S after which a missing head makes the server not ready"""


def ensure_key(now: datetime) -> VerifierKey:
    """The key that signs; at the first start LEDGER_KEY becomes it, and again when it is one that never signed.

    Raises
    ------
    ConfigurationError : LEDGER_ORIGIN is not what earlier heads were signed as, or no key can be had for the one in use
    """
    with unit_of_work():
        ledger.lock()
        row = ledger_heads.key_in_use()
        settings = config.current()
        if row is not None and settings.ledger_origin and settings.ledger_origin != row.name:
            raise ConfigurationError(
                f"LEDGER_ORIGIN is {settings.ledger_origin!r}, the heads of this ledger are signed as {row.name!r}. "
                "A ledger keeps its name: set it back, or leave it empty.",
                field="LEDGER_ORIGIN",
            )
        given = _from_settings()
        known = {one.public_key for one in ledger_heads.all_keys()}
        if row is None:
            row = ledger_heads.add_key(_origin(given), _public(given), 0, now)
            telemetry.log("LEDGER_KEY_ADDED", name=row.name, public_key=row.public_key)
        elif _public(given) not in known:
            row = _change_key(row, given, None, None, now)
        _private_key(row)
    return _verifier(row)


def sign_head(now: datetime) -> LedgerHead:
    """Sign the head of the ledger as it is now, with all that this unit of work has appended.

    Raises
    ------
    ConfigurationError : this process does not have the key in use
    """
    with unit_of_work():
        ledger.lock()
        row = ledger_heads.key_in_use()
        if row is None:
            ensure_key(now)
            row = ledger_heads.key_in_use()
            assert row is not None
        return _sign(row, _private_key(row), now)


def sign_if_due(now: datetime) -> bool:
    """Sign a head when the last one is about to be LEDGER_HEAD_S old, or there is none; whether one was. For the clock."""
    settings = config.current()
    least = timedelta(seconds=max(0.0, settings.ledger_head_s - 2 * settings.clock_interval_s))

    def due() -> bool:
        newest = ledger_heads.newest()
        return newest is None or now - moment(newest.at) >= least

    with read_snapshot():
        if not due():
            return False
    with unit_of_work():
        ledger.lock()
        if not due():  # another worker was there first
            return False
        sign_head(now)
    return True


def record_audit(
    tenant: str,
    result: Mapping[str, Any],
    counts: Mapping[str, Any],
    record: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Append an audit's entry and sign the head that covers it, inside the unit of work that keeps the audit.

    Returns
    -------
    index of the entry, and tree_size of the head
    """
    ledger.lock()
    before = _audit_before(tenant, result["model"])
    body = audit_body(result, counts, record, __version__, before)
    body = shortened(body) or body
    index = ledger.append("AUDIT_COMPLETED", tenant, body, now)
    return {"index": index, "tree_size": sign_head(now).tree_size}


def record_check(tenant: str, record: Mapping[str, Any], now: datetime) -> None:
    """Append the entry of a check that was computed elsewhere, of which there are no counts, and sign the head."""
    ledger.lock()
    number, previous = _audit_before(tenant, record["model"]) or (0, None)
    names = ("audit_id", "record_id", "audit_sha256", "model", "model_version", "sample_size", "alert")
    body = {
        **{name: record[name] for name in names},
        "record_hash": record["hash_value"],
        "overall_severity": record["severity"],
        "model_audit_number": number + 1,
        "previous_audit_index": previous,
        "counts": None,
        "figures": [],
    }
    ledger.append("AUDIT_COMPLETED", tenant, body, now)
    sign_head(now)


def rotate_key(by: str, now: datetime) -> VerifierKey:
    """Make a new key for heads; the old one signs last a head that covers the entry which names the new one.

    So whoever trusts the old key can follow to the new one. The old public key stays, its private half is destroyed.

    Raises
    ------
    ConfigurationError : this process does not have the key in use
    """
    seed = secrets.token_bytes(key_providers.KEY_BYTES)
    with unit_of_work():
        ledger.lock()
        ensure_key(now)
        row = ledger_heads.key_in_use()
        assert row is not None
        made = _change_key(row, seed, security_utils.wrap_ledger_key(seed), by, now)
    return _verifier(made)


def key_number() -> int:
    """Which key signs, counted from the first one, which is 1. In the caller's unit of work."""
    return len(ledger_heads.all_keys())


def health(now: datetime) -> dict[str, Any]:
    """Whether heads are signed in time.

    Returns
    -------
    dict of ok, tree_size, head_size, head_age_s (None before the first head), origin, reason where it is not ok
    """
    with read_snapshot():
        size, newest, key = ledger.size(), ledger_heads.newest(), ledger_heads.key_in_use()
    found: dict[str, Any] = {
        "tree_size": size,
        "head_size": None if newest is None else newest.tree_size,
        "head_age_s": None if newest is None else max(0.0, (now - moment(newest.at)).total_seconds()),
        "origin": None if key is None else key.name,
    }
    reason = _fault(found) if config.current().clock_enabled else None
    return {"ok": reason is None, **found, **({"reason": reason} if reason else {})}


def _fault(found: Mapping[str, Any]) -> str | None:
    limit_s = LATE * config.current().ledger_head_s
    if found["head_size"] is not None and found["head_size"] > found["tree_size"]:
        return f"the ledger has {found['tree_size']} entries, a head was signed of {found['head_size']}"
    if found["head_age_s"] is not None and found["head_age_s"] > limit_s:
        return f"the last head was signed {found['head_age_s']:.0f} s ago, {limit_s} s at most is right"
    return None


def last_audit(tenant: str, model: str) -> int | None:
    """The index of the model's last audit in the ledger; None before the first."""
    found = _audit_before(tenant, model)
    return None if found is None else found[1]


def _audit_before(tenant: str, model: str) -> tuple[int, int] | None:
    last = ledger_search.last_about("AUDIT_COMPLETED", model, tenant)
    return None if last is None else (json.loads(last.leaf)["body"]["model_audit_number"], last.index)


def _sign(row: LedgerKey, key: Ed25519PrivateKey, now: datetime) -> LedgerHead:
    tail = ledger.read_tail()
    at = max(telemetry.timestamp(now), tail.at)
    root = tail.tree.root()
    note = sign_note(Checkpoint(row.name, tail.tree.size, root, at).text, row.name, key)
    return ledger_heads.add(tail.tree.size, at, root, note)


def _change_key(old: LedgerKey, seed: bytes, wrapped: str | None, by: str | None, now: datetime) -> LedgerKey:
    verifier = VerifierKey(old.name, bytes.fromhex(_public(seed)))
    body = {"old_public_key": old.public_key, "new_public_key": _public(seed)}
    ledger_events.key_rotated("ledger", by, now, **body, verifier_key=verifier.text)
    try:
        _sign(old, _private_key(old), now)
    except ConfigurationError as error:
        # LEDGER_KEY was replaced: the old key is gone, and only the operator's word joins the two.
        telemetry.log("LEDGER_KEY_LOST", level="warning", reason=error.message)
    made = ledger_heads.add_key(old.name, _public(seed), ledger.read_tail().tree.size, now)
    ledger_heads.replace_wrapped_key(made.public_key, wrapped)
    _sign(made, Ed25519PrivateKey.from_private_bytes(seed), now)
    telemetry.log("KEY_ROTATED", key="ledger", public_key=made.public_key)
    return made


def _private_key(row: LedgerKey) -> Ed25519PrivateKey:
    """The private half of the key in use: kept in the database after a rotation, else the settings' key."""
    wrapped = ledger_heads.wrapped_key(row.public_key)
    seed = _from_settings() if wrapped is None else security_utils.unwrap_ledger_key(wrapped)
    if _public(seed) != row.public_key:
        raise ConfigurationError(
            "LEDGER_KEY is not the key that signs this ledger's heads, and it was in use before. Set it to the newest one, "
            "or to one that was never used to change to that; a server that runs since before a change must be started again.",
            field="LEDGER_KEY",
        )
    return Ed25519PrivateKey.from_private_bytes(seed)


def _from_settings() -> bytes:
    return key_providers.ledger_key()


def _public(seed: bytes) -> str:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def _verifier(row: LedgerKey) -> VerifierKey:
    return VerifierKey(row.name, bytes.fromhex(row.public_key))


def _origin(seed: bytes) -> str:
    given = config.current().ledger_origin
    if not given:
        return "fairlens-" + sha256(bytes.fromhex(_public(seed))).hexdigest()[:16] + "/ledger"
    try:
        check_name(given)
    except InvalidInput as error:
        raise ConfigurationError(f"LEDGER_ORIGIN: {error.message}", field="LEDGER_ORIGIN") from error
    return given


def moment(at: str) -> datetime:
    """The time that a head or an entry spells."""
    return datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
