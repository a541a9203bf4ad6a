"""The master key is changed without locking out a server; a change can be taken back; after a loss one can go on."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from cryptography.fernet import Fernet

from fairlens_backend import (
    account_manager,
    config,
    credentials,
    key_rotator,
    ledger_keeper,
    master_changer,
    security_utils,
    signing_keys,
)
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser
from fairlens_backend.errors import ConfigurationError, Conflict, NotAuthenticated, TamperedArtefact
from fairlens_backend.storage import keys, users
from fairlens_backend.storage.session import unit_of_work
from tests import evidence_kit, key_kit
from tests.conftest import TEST_SECRETS
from tests.ingest_kit import NOW, event, register, send
from tests.key_kit import MAIL

pytestmark = pytest.mark.usefixtures("cheap_passwords")
OLD = TEST_SECRETS["FERNET_KEY"]
NEW = base64.urlsafe_b64encode(bytes(range(32))).decode()
OTHER = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()
Use = Callable[..., config.Settings]


@pytest.fixture
def use(database: None, make_settings: Use) -> Iterator[Use]:
    """A server with every kind of key in its second version; `use(FERNET_KEY=…)` starts it again with other settings."""

    def start(**given: str) -> config.Settings:
        made = make_settings(**given)
        security_utils.forget_keys()
        signing_keys.forget()
        key_rotator.ensure_keys(NOW)
        ledger_keeper.ensure_key(NOW)
        return made

    start()
    register()
    key_kit.fill()
    with unit_of_work():
        users.add_user("default", "ann", credentials.hash_password("correct horse battery"), "admin", NOW)
    for kind, tenant in (("data", "default"), ("jwt", "default"), ("tokens", "acme"), ("ledger", "default")):
        key_rotator.rotate(kind, tenant, "ann", NOW)
    yield start


def state() -> dict[str, Any]:
    """Everything that a master key opens or roots, as a server with the settings in force sees it."""
    token = account_manager.login("ann", "correct horse battery", "::1", NOW)["access_token"]
    hashed = security_utils.anonymize_df(pd.DataFrame({"application_id": [7]}))["application_id"][0]
    ledger_keeper.sign_head(NOW)
    opened = key_kit.opened()
    return {
        "opened": opened["alert_texts"] + opened["alert_routes"],
        "letters": len(opened["dead_letters"]),
        "who": account_manager.identify(token, NOW).username,
        "hash": hashed,
        "signature": security_utils.sign_record({"a": 1}),
        "witness": security_utils.witness_seed(),
        "tokens": [security_utils.token_key("acme", version) for version in (1, 2)],
        "others": security_utils.token_key("other", 1),
    }


def rotate() -> dict[str, Any]:
    return key_rotator.rotate("master", "default", "ann", NOW)


def retire() -> int:
    return int(key_rotator.retire("master", "default", "ann", NOW)["retired"])


def test_every_server_reads_everything_at_every_moment_of_a_change(use: Use) -> None:
    """Before: the old key. Between: the old, both, or the new. After: the new. What is derived stays what it was."""
    before = state()
    use(FERNET_KEY_NEXT=NEW)
    assert state() == before
    # The root, two data keys, the second of logins and of tokens, and the ledger's.
    assert rotate()["wrapped"] == 6
    for settings in (
        {},
        {"FERNET_KEY_NEXT": NEW},
        {"FERNET_KEY": NEW},
        {"FERNET_KEY": NEW, "FERNET_KEY_NEXT": OLD},
    ):
        use(**settings)
        assert state() == before
    use(FERNET_KEY=NEW)
    assert retire() == 6
    assert state() == before
    with pytest.raises(ConfigurationError, match="FERNET_KEY"):
        use()
    actions = [(one["action"], one.get("wrapped", one.get("retired"))) for one in key_kit.events_of("master")]
    assert actions == [("begun", 6), ("retired", 6)]


def test_a_crash_in_the_middle_leaves_the_old_key_whole(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after some rows were wrapped: nothing of it is kept, and the next try does all."""
    before = state()
    use(FERNET_KEY_NEXT=NEW)

    def die_in_the_middle() -> None:
        import os
        import signal

        from fairlens_backend import key_wrapping

        real, count = key_wrapping.wrap_by, [0]

        def wrap_by(*given: Any) -> str:
            count[0] += 1
            if count[0] == 4:
                with unit_of_work() as session:
                    session.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given)

        key_wrapping.wrap_by = wrap_by
        rotate()

    assert evidence_kit.in_child(die_in_the_middle) != 0
    use()
    assert state() == before
    use(FERNET_KEY_NEXT=NEW)
    assert (rotate()["wrapped"], rotate()["wrapped"]) == (6, 0)
    use(FERNET_KEY=NEW)
    assert state() == before


def test_the_old_key_is_retired_by_the_new_one_alone(use: Use) -> None:
    """With both set, or with the old one, nothing is destroyed; the sentence says what to set."""
    before = state()
    use(FERNET_KEY_NEXT=NEW)
    rotate()
    with pytest.raises(Conflict, match="FERNET_KEY_NEXT is still set"):
        retire()
    use()
    with pytest.raises(Conflict, match="not the newer one"):
        retire()
    assert state() == before


