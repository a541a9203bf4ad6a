"""`fairlens rotate-key`, and docs/keys.md: every command that the page names is run here and does what the page says."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import (
    account_manager,
    cli,
    config,
    key_reader,
    key_rotator,
    ledger_keeper,
    security_utils,
    signing_keys,
    telemetry,
)
from fairlens_backend.errors import ConfigurationError, NotAuthenticated, TamperedArtefact
from tests import key_kit
from tests.conftest import PROJECT_ROOT, TEST_SECRETS
from tests.ingest_kit import register

PAGE = (PROJECT_ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
NEW = base64.urlsafe_b64encode(bytes(range(32))).decode()
OTHER = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()


@pytest.fixture
def start(
    database: None, make_settings: Any, monkeypatch: pytest.MonkeyPatch, cheap_passwords: None
) -> Callable[..., None]:
    """A server that is started with settings: its keys are checked as at a start."""
    monkeypatch.setattr("fairlens_backend.server_health.require_schema", lambda: None)

    def begin(checked: bool = True, **given: str) -> None:
        make_settings(**given)
        security_utils.forget_keys()
        signing_keys.forget()
        if checked:
            key_rotator.ensure_keys(telemetry.utc_now())
            ledger_keeper.ensure_key(telemetry.utc_now())

    begin()
    account_manager.ensure_admin(telemetry.utc_now())
    register()
    key_kit.fill()
    return begin


def run(*words: str) -> int:
    """A line of the page, as it stands there."""
    return cli.main(["rotate-key", *words])


def login() -> str:
    settings = config.current()
    found = account_manager.login(
        settings.admin_username, settings.admin_password, "::1", telemetry.utc_now()
    )
    return str(found["access_token"])


def shown(kind: str) -> dict[str, Any]:
    return next(one for one in key_reader.show("default", telemetry.utc_now()) if one["kind"] == kind)


def test_each_kind_is_rotated_and_listed(start: Any, capsys: Any) -> None:
    """The list says versions and what older ones are needed for; logins outlive a rotation unless it revokes."""
    token = login()
    assert run("data") == 0 and run("jwt") == 0 and run("ledger") == 0
    assert run("tokens", "--tenant", "acme") == 0
    capsys.readouterr()
    assert run() == 0
    said = capsys.readouterr().out
    assert re.search(
        r"^data +2 +0\.0  1, needed for 3 alert texts, 3 dead letters, 3 alert routes", said, re.M
    )
    assert re.search(r"^ledger +2 ", said, re.M) and re.search(r"^master +1 +-  none$", said, re.M)
    assert account_manager.identify(token, telemetry.utc_now()).username == "admin"
    assert run("jwt", "--revoke") == 0
    with pytest.raises(NotAuthenticated):
        account_manager.identify(token, telemetry.utc_now())
    login()


@pytest.mark.parametrize("option", ["--abandon", "--lost", "--retire"])
def test_the_master_key_has_no_tenant(start: Any, capsys: Any, option: str) -> None:
    """Nobody may think that one tenant's data alone were given up: refused, and nothing is done."""
    before = shown("master")
    assert run("master", option, "--tenant", "acme") == 2
    assert "the server's" in capsys.readouterr().err
    assert shown("master") == before


@pytest.mark.parametrize("option", [[], ["--retire"]])
def test_a_tenant_that_is_not_there_has_no_keys(start: Any, capsys: Any, option: list[str]) -> None:
    """A name that was misspelled is refused; it does not get a key."""
    assert run("tokens", "--tenant", "acmee", *option) == 2
    assert "no tenant acmee" in capsys.readouterr().err
    assert key_reader.show("acmee", telemetry.utc_now())[0]["version"] == 1


