"""What people send that is wrong, odd or hostile: the answer says what, and nothing of it is stored."""

from typing import Any

import pytest
from flask import Flask

from tests.api import EVALUATE, REGISTER, SUBMIT, People, assert_envelope, rows_of, submission

HOSTILE = ["'; DROP TABLE users; --", '" OR 1=1 --', "../../etc/passwd", "..\\..\\x", "%2e%2e%2f", "a\0b", "a\nb", "<script>", "$(id)", "é" * 101, "", " "]  # fmt: skip


@pytest.fixture
def n_records(people: People) -> Any:
    """How many records the tenant has."""
    return lambda: len(assert_envelope(people.auditor.get("/api/audit_history?limit=100"), 200)["items"])


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"  ", 400),
        (b"{", 400),
        (b"{} {}", 400),
        (b"{'n_samples': 5}", 400),
        (b'{"drift_level": NaN}', 400),
        (b'{"drift_level": -Infinity}', 400),
        (b'{"drift_level": 1e999}', 400),
        (b'{"model_name": "\xe9"}', 400),
        (b'{"model_name": "\\ud800"}', 400),
        (b'{"n_samples": 1' + b"0" * 5000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b"null", 400),
        (b"5", 400),
        (b'"text"', 400),
        (b"true", 400),
        (b"[]", 422),
        (b'[{"n_samples": 5}]', 422),
    ],
)
@pytest.mark.parametrize("path", [EVALUATE, SUBMIT, REGISTER, "/api/login"])
def test_bodies_that_are_no_json_object(people: People, path: str, raw: bytes, status: int) -> None:
    """Not JSON, NaN, not UTF-8, nested beyond reading: 400; JSON that is a list: 422; at every door that takes a body."""
    answer = people.admin.call("POST", path, data=raw, content_type="application/json")
    assert_envelope(answer, status, "malformed_input" if status == 400 else "invalid_input")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"n_samples": -1}, "n_samples"),
        ({"n_samples": 10**9}, "n_samples"),
        ({"n_samples": 10**400}, "n_samples"),
        ({"n_samples": "1000"}, "n_samples"),
        ({"n_samples": 5.5}, "n_samples"),
        ({"n_samples": True}, "n_samples"),
        ({"n_samples": None}, "n_samples"),
        ({"drift_level": -0.001}, "drift_level"),
        ({"drift_level": 1.001}, "drift_level"),
        ({"drift_level": "0.5"}, "drift_level"),
        ({"drift_level": False}, "drift_level"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"mode": "production"}, "mode"),
        ({"mode": "prod"}, "file"),
        ({"colour": "red"}, "colour"),
        ({"model_name": 5}, "model_name"),
        ({"columns": "race"}, "columns"),
        ({"columns": {"protected": "race"}}, "columns.protected"),
        ({"columns": {"protected": ["c"] * 11}}, "columns.protected"),
        ({"columns": {"protected": ["nope"]}, "reference_groups": {}}, "columns"),
        ({"favourable": {"decision": []}}, "favourable.decision"),
        ({"favourable": {"decision": [None]}}, "favourable.decision.0"),
        ({"favourable": {"decision": ["maybe"]}}, "favourable.decision"),
        ({"favourable": {"decision": [1], "truth": ["maybe"]}}, "favourable.truth"),
        ({"reference_groups": {"gender": "Martian"}}, "reference_groups.gender"),
        ({"reference_groups": {"gender": None}}, "reference_groups.gender"),
        ({"reference_groups": {"planet": "Mars"}}, "reference_groups.planet"),
        ({"thresholds": {"beauty": 0.5}}, "thresholds"),
        ({"thresholds": {"disparate_impact_ratio": "0.8"}}, "thresholds.disparate_impact_ratio"),
        ({"thresholds": {"disparate_impact_ratio": -1}}, "thresholds.disparate_impact_ratio"),
        ({"alpha": 0}, "alpha"),
        ({"min_group_size": 0}, "min_group_size"),
        ({"min_sample_size": 2**60}, "min_sample_size"),
        ({"encoding": "ebcdic"}, "encoding"),
    ],
)  # fmt: skip
def test_fields_of_an_evaluation(
    people: People, loan_model: Any, n_records: Any, change: Any, field: str
) -> None:
    """422, the field's path, what came and what was expected; no record."""
    details = assert_envelope(people.monitor.post(EVALUATE, change), 422, "invalid_input")
    assert details["field"] == field and details["expected"]
    assert n_records() == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rows": ...}, "rows"),
        ({"rows": []}, "rows"),
        ({"rows": [{}]}, "columns"),
        ({"rows": [1]}, "rows.0"),
        ({"rows": [{"race": ["a"], "decision": 1}]}, "rows.0.race"),
        ({"rows": [{"race": "a", "decision": {}}]}, "rows.0.decision"),
        ({"rows": [{"race": "a", "decision": None}] * 3}, "columns.decision"),
        ({"columns": ...}, "columns.decision"),
        ({"columns": {"decision": "decision"}}, "columns.protected"),
        ({"columns": {"decision": "verdict", "protected": ["race"]}}, "columns"),
        ({"columns": {"decision": "decision", "protected": ["sex"]}}, "columns"),
        ({"columns": {"decision": "decision", "protected": ["race"], "truth": "outcome"}}, "columns"),
        ({"columns": {"decision": "decision", "protected": ["race"], "score": "race"}}, "columns.protected"),
        ({"columns": {"decision": "", "protected": ["race"]}}, "columns.decision"),
        ({"favourable": ...}, "favourable.decision"),
        ({"favourable": {"decision": ["yes"]}}, "favourable.decision"),
        ({"favourable": {"decision": [10**400]}}, "favourable.decision"),
        ({"favourable": {"decision": ["y" * 1001]}}, "favourable.decision.0"),
        ({"reference_groups": {"race": "z"}}, "reference_groups.race"),
        ({"model_name": ...}, "model_name"),
        ({"missing_values": ["?"] * 21}, "missing_values"),
    ],
)
def test_fields_of_a_submission(people: People, n_records: Any, change: Any, field: str) -> None:
    """422 and the field's path; no record."""
    details = assert_envelope(people.monitor.post(SUBMIT, submission(**change)), 422, "invalid_input")
    assert details["field"] == field and details["expected"]
    assert n_records() == 0


