"""Whether the parts that an audit needs are there: database, ledger, disk; and how those are without which it goes on."""

import shutil
from datetime import datetime
from typing import Any

from fairlens_backend import compliance_logger, config, counts_gauge, job_runner, ledger_keeper, self_check
from fairlens_backend.errors import ConfigurationError, FairLensError
from fairlens_backend.storage import migrate, redis_link, session

MEGABYTE = 1_000_000


def check(now: datetime) -> dict[str, dict[str, Any]]:
    """Each part by name: `ok`, and what it says.

    `ok` is False where nothing can be audited. It is None where the server works without the part, and `status` says how well:
    ok, disabled, degraded or failed.
    """
    parts = {"database": _database(), "ledger": _ledger(now), "disk": _disk(), "redis": redis_health()}
    if parts["database"]["ok"]:
        parts |= {"counts": _counts(now), "jobs": {"ok": None, **job_runner.health(now)}}
    # Who found the ledger altered goes on auditing: what comes now is evidence too.
    parts["ledger_check"] = {"ok": None, **self_check.health(now)}
    return parts


def redis_health() -> dict[str, Any]:
    """Whether Redis answers. Without it limits and cached answers are each process's own, and jobs wait for it."""
    if not redis_link.configured():
        return {"ok": None, "status": "disabled"}
    if redis_link.up():
        return {"ok": None, "status": "ok"}
    reason = "Redis does not answer: each process counts calls for itself, and jobs wait"
    return {"ok": None, "status": "failed", "reason": reason}


def require_schema() -> None:
    """Refuse to work on a database that is not as this code expects it.

    Raises
    ------
    ConfigurationError : it was not migrated, or by another version
    Unavailable : it does not answer
    """
    if not migrate.is_at_head():
        raise ConfigurationError(
            "The database's schema is not the one of this version. Run: make migrate", field="DATABASE_URL"
        )


def database_name() -> str:
    """Which database this is, without its password."""
    return session.engine().url.render_as_string(hide_password=True)


def _database() -> dict[str, Any]:
    try:
        session.ping()
    except FairLensError as error:
        return {"ok": False, "reason": error.message}
    return {"ok": True, "kind": session.engine().dialect.name}


def _ledger(now: datetime) -> dict[str, Any]:
    try:
        files, tree = compliance_logger.health(), ledger_keeper.health(now)
        return {**files, "ok": files["ok"] and tree["ok"], "tree": tree}
    except FairLensError as error:
        return {"ok": False, "reason": error.message}
    except OSError as error:
        return {"ok": False, "reason": f"the compliance log cannot be read ({error.strerror})"}


def _counts(now: datetime) -> dict[str, Any]:
    try:
        found = counts_gauge.health(now)
    except FairLensError as error:
        return {"ok": None, "status": "failed", "reason": error.message}
    if not found["mismatches"]:
        return {"ok": None, "status": "ok", **found}
    reason = f"the counts of {found['mismatches']} days are not those of their raw rows; fairlens rebuild-counts mends them"
    return {"ok": None, "status": "degraded", "reason": reason, **found}


def _disk() -> dict[str, Any]:
    settings = config.current()
    try:
        free_mb = shutil.disk_usage(settings.data_path).free // MEGABYTE
    except OSError as error:
        return {"ok": False, "reason": f"DATA_DIR cannot be read ({error.strerror})"}
    enough = free_mb >= settings.min_free_disk_mb
    reason = (
        {}
        if enough
        else {"reason": f"{free_mb} MB free, at least {settings.min_free_disk_mb} needed (MIN_FREE_DISK_MB)"}
    )
    return {"ok": enough, "free_mb": free_mb, **reason}
