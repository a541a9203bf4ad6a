"""The seed's functions on the last checks: `log_to_db`, `get_recent`, `rolling_average`, `pre_alert_check`; velocity."""

from datetime import UTC, datetime, timedelta

import pytest

from fairlens_backend import compliance_logger, drift_reader, model_registry, schedule_keeper, trend_analyzer
from fairlens_backend.data_simulator import generate_loan_data
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.fairness_metrics import compute_all_metrics
from fairlens_backend.schemas.drift import DriftQuery
from fairlens_backend.schemas.schedules import ScheduleRequest
from fairlens_backend.trend_analyzer import get_recent, log_to_db, pre_alert_check, rolling_average, velocity
from tests.test_drift_reader import DAY, START, audit, loans

NOW = datetime(2026, 1, 2, tzinfo=UTC)
METRICS = compute_all_metrics(generate_loan_data(200))


def store(
    values: list[float | None], metric: str = "dir", model: str = "loan_model", tenant: str = "default"
) -> None:
    """Checks a minute apart whose metric has these values."""
    for minute, value in enumerate(values):
        log_to_db({**METRICS, metric: value}, model=model, tenant=tenant, now=NOW + timedelta(minutes=minute))


def test_what_is_logged_is_read_again(database: None) -> None:
    """Every figure of `compute_all_metrics` comes back, with evidence that verifies."""
    record = log_to_db(METRICS, drift_level=0.25, now=NOW)
    (row,) = get_recent()
    assert row["sample_size"] == 200
    for name in ("dir", "spd", "eod", "aod", "theil", "female_rate", "male_rate", "alert"):
        assert row[name] == METRICS[name], name
    assert (row["record_id"], row["drift_level"]) == (record["record_id"], 0.25)
    assert compliance_logger.verify_record(record["record_id"], "default")["valid"]


def test_an_alert_is_logged_with_its_text(database: None) -> None:
    """The message of a drifted check is kept encrypted, and can be read."""
    drifted = compute_all_metrics(generate_loan_data(2000, 1.0))
    assert drifted["alert"]
    record = log_to_db(drifted, now=NOW)
    answer = compliance_logger.read_alert_text(record["record_id"], "default", "reader", "192.0.2.1", NOW)
    assert answer["text"] == drifted["message"]


def test_metrics_that_are_none_are_named(database: None) -> None:
    """What `compute_all_metrics` did not give is no check."""
    with pytest.raises(InvalidInput, match="sample_size, severity"):
        log_to_db({"dir": 0.9, "alert": False, "message": ""})
    assert get_recent() == []


def test_recent_is_the_last_window_oldest_first(database: None) -> None:
    """Of one model or of all, of one tenant only."""
    store([0.9, 0.8, 0.7])
    store([0.1], model="other")
    store([0.5], tenant="theirs")
    assert [row["dir"] for row in get_recent(2)] == [0.7, 0.1]
    assert [row["dir"] for row in get_recent(2, model="loan_model")] == [0.8, 0.7]
    assert [row["dir"] for row in get_recent(tenant="theirs")] == [0.5]
    assert get_recent(tenant="nobody") == []


def test_the_rolling_average_leaves_out_what_is_undefined(database: None) -> None:
    """(0.9 + 0.7) / 2, not / 3; of nothing it is None, never 0."""
    assert rolling_average("dir") is None
    store([0.9, None, 0.7])
    assert rolling_average("dir") == pytest.approx(0.8)
    assert rolling_average("dir", window=1) == pytest.approx(0.7)
    assert rolling_average("dir", window=2) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0.0),
        ([0.5], 0.0),
        ([0.9, 0.8], -0.1),
        ([0.9, 0.5, 0.8], -0.05),
        ([1.0, 0.9, 0.8, 0.7], -0.1),
        ([0.5] * 9, 0.0),
    ],
)
def test_velocity_is_the_halves_difference_a_check(values: list[float], expected: float) -> None:
    """Later half's mean minus earlier half's, over the distance of their centres; a straight line gives its slope."""
    assert velocity(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "threshold", "horizon", "expected"),
    [
        ([], 0.8, 5, None),
        ([0.5], 0.8, 5, None),
        ([0.7, 0.7], 0.8, 0, True),
        ([0.9, 0.9], 0.8, 1000, False),
        ([1.0, 0.9], 0.8, 1, False),
        ([1.0, 0.9], 0.8, 2, True),
        ([0.81, 0.95], 0.8, 1000, False),
        ([None, 0.7, None, 0.7], 0.8, 0, True),
        ([0.8, 0.8], 0.8, 5, False),
    ],
)
def test_pre_alert_of_a_ratio(
    database: None, values: list[float | None], threshold: float, horizon: int, expected: bool | None
) -> None:
    """Beyond now, or within the horizon at the present speed; at the threshold itself is not beyond; too few: unknown."""
    store(values)
    answer = pre_alert_check("dir", threshold, horizon=horizon)
    assert answer["pre_alert"] is expected and answer["reasons"]


