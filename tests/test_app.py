"""The roof: what a start says, what stops it, and what stands behind a proxy."""

import runpy
import sys
from collections.abc import Callable

import pytest
from flask import Flask, request

from fairlens_backend import app as roof
from fairlens_backend import audit_scheduler, config
from fairlens_backend.errors import ConfigurationError
from fairlens_backend.storage import session
from tests.conftest import TEST_SECRETS

MakeSettings = Callable[..., config.Settings]


def test_the_summary_names_every_endpoint_and_no_secret(make_settings: MakeSettings) -> None:
    """Modules, endpoints with their roles, where to log in; no password, no key."""
    app = roof.create_app(make_settings())
    said = roof.start_up_summary(app)
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            assert rule.rule.split("<")[0] in said
    assert "POST   /api/submit_predictions" in said and "monitor or key" in said
    assert not any(secret in said for secret in TEST_SECRETS.values())
    session.dispose_engines()


def test_a_production_start_wants_a_migrated_database(make_settings: MakeSettings) -> None:
    """It never migrates by itself, and says what to run."""
    with pytest.raises(ConfigurationError, match="make migrate"):
        roof.create_app(make_settings(ENVIRONMENT="production"))
    session.dispose_engines()


@pytest.mark.parametrize(
    "wrong",
    [
        {"LEDGER_WITNESSES": "https://w.example nonsense"},
        {"WITNESS_LOGS": "nonsense"},
        {"TIMESTAMP_URL": "https://tsa.example", "TIMESTAMP_ROOTS": "/nowhere/root.pem"},
        {"TIMESTAMP_URL": "https://tsa.example", "TIMESTAMP_ROOTS": __file__},
    ],
)
def test_who_speaks_of_heads_is_set_right_or_nothing_starts(
    make_settings: MakeSettings, wrong: dict[str, str]
) -> None:
    """Else each tick of the clock fails, or a stranger is told; the sentence names the setting."""
    with pytest.raises(ConfigurationError, match=list(wrong)[-1]):
        roof.create_app(make_settings(**wrong))
    session.dispose_engines()


def test_a_trusted_proxy_tells_the_callers_address_and_the_clock_runs(make_settings: MakeSettings) -> None:
    """With TRUSTED_PROXIES=1 the last X-Forwarded-For is the caller; readiness sees the clock."""
    app = roof.create_app(make_settings(TRUSTED_PROXIES="1", CLOCK_ENABLED="true", CLOCK_INTERVAL_S="60"))
    try:
        seen: list[str | None] = []
        app.before_request(lambda: seen.append(request.remote_addr))
        answer = app.test_client().get("/api/health", headers={"X-Forwarded-For": "203.0.113.7"})
        assert answer.status_code == 200 and seen == ["203.0.113.7"]
    finally:
        audit_scheduler.stop_clock()
        session.dispose_engines()


def test_the_command_serves_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_settings: MakeSettings
) -> None:
    """`python fairlens_backend/app.py` prints the summary and binds HOST and PORT."""
    made = make_settings(PORT="5099")
    monkeypatch.setattr(config, "load_settings", lambda: made)
    served: list[tuple[str, int]] = []
    monkeypatch.setattr(Flask, "run", lambda self, host, port, threaded: served.append((host, port)))
    roof.main()
    assert served == [("127.0.0.1", 5099)]
    assert "http://127.0.0.1:5099" in capsys.readouterr().out
    session.dispose_engines()


def test_a_wrong_setting_stops_the_command_with_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback for the person who mistyped a port."""
    wanted = {"PORT": "many", **TEST_SECRETS}
    load = config.load_settings
    monkeypatch.setattr(config, "load_settings", lambda: load(wanted))
    with pytest.raises(SystemExit, match="PORT is 'many'"):
        roof.main()


def test_the_package_is_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m fairlens_backend --version` is `fairlens --version`."""
    monkeypatch.setattr(sys, "argv", ["fairlens", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("fairlens_backend", run_name="__main__")
    assert ended.value.code in (0, None)
    assert "0.1.0" in capsys.readouterr().out
