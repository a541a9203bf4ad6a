"""Audits that are read by their spelling alone say what a reader of JSON finds in them; whatever else stands there is left to it."""

import random
from typing import Any

import pytest

from fairlens_backend.core.audit_evidence import audit_body
from fairlens_backend.core.audit_notation import shortened
from fairlens_backend.core.canonical_json import canonical_json, is_canonical
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.verifier.entries import ShortEntry, read_entry
from fairlens_backend.verifier.kinds import Kinds
from fairlens_backend.verifier.lines import FORMAT_VERSION, Header, leaf_line, split_leaf
from fairlens_backend.verifier.stretches import Stretch, StretchReader
from tests.ledger_kit import assessed

STAMP = "2026-03-02T10:00:00.000000Z"
COLUMNS = ("n", "rest", "signed", "value", "labelled_size", "sample_size", "number", "previous", "at", "time")


def header(model: str = "hiring") -> Header:
    """Of a bundle of this model."""
    return Header(FORMAT_VERSION, "ledger.example", "acme", model, STAMP, "2027-01-01T00:00:00.000000Z", ())


def entry(index: int, model: str = "hiring", **changed: Any) -> dict[str, Any]:
    """An audit's entry, the tenth of the ledger being the model's fourth audit, and so on."""
    counts, found = assessed(index % 3)
    result = {
        **found,
        "audit_id": f"aud-{index}",
        "model": model,
        "model_version": "größer 1",
        "audit_timestamp": STAMP,
        "window_start": None,
        "window_end": STAMP,
    }
    record = {"record_id": f"rec-{index}", "hash_value": "0" * 64, "audit_sha256": "1" * 64}
    body = shortened(audit_body(result, counts, record, "test"))
    assert body is not None
    body |= {"model_audit_number": index - 6, "previous_audit_index": index - 1 if index > 7 else None}
    time = f"2026-03-02T10:{index:02}:00.000000Z"
    said = {"body": body, "index": index, "salt": "0" * 32, "tenant": "acme", "time": time}
    return {**said, "type": "AUDIT_COMPLETED", "version": 2, **changed}


def line_of(leaf: bytes) -> bytes:
    """An entry's line, with the hash that it has."""
    return leaf_line(leaf, leaf_hash(leaf)) + b"\n"


def lines(*indexes: int, **more: Any) -> list[bytes]:
    """Lines of audits."""
    return [line_of(canonical_json(entry(index, **more))) for index in indexes]


def reader(model: str = "hiring") -> StretchReader:
    """One that has read an audit of each kind."""
    kinds = Kinds()
    for line in lines(10, 11, 12, model=model):
        leaf = read_entry(split_leaf(line[:-1], 0)[1])
        assert isinstance(leaf, ShortEntry)
        kinds.of(leaf.index, leaf.body)
    return StretchReader(header(model), kinds)


def stretch_of(block: bytes) -> Stretch:
    """What is read of lines of which none is odd."""
    end, found = reader().read(block, 0)
    assert found is not None and end == len(block)
    return found


def test_what_is_read_is_what_stands_there() -> None:
    """Every column, as a reader of JSON finds it."""
    written = [entry(index) for index in range(7, 20)]
    found = stretch_of(b"".join(lines(*range(7, 20))))
    bodies = [one["body"] for one in written]
    spelt = found.spelt
    assert [*map(bytes.decode, spelt.n)] == [one["counts"]["n"] for one in bodies]
    for name in ("value", "signed", "rest"):
        assert [*map(bytes.decode, getattr(spelt, name))] == [one["figures"][name] for one in bodies]
    for name in ("sample_size", "labelled_size"):
        assert [*map(int, getattr(spelt, name))] == [one[name] for one in bodies]
    assert list(found.times) == [one["time"] for one in written]
    assert found.leaves == [leaf_hash(canonical_json(one)) for one in written]
    assert (found.first().number, found.first().previous, found.first().index) == (1, None, 7)
    assert (found.last().number, found.last().previous, found.last().index) == (13, 18, 19)
    assert found.is_right(7, written[0]["time"]) and [kind.length for kind in found.kinds] == [36] * 13


