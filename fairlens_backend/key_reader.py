"""Which keys there are: kind, version, age, what older ones are still needed for, and how far the job is. Never a key."""

from datetime import datetime
from typing import Any

from fairlens_backend import job_runner, key_jobs, master_changer, security_utils, telemetry
from fairlens_backend.storage import job_queue, keys, ledger_heads, privacy, sealed_rows, tallies
from fairlens_backend.storage.ledger_events import OPERATOR_TENANT
from fairlens_backend.storage.sealed_rows import COLUMNS
from fairlens_backend.storage.session import read_snapshot

LOOKED_AT = 200


def show(tenant: str, now: datetime) -> list[dict[str, Any]]:
    """The keys that a tenant's administrator may rotate: its own of tokens; the operator's all of the server too.

    Returns
    -------
    list of dict
        kind, tenant, version in use, created_at and age_days of it (None where it is older than its table), `versions` that are
        still there, `outstanding`: what is still made by an older one, by name, `settled`: whether nothing is and the
        job has ended, `job` or None
    """
    with read_snapshot():
        kinds = [_data(now), _jwt(now), _ledger(now), _master(now)] if tenant == OPERATOR_TENANT else []
        shown = [*kinds, _tokens(tenant, now)]
    for one in shown:
        one["job"] = _job(one["tenant"], one["kind"], one["version"])
    return shown


def _data(now: datetime) -> dict[str, Any]:
    rows = keys.newest_first()
    prefix = f"{security_utils.MARK}{rows[0].id}{security_utils.END}" if rows else ""
    left = {name: sealed_rows.count_other_than(name, prefix) for name in COLUMNS} if rows else {}
    settled = len(rows) < 2 or tallies.read_tally(key_jobs.DATA_DONE) >= rows[0].id
    versions = [_version(row.id, row.created_at, None) for row in rows]
    return _shown("data", OPERATOR_TENANT, versions, left, settled and not any(left.values()), now)


def _jwt(now: datetime) -> dict[str, Any]:
    rows = [row for row in keys.own(keys.JWT) if row.ends_at is None or row.ends_at > now]
    # The first one is JWT_SECRET: nobody wrote down when it came into use.
    versions = [
        _version(row.version, row.created_at if row.version > 1 else None, row.ends_at) for row in rows
    ]
    versions = versions or [_version(1, None, None)]
    return _shown("jwt", OPERATOR_TENANT, versions, {}, len(versions) == 1, now)


def _ledger(now: datetime) -> dict[str, Any]:
    rows = ledger_heads.all_keys()
    versions = [_version(n, row.created_at, None) for n, row in enumerate(rows, 1)][::-1]
    return _shown("ledger", OPERATOR_TENANT, versions[:1], {}, True, now)


def _master(now: datetime) -> dict[str, Any]:
    changing = master_changer.is_changing()
    left = {"keys_with_two_wrappings": master_changer.count_wrapped_twice()}
    # Master keys have no numbers here: the server knows one by its being set, and another while they change.
    versions = [_version(n, None, None) for n in ((2, 1) if changing else (1,))]
    return _shown("master", OPERATOR_TENANT, versions, left, not changing, now)


def _tokens(tenant: str, now: datetime) -> dict[str, Any]:
    row = privacy.find(tenant)
    version = 1 if row is None else row.token_key_version
    kept = {one.version: one for one in keys.own(keys.TOKENS, tenant)}
    there = [n for n in range(version, 0, -1) if n not in kept or kept[n].wrapped_key is not None]
    versions = [_version(n, kept[n].created_at if n in kept else None, None) for n in there]
    left = {"batches_of_details": sealed_rows.count_old_details(tenant, version)}
    done = version == 1 or tallies.read_tally(key_jobs.TOKENS_DONE + tenant) >= version
    return _shown("tokens", tenant, versions, left, done and not any(left.values()), now)


def _version(number: int, created_at: datetime | None, ends_at: datetime | None) -> dict[str, Any]:
    return {
        "version": number,
        "created_at": telemetry.timestamp(created_at) if created_at else None,
        "ends_at": telemetry.timestamp(ends_at) if ends_at else None,
        "since": created_at,
    }


def _shown(
    kind: str, tenant: str, versions: list[dict[str, Any]], left: dict[str, int], settled: bool, now: datetime
) -> dict[str, Any]:
    since = [one.pop("since") for one in versions]
    newest = versions[0] if versions else {"version": 0, "created_at": None}
    age = (now - since[0]).total_seconds() / 86400 if since and since[0] else None
    return {
        "kind": kind,
        "tenant": tenant,
        "version": newest["version"],
        "created_at": newest["created_at"],
        "age_days": None if age is None else round(max(0.0, age), 3),
        "versions": versions,
        "outstanding": left,
        "settled": settled,
    }


def _job(tenant: str, kind: str, version: int) -> dict[str, Any] | None:
    name = {"data": key_jobs.REENCRYPT, "tokens": key_jobs.RENEW_TOKENS}.get(kind)
    if name is None:
        return None
    jobs = job_queue.engine().page(tenant, None, LOOKED_AT, None)
    found = next((one for one in jobs if one.name == name and one.arguments.get("version") == version), None)
    if found is None:
        return None
    shown = job_runner.shown(found)
    return {part: shown[part] for part in ("job_id", "state", "progress", "error", "finished_at")}
