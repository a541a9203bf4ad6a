"""What a bundle's reader is told: nothing of an untouched one, and of a tampered one the first thing that is wrong."""

import base64
import json
import random
from collections.abc import Callable
from hashlib import sha256
from itertools import permutations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairlens_backend import bundle_exporter, key_providers, ledger_keeper
from fairlens_backend.core.audit_notation import shortened
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.core.cosignature import WitnessKey, cosign
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.core.signed_note import Checkpoint, VerifierKey, open_note, sign_note
from fairlens_backend.core.tree_fold import TreeFold
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import ledger, ledger_heads
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.verifier.bundle import Verdict, verify_bundle
from fairlens_backend.verifier.heads import HeadCheck
from fairlens_backend.verifier.lines import Attestation, end_line, head_line, leaf_line, split_leaf
from tests import independent_verifier
from tests.ledger_kit import at, audit, body_of, other

Lines = list[bytes]


def exported(since: float = 10, until: float = 100, model: str = "hiring", **more: Any) -> Lines:
    """The lines of a bundle, each with its newline."""
    pieces: list[bytes] = []
    bundle_exporter.export("acme", model, at(since), at(until), pieces.append, at(500), **more)
    return b"".join(pieces).splitlines(keepends=True)


def key() -> VerifierKey:
    """The ledger's public key, as somebody outside was handed it."""
    return ledger_keeper.ensure_key(at(0))


def checked(
    lines: Lines, *, keys: list[VerifierKey] | None = None, heads: HeadCheck | None = None
) -> Verdict:
    """What the verifier says."""
    return verify_bundle(lines, keys or [key()], heads)


def closed(lines: Lines) -> Lines:
    """The lines with an end that fits them: a forger writes that anew too."""
    above = lines[:-1]
    told = [line for line in above if not line.startswith(b'{"hash"')]
    return [*above, end_line(len(above), sha256(b"".join(told)).digest()) + b"\n"]


