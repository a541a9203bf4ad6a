"""A back-test over kept audits: the policy's own alerts, the detectors, and two settings side by side."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from fairlens_backend.core.backtest import (
    BacktestSettings,
    CountedWindow,
    audits_of_windows,
    backtest,
    compare,
)
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.backtest import ChangePoint
from fairlens_backend.core.drift.drift_settings import BaselineWindow, DriftSettings
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.policy_replay import StoredAudit
from fairlens_backend.errors import InvalidInput

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RATIO = ["disparate_impact_ratio"]
DRIFT = DriftSettings(grains=(1, 2, 3), n_resamples=100)


@pytest.fixture(scope="module")
def history() -> list[StoredAudit]:
    """90 hours of 4,000 decisions: the ratio is 0.92 for 40 hours, then falls by 0.004 an hour and crosses at hour 70."""
    rng = np.random.default_rng(21)
    windows = []
    for hour in range(90):
        ratio = 0.92 - 0.004 * max(0, hour - 40)
        women, men = int(rng.binomial(2_000, 0.5 * ratio)), int(rng.binomial(2_000, 0.5))
        n = np.zeros((2, 2, 3, 11), dtype=np.int64)
        n[:, 1, 2, 10] = women, men
        n[:, 0, 2, 10] = 2_000 - women, 2_000 - men
        table = CountTable(("sex",), (("F",), ("M",)), n, np.zeros_like(n))
        windows.append(CountedWindow(BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR, table, {"sex": "M"}))
    return audits_of_windows(windows, model="loans")


CHANGE = [ChangePoint(BEGIN + 41 * HOUR, BEGIN + 71 * HOUR)]


def test_a_drift_is_found_before_the_audits_alerted(history: list[StoredAudit]) -> None:
    """The early warning comes between the change and the crossing, without a false one; the plain alerts come after it."""
    found = backtest(history, BacktestSettings(drift=DRIFT), changes=CHANGE, metrics=RATIO)
    early = found["totals"]["early_warning"]
    assert (early["n_changes"], early["n_in_time"], early["false_alarms"]) == (1, 1, 0)
    (series,) = found["series"]
    (told,) = series["detectors"]["early_warning"]["changes"]
    assert told["lead_hours"] > 5
    assert found["severity"]["n_alerts"] == sum(one.result["alert"] for one in history) > 0
    assert found["severity"]["first_alert"]["audit_timestamp"] > told["detected_at"]
    assert found["n_audits"] == 90
    assert "before the threshold was crossed for 1 of 1 changes" in found["sentence"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_two_settings_stand_side_by_side(history: list[StoredAudit]) -> None:
    """A looser threshold alerts less often by the policy; an h of 50 finds the drift later or never."""
    first = BacktestSettings(drift=DRIFT)
    second = BacktestSettings(
        policy=Policy(thresholds={"disparate_impact_ratio": 0.5, "statistical_parity_subgroup_lift": 2.0}),
        drift=DriftSettings(h=50.0, grains=(1, 2, 3), n_resamples=100),
    )
    found = compare(history, first, second, changes=CHANGE, metrics=RATIO, detectors=["cusum", "threshold"])
    assert found["severity"]["n_alerts"][1] < found["severity"]["n_alerts"][0]
    rows = {row["detector"]: row for row in found["rows"]}
    assert rows["threshold"]["n_alarms"][1] == 0 < rows["threshold"]["n_alarms"][0]
    quick, slow = rows["cusum"]["median_delay_hours"]
    assert slow is None or slow > quick
    assert found["first"]["settings"] != found["second"]["settings"]


def test_grain_and_baseline_are_settings(history: list[StoredAudit]) -> None:
    """In periods of 3 hours there are a third of the checks; a declared baseline counts from its end."""
    settings = BacktestSettings(drift=DRIFT, grain=3, baseline=BaselineWindow(BEGIN, BEGIN + 30 * HOUR))
    found = backtest(history, settings, changes=CHANGE, metrics=RATIO, detectors=["cusum"])
    (series,) = found["series"]
    assert series["n_checks"] == 30
    assert series["detectors"]["cusum"]["n_windows"] == 20
    assert found["settings"]["grain"] == 3
    assert found["settings"]["baseline"][0] == BEGIN.isoformat()


def test_a_history_that_is_too_short_says_so(history: list[StoredAudit]) -> None:
    """No window could have alerted: 0 windows and a reason, not a clean record; without audits likewise."""
    found = backtest(history[:10], BacktestSettings(drift=DRIFT), changes=[], metrics=RATIO)
    (series,) = found["series"]
    assert "20 needed" in series["reason"]
    assert found["totals"]["cusum"]["n_windows"] == 0
    assert found["totals"]["cusum"]["false_per_1000_windows"] is None
    nothing = backtest([])
    assert (nothing["n_audits"], nothing["series"], nothing["since"]) == (0, [], None)


def test_a_detector_that_is_not_known_is_refused(history: list[StoredAudit]) -> None:
    """The error names it and those that are."""
    with pytest.raises(InvalidInput) as refused:
        backtest(history, detectors=["oracle"])
    assert "early_warning" in str(refused.value.details["expected"])
