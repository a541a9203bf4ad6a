"""Ids of events in sorted runs: found where they are, not where they are not, whatever was merged meanwhile."""

import random
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from fairlens_backend.storage import event_ids, events
from fairlens_backend.storage.event_tables import EventIdPage, EventIdRun
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work

pytestmark = pytest.mark.usefixtures("database")


def add(ids: dict[str, int]) -> None:
    """Note ids as one commit does."""
    with unit_of_work():
        events.lock()
        places = np.array([(batch << 16) + 7 for batch in ids.values()], dtype=np.int64)
        event_ids.add(event_ids.digests_of("t", ids), places)


def find(ids: list[str]) -> list[int]:
    """The batch of each id, -1 for one that is not there."""
    with unit_of_work():
        events.lock()
        return [int(place) >> 16 for place in event_ids.find(event_ids.digests_of("t", ids))]


def test_ids_are_found_through_all_merges() -> None:
    """300 commits of 1 to 40 ids against a dict; as many runs as an eightfold merge leaves, and a fresh process agrees."""
    chance, known = random.Random(1), {}
    for commit in range(1, 301):
        new = {f"id-{commit}-{i}": commit for i in range(chance.randint(1, 40))}
        add(new)
        known.update(new)
        if commit % 50 == 0:
            asked = [*chance.sample(sorted(known), 60), *(f"no-{i}" for i in range(60))]
            assert find(asked) == [known.get(one, -1) for one in asked]
    everything = [*known, "never"]
    assert find(everything) == [*known.values(), -1]
    event_ids.forget_memory()
    assert find(everything) == [*known.values(), -1]
    with read_snapshot():
        assert current_session().scalar(select(func.sum(EventIdRun.n))) == len(known)
        assert int(current_session().scalar(select(func.count()).select_from(EventIdRun)) or 0) <= 7 * 5


def test_a_page_is_read_only_where_the_first_bytes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """New ids cost no page; an id that is there costs its own."""
    add({f"id-{i}": 1 for i in range(3000)})
    read: list[int] = []
    real = event_ids._matching

    def counting(pages: list[int], keys: Any) -> dict[bytes, int]:
        read.extend(pages)
        return real(pages, keys)

    monkeypatch.setattr(event_ids, "_matching", counting)
    assert find([f"new-{i}" for i in range(500)]) == [-1] * 500
    assert len(read) <= 1  # 500 of 2**32 first bytes may meet one of 3,000
    assert find(["id-5"]) == [1] and len(read) <= 3


def test_ids_of_equal_first_bytes_are_told_apart() -> None:
    """Equal first eight bytes and another rest: another id, at its own place, over the end of a page."""
    same = [b"\1" * 8 + i.to_bytes(8, "little") for i in range(1200)]
    with unit_of_work():
        events.lock()
        event_ids.add(same, np.arange(1200, dtype=np.int64))
    with unit_of_work():
        events.lock()
        assert event_ids.find([same[0], same[777], b"\1" * 16]).tolist() == [0, 777, -1]


def test_runs_of_purged_batches_are_dropped() -> None:
    """A run goes when all of its batches are gone, with its pages; the numbers of runs do not come again."""
    add({"old": 3})
    add({"new": 9})
    with unit_of_work():
        events.lock()
        event_ids.forget_before(9)
    assert find(["old", "new"]) == [-1, 9]
    with read_snapshot():
        assert current_session().scalar(select(func.count()).select_from(EventIdPage)) == 1


def test_tenants_have_their_own_ids() -> None:
    """The tenant is part of the digest, and no tenant's name can be mistaken for a part of an id."""
    assert event_ids.digest_of("a", "b") == event_ids.digests_of("a", ["b"])[0]
    assert len({event_ids.digest_of(*one) for one in (("a", "b"), ("ab", ""), ("", "ab"), ("a", "c"))}) == 4