@pytest.fixture(params=["short", "long"])
def notation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How audits are written: as now, and as they were by earlier versions."""
    if request.param == "long":
        monkeypatch.setattr(ledger_keeper, "shortened", lambda _: None)
    return str(request.param)


@pytest.fixture
def history(database: Any, notation: str) -> None:
    """Sixteen audits of the model, every seven minutes, among the audits of another model and events of another tenant."""
    for i in range(16):
        audit(i * 7, seed=i % 4)
        other(i * 7 + 1)
        if i % 3 == 0:
            audit(i * 7 + 2, model="lending", seed=1)


@pytest.fixture
def bundle(history: None) -> Lines:
    """The audits of ten minutes to a hundred: those at 14, 21, … 98."""
    return exported()


def test_an_untouched_bundle_is_right(bundle: Lines) -> None:
    """Everything is counted: the audits of the range, one before it and one after it, and every figure of theirs."""
    verdict = checked(bundle)
    assert verdict.finding is None
    assert verdict.audits == 13
    assert verdict.entries == 13 + 2 + 1
    assert verdict.entries + verdict.hidden == verdict.tree_size == 16 + 16 + 6 + 1
    # Of each attribute 12 metrics need no score and no history, and the crossing has one.
    shown = [json.loads(split_leaf(line[:-1], 0)[1]) for line in bundle if line.startswith(b'{"hash"')]
    stated = [body_of(one)["figures"] for one in shown if one["type"] == "AUDIT_COMPLETED"]
    assert verdict.figures == sum(figure["basis"] == "counts" for figures in stated for figure in figures)


def test_others_entries_are_not_in_the_bundle(bundle: Lines) -> None:
    """Neither another tenant's nor another model's name is anywhere in it."""
    text = b"".join(bundle)
    assert b"globex" not in text and b"lending" not in text


def test_the_range_needs_no_audit(history: None) -> None:
    """A range in which nothing was audited is a bundle that shows just that: the audits before and after it follow."""
    verdict = checked(exported(71, 76))
    assert verdict.finding is None and verdict.audits == 0 and verdict.entries == 3


def test_of_an_unknown_model_there_is_no_bundle(history: None) -> None:
    """No file of nothing for a name that was mistyped, and no range that ends before it begins."""
    with pytest.raises(NotFound, match="hirring"):
        exported(model="hirring")
    with pytest.raises(InvalidInput, match="from must be before to"):
        exported(100, 10)


def test_intervals_and_p_values_too(database: Any, notation: str) -> None:
    """With the whole engine also the limits of the intervals and the p-values are computed anew."""
    audit(5, n_resamples=200, seed=3)
    lines = exported(0, 100)
    assert verify_bundle(lines, [key()], intervals=True).finding is None


def test_a_key_that_is_not_trusted(bundle: Lines) -> None:
    """Signed is not enough: it must be by the key that the reader has."""
    stranger = VerifierKey(key().name, bytes(Ed25519PrivateKey.generate().public_key().public_bytes_raw()))
    verdict = checked(bundle, keys=[stranger])
    assert verdict.finding is not None and "signed by no key that is trusted" in verdict.finding


def test_a_new_key_is_followed(history: None) -> None:
    """The old key signed the entry that names the new one, so whoever has the old one believes the new one."""
    old = key()
    ledger_keeper.rotate_key("admin", at(90))
    audit(95, seed=2)
    lines = exported()
    assert key() != old
    assert checked(lines, keys=[old]).finding is None
    assert checked(lines, keys=[key()]).finding is not None  # the heads before were signed by the old one


def test_a_reader_of_an_older_key_is_led_to_that_of_the_range(history: None) -> None:
    """The ledger's key was changed twice before the first audit that is shown; whoever has an older one asks for what leads from it."""
    keys = [key()]
    for minute in (120, 130):
        audit(minute, seed=1)
        keys.append(ledger_keeper.rotate_key("admin", at(minute + 1)))
    for minute in (140, 150):
        audit(minute, seed=2)
    plain = checked(exported(145, 200), keys=keys[:1])
    assert "signed by no key that is trusted" in str(plain.finding) and "--key" in str(plain.finding)
    for n, known in enumerate(keys):
        lines = exported(145, 200, known_key=known)
        verdict = checked(lines, keys=[known])
        assert verdict.finding is None and verdict.audits == 1
        assert independent_verifier.verify(lines, known.text) is None
        # The audit, the one before it, the export; and each change since, with a head of the old key and one of the new.
        assert (verdict.entries, verdict.heads) == (3 + (2 - n), 3 + 2 * (2 - n))
    assert len(exported(145, 200, known_key=keys[2])) == len(exported(145, 200))
    stranger = VerifierKey(key().name, bytes(32))
    with pytest.raises(InvalidInput, match="never was one of this ledger"):
        exported(145, 200, known_key=stranger)


def test_keys_may_be_handed_over_before_their_time(history: None) -> None:
    """Whoever is given all keys of the ledger, in whatever order, finds a bundle right in which two of them are changed."""
    keys = [key()]
    for minute in (120, 130):
        keys.append(ledger_keeper.rotate_key("admin", at(minute)))
        audit(minute + 5, seed=1)
    lines = exported(10, 200)
    assert checked(lines, keys=keys[:1]).finding is None
    for given in permutations(keys):
        assert checked(lines, keys=list(given)).finding is None
    # The first one given up stays so: not the bundle, a head signed by a key that is trusted must bring it back.
    forged = resigned(lines, name=keys[0].name)
    for given in permutations(keys):
        assert "given up" in str(checked(forged, keys=list(given)).finding)


def test_a_key_that_followed_a_lost_one(history: None, make_settings: Callable[..., Any]) -> None:
    """No head of the lost key leads to it: it is right for those it was handed over to, and of no key that is trusted for others."""
    first = key()
    second = ledger_keeper.rotate_key("admin", at(120))
    audit(125, seed=1)
    with unit_of_work():
        ledger_heads.replace_wrapped_key("", None)  # as `rotate-key master --lost` does
    make_settings(LEDGER_KEY=base64.urlsafe_b64encode(b"t" * 32).decode())
    third = ledger_keeper.ensure_key(at(130))
    audit(135, seed=1)
    lines = exported(10, 200)
    assert len({first, second, third}) == 3
    assert "signed by no key that is trusted" in str(checked(lines, keys=[first]).finding)
    assert "signed by no key that is trusted" in str(checked(lines, keys=[first, second]).finding)
    assert checked(lines, keys=[first, third]).finding is None
    assert checked(lines, keys=[third, second, first]).finding is None