def test_older_keys_are_retired_after_their_hour(
    start: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused with the reason before; after the jobs and an hour done."""
    run("data")
    run("tokens", "--tenant", "acme")
    assert run("data", "--retire") == 2
    assert "0 minutes old" in capsys.readouterr().err
    key_kit.run_jobs(telemetry.utc_now())
    monkeypatch.setattr(key_rotator, "RETIRE_AFTER", key_rotator.RETIRE_AFTER * 0)
    assert run("data", "--retire") == 0 and run("tokens", "--tenant", "acme", "--retire") == 0
    assert capsys.readouterr().out.count("1 older keys") == 2
    assert key_kit.opened()["alert_texts"] == ["text 1", "text 2", "text 3"]


def test_the_steps_of_a_change_of_the_master_key(start: Any) -> None:
    """As the page has them; a server that is still on the old key after the last step is told which setting is wrong."""
    start(FERNET_KEY_NEXT=NEW)
    assert run("master") == 0
    for settings in ({}, {"FERNET_KEY": NEW}):
        start(**settings)
        assert key_kit.opened()["alert_texts"] == ["text 1", "text 2", "text 3"]
        assert run("data") == 2  # waits until the old one is retired
    assert run("master", "--retire") == 0
    assert run("data") == 0
    with pytest.raises(ConfigurationError, match="FERNET_KEY"):
        start()


def test_a_change_is_taken_back(start: Any, capsys: Any) -> None:
    """With the old key alone; with the new one it is refused."""
    start(FERNET_KEY_NEXT=NEW)
    run("master")
    start(FERNET_KEY=NEW)
    assert run("master", "--abandon") == 2
    start()
    assert run("master", "--abandon") == 0
    assert not shown("master")["outstanding"]["keys_with_two_wrappings"]
    with pytest.raises(ConfigurationError):
        start(FERNET_KEY=NEW)


def test_a_lost_login_secret(start: Any, make_settings: Any) -> None:
    """Before a rotation logins end with it; after one nothing happens."""
    token = login()
    start(JWT_SECRET="another-Zk8-value-for-the-tests-000001")
    with pytest.raises(NotAuthenticated):
        account_manager.identify(token, telemetry.utc_now())
    run("jwt")
    token = login()
    start(JWT_SECRET="a-third-one-Zk8-for-the-tests-00000001")
    assert account_manager.identify(token, telemetry.utc_now()).username == "admin"


def test_a_lost_ledger_key(start: Any) -> None:
    """Before a rotation a new one is taken and said; after one the setting is not needed to go on."""
    run("ledger")
    start(LEDGER_KEY=TEST_SECRETS["LEDGER_KEY"])
    ledger_keeper.sign_head(telemetry.utc_now())
    start(LEDGER_KEY=OTHER)
    ledger_keeper.sign_head(telemetry.utc_now())
    assert shown("ledger")["version"] == 3


def test_a_lost_master_key(start: Any, capsys: Any) -> None:
    """As the page has it: refused while nothing is lost; afterwards the server starts, and says what no key opens."""
    assert run("master", "--lost") == 2
    assert "none is lost" in capsys.readouterr().err
    run("ledger")
    sealed = key_kit.sealed()["alert_texts"]
    token = login()
    start(checked=False, FERNET_KEY=NEW, LEDGER_KEY=OTHER)
    with pytest.raises(ConfigurationError):
        key_rotator.ensure_keys(telemetry.utc_now())
    assert run("master", "--lost") == 0
    start(FERNET_KEY=NEW, LEDGER_KEY=OTHER)
    with pytest.raises(TamperedArtefact):
        security_utils.decrypt_text(sealed[0])
    with pytest.raises(NotAuthenticated):
        account_manager.identify(token, telemetry.utc_now())
    login()
    assert shown("data")["outstanding"] == {"alert_texts": 3, "dead_letters": 3, "alert_routes": 3}
    assert run("data") == 0 and run("tokens", "--tenant", "acme") == 0
    ledger_keeper.sign_head(telemetry.utc_now())
    assert [one["action"] for one in key_kit.events_of("master")] == ["lost"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "--revoke"], "revoke is for jwt"),
        (["jwt", "--retire"], "not retired by hand"),
        (["data", "--tenant", "acme"], "no tenant was expected"),
        (["data", "--lost"], "--lost is for master"),
        (["--retire"], "which key?"),
        (["master"], "No master key follows"),
    ],
)
def test_wrong_arguments_exit_with_2(start: Any, capsys: Any, words: list[str], message: str) -> None:
    """Standard error says what is wrong; nothing is rotated."""
    assert cli.main(["rotate-key", *words]) == 2
    assert message in capsys.readouterr().err
    assert shown("data")["version"] == 1


def test_a_kind_that_is_none_is_named(start: Any, capsys: Any) -> None:
    """With those that there are."""
    with pytest.raises(SystemExit):
        cli.main(["rotate-key", "paper"])
    assert "invalid choice: 'paper'" in capsys.readouterr().err


def test_every_command_of_the_page_is_run_by_these_tests() -> None:
    """What the page says to type is what was run above, word for word."""
    source = Path(__file__).read_text(encoding="utf-8")
    lines = {line.strip() for line in re.findall(r"^ *(fairlens rotate-key.*)$", PAGE, re.M)}
    assert len(lines) == 12
    for line in lines:
        words = ", ".join(f'"{word}"' for word in line.split()[2:])
        assert f"run({words})" in source, line
