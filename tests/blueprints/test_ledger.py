"""The ledger's doors: what an auditor sees of it is enough to check it, and nothing of another tenant's."""

import json
from typing import Any

import pytest
from flask import Flask

from fairlens_backend.core.merkle import leaf_hash, verify_consistency, verify_inclusion
from fairlens_backend.core.signed_note import open_note, parse_checkpoint, parse_key
from tests.api import SUBMIT, People, assert_envelope, submission

HEAD, ENTRIES, KEY = "/v1/ledger/head", "/v1/ledger/entries", "/v1/ledger/key"
INCLUSION, CONSISTENCY = "/v1/ledger/proof/inclusion", "/v1/ledger/proof/consistency"


@pytest.fixture
def record(people: People) -> dict[str, Any]:
    """An audit of this tenant."""
    made: dict[str, Any] = assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    return made


def everything(people: People) -> list[dict[str, Any]]:
    """All entries, page by page, as an auditor of the tenant sees them."""
    items: list[dict[str, Any]] = []
    start: int | None = 0
    while start is not None:
        page = assert_envelope(people.auditor.get(ENTRIES, start=start), 200)
        items += page["items"]
        start = page["next_start"]
    return items


def test_the_head_is_signed_and_covers_the_audit(people: People, record: dict[str, Any]) -> None:
    """As JSON and as the note itself; the key that the server names verifies it."""
    found = assert_envelope(people.auditor.get(HEAD), 200)
    assert found["tree_size"] >= record["evidence"]["ledger"]["tree_size"]
    note = people.auditor.get(HEAD, format="note")
    assert (note.status_code, note.mimetype) == (200, "text/plain")
    text, (signature,) = open_note(note.get_data(as_text=True))
    said = parse_checkpoint(text)
    keys = assert_envelope(people.monitor.get(KEY), 200)["keys"]
    assert found["key"] in [one["key"] for one in keys] and parse_key(found["key"]).verifies(signature, text)
    assert (said.origin, said.root.hex()) == (found["origin"], found["root_hash"])


def test_an_auditor_computes_every_root_and_sees_only_the_own_entries(
    people: People, others: People, record: dict[str, Any]
) -> None:
    """Of the other tenant there are hashes alone, and the root is still the one that was signed."""
    theirs = assert_envelope(others.monitor.post(SUBMIT, submission(model_name="secret-plan")), 200)
    items = everything(people)
    assert [one["index"] for one in items] == list(range(len(items)))
    for one in items:
        if one["leaf"] is not None:
            assert json.loads(one["leaf"])["tenant"] == people.tenant
            assert leaf_hash(one["leaf"].encode()).hex() == one["leaf_hash"]
    hidden = items[theirs["evidence"]["ledger"]["index"]]
    assert hidden["leaf"] is None and "secret-plan" not in json.dumps(items)
    own = json.loads(items[record["evidence"]["ledger"]["index"]]["leaf"])
    assert own["body"]["record_id"] == record["record_id"]
    hashes = [bytes.fromhex(one["leaf_hash"]) for one in items]
    head = assert_envelope(people.auditor.get(HEAD), 200)
    assert head["root_hash"] == root_of(hashes[: head["tree_size"]]).hex()


def root_of(hashes: list[bytes]) -> bytes:
    """MTH of RFC 9162 over leaf hashes, level by level: an odd one out goes up as it is."""
    from hashlib import sha256

    while len(hashes) > 1:
        pairs = [sha256(b"\x01" + a + b).digest() for a, b in zip(hashes[::2], hashes[1::2], strict=False)]
        hashes = pairs + ([hashes[-1]] if len(hashes) % 2 else [])
    return hashes[0]


def test_proofs_lead_to_the_signed_root(people: People, record: dict[str, Any]) -> None:
    """By index and by hash, in the newest tree and an earlier one; from an earlier tree to the newest."""
    index = record["evidence"]["ledger"]["index"]
    before = assert_envelope(people.auditor.get(HEAD), 200)
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    after = assert_envelope(people.auditor.get(HEAD), 200)
    for size, root in ((before["tree_size"], before["root_hash"]), (None, after["root_hash"])):
        query = {"index": index} | ({} if size is None else {"tree_size": size})
        proof = assert_envelope(people.auditor.get(INCLUSION, **query), 200)
        assert proof["root_hash"] == root
        hashes = [bytes.fromhex(one) for one in proof["hashes"]]
        leaf = bytes.fromhex(proof["leaf_hash"])
        assert verify_inclusion(index, proof["tree_size"], leaf, hashes, bytes.fromhex(root))
    again = assert_envelope(people.auditor.get(INCLUSION, leaf_hash=proof["leaf_hash"]), 200)
    assert again == proof
    found = assert_envelope(people.auditor.get(CONSISTENCY, first=before["tree_size"]), 200)
    assert (found["first_root_hash"], found["second_root_hash"]) == (before["root_hash"], after["root_hash"])
    hashes = [bytes.fromhex(one) for one in found["hashes"]]
    roots = bytes.fromhex(before["root_hash"]), bytes.fromhex(after["root_hash"])
    assert verify_consistency(found["first"], found["second"], hashes, *roots)


