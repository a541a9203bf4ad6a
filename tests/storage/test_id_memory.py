"""What processes remember of ids: right whatever another process wrote, whatever failed, whatever was purged."""

import random
from contextlib import suppress

import numpy as np
import pytest
from sqlalchemy import func, select

from fairlens_backend import config
from fairlens_backend.storage import event_ids, events, id_memory
from fairlens_backend.storage.event_tables import EventIdRun
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work

pytestmark = pytest.mark.usefixtures("database")


class Away(Exception):
    """The disk is full, the network is gone."""


def add(first: int, n: int, batch: int, fails: bool = False) -> None:
    """Note n ids in one transaction, which may fail after it has written; as `ingest_writer` tells of it."""
    digests = event_ids.digests_of("t", map(str, range(first, first + n)))
    places = (np.full(n, batch, dtype=np.int64) << event_ids.POSITION_BITS) + np.arange(n)
    try:
        with unit_of_work():
            events.lock()
            event_ids.add(digests, places)
            assert event_ids.find(digests[:3]).tolist() == places[:3].tolist()
            if fails:
                raise Away
    except Away:
        event_ids.take_back()
        raise


def batches_of(ids: list[int]) -> list[int]:
    """Where each id is, by its batch; -1 where it was not seen."""
    with unit_of_work():
        events.lock()
        places = event_ids.find(event_ids.digests_of("t", map(str, ids)))
    return [int(one) >> event_ids.POSITION_BITS for one in places]


def test_two_processes_agree_with_a_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    """400 transactions of 1 to 700 ids, each of either of two memories; one in ten fails, and old batches are purged."""
    chance, memories = random.Random(5), ({}, {})
    there: dict[int, int] = {}
    next_id = 0
    for batch in range(1, 401):
        monkeypatch.setattr(id_memory, "_memory", chance.choice(memories))
        n = chance.choice((1, 1, 2, 9, 60, 255, 256, 500, 700))
        fails = chance.random() < 0.1
        with suppress(Away):
            add(next_id, n, batch, fails)
        if not fails:
            there.update(dict.fromkeys(range(next_id, next_id + n), batch))
        next_id += n
        if batch % 90 == 0:
            with unit_of_work():
                events.lock()
                event_ids.forget_before(batch - 40)
                # What a run keeps beside younger ids may stay; what the runs are that stay, the database says.
                first = current_session().scalar(select(func.min(EventIdRun.last_batch)))
            assert first is not None and first >= batch - 40
        if batch % 20 == 0:
            asked = chance.sample(range(next_id + 50), 300)
            for memory in memories:
                monkeypatch.setattr(id_memory, "_memory", memory)
                found = dict(zip(asked, batches_of(asked), strict=True))
                for one, place in found.items():
                    if there.get(one, -1) >= batch - 40 or one not in there:
                        assert place == there.get(one, -1)
                    else:
                        assert place in (-1, there[one])
            known = next(iter(memories[0].values()))
            with read_snapshot():
                total = current_session().scalar(select(func.sum(EventIdRun.n)))
            stored = sum(map(len, known.levels)) + sum(map(len, known.small.values()))
            assert total <= stored <= 2 * total


def test_many_runs_are_few_arrays() -> None:
    """Of 130 runs of 300 ids, which no merge touches, eight by eight become one array: 2 of 64, none of 8, 2 of one."""
    for batch in range(1, 131):
        add(batch * 300, 300, batch)
    assert batches_of([300, 39_299, 39_300]) == [1, 130, -1]
    known = id_memory._memory[config.current().sqlalchemy_url]
    assert sorted(map(len, known.levels)) == [300, 300, 64 * 300, 64 * 300]
    with read_snapshot():
        assert current_session().scalar(select(func.count()).select_from(EventIdRun)) == 130
    event_ids.forget_memory()
    assert batches_of(list(range(300, 39_300, 111))) == [one // 300 for one in range(300, 39_300, 111)]