def test_too_few_values_are_counted_in_the_window(database: None) -> None:
    """Older checks have a value, the last two have none: the reason speaks of those, and denies no other."""
    store([0.9, 0.8, None, None])
    [reason] = pre_alert_check(window=2)["reasons"]
    assert reason.startswith("0 of the last 2 checks have a dir")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.2, 0.2], True),
        ([-0.2, -0.2], True),
        ([0.05, -0.05], True),  # on its way to −0.2, beyond the limit of the other side
        ([0.05, -0.05, 0.05, -0.05], False),
        ([0.02, 0.06], True),
    ],
)
def test_pre_alert_of_a_difference(database: None, values: list[float], expected: bool) -> None:
    """A difference is beyond by its size, whichever group it favours, and grows towards it."""
    store(values, metric="spd")
    assert pre_alert_check("spd", 0.1, horizon=2)["pre_alert"] is expected


def test_the_metrics_own_threshold_when_none_is_given(database: None) -> None:
    """STATISTICS: 0.8 for the ratio."""
    store([0.79, 0.79])
    answer = pre_alert_check()
    assert (answer["threshold"], answer["pre_alert"]) == (0.8, True)


def test_a_models_own_limit_holds_where_none_is_asked_for(database: None) -> None:
    """The registered one, above it the schedule's, above both the request's; a model without, or none at all, has the
    metric's. 0.85 is beyond 0.9 and within 0.8."""
    store([0.85, 0.85, 0.85])
    asked = {"model": "loan_model", "tenant": "default"}
    assert (pre_alert_check(**asked)["threshold"], pre_alert_check(**asked)["pre_alert"]) == (0.8, False)
    model_registry.register_model(
        "loan_model",
        "v1",
        tenant="default",
        declarations={"thresholds": {"disparate_impact_ratio": 0.9}},
        created_by="ann",
        now=NOW,
    )
    answer = pre_alert_check(**asked)
    assert (answer["threshold"], answer["pre_alert"]) == (0.9, True)
    assert trend_analyzer.trend("dir", 10, **asked)["threshold"] == 0.9
    predicted = trend_analyzer.predict(10, threshold=None, horizon=1, **asked)
    assert (predicted["threshold"], predicted["checks_to_breach"]) == (0.9, 0)
    assert pre_alert_check("dir", 0.8, **asked)["pre_alert"] is False
    assert trend_analyzer.predict(10, threshold=0.8, horizon=1, **asked)["threshold"] == 0.8
    assert pre_alert_check("spd", **asked)["threshold"] == 0.1
    assert pre_alert_check("dir", tenant="default")["threshold"] == 0.8
    wanted = ScheduleRequest.model_validate({"settings": {"thresholds": {"disparate_impact_ratio": 0.95}}})
    schedule_keeper.put_schedule("default", "loan_model", wanted, "ann", NOW)
    assert pre_alert_check(**asked)["threshold"] == 0.95


def test_names_that_are_unknown(database: None) -> None:
    """A metric that does not exist is refused with those that do; a model without checks is not found."""
    for call in (rolling_average, pre_alert_check):
        with pytest.raises(InvalidInput, match="dir, spd, eod, aod, theil"):
            call("beauty")
    with pytest.raises(NotFound, match="ghost"):
        trend_analyzer.require_checks("ghost", "default")


def test_a_level_that_changes_once_is_one_breakpoint(database: None) -> None:
    """Twelve checks at 0.95, twelve at 0.6: the record at which it changed."""
    store([0.95, 0.94, 0.96] * 4 + [0.6, 0.61, 0.59] * 4)
    answer = trend_analyzer.trend("dir", 100, model="loan_model", tenant="default")
    (found,) = answer["breakpoints"]
    assert [point["record_id"] for point in answer["values"]].index(found) == 12


def test_values_are_the_worst_attributes_figures_as_the_drift_reads_them(database: None) -> None:
    """By hand: women 25 of 40 % where regions are 60 and 20 %, so the ratio is 0.33 by region, and sex is the lesser evil."""
    for number, step in enumerate((0, 1, 2)):
        audit(number, loans(100 - 15 * step, 100 + 15 * step))
    points = trend_analyzer.trend("dir", 10, model="hiring", tenant="acme")["values"]
    assert [point["attribute"] for point in points] == ["region"] * 3
    assert [point["value"] for point in points] == pytest.approx([1 / 3] * 3)
    series = drift_reader.drift(
        "acme", "hiring", DriftQuery(metrics="dir", attribute="region"), START + 4 * DAY
    )
    assert [one["value"] for one in series["series"][0]["timeseries"]] == [point["value"] for point in points]
    predicted = trend_analyzer.predict(10, model="hiring", tenant="acme", threshold=0.8, horizon=1)
    assert predicted["predicted_dir"] == pytest.approx(series["series"][0]["prediction"]["predicted"])
    assert predicted["interval"] == pytest.approx(series["series"][0]["prediction"]["interval"])


def test_checks_that_share_rows_or_were_made_anew_are_one(database: None) -> None:
    """Four audits of one hour, a quarter of an hour apart, and the last one again: only what shares no rows is a check."""
    for quarter in (0, 1, 2, 3):
        audit(quarter, loans(100, 100), every=timedelta(minutes=15))
    audit(4, loans(100, 100), every=timedelta(minutes=15))
    audit(4, loans(70, 130), every=timedelta(minutes=15))  # the same window, after labels came
    values = trend_analyzer.trend("spd", 10, model="hiring", tenant="acme")["values"]
    assert (
        len(values)
        == 2
        == len(
            drift_reader.drift("acme", "hiring", DriftQuery(metrics="spd", attribute="sex"), START + DAY)[
                "series"
            ][0]["timeseries"]
        )
    )