def test_a_key_that_was_given_up_signs_no_more(history: None) -> None:
    """Whoever stole the old key cannot go on with it: after the change its heads are wrong, though its signature is true."""
    old = key()
    ledger_keeper.rotate_key("admin", at(90))
    audit(95, seed=2)
    forged = resigned(exported(), name=old.name)  # by the settings' key, which was the first
    assert "given up" in str(checked(forged, keys=[old]).finding)


def place(lines: Lines, n: int) -> int:
    """The line of the n-th entry."""
    return [i for i, line in enumerate(lines) if line.startswith(b'{"hash"')][n]


def index_at(lines: Lines, line: int) -> int:
    return int(json.loads(split_leaf(lines[line][:-1], 0)[1])["index"])


def test_a_removed_entry_is_missing(bundle: Lines) -> None:
    """An entry taken out, whatever else is right, is named by its place."""
    line = place(bundle, 5)
    index = index_at(bundle, line)
    found = checked(closed(bundle[:line] + bundle[line + 1 :])).finding
    assert found is not None and (
        f"Entry {index} is missing" in found or "entries were taken out" in found or "was altered" in found
    )


def rewritten(lines: Lines, line: int, change: Callable[[dict[str, Any]], object]) -> Lines:
    """An entry with other content, and its hash made anew beside it; what is changed is an audit's long notation."""
    entry = json.loads(split_leaf(lines[line][:-1], 0)[1])
    short = entry["version"] == 2
    if short:
        entry |= {"body": body_of(entry), "version": 1}
    change(entry)
    if short and entry["version"] == 1:
        try:
            body = shortened(entry["body"])
        except (
            LookupError,
            TypeError,
            IndexError,
        ):  # what cannot be said in the short one is said in the long one
            body = None
        entry |= {"body": body, "version": 2} if body else {}
    leaf = canonical_json(entry)
    return closed([*lines[:line], leaf_line(leaf, leaf_hash(leaf)) + b"\n", *lines[line + 1 :]])


def resigned(lines: Lines, name: str | None = None) -> Lines:
    """Every head signed anew by the true key for what now stands above it: the forger is who runs the server."""
    private = Ed25519PrivateKey.from_private_bytes(key_providers.ledger_key())
    fold, made = TreeFold(), []
    for line in lines:
        if line.startswith(b'{"hash"'):
            fold.add_leaf(split_leaf(line[:-1], 0)[0])
        elif line.startswith(b'{"hidden"'):
            hidden = json.loads(line)["hidden"]
            fold.add_tiles(hidden["end"], [bytes.fromhex(one) for one in hidden["hashes"]])
        if line.startswith(b'{"head"'):
            _, _, _, time, *_ = json.loads(line)["head"].split("\n")
            text = Checkpoint(name or key().name, fold.size, fold.root(), time.removeprefix("time ")).text
            made.append(head_line(sign_note(text, name or key().name, private), ()) + b"\n")
        else:
            made.append(line)
    return closed(made)


def audit_changed(
    lines: Lines, change: Callable[[dict[str, Any]], object], *, intervals: bool = False
) -> str:
    """What is found when whoever runs the server changes an audit and signs every head anew."""
    forged = resigned(rewritten(lines, place(lines, 4), change))
    return str(verify_bundle(forged, [key()], intervals=intervals).finding)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 3}, "is of version 3; this verifier reads version 1, and 2 of audits"),
        (
            {"version": 2, "type": "USER_CHANGED"},
            "is of version 2; this verifier reads version 1, and 2 of audits",
        ),
        ({"version": 2, "body": {"model": "hiring"}}, "no AUDIT_COMPLETED as this verifier knows it"),
        ({"time": "2026-03-02T00:35:00.000000z"}, "is not spelled as times are"),
        ({"time": "2026-03-02T00:35Z"}, "is not spelled as times are"),
        ({"time": "2026-03-02T00:75:00.000000Z"}, "is not spelled as times are"),
        ({"more": 1}, "no entry of a ledger"),
        ({"body": [1]}, "no AUDIT_COMPLETED as this verifier knows it"),
        ({"body": {"model": "hiring"}}, "no AUDIT_COMPLETED as this verifier knows it"),
        ({"type": "KEY_ROTATED", "body": [1]}, "no entry of a ledger"),
    ],
)
def test_an_entry_of_another_form(bundle: Lines, change: dict[str, Any], words: str) -> None:
    """What section 1 of the format does not allow is said, under true signatures too; nothing ends in a traceback."""
    assert words in audit_changed(bundle, lambda entry: entry.update(change))


