"""Audits of a window, the list, what-if, mix or rates, dry runs: each against counts known by hand."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from fairlens_backend import telemetry
from fairlens_backend.storage import session, tables
from tests.api import SUBMIT, assert_envelope, rows_of, submission

WINDOW = "/v1/models/hiring/audit"


@pytest.fixture
def two(people):
    """Two submissions for one model: 60 of 100 against 30 of 100, and 40 of 100 against 50 of 100."""
    first = assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    second = assert_envelope(
        people.monitor.post(SUBMIT, submission(rows_of({"a": (40, 100), "b": (50, 100)}))), 200
    )
    return first, second


def metric(audit, name, attribute="race"):
    return audit["attributes"][attribute][name]


def test_a_window_is_the_sum_of_its_submissions(people, two):
    """100 of 200 against 80 of 200: 0.8, where the two alone had 0.5 and 1.25."""
    audit = assert_envelope(people.monitor.post(WINDOW, {}), 200)
    assert audit["sample_size"] == 400 and audit["audits_summed"] == 2
    ratio = metric(audit, "disparate_impact_ratio")
    assert ratio["value"] == pytest.approx(0.8, abs=1e-12) and ratio["groups_compared"] == ["b", "a"]
    # It ends with the minute that is under way: what was sent a moment ago is in it.
    assert (
        audit["window_end"][:17] > audit["audit_timestamp"][:17] and audit["window_end"][17:] == "00.000000Z"
    )
    assert audit["model_id"] == "hiring" and audit["mitigation_id"] is None


def test_a_window_is_not_summed_again(people, two):
    """The second audit of the same window has the same 400 rows."""
    sizes = [assert_envelope(people.monitor.post(WINDOW, {}), 200)["sample_size"] for _ in range(2)]
    assert sizes == [400, 400]


def test_a_window_audit_is_recorded_and_verified(people, two):
    """It stands in the history with evidence, and its counts name the audits that they were summed from."""
    audit = assert_envelope(people.monitor.post(WINDOW, {}), 200)
    verdict = assert_envelope(people.auditor.get(f"/api/verify_alert/{audit['record_id']}"), 200)
    assert verdict["valid"] is True
    full = assert_envelope(people.monitor.get(f"/v1/audits/{audit['audit_id']}", counts="1"), 200)
    assert full["counts"]["audits"] == [one["audit_id"] for one in two]
    assert sum(row[4] for row in full["counts"]["rows"]) == 400


def test_submissions_before_the_window_are_not_in_it(people, two, monkeypatch):
    """Two hours later the last hour is empty, the last three hours are not."""
    later = telemetry.utc_now() + timedelta(hours=2)
    monkeypatch.setattr(
        "fairlens_backend.blueprints.audits.telemetry", SimpleNamespace(utc_now=lambda: later)
    )
    asked = {"window_hours": 1, "protected_attributes": ["race"]}
    empty = assert_envelope(people.monitor.post(WINDOW, asked), 200)
    assert empty["overall_severity"] == "UNKNOWN" and empty["sample_size"] == 0 and empty["alert"] is False
    assert "insufficient_data" in empty["message"] and "in the 1 hour before" in empty["message"]
    assert metric(empty, "disparate_impact_ratio")["status"] == "insufficient_data"
    full = assert_envelope(people.monitor.post(WINDOW, {**asked, "window_hours": 3}), 200)
    assert full["sample_size"] == 400


def test_attributes_may_be_chosen_and_an_unknown_one_is_named(people):
    """Counts of two attributes give the audit of one of them."""
    rows = [{"decision": i % 2, "race": "ab"[i % 3 == 0], "sex": "FM"[i % 4 == 0]} for i in range(400)]
    body = submission(rows, columns={"decision": "decision", "protected": ["race", "sex"]})
    assert_envelope(people.monitor.post(SUBMIT, body), 200)
    one = assert_envelope(people.monitor.post(WINDOW, {"protected_attributes": ["sex"]}), 200)
    assert one["protected_attributes"] == ["sex"] and one["sample_size"] == 400
    assert assert_envelope(people.monitor.post(WINDOW, {}), 200)["protected_attributes"] == ["race", "sex"]
    details = assert_envelope(
        people.monitor.post(WINDOW, {"protected_attributes": ["age"]}), 422, "invalid_input"
    )
    assert details["field"] == "protected_attributes" and "race" in details["expected"]


def test_submissions_without_an_attribute_are_left_out_and_said(people, two):
    """A third one counted sex only; 400 rows of race remain, and a remark names what is missing."""
    rows = rows_of({"F": (10, 100), "M": (20, 100)}, "sex")
    body = submission(rows, columns={"decision": "decision", "protected": ["sex"]})
    assert_envelope(people.monitor.post(SUBMIT, body), 200)
    audit = assert_envelope(people.monitor.post(WINDOW, {"protected_attributes": ["race"]}), 200)
    assert audit["sample_size"] == 400
    assert any("1 of 3 submissions did not count race" in remark for remark in audit["remarks"])


def test_a_reference_group_that_does_not_occur_is_said(people):
    """It is registered, but the window has none of it: no error, another is chosen and the result says both."""
    registered = {
        "model_name": "hiring", "columns": {"decision": "decision", "protected": ["race"]},
        "favourable": {"decision": [1]}, "reference_groups": {"race": "c"},
    }  # fmt: skip
    assert_envelope(people.admin.post("/api/models/register", registered), 201)
    asked = submission(reference_groups={"race": "a"}, version="v1")
    assert_envelope(people.monitor.post(SUBMIT, asked), 200)
    audit = assert_envelope(people.monitor.post(WINDOW, {}), 200)
    assert any("reference group c of race does not occur" in remark for remark in audit["remarks"])
    assert audit["reference_groups"]["race"] == {"group": "a", "chosen": "highest selection rate"}


def test_a_registered_model_without_submissions_is_unknown(people):
    """Nothing is not fair."""
    registered = {
        "model_name": "hiring", "columns": {"decision": "d", "protected": ["race"]}, "favourable": {"decision": [1]},
        "reference_groups": {"race": "a"},
    }  # fmt: skip
    assert_envelope(people.admin.post("/api/models/register", registered), 201)
    assert assert_envelope(people.monitor.post(WINDOW, {}), 200)["overall_severity"] == "UNKNOWN"


def test_versions_are_summed_or_told_apart(people):
    """All together with a remark, or one of them."""
    for version in ("v1", "v2"):
        assert_envelope(people.monitor.post(SUBMIT, submission(version=version)), 200)
    both = assert_envelope(people.monitor.post(WINDOW, {}), 200)
    assert both["sample_size"] == 400 and any("2 versions: v1, v2" in remark for remark in both["remarks"])
    one = assert_envelope(people.monitor.post(WINDOW, {"version": "v2"}), 200)
    assert (one["sample_size"], one["model_version"]) == (200, "v2")


def test_a_model_that_nobody_knows_is_404(people, others, two):
    """Neither registered nor audited; another tenant's model is as unknown."""
    assert_envelope(people.monitor.post("/v1/models/none/audit", {}), 404, "not_found")
    assert_envelope(others.monitor.post(WINDOW, {}), 404, "not_found")
    assert_envelope(others.monitor.post("/v1/models/hiring/policy/dry_run", {}), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"window_hours": 0}, "window_hours"),
        ({"window_hours": "1"}, "window_hours"),
        ({"protected_attributes": []}, "protected_attributes"),
        ({"hours": 1}, "hours"),
        ({"until": "0001-01-01T00:00:00Z"}, "until"),
    ],
)
def test_a_bad_body_is_refused_by_its_field(people, body, field):
    """422 with the path of the field."""
    assert assert_envelope(people.monitor.post(WINDOW, body), 422, "invalid_input")["field"] == field


