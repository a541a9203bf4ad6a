"""Heads: signed with every audit and in time, by the key in use, and by nobody else."""

import base64
import itertools
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from fairlens_backend import (
    account_manager,
    audit_runner,
    config,
    key_providers,
    ledger_keeper,
    ledger_reader,
)
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.merkle import EMPTY_ROOT
from fairlens_backend.core.signed_note import VerifierKey, open_note, parse_checkpoint, parse_key
from fairlens_backend.errors import ConfigurationError
from fairlens_backend.storage import ledger, ledger_heads, session
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from tests.core.test_merkle import mth
from tests.core.test_signed_note import PUBLIC
from tests.ledger_kit import body_of

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def heads() -> list[Any]:
    with read_snapshot():
        return list(ledger_heads.between(0, 10**9, 10**6))


def leaves(end: int = 10**6) -> list[bytes]:
    with read_snapshot():
        return [one.leaf for one in ledger.entries(0, end)]


def signer(note: str, keys: list[VerifierKey]) -> list[int]:
    """Which of the keys signed the note."""
    text, (signature,) = open_note(note)
    return [place for place, key in enumerate(keys) if key.verifies(signature, text)]


def new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def test_the_settings_key_signs_under_the_origin(make_settings: Any, tmp_path: Any) -> None:
    """LEDGER_KEY is RFC 8032's first test key here; its public half is the published one. The empty tree has a head too."""
    make_settings(LEDGER_ORIGIN="fairlens.example.org/ledger")
    with tables():
        key = ledger_keeper.ensure_key(NOW)
        assert (key.name, key.public_key) == ("fairlens.example.org/ledger", PUBLIC)
        assert ledger_keeper.sign_if_due(NOW)
        (head,) = heads()
        said = parse_checkpoint(open_note(head.note)[0])
        assert (said.origin, said.size, said.root) == ("fairlens.example.org/ledger", 0, EMPTY_ROOT)
        assert said.time == "2026-01-02T03:04:05.678901Z" and signer(head.note, [key]) == [0]


def tables() -> Any:
    from contextlib import contextmanager

    from fairlens_backend.storage import tables as every

    @contextmanager
    def there() -> Any:
        every.Base.metadata.create_all(session.engine())
        try:
            yield
        finally:
            session.dispose_engines()

    return there()


def test_without_an_origin_the_first_key_names_the_ledger(database: None) -> None:
    """The same name after a rotation: a ledger keeps it."""
    first = ledger_keeper.ensure_key(NOW)
    assert first.name.startswith("fairlens-") and first.name.endswith("/ledger")
    assert ledger_keeper.rotate_key("admin", NOW).name == first.name


@pytest.mark.parametrize("origin", ["a b", "a+b"])
def test_an_origin_that_no_note_can_carry_stops_the_start(make_settings: Any, origin: str) -> None:
    """The sentence names the setting."""
    make_settings(LEDGER_ORIGIN=origin)
    with tables(), pytest.raises(ConfigurationError, match="LEDGER_ORIGIN"):
        ledger_keeper.ensure_key(NOW)


def test_another_origin_stops_the_start(make_settings: Any) -> None:
    """Once heads are signed under a name, it stays."""
    make_settings(LEDGER_ORIGIN="one.example/ledger")
    with tables():
        ledger_keeper.ensure_key(NOW)
        make_settings(LEDGER_ORIGIN="two.example/ledger")
        with pytest.raises(ConfigurationError, match=r"'two.example/ledger'.*signed as 'one.example/ledger'"):
            ledger_keeper.ensure_key(NOW)
        make_settings(LEDGER_ORIGIN="")
        assert ledger_keeper.ensure_key(NOW).name == "one.example/ledger"


def test_heads_are_signed_in_time(make_settings: Any) -> None:
    """None is older than LEDGER_HEAD_S before the next is there, a tick of the clock included; and none comes sooner."""
    make_settings(LEDGER_HEAD_S="900", CLOCK_INTERVAL_S="5")
    with tables():
        signed = [
            second
            for second in range(0, 3600, 5)
            if ledger_keeper.sign_if_due(NOW + timedelta(seconds=second))
        ]
        gaps = [b - a for a, b in itertools.pairwise(signed)]
        assert signed[0] == 0 and all(880 <= gap <= 900 for gap in gaps) and len(gaps) >= 3


def test_an_audits_entry_is_under_a_head_of_the_same_unit_of_work(database: None) -> None:
    """Entry and head are there with the audit, or not at all; the entry holds table, settings and every figure."""
    table = CountTable.from_arrays({"sex": ["F"] * 100 + ["M"] * 100}, decision=[0, 1] * 50 + [1] * 100)
    subject = audit_runner.Subject("acme", "loans", "v1", {"reference_groups": {"sex": "M"}, "alpha": 0.01})
    answer = audit_runner.run(subject, table, audit_runner.Context(), NOW)
    assert answer["evidence"]["ledger"] == {"index": 0, "tree_size": 1}
    (page,) = ledger_reader.entries("acme", 0, None)["items"]

    body = body_of(json.loads(page["leaf"]))
    assert CountTable.from_dict(body["counts"]) == table
    assert (body["audit_id"], body["record_id"], body["record_hash"]) == (
        answer["audit_id"], answer["record_id"], answer["evidence"]["hash"],
    )  # fmt: skip
    assert (
        body["settings"]["reference_groups"] == {"sex": "M"} and body["settings"]["policy"]["alpha"] == 0.01
    )
    ratio = next(one for one in body["figures"] if one["metric"] == "disparate_impact_ratio")
    # 50 of 100 against 100 of 100.
    assert (ratio["attribute"], ratio["value"], ratio["basis"]) == ("sex", 0.5, "counts")
    n_figures = sum(len(metrics) for metrics in answer["attributes"].values())
    assert len(body["figures"]) == n_figures
    (head,) = heads()
    assert head.root == mth(leaves()) and signer(head.note, [ledger_keeper.ensure_key(NOW)]) == [0]

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        audit_runner.run(subject, table, audit_runner.Context(also=fail), NOW)
    assert len(leaves()) == len(heads()) == 1


