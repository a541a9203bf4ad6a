"""The comparison of counts with raw rows: which days are due, what is found, kept and said."""

import threading
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend import count_jobs, count_keeper, counts_gauge, telemetry
from fairlens_backend.job_steps import Call
from fairlens_backend.storage import cache, checked_days, session, tables
from fairlens_backend.storage.window_counts import BUCKET
from tests.ingest_kit import NOW, event, label, register, send

DAY = NOW.date()


@pytest.fixture(autouse=True)
def model(database: None) -> Iterator[None]:
    """A model that takes decisions, in a database of its own."""
    cache.forget()
    register()
    yield
    cache.forget()


def check_all(now: datetime = NOW) -> list[dict[str, Any]]:
    """Compare until no day is due."""
    found = []
    while (one := counts_gauge.check_next(now)) is not None:
        found.append(one)
    return found


def damage(day_grain: int = 1440) -> None:
    """Lose the counts of whole days."""
    with session.unit_of_work() as rows:
        rows.query(tables.event_tables.CountBucket).filter_by(grain=day_grain).delete()


def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is logged from here on."""
    lines: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(telemetry, "log", lambda name, **facts: lines.append((name, facts)))
    return lines


def test_every_day_that_has_something_is_compared_once() -> None:
    """Folded or not: two days of decisions are two comparisons, and then nothing is due."""
    send([event("a"), event("b", timestamp=(NOW - timedelta(days=1)).isoformat())])
    found = check_all()
    assert [one["day"] for one in found] == [str(DAY - timedelta(days=1)), str(DAY)]
    assert all((one["counted"], one["raw_rows"], one["cells_wrong"]) == (1, 1, 0) for one in found)
    assert counts_gauge.health(NOW) == {"days": 2, "due": 0, "mismatches": 0}


def test_a_day_that_changes_is_compared_again_but_not_at_once() -> None:
    """A decision, or a label alone: after ten minutes. What did not change waits its week."""
    send([event("a"), event("b", timestamp=(NOW - timedelta(days=1)).isoformat())])
    count_keeper.compact(NOW)
    check_all()
    label([("a", "good")])
    count_keeper.compact(NOW)
    assert check_all(NOW + timedelta(minutes=9)) == []
    again = check_all(NOW + timedelta(minutes=11))
    assert [one["day"] for one in again] == [str(DAY)] and not again[0]["cells_wrong"]
    assert check_all(NOW + timedelta(days=6)) == []
    assert len(check_all(NOW + timedelta(days=8))) == 2


def test_counts_that_are_not_the_rows_are_found_said_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """At error level with model and day; after they are made anew the next comparison, at once, finds them right."""
    send([event(f"e{i}", timestamp=(NOW - timedelta(hours=i)).isoformat()) for i in range(20)])
    count_keeper.compact(NOW)
    damage()
    lines = said(monkeypatch)
    found = check_all()
    # The day before lies whole in the window of its comparison, and so is read by its day.
    assert {one["day"]: one["cells_wrong"] > 0 for one in found} == {
        str(DAY - timedelta(days=1)): True, str(DAY): True,
    }  # fmt: skip
    told = [facts for name, facts in lines if name == "COUNTS_MISMATCH"]
    assert len(told) == 2 and told[0]["level"] == "error"
    assert (told[0]["model"], told[0]["counted"], told[0]["raw_rows"]) == ("hiring", 0, 7)
    assert counts_gauge.health(NOW)["mismatches"] == 2
    for day in (DAY, DAY - timedelta(days=1)):
        count_keeper.rebuild_counts("acme", "hiring", day)
    later = NOW + timedelta(seconds=1)
    assert [one["cells_wrong"] for one in check_all(later)] == [0, 0]
    assert counts_gauge.health(later)["mismatches"] == 0


def test_rows_that_nobody_counted_are_found() -> None:
    """Without a delta and without a bucket the day is found by its rows."""
    send([event("a"), event("b")])
    with session.unit_of_work() as rows:
        rows.query(tables.event_tables.CountDelta).delete()
    found = check_all()
    assert [(one["counted"], one["raw_rows"]) for one in found] == [(0, 2)] and found[0]["cells_wrong"] == 1


def test_the_same_number_in_other_cells_is_no_match() -> None:
    """The sum alone would not see a label that was counted twice and one that was not."""
    send([event("a"), event("b")])
    count_keeper.compact(NOW)
    with session.unit_of_work() as rows:
        bucket = rows.query(tables.event_tables.CountBucket).filter_by(grain=1440).one()
        entries = np.frombuffer(zlib.decompress(bucket.entries), dtype=BUCKET).copy()
        entries["cell"] += 1
        bucket.entries = zlib.compress(entries.tobytes())
    (found,) = check_all()
    assert (found["counted"], found["raw_rows"], found["cells_wrong"]) == (2, 2, 2)


def test_a_purged_day_is_left_alone() -> None:
    """Its counts are all that is left of it: it is forgotten, and is no mismatch."""
    old = NOW - timedelta(days=91)
    send([event("old", timestamp=old.isoformat()), event("new")])
    count_keeper.purge_raw(NOW)
    found = check_all()
    assert found[0] == {"day": str(old.date()), "purged": True}
    # Days between the two decisions of the batch are looked at as well, and forgotten.
    assert [one["day"] for one in found if one.get("raw_rows")] == [str(DAY)]
    assert counts_gauge.health(NOW)["days"] == 1


def test_what_changes_while_it_is_compared_is_compared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that is set between the reading and the writing of the result is not lost."""
    send([event("a")])
    compare = count_keeper.compare_day

    def meanwhile(series_id: int, day: int) -> Any:
        found = compare(series_id, day)
        with_mark.append((series_id, day))
        return found

    with_mark: list[tuple[int, int]] = []
    monkeypatch.setattr(count_keeper, "compare_day", meanwhile)
    record = checked_days.record

    def after_a_mark(*given: Any) -> None:
        checked_days.mark(*with_mark[-1][:1], [with_mark[-1][1]])
        record(*given)

    monkeypatch.setattr(checked_days, "record", after_a_mark)
    assert counts_gauge.check_next(NOW) is not None
    monkeypatch.setattr(checked_days, "record", record)
    assert counts_gauge.check_next(NOW + timedelta(minutes=9)) is None
    assert counts_gauge.check_next(NOW + timedelta(minutes=11)) is not None
    assert counts_gauge.check_next(NOW + timedelta(days=1)) is None


