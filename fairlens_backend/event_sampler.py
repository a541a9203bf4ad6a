"""A bounded, seeded sample of single decisions with their features, for the metrics that compare people."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from fairlens_backend.core.row_sample import SAMPLE_ROWS, RowReservoir, RowSample
from fairlens_backend.storage import count_series, event_details, event_rows, window_counts
from fairlens_backend.storage.event_rows import Rows
from fairlens_backend.storage.session import read_snapshot

MAX_BATCHES: Final = 400
MAX_FEATURES: Final = 100
"""Features of a sample where nobody names them: distances of all rows take a second for some dozens of them."""


def sample(
    tenant: str,
    model: str,
    start: datetime,
    end: datetime,
    *,
    version: str | None = None,
    seed: int = 0,
    features: Sequence[str] | None = None,
    attributes: Sequence[str] | None = None,
    n: int = SAMPLE_ROWS,
) -> RowSample | None:
    """Rows of a model's decisions in a window, by the groups that they are counted in.

    At most 400 batches are read, drawn by the seed among those of the window: what this costs does not grow with the history.
    A batch is what one request sent, so rows of one request come together; within the batches every row is as likely.

    Parameters
    ----------
    start, end : aware; the first minute included, the last not
    version : None for all versions
    seed : the same rows and seed give the same sample
    features : names wanted, None where a row was sent without; None for those that occur, of more than MAX_FEATURES those
        of the most rows. Personal data in them are tokens, an object or a list is its JSON: a category like a text. A
        feature that no row has is left out, all of them where features are not kept.
    attributes : protected attributes of the sample; None for those that the newest series counts by. Rows counted by others
        are left out.
    n : most rows

    Returns
    -------
    RowSample, whose `total` is the number of decisions counted in the window; None where no row is left of it
    """
    first, last = int(start.timestamp()) // 60, -(-int(end.timestamp()) // 60)
    with read_snapshot():
        series = count_series.of_model(tenant, model, version)
        wanted = tuple(attributes) if attributes is not None else (series[-1][1].attributes if series else ())
        ids = [number for number, one in series if set(wanted) <= set(one.attributes)]
        drawn = list(event_rows.drawn(ids, first, last, batches=MAX_BATCHES, seed=seed))
        if not drawn:
            return None
        total = sum(int(window_counts.window_entries(number, first, last)["n"].sum()) for number in ids)
    there = _rows_with(drawn)
    most = sorted(there, key=lambda name: (-there[name], name))[:MAX_FEATURES]
    names = sorted(most) if features is None else [name for name in features if name in there]
    reservoir = RowReservoir(n, seed)
    for rows in drawn:
        reservoir.add(
            {name: _feature(rows, name) for name in names},
            rows.decision,
            rows.truth,
            rows.score,
            {name: [group[rows.series.attributes.index(name)] for group in rows.groups] for name in wanted},
        )
    return replace(reservoir.sample(), total=total)


def _rows_with(drawn: Iterable[Rows]) -> Mapping[str, int]:
    """For each feature the rows of batches in which it occurs."""
    there: Counter[str] = Counter()
    for rows in drawn:
        if rows.details is not None:
            there.update(dict.fromkeys(event_details.names(rows.details), len(rows.places)))
    return there


def _feature(rows: Rows, name: str) -> list[Any]:
    if rows.details is None:
        return [None] * len(rows.places)
    column = event_details.column(rows.details, name)
    found = [column[place] for place in rows.places.tolist()]
    if not {dict, list}.isdisjoint(map(type, found)):
        found = [json.dumps(one, sort_keys=True) if isinstance(one, (dict, list)) else one for one in found]
    return found