def test_a_change_can_be_taken_back(use: Use) -> None:
    """By the old key alone; the one that was to follow opens nothing then, and another one can be begun with."""
    before = state()
    use(FERNET_KEY_NEXT=NEW)
    rotate()
    use(FERNET_KEY=NEW)
    with pytest.raises(Conflict, match="not the older one"):
        master_changer.abandon("ann", NOW)
    use()
    assert master_changer.abandon("ann", NOW) == 6
    assert master_changer.abandon("ann", NOW) == 0
    with pytest.raises(ConfigurationError):
        use(FERNET_KEY=NEW)
    use(FERNET_KEY_NEXT=OTHER)
    rotate()
    use(FERNET_KEY=OTHER)
    retire()
    assert state() == before


def test_keys_made_during_a_change_are_wrapped_by_both_or_not_made(use: Use, make_settings: Use) -> None:
    """A server with one of the two refuses to rotate, since one with the other could not read; one with both may."""
    use(FERNET_KEY_NEXT=NEW)
    rotate()
    for one in (OLD, NEW):
        use(FERNET_KEY=one)
        for kind in ("data", "jwt", "ledger"):
            with pytest.raises(Conflict, match="being changed"):
                key_rotator.rotate(kind, "default", "ann", NOW)
    use(FERNET_KEY_NEXT=NEW)
    for kind in ("data", "jwt", "ledger"):
        key_rotator.rotate(kind, "default", "ann", NOW)
    before = state()
    use(FERNET_KEY=NEW)
    assert state() == before
    assert retire() == 8  # two more of data and of logins; the ledger's took the former one's place
    make_settings(FERNET_KEY=OLD)  # of a server that was not started again
    security_utils.forget_keys()
    for kind in ("data", "jwt"):
        with pytest.raises(ConfigurationError, match="not the one that this database was used with"):
            key_rotator.rotate(kind, "default", "ann", NOW)


def test_without_a_key_that_follows_nothing_begins(use: Use) -> None:
    """409 that names the setting; the same key is none that follows, and a bad one stops the start."""
    for given in ({}, {"FERNET_KEY_NEXT": OLD}):
        use(**given)
        with pytest.raises(Conflict, match="FERNET_KEY_NEXT"):
            rotate()
    with pytest.raises(ConfigurationError, match="FERNET_KEY_NEXT is not 32 bytes"):
        use(FERNET_KEY_NEXT="short")


def test_a_wrong_master_key_stops_the_start(use: Use) -> None:
    """Before anything is written with it."""
    with pytest.raises(ConfigurationError, match="Set FERNET_KEY"):
        use(FERNET_KEY=NEW)


def test_after_the_loss_of_the_master_key_the_server_goes_on(use: Use, make_settings: Use) -> None:
    """Texts are given up and said to be unreadable, logins end, new values have new tokens, records stay verifiable."""
    before = state()
    old_token = account_manager.login("ann", "correct horse battery", "::1", NOW)["access_token"]
    sealed = key_kit.sealed()
    given = {"FERNET_KEY": NEW, "LEDGER_KEY": OTHER}
    make_settings(**given)
    security_utils.forget_keys()
    signing_keys.forget()
    found = master_changer.replace_lost("", NOW)
    assert found == {
        "data_keys": 2, "jwt_keys": 1, "token_keys": 1, "ledger_keys": 1, "tenants_with_a_new_token_key": 1,
    }  # fmt: skip
    use(**given)
    for token in sealed["alert_texts"]:
        with pytest.raises(TamperedArtefact):
            security_utils.decrypt_text(token)
    with pytest.raises(NotAuthenticated):
        account_manager.identify(old_token, NOW)
    fresh = account_manager.login("ann", "correct horse battery", "::1", NOW)["access_token"]
    assert account_manager.identify(fresh, NOW).username == "ann"
    assert security_utils.decrypt_text(security_utils.encrypt_text("new")) == "new"
    assert security_utils.encrypt_text("new").startswith("k3.")
    send([event("e9", features={"email": MAIL})])
    kept = key_kit.details()[-1].features["email"][0]  # type: ignore[call-overload]
    assert PiiTokeniser(security_utils.token_key("acme", 3)).detokenise(kept) == MAIL
    assert security_utils.witness_seed() != before["witness"]
    ledger_keeper.sign_head(NOW)
    key_rotator.follow(NOW)
    key_kit.run_jobs()
    with pytest.raises(Conflict, match="none is lost"):
        master_changer.replace_lost("", NOW)
    with unit_of_work():
        assert len(keys.newest_first()) == 1
    assert key_kit.events_of("master")[-1]["action"] == "lost"


def test_what_is_not_lost_is_not_given_up(use: Use) -> None:
    """With the right key set the command for a loss refuses, and everything is as it was."""
    before = state()
    with pytest.raises(Conflict, match="none is lost"):
        master_changer.replace_lost("", NOW)
    assert state() == before


def test_a_wrapped_key_needs_its_master_key(use: Use) -> None:
    """Fernet by the derived key alone opens it: neither the bare master key nor another purpose's does."""
    with unit_of_work():
        row = keys.own(keys.TOKENS, "acme")[0]
    with pytest.raises(Exception):  # noqa: B017  InvalidToken has no message to match
        Fernet(OLD).decrypt((row.wrapped_key or "").encode())
