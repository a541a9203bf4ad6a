"""Two verifiers, one of them written from `docs/evidence-format.md` alone, say the same of true and of tampered bundles."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairlens_backend import ledger_keeper
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.signed_note import VerifierKey
from fairlens_backend.core.tree_fold import tiles
from fairlens_backend.storage import ledger as storage_ledger
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.verifier.bundle import verify_bundle
from tests import independent_verifier, ledger_kit
from tests.ledger_kit import at, audit, other
from tests.verifier.test_bundle import Lines, closed, exported, key, notation, resigned, rewritten, tampered

__all__ = ["notation"]

PAGE = Path(__file__).parents[1] / "docs" / "evidence-format.md"


@pytest.fixture
def ledger(database: Any, notation: str) -> None:
    """Twelve audits of the model, every seven minutes, among events of others."""
    for i in range(12):
        audit(i * 7, seed=i)
        other(i * 7 + 1)
        if i % 3 == 0:
            audit(i * 7 + 2, model="lending", seed=1)


def findings(lines: Lines, trusted: VerifierKey) -> tuple[str | None, str | None]:
    """What each says: first the server's, then the independent one."""
    return verify_bundle(lines, [trusted]).finding, independent_verifier.verify(lines, trusted.text)


def assert_both_find(lines: Lines, trusted: VerifierKey, what: object) -> None:
    """Neither takes the bundle for right."""
    theirs, ours = findings(lines, trusted)
    assert theirs is not None and ours is not None, (what, theirs, ours)


def ledger_size() -> int:
    """How many entries there are now."""
    with read_snapshot():
        return storage_ledger.size()


def entries(lines: Lines, kind: str) -> list[int]:
    """The lines of the entries of a type."""
    return [
        i
        for i, line in enumerate(lines)
        if line.startswith(b'{"hash"') and f'"type":"{kind}"'.encode() in line
    ]


@pytest.mark.parametrize(
    ("since", "until"), [(10, 60), (-5, 400), (0, 7), (15, 20), (70, 300), (-9, -5), (200, 300)]
)
def test_true_bundles_are_right_for_both(ledger: None, since: float, until: float) -> None:
    """Ranges of all and of one, of none between two audits, before the first and after the last."""
    assert findings(exported(since, until), key()) == (None, None)


def test_another_model_and_a_second_export(ledger: None) -> None:
    """Each bundle shows one model; an earlier export of the same range does no harm."""
    for _ in range(2):
        assert findings(exported(0, 60, "lending"), key()) == (None, None)


