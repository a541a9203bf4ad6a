"""Erasure: a person's raw rows go, to the last byte of the file; counts, audits and the ledger stay as they were."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlens_backend import (
    attribute_supply,
    config,
    count_keeper,
    dead_letter_box,
    eraser,
    erasure_search,
    erasure_steps,
    event_sampler,
    job_runner,
    ledger_keeper,
    prediction_ingest,
    security_utils,
)
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.event_enricher import Enricher
from fairlens_backend.storage import driver_sql, event_details, event_ids, ledger
from fairlens_backend.storage.event_blocks import MINUTE_US
from fairlens_backend.storage.session import is_postgresql, read_snapshot
from tests.ingest_kit import NOW, SENDER, day_window, event, label, register, send

MAIL = "ann.lee@example.org"
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine too an erasure ends within its answer; where it must not, a test says so itself."""
    monkeypatch.setattr(eraser, "BUDGET_S", 600.0)


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """A model that takes decisions."""
    register()


def person(event_id: Any, mail: str = MAIL, **changes: Any) -> dict[str, Any]:
    """An event with somebody's address."""
    return event(event_id, features={"email": mail, "income": 41_000}, **changes)


def erase(asked: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Erase as the tenant's administrator would."""
    return eraser.erase("acme", asked, None, NOW, **given)


def sql(text: str, *values: Any) -> list[Any]:
    """What the database says."""
    with read_snapshot():
        return driver_sql.rows(text, *values)


def table() -> Any:
    """The counts of the window around now."""
    return count_keeper.window_table("acme", "hiring", *day_window())


def numbers_of_cells() -> dict[str, int]:
    """How many decisions each cell has, whatever the sum of their scores."""
    return {str(row[:-2]): row[-2] for row in table().to_dict()["rows"]}


def assert_counts_are_the_rows() -> None:
    """Cell by cell, and with the sums of scores."""
    for day in {NOW.date(), (NOW - timedelta(days=1)).date()}:
        for row in count_keeper.check_counts("acme", "hiring", day):
            assert row["equal"], row


def token() -> str:
    """Ann's token, as an event would be kept with it."""
    return Enricher.of("acme", NOW).tokeniser.token("email", MAIL)


def details() -> list[event_details.Details]:
    """All blocks."""
    with read_snapshot():
        batches = [one for (one,) in driver_sql.rows("SELECT id FROM event_batches ORDER BY id")]
        return [one for _, one in event_details.read(batches)]


def test_what_an_event_said_is_gone_and_its_cell_stays() -> None:
    """Of the erased row nothing is left but its cell, its minute and the tenth of the score; other rows are as they were."""
    at = NOW.replace(second=7, microsecond=123_456)
    send([person("e1", timestamp=at.isoformat(), prediction={"label": "yes", "score": 0.7123}), event("e2")])
    before = numbers_of_cells()
    done = erase({"event_ids": ["e1"]})
    assert done["state"] == "done" and done["found"] is True
    assert done["erased"] == {
        "rows": 1, "ids_of_purged_rows": 0, "early_labels": 0, "early_attributes": 0, "dead_letters": 0,
    }  # fmt: skip
    assert [(one["what"], one["n"]) for one in done["remains"]] == [
        ("anonymous_counts", 1), ("ids_refused_from_now_on", 1),
    ]  # fmt: skip
    (block,) = details()
    assert list(block.event_id) == [None, "e2"] and "email" not in event_details.names(block)
    ((n, numbers),) = sql("SELECT n, numbers FROM event_batches")
    times, scores = np.frombuffer(numbers, "<i8", count=n), np.frombuffer(numbers, "<f8", offset=8 * n)
    minute = int(at.timestamp()) // 60 * MINUTE_US
    assert times[0] == minute and times[1] == round(NOW.timestamp() * 1e6)
    assert scores.tolist() == [0.75, 0.75]  # 0.7123 is in the tenth from 0.7 to 0.8
    assert numbers_of_cells() == before
    assert_counts_are_the_rows()
    count_keeper.compact(NOW)
    assert_counts_are_the_rows()


def test_counts_made_anew_are_the_same() -> None:
    """The invariant sum(counts) = count(rows) also holds for a recount, with scores at the edges of the scale and without."""
    scores = [0.0, 0.1, 0.999, 1.0, None, 0.34567]
    send([event(f"s{i}", prediction={"label": "no", "score": one}) for i, one in enumerate(scores)])
    count_keeper.compact(NOW)
    erase({"event_ids": [f"s{i}" for i in range(6)]})
    assert_counts_are_the_rows()
    before = numbers_of_cells()
    assert all(row["cells_changed"] == 0 for row in count_keeper.rebuild_counts("acme", "hiring", NOW.date()))
    assert numbers_of_cells() == before and sum(before.values()) == 6


def test_an_erased_event_does_not_come_back() -> None:
    """The event sent again, its label and its attributes are refused, and nothing of them is kept; other ids are taken."""
    send([person("e1"), event("e2")])
    erase({"event_ids": ["e1"]})
    before = numbers_of_cells()
    again = send([person("e1"), event("e3")])
    assert (again["queued"], again["duplicates"]) == (1, 1)
    assert label([("e1", "good"), ("e2", "good")])["expired"] == 1
    body = {"attributes": [{"event_id": "e1", "attributes": {"sex": "M"}}]}
    assert attribute_supply.supply(SENDER, json.dumps(body).encode(), NOW)["expired"] == 1
    assert sum(numbers_of_cells().values()) == sum(before.values()) + 1
    assert sql("SELECT count(*) FROM early_labels")[0][0] == 0
    assert sql("SELECT count(*) FROM early_attributes")[0][0] == 0
    assert_counts_are_the_rows()


def test_an_id_leads_nowhere_without_the_key() -> None:
    """Neither the id's digest nor its place is in the table of ids, and the tombstone is no digest that anybody can make."""
    send([event("e1"), event("e2")])
    digest, other = event_ids.digests_of("acme", ["e1", "e2"])
    held = b"".join(bytes(one) for (one,) in sql("SELECT entries FROM event_id_pages"))
    assert digest in held and other in held
    erase({"event_ids": ["e1"]})
    held = b"".join(bytes(one) for (one,) in sql("SELECT entries FROM event_id_pages"))
    assert digest not in held and digest[8:] not in held and other in held
    assert sorted(np.frombuffer(held, event_ids.ENTRY)["place"].tolist())[0] == event_ids.ERASED
    ((tombstone,),) = sql("SELECT digest FROM erased_ids")
    assert bytes(tombstone) != digest


def test_merged_runs_forget_the_entry() -> None:
    """When runs of ids are merged, what is left of an erased entry goes, and the rest is found."""
    for i in range(6):
        send([event(f"m{i}")])
    erase({"event_ids": ["m0", "m3"]})
    for i in range(6, 20):
        send([event(f"m{i}")])
    held = b"".join(bytes(one) for (one,) in sql("SELECT entries FROM event_id_pages"))
    assert (np.frombuffer(held, event_ids.ENTRY)["place"] != event_ids.ERASED).all()
    again = send([event(f"m{i}") for i in range(20)])
    assert (again["queued"], again["duplicates"]) == (0, 20)


def test_by_value_and_by_token_every_row_of_the_person_goes() -> None:
    """The value is found in features, in free text and as the id itself; other people and other tenants keep their rows."""
    send(
        [
            person("a"),
            event("b", features={"note": f"write to {MAIL.upper()}"}),
            person("c", "bob@example.org"),
        ]
    )
    send([event(MAIL), event("d")])
    register(tenant="globex")
    other = prediction_ingest.Sender("globex", "key:x")
    send([person("a")], other)
    looked = erase({"value": {"field": "email", "text": f" {MAIL} "}}, dry_run=True)
    assert looked["erased"]["rows"] == 3 and looked["ledger_index"] is None and looked["dry_run"]
    assert [len([one for one in block.event_id if one is None]) for block in details()] == [0, 0, 0]
    done = erase({"value": {"field": "email", "text": MAIL}})
    assert done["erased"]["rows"] == 3
    ids = sorted(one or "" for block in details() for one in block.event_id)
    assert ids == ["", "", "", "a", "c", "d"]
    assert erase({"token": token()})["found"] is False
    again = send([person("a"), event(MAIL), event("d")])
    assert (again["queued"], again["duplicates"]) == (0, 3)
    assert_counts_are_the_rows()


def test_what_waits_and_dead_letters_go_too() -> None:
    """Early labels, early attributes and letters that hold the id or the token; others stay."""
    label([("early", "good"), ("other", "good")])
    body = {"attributes": [{"event_id": "early", "attributes": {"sex": "M"}}]}
    attribute_supply.supply(SENDER, json.dumps(body).encode(), NOW)
    send([person("bad", prediction={}), event("bad too", prediction={}), event("fine")])
    done = erase({"event_ids": ["early", "bad"]})
    assert [
        done["erased"][name] for name in ("rows", "early_labels", "early_attributes", "dead_letters")
    ] == [0, 1, 1, 1]
    assert sql("SELECT count(*) FROM early_labels")[0][0] == 1
    (letter,) = dead_letter_box.list_letters("acme")["items"]
    send([person(70123)])  # no text, and so a letter
    assert erase({"event_ids": ["70123"]})["erased"]["dead_letters"] == 1
    send([person("worse", prediction={})])
    assert erase({"token": token()})["erased"]["dead_letters"] == 1
    assert [one["id"] for one in dead_letter_box.list_letters("acme")["items"]] == [letter["id"]]
    assert send([event("early")])["duplicates"] == 1


def test_attributes_that_wait_are_found_by_token() -> None:
    """Somebody's address sent as an attribute waits as a token, and goes."""
    body = {"attributes": [{"event_id": "w", "attributes": {"sex": MAIL}}]}
    attribute_supply.supply(SENDER, json.dumps(body).encode(), NOW)
    assert erase({"token": token()})["erased"]["early_attributes"] == 1
    assert sql("SELECT count(*) FROM early_attributes")[0][0] == 0


def test_a_token_in_a_label_of_a_group_is_told() -> None:
    """A group's name is part of counts and audits; that it remains is said in the receipt."""
    send([event("g", demographic_tags={"sex": MAIL, "age": 41})])
    done = erase({"token": token()})
    assert {"group_labels": 1}.items() <= {one["what"]: one["n"] for one in done["remains"]}.items()


def test_the_ledger_stays_and_records_it_without_the_person() -> None:
    """Entries from before are the same bytes; the new one has counts, an account's number and a keyed digest."""
    ledger_keeper.ensure_key(NOW)
    send([person("e1")])
    before = sql("SELECT leaf_index, leaf FROM ledger_entries ORDER BY leaf_index")
    done = erase({"value": {"field": "email", "text": MAIL}})
    after = sql("SELECT leaf_index, leaf FROM ledger_entries ORDER BY leaf_index")
    assert after[: len(before)] == before and len(after) == len(before) + 1
    leaf = json.loads(after[-1][1])
    assert leaf["type"] == "DATA_ERASED" and done["ledger_index"] == after[-1][0]
    said = leaf["body"]
    assert said["erased"]["rows"] == 1 and said["asked_by"] == "value" and said["by_user_id"] is None
    assert said["request_digest"] == security_utils.sign_record(
        {"purpose": "fairlens erasure request v1", "tenant": "acme", "asked": {"tokens": [token()]}}
    )
    for text in (MAIL, token(), "e1"):
        assert f'"{text}"' not in json.dumps(leaf)
    assert (
        erase({"token": token()})["ledger_index"] == done["ledger_index"] + 1
    )  # again: nothing found, recorded


def test_nothing_of_what_was_asked_is_kept_or_logged(caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    """Neither the value nor its token nor an id is in a row of the erasure, of its job, or in the log."""
    send([person("very-own-id")])
    erase({"value": {"field": "email", "text": MAIL}})
    erase({"event_ids": ["very-own-id"]})
    rows = str(sql("SELECT * FROM erasures")) + str(sql("SELECT * FROM jobs"))
    out = capfd.readouterr()
    for text in (MAIL, token(), "very-own-id"):
        assert text not in rows and text not in caplog.text and text not in out.out + out.err
    assert sql("SELECT count(*) FROM erasures WHERE sealed_request IS NOT NULL")[0][0] == 0
    job_runner.run_due(NOW)
    assert {one["state"] for one in job_runner.page("acme", None, 10, None)["items"]} == {"done"}


def test_the_files_hold_no_byte_of_it() -> None:
    """After the erasure neither the token nor any piece of the compressed details is in SQLite's file or its log."""
    if is_postgresql():
        pytest.skip("of PostgreSQL's files only the server knows")
    send([person("alone")])
    ((content,),) = sql("SELECT content FROM event_details")
    (digest,) = event_ids.digests_of("acme", ["alone"])
    send([person("bad", prediction={})])
    ((letter,),) = sql("SELECT encrypted_event FROM dead_letters")
    # What is long and written by whole pages, too.
    big = {"blob": os.urandom(12_000).hex(), "email": MAIL}
    send([event("large", features=big)])
    ((large,),) = sql("SELECT content FROM event_details ORDER BY batch_id DESC LIMIT 1")
    pieces = [
        *(bytes(content)[i : i + 16] for i in range(12, len(content) - 16, 16)),
        *(bytes(large)[i : i + 64] for i in range(200, len(large) - 64, 997)),
        digest[:8] + digest[8:],
        letter[20:80].encode(),
    ]
    assert all(any(piece in one for one in files()) for piece in pieces), (
        "the test looks for what is not there"
    )
    done = erase({"token": token()})
    assert done["erased"]["rows"] == 2 and done["erased"]["dead_letters"] == 1 and done["log_cleared"] is True
    left = files()
    assert not [
        piece for piece in [*pieces, token().encode(), MAIL.encode()] if any(piece in one for one in left)
    ]


def files() -> list[bytes]:
    """The database's file and its log."""
    path = Path(config.current().sqlalchemy_url.removeprefix("sqlite:///"))
    return [one.read_bytes() for one in (path, path.with_name(path.name + "-wal")) if one.exists()]


def test_a_sample_leaves_erased_rows_out() -> None:
    """Metrics that compare rows, and explanations, do not see them."""
    send([person(f"p{i}") for i in range(4)])
    erase({"event_ids": ["p1", "p2"]})
    start, end = day_window()
    sample = event_sampler.sample("acme", "hiring", start, end, n=10, seed=1)
    assert sample is not None and len(sample.decision) == 2 and sample.total == 4


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"event_ids": []},
        {"event_ids": ["a"], "token": "tok_email_" + "A" * 44},
        {"token": "tok_email_short"},
        {"token": "ann"},
        {"value": {"field": "income", "text": "41000"}},
        {"value": {"field": "note", "text": f"{MAIL} and bob@example.org"}},
    ],
)
def test_what_cannot_be_looked_for_is_refused(asked: dict[str, Any]) -> None:
    """Exactly one way, and one personal value; no message repeats it, and nothing is recorded."""
    with pytest.raises(InvalidInput) as refused:
        erase(asked)
    assert MAIL not in str(refused.value) + str(refused.value.details)
    assert sql("SELECT count(*) FROM erasures")[0][0] == 0


