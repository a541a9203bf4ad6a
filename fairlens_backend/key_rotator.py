"""Rotates keys while the server runs: one way for all kinds, for the endpoint and the command.

A rotation is one unit of work with its event in the ledger; what older keys made is written anew by a job (`key_jobs`). Older
keys stay until they are retired, and are retired only when nothing needs them.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import (
    job_runner,
    key_jobs,
    key_wrapping,
    ledger_keeper,
    master_changer,
    privacy_keeper,
    security_utils,
    signing_keys,
    telemetry,
)
from fairlens_backend.errors import Conflict, InvalidInput, NotAllowed, NotFound
from fairlens_backend.job_steps import Call
from fairlens_backend.key_providers import next_master_key
from fairlens_backend.storage import keys, ledger_events, privacy, sealed_rows, tallies, users
from fairlens_backend.storage.ledger_events import OPERATOR_TENANT
from fairlens_backend.storage.sealed_rows import COLUMNS
from fairlens_backend.storage.session import read_snapshot, unit_of_work

KINDS: Final = ("data", "jwt", "tokens", "ledger", "master")
RETIRABLE: Final = ("data", "tokens", "master")
STEPS_AT_ONCE: Final = 5
RETIRE_AFTER: Final = timedelta(hours=1)
"""after a rotation: a writer that was held up may still have the older key in its hand"""


def ensure_keys(now: datetime) -> None:
    """Keep the root and the first data key at the first start, and check that the master key opens them.

    Raises
    ------
    ConfigurationError : it does not, or a key that is to follow is none
    """
    next_master_key()
    with unit_of_work():
        key_wrapping.ensure_root("first use", now)
        if not keys.newest_first():
            security_utils.add_data_key("first use", now)


def require_may(kind: str, tenant: str, wanted: str | None) -> str:
    """The tenant whose key it is: a tenant's administrator has its token key, the operator's all others too.

    Raises
    ------
    NotAllowed : a key of the server or of another tenant, asked for by others than the operator
    InvalidInput : a tenant is named for a key that is the server's
    """
    if kind != "tokens" and wanted is not None:
        raise InvalidInput(
            f"The {kind} key is the server's: no tenant was expected.",
            field="tenant",
            got=wanted,
            expected="none",
        )
    of = tenant if wanted is None else wanted
    if tenant != OPERATOR_TENANT and (kind != "tokens" or of != tenant):
        raise NotAllowed(
            f"This call is for the tenant {OPERATOR_TENANT}, which runs the server; yours is your own key of tokens.",
            tenant=tenant,
        )
    return of if kind == "tokens" else OPERATOR_TENANT


def rotate(kind: str, tenant: str, by: str, now: datetime, *, revoke: bool = False) -> dict[str, Any]:
    """Put a new key of this kind in use.

    Parameters
    ----------
    kind : of `KINDS`
    tenant : whose; of the tokens' key only, else the operator's
    by : the user who asks; "" for the command line
    revoke : "jwt" only: end all logins now

    Returns
    -------
    dict of kind, tenant, version of the new key, `job` that follows (None where nothing is to be written anew), and more by kind

    Raises
    ------
    InvalidInput : `revoke` of another kind
    NotFound : there is no such tenant
    Conflict : the master key is being changed and this process has one of the two only; or none that follows is set
    """
    if revoke and kind != "jwt":
        raise InvalidInput(f"revoke is for jwt, not for {kind}.", field="revoke", got=True, expected="false")
    do = {"data": _data, "jwt": _jwt, "tokens": _tokens, "ledger": _ledger, "master": _master}[kind]
    with unit_of_work():
        _require_tenant(tenant)
        keys.lock()
        facts = do(tenant, by, now, revoke)
    job = facts.pop("job", None)
    telemetry.log("KEY_ROTATED", key=kind, tenant=tenant, by=by, **facts)
    return {"kind": kind, "tenant": tenant, **facts, "job": job}


def rotate_data_now(by: str, now: datetime) -> dict[str, Any]:
    """Rotate the data key, and encrypt as much again at once as a caller may wait for; the job does the rest."""
    rotated = rotate("data", OPERATOR_TENANT, by, now)
    checkpoint, done = None, 0
    for _ in range(STEPS_AT_ONCE):
        arguments = {"version": rotated["version"]}
        step = key_jobs.reencrypt(Call(OPERATOR_TENANT, arguments, checkpoint, by, now))
        checkpoint = step.checkpoint
        if checkpoint is None or step.not_before is not None:
            break
        done = checkpoint["reencrypted"]
    return {**rotated, "reencrypted": done}


def retire(kind: str, tenant: str, by: str, now: datetime) -> dict[str, Any]:
    """Destroy the older keys of a kind; {"kind", "tenant", "retired": how many}.

    Raises
    ------
    InvalidInput : keys of this kind come to their end by themselves
    NotFound : there is no such tenant
    Conflict : something still needs them, or the rotation is less than an hour ago
    """
    if kind not in RETIRABLE:
        raise InvalidInput(
            f"Older {kind} keys are not retired by hand.",
            field="kind",
            got=kind,
            expected=f"one of {', '.join(RETIRABLE)}",
        )
    do = {"data": _retire_data, "tokens": _retire_tokens, "master": master_changer.retire}[kind]
    with unit_of_work():
        _require_tenant(tenant)
        keys.lock()
        retired = do(tenant, by, now)
        if retired:
            ledger_events.key_rotated(kind, by, now, tenant=tenant, action="retired", retired=retired)
    security_utils.forget_keys()
    telemetry.log("KEYS_RETIRED", key=kind, tenant=tenant, by=by, retired=retired)
    return {"kind": kind, "tenant": tenant, "retired": retired}


def follow(now: datetime) -> int:
    """Enqueue what a rotation has left to do, where its job is not there: for the clock. How many jobs are under way."""
    with read_snapshot():
        data = keys.newest_id()
        due = (
            {}
            if not data or data[1] < 2 or tallies.read_tally(key_jobs.DATA_DONE) >= data[0]
            else {"": data[0]}
        )
        done = tallies.tallies(key_jobs.TOKENS_DONE)
        due |= {
            tenant: version
            for tenant, version in privacy.token_versions().items()
            if done.get(tenant, 0) < version
        }
    for tenant, version in due.items():
        _follow(tenant, version, "", now)
    return len(due)


def _follow(tenant: str, version: int, by: str, now: datetime) -> dict[str, Any]:
    """The job of a rotation: of a tenant's tokens, or of the server's data key where no tenant is named."""
    name = key_jobs.RENEW_TOKENS if tenant else key_jobs.REENCRYPT
    return job_runner.enqueue(
        tenant or OPERATOR_TENANT, name, {"version": version}, by=by, now=now, key=f"version {version}"
    )


def _data(tenant: str, by: str, now: datetime, _: bool) -> dict[str, Any]:
    version = security_utils.add_data_key(by, now)
    ledger_events.key_rotated("data", by, now, version=version)
    return {"version": version, "job": _follow("", version, by, now)}


def _jwt(tenant: str, by: str, now: datetime, revoke: bool) -> dict[str, Any]:
    version = signing_keys.rotate(by, now, revoke)
    ended = users.revoke_all(now) if revoke else 0
    ledger_events.key_rotated("jwt", by, now, version=version, revoked=revoke)
    signing_keys.forget()
    return {"version": version, "revoked": revoke, "logins_ended": ended}


def _tokens(tenant: str, by: str, now: datetime, _: bool) -> dict[str, Any]:
    found = privacy.find(tenant)
    rows = keys.own(keys.TOKENS, tenant)
    version = max([1 if found is None else found.token_key_version, *(row.version for row in rows)]) + 1
    security_utils.new_token_key(tenant, version, by, now)
    privacy.use_token_version(tenant, version, by, now)
    ledger_events.key_rotated("tokens", by, now, tenant=tenant, version=version)
    privacy_keeper.forget(tenant)
    return {"version": version, "job": _follow(tenant, version, by, now)}


def _ledger(tenant: str, by: str, now: datetime, _: bool) -> dict[str, Any]:
    made = ledger_keeper.rotate_key(by, now)
    return {"version": ledger_keeper.key_number(), "verifier_key": made.text}


def _master(tenant: str, by: str, now: datetime, _: bool) -> dict[str, Any]:
    wrapped = master_changer.begin(by, now)
    if wrapped:
        ledger_events.key_rotated("master", by, now, action="begun", wrapped=wrapped)
    return {"version": 2, "wrapped": wrapped}


def _retire_data(tenant: str, by: str, now: datetime) -> int:
    rows = keys.newest_first()
    if len(rows) < 2:
        return 0
    newest, *older = rows
    _require_rest(newest.created_at, now)
    prefix = f"{security_utils.MARK}{newest.id}{security_utils.END}"
    left = {name: n for name in COLUMNS if (n := sealed_rows.count_other_than(name, prefix))}
    if left:
        told = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in left.items())
        raise Conflict(f"Older data keys are still needed: {told}.", **left)
    keys.remove([row.id for row in older])
    return len(older)


def _retire_tokens(tenant: str, by: str, now: datetime) -> int:
    rows = keys.own(keys.TOKENS, tenant)
    if not rows:
        return 0
    newest, *older = rows
    _require_rest(newest.created_at, now)
    left = sealed_rows.count_old_details(tenant, newest.version)
    if left or tallies.read_tally(key_jobs.TOKENS_DONE + tenant) < newest.version:
        raise Conflict(
            f"Older token keys are still needed: {left} batches of details, and dead letters until the job is done.",
            batches=left,
        )
    if not any(row.version == 1 for row in older):
        # The first one is derived and cannot be destroyed; its row says that it opens nothing any more.
        keys.add_own(keys.TOKENS, tenant, 1, None, by, now)
    keys.end_own(keys.TOKENS, tenant, newest.version, now)
    return keys.destroy_ended(keys.TOKENS, tenant, now) + (0 if any(row.version == 1 for row in older) else 1)


def _require_tenant(tenant: str) -> None:
    if tenant != OPERATOR_TENANT and not users.is_tenant_there(tenant):
        raise NotFound(f"There is no tenant {tenant[:100]}.", tenant=tenant[:100])


def _require_rest(rotated_at: datetime, now: datetime) -> None:
    if now - rotated_at < RETIRE_AFTER:
        raise Conflict(
            f"The key in use is {(now - rotated_at).total_seconds() / 60:.0f} minutes old; older ones are retired after 60: until"
            " then a writer that was held up may still use them.",
            field="kind",
        )


def in_words(done: dict[str, Any]) -> str:
    """A rotation in a sentence."""
    if done["kind"] == "master":
        if not done["wrapped"]:
            return "Both master keys open every key already. Start the servers with the new one alone, then retire the old one."
        return (
            f"{done['wrapped']} keys are wrapped by both master keys now. Start the servers with the new one alone, "
            "then retire the old one."
        )
    told = f"The {done['kind']} key of version {done['version']} is in use"
    if done["job"] is not None:
        return f"{told}; the job {done['job']['job_id']} writes anew what older ones made."
    if done.get("revoked"):
        return f"{told}; every login has ended."
    return f"{told}."
