"""Answers that are expensive and asked for often, kept for CACHE_TTL_S seconds under what they were made from.

The name of an answer holds the model's newest record, so that the first call after an audit makes it anew; what else it
depends on is the clock alone, by which it is at most CACHE_TTL_S late. Reports are evidence and are never taken from here.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from fairlens_backend import __version__, config, drift_reader, gauges
from fairlens_backend.schemas.drift import DriftQuery
from fairlens_backend.storage import latest_figures
from fairlens_backend.storage.cache import cache
from fairlens_backend.storage.session import read_snapshot

_LEVEL: Final = 1


def drift(tenant: str, model: str, wanted: DriftQuery, now: datetime) -> dict[str, Any]:
    """As `drift_reader.drift`, or as it was less than CACHE_TTL_S ago where nothing was audited since; raises as it does."""
    return remembered(
        "drift",
        tenant,
        model,
        wanted.model_dump(mode="json"),
        lambda: drift_reader.drift(tenant, model, wanted, now),
    )


def remembered(
    name: str, tenant: str, model: str, parameters: Mapping[str, Any], make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What `make` gives, or gave for the same parameters and the same newest record of the model.

    Parameters
    ----------
    parameters : all that the answer depends on beside the model's records and the clock; as JSON has it
    make : gives a JSON object; what it raises is raised, and nothing is kept
    """
    ttl_s = config.current().cache_ttl_s
    with read_snapshot():
        newest = latest_figures.newest_record(tenant, model)
    if not ttl_s or not newest:
        return make()
    key = (
        f"{name}:{_digest([__version__, config.current().sqlalchemy_url, tenant, model, newest, parameters])}"
    )
    kept = cache().get(key)
    gauges.note_cache(hit=kept is not None)
    if kept is not None:
        found: dict[str, Any] = json.loads(zlib.decompress(kept))
        return found
    made = make()
    text = json.dumps(made, allow_nan=False, default=_plain)
    cache().set(key, zlib.compress(text.encode(), _LEVEL), ttl_s)
    return made


def _digest(parts: list[Any]) -> str:
    # A digest: the address of a database may hold a password, and a name any text.
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be kept")