def test_erasures_are_listed_newest_first_and_by_tenant() -> None:
    """Pages of receipts; another tenant sees none of them."""
    numbers = [erase({"event_ids": [f"x{i}"]})["erasure_id"] for i in range(3)]
    first = eraser.page("acme", 2)
    rest = eraser.page("acme", 2, first["next_cursor"])
    assert [one["erasure_id"] for one in first["items"] + rest["items"]] == numbers[::-1]
    assert rest["next_cursor"] is None and eraser.page("globex")["items"] == []
    assert eraser.read("acme", numbers[0])["found"] is False
    with pytest.raises(NotFound):
        eraser.read("globex", numbers[0])


def test_a_job_goes_on_where_the_request_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no time left the answer is that it runs; a worker finishes it, once, and the receipt is complete."""
    monkeypatch.setattr(erasure_search, "BATCHES_AT_ONCE", 2)
    for i in range(7):
        send([person(f"k{i}"), event(f"other{i}")])
    done = erase({"token": token()}, budget_s=0.0)
    assert done["state"] == "running" and done["ledger_index"] is None
    assert sql("SELECT sealed_request FROM erasures")[0][0] is not None
    job_runner.run_due(NOW + timedelta(seconds=1))
    done = eraser.read("acme", done["erasure_id"])
    assert done["state"] == "done" and done["erased"]["rows"] == 7
    assert job_runner.read("acme", done["job_id"])["state"] == "done"
    with read_snapshot():
        assert [one.type for one in ledger_entries()].count("DATA_ERASED") == 1
    assert_counts_are_the_rows()


def ledger_entries() -> list[Any]:
    """The ledger's entries, each with the hash of its bytes checked."""
    found = list(ledger.entries(0, ledger.size()))
    assert all(leaf_hash(one.leaf) == one.leaf_hash for one in found)
    return found