def test_the_list_pages_and_filters(people, others, two):
    """Newest first, by model and severity; another tenant sees none of it."""
    first, second = two
    page = assert_envelope(people.monitor.get("/v1/audits", limit=1), 200)
    assert [one["audit_id"] for one in page["items"]] == [second["audit_id"]]
    rest = assert_envelope(people.monitor.get("/v1/audits", limit=1, cursor=page["next_cursor"]), 200)
    assert [one["audit_id"] for one in rest["items"]] == [first["audit_id"]] and rest["next_cursor"] is None
    assert rest["items"][0]["model_id"] == "hiring" and rest["items"][0]["dir"] == 0.5
    for severity in ("CRITICAL", "UNKNOWN"):
        found = assert_envelope(people.monitor.get("/v1/audits", severity=severity), 200)["items"]
        ids = [one["audit_id"] for one in (second, first) if one["overall_severity"] == severity]
        assert [one["audit_id"] for one in found] == ids
    assert assert_envelope(people.monitor.get("/v1/audits", model="other"), 200)["items"] == []
    assert assert_envelope(others.monitor.get("/v1/audits"), 200)["items"] == []
    assert_envelope(people.monitor.get("/v1/audits", severity="BAD"), 422, "invalid_input")
    assert_envelope(people.monitor.get("/v1/audits", cursor="x"), 422, "invalid_input")


