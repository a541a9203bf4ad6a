"""GET /v1/models/{id}/drift."""

import pytest

from tests.api import SUBMIT, People, assert_envelope, rows_of, submission


@pytest.fixture
def audited(people: People) -> None:
    """Three submissions of one model with ratios of 1, 0.9 and 0.8."""
    for selected in (100, 90, 80):
        rows = rows_of({"a": (100, 200), "b": (selected, 200)})
        body = submission(rows, model_name="falling", reference_groups={"race": "a"})
        assert_envelope(people.monitor.post(SUBMIT, body), 200)


def test_a_series_comes_out_as_it_went_in(people: People, audited: None) -> None:
    """The ratios in order of time, on the series and on the grid; no baseline yet, and that is said."""
    data = assert_envelope(people.monitor.get("/v1/models/falling/drift?metrics=dir"), 200)
    (series,) = data["series"]
    assert [point["value"] for point in series["timeseries"]] == pytest.approx([1.0, 0.9, 0.8])
    assert data["aligned"]["series"][0]["values"] == pytest.approx([1.0, 0.9, 0.8])
    assert series["baseline"] is None and "20 needed" in series["baseline_reason"]
    assert (data["status"], data["model_id"], data["window_days"]) == ("ok", "falling", 30)
    assert series["prediction"]["predicted"] == pytest.approx(0.7)


def test_the_usual_metrics_without_being_named(people: People, audited: None) -> None:
    """The five of the record; those without labels say so and have no value."""
    data = assert_envelope(people.monitor.get("/v1/models/falling/drift"), 200)
    assert [one["metric"] for one in data["series"]] == [
        "disparate_impact_ratio",
        "statistical_parity_difference",
        "equal_opportunity_difference",
        "average_odds_difference",
        "theil_index",
    ]
    assert [one["status"] for one in data["series"]] == ["ok", "ok", *["insufficient_data"] * 3]


def test_nothing_there(people: People, others: People, audited: None) -> None:
    """404 of a model that nobody has audited, and of another tenant's; 200 and a reason where the window is empty."""
    assert_envelope(people.monitor.get("/v1/models/never/drift"), 404, "not_found")
    assert_envelope(others.monitor.get("/v1/models/falling/drift"), 404, "not_found")
    answer = people.monitor.get("/v1/models/falling/drift?until=2020-01-01T00:00:00Z")
    assert assert_envelope(answer, 200)["status"] == "insufficient_data"
    message = answer.get_json()["message"]
    assert "unknown" in message and "grain=hour or day" in message


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("metrics=beauty", "metrics"),
        ("attribute=age", "attribute"),
        ("grain=7", "grain"),
        ("window_days=0", "window_days"),
        ("until=2026-01-01T00:00:00", "until"),
        ("until=soon", "until"),
        ("until=0001-01-01T00:00:00Z", "until"),
        ("colour=red", "colour"),
    ],
)
def test_what_cannot_be_asked(people: People, audited: None, query: str, field: str) -> None:
    """422 that names the field."""
    details = assert_envelope(people.monitor.get(f"/v1/models/falling/drift?{query}"), 422, "invalid_input")
    assert details["field"] == field