def test_a_round_is_named_alike_by_all_and_only_when_there_is_work() -> None:
    """Nothing due, no round; the same ten minutes have one name; a process asks at most every half minute."""
    assert counts_gauge.round_due(NOW) is None
    send([event("a")])
    assert counts_gauge.round_due(NOW) is None
    cache.forget()
    name = counts_gauge.round_due(NOW)
    cache.forget()
    assert name is not None and counts_gauge.round_due(NOW + timedelta(minutes=4)) == name
    cache.forget()
    assert counts_gauge.round_due(NOW + timedelta(minutes=10)) not in (None, name)


def test_a_day_is_compared_by_one_worker() -> None:
    """Whoever took it has it for ten minutes; a worker that dies leaves it due after that."""
    send([event("a")])
    with session.unit_of_work():
        checked_days.discover()
        assert checked_days.take(NOW, NOW + timedelta(minutes=10)) is not None
        assert checked_days.take(NOW, NOW + timedelta(minutes=10)) is None
    assert counts_gauge.check_next(NOW + timedelta(minutes=9)) is None
    assert counts_gauge.check_next(NOW + timedelta(minutes=10)) is not None


def test_the_job_that_compares() -> None:
    """Day by day until none is due; its result says how many, and which did not match."""
    send([event("a"), event("b", timestamp=(NOW - timedelta(days=1)).isoformat())])
    count_keeper.compact(NOW)
    damage()
    checkpoint: dict[str, Any] | None = None
    for _ in range(2):
        step = count_jobs.check(Call("default", {}, checkpoint, "clock", NOW))
        assert step.result is None
        checkpoint = step.checkpoint
    result = count_jobs.check(Call("default", {}, checkpoint, "clock", NOW)).result
    assert result is not None and (result["days"], result["days_purged"]) == (2, 0)
    assert [one["day"] for one in result["mismatches"]] == [str(DAY - timedelta(days=1)), str(DAY)]


def test_the_job_that_counts_anew() -> None:
    """Each day of the range that has something; purged ones are left; the result says what changed."""
    for days in (0, 1, 2, 91):
        send([event(f"e{days}", timestamp=(NOW - timedelta(days=days)).isoformat())])
    count_keeper.purge_raw(NOW)
    count_keeper.compact(NOW)
    damage()
    arguments = count_jobs.rebuild_arguments("acme", "hiring", DAY - timedelta(days=200), DAY)
    assert len(arguments["days"]) == 4
    checkpoint, steps = None, 0
    while True:
        step = count_jobs.rebuild(Call("acme", arguments, checkpoint, "ann", NOW))
        if step.result is not None:
            break
        checkpoint, steps = step.checkpoint, steps + 1
        assert step.progress == pytest.approx(steps / 4)
    assert (step.result["days_counted"], step.result["days_purged"]) == (3, 1)
    assert step.result["changed_days"] == [str(DAY - timedelta(days=n)) for n in (2, 1, 0)]
    assert all(one["equal"] for one in count_keeper.check_counts("acme", "hiring", DAY))
    with pytest.raises(count_keeper.NotFound, match="from 2020-01-01"):
        count_jobs.rebuild_arguments("acme", "hiring", DAY.replace(2020, 1, 1), DAY.replace(2020, 1, 2))


def test_writers_and_a_comparison_at_once() -> None:
    """While decisions and labels come and are folded, every comparison reads one moment: it never finds a mismatch."""
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for n in range(25):
                ids = [f"e{n}-{i}" for i in range(20)]
                send([event(one) for one in ids])
                label([(one, "good") for one in ids[::2]])
                count_keeper.compact(NOW)
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    found, rounds = [], 0
    while not done.is_set() or rounds < 3:
        rounds += 1
        found += check_all(NOW + timedelta(minutes=11 * rounds))
        found += [
            {"cells_wrong": not one["equal"]} for one in count_keeper.check_counts("acme", "hiring", DAY)
        ]
    writer.join()
    assert failures == [] and [one for one in found if one["cells_wrong"]] == []
    assert count_keeper.check_counts("acme", "hiring", DAY)[0]["rows"] == 500
