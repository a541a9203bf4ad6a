"""Changes the master key: every wrapped key is wrapped by both for a while, so that no server is ever locked out.

    begin    with the old one and the one that follows set: each wrapped key gets a second wrapping beside its first
    (the servers are started again with the new one alone, one after the other)
    retire   with the new one alone: the old one's wrappings are destroyed

Each is one unit of work. Before `retire` the old key opens everything, after `begin` the new one does.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from fairlens_backend import key_providers, key_wrapping, security_utils, signing_keys, telemetry
from fairlens_backend.errors import Conflict
from fairlens_backend.key_wrapping import DATA, LEDGER, OWN
from fairlens_backend.storage import keys, ledger, ledger_events, ledger_heads, privacy
from fairlens_backend.storage.session import unit_of_work

_STAYS: Final = "Nothing was changed."


class _Wrapped(NamedTuple):
    """A wrapped key wherever it stands."""

    what: str
    purpose: bytes
    row: Any


def begin(by: str, now: datetime) -> int:
    """Wrap every key by the following master key too; how many. In the caller's unit of work, behind `keys.lock`.

    Raises
    ------
    Conflict : there is no key that follows
    ConfigurationError : the master key does not open all of them
    """
    following = key_providers.next_master_key()
    if following is None or following == key_providers.master_key():
        raise Conflict(
            "No master key follows: set FERNET_KEY_NEXT (KMS_CIPHERTEXT_NEXT, or fernet_key_next in Vault) beside the one in use.",
            field="FERNET_KEY_NEXT",
        )
    key_wrapping.ensure_root(by, now)
    both = [key_providers.master_key(), following]
    changed = 0
    for one in _everything():
        wrapped = one.row.wrapped_key
        if key_wrapping.opened(one.purpose, wrapped, [following]) is not None:
            continue
        key = key_wrapping.unwrap(one.purpose, wrapped, one.what)
        one.row.wrapped_key = key_wrapping.wrap_by(one.purpose, key, both)
        changed += 1
    return changed


def retire(tenant: str, by: str, now: datetime) -> int:
    """Destroy the wrappings of the master key before this one; how many keys had one. As `begin`.

    Raises
    ------
    Conflict : a key that follows is still set, or this is the older one of the two, or some key is not wrapped by it
    """
    if len(key_wrapping.known_masters()) > 1:
        raise Conflict(
            f"FERNET_KEY_NEXT is still set. Start the servers with the new key as FERNET_KEY alone first. {_STAYS}",
            field="FERNET_KEY_NEXT",
        )
    return _keep_one(key_providers.master_key(), newest=True)


def abandon(by: str, now: datetime) -> int:
    """Take a change back: destroy the wrappings of the key that was to follow. As `retire`, with the old key alone set.

    Raises
    ------
    Conflict : this is not the older one of the two
    """
    with unit_of_work():
        keys.lock()
        changed = _keep_one(key_providers.master_key(), newest=False)
        if changed:
            ledger_events.key_rotated("master", by, now, action="abandoned", wrapped=changed)
    telemetry.log("MASTER_KEY_CHANGE_ABANDONED", by=by, wrapped=changed)
    return changed


def replace_lost(by: str, now: datetime) -> dict[str, int]:
    """Go on after the loss of the master key, with a new one set: what the lost one alone opened is given up.

    Returns
    -------
    how many keys were destroyed: data_keys, token_keys, jwt_keys, ledger_keys; and tenants that have a new token key

    Raises
    ------
    Conflict : the master key that is set opens everything: none is lost
    """
    with unit_of_work():
        keys.lock()
        ledger.lock()
        lost = [one for one in _everything() if key_wrapping.opened(one.purpose, one.row.wrapped_key) is None]
        if not lost:
            raise Conflict(f"The master key opens every key: none is lost. {_STAYS}", field="FERNET_KEY")
        found = _give_up(lost, now)
        # No number is given twice: tokens of the lost keys must not pass for those of new ones.
        signing_keys.rotate(by, now, revoke=True)
        ledger_events.key_rotated("master", by, now, action="lost", **found)
    security_utils.forget_keys()
    signing_keys.forget()
    telemetry.log("MASTER_KEY_LOST", level="warning", by=by, **found)
    return found


def is_changing() -> bool:
    """Whether two master keys open the server's keys now. In the caller's snapshot."""
    rows = keys.own(keys.ROOT)
    return bool(rows) and len(key_wrapping.parts(rows[0].wrapped_key or "")) > 1


def count_wrapped_twice() -> int:
    """How many keys two master keys open now. In the caller's snapshot."""
    return sum(len(key_wrapping.parts(one.row.wrapped_key)) > 1 for one in _everything())