def test_every_problem_is_listed_once(people: People) -> None:
    """Three wrong fields are three problems; a label that fits no member of its union is one."""
    body = submission(reference_groups={"race": None}, alpha="x", colour=1)
    answer = people.monitor.post(SUBMIT, body)
    problems = assert_envelope(answer, 422)["problems"]
    assert sorted(one["field"] for one in problems) == ["alpha", "colour", "reference_groups.race"]
    assert answer.get_json()["message"].endswith(" 2 more fields are not as expected.")


def test_values_of_rows_and_secrets_are_not_repeated(people: People) -> None:
    """What is wrong in a row is said without its value."""
    answer = people.monitor.post(SUBMIT, submission(rows=[{"race": "a", "decision": 1}, "Mrs Jane Roe"]))
    assert_envelope(answer, 422)
    assert "Jane" not in answer.get_data(as_text=True)


def undefined(data: Any, name: str) -> None:
    """The metric has no value and does not pass for fair."""
    metric = data["metrics"].get(name)
    assert metric is None or (metric["value"] is None and not metric["breached"] and metric["reason"]), metric


@pytest.mark.parametrize(
    ("rows", "severity"),
    [
        (rows_of({"a": (60, 150)}), "UNKNOWN"),
        (rows_of({"a": (5, 10), "b": (1, 10)}), "UNKNOWN"),
        (rows_of({"a": (0, 200), "b": (0, 200)}), None),
        (rows_of({"a": (60, 150), "": (20, 100)}), None),
        ([{"race": None, "decision": place % 2} for place in range(200)], "UNKNOWN"),
        ([*rows_of({"a": (60, 100), "b": (30, 100)}), *({"decision": 1} for _ in range(50))], None),
    ],
    ids=["one group", "few rows", "nobody selected", "empty group", "all unknown", "absent attribute"],
)
def test_data_that_allow_no_comparison(people: People, rows: Any, severity: str | None) -> None:
    """One group, small groups, no selection at all, an empty group's name: 200, and what is undefined is null with a reason."""
    data = assert_envelope(people.monitor.post(SUBMIT, submission(rows)), 200)
    if severity:
        assert data["overall_severity"] == severity
        undefined(data, "disparate_impact_ratio")
    undefined(data, "equal_opportunity_difference")
    assert data["labelled_size"] == 0


def test_all_decisions_equal(people: People) -> None:
    """Everybody selected is parity, and the answer says that all decisions are the same."""
    data = assert_envelope(
        people.monitor.post(SUBMIT, submission(rows_of({"a": (100, 100), "b": (100, 100)}))), 200
    )
    assert data["metrics"]["disparate_impact_ratio"]["value"] == 1
    assert "All rows have the same decision, '1'." in data["remarks"]


