"""GET /v1/compliance/report/{model_id}."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.api import SUBMIT, People, assert_envelope, rows_of, submission

PATH = "/v1/compliance/report/hiring-report"


@pytest.fixture
def days(people: People) -> str:
    """A submission of today, and the query of a report of yesterday and today."""
    body = submission(
        rows_of({"a": (100, 200), "b": (60, 200)}), model_name="hiring-report", reference_groups={"race": "a"}
    )
    assert_envelope(people.monitor.post(SUBMIT, body), 200)
    today = datetime.now(UTC).date()
    return f"start_date={today - timedelta(days=1)}&end_date={today}"


def test_json_is_the_data(people: People, days: str) -> None:
    """0.3 over 0.5, with the hash beside."""
    data = assert_envelope(people.auditor.get(f"{PATH}?{days}"), 200)
    ratio = data["report"]["results"]["attributes"]["race"]["disparate_impact_ratio"]
    assert ratio["value"] == pytest.approx(0.6) and len(data["sha256"]) == 64
    assert assert_envelope(people.auditor.get(f"{PATH}?{days}&format=json"), 200)["sha256"] == data["sha256"]


@pytest.mark.parametrize(
    ("form", "kind", "shown"), [("pdf", "application/pdf", "attachment"), ("html", "text/html", "inline")]
)
def test_files(people: People, days: str, form: str, kind: str, shown: str) -> None:
    """Named after model and days, never kept by caches, a page under a policy without inline styles but its own."""
    data = assert_envelope(people.auditor.get(f"{PATH}?{days}"), 200)
    answer = people.auditor.get(f"{PATH}?{days}&format={form}")
    assert (answer.status_code, answer.mimetype) == (200, kind)
    document = data["report"]["document"]
    name = f"fairness-report_hiring-report_{document['start_date']}_{document['end_date']}.{form}"
    assert answer.headers["Content-Disposition"] == f'{shown}; filename="{name}"'
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Frame-Options"] == "DENY"
    policy = answer.headers["Content-Security-Policy"]
    assert (
        policy.startswith("default-src 'self'")
        and "unsafe" not in policy
        and "frame-ancestors 'none'" in policy
    )
    if form == "html":
        assert data["sha256"].encode() in answer.data and "style-src 'sha256-" in policy


def test_who_may_not(people: People, others: People, days: str) -> None:
    """A monitor is refused; another tenant's auditor finds no such model; so does anyone who asks for one that is not there."""
    assert_envelope(people.monitor.get(f"{PATH}?{days}"), 403, "not_allowed")
    assert_envelope(others.auditor.get(f"{PATH}?{days}"), 404, "not_found")
    assert_envelope(people.auditor.get(f"/v1/compliance/report/never?{days}&format=pdf"), 404, "not_found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start_date=2026-01-01", "end_date"),
        ("end_date=2026-01-01", "start_date"),
        ("start_date=2026-02-01&end_date=2026-01-01", "end_date"),
        ("start_date=2026-01-01&end_date=2999-01-01", "end_date"),
        ("start_date=yesterday&end_date=2026-01-01", "start_date"),
        ("start_date=2026-02-30&end_date=2026-03-01", "start_date"),
        ("start_date=2020-01-01&end_date=2026-01-01", "start_date"),
        ("start_date=2026-01-01&end_date=2026-01-02&format=docx", "format"),
        ("start_date=2026-01-01&end_date=2026-01-02&model=x", "model"),
    ],
)
def test_what_cannot_be_asked(people: People, days: str, query: str, field: str) -> None:
    """422 that names the field, also where a file was asked for."""
    answer = people.auditor.get(f"{PATH}?{query}")
    assert assert_envelope(answer, 422, "invalid_input")["field"] == field
    assert json.loads(answer.data)["status"] == "error"
