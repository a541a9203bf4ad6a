"""Everything that is said of one series, and what is said when there is nothing to say."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import ruptures
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.drift.analysis import analyse
from fairlens_backend.core.drift.cusum import cusum_state
from fairlens_backend.core.drift.drift_settings import BaselineWindow, DriftSettings
from fairlens_backend.core.drift.series import Check, Series

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PARTS = ("current_trend", "velocity", "pre_alert", "prediction", "early_warning")


def of(values: list[Any], when: Any = "below", threshold: float = 0.8, n: int = 100) -> Series:
    checks = [
        Check(BEGIN + place * HOUR, x, None if x is None else 1e-4, n) for place, x in enumerate(values)
    ]
    return Series("loans", "sex", "disparate_impact_ratio", threshold, when, checks)


def falling() -> list[float]:
    return [0.92 + 0.01 * (-1) ** i for i in range(30)] + [0.86 + 0.01 * (-1) ** i for i in range(30)]


def test_a_fall_is_seen_by_every_detector() -> None:
    """A step from 0.92 to 0.86 at check 30: each says when, and that it is for the worse."""
    found = analyse(of(falling()), settings=DriftSettings(seed=3))
    assert [one["time"] for one in found["breakpoints"]] == [(BEGIN + 30 * HOUR).isoformat()]
    assert found["breakpoints"][0]["mean_before"] == pytest.approx(0.92)
    assert found["breakpoints"][0]["mean_after"] == pytest.approx(0.86)
    (alarm,) = [one for one in found["cusum_breakpoints"] if one["worsening"]]
    assert (BEGIN + 30 * HOUR).isoformat() <= alarm["time"] <= (BEGIN + 33 * HOUR).isoformat()
    assert alarm["since"] <= (BEGIN + 31 * HOUR).isoformat()
    state = cusum_state(falling(), 0.01)
    assert state is not None
    assert found["temporal_drift_index"] == pytest.approx(max(state.high, state.low))
    assert found["current_trend"]["n_checks"] == 20
    assert found["n_checks"] == len(found["timeseries"]) == 60
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_breakpoints_are_those_of_another_library() -> None:
    """The places are those of ruptures' PELT on the same values, under a penalty that only the two jumps are worth."""
    values = [0.9 + 0.004 * ((7 * i) % 5) - (0.1 if 20 <= i < 45 else 0.0) for i in range(70)]
    found = analyse(of(values))["breakpoints"]
    theirs = ruptures.Pelt(model="l2", min_size=3, jump=1).fit_predict(np.array(values), pen=0.01)
    assert [one["time"] for one in found] == [(BEGIN + place * HOUR).isoformat() for place in theirs[:-1]]


def test_a_gap_is_in_the_list_and_moves_nothing() -> None:
    """The same figures as without the gap, whose point has no value, no verdict and no interval."""
    values: list[float | None] = list(falling())
    whole = analyse(of([*values[:40], *values[41:]]))
    gapped = analyse(of([*values[:40], None, *values[41:]]))
    assert gapped["n_undefined"] == 1
    point = gapped["timeseries"][40]
    assert (point["value"], point["breached"], point["interval"]) == (None, None, None)
    assert gapped["temporal_drift_index"] == whole["temporal_drift_index"]
    assert len(gapped["breakpoints"]) == len(whole["breakpoints"])


@pytest.mark.parametrize("values", [[], [None], [None, None, None], [0.9], [0.9, 0.9]])
def test_nothing_to_say_is_said(values: list[Any]) -> None:
    """No part raises, none says that all is well: each is None or insufficient, with a reason."""
    found = analyse(of(values))
    assert found["baseline"] is None
    assert found["baseline_reason"]
    assert found["temporal_drift_index"] is None
    assert found["prediction"]["action"] is None
    assert found["early_warning"]["early_warning"] is None
    assert found["current_trend"]["slope_per_day"] is None
    if len([x for x in values if x is not None]) < 2:
        assert found["pre_alert"]["pre_alert"] is None
        assert found["velocity"]["per_check"] is None
        assert found["velocity"]["reason"]
    if not [x for x in values if x is not None]:
        assert found["status"] == "insufficient_data"
        assert found["reason"]


def test_grain_window_and_baseline_are_the_caller_s() -> None:
    """A day's grain has the day's mean; what is listed can begin later than what is counted; a baseline is declared."""
    series = of([0.9 + 0.001 * (place % 7) for place in range(24 * 30)])
    daily = analyse(series, grain="day", settings=DriftSettings(baseline=5))
    assert daily["grain_hours"] == 24
    assert daily["n_checks"] == 31
    first = [0.9 + 0.001 * (place % 7) for place in range(1, 25)]
    assert daily["timeseries"][1]["value"] == pytest.approx(sum(first) / 24)
    since = BEGIN + 20 * 24 * HOUR
    shown = analyse(series, grain="day", shown_since=since, baseline=BaselineWindow(BEGIN, BEGIN + 72 * HOUR))
    assert len(shown["timeseries"]) == 10
    assert shown["timeseries"][0]["cusum_high"] is not None
    assert shown["baseline"]["declared"]
    assert shown["baseline"]["n_checks"] == 3


def test_overlapping_windows_are_counted_once_and_it_is_said() -> None:
    """An hour audited every quarter of an hour: a quarter of the checks is used."""
    quarter = timedelta(minutes=15)
    checks = [
        Check(BEGIN + place * quarter, 0.9, 1e-4, 50, "ok", None, BEGIN + place * quarter - HOUR)
        for place in range(80)
    ]
    found = analyse(Series("loans", "sex", "m", 0.8, "below", checks))
    assert (found["n_checks"], found["n_overlapping"]) == (20, 60)


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 5), st.just(0.0)), max_size=60),
    st.sampled_from(["below", "above", "outside"]),
)
def test_whatever_the_values_the_answer_is_json(values: list[Any], when: Any) -> None:
    """No NaN, no infinity, no error, for any values from nothing to a constant."""
    settings = DriftSettings(baseline=5, n_resamples=100, grains=(1, 6))
    json.dumps(analyse(of(values, when, 0.5), settings=settings), allow_nan=False)