def test_one_audit_in_full_is_the_answer_that_was_given(people, others, two):
    """Every figure of the submission, its record, and not for another tenant."""
    first, _ = two
    audit = assert_envelope(people.monitor.get(f"/v1/audits/{first['audit_id']}"), 200)
    assert {name: audit[name] for name in ("attributes", "sentences", "record_id", "demographic_slices")} == {
        name: first[name] for name in ("attributes", "sentences", "record_id", "demographic_slices")
    }
    assert "counts" not in audit
    assert_envelope(others.monitor.get(f"/v1/audits/{first['audit_id']}"), 404, "not_found")
    assert_envelope(people.monitor.get("/v1/audits/aud_none"), 404, "not_found")


@pytest.fixture
def scored(people):
    """Scores 0.25 and 0.75: a has 75 of 100 at 0.75, b 25 of 100; whoever is at 0.75 is selected and deserves it."""
    rows = [
        {"decision": int(i < high), "truth": int(i < high), "s": 0.75 if i < high else 0.25, "race": group}
        for group, high in (("a", 75), ("b", 25))
        for i in range(100)
    ]
    columns = {"decision": "decision", "truth": "truth", "score": "s", "protected": ["race"]}
    return assert_envelope(people.monitor.post(SUBMIT, submission(rows, columns=columns)), 200)


def test_thresholds_from_the_stored_counts(people, scored):
    """Equal opportunity holds already at any threshold between 0.3 and 0.7, at no cost."""
    path = f"/v1/audits/{scored['audit_id']}/thresholds"
    found = assert_envelope(people.monitor.get(path, attribute="race", criterion="equal_opportunity"), 200)
    (pair,) = found["pairs"]
    assert pair["groups_compared"] == ["b", "a"] and pair["met_already"] is True
    assert pair["accuracy"]["before"] == pair["accuracy"]["after"] == 1.0
    parity = assert_envelope(people.monitor.get(path, attribute="race", criterion="demographic_parity"), 200)
    # Equal selection rates need 50 of 200 people to be decided against their outcome: accuracy 0.75 at best.
    assert parity["pairs"][0]["accuracy"]["after"] == pytest.approx(0.75, abs=0.006)
    assert_envelope(people.monitor.get(path, attribute="sex"), 422, "invalid_input")
    assert_envelope(people.monitor.get(path), 422, "invalid_input")
    assert_envelope(people.monitor.get(path, attribute="race", criterion="justice"), 422, "invalid_input")


def test_error_rates_from_scores_alone(people, scored):
    """Of 75 selected at 0.75 and 25 refused at 0.25, 56.25 + 6.25 are expected to deserve it: a rate of 0.9."""
    path = f"/v1/audits/{scored['audit_id']}/estimates"
    found = assert_envelope(people.monitor.get(path, attribute="race"), 200)
    rate = found["groups"]["a"]["rates"]["true_positive_rate"]
    assert rate["value"] == pytest.approx(0.9) and rate["is_estimate"] is True
    assert rate["labelled"]["value"] == 1.0 and found["reference_group"] == "a"
    assert_envelope(people.monitor.get(path, attribute="sex"), 422, "invalid_input")
    assert_envelope(people.monitor.get("/v1/audits/aud_none/estimates", attribute="race"), 404, "not_found")


def by_region(rates):
    """Rows of 100 for each (race, region), so many of them selected."""
    return [
        {"decision": int(i < selected), "race": race, "region": region}
        for (race, region), (selected, n) in rates.items()
        for i in range(n)
    ]


