"""A model that takes single decisions, events of it, and their counts by brute force."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fairlens_backend import model_registry, prediction_ingest
from fairlens_backend.core.counts import CountTable
from fairlens_backend.prediction_ingest import Sender

NOW = datetime(2026, 3, 2, 12, 30, 15, tzinfo=UTC)
SENDER = Sender("acme", "key:fl_1")
DECLARED: dict[str, Any] = {
    "columns": {"decision": "hired", "protected": ["sex", "age"]},
    "normalise_groups": False,
    "favourable": {"decision": ["yes"], "truth": ["good"]},
    "group_definitions": {"age": {"bands": [30, 50]}},
    "missing_values": ["?"],
}


def register(name: str = "hiring", version: str = "v1", tenant: str = "acme", **declared: Any) -> None:
    """Register a model that decides yes or no, for good or bad."""
    model_registry.register_model(
        name, version, tenant=tenant, declarations={**DECLARED, **declared}, created_by="ann", now=NOW
    )


def event(event_id: Any = "e1", **changes: Any) -> dict[str, Any]:
    """One event as its JSON; `...` leaves a field out."""
    made = {
        "event_id": event_id,
        "model_id": "hiring",
        "model_version": "v1",
        "timestamp": NOW.isoformat(),
        "prediction": {"label": "yes", "score": 0.75},
        "demographic_tags": {"sex": "F", "age": 41},
        **changes,
    }
    return {name: value for name, value in made.items() if value is not ...}


def send(body: Any, sender: Sender = SENDER, now: datetime = NOW) -> dict[str, Any]:
    """Ingest a body."""
    return prediction_ingest.ingest(sender, json.dumps(body).encode(), now)


def label(pairs: Iterable[tuple[str, Any]], sender: Sender = SENDER, now: datetime = NOW) -> dict[str, Any]:
    """Send labels."""
    body = {"labels": [{"event_id": one, "label": value} for one, value in pairs]}
    return prediction_ingest.add_labels(sender, json.dumps(body).encode(), now)


def minute(at: datetime) -> int:
    """Minutes since 1970."""
    return int(at.timestamp()) // 60


def brute_table(rows: Sequence[tuple[str, Any, float | None, str, str]]) -> CountTable:
    """Count rows (decision, truth or None, score, sex, age band) with nothing but a dictionary."""
    counts: Counter[Any] = Counter()
    units: Counter[Any] = Counter()
    for decision, truth, score, sex, age in rows:
        y = 2 if truth is None else int(truth == "good")
        score_bin = 10 if score is None else next((i for i in range(9) if score < (i + 1) / 10), 9)
        key = ((sex, age), int(decision == "yes"), y, score_bin)
        counts[key] += 1
        units[key] += 0 if score is None else round(score * 2**32)
    listed = [[list(g), d, y, b, n, str(units[g, d, y, b])] for (g, d, y, b), n in counts.items()]
    return CountTable.from_dict({"version": 1, "attributes": ["sex", "age"], "rows": listed})


def day_window(days: int = 60) -> tuple[datetime, datetime]:
    """A window around `NOW`."""
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days), midnight + timedelta(days=2)