def test_an_attribute_with_300_values_and_one_with_too_many(people: People) -> None:
    """300 groups are measured in an answer of bounded size; 1,001 are refused with the setting's name."""

    def rows(n_groups: int) -> list[dict[str, Any]]:
        return [
            {"race": f"g{place % n_groups}", "decision": int(place % 7 < 3)} for place in range(40 * n_groups)
        ]

    answer = people.monitor.post(SUBMIT, submission(rows(300)))
    data = assert_envelope(answer, 200)
    slices = [
        piece for piece in data["demographic_slices"] if piece["attributes"].get("race", "").startswith("g")
    ]
    assert len(slices) == 300 and {piece["size"] for piece in slices} == {40}
    assert len(answer.get_data()) < 2_000_000
    details = assert_envelope(people.monitor.post(SUBMIT, submission(rows(1001))), 422, "invalid_input")
    assert "MAX_ATTRIBUTE_GROUPS" in details["expected"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_in_every_name(people: People, n_records: Any, name: str) -> None:
    """SQL, paths, NUL and markup: refused where a name has a form, plain text where it has none."""
    assert_envelope(people.admin.post(EVALUATE, {"model_name": name}), 422)
    assert_envelope(people.admin.post(EVALUATE, {"version": name}), 422)
    assert_envelope(people.admin.post(REGISTER, {"model_name": name}), 422)
    assert_envelope(people.admin.post(REGISTER, {"model_name": "m", "version": name}), 422)
    assert_envelope(people.admin.post(SUBMIT, submission(model_name=name)), 422)
    assert_envelope(
        people.admin.post(
            "/api/admin/users", {"username": name, "password": "correct horse battery", "role": "monitor"}
        ),
        422,
    )
    assert_envelope(people.admin.call("GET", "/api/audit_history", query_string={"model": name}), 422)
    for path in ("/api/audit_history", "/api/models", "/api/admin/users", "/api/admin/api_keys"):
        assert_envelope(people.admin.call("GET", path, query_string={"cursor": name}), 422)
    assert people.admin.call("GET", f"/api/verify_alert/{name}").status_code in (308, 404, 422)
    assert people.admin.call("GET", f"/api/get_anchor/{name}").status_code in (308, 404, 422)
    assert people.admin.call("POST", "/api/login", json={"username": name, "password": name}).status_code in (
        401,
        422,
    )
    assert n_records() == 0


@pytest.mark.parametrize("name", [name for name in HOSTILE if "\0" not in name])
def test_hostile_text_in_columns_and_groups(people: People, name: str) -> None:
    """Columns and groups may be called anything: they come back as they are, trimmed of blanks, and the evidence holds."""
    column = name or "x"
    groups = {f"{name}1": (60, 100), f"{name}2": (30, 100)}
    body = submission(rows_of(groups, column), columns={"decision": "decision", "protected": [column]})
    data = assert_envelope(people.admin.post(SUBMIT, body), 200)
    there = {
        piece["attributes"][column] for piece in data["demographic_slices"] if column in piece["attributes"]
    }
    assert there == {group.strip() for group in groups}
    assert assert_envelope(people.admin.get(f"/api/verify_alert/{data['record_id']}"), 200)["valid"]
    assert (
        name.strip()
        in assert_envelope(people.admin.get(f"/api/alerts/{data['record_id']}/text"), 200)["text"]
    )


def test_a_nul_is_refused_where_it_stands(people: People, n_records: Any) -> None:
    """PostgreSQL keeps no NUL: a column's name, a group, a decision with one are refused, alert or not."""
    for selected in (10, 60):
        rows = rows_of({"a\0b": (60, 100), "c": (selected, 100)})
        assert assert_envelope(people.monitor.post(SUBMIT, submission(rows)), 422)["got"] == "a NUL character"
    rows = [{"race": "a", "decision": "y\0"}, {"race": "b", "decision": "n"}]
    assert_envelope(people.monitor.post(SUBMIT, submission(rows)), 422)
    body = submission(columns={"decision": "decision", "protected": ["ra\0ce"]})
    assert assert_envelope(people.monitor.post(SUBMIT, body), 422)["field"] == "columns.protected.0"
    assert n_records() == 0


@pytest.mark.parametrize("record_id", ["nothing", "rec_0", "' OR 1=1 --", "a%00b", "%2e%2e"])
def test_an_unknown_record(people: People, record_id: str) -> None:
    """404 at both doors that take a record's id."""
    assert_envelope(people.auditor.get(f"/api/verify_alert/{record_id}"), 404, "not_found")
    assert_envelope(people.auditor.get(f"/api/alerts/{record_id}/text"), 404, "not_found")


def test_a_record_without_alert_has_no_text(people: People) -> None:
    """404 that says so."""
    data = assert_envelope(
        people.monitor.post(SUBMIT, submission(rows_of({"a": (50, 100), "b": (50, 100)}))), 200
    )
    assert data["alert"] is False
    assert_envelope(people.auditor.get(f"/api/alerts/{data['record_id']}/text"), 404, "not_found")


def test_nothing_of_this_leaves_tables_or_files_behind(app: Flask, people: People) -> None:
    """After all hostile input the server is ready and its evidence whole."""
    parts = assert_envelope(people.monitor.get("/api/health?ready=1"), 200)["parts"]
    assert parts["ledger"]["damaged"] is None and parts["ledger"]["pending"] == 0
