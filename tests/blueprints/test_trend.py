"""GET /api/fairness_trend, /api/pre_alert, /api/predict_fairness_drift."""

import pytest

from tests.api import SUBMIT, People, assert_envelope, rows_of, submission

RATIOS = [1.0, 0.95, 0.9, 0.9, 0.85, 0.85]


@pytest.fixture
def series(people: People) -> list[str]:
    """Six checks of one model whose disparate impact ratio falls from 1.0 to 0.85; their record ids."""
    made = []
    for ratio in RATIOS:
        rows = rows_of({"a": (100, 200), "b": (round(100 * ratio), 200)})
        body = submission(rows, model_name="falling", reference_groups={"race": "a"})
        made.append(assert_envelope(people.monitor.post(SUBMIT, body), 200)["record_id"])
    return made


def test_the_trend_of_six_checks(people: People, series: list[str]) -> None:
    """Values oldest first with their records; average (1+.95+.9+.9+.85+.85)/6; velocity (.8667−.95)/3."""
    data = assert_envelope(people.monitor.get("/api/fairness_trend?metric=dir&model=falling"), 200)
    assert [point["record_id"] for point in data["values"]] == series
    assert [round(point["value"], 6) for point in data["values"]] == RATIOS
    assert data["moving_average"] == pytest.approx(5.45 / 6)
    assert data["velocity"] == pytest.approx((2.6 / 3 - 2.85 / 3) / 3)
    assert [round(point["moving_average"], 6) for point in data["values"]][:3] == [1.0, 0.975, 0.95]
    assert (data["n_checks"], data["threshold"], data["metric"]) == (6, 0.8, "dir")


def test_a_window_is_the_last_checks(people: People, series: list[str]) -> None:
    """window=2 looks at the last two."""
    data = assert_envelope(people.monitor.get("/api/fairness_trend?window=2&model=falling"), 200)
    assert [point["record_id"] for point in data["values"]] == series[-2:]
    assert data["moving_average"] == pytest.approx(0.85)


def test_a_metric_that_has_no_value_is_not_zero(people: People, series: list[str]) -> None:
    """Without truth the equal opportunity difference is undefined in every check: null, and counted as such."""
    data = assert_envelope(people.monitor.get("/api/fairness_trend?metric=eod&model=falling"), 200)
    assert (data["n_checks"], data["n_undefined"], data["moving_average"], data["velocity"]) == (
        6,
        6,
        None,
        None,
    )
    verdict = assert_envelope(people.monitor.get("/api/pre_alert?metric=eod&model=falling"), 200)
    assert verdict["pre_alert"] is None and verdict["reasons"]


def test_pre_alert_looks_ahead(people: People, series: list[str]) -> None:
    """0.908 falling by 0.028 a check is within 0.8 in 3 checks and beyond it in 5; against 0.95 it is beyond now."""
    ahead = assert_envelope(people.monitor.get("/api/pre_alert?model=falling&horizon=5"), 200)
    near = assert_envelope(people.monitor.get("/api/pre_alert?model=falling&horizon=3"), 200)
    now = assert_envelope(people.monitor.get("/api/pre_alert?model=falling&threshold=0.95&horizon=0"), 200)
    assert (ahead["pre_alert"], near["pre_alert"], now["pre_alert"]) == (True, False, True)
    assert ahead["projected"] == pytest.approx(5.45 / 6 - 5 * 0.25 / 9)


def test_a_prediction_has_its_interval(people: People, series: list[str]) -> None:
    """It falls on, the interval holds it, the probability is one, and it says what to do."""
    data = assert_envelope(people.monitor.get("/api/predict_fairness_drift?model=falling&horizon=2"), 200)
    assert (
        data["interval"][0] <= data["predicted_dir"] <= data["interval"][1] and data["predicted_dir"] < 0.86
    )
    assert 0 <= data["probability"] <= 1 and data["action"]


@pytest.mark.parametrize("path", ["/api/fairness_trend", "/api/pre_alert", "/api/predict_fairness_drift"])
def test_nothing_stored(people: People, path: str) -> None:
    """Of all models: an empty series that says nothing about fairness. Of a model that was never checked: 404."""
    data = assert_envelope(people.monitor.get(path), 200)
    assert data.get("n_checks", 0) == 0 and data.get("moving_average") is None
    assert data.get("pre_alert") is None and data.get("predicted_dir") is None
    assert_envelope(people.monitor.get(f"{path}?model=never"), 404, "not_found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("window=1", "window"),
        ("window=1001", "window"),
        ("window=ten", "window"),
        ("model=a%20b", "model"),
        ("colour=red", "colour"),
        ("window=1e1", "window"),
    ],
)
@pytest.mark.parametrize("path", ["/api/fairness_trend", "/api/pre_alert", "/api/predict_fairness_drift"])
def test_bad_queries(people: People, path: str, query: str, field: str) -> None:
    """422 and the field."""
    assert assert_envelope(people.monitor.get(f"{path}?{query}"), 422, "invalid_input")["field"] == field


@pytest.mark.parametrize(
    "query", ["threshold=-0.1", "threshold=inf", "threshold=x", "horizon=-1", "metric=accuracy"]
)
def test_bad_pre_alert_queries(people: People, query: str) -> None:
    """422 and the field."""
    details = assert_envelope(people.monitor.get(f"/api/pre_alert?{query}"), 422, "invalid_input")
    assert details["field"] == query.split("=", maxsplit=1)[0]
