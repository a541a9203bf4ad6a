"""Rows of registered models. Names, versions and tenants are values in a statement, never part of one."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from fairlens_backend.errors import Conflict
from fairlens_backend.storage import driver_sql
from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.tables import RegisteredModel

_REGISTRATION_LOCK = 0x6D6F64656C  # "model": any number that no other appender takes


def lock_registrations() -> None:
    """Let one registration at a time past this point, until its unit of work ends."""
    lock_for_append(_REGISTRATION_LOCK)


def insert(
    *,
    tenant: str,
    name: str,
    version: str,
    declarations: dict[str, Any],
    artefact_path: str | None,
    artefact_sha256: str | None,
    created_by: str,
    created_at: datetime,
) -> RegisteredModel:
    """Add a model.

    Raises
    ------
    Conflict : the tenant has this name and version already; the unit of work can go on
    """
    row = RegisteredModel(
        tenant=tenant,
        name=name,
        version=version,
        declarations=declarations,
        artefact_path=artefact_path,
        artefact_sha256=artefact_sha256,
        created_by=created_by,
        created_at=created_at,
    )
    session = current_session()
    try:
        # A savepoint: PostgreSQL gives up the whole transaction at a failed statement.
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise Conflict(
            f"The model {name!r} has a version {version!r} already. Choose another version.",
            model_name=name,
            version=version,
        ) from error
    return row


def find(tenant: str, name: str, version: str | None = None) -> RegisteredModel | None:
    """The tenant's model of that name and version; the one registered last when no version is given."""
    wanted = select(RegisteredModel).where(RegisteredModel.tenant == tenant, RegisteredModel.name == name)
    if version is not None:
        wanted = wanted.where(RegisteredModel.version == version)
    return current_session().scalars(wanted.order_by(RegisteredModel.id.desc()).limit(1)).first()


class FoundModel(NamedTuple):
    """A registered model's row, for reading."""

    name: str
    version: str
    declarations: dict[str, Any]
    artefact_path: str | None
    artefact_sha256: str | None
    created_by: str
    created_at: datetime | None


def read(tenant: str, name: str, version: str | None = None) -> FoundModel | None:
    """As `find`, for reading alone: every request of events reads its model, and the ORM takes five times as long."""
    current_session().flush()
    values = [tenant, name] if version is None else [tenant, name, version]
    found = driver_sql.rows(
        "SELECT name, version, declarations, artefact_path, artefact_sha256, created_by, created_at FROM models"
        f" WHERE tenant = ? AND name = ?{'' if version is None else ' AND version = ?'} ORDER BY id DESC LIMIT 1",
        *values,
    )
    if not found:
        return None
    name, version, declared, path, digest, by, at = found[0]
    return FoundModel(name, version, driver_sql.as_json(declared), path, digest, by, driver_sql.as_moment(at))


def versions(tenant: str, name: str, limit: int) -> list[str]:
    """The versions of the tenant's model, newest first."""
    wanted = (
        select(RegisteredModel.version)
        .where(RegisteredModel.tenant == tenant, RegisteredModel.name == name)
        .order_by(RegisteredModel.id.desc())
        .limit(limit)
    )
    return list(current_session().scalars(wanted))


def page(tenant: str, limit: int, before_id: int | None = None) -> list[RegisteredModel]:
    """At most `limit` models of the tenant, newest first, registered before the one with `before_id`."""
    wanted = select(RegisteredModel).where(RegisteredModel.tenant == tenant)
    if before_id is not None:
        wanted = wanted.where(RegisteredModel.id < before_id)
    return list(current_session().scalars(wanted.order_by(RegisteredModel.id.desc()).limit(limit)))