@pytest.mark.parametrize("change", [{"body": [1]}, {"body": {}}, {"type": "KEY_ROTATED"}, {"version": 2}])
def test_a_closing_entry_of_another_form(bundle: Lines, change: dict[str, Any]) -> None:
    """The entry of the export is read as carefully as those of audits."""
    line = place(bundle, -1)
    assert checked(resigned(rewritten(bundle, line, lambda entry: entry.update(change)))).finding is not None


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [(1, 2, "decision 2"), (2, 3, "truth 3"), (3, -1, "score bin -1"), (3, 40, "score bin 40"), (4, -5, "-5 decisions")],
)  # fmt: skip
@pytest.mark.parametrize("intervals", [False, True])
def test_a_row_outside_the_count_table(
    bundle: Lines, column: int, value: int, words: str, intervals: bool
) -> None:
    """A cell that no table has would be counted for the next group, or for the audit beside it: it is named with its audit."""

    def outside(entry: dict[str, Any]) -> None:
        entry["body"]["counts"]["rows"][0][column] = value

    found = audit_changed(bundle, outside, intervals=intervals)
    assert f"Entry {index_at(bundle, place(bundle, 4))}" in found and words in found


def test_settings_and_tables_that_nothing_can_be_computed_from(bundle: Lines) -> None:
    """Without the least size of a group, without an attribute that is assessed, or of another version: said, not passed over."""

    def body(**parts: Any) -> Callable[[dict[str, Any]], object]:
        def change(entry: dict[str, Any]) -> None:
            for name, change in parts.items():
                entry["body"][name] = change(entry["body"][name])

        return change

    no_least = body(settings=lambda one: {**one, "policy": {}})
    nobody = body(settings=lambda one: {**one, "protected_attributes": []}, figures=lambda _: [])
    assert "lack min_group_size" in audit_changed(bundle, no_least)
    assert "lack min_group_size or any protected attribute" in audit_changed(bundle, nobody)
    of_seven = body(counts=lambda one: {**one, "version": 7})
    assert "count table is of version 7" in audit_changed(bundle, of_seven)
    elsewhere = body(figures=lambda all_of: [{**all_of[0], "attribute": "age"}, *all_of[1:]])
    assert "its counts give no" in audit_changed(bundle, elsewhere, intervals=True)


def test_an_audit_without_counts_is_named(bundle: Lines) -> None:
    """Nothing can be computed anew of it, so the reader is told, with how many figures it states all the same."""
    stated = 0

    def lose(entry: dict[str, Any]) -> None:
        nonlocal stated
        entry["body"]["counts"] = None
        stated = sum(one["value"] is not None for one in entry["body"]["figures"])

    verdict = checked(resigned(rewritten(bundle, place(bundle, 4), lose)))
    assert stated > 0
    assert f"1 audit(s) that were stored without counts, stating {stated} figures" in verdict.not_checked


def test_an_altered_figure_with_its_hash_made_anew(bundle: Lines) -> None:
    """The head was signed for other entries; and where the signer forges, the counts still give the true figure."""

    def beautify(entry: dict[str, Any]) -> None:
        figures = entry["body"]["figures"]
        next(one for one in figures if one["metric"] == "disparate_impact_ratio")["value"] = 0.99

    line = place(bundle, 4)
    changed = rewritten(bundle, line, beautify)
    assert "was signed for other entries" in str(checked(changed).finding)
    found = str(checked(resigned(changed)).finding)
    assert (
        f"Entry {index_at(bundle, line)}: it states 0.99 for disparate_impact_ratio of sex; its counts give"
        in found
    )