def test_a_stretch_ends_where_another_line_stands() -> None:
    """At an event of another sort, at an audit of another model, at a line that is cut off."""
    known = b"".join(lines(10, 11))
    for odd in (
        line_of(canonical_json({"type": "X"})),
        lines(12, model="lending")[0],
        lines(12)[0][:-1],
        b"\n",
    ):
        end, found = reader().read(known + odd + known, 0)
        assert end == len(known) and found is not None and len(found.leaves) == 2
    assert reader().read(lines(12, model="lending")[0] + known, 0) == (0, None)
    assert reader().read(lines(10)[0] + line_of(canonical_json({"type": "X"})), 0) == (
        0,
        None,
    )  # it stands alone


def test_an_audit_that_is_like_none_before() -> None:
    """Other settings, groups, figures or words: the lines are to be read as JSON."""
    block = b"".join(lines(10, 11, 12))
    for old, new in (
        (b'"min_group_size":30', b'"min_group_size":31'),
        (b'"groups":[["', b'"groups":[["x'),
        (b'"names":["', b'"names":["x'),
        (b'"words":["', b'"words":["!'),
    ):
        leaf = split_leaf(lines(11)[0][:-1], 0)[1]
        assert leaf.count(old) == 1, old
        changed = block + line_of(leaf.replace(old, new))
        assert reader().read(changed, 0) == (len(changed), None)


def test_an_audit_of_an_unknown_kind_alone_between_others() -> None:
    """With no other figures at all, and what looks like an audit below it: not taken as none of no kind."""
    leaf = split_leaf(lines(11)[0][:-1], 0)[1].replace(b'"seed":0', b'"seed":7')
    start, end = leaf.index(b'"rest":"') + 8, leaf.index(b'","signed"')
    alone = line_of(leaf[:start] + leaf[end:])
    assert reader().read(alone + lines(12, model="lending")[0], 0) == (len(alone), None)


def test_kinds_of_the_same_groups_that_alternate() -> None:
    """Other settings under the same groups are another kind, whichever was asked for last."""
    kinds, leaves = Kinds(), []
    for index, seed in enumerate((0, 7, 0, 7, 7, 0, 0), 10):
        found = entry(index)
        found["body"].update(counts=entry(10)["body"]["counts"], figures=entry(10)["body"]["figures"])
        found["body"]["settings"] = {**found["body"]["settings"], "seed": seed}
        leaves.append(canonical_json(found))
        leaf = read_entry(leaves[-1])
        assert isinstance(leaf, ShortEntry)
        kinds.of(index, leaf.body)
    _, stretch = StretchReader(header(), kinds).read(b"".join(map(line_of, leaves)), 0)
    assert stretch is not None
    one, two = stretch.kinds[0], stretch.kinds[1]
    assert one is not two and list(stretch.kinds) == [one, two, one, two, two, one, one]


def test_a_model_with_an_odd_name() -> None:
    """What has a meaning in a pattern is a letter of a name like others; what JSON escapes is left to its reader."""
    one, two = "hiring (.*) [x]+", 'hiring "2"'
    for name, model, known in ((one, one, True), (one, "hiring (a) [x]+", False), (two, two, False)):
        _, found = reader(name).read(b"".join(lines(10, 11, model=model)), 0)
        assert (found is not None) == known


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"aud-11"', b'"aud\t11"'),
        (b'"aud-11"', b'"aud\\u002d11"'),
        (b'"aud-11"', b'"aud\xff11"'),
        (b'"aud-11"', b'"aud\xed\xa0\x8011"'),
        (b'"aud-11"', b'"aud\n11"'),
        (b'"aud-11"', b"11"),
        (b'"alert":', b'"alert": '),
        (b'"index":11', b'"index":011'),
        (b'"index":11', b'"index":-11'),
        (b'"index":11', b'"index":11.0'),
        (b'"index":11', b'"index":9007199254740993'),
        (b'"model_version":"gr', b'"model_version":1,"x":"gr'),
        (b'"window_start":null', b'"window_start":nul'),
        (b'"tenant":"acme"', b'"tenant":"Acme"'),
        (b'"time":"2026-03-02T', b'"time":"2026-03-02 '),
        (b'"seed":0', b'"seed":-0'),
        (b'"rest":"', b'"rest":" '),
        (b'"rest":"', b'"rest":"x'),
        (b'"words":[', b'"words":[ '),
        (b'"version":2}', b'"version":3}'),
    ],
)
def test_what_is_not_spelled_so(old: bytes, new: bytes) -> None:
    """Escapes, control characters, what is no UTF-8, numbers in another form: never taken, whatever its hash."""
    leaf = split_leaf(lines(11)[0][:-1], 0)[1]
    assert old in leaf
    below = lines(12)[0]
    assert reader().read(line_of(leaf) + below, 0)[1] is not None
    assert reader().read(line_of(leaf.replace(old, new)) + below, 0)[1] is None


