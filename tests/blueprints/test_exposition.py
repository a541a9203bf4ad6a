"""GET /metrics and /v1/metrics/fairness/{id}: what Prometheus reads, who may read it, and that workers add up."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any
from urllib import request

import pytest
from flask.testing import FlaskClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from fairlens_backend import operation_gauges, telemetry
from fairlens_backend.errors import Unavailable
from fairlens_backend.storage import checked_days
from tests.api import SUBMIT, Caller, People, assert_envelope, rows_of, submission
from tests.live_server import live_server

KEYS = "/api/admin/api_keys"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Every sample by its name and labels."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def sample(found: Samples, name: str, **labels: str) -> float | None:
    """One of them."""
    return found.get((name, frozenset(labels.items())))


def key_of(admin: Caller, scope: str = "metrics") -> str:
    """A key of the administrator's tenant."""
    made = assert_envelope(admin.post(KEYS, {"name": "prometheus", "scope": scope}), 201)
    return str(made["key"])


@pytest.fixture
def scraped(operator: Caller, client: FlaskClient) -> Any:
    """A call of /metrics with the operator's key, as its samples."""
    key = key_of(operator)

    def scrape() -> Samples:
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return samples(answer.get_data(as_text=True))

    return scrape


def test_who_may_read_the_servers_figures(client: FlaskClient, operator: Caller, people: People) -> None:
    """The operator's people and keys of the scope, sent either way; no other tenant's, no other scope, nobody."""
    assert_envelope(client.get("/metrics"), 401, "not_authenticated")
    for caller in (people.monitor, people.admin):
        assert_envelope(caller.get("/metrics"), 403, "not_allowed")
    assert operator.get("/metrics").status_code == 200
    right, foreign, narrow = key_of(operator), key_of(people.admin), key_of(operator, "ingest")
    for headers in ({"X-Api-Key": right}, {"Authorization": f"Bearer {right}"}):
        assert client.get("/metrics", headers=headers).status_code == 200
    for key in (foreign, narrow):
        assert_envelope(client.get("/metrics", headers={"X-Api-Key": key}), 403, "not_allowed")
        assert_envelope(
            client.get("/metrics", headers={"Authorization": f"Bearer {key}"}), 403, "not_allowed"
        )
    wrong = right[:-1] + ("a" if right[-1] != "a" else "b")
    assert_envelope(client.get("/metrics", headers={"Authorization": f"Bearer {wrong}"}), 401)


def test_what_the_server_counts(scraped: Any, people: People, client: FlaskClient, loan_model: Any) -> None:
    """Requests by route as it is declared, events and labels by what became of them, audits by severity: by what was done."""
    before = scraped()
    event = {"model_id": "loan_model", "prediction": {"label": 1}}
    good = [{**event, "event_id": name} for name in ("a", "b", "a")]
    assert_envelope(people.monitor.post("/v1/predictions/ingest", [*good, {"event_id": "x"}]), 200)
    labels = [{"event_id": "a", "label": 1}, {"event_id": "later", "label": 1}]
    assert_envelope(people.monitor.post("/v1/predictions/ground_truth", {"labels": labels}), 200)
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    client.get("/nowhere/secret-name")
    client.open("/", method="BREW")
    after = scraped()

    def grew(name: str, **labels: str) -> float:
        return (sample(after, name, **labels) or 0) - (sample(before, name, **labels) or 0)

    assert grew("fairlens_events_total", outcome="ingested") == 2
    assert grew("fairlens_events_total", outcome="duplicate") == 1
    assert grew("fairlens_events_total", outcome="rejected") == 1
    assert grew("fairlens_labels_total", outcome="joined") == 1
    assert grew("fairlens_labels_total", outcome="waiting") == 1
    assert grew("fairlens_dead_letters") == 1
    assert (
        sum(
            grew("fairlens_audits_total", severity=one)
            for one in ("PASS", "LOW", "MEDIUM", "HIGH", "CRITICAL")
        )
        == 1
    )
    route = {"method": "POST", "route": "/v1/predictions/ingest"}
    assert grew("fairlens_http_requests_total", **route, status="200") == 1
    assert grew("fairlens_http_request_duration_seconds_count", **route) == 1
    assert grew("fairlens_http_request_duration_seconds_bucket", **route, le="+Inf") == 1
    assert grew("fairlens_http_requests_total", method="GET", route="unmatched", status="404") == 1
    assert grew("fairlens_http_requests_total", method="OTHER", route="unmatched", status="405") == 1
    assert not any("secret" in value or "BREW" in value for _, labels in after for _, value in labels)