def test_mix_or_rates_adds_up_exactly(people):
    """Only who applied changes: at the same rates in each region the whole change of the gap is mix."""
    columns = {"decision": "decision", "protected": ["race", "region"]}
    before = by_region(
        {("a", "N"): (80, 100), ("a", "S"): (20, 100), ("b", "N"): (80, 100), ("b", "S"): (20, 100)}
    )
    after = by_region(
        {("a", "N"): (80, 100), ("a", "S"): (20, 100), ("b", "N"): (40, 50), ("b", "S"): (30, 150)}
    )
    ids = [
        assert_envelope(people.monitor.post(SUBMIT, submission(rows, columns=columns)), 200)["audit_id"]
        for rows in (before, after)
    ]
    path = f"/v1/audits/{ids[1]}/decomposition"
    query = {"attribute": "race", "stratum": "region", "group": "b", "reference": "a"}
    found = assert_envelope(people.monitor.get(path, against=ids[0], **query), 200)
    gap = found["gap"]
    # b: 70 of 200 are selected after, 100 of 200 before; the gap goes from 0 to −0.15.
    assert gap["change"]["value"] == pytest.approx(-0.15, abs=1e-12)
    assert gap["mix"]["value"] == pytest.approx(-0.15, abs=1e-12)
    assert gap["rates"]["value"] == pytest.approx(0.0, abs=1e-12)
    within = assert_envelope(people.monitor.get(path, **query), 200)
    assert within["against"] is None and within["gap"]["mix"]["value"] == pytest.approx(-0.15, abs=1e-12)
    assert_envelope(people.monitor.get(path, against="aud_none", **query), 404, "not_found")
    assert_envelope(people.monitor.get(path, attribute="race", stratum="age"), 422, "invalid_input")
    assert_envelope(people.monitor.get(path, attribute="sex", stratum="region"), 422, "invalid_input")
    other = submission(before, columns=columns, model_name="lending")
    foreign = assert_envelope(people.monitor.post(SUBMIT, other), 200)["audit_id"]
    assert_envelope(people.monitor.get(path, against=foreign, **query), 422, "invalid_input")


def test_a_dry_run_counts_and_writes_nothing(people, two):
    """By a limit of 0.4 and none on the rest, nothing would have alerted; no record is added."""
    path = "/v1/models/hiring/policy/dry_run"
    as_it_was = assert_envelope(people.monitor.post(path, {}), 200)
    assert as_it_was["n_audits"] == 2
    assert as_it_was["n_alerts"] == sum(one["alert"] for one in two) >= 1
    lenient = {
        "disparate_impact_ratio": 0.4, "demographic_parity_difference": 0.9, "statistical_parity_subgroup_lift": 9.0,
        "statistical_parity_difference": 0.9,
    }  # fmt: skip
    known = {one["name"] for one in assert_envelope(people.monitor.get("/v1/metrics"), 200)["items"]}
    for name in list(lenient):
        if name not in two[0]["metrics"]:
            assert name in known
            del lenient[name]
    found = assert_envelope(people.monitor.post(path, {"thresholds": lenient}), 200)
    assert found["n_alerts"] == 0 and "0 of 2 audits would have alerted" in found["sentence"]
    assert len(assert_envelope(people.monitor.get("/v1/audits"), 200)["items"]) == 2
    assert_envelope(people.monitor.post(path, {"thresholds": {"no_metric": 1.0}}), 422, "invalid_input")
    assert_envelope(people.monitor.post(path, {"alpha": 2}), 422, "invalid_input")


CALLS = (
    ("POST", WINDOW), ("POST", "/v1/models/hiring/policy/dry_run"), ("GET", "/v1/audits"), ("GET", "/v1/audits/aud_x"),
    ("GET", "/v1/audits/aud_x/thresholds"), ("GET", "/v1/audits/aud_x/decomposition"), ("GET", "/v1/metrics"),
    ("GET", "/v1/metrics/dir"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nobody_without_a_token(client, method, path):
    """401 before any body or query is read."""
    answer = client.open(path, method=method, json={"nonsense": 1} if method == "POST" else None)
    assert_envelope(answer, 401, "not_authenticated")


def test_nothing_is_lost_when_a_window_holds_many_audits(people, two, monkeypatch):
    """Tables are summed a few at a time; the sum is the same."""
    monkeypatch.setattr("fairlens_backend.window_counts_reader.SUMMED_AT_ONCE", 1)
    assert assert_envelope(people.monitor.post(WINDOW, {}), 200)["sample_size"] == 400
    with session.read_snapshot() as rows:
        assert rows.query(tables.Audit).filter_by(tenant=people.tenant).count() == 3


def test_a_window_keeps_the_reference_groups_that_were_declared(people):
    """Submissions compared with b, where a has the higher rate: the window is compared with b too."""
    for _ in range(2):
        assert_envelope(people.monitor.post(SUBMIT, submission(reference_groups={"race": "b"})), 200)
    audit = assert_envelope(people.monitor.post(WINDOW, {}), 200)
    assert audit["reference_groups"]["race"] == {"group": "b", "chosen": "declared"}