def test_altered_counts_by_the_signer(bundle: Lines) -> None:
    """Counts that no longer add up to the stated sizes, or no longer give the stated figures, are said."""

    def move(entry: dict[str, Any]) -> None:
        rows = entry["body"]["counts"]["rows"]
        rows[0][4] += 1
        rows[1][4] -= 1

    found = str(checked(resigned(rewritten(bundle, place(bundle, 4), move))).finding)
    assert "its counts give" in found or "its sizes" in found


def test_an_entry_dated_back_by_the_signer(bundle: Lines) -> None:
    """An entry that is older than what stands above it is named, though its hash and every head are right."""
    line = place(bundle, 6)

    def date_back(entry: dict[str, Any]) -> None:
        entry["time"] = "2026-03-02T00:15:00.000000Z"

    found = str(checked(resigned(rewritten(bundle, line, date_back))).finding)
    assert f"Entry {index_at(bundle, line)}" in found and "is dated back" in found


def test_an_audit_left_out_by_the_signer(bundle: Lines, history: None) -> None:
    """An audit hidden behind its hash, as if it were somebody else's, breaks the chain of the model's audits."""
    line = place(bundle, 5)
    index = index_at(bundle, line)
    digest = split_leaf(bundle[line][:-1], 0)[0].hex()
    hidden = json.dumps({"hidden": {"end": index + 1, "hashes": [digest]}}, separators=(",", ":")).encode()
    found = str(checked(closed([*bundle[:line], hidden + b"\n", *bundle[line + 1 :]])).finding)
    assert "An audit is left out" in found


@pytest.mark.parametrize("end", ["first", "last"])
def test_an_audit_left_out_at_an_end(bundle: Lines, end: str) -> None:
    """Those at the ends cannot be hidden either: the audits before and after the range are shown."""
    inner = place(bundle, 1 if end == "first" else -3)
    outer = place(bundle, 0 if end == "first" else -2)
    lines = list(bundle)
    for line in {inner, outer}:
        digest, leaf = split_leaf(lines[line][:-1], 0)
        index = json.loads(leaf)["index"]
        lines[line] = (
            json.dumps(
                {"hidden": {"end": index + 1, "hashes": [digest.hex()]}}, separators=(",", ":")
            ).encode()
            + b"\n"
        )
    found = str(checked(closed(lines)).finding)
    assert "left out" in found or "says" in found


def test_a_header_that_says_something_else(bundle: Lines) -> None:
    """The range and the model stand in the ledger's own entry of the export, under a signed head."""
    for name, value in (("until", "2026-03-02T02:00:00.000000Z"), ("since", "2026-03-02T00:00:00.000000Z")):
        header = {**json.loads(bundle[0]), name: value}
        changed = closed([json.dumps(header, separators=(",", ":")).encode() + b"\n", *bundle[1:]])
        assert checked(changed).finding is not None


def test_a_forked_history(bundle: Lines, history: None) -> None:
    """Against a head that the reader kept from before, another history of the same ledger does not pass."""
    with read_snapshot():
        kept = ledger_heads.newest()
        assert kept is not None
        note = kept.note
    again = exported()
    assert checked(again, heads=HeadCheck(earlier=[note])).finding is None

    def differ(entry: dict[str, Any]) -> None:
        entry["salt"] = "0" * len(entry["salt"])

    forged = resigned(rewritten(again, place(again, 3), differ))
    assert checked(forged).finding is None  # of itself it is right
    assert "The history was forked" in str(checked(forged, heads=HeadCheck(earlier=[note])).finding)


def test_earlier_heads_that_contradict_each_other(bundle: Lines) -> None:
    """Two heads of one size and different entries, both truly signed, are the proof of a fork, whichever the bundle agrees with."""
    private = Ed25519PrivateKey.from_private_bytes(key_providers.ledger_key())
    notes = [
        sign_note(
            Checkpoint(key().name, 3, bytes([n]) * 32, "2026-03-02T02:00:00.000000Z").text,
            key().name,
            private,
        )
        for n in (1, 2)
    ]
    assert "two of the earlier heads" in str(checked(bundle, heads=HeadCheck(earlier=notes)).finding)