# Erases by token with one batch a step, and says after each step how far it is.
ERASER = """
import sys
from tests.test_eraser import NOW, erase_step
for done in erase_step(int(sys.argv[1])):
    print(done, flush=True)
"""


def erase_step(erasure_id: int) -> Any:
    """The steps of an erasure, one batch each."""
    erasure_search.BATCHES_AT_ONCE = 1
    while True:
        row = erasure_steps.step("acme", erasure_id, NOW)
        yield row.progress["erased"]["rows"]
        if row.finished_at is not None:
            return


def test_a_killed_erasure_goes_on_and_each_step_is_whole(settings: config.Settings) -> None:
    """kill -9 at five points: counts are the rows' at each, and the erasure ends with all rows gone and one entry."""
    for i in range(8):
        send([person(f"z{i}")])
    before = numbers_of_cells()
    erasure_id = erase({"token": token()}, budget_s=0.0)["erasure_id"]
    environment = {**os.environ, **{name.upper(): str(value) for name, value in vars(settings).items()}}
    for lines in range(1, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", ERASER, str(erasure_id)], env=environment, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdout is not None
        for _ in range(min(lines, 2)):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        process.stdout.close()
        assert_counts_are_the_rows()
        blank = sum(one is None for block in details() for one in block.event_id)
        progress = eraser.read("acme", erasure_id)
        assert progress["erased"]["rows"] == blank
    list(erase_step(erasure_id))
    assert eraser.read("acme", erasure_id)["erased"]["rows"] == 8
    assert numbers_of_cells() == before
    assert sql("SELECT count(*) FROM ledger_entries WHERE type = 'DATA_ERASED'")[0][0] == 1