def test_both_follow_changes_of_the_key(ledger: None) -> None:
    """From the first key to the third; who has a later one alone does not trust the heads before, and a stranger's none."""
    first = key()
    ledger_keeper.rotate_key("admin", at(90))
    audit(95, seed=2)
    second = key()
    ledger_keeper.rotate_key("admin", at(96))
    audit(97, seed=3)
    lines = exported(10, 96)
    assert len({first.text, second.text, key().text}) == 3
    assert findings(lines, first) == (None, None)
    stranger = VerifierKey(first.name, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    for trusted in (second, key(), stranger, VerifierKey("else", first.public_key)):
        assert_both_find(lines, trusted, trusted)
    assert_both_find(resigned(lines), first, "signed by a key that was given up")
    for line in entries(lines, "KEY_ROTATED"):
        stolen = rewritten(lines, line, lambda entry: entry["body"].update(verifier_key=stranger.text))
        assert_both_find(stolen, first, "another new key")


@pytest.mark.no_cover
def test_random_tamperings_are_found_by_both(ledger: None) -> None:
    """Flipped bits, lines removed, moved, doubled, cut off, and entries dated back under true signatures."""
    chance, trusted, lines = random.Random(1882), key(), exported(10, 40)
    found = 0
    for _ in range(300):
        kind, changed, _ = tampered(lines, chance)
        if changed != lines:
            assert_both_find(changed, trusted, (kind, changed))
            found += 1
    assert found > 280


@pytest.mark.no_cover
def test_flipped_bits_under_a_true_end_are_judged_alike(ledger: None) -> None:
    """Who alters a byte can write the end anew: both say the same of every byte that matters."""
    chance, trusted, lines = random.Random(6962), key(), exported(10, 40)
    for _ in range(200):
        i = chance.randrange(len(lines) - 1)
        place = chance.randrange(len(lines[i]) - 1)
        byte = bytes([lines[i][place] ^ (1 << chance.randrange(7))])
        changed = closed([*lines[:i], lines[i][:place] + byte + lines[i][place + 1 :], *lines[i + 1 :]])
        theirs, ours = findings(changed, trusted)
        assert (theirs is None) == (ours is None), (lines[i], place, byte, theirs, ours)


def _body(**new: Any) -> Callable[[dict[str, Any]], object]:
    return lambda entry: entry["body"].update(new)


def _figure(metric: str, value: float | None) -> Callable[[dict[str, Any]], object]:
    def change(entry: dict[str, Any]) -> None:
        next(one for one in entry["body"]["figures"] if one["metric"] == metric)["value"] = value

    return change


def _hide_basis(entry: dict[str, Any]) -> None:
    for one in entry["body"]["figures"]:
        if one["metric"] == "disparate_impact_ratio":
            one.update(basis="rows", value=0.99)


def _no_ratio(entry: dict[str, Any]) -> None:
    figures = entry["body"]["figures"]
    figures[:] = [one for one in figures if one["metric"] != "disparate_impact_ratio"]


def _one_more(entry: dict[str, Any]) -> None:
    entry["body"]["counts"]["rows"][0][4] += 1


LIES: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    *[("AUDIT_COMPLETED", _figure("disparate_impact_ratio", value)) for value in (0.99, 7.0, None)],
    *[("AUDIT_COMPLETED", _figure("demographic_parity_difference", value)) for value in (0.0, 0.5, None)],
    ("AUDIT_COMPLETED", _body(sample_size=5000)),
    ("AUDIT_COMPLETED", _body(labelled_size=1)),
    ("AUDIT_COMPLETED", _body(model_audit_number=77)),
    ("AUDIT_COMPLETED", _body(previous_audit_index=1)),
    ("AUDIT_COMPLETED", _body(model="lending")),
    ("AUDIT_COMPLETED", _hide_basis),
    ("AUDIT_COMPLETED", _no_ratio),
    ("AUDIT_COMPLETED", _one_more),
    ("AUDIT_COMPLETED", lambda entry: entry.update(time="2026-03-02T00:00:00.000000Z")),
    ("AUDIT_COMPLETED", lambda entry: entry.update(time="2026-03-09T00:00:00.000000Z")),
    ("AUDIT_COMPLETED", lambda entry: entry.update(index=entry["index"] + 1)),
    ("AUDIT_COMPLETED", lambda entry: entry.update(tenant="globex")),
    ("AUDIT_COMPLETED", lambda entry: entry.update(type="AUDIT_DREAMT")),
    ("EVIDENCE_EXPORTED", _body(audits=3)),
    ("EVIDENCE_EXPORTED", _body(model="lending")),
    ("EVIDENCE_EXPORTED", _body(since="2026-03-02T00:00:00.000000Z")),
    ("EVIDENCE_EXPORTED", _body(until="2026-03-02T00:00:00.000000Z")),
    ("EVIDENCE_EXPORTED", lambda entry: entry.update(tenant="globex")),
]