def test_names_follow_the_conventions(scraped: Any) -> None:
    """One prefix, counters end in _total, times in seconds, sizes in bytes; every family says what it is."""
    for name, _ in scraped():
        assert re.fullmatch(r"fairlens_[a-z_]+", name), name
        assert not re.search(r"(milli|micro|minutes|hours|_ms|_mb)", name), name


def test_the_parts_of_the_installation(scraped: Any) -> None:
    """Jobs, messages, counts, freshness, disk: each part could be asked, and says something."""
    found = scraped()
    assert {sample(found, "fairlens_part_up", part=part) for part in operation_gauges.PARTS} == {1.0}
    for name in ("fairlens_jobs", "fairlens_outbox_messages"):
        assert sample(found, name, state="dead") is not None
    for name in (
        "fairlens_counted_days_mismatched",
        "fairlens_schedules_overdue",
        "fairlens_disk_free_bytes",
    ):
        assert sample(found, name) is not None
    assert sample(found, "fairlens_redis_up") is None  # none is configured: not up, and not down


def test_a_part_that_is_away_takes_no_other_with_it(scraped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its families are absent and it is said to be down."""

    def away(now: Any) -> Any:
        raise Unavailable("The database is busy.", retry_after_s=2)

    monkeypatch.setattr(checked_days, "summary", away)
    found = scraped()
    assert sample(found, "fairlens_part_up", part="counts") == 0
    assert sample(found, "fairlens_part_up", part="jobs") == 1
    assert sample(found, "fairlens_counted_days_mismatched") is None


def test_sums_of_audits_are_carried_on(scraped: Any, people: People) -> None:
    """What the clock has carried over and what it has not yet add up to the same number."""
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    before = {key: value for key, value in scraped().items() if key[0] == "fairlens_audits_total"}
    assert operation_gauges.tally(telemetry.utc_now()) >= 1
    assert {key: value for key, value in scraped().items() if key[0] == "fairlens_audits_total"} == before
    assert operation_gauges.tally(telemetry.utc_now()) == 0


def fairness(caller: Caller, model: str = "hiring") -> Samples:
    """The samples of a model."""
    answer = caller.get(f"/v1/metrics/fairness/{model}")
    assert answer.status_code == 200
    return samples(answer.get_data(as_text=True))


def test_the_newest_figures_of_a_model(people: People) -> None:
    """60 of 100 against 30 of 100, by hand: a ratio of 0.5, a difference of 0.3, both beyond their limits."""
    assert_envelope(people.monitor.post(SUBMIT, submission(rows_of({"a": (50, 100), "b": (50, 100)}))), 200)
    audit = assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    found = fairness(people.monitor)
    ratio = {"model": "hiring", "attribute": "race", "metric": "disparate_impact_ratio"}
    assert sample(found, "fairlens_fairness_metric_value", **ratio) == pytest.approx(0.5)
    assert sample(found, "fairlens_fairness_metric_threshold", **ratio) == 0.8
    assert sample(found, "fairlens_fairness_metric_breached", **ratio) == 1
    lower = sample(found, "fairlens_fairness_metric_lower", **ratio)
    assert lower is not None and lower < 0.5
    assert sample(found, "fairlens_fairness_metric_decisions", **ratio) == 200
    gap = {**ratio, "metric": "demographic_parity_difference"}
    assert sample(found, "fairlens_fairness_metric_value", **gap) == pytest.approx(0.3)
    severity = audit["overall_severity"]
    assert sample(found, "fairlens_fairness_severity", model="hiring", severity=severity) == 1
    assert sum(value for (name, _), value in found.items() if name == "fairlens_fairness_severity") == 1
    assert sample(found, "fairlens_fairness_decisions", model="hiring") == 200
    made = sample(found, "fairlens_fairness_audit_timestamp_seconds", model="hiring")
    assert made is not None and abs(made - time.time()) < 3600


def test_unknown_is_not_fair(people: People) -> None:
    """Without a true outcome a metric of errors has no value, is not breached and not unbreached: it is not defined."""
    assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    found = fairness(people.monitor)
    odds = {"model": "hiring", "attribute": "race", "metric": "equal_opportunity_difference"}
    assert sample(found, "fairlens_fairness_metric_defined", **odds) == 0
    assert sample(found, "fairlens_fairness_metric_value", **odds) is None
    assert sample(found, "fairlens_fairness_metric_severity", **odds, severity="UNKNOWN") == 1


def test_no_group_is_named(people: People) -> None:
    """Names of groups are values of protected attributes: none is in a label."""
    rows = rows_of({"Martian": (60, 100), "Venusian": (30, 100)})
    assert_envelope(people.monitor.post(SUBMIT, submission(rows)), 200)
    text = people.monitor.get("/v1/metrics/fairness/hiring").get_data(as_text=True)
    assert "race" in text and "Martian" not in text and "Venusian" not in text


def test_a_model_that_nobody_audited(people: People, others: People, loan_model: Any) -> None:
    """Registered: it says that it was never audited, and nothing else. Unknown, or another tenant's: 404."""
    found = fairness(people.monitor, "loan_model")
    assert list(found.values()) == [0.0]
    assert sample(found, "fairlens_fairness_audited", model="loan_model") == 0
    assert_envelope(people.monitor.get("/v1/metrics/fairness/never"), 404, "not_found")
    assert_envelope(others.monitor.get("/v1/metrics/fairness/loan_model"), 404, "not_found")


def test_a_key_reads_its_own_tenants_models(
    client: FlaskClient, people: People, others: People, loan_model: Any
) -> None:
    """A key of the scope is enough; the same name at another tenant is another model."""
    headers = {"Authorization": f"Bearer {key_of(people.admin)}"}
    assert client.get("/v1/metrics/fairness/loan_model", headers=headers).status_code == 200
    foreign = {"Authorization": f"Bearer {key_of(others.admin)}"}
    assert_envelope(client.get("/v1/metrics/fairness/loan_model", headers=foreign), 404)


def test_openmetrics_for_who_asks(operator: Caller) -> None:
    """Prometheus asks for it by its Accept header; a strict reader reads it to its end."""
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = operator.call("GET", "/metrics", headers={"Accept": accept})
    assert answer.mimetype == "application/openmetrics-text"
    assert len(list(read_openmetrics(answer.get_data(as_text=True)))) > 10


def test_workers_add_up(tmp_path: Path) -> None:
    """Two processes answered 24 calls; whichever is asked gives the sum, also when one of them was killed."""
    with live_server(tmp_path, workers=2) as server:
        token = server.login()
        for _ in range(24):
            assert server.call("GET", "/api/models", token=token)[0] == 200
        route = {"method": "GET", "route": "/api/models", "status": "200"}
        for _ in range(4):
            assert sample(samples(scrape(server.url, token)), "fairlens_http_requests_total", **route) == 24
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        if not children.exists():
            pytest.skip("only Linux tells the processes of a server")
        workers = [int(pid) for pid in children.read_text().split()]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        assert server.call("GET", "/api/health")[0] == 200
        assert sample(samples(scrape(server.url, token)), "fairlens_http_requests_total", **route) == 24


def scrape(url: str, token: str) -> str:
    """The text of /metrics of a live server."""
    asked = request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
    with request.build_opener(request.ProxyHandler({})).open(asked, timeout=60) as answer:
        return str(answer.read().decode())
