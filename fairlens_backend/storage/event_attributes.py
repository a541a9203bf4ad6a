"""Protected attributes that come apart from their decision: they move it to another group, or wait for it.

As with late labels: -1 where the decision was counted, +1 where it goes, in the minute of the decision, and the row's stored
cell with it, in one transaction behind the writers' lock.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import delete, insert, select

from fairlens_backend.core.columns import CELLS
from fairlens_backend.storage import count_series, driver_sql, event_ids, window_counts
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.detail_tables import EarlyAttributes
from fairlens_backend.storage.driver_sql import among, list_of
from fairlens_backend.storage.event_blocks import ROWS, Block
from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.window_counts import Entries

Values = Mapping[str, Any]
Group = tuple[str, ...]
GroupOf = Callable[[Series, Group, Values, int], Group | None]
"""The group that a decision of a series, made at a time in µs, goes to from its present one; None where it cannot take them."""

_AT_ONCE: Final = 300
_POSITION: Final = 2**event_ids.POSITION_BITS - 1


def move(digests: Sequence[bytes], values: Sequence[Values], group_of: GroupOf) -> list[str]:
    """Give decisions their attributes.

    Returns
    -------
    list of str
        for each id "moved", "unchanged", "waiting" (not seen yet), "expired" (its row was purged), "rejected", or "no room"
        (it would make one group more than there may be)
    """
    places = event_ids.find(digests)
    outcome = ["waiting" if place == event_ids.NOT_SEEN else "expired" for place in places.tolist()]
    by_batch: dict[int, list[int]] = {}
    for i, place in enumerate(places.tolist()):
        if place != event_ids.NOT_SEEN:
            by_batch.setdefault(place >> event_ids.POSITION_BITS, []).append(i)
    batches = sorted(by_batch)
    deltas: dict[int, list[Entries]] = {}
    for start in range(0, len(batches), _AT_ONCE):
        some = list_of(batches[start : start + _AT_ONCE])
        rows = driver_sql.rows(f"{ROWS} WHERE {among('event_batches.id')} ORDER BY event_batches.id", some)
        if rows:
            _move_within(Block.of(rows), by_batch, places, values, group_of, outcome, deltas)
    window_counts.add_deltas({number: np.concatenate(parts) for number, parts in deltas.items()})
    return outcome


def keep(early: Mapping[bytes, Values], now: datetime) -> None:
    """Keep attributes by the digest of their event's id; of one attribute the last value counts."""
    waiting = _take(list(early))
    rows = [
        {"digest": digest, "attributes": {**waiting.get(digest, {}), **values}, "received_at": now}
        for digest, values in early.items()
    ]
    if rows:
        current_session().execute(insert(EarlyAttributes), rows)


def apply_waiting(fresh: Sequence[bytes], group_of: GroupOf) -> None:
    """Give decisions that were written just now the attributes that waited for them; what they cannot take is dropped."""
    waiting = _take(fresh)
    if waiting:
        move(list(waiting), list(waiting.values()), group_of)


def any_before(before: datetime) -> bool:
    """Whether attributes wait that came before then."""
    wanted = select(EarlyAttributes.received_at).where(EarlyAttributes.received_at < before).limit(1)
    return current_session().scalars(wanted).first() is not None


def expire(before: datetime) -> int:
    """Drop the attributes that came before then; how many."""
    result = current_session().execute(delete(EarlyAttributes).where(EarlyAttributes.received_at < before))
    return int(result.rowcount)  # type: ignore[attr-defined]


def _take(digests: Sequence[bytes]) -> dict[bytes, Values]:
    """What waits for these events; it waits no longer."""
    if not driver_sql.rows("SELECT 1 FROM early_attributes LIMIT 1"):
        return {}
    session = current_session()
    found: dict[bytes, Values] = {}
    for start in range(0, len(digests), _AT_ONCE):
        some = EarlyAttributes.digest.in_(digests[start : start + _AT_ONCE])
        rows = session.execute(select(EarlyAttributes.digest, EarlyAttributes.attributes).where(some)).all()
        if rows:
            found.update((row.digest, row.attributes) for row in rows)
            session.execute(delete(EarlyAttributes).where(some))
    return found


def _move_within(
    block: Block,
    by_batch: Mapping[int, list[int]],
    places: Any,
    values: Sequence[Values],
    group_of: GroupOf,
    outcome: list[str],
    deltas: dict[int, list[Entries]],
) -> None:
    """Move what is in some batches, and note by series what changes in the counts."""
    moves: dict[int, list[tuple[int, int, Group]]] = {}
    for row, batch in enumerate(block.ids.tolist()):
        number, start = int(block.series[row]), int(block.starts[row])
        series = count_series.by_id(number)
        labels = {n: group for group, n in count_series.remembered_groups(number, set()).items()}
        for i in by_batch[batch]:
            at = start + (int(places[i]) & _POSITION)
            group = int(block.cells[at]) // CELLS
            if group not in labels:
                labels = {n: labelled for labelled, n in count_series.groups_of(number).items()}
            new = group_of(series, labels[group], values[i], int(block.numbers[start + at]))
            if new is None or new == labels[group]:
                outcome[i] = "rejected" if new is None else "unchanged"
                continue
            if new not in count_series.numbered(number, {new}):
                outcome[i] = "no room"
                continue
            outcome[i] = "moved"
            moves.setdefault(number, []).append((row, at, new))
    for number, some in moves.items():
        numbers = count_series.numbered(number, (new for _, _, new in some))
        rows = np.array([row for row, _, _ in some], dtype=np.int64)
        places_of = np.array([at for _, at, _ in some], dtype=np.int64)
        old = block.cells[places_of].astype(np.int64)
        to = np.array([numbers[new] for _, _, new in some], dtype=np.int64) * CELLS + old % CELLS
        block.put(rows, places_of, to.astype(np.int32))
        minutes, units = block.minutes_and_units(rows, places_of)
        signs = np.repeat([-1, 1], len(some))
        entries = window_counts.entries_of(
            np.tile(minutes, 2), np.concatenate([old, to]), signs, signs * np.tile(units, 2)
        )
        deltas.setdefault(number, []).append(entries)
