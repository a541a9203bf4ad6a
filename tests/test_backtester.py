"""The back-test of a model: over audits, or over counts where none was made; nothing known is never no alarm."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlens_backend import backtester, config, count_history, drift_reader, window_auditor
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.prediction_ingest import Sender, ingest
from fairlens_backend.schemas.audits import WindowAuditRequest
from fairlens_backend.schemas.backtest import BacktestRequest
from fairlens_backend.schemas.drift import DriftQuery
from tests.ingest_kit import NOW, event, register, send
from tests.test_window_auditor import submit

pytestmark = pytest.mark.usefixtures("database")

START = datetime(2026, 2, 26, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS, FROM = 90, 40
SENDER = Sender("acme", "key:fl_1")


def send_hour(number: int, n: int = 300) -> None:
    """300 women and 300 men; men at 50 %, women at 46 % until hour 40, then half a point less an hour."""
    chance = random.Random(number)
    rate = {"F": 0.46 - 0.005 * max(0, number - FROM), "M": 0.5}
    sexes = ["F", "M"] * n
    body = {
        "model_id": "hiring",
        "event_id": [f"{number}-{i}" for i in range(2 * n)],
        "timestamp": [(START + number * HOUR + i * timedelta(seconds=5)).isoformat() for i in range(2 * n)],
        "label": ["yes" if chance.random() < rate[sex] else "no" for sex in sexes],
        "demographic_tags": {"sex": sexes},
    }
    assert ingest(SENDER, json.dumps(body).encode(), NOW)["queued"] == 2 * n


@pytest.fixture
def model(database: None) -> None:
    """The model, registered, by sex."""
    register(columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})


@pytest.fixture
def falling(model: None) -> Iterator[None]:
    """90 hours of decisions without any audit."""
    for number in range(HOURS):
        send_hour(number)
    yield


def run(**asked: Any) -> dict[str, Any]:
    body = {"since": START, "until": START + HOURS * HOUR, "metrics": "dir", **asked}
    return backtester.run_backtest("acme", "hiring", BacktestRequest.model_validate(body), NOW)


CHANGE = [{"time": START + FROM * HOUR}]


def test_counts_stand_in_where_no_audit_was_made(falling: None) -> None:
    """90 hours are counted; the drift is announced before the average crosses, and nothing before it began."""
    # 8 of the periods in which noise does not reach the limit fit before the change.
    found = run(changes=CHANGE, settings={"drift": {"baseline": 8}})
    history = found["history"]
    assert (history["source"], history["grain"], history["n_windows"]) == ("counts", "hour", HOURS)
    assert history["n_decisions"] == HOURS * 600 and history["attributes"] == ["sex"]
    assert found["status"] == "ok" and "hours counted anew" in history["sentence"]
    assert "windows would have alerted, had each been audited" in found["sentence"]
    assert found["severity"]["before"] is None  # nobody was alerted then
    (series,) = found["series"]
    early = series["detectors"]["early_warning"]
    assert early["crossed"] is not None and early["lead_hours"] > 0 and early["false_alarms"] == 0
    assert any("before the crossing" in one for one in found["sentences"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    # 46 − 0.5·h points against 50: a single ratio is beyond 0.8 from about hour 52 on, an average of 20 hours later.
    crossed = datetime.fromisoformat(early["crossed"])
    assert START + 52 * HOUR < crossed < START + 72 * HOUR


def test_two_settings_side_by_side(falling: None) -> None:
    """A lower limit of the CUSUM alarms no later; a stricter ratio alerts in more hours."""
    found = run(
        settings={"drift": {"h": 5.0}},
        compare={"drift": {"h": 2.0}, "thresholds": {"disparate_impact_ratio": 0.9}},
        detectors=["cusum", "threshold"],
    )
    rows = {one["detector"]: one for one in found["comparison"]["rows"]}
    first, second = rows["cusum"]["first_alarm"]
    assert second <= first
    alerts = found["comparison"]["severity"]["n_alerts"]
    assert alerts[0] == found["severity"]["n_alerts"]
    assert rows["threshold"]["n_alarms"][0] > 0
    assert found["comparison"]["second"]["settings"]["policy"]["thresholds"]["disparate_impact_ratio"] == 0.9


def test_audits_are_used_where_there_are_enough(falling: None) -> None:
    """30 audits of three hours each: they are the history, and what alerted then alerts now by the same settings."""
    made = []
    for number in range(3, HOURS + 1, 3):
        end = START + number * HOUR - timedelta(minutes=1)
        made.append(window_auditor.audit_window("acme", "hiring", WindowAuditRequest(window_hours=3), end))
    found = run()
    assert (found["history"]["source"], found["n_audits"]) == ("audits", 30)
    assert found["severity"]["n_alerts"] == sum(one["alert"] for one in made)
    assert found["series"][0]["n_checks"] == 30
    assert run(grain="hour")["history"]["n_windows"] == HOURS
    few = run(grain="audit", until=START + 10 * HOUR)
    assert few["status"] == "insufficient_data" and "says nothing" in few["reason"]
    assert few["n_audits"] == 3


def test_no_history_is_not_no_alarm(model: None) -> None:
    """Nothing decided: unknown, in words that cannot be taken for praise."""
    for grain in (None, "audit", "hour", "day"):
        found = run(grain=grain)
        assert found["status"] == "insufficient_data" and "no alarm is no good news" in found["reason"]
        assert found["history"]["n_windows"] == 0 and found["sentence"] == found["reason"]


def test_an_hour_that_cannot_be_counted_is_said(model: None) -> None:
    """Counted by team alone: the hour was not without decisions, and why it is left out is said."""
    for number in range(2):
        send_hour(2 * number, 20)
    register(version="v2", columns={"decision": "hired", "protected": ["team"]}, group_definitions={})
    other = event(
        "x", model_version="v2", timestamp=(START + HOUR).isoformat(), demographic_tags={"team": "X"}
    )
    send([other], now=NOW)
    register(version="v3", columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    found = run(grain="hour", until=START + 4 * HOUR)
    assert found["history"]["n_decisions"] == 80
    said = "1 hour could not be counted; of the last: Nothing of hiring in this window was counted by sex together"
    assert said in found["history"]["sentence"]
    alone = run(grain="hour", since=START + HOUR, until=START + 2 * HOUR)
    assert alone["status"] == "insufficient_data"
    assert "could be counted: Nothing of hiring in this window was counted by sex" in alone["reason"]
    wanted = DriftQuery(metrics="dir", attribute="sex", grain="hour", since=START, until=START + 4 * HOUR)
    (series,) = drift_reader.drift("acme", "hiring", wanted, NOW)["series"]
    first, second, _, fourth = (point["reason"] for point in series["timeseries"])
    assert "counted by sex" in second and fourth == "No decisions in this period."
    assert "counted by sex" not in str(first)


def test_an_hour_of_too_many_values_is_counted(
    model: None, make_settings: Callable[..., config.Settings]
) -> None:
    """Three values of sex where two are the most: the rare one is not told apart, and the others' figures are as they were."""
    wanted = DriftQuery(metrics="dir", attribute="sex", grain="hour", since=START, until=START + 2 * HOUR)
    for number in range(2):
        send_hour(number, 60)
    (before,) = drift_reader.drift("acme", "hiring", wanted, NOW)["series"]
    send([event("x", timestamp=(START + HOUR).isoformat(), demographic_tags={"sex": "X"})], now=NOW)
    make_settings(MAX_ATTRIBUTE_GROUPS="2")
    (after,) = drift_reader.drift("acme", "hiring", wanted, NOW)["series"]
    assert [one["value"] for one in after["timeseries"]] == [one["value"] for one in before["timeseries"]]
    assert None not in [one["value"] for one in after["timeseries"]]
    first, second = (one["reason"] for one in after["timeseries"])
    assert first is None and second.startswith(
        "sex has 3 different values in this window, of which the 2 with"
    )
    history = run(grain="hour", until=START + 2 * HOUR)["history"]
    assert history["n_decisions"] == 241
    assert "Of 1 hour rare values were counted as unknown; of the last: sex has 3" in history["sentence"]