def _give_up(lost: list[_Wrapped], now: datetime) -> dict[str, int]:
    """Destroy what nothing opens any more. The root comes first: what is made after it is wrapped beside it."""
    found = dict.fromkeys(
        ("data_keys", "jwt_keys", "token_keys", "ledger_keys", "tenants_with_a_new_token_key"), 0
    )
    rows = [one.row for one in lost if one.purpose == OWN]
    root = next((row for row in rows if row.kind == keys.ROOT), None)
    if root is not None:
        master = key_providers.master_key()
        root.wrapped_key = key_wrapping.wrap_by(OWN, master, [master])
        key_wrapping.forget()
    for row in rows:
        if row.kind != keys.ROOT:
            row.wrapped_key, row.ends_at = None, now
            found["jwt_keys" if row.kind == keys.JWT else "token_keys"] += 1
    data = [one.row.id for one in lost if one.purpose == DATA]
    if data:
        # First the new one, behind the lost ones' numbers; a number is in every text that it encrypted.
        security_utils.add_data_key("recovery", now)
        keys.remove(data)
        found["data_keys"] = len(data)
    if any(one.purpose == LEDGER for one in lost):
        ledger_heads.replace_wrapped_key("", None)
        found["ledger_keys"] = 1
    tenants = {row.owner for row in rows if row.kind == keys.TOKENS}
    for tenant in sorted(tenants | (privacy.tenants() if root is not None else set())):
        _new_tokens(tenant, root is not None, now)
        found["tenants_with_a_new_token_key"] += 1
    return found


def _new_tokens(tenant: str, first_is_lost: bool, now: datetime) -> None:
    current = privacy.find(tenant)
    rows = keys.own(keys.TOKENS, tenant)
    version = max([1 if current is None else current.token_key_version, *(row.version for row in rows)])
    if first_is_lost and not any(row.version == 1 for row in rows):
        keys.add_own(keys.TOKENS, tenant, 1, None, "recovery", now).ends_at = now
    security_utils.new_token_key(tenant, version + 1, "recovery", now)
    privacy.use_token_version(tenant, version + 1, "recovery", now)


def _keep_one(master: bytes, newest: bool) -> int:
    """Leave of every key the wrapping of this master key alone; it must be the newest, or the oldest, of the root's."""
    root = keys.own(keys.ROOT)
    wrapped = key_wrapping.parts(root[0].wrapped_key or "") if root else []
    if len(wrapped) < 2:
        return 0
    kept = wrapped[-1] if newest else wrapped[0]
    if key_wrapping.opened(OWN, kept, [master]) is None:
        what = "newer" if newest else "older"
        raise Conflict(
            f"FERNET_KEY is not the {what} one of the two master keys. {_STAYS}", field="FERNET_KEY"
        )
    changed = 0
    for one in _everything():
        mine = [part for part in key_wrapping.parts(one.row.wrapped_key) if _opens(one.purpose, part, master)]
        if not mine:
            raise Conflict(
                f"{one.what} is not wrapped by the key that is to stay: begin the change once more, with both set. {_STAYS}",
                field="FERNET_KEY",
            )
        changed += one.row.wrapped_key != mine[0]
        one.row.wrapped_key = mine[0]
    return changed


def _opens(purpose: bytes, part: str, master: bytes) -> bool:
    return key_wrapping.opened(purpose, part, [master]) is not None


def _everything() -> Iterator[_Wrapped]:
    for data in keys.newest_first():
        yield _Wrapped(f"Data key {data.id}", DATA, data)
    for own in keys.all_own():
        if own.wrapped_key is not None:
            yield _Wrapped(f"The key {own.kind} {own.version} {own.owner}".rstrip(), OWN, own)
    for signer in ledger_heads.signers():
        yield _Wrapped("The ledger's key", LEDGER, signer)