def test_random_changes_are_taken_only_if_they_say_what_is_read() -> None:
    """Of 4,000 changed entries with hashes that fit, those taken are canonical JSON and say what stands in their columns."""
    chance = random.Random(20261124)
    leaves = [split_leaf(line[:-1], 0)[1] for line in lines(10, 11, 12)]
    pieces = [
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"-",
        b".",
        b"0",
        b"1",
        b"null",
        b"\n",
        b"\x7f",
        "é".encode(),
    ]
    known, taken, below = reader(), 0, lines(12)[0]
    for _ in range(4_000):
        leaf = chance.choice(leaves)
        start = chance.randrange(len(leaf))
        stop = start + chance.choice([0, 1, 1, chance.randrange(30)])
        changed = leaf[:start] + chance.choice([b"", *pieces]) + leaf[stop:]
        _, found = known.read(line_of(changed) + below, 0)
        if found is None:
            continue
        taken += 1
        said = read_entry(changed)
        assert is_canonical(changed) and isinstance(said, ShortEntry)
        body, spelt = said.body, found.spelt
        texts = (body.counts.n, body.figures.rest, body.figures.signed, body.figures.value)
        numbers = (body.labelled_size, body.sample_size, body.model_audit_number, body.previous_audit_index)
        expected = [*texts, *map(str, numbers), str(said.index), said.time]
        assert [getattr(spelt, name)[0].decode() for name in COLUMNS] == expected
        assert (said.tenant, body.model) == ("acme", "hiring")
    assert 500 < taken < 3_500


def test_what_a_stretch_must_be() -> None:
    """Each hash, index, number and link in its place, and times that are true ones and never go back."""
    good = [entry(index) for index in (10, 11, 12)]
    latest = good[0]["time"]

    def right(*entries: dict[str, Any], start: int = 10, after: str = latest) -> bool:
        return stretch_of(b"".join(line_of(canonical_json(one)) for one in entries)).is_right(start, after)

    def changed(**given: Any) -> dict[str, Any]:
        return {**good[1], **given}

    assert right(*good)
    assert not right(*good, start=9) and not right(*good, after="2026-03-02T10:10:00.000001Z")
    assert not right(good[0], good[2]) and not right(good[1], good[0]) and not right(good[0], good[0])
    assert not right(good[0], changed(time="2026-03-02T10:09:59.999999Z"), good[2])
    assert not right(good[0], good[1], {**good[2], "time": "2026-03-32T10:12:00.000000Z"})
    for name, value in (
        ("model_audit_number", 6),
        ("previous_audit_index", 9),
        ("previous_audit_index", None),
    ):
        assert not right(good[0], changed(body={**good[1]["body"], name: value}), good[2])
    other = lines(11)[0].replace(b'{"hash":"', b'{"hash":"0', 1)
    other = other[:73] + other[74:]
    assert not stretch_of(lines(10)[0] + other).is_right(10, latest)
    assert stretch_of(lines(10)[0] + lines(11)[0]).is_right(10, latest)