def test_a_witness_that_changed_its_key(bundle: Lines) -> None:
    """Cosignatures of both keys are right for whoever has both; of the one that the reader lacks it is said that it is missing."""
    private = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
    public = [WitnessKey("witness", one.public_key().public_bytes_raw()) for one in private]
    lines, heads = list(bundle), [i for i, one in enumerate(bundle) if one.startswith(b'{"head"')]
    for i, one in zip((heads[0], heads[-1]), private, strict=True):
        note = json.loads(lines[i])["head"]
        line = cosign(open_note(note)[0], "witness", one, at(500)).line
        lines[i] = head_line(note, [Attestation("cosignature", "witness", line)]) + b"\n"
    lines = closed(lines)
    both = checked(lines, heads=HeadCheck(witnesses=public))
    assert (both.finding, both.cosignatures, both.not_checked[:-1]) == (None, 2, [])
    for mine in public:
        one_of_them = checked(lines, heads=HeadCheck(witnesses=[mine]))
        assert (one_of_them.finding, one_of_them.cosignatures) == (None, 1)
        assert "1 cosignatures of witness: give its key" in one_of_them.not_checked


@pytest.mark.parametrize(("minute", "said"), [(200, "cut: "), (600, "cut, or the bundle is older than")])
def test_a_history_that_was_cut(bundle: Lines, history: None, minute: float, said: str) -> None:
    """An earlier head of more entries than there are now shows that some are gone; one signed after the bundle may only be newer."""
    audit(minute)  # the bundle is of minute 500, and no time goes back
    with read_snapshot():
        newest = ledger_heads.newest()
        assert newest is not None
        note = newest.note
    assert f"The history was {said}" in str(checked(bundle, heads=HeadCheck(earlier=[note])).finding)


def test_an_earlier_head_of_a_later_key(history: None) -> None:
    """Who keeps the first key, and the head of each bundle, can compare them though the ledger's key was changed in between."""
    first = key()
    ledger_keeper.rotate_key("admin", at(90))
    with read_snapshot():
        kept, row = ledger_heads.newest(), ledger_heads.key_in_use()
        assert kept is not None and row is not None
        later = ledger_keeper._private_key(row)
    lines = exported(earlier_sizes=[kept.tree_size])

    def compared(note: str) -> Verdict:
        return checked(lines, keys=[first], heads=HeadCheck(earlier=[note]))

    def signed(size: int, private: Ed25519PrivateKey) -> str:
        return sign_note(Checkpoint(first.name, size, bytes(32), kept.at).text, first.name, private)

    same = compared(kept.note)
    assert same.finding is None and not any("earlier head" in one for one in same.not_checked)
    assert "The history was forked" in str(compared(signed(kept.tree_size, later)).finding)
    assert "The history was cut" in str(compared(signed(999, later)).finding)
    for size in (kept.tree_size, 999):
        with pytest.raises(InvalidInput, match="not signed by the key"):
            compared(signed(size, Ed25519PrivateKey.from_private_bytes(b"x" * 32)))


def test_an_earlier_head_of_somebody_else_is_refused(bundle: Lines) -> None:
    """A head that the given key did not sign is no measure."""
    note = sign_note(
        Checkpoint("else", 1, bytes(32), "2026-03-02T02:00:00.000000Z").text,
        "else",
        Ed25519PrivateKey.generate(),
    )
    with pytest.raises(InvalidInput, match="not signed by the key"):
        checked(bundle, heads=HeadCheck(earlier=[note]))


