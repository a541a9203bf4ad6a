"""The state of confidence sequences over a model's windows: one row an attribute and metric."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.storage.schedule_tables import SequentialSeries
from fairlens_backend.storage.session import current_session, is_postgresql


def read(tenant: str, model: str, version: str | None) -> dict[tuple[str, str], dict[str, Any]]:
    """The states of a model by attribute and metric; `version` None for all versions together."""
    wanted = select(SequentialSeries.attribute, SequentialSeries.metric, SequentialSeries.state).where(
        SequentialSeries.tenant == tenant,
        SequentialSeries.model == model,
        SequentialSeries.version == (version or ""),
    )
    return {(attribute, metric): state for attribute, metric, state in current_session().execute(wanted)}


def write(
    tenant: str, model: str, version: str | None, attribute: str, metric: str, state: dict[str, Any]
) -> None:
    """Keep a state in the place of the one before."""
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    changing = {"state": state, "since": datetime.fromisoformat(state["since"])}
    statement = insert(SequentialSeries).values(
        tenant=tenant, model=model, version=version or "", attribute=attribute, metric=metric, **changing
    )
    keys = ["tenant", "model", "version", "attribute", "metric"]
    current_session().execute(statement.on_conflict_do_update(index_elements=keys, set_=changing))


def remove(tenant: str, model: str) -> None:
    """Forget every state of a model."""
    current_session().execute(
        delete(SequentialSeries).where(SequentialSeries.tenant == tenant, SequentialSeries.model == model)
    )
