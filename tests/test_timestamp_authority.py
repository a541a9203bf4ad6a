"""Stamps come from a real authority on loopback (OpenSSL's); they are believed below its root and for their bytes alone."""

import builtins
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import config, timestamp_authority
from fairlens_backend.core import timestamp_token
from fairlens_backend.errors import ConfigurationError, TamperedArtefact, Unavailable
from tests import timestamp_server

pytestmark = pytest.mark.skipif(
    timestamp_server.why_absent() is not None, reason=str(timestamp_server.why_absent())
)
HEAD = b"fairlens.test\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[timestamp_server.Authority]:
    """One authority for all tests of this file."""
    with timestamp_server.running(tmp_path_factory.mktemp("authority")) as started:
        yield started


@pytest.fixture
def configured(
    authority: timestamp_server.Authority, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> timestamp_server.Authority:
    """The settings name the authority and its root."""
    _use(timestamp_url=authority.url, timestamp_roots=str(authority.roots))
    monkeypatch.setattr(authority, "status", 200)
    return authority


def _use(**changes: str) -> None:
    from dataclasses import replace

    config.use(replace(config.current(), **changes))


def test_a_stamp_proves_the_time_of_the_bytes(configured: timestamp_server.Authority) -> None:
    """What comes back says the time now, to the second, and proves it again later from the answer alone."""
    before = datetime.now(UTC)
    answer, at = timestamp_authority.stamp(HEAD)
    assert before - timedelta(seconds=1) <= at <= datetime.now(UTC)
    assert timestamp_token.proved_time(answer, HEAD, configured.roots.read_bytes()) == at


def test_other_bytes_are_not_proved(configured: timestamp_server.Authority) -> None:
    """One changed bit of what was stamped, and the stamp is worth nothing."""
    answer, _ = timestamp_authority.stamp(HEAD)
    with pytest.raises(TamperedArtefact, match="proves nothing"):
        timestamp_token.proved_time(answer, HEAD.replace(b"3", b"4"), configured.roots.read_bytes())


def test_a_changed_answer_is_not_believed(configured: timestamp_server.Authority) -> None:
    """No byte of the signed part can be changed: every 16th position is tried."""
    answer, at = timestamp_authority.stamp(HEAD)
    roots = configured.roots.read_bytes()
    for place in range(0, len(answer), 16):
        changed = answer[:place] + bytes([answer[place] ^ 1]) + answer[place + 1 :]
        try:
            found = timestamp_token.proved_time(changed, HEAD, roots)
        except TamperedArtefact:
            continue
        assert found == at  # a byte that is not signed, and says nothing


def test_another_authority_is_not_believed(configured: timestamp_server.Authority, tmp_path: Path) -> None:
    """A stamp counts below the roots that were configured, whoever else may have signed."""
    answer, _ = timestamp_authority.stamp(HEAD)
    with timestamp_server.running(tmp_path / "other") as other, pytest.raises(TamperedArtefact):
        timestamp_token.proved_time(answer, HEAD, other.roots.read_bytes())


def test_an_old_answer_is_no_answer(configured: timestamp_server.Authority) -> None:
    """The answer to an earlier request for the same bytes has another nonce: a replay is refused."""
    answer, _ = timestamp_authority.stamp(HEAD)
    configured.answers.append(answer)
    with pytest.raises(TamperedArtefact, match=r"[Nn]once"):
        timestamp_authority.stamp(HEAD)


def test_what_is_no_timestamp_is_refused(configured: timestamp_server.Authority) -> None:
    """Garbage and nothing are answers that prove nothing, not crashes."""
    for garbage in (b"", b"hello", b"\x30\x03\x02\x01\x02"):
        configured.answers.append(garbage)
        with pytest.raises(TamperedArtefact):
            timestamp_authority.stamp(HEAD)


def test_an_absent_authority_is_unavailable(configured: timestamp_server.Authority) -> None:
    """A status that is not 200, and a port where nobody is, can be tried again later."""
    configured.status = 503
    with pytest.raises(Unavailable, match="503"):
        timestamp_authority.stamp(HEAD)
    _use(timestamp_url="http://127.0.0.1:9/")
    with pytest.raises(Unavailable, match="does not answer"):
        timestamp_authority.stamp(HEAD)


def test_roots_must_be_there(configured: timestamp_server.Authority, tmp_path: Path) -> None:
    """A file that is missing or no certificate is named by its setting."""
    _use(timestamp_roots=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigurationError, match=r"TIMESTAMP_ROOTS.*none\.pem"):
        timestamp_authority.stamp(HEAD)
    answer = configured.answer(timestamp_token.request_for(HEAD)[0])
    with pytest.raises(ConfigurationError, match="PEM"):
        timestamp_token.proved_time(answer, HEAD, b"no certificate")


def test_an_authority_without_roots_stops_the_start() -> None:
    """Both settings or none: a stamp that nobody can check is no evidence."""
    with pytest.raises(ConfigurationError, match="TIMESTAMP_ROOTS"):
        config.load_settings({"TIMESTAMP_URL": "https://tsa.example"})


def test_the_missing_package_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "rfc3161_client":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"fairlens\[anchor\]"):
        timestamp_token.request_for(HEAD)