def test_lies_of_the_signer_are_found_by_both(ledger: None) -> None:
    """Whoever runs the server can sign anything: hashes and heads are made anew, and what is said contradicts itself."""
    lines, trusted = exported(10, 40), key()
    for number, (kind, change) in enumerate(LIES):
        line = entries(lines, kind)[len(entries(lines, kind)) // 2]
        assert_both_find(resigned(rewritten(lines, line, change)), trusted, (kind, number))


def test_audits_after_the_export_cannot_be_hidden(ledger: None) -> None:
    """An old export of a range that had not ended says nothing of audits since: below it stands nothing but a head."""
    lines, first = exported(10, 1000), ledger_size()
    audit(510, seed=2)
    later = exported(10, 1000)
    with read_snapshot():
        places = tiles(first, storage_ledger.size())
        nodes = storage_ledger.hashes_of(places)
    hidden = {"hidden": {"end": ledger_size(), "hashes": [nodes[place].hex() for place in places]}}
    stale = [*lines[:-1], json.dumps(hidden).encode() + b"\n", *later[-2:]]
    assert findings(later, key()) == (None, None)
    assert_both_find(closed(stale), key(), "a stale export")


def odd_audit(seed: int, n_resamples: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Audits with small, unknown and empty-handed groups, with a reference group that is declared or is not."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(40, 400))
    shares = chance.dirichlet([0.6] * 5)
    table = CountTable.from_arrays(
        {
            "age": chance.choice(["a", "b", "c", "d", "unknown"], n, p=shares),
            "sex": chance.choice(["F", "M"], n),
        },
        decision=(chance.random(n) < chance.choice([0.0, 0.05, 0.5])).astype(int),
        truth=chance.integers(-1, 2, n),
    )
    declared = {"sex": "M"} if seed % 2 else {}
    counts = table.to_dict() | ({"reference_groups": declared} if declared else {})
    return counts, assess(table, reference_groups=declared, n_resamples=n_resamples)


def test_figures_of_odd_tables_are_right_for_both(
    database: Any, notation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page says of groups and of the reference group gives the engine's figures, and their absence."""
    monkeypatch.setattr(ledger_kit, "assessed", odd_audit)
    for seed in range(40):
        audit(seed, seed=seed)
    lines = exported(0, 100)
    values = [
        one["value"]
        for line in entries(lines, "AUDIT_COMPLETED")
        for one in ledger_kit.body_of(json.loads(lines[line])["leaf"])["figures"]
        if one["metric"] == "disparate_impact_ratio"
    ]
    assert len(values) == 80 and 10 < values.count(None) < 70
    assert findings(lines, key()) == (None, None)


def test_audits_left_out_by_the_signer_are_missed_by_both(ledger: None) -> None:
    """Any one audit hidden behind its hash is missed: in the middle, at the first and at the last; so is the export."""
    lines = exported(10, 400)
    for line in [*entries(lines, "AUDIT_COMPLETED"), *entries(lines, "EVIDENCE_EXPORTED")]:
        stated = json.loads(lines[line])
        hidden = {"hidden": {"end": stated["leaf"]["index"] + 1, "hashes": [stated["hash"]]}}
        changed = [*lines[:line], json.dumps(hidden).encode() + b"\n", *lines[line + 1 :]]
        assert_both_find(closed(changed), key(), line)


def test_the_example_of_the_page(ledger: None) -> None:
    """The entry, the head and the key that stand on the page fit together."""
    paragraphs = PAGE.read_text(encoding="utf-8").split("\n\n")
    start = next(
        i for i, text in enumerate(paragraphs) if text.startswith("    fairlens.example.org/ledger\n")
    )
    shown = [
        "".join(line.removeprefix("    ") + "\n" for line in paragraphs[i].split("\n"))
        for i in (start, start + 1)
    ]
    entry = next(text.strip() for text in paragraphs if text.startswith('    {"body"'))
    named = PAGE.read_text(encoding="utf-8").split("for example\n`")[1].split("`")[0]
    assert independent_verifier.signs(named, "\n".join(shown))
    root = independent_verifier.base64.b64decode(shown[0].split("\n")[2])
    assert root == independent_verifier.sha(b"\0", entry.encode())