def test_times_of_heads_and_entries_are_in_order(database: None) -> None:
    """A head is not before an entry it covers, an entry not before a head that came before it, whatever the clock does."""
    for step, minutes in enumerate([0, 5, -60, 7, -1, 8]):
        now = NOW + minutes * MINUTE
        with unit_of_work():
            ledger.append("KEY_ROTATED", "default", {"step": step}, now)
        ledger_keeper.sign_head(now - 30 * MINUTE)
        ledger_keeper.sign_head(now + 2 * MINUTE)
    with read_snapshot():
        entries = ledger.entries(0, 100)
    for head in heads():
        assert all(entry.at <= head.at for entry in entries[: head.tree_size])
        assert all(entry.at >= head.at for entry in entries[head.tree_size :])
    assert [head.at for head in heads()] == sorted(head.at for head in heads())


def test_a_rotation_leads_from_the_old_key_to_the_new(database: None) -> None:
    """The old key's last head covers the entry that names the new one; then only the new one signs, and the old seed is gone."""
    keys = [ledger_keeper.ensure_key(NOW)]
    account_manager.ensure_admin(NOW)
    ledger_keeper.sign_head(NOW)
    for step in (1, 2):
        keys.append(ledger_keeper.rotate_key("admin", NOW + step * MINUTE))
        ledger_keeper.sign_head(NOW + step * MINUTE)
    signed = [(head.tree_size, *signer(head.note, keys)) for head in heads()]
    assert signed == [(1, 0), (2, 0), (2, 1), (2, 1), (3, 1), (3, 2), (3, 2)]

    named = [json.loads(leaf)["body"] for leaf in leaves()[1:]]
    assert [parse_key(body["verifier_key"]) for body in named] == keys[1:]
    assert [body["old_public_key"] for body in named] == [key.public_key.hex() for key in keys[:2]]
    assert [body["by_user_id"] for body in named] == [1, 1]
    told = ledger_reader.keys()["keys"]
    assert [(one["key"], one["first_size"], one["last_size"]) for one in told] == [
        (keys[0].text, 0, 2), (keys[1].text, 2, 3), (keys[2].text, 3, None),
    ]  # fmt: skip
    with read_snapshot():
        kept = [ledger_heads.wrapped_key(key.public_key.hex()) for key in keys]
    assert [one is not None for one in kept] == [False, False, True]
    # The private half is kept under the master key alone.
    assert key_providers.ledger_key().hex() not in str(kept)


def test_a_new_key_of_the_settings_is_a_rotation(make_settings: Any) -> None:
    """It signs from the next start on. The old key is gone, so the start says that only the operator's word joins the two."""
    make_settings()
    with tables():
        first = ledger_keeper.ensure_key(NOW)
        ledger_keeper.sign_head(NOW)
        old = config.current()
        given = new_key()
        make_settings(LEDGER_KEY=given)
        second = ledger_keeper.ensure_key(NOW)
        assert second != first and ledger_keeper.ensure_key(NOW) == second
        assert [signer(head.note, [first, second]) for head in heads()] == [[0], [1]]
        config.use(old)
        with pytest.raises(ConfigurationError, match="LEDGER_KEY is not the key that signs"):
            ledger_keeper.ensure_key(NOW)
        with pytest.raises(ConfigurationError, match="LEDGER_KEY"):
            ledger_keeper.sign_head(NOW)


def test_another_master_key_cannot_open_a_rotated_key(make_settings: Any) -> None:
    """The sentence names FERNET_KEY; nothing is signed."""
    make_settings()
    with tables():
        ledger_keeper.ensure_key(NOW)
        ledger_keeper.rotate_key("admin", NOW)
        before = len(heads())
        make_settings(FERNET_KEY=Fernet.generate_key().decode())
        with pytest.raises(ConfigurationError, match="FERNET_KEY"):
            ledger_keeper.sign_head(NOW)
        assert len(heads()) == before


@pytest.mark.parametrize("given", ["x", "AAAA", "not base64!"])
def test_a_key_that_is_none_stops_the_start(make_settings: Callable[..., Any], given: str) -> None:
    """32 bytes in URL-safe base64, and how to make them."""
    with pytest.raises(ConfigurationError, match=r"LEDGER_KEY is not 32 bytes .* Make one with"):
        make_settings(LEDGER_KEY=given)


def test_readiness_tells_of_late_and_impossible_heads(make_settings: Any) -> None:
    """A head that is three times too old, and one of more entries than there are (a database that was set back)."""
    make_settings(CLOCK_ENABLED="true", LEDGER_HEAD_S="900")
    with tables():
        assert ledger_keeper.health(NOW)["ok"] is True
        ledger_keeper.sign_head(NOW)
        assert ledger_keeper.health(NOW + 44 * MINUTE)["ok"] is True
        late = ledger_keeper.health(NOW + 46 * MINUTE)
        assert late["ok"] is False and "2760 s ago" in late["reason"]
        with unit_of_work():
            ledger_heads.add(7, "2026-01-03T00:00:00.000000Z", bytes(32), "a head")
        ahead = ledger_keeper.health(NOW)
        assert ahead["ok"] is False and "0 entries, a head was signed of 7" in ahead["reason"]