def tampered(lines: Lines, chance: random.Random) -> tuple[str, Lines, tuple[str, ...]]:
    """One random tampering: what it is, the lines after it, and the words of which one must be in the finding."""
    kind = chance.choice(["flip", "remove", "swap", "double", "truncate", "cut", "date"])
    # A head says nothing that the next one does not: without one, or with one twice, the bundle says the same.
    heads = {i for i, one in enumerate(lines) if one.startswith(b'{"head"')}
    harmless = {"remove": heads - {len(lines) - 2}, "double": heads}.get(kind, set())
    line = chance.choice(sorted(set(range(1, len(lines) - 1)) - harmless))
    altered = ("was altered", "no entry of a ledger", "was signed for other entries", "wrong signature", "signed by no key",
               "is dated back", "hash", "no evidence bundle", "version", "missing", "out of order")  # fmt: skip
    gone = ("is missing", "taken out", "was altered", "out of order", "is there twice", "was signed for other", "after the end",
            "covers", "covered by no", "no signature covers", "entry of its own export", "left out", "dated back")  # fmt: skip
    if kind == "flip":
        i = chance.randrange(len(lines))
        place = chance.randrange(len(lines[i]) - 1)
        content = bytes([lines[i][place] ^ (1 << chance.randrange(7))])
        if content == b"\n":
            content = b"?"
        return kind, [*lines[:i], lines[i][:place] + content + lines[i][place + 1 :], *lines[i + 1 :]], (*altered, *gone, "says", "of the ledger", "cut off")  # fmt: skip
    if kind == "remove":
        return kind, closed(lines[:line] + lines[line + 1 :]), gone
    if kind == "swap":
        other_line = chance.choice([i for i in range(1, len(lines) - 1) if i != line])
        swapped = list(lines)
        swapped[line], swapped[other_line] = swapped[other_line], swapped[line]
        return kind, closed(swapped), gone
    if kind == "double":
        return kind, closed([*lines[: line + 1], *lines[line:]]), gone
    if kind == "truncate":
        return kind, lines[:line], ("cut off",)
    if kind == "cut":
        return kind, [*lines[:line], lines[line][: chance.randrange(1, len(lines[line]))]], ("cut off",)
    entries = [i for i, one in enumerate(lines) if one.startswith(b'{"hash"')][1:]

    def date_back(entry: dict[str, Any]) -> None:
        entry["time"] = "2026-03-02T00:00:00.000000Z"

    return kind, resigned(rewritten(lines, chance.choice(entries), date_back)), ("is dated back",)


@pytest.mark.no_cover
def test_a_thousand_random_tamperings_are_all_found(history: None) -> None:
    """A flipped bit, a line removed, moved, doubled, a file cut off, an entry dated back under true signatures: each is found,
    and the finding says what it is."""
    chance = random.Random(20261122)
    bundle, trusted = exported(10, 40), [key()]
    kinds: dict[str, int] = {}
    for _ in range(1000):
        kind, lines, words = tampered(bundle, chance)
        if lines == bundle:
            continue
        found = verify_bundle(lines, trusted).finding
        assert found is not None, (kind, lines)
        assert any(word in found for word in words), (kind, found)
        kinds[kind] = kinds.get(kind, 0) + 1
    assert sum(kinds.values()) >= 950 and len(kinds) == 7, kinds


def test_what_is_no_bundle(database: Any) -> None:
    """Other files are said to be none."""
    for lines in ([], [b"hello\n"], [b"{}\n"], [b'{"head":"x"}\n'], [b"\xff\xfe\n"], [b"no newline"]):
        assert checked(lines).finding is not None


def test_what_is_no_bundle_is_said(bundle: Lines) -> None:
    """Another file, an empty one, and one whose line ends a mail program changed: each in words that help."""
    assert checked([b"a key\n"]).finding == "The file is no evidence bundle: it does not begin as one."
    assert checked([]).finding == "The file is empty."
    assert "line ends were changed" in str(checked([line[:-1] + b"\r\n" for line in bundle]).finding)


def test_an_export_of_what_is_not_over_ends_now(history: None) -> None:
    """Audits may still come in the rest of the range, so the bundle does not say that it has all of it."""
    pieces: list[bytes] = []
    done = bundle_exporter.export("acme", "hiring", at(0), at(10_000), pieces.append, at(500))
    header = checked(b"".join(pieces).splitlines(keepends=True)).header
    assert header is not None
    assert header.until == done["until"] == "2026-03-02T08:20:00.000000Z"
    with pytest.raises(InvalidInput):
        bundle_exporter.export("acme", "hiring", at(600), at(700), pieces.append, at(500))


def test_who_exports_must_be_a_user(history: None) -> None:
    """A name that nobody has is refused, and no export is recorded; it would have been kept as nobody's."""
    with read_snapshot():
        before = ledger.size()
    with pytest.raises(NotFound, match="no user 'ghost'"):
        exported(by="ghost")
    with read_snapshot():
        assert ledger.size() == before
