"""Answers that are kept: made once while nothing is audited, anew after an audit, never another tenant's."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fairlens_backend import config, drift_reader, read_cache
from fairlens_backend.errors import NotFound
from fairlens_backend.storage import cache, latest_figures
from tests.api import SUBMIT, People, assert_envelope, submission

DRIFT = "/v1/models/hiring/drift?metrics=dir"


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Nothing is kept before, nothing after."""
    cache.forget()
    yield
    cache.forget()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tenants for whom the answer was made, one a time."""
    calls: list[str] = []
    real = drift_reader.drift

    def counted(tenant: str, *given: Any) -> dict[str, Any]:
        calls.append(tenant)
        return real(tenant, *given)

    monkeypatch.setattr(drift_reader, "drift", counted)
    return calls


def read(people: People, path: str = DRIFT) -> Any:
    """The answer's data."""
    return assert_envelope(people.monitor.get(path), 200)


def test_the_same_question_is_worked_out_once(people: People, made: list[str]) -> None:
    """The same answer to the last digit; another question, or the same after an audit, is another answer."""
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    first = read(people)
    assert read(people) == first and made == [people.tenant]
    read(people, DRIFT + "&window_days=2")
    assert len(made) == 2
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    assert len(read(people)["series"][0]["timeseries"]) == 2 and len(made) == 3
    read(people)
    assert len(made) == 3


def test_no_tenant_gets_another_ones(people: People, others: People, made: list[str]) -> None:
    """Of two models of one name each tenant reads its own."""
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    read(people)
    assert_envelope(others.monitor.get(DRIFT), 404, "not_found")
    assert_envelope(others.monitor.post(SUBMIT, submission()), 200)
    read(others)
    assert made.count(others.tenant) == 2 and made.count(people.tenant) == 1


def test_without_a_time_nothing_is_kept(
    people: People, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CACHE_TTL_S=0 works everything out anew."""
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    monkeypatch.setattr(config, "_current", [replace(config.current(), cache_ttl_s=0.0)])
    read(people)
    read(people)
    assert len(made) == 2


def test_an_error_is_not_kept(people: People) -> None:
    """What was not found is looked for again."""
    calls: list[int] = []

    def make() -> dict[str, Any]:
        calls.append(1)
        raise NotFound("nothing")

    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    for _ in range(2):
        with pytest.raises(NotFound):
            read_cache.remembered("x", people.tenant, "hiring", {}, make)
    assert len(calls) == 2


def test_workers_share_it(
    make_settings: Any, database: None, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Redis what one process has worked out the other one gives."""
    make_settings(REDIS_URL=redis_url)
    monkeypatch.setattr(latest_figures, "newest_record", lambda tenant, model: 7)
    assert read_cache.remembered("x", "t", "m", {"a": 1}, lambda: {"n": 1.5}) == {"n": 1.5}
    cache.forget()  # as another process, which has kept nothing itself
    assert read_cache.remembered("x", "t", "m", {"a": 1}, lambda: {"n": 2.5}) == {"n": 1.5}
    assert read_cache.remembered("x", "t", "m", {"a": 2}, lambda: {"n": 2.5}) == {"n": 2.5}