def test_a_long_range_is_cut_to_its_newest_windows(model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how many it left out; without a wish for the grain, days are taken where hours are too many."""
    for number in (0, 30, 50):
        send_hour(number, 50)
    monkeypatch.setattr(backtester, "MOST_WINDOWS", 24)
    body = BacktestRequest.model_validate({"since": START, "until": START + 72 * HOUR, "grain": "hour"})
    found = backtester.run_backtest("acme", "hiring", body, NOW, most=24)
    assert (found["history"]["n_windows"], found["history"]["left_out"]) == (24, 48)
    assert "48 older ones are left out" in found["history"]["sentence"]
    body = BacktestRequest.model_validate({"since": START, "until": START + 72 * HOUR})
    assert backtester.run_backtest("acme", "hiring", body, NOW, most=24)["history"]["grain"] == "day"


def test_what_cannot_be_asked(model: None) -> None:
    """Each with its field."""
    for asked, error, said in [
        ({"metrics": "beauty"}, InvalidInput, "beauty"),
        ({"attribute": "hair"}, InvalidInput, "hair"),
        ({"until": START - HOUR}, InvalidInput, "since"),
        ({"settings": {"thresholds": {"disparate_impact_ratio": 1.5}}}, InvalidInput, "thresholds"),
    ]:
        with pytest.raises(error, match=said):
            run(**asked)
    body = BacktestRequest.model_validate({})
    with pytest.raises(NotFound):
        backtester.run_backtest("acme", "ghost", body, NOW)
    with pytest.raises(NotFound):
        backtester.run_backtest("other", "hiring", body, NOW)


def test_periods_in_which_nobody_decided_are_not_read(model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 days two had decisions and one a submission: three hours are summed, and all of them are told."""
    for days in (50, 2):
        at = NOW - timedelta(days=days)
        send([event(f"{days}-{i}", timestamp=at.isoformat()) for i in range(10)])
    submit(now=NOW - timedelta(days=20), F=(3, 7))
    read = []
    genuine = count_history.window_counts_reader.counts_of
    monkeypatch.setattr(
        count_history.window_counts_reader,
        "counts_of",
        lambda *given, **more: read.append(given) or genuine(*given, **more),
    )
    subject = window_auditor.settle("acme", "hiring", None, {})
    found = count_history.count(subject, NOW - timedelta(days=60), NOW, 1, ["sex"], most=10_000)
    assert len(found.windows) == 60 * 24 - 1 and len(read) == 3
    assert [window.counts.total for window in found.windows if window.counts.total] == [10, 7, 10]


def test_periods_are_whole_and_aligned() -> None:
    """Days of a range that begins and ends at noon: those between."""
    noon = START + 12 * HOUR
    assert count_history.periods(noon, noon + timedelta(days=3), 24) == [
        (START + timedelta(days=1), START + timedelta(days=2)),
        (START + timedelta(days=2), START + timedelta(days=3)),
    ]
    assert count_history.periods(noon, noon, 1) == []
