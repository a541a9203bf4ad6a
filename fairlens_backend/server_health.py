"""Whether the parts that an audit needs are there: database, ledger, disk."""

import shutil
from typing import Any

from fairlens_backend import compliance_logger, config
from fairlens_backend.errors import ConfigurationError, FairLensError
from fairlens_backend.storage import migrate, session

MEGABYTE = 1_000_000


def check() -> dict[str, dict[str, Any]]:
    """Each part by name: `ok`, and what it says."""
    return {"database": _database(), "ledger": _ledger(), "disk": _disk()}


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


def _database() -> dict[str, Any]:
    try:
        session.ping()
    except FairLensError as error:
        return {"ok": False, "reason": error.message}
    return {"ok": True, "kind": session.engine().dialect.name}


def _ledger() -> dict[str, Any]:
    try:
        return compliance_logger.health()
    except FairLensError as error:
        return {"ok": False, "reason": error.message}
    except OSError as error:
        return {"ok": False, "reason": f"the compliance log cannot be read ({error.strerror})"}


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
