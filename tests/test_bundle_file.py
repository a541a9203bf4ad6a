"""A file that is checked in chunks, by several processes, has the verdict of a reading line by line; whatever the chunks."""

import gzip
import json
import os
import random
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import bundle_file, ledger_keeper, telemetry
from fairlens_backend.bundle_file import verify_file
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.storage import ledger_heads
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.verifier.bundle import Verdict, verify_bundle
from fairlens_backend.verifier.heads import HeadCheck
from fairlens_backend.verifier.lines import leaf_line, split_leaf
from tests.ledger_kit import at, audit, other
from tests.verifier.test_bundle import (
    Lines,
    closed,
    exported,
    index_at,
    key,
    notation,
    place,
    resigned,
    rewritten,
    tampered,
)

__all__ = ["notation"]


@pytest.fixture
def lines(database: Any, notation: str) -> Lines:
    """A bundle of fourteen audits among events of others, of another model, and a change of the key."""
    for i in range(14):
        audit(i * 7, seed=i % 4)
        other(i * 7 + 1)
        if i % 3 == 0:
            audit(i * 7 + 2, model="lending", seed=1)
            other(i * 7 + 3, tenant="acme")
    return exported(10, 80)


def in_file(folder: Path, lines: Lines, chunk_bytes: int, *, packed: bool = False, **given: Any) -> Verdict:
    """What is said of the lines in a file."""
    path = folder / "bundle"
    content = b"".join(lines)
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    return verify_file(path, [key()], chunk_bytes=chunk_bytes, **{"processes": 0, **given})


