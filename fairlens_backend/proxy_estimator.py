"""What proxies estimate of a window: decisions whose attribute is absent, by the probabilities that were kept with them.

Estimates are no counts and decide no verdict; a recorded group is never mixed with one by proxy.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from fairlens_backend import telemetry
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.proxies import SoftCounts, estimate_with_proxies
from fairlens_backend.errors import NotFound
from fairlens_backend.schemas.privacy import ProxyEstimatesQuery
from fairlens_backend.storage import count_series, event_rows
from fairlens_backend.storage.event_rows import Rows
from fairlens_backend.storage.session import read_snapshot

MAX_BATCHES: Final = 1_000
SEED: Final = 0


def estimates(tenant: str, model: str, wanted: ProxyEstimatesQuery, now: datetime) -> dict[str, Any]:
    """Estimates with intervals and sharp bounds for each attribute that has proxies in the window.

    At most 1,000 batches are read, drawn at random among those of the window; `sampled` says whether that was all.

    Returns
    -------
    dict
        model_id, window_start, window_end, is_estimate True, sampled, and attributes: {name: the estimate of
        `estimate_with_proxies`, and recorded, without_proxy, by_proxy: decisions read of each kind}

    Raises
    ------
    NotFound : nothing of this model was counted, or no decision of the window has a proxy of that attribute
    """
    start = now - timedelta(hours=wanted.window_hours)
    first, last = int(start.timestamp()) // 60, int(now.timestamp()) // 60 + 1
    with read_snapshot():
        series = count_series.of_model(tenant, model, wanted.version)
        if not series:
            raise NotFound(f"Nothing of the model {model!r:.110} was counted.", model_name=model[:100])
        numbers = [number for number, _ in series]
        rows = list(event_rows.drawn(numbers, first, last, batches=MAX_BATCHES + 1, seed=SEED))
    sampled = len(rows) > MAX_BATCHES
    rows = rows[:MAX_BATCHES]
    names = sorted({name for one in rows if one.details is not None for name in one.details.proxies})
    if wanted.attribute is not None:
        names = [name for name in names if name == wanted.attribute]
    if not names:
        raise NotFound(
            "No decision of this window has a proxy"
            + ("." if wanted.attribute is None else " of that attribute.")
            + " An administrator turns them on by PUT /v1/tenant/privacy; they are made as decisions come in.",
            model_name=model[:100],
        )
    return {
        "model_id": model,
        "window_start": telemetry.timestamp(start),
        "window_end": telemetry.timestamp(now),
        "is_estimate": True,
        "sampled": sampled,
        "attributes": {name: _estimate(name, rows, wanted.reference) for name in names},
    }


def _estimate(name: str, rows: Sequence[Rows], reference: str | None) -> dict[str, Any]:
    groups = next(
        one.details.proxies[name]["groups"] for one in rows if one.details and name in one.details.proxies
    )
    membership: list[list[float]] = []
    decision: list[int] = []
    truth: list[int] = []
    kinds: Counter[str] = Counter()
    for one in rows:
        proxy = one.details.proxies.get(name) if one.details is not None else None
        at = one.series.attributes.index(name) if name in one.series.attributes else None
        for i, place in enumerate(one.places.tolist()):
            if at is not None and one.groups[i][at] != UNKNOWN:
                kinds["recorded"] += 1
                continue
            p = None if proxy is None or list(proxy["groups"]) != list(groups) else proxy["p"][place]
            kinds["without_proxy" if p is None else "by_proxy"] += 1
            membership.append([0.0] * len(groups) if p is None else p)
            decision.append(int(one.decision[i]))
            truth.append(int(one.truth[i]))
    shares = np.array(membership, dtype=np.float64).reshape(len(membership), len(groups))
    soft = SoftCounts.from_arrays(
        name, groups, shares, np.array(decision, dtype=np.int64), np.array(truth, dtype=np.int64)
    )
    known = reference if reference in groups else None
    return {
        **estimate_with_proxies(soft, reference=known, seed=SEED),
        **{kind: kinds[kind] for kind in ("recorded", "without_proxy", "by_proxy")},
    }