def test_what_is_asked_wrongly_is_told(people: People, record: dict[str, Any]) -> None:
    """The field, what came, and what there is."""
    size = assert_envelope(people.auditor.get(ENTRIES), 200)["tree_size"]
    for path_, query, field in (
        (ENTRIES, {"start": size + 1}, "start"),
        (ENTRIES, {"end": size + 1}, "end"),
        (ENTRIES, {"start": 2, "end": 1}, "start"),
        (INCLUSION, {}, "index"),
        (INCLUSION, {"index": 0, "leaf_hash": "a" * 64}, "index"),
        (INCLUSION, {"index": size}, "index"),
        (INCLUSION, {"index": 0, "tree_size": size + 1}, "tree_size"),
        (INCLUSION, {"leaf_hash": "A" * 64}, "leaf_hash"),
        (CONSISTENCY, {}, "first"),
        (CONSISTENCY, {"first": 0}, "first"),
        (CONSISTENCY, {"first": 2, "second": 1}, "first"),
        (CONSISTENCY, {"first": 1, "second": size + 1}, "second"),
        (HEAD, {"format": "xml"}, "format"),
    ):
        details = assert_envelope(people.auditor.get(path_, **query), 422)
        assert field in json.dumps(details), (path_, query, details)
    assert_envelope(people.auditor.get(INCLUSION, leaf_hash="a" * 64), 404)
    nothing = assert_envelope(people.auditor.get(ENTRIES, start=size, end=size), 200)
    assert (nothing["items"], nothing["next_start"]) == ([], None)


def test_roles(people: People) -> None:
    """Auditors read the ledger, every user its keys, nobody without a token."""
    for where in (HEAD, ENTRIES, f"{INCLUSION}?index=0", f"{CONSISTENCY}?first=1"):
        assert_envelope(people.monitor.get(where), 403, "not_allowed")
    for where in (HEAD, ENTRIES, KEY):
        assert people.monitor.client.get(where).status_code == 401


def test_what_people_do_is_in_the_ledger(app: Flask, people: People, record: dict[str, Any]) -> None:
    """Users, keys, models, decrypted alerts, each by number and never by name."""
    start = assert_envelope(people.auditor.get(ENTRIES), 200)["tree_size"]
    name = f"zoe-{people.tenant}"
    new = {"username": name, "password": "correct horse battery", "role": "monitor"}
    assert_envelope(people.admin.post("/api/admin/users", new), 201)
    assert_envelope(people.admin.delete(f"/api/admin/users/{name}"), 200)
    key = assert_envelope(people.admin.post("/api/admin/api_keys", {"name": "night", "scope": "submit"}), 201)
    for _ in range(2):
        assert_envelope(people.admin.delete(f"/api/admin/api_keys/{key['id']}"), 200)
    model = {"model_name": "hiring-2", "version": "v3"}
    assert_envelope(people.admin.post("/api/models/register", model), 201)
    assert_envelope(people.auditor.get(f"/api/alerts/{record['record_id']}/text"), 200)
    page = assert_envelope(people.auditor.get(ENTRIES, start=start), 200)
    said = [json.loads(one["leaf"]) for one in page["items"] if one["leaf"] is not None]
    told = [(one["type"], one["body"].get("action")) for one in said]
    assert told == [
        ("USER_CHANGED", "created"), ("USER_CHANGED", "deleted"), ("API_KEY_CHANGED", "created"),
        ("API_KEY_CHANGED", "revoked"), ("MODEL_REGISTERED", None), ("ALERT_DECRYPTED", None),
    ]  # fmt: skip
    assert all(isinstance(one["body"]["by_user_id"], int) for one in said)
    written = json.dumps(page)
    names = (name, "night", key["key"], people.admin.username, people.auditor.username)
    assert [one for one in names if one and one in written] == []


def test_verify_alert_asks_the_ledger(people: People, record: dict[str, Any]) -> None:
    """The entry, its inclusion in the newest head and the head's signature are a part of a record's check."""
    verdict = assert_envelope(people.auditor.get(f"/api/verify_alert/{record['record_id']}"), 200)
    assert verdict["parts"]["ledger"] == {"ok": True, "reason": None}