def sizes(lines: Lines) -> list[int]:
    """Chunks of a line each, of some lines, and of all."""
    return [1, max(map(len, lines)) + 1, sum(map(len, lines)) // 3, 1 << 20]


@pytest.mark.parametrize("packed", [False, True])
def test_an_untouched_file_is_right(lines: Lines, tmp_path: Path, packed: bool) -> None:
    """Everything is counted as line by line, whatever the chunks and whoever checks them."""
    expected = asdict(verify_bundle(lines, [key()]))
    assert expected["finding"] is None and expected["audits"] == 10 and expected["figures"] > 100
    for size in sizes(lines):
        assert asdict(in_file(tmp_path, lines, size, packed=packed)) == expected
    assert asdict(in_file(tmp_path, lines, sizes(lines)[1], packed=packed, processes=2)) == expected


def test_a_bundle_of_the_first_version(lines: Lines, tmp_path: Path) -> None:
    """Bundles that were handed out earlier stay right: their end is of every line."""
    above = [lines[0].replace(b'{"fairlens_evidence":2', b'{"fairlens_evidence":1'), *lines[1:-1]]
    end = {"end": {"lines": len(above), "sha256": sha256(b"".join(above)).hexdigest()}}
    old = [*above, json.dumps(end, separators=(",", ":")).encode() + b"\n"]
    assert verify_bundle(old, [key()]).finding is None
    for size in sizes(lines):
        assert in_file(tmp_path, old, size).finding is None
    wrong = [*old[:-1], old[-1].replace(b'"sha256":"', b'"sha256":"0')]
    assert "no signature covers" in str(in_file(tmp_path, wrong, sizes(lines)[1]).finding)


@pytest.mark.no_cover
def test_a_thousand_random_tamperings_are_named_alike(lines: Lines, tmp_path: Path) -> None:
    """Whatever is flipped, removed, moved, doubled, cut off or dated back: the same words as line by line. 500 of each notation."""
    chance = random.Random(20261123)
    found = 0
    for _ in range(500):
        kind, changed, _ = tampered(lines, chance)
        if changed != lines:
            expected = verify_bundle(changed, [key()]).finding
            assert expected is not None, (kind, changed)
            assert in_file(tmp_path, changed, chance.choice(sizes(lines))).finding == expected, kind
            found += 1
    assert found > 475


def forged_figure(lines: Lines, line: int, step: float) -> Lines:
    """One figure of an audit by so much beside what its counts give, under true signatures."""

    def change(entry: dict[str, Any]) -> None:
        figures = entry["body"]["figures"]
        one = next(one for one in figures if one["metric"] == "demographic_parity_difference")
        one["value"] += step

    return resigned(rewritten(lines, line, change))


@pytest.mark.parametrize("step", [1e-9, -0.25])
def test_a_forged_figure_at_the_end_of_a_chunk(lines: Lines, tmp_path: Path, step: float) -> None:
    """Each audit once as the first and once as the last one of a chunk, and in a chunk of its own: it is found, and named."""
    audits = [i for i, line in enumerate(lines) if b'"type":"AUDIT_COMPLETED"' in line]
    assert len(audits) == 12  # one before the range and one after it are shown too
    for line in audits:
        forged = forged_figure(lines, line, step)
        above = sum(map(len, forged[:line]))
        whole = above + len(forged[line])
        for size in (above, above + 1, whole, 1, 1 << 20):
            found = str(in_file(tmp_path, forged, size).finding)
            expected = f"Entry {index_at(forged, line)}: it states "
            assert found.startswith(expected) and "demographic_parity_difference of sex" in found
    found = str(in_file(tmp_path, forged_figure(lines, audits[7], step), 20_000, processes=2).finding)
    assert found.startswith(f"Entry {index_at(lines, audits[7])}: it states ")


def test_the_first_of_two_forged_figures_is_named(lines: Lines, tmp_path: Path) -> None:
    """Whichever chunk is checked first."""
    forged = forged_figure(forged_figure(lines, place(lines, 8), 0.1), place(lines, 3), 0.1)
    for size in sizes(lines):
        for processes in (0, 2):
            found = str(in_file(tmp_path, forged, size, processes=processes).finding)
            assert found.startswith(f"Entry {index_at(lines, place(lines, 3))}: it states ")


def _settings(**changed: Any) -> Callable[[dict[str, Any]], object]:
    return lambda entry: entry["body"]["settings"].update(changed)


def _least(entry: dict[str, Any]) -> None:
    entry["body"]["settings"]["policy"]["min_group_size"] = 100


def _swap_groups(entry: dict[str, Any]) -> None:
    swap = {"A": "B", "B": "A"}
    for row in entry["body"]["counts"]["rows"]:
        row[0] = [swap.get(label, label) for label in row[0]]
    entry["body"]["settings"]["reference_groups"] = {"race": "A"}


def _swap_metrics(entry: dict[str, Any]) -> None:
    first, second = entry["body"]["figures"][:2]
    first["metric"], second["metric"] = second["metric"], first["metric"]


@pytest.mark.parametrize(
    "change", [_settings(reference_groups={"race": "C", "sex": "F"}), _least, _swap_groups, _swap_metrics]
)
def test_an_audit_that_nearly_looks_like_the_others(
    lines: Lines, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """Settings, groups and metrics are read once for audits that are alike: one that differs in a word is not alike."""
    line = place(lines, 6)
    forged = resigned(rewritten(lines, line, change))
    for size in sizes(lines):
        found = str(in_file(tmp_path, forged, size).finding)
        assert found.startswith(f"Entry {index_at(lines, line)}: ")


def misspelt(lines: Lines, line: int, spell: Callable[[bytes], bytes]) -> Lines:
    """An entry of the same content in other bytes, its hash and the heads made anew."""
    leaf = spell(split_leaf(lines[line][:-1], 0)[1])
    return resigned(closed([*lines[:line], leaf_line(leaf, leaf_hash(leaf)) + b"\n", *lines[line + 1 :]]))


@pytest.mark.parametrize(
    "spell",
    [
        lambda leaf: leaf.replace(b'"sample_size":', b'"sample_size": '),
        lambda leaf: leaf.replace(b'"alpha":0.05', b'"alpha":0.050'),
        lambda leaf: leaf.replace(b'"alpha":0.05', b'"alpha":5e-2'),
        lambda leaf: leaf.replace(b'"model":"hiring"', b'"model":"hirin\\u0067"'),
        lambda leaf: leaf.replace(b'"model":"hiring"', b'"model":"lending","model":"hiring"'),
        lambda leaf: leaf.replace(b'"seed":0', b'"seed":-0'),
        lambda leaf: leaf.replace(b'"alpha":0.05,"correction":"bh"', b'"correction":"bh","alpha":0.05'),
        lambda leaf: leaf.replace(b'"model":"hiring",', b"").replace(b'"counts":', b'"model":"hiring","counts":'),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_canonical(
    lines: Lines, tmp_path: Path, spell: Callable[[bytes], bytes]
) -> None:
    """Two readers could differ in what it says, so it is named, though every hash and every signature is right."""
    line = place(lines, 5)
    wrong = misspelt(lines, line, spell)
    assert wrong != lines
    said = f"Entry {index_at(lines, line)} (line {line + 1}) is not spelled as canonical JSON"
    assert str(verify_bundle(wrong, [key()]).finding).startswith(said)
    for size in sizes(lines):
        assert str(in_file(tmp_path, wrong, size).finding).startswith(said)


@pytest.mark.parametrize("notation", ["short"], indirect=True)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rest":"', b'"rest":"\\u0030'),
        (b'"rest":"', b'"rest": "'),
        (b'"words":["', b'"words":[ "'),
        (b'"names":["sex"', b'"names":["s\\u0065x"'),
        (b'"version":2},"engine"', b'"version":2,"z":[1.0]},"engine"'),
    ],
)
def test_a_part_that_is_copied_and_not_canonical(
    lines: Lines, tmp_path: Path, old: bytes, new: bytes
) -> None:
    """What the checker of chunks does not read number by number is looked at all the same."""
    line = place(lines, 5)

    wrong = misspelt(lines, line, lambda leaf: leaf.replace(old, new))
    assert wrong[line] != lines[line]
    expected = str(verify_bundle(wrong, [key()]).finding)
    assert expected.startswith(f"Entry {index_at(lines, line)} ")
    for size in sizes(lines):
        assert in_file(tmp_path, wrong, size).finding == expected


@pytest.mark.parametrize("notation", ["short"], indirect=True)
def test_random_changes_of_audits_under_true_signatures(lines: Lines, tmp_path: Path) -> None:
    """Whoever has the key can write what he likes: what is said of it is what is said line by line. 150 changes."""
    chance, wrong = random.Random(20261124), 0
    audits = [i for i, line in enumerate(lines) if b'"type":"AUDIT_COMPLETED"' in line]
    for _ in range(150):
        line = chance.choice(audits)
        place, piece = (
            chance.random(),
            chance.choice([b"", b"0", b"9", b" ", b"-", b'"', b";", b"\\", b"null"]),
        )

        def spell(leaf: bytes) -> bytes:
            at = int(place * len(leaf))  # noqa: B023  called at once
            return leaf[:at] + piece + leaf[at + 1 :]  # noqa: B023

        try:
            changed = misspelt(lines, line, spell)
        except ValueError:  # no JSON, and so no bundle that anybody could sign here
            continue
        expected = verify_bundle(changed, [key()])
        found = in_file(tmp_path, changed, chance.choice(sizes(lines)))
        assert found.finding == expected.finding
        assert found == expected or not found.ok  # how far a wrong one was counted depends on its chunks
        wrong += not found.ok
    assert wrong > 50


def _text(part: str, name: str, spell: Callable[[str], str]) -> Callable[[dict[str, Any]], object]:
    return lambda body: body[part].update({name: spell(body[part][name])})


@pytest.mark.parametrize("notation", ["short"], indirect=True)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_text("counts", "n", lambda text: text.rpartition(" ")[0]), "numbers; by its groups and names"),
        (_text("counts", "n", lambda text: text.replace(" ", "  ", 1).rpartition(" ")[0]), "no whole numbers"),
        (_text("counts", "n", lambda text: f"-5 {text.partition(' ')[2]}"), "-5 decisions"),
        (_text("counts", "n", lambda text: f"9223372036854775808 {text.partition(' ')[2]}"), "more decisions than a table can have"),
        (_text("figures", "value", lambda text: f"9007199254740992 {text.partition(' ')[2]}"), "number of its value is beyond"),
        (_text("counts", "n", lambda text: f"5-7 {text.partition(' ')[2].partition(' ')[2]}"), "numbers; by its groups"),
        (_text("figures", "value", lambda text: f"{text} 1"), "numbers; by its groups and names"),
        (_text("figures", "value", lambda text: text.replace(" ", " 0x", 1)), "no whole numbers"),
        (_text("figures", "value", lambda text: text.replace(" ", " --", 1)), "no whole numbers"),
        (_text("figures", "value", lambda text: text.replace(" ", "- ", 1)), "no whole numbers"),
        (_text("figures", "value", lambda text: text.replace(" ", "\u00a0", 1)), "numbers; by its groups and names"),
        (_text("figures", "value", lambda text: text.replace("1", "\u0661", 1)), "no whole numbers"),
        (_text("figures", "rest", lambda text: text.rpartition(" ")[0]), "columns of its figures are not 9 of"),
        (_text("figures", "rest", lambda text: text.rpartition(";")[0]), "columns of its figures are not 9 of"),
        (lambda body: body["figures"]["measured"][1].pop(), "no AUDIT_COMPLETED as this verifier knows it"),
        (lambda body: body["figures"]["measured"][1].__setitem__(0, 99), "no AUDIT_COMPLETED as this verifier knows it"),
        (lambda body: body["figures"]["measured"][3].__setitem__(0, 2), "neither 0 nor 1"),
        (lambda body: body["counts"]["groups"].__setitem__(1, body["counts"]["groups"][0]), "one stands there twice"),
        (lambda body: body["counts"]["groups"][1].pop(), "one label of each attribute"),
        (lambda body: body["counts"].update(version=1), "no AUDIT_COMPLETED as this verifier knows it"),
        (lambda body: body.update(figures=[]), "no AUDIT_COMPLETED as this verifier knows it"),
        (lambda body: body.update(sample_size=1), "for its sizes; its counts give"),
        (lambda body: body["settings"].update(protected_attributes=["age"]), "has no attribute 'age', which its settings"),
    ],
)  # fmt: skip
def test_a_short_audit_whose_parts_do_not_fit(
    lines: Lines, tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """Columns of other lengths, numbers of no name, groups that are doubled: said with the entry, and never a traceback."""
    line = place(lines, 5)
    entry = json.loads(split_leaf(lines[line][:-1], 0)[1])
    change(entry["body"])
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    wrong = misspelt(lines, line, lambda _: text)
    for size in sizes(lines):
        found = str(in_file(tmp_path, wrong, size).finding)
        assert found.startswith(f"Entry {index_at(lines, line)}") and words in found


def test_earlier_heads_and_a_fork_inside_a_chunk(lines: Lines, tmp_path: Path) -> None:
    """An earlier head is compared at its size, which may be in the middle of many entries."""
    with read_snapshot():
        rows = ledger_heads.between(1, 10_000, 500)
        notes = [row.note for row in rows if 15 < row.tree_size < 40][::4]
    assert len(notes) > 2
    again = exported(10, 80, earlier_sizes=[int(note.split("\n")[1]) for note in notes])

    def differ(entry: dict[str, Any]) -> None:
        entry["salt"] = "0" * len(entry["salt"])

    forged = resigned(rewritten(again, place(again, 2), differ))
    for size in sizes(lines):
        assert in_file(tmp_path, again, size, heads=HeadCheck(earlier=notes)).finding is None
        assert "The history was forked" in str(
            in_file(tmp_path, forged, size, heads=HeadCheck(earlier=notes)).finding
        )


def test_two_audits_after_the_range(lines: Lines, tmp_path: Path) -> None:
    """The first one after it shows that none is left out; a range that is told shorter under true signatures shows one more."""
    until = telemetry.timestamp(at(76))  # audits stand at 70, 77 and 84
    header = {**json.loads(lines[0]), "until": until}
    closing = max(i for i, line in enumerate(lines) if line.startswith(b'{"hash"'))
    shorter = rewritten(lines, closing, lambda entry: entry["body"].update(until=until, audits=9))
    shorter = resigned([json.dumps(header, separators=(",", ":")).encode() + b"\n", *shorter[1:]])
    expected = str(verify_bundle(shorter, [key()]).finding)
    assert "is an audit after the range, as entry" in expected
    for size in sizes(lines):
        assert in_file(tmp_path, shorter, size).finding == expected


def test_a_new_key_inside_a_chunk(lines: Lines, tmp_path: Path) -> None:
    """The key that signs from the middle of the file on is followed from the entry that names it."""
    old = key()
    ledger_keeper.rotate_key("admin", at(200))
    audit(205, seed=2)
    both = exported(10, 210)
    path = tmp_path / "rotated"
    path.write_bytes(b"".join(both))
    for size in sizes(both):
        assert verify_file(path, [old], processes=0, chunk_bytes=size).finding is None
        assert verify_file(path, [key()], processes=0, chunk_bytes=size).finding is not None


def test_intervals_are_computed_by_chunks_too(database: Any, tmp_path: Path) -> None:
    """An interval that the engine does not give is found in whichever chunk it stands."""
    for i in range(3):
        audit(i * 7, n_resamples=200, seed=3 + i)
    lines = exported(0, 100)

    def widen(entry: dict[str, Any]) -> None:
        next(one for one in entry["body"]["figures"] if one["lower"] is not None)["lower"] -= 1e-6

    forged = resigned(rewritten(lines, place(lines, 1), widen))
    for processes in (0, 2):
        assert in_file(tmp_path, lines, 1, intervals=True, processes=processes).finding is None
        found = str(in_file(tmp_path, forged, 1 << 20, intervals=True, processes=processes).finding)
        assert found.startswith("Entry 1: it states ") and "for lower of" in found
    assert in_file(tmp_path, forged, 1 << 20).finding is None  # a limit is not asked for without


def test_a_process_that_dies(lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, as for want of memory: its chunk is read all the same."""
    monkeypatch.setattr(bundle_file, "_check", _die)
    expected = asdict(verify_bundle(lines, [key()]))
    assert asdict(in_file(tmp_path, lines, sizes(lines)[1], processes=2)) == expected


def _die(*_: Any) -> None:
    os._exit(9)


def test_what_was_read_is_told(lines: Lines, tmp_path: Path) -> None:
    """The progress ends with the size of the file, packed or not."""
    for packed in (False, True):
        told: list[tuple[int, int]] = []
        in_file(tmp_path, lines, 10_000, packed=packed, progress=lambda at, of: told.append((at, of)))  # noqa: B023
        size = (tmp_path / "bundle").stat().st_size
        assert told[-1] == (size, size) and told == sorted(told) and len(told) > 1


def test_what_is_no_bundle(database: Any, tmp_path: Path) -> None:
    """Other files, an empty one and a cut packed one."""
    for content in (b"", b"hello\n", b"{}\n", b"\xff\xfe\n", b"no newline"):
        expected = verify_bundle([content] if content else [], [key()]).finding
        assert expected is not None and in_file(tmp_path, [content], 100).finding == expected
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(1000))[:-100])
    with pytest.raises((EOFError, gzip.BadGzipFile)):
        verify_file(tmp_path / "cut.gz", [key()])
