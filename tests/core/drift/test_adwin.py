"""ADWIN against river's over 1,000 random series, and what its state must be able to do."""

import importlib.util
import json
import random
from typing import Any

import pytest

from fairlens_backend.core.drift.adwin import Adwin, AdwinSettings, adwin_changes
from fairlens_backend.errors import InvalidInput

SERIES = 1_000


def random_settings(chance: random.Random) -> dict[str, Any]:
    return {
        "delta": chance.choice([0.002, 0.05, 0.3]),
        "clock": chance.choice([1, 4, 32]),
        "max_buckets": chance.choice([2, 5, 8]),
        "min_window_length": chance.choice([1, 5, 10]),
        "grace_period": chance.choice([1, 10, 30]),
    }


def random_series(chance: random.Random) -> list[float]:
    """Jumps, slow slopes, calm and noisy stretches, whole numbers and constants."""
    level, noise, slope = chance.random(), chance.choice([0.0, 0.01, 0.05, 0.3]), chance.choice([0.0, 0.001])
    series = []
    for _ in range(chance.choice([5, 40, 150, 400])):
        if chance.random() < 0.015:
            level = chance.choice([chance.random(), 3 * chance.random(), 1.0])
        level += slope
        series.append(chance.gauss(level, noise))
    return series


@pytest.mark.skipif(
    importlib.util.find_spec("river") is None, reason="river, the oracle, is not installed (extra dev)"
)
@pytest.mark.no_cover
def test_it_is_rivers_adwin_at_every_step_of_1000_random_series() -> None:
    """After each value the detection, the width, the mean and the deviations are those of river."""
    from river import drift

    detections = 0
    for seed in range(1, SERIES + 1):
        chance = random.Random(seed)
        settings = random_settings(chance)
        theirs, ours = drift.ADWIN(**settings), Adwin(AdwinSettings(**settings))
        for step, x in enumerate(random_series(chance)):
            theirs.update(x)
            detected = ours.update(x)
            detections += detected
            where = (seed, step, settings)
            assert (detected, ours.width) == (theirs.drift_detected, theirs.width), where
            # pytest.approx says the same at twenty times the cost, 300,000 times.
            mean, deviations = theirs.estimation, theirs.variance
            assert abs(ours.mean - mean) <= max(1e-9 * abs(mean), 1e-12), where
            assert abs(ours.deviations - deviations) <= max(1e-9 * abs(deviations), 1e-9), where
    assert detections > SERIES / 4, "the series were too calm to compare detections"


def test_a_state_that_was_kept_as_json_goes_on_as_if_nothing_had_happened() -> None:
    """Stopping after any value, through JSON, changes no later detection."""
    chance = random.Random(7)
    series = [chance.gauss(0.2 if i < 150 else 0.6, 0.05) for i in range(300)]
    settings = AdwinSettings(clock=4)
    whole, after = adwin_changes(series, settings)
    assert whole
    for stop in (0, 1, 37, 150, 163, 299):
        first, state = adwin_changes(series[:stop], settings)
        kept = Adwin.from_dict(json.loads(json.dumps(state.to_dict())))
        second, end = adwin_changes(series[stop:], start=kept)
        assert first + [stop + place for place in second] == whole
        assert end == after
        assert kept == state, "the detector to go on with was changed"


def test_the_window_is_the_values_since_the_last_cut() -> None:
    """Width and mean are those of the newest `width` values, counted by hand from the series."""
    series = [0.0] * 64 + [1.0] * 60
    adwin = Adwin(AdwinSettings(clock=1))
    step = 1 + next(place for place, x in enumerate(series) if adwin.update(x))
    newest = series[step - adwin.width : step]
    assert adwin.mean == pytest.approx(sum(newest) / len(newest))
    assert 64 < step < 100
    assert 0 < adwin.width < step
    assert adwin.detections == 1


def test_the_memory_grows_with_the_logarithm_of_the_series() -> None:
    """A constant series of 2,000 values is kept in at most max_buckets + 1 buckets of each size."""
    adwin = Adwin()
    for _ in range(2_000):
        assert not adwin.update(0.5)
    assert adwin.width == 2_000
    assert sum(len(row) for row in adwin.rows) <= 6 * 11
    assert adwin.mean == pytest.approx(0.5)


def test_a_missing_value_keeps_its_place_and_is_no_zero() -> None:
    """A series with gaps detects what it detects without them, later by the gaps."""
    known = [0.5] * 60 + [0.9] * 40
    gapped = [x for value in known for x in (value, None)]
    settings = AdwinSettings(clock=1)
    assert [place // 2 for place in adwin_changes(gapped, settings)[0]] == adwin_changes(known, settings)[0]
    assert Adwin().mean is None


@pytest.mark.parametrize("x", [float("nan"), float("inf"), None, "0.5", True])
def test_what_is_no_number_is_refused(x: Any) -> None:
    """NaN would poison every later mean."""
    with pytest.raises(InvalidInput):
        Adwin().update(x)


@pytest.mark.parametrize(
    "setting", [{"delta": 0}, {"delta": 1.0}, {"clock": 0}, {"max_buckets": 1.5}, {"grace_period": True}]
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    """The error names the setting."""
    with pytest.raises(InvalidInput) as refused:
        AdwinSettings(**setting)
    assert refused.value.details["field"] == next(iter(setting))


def test_what_is_no_state_is_refused() -> None:
    """A state with a bucket missing would give a wrong mean for ever."""
    adwin = adwin_changes([0.1] * 50)[1]
    kept = adwin.to_dict()
    for broken in (
        {},
        {**kept, "width": 49},
        {**kept, "rows": [[[1.0]] * 50]},
        {**kept, "settings": {"k": 1}},
    ):
        with pytest.raises(InvalidInput):
            Adwin.from_dict(broken)
