"""The prediction: the weighted line, its interval, the crossing, and what is called for."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlens_backend.core.drift.prediction import action_for
from fairlens_backend.errors import InvalidInput
from fairlens_backend.fairness_predictor import predict_drift

NOISY = [0.93, 0.95, 0.90, 0.91, 0.86, 0.88, 0.83, 0.85]


def test_line_agrees_with_polyfit():
    """Unweighted, slope and prediction are numpy's least-squares line at the next place."""
    slope, at_zero = np.polyfit(np.arange(8), NOISY, 1)
    found = predict_drift(NOISY)
    assert found["slope_per_check"] == pytest.approx(slope)
    assert found["predicted_dir"] == pytest.approx(at_zero + slope * 8)
    assert predict_drift(NOISY, horizon=4)["predicted_dir"] == pytest.approx(at_zero + slope * 11)


def test_weighted_line_agrees_with_polyfit():
    """With variances each check weighs 1/variance, which polyfit calls w = 1/standard deviation."""
    variances = np.array([1, 4, 2, 9, 1, 3, 2, 5]) * 1e-3
    slope, at_zero = np.polyfit(np.arange(8), NOISY, 1, w=1 / np.sqrt(variances))
    found = predict_drift(NOISY, variances=variances)
    assert found["slope_per_check"] == pytest.approx(slope)
    assert found["predicted_dir"] == pytest.approx(at_zero + slope * 8)


def test_weighted_line_by_hand():
    """Weights 1, 1, 2 on (0, 1.0), (1, 0.9), (2, 0.9): means 1.25 and 0.925, slope −0.125/2.75."""
    found = predict_drift([1.0, 0.9, 0.9], variances=[0.02, 0.02, 0.01])
    assert found["slope_per_check"] == pytest.approx(-0.125 / 2.75)
    assert found["predicted_dir"] == pytest.approx(0.925 - 0.125 / 2.75 * (3 - 1.25))


def test_only_relative_variances_matter():
    """Variances a hundred times larger change nothing: the scatter about the line gives the scale."""
    variances = [0.001, 0.002, 0.003, 0.001, 0.002, 0.003, 0.001, 0.002]
    assert predict_drift(NOISY, variances=variances) == predict_drift(
        NOISY, variances=[0.125 * v for v in variances]
    )
    assert predict_drift(NOISY, variances=[0.25] * 8) == predict_drift(NOISY)


@pytest.mark.parametrize("unknown", [None, 0, 0.0, math.nan])
def test_unknown_variance_is_the_median_one(unknown):
    """A check whose variance is not known weighs as the median of the others."""
    known = [0.001, 0.002, 0.002, 0.002, 0.003, 0.002, 0.001, 0.004]
    assert predict_drift(NOISY, variances=[*known[:3], unknown, *known[4:]]) == predict_drift(
        NOISY, variances=known
    )
    assert predict_drift(NOISY, variances=[unknown] * 8) == predict_drift(NOISY)


def test_a_precise_check_does_not_break_the_fit():
    """Variances that differ by 300 orders of magnitude still give finite figures."""
    found = predict_drift(NOISY, variances=[1e-300, *[1e-3] * 7])
    assert all(math.isfinite(v) for v in (found["predicted_dir"], *found["interval"], found["probability"]))


def test_noiseless_line_crosses_where_algebra_says():
    """0.95 − 0.02 i is 0.79 < 0.8 for the first time at i = 8; from the last check, i = 3, that is 5 ahead."""
    found = predict_drift([0.95, 0.93, 0.91, 0.89])
    assert found["checks_to_breach"] == 5
    assert found["predicted_dir"] == pytest.approx(0.87)
    assert found["interval"] == pytest.approx([0.87, 0.87])
    assert (found["probability"], found["action"]) == (0.0, "none")


def test_exactly_the_threshold_is_not_under_it():
    """0.90, 0.88, 0.86, 0.84 is 0.80 at 2 ahead, which does not breach; 0.78 at 3 ahead does."""
    line = [0.90, 0.88, 0.86, 0.84]
    assert predict_drift(line)["checks_to_breach"] == 3
    assert predict_drift(line, horizon=2)["probability"] == 0.0
    assert predict_drift(line, horizon=3)["probability"] == 1.0
    assert predict_drift(line, horizon=3)["action"] == "retrain"


@settings(max_examples=200, deadline=None)
@given(
    start=st.floats(0.8, 2),
    slope=st.floats(-0.2, -0.001),
    n=st.integers(3, 30),
    threshold=st.floats(0.1, 1.2),
)
def test_crossing_agrees_with_walking_the_line(start, slope, n, threshold):
    """The first coming check under the threshold is the one that a walk along the line meets."""
    line = [start + slope * i for i in range(n)]
    if min(line) < 0:
        return
    k = 0
    while start + slope * (n - 1 + k) >= threshold:
        k += 1
    # Where the line meets the threshold to 1e-7, rounding decides.
    near = min(abs(start + slope * (n - 1 + step) - threshold) for step in (k - 1, k)) < 1e-7
    found = predict_drift(line, threshold, n_resamples=100)["checks_to_breach"]
    assert found == k or near


@pytest.mark.parametrize("level", [0.95, 0.8, 1.0])
def test_constant_series_calls_for_nothing(level):
    """A level series at or above the threshold has slope 0, no crossing, probability 0, no action."""
    found = predict_drift([level] * 6)
    assert found["slope_per_check"] == 0.0
    assert found["checks_to_breach"] is None
    assert (found["probability"], found["action"], found["status"]) == (0.0, "none", "ok")
    assert found["predicted_dir"] == pytest.approx(level)


@pytest.mark.parametrize(
    ("ratios", "checks_to_breach", "probability", "action"),
    [
        ([0.70, 0.70, 0.70], 0, 1.0, "retrain"),
        ([0.55, 0.65, 0.75], 0, 0.0, "none"),
        ([0.85, 0.86, 0.87], None, 0.0, "none"),
    ],
)
def test_lines_that_do_not_fall(ratios, checks_to_breach, probability, action):
    """Level and under is a breach already; rising to 0.85 by the next check is none; rising above never crosses."""
    found = predict_drift(ratios)
    assert found["checks_to_breach"] == checks_to_breach
    assert (found["probability"], found["action"]) == (probability, action)


def test_predicted_ratio_is_never_negative():
    """A steep fall predicts 0, not less, and the interval starts at 0."""
    found = predict_drift([0.9, 0.6, 0.3, 0.05], horizon=3)
    assert found["predicted_dir"] == 0.0
    assert found["interval"][0] == 0.0 <= found["interval"][1]


def test_undefined_checks_keep_their_place():
    """0.96, –, 0.92, –, – lies on 0.96 − 0.02 i with 0.88 now: gaps are time that passed."""
    found = predict_drift([0.96, None, 0.92, math.nan, 0.88])
    assert found["slope_per_check"] == pytest.approx(-0.02)
    assert found["n_checks"] == 3
    assert found["predicted_dir"] == pytest.approx(0.86)
    trailing = predict_drift([0.96, 0.94, 0.92, None, None])
    assert trailing["predicted_dir"] == pytest.approx(0.86)
    assert (
        trailing["checks_to_breach"] == predict_drift([0.96, 0.94, 0.92, 0.90, 0.88])["checks_to_breach"] == 5
    )


def test_variances_follow_their_checks_through_gaps():
    """The variance of a skipped check is skipped with it."""
    with_gap = predict_drift([0.9, None, 0.95, 0.88], variances=[0.01, 7.0, 0.02, 0.04])
    slope, at_zero = np.polyfit([0, 2, 3], [0.9, 0.95, 0.88], 1, w=1 / np.sqrt([0.01, 0.02, 0.04]))
    assert with_gap["slope_per_check"] == pytest.approx(slope)
    assert with_gap["predicted_dir"] == pytest.approx(at_zero + 4 * slope)


@pytest.mark.parametrize("ratios", [[], [0.5], [0.5, 0.4], [None, 0.5, math.nan, 0.4], [None] * 10])
def test_too_few_checks_are_unknown(ratios):
    """With fewer than 3 usable checks every figure and the action are None, and the reason says unknown, not fair."""
    found = predict_drift(ratios)
    assert found["status"] == "insufficient_data"
    for figure in (
        "predicted_dir",
        "interval",
        "probability",
        "checks_to_breach",
        "slope_per_check",
        "action",
    ):
        assert found[figure] is None
    assert found["n_checks"] == sum(r is not None and not math.isnan(r) for r in ratios)
    assert "unknown" in found["reason"] and "not mean fair" in found["reason"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [3, 5, 12])
def test_interval_covers_the_next_check(n, weighted):
    """On a line with Gaussian noise, 400 counted seeds: the 95 % interval holds the next check in 90 to 98 %, also from 3 checks."""
    held = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        deviation = rng.uniform(0.01, 0.05, n) if weighted else np.full(n, 0.03)
        ratios = 0.95 - 0.005 * np.arange(n) + rng.normal(0, deviation)
        coming = 0.95 - 0.005 * n + rng.normal(0, np.median(deviation))
        lo, hi = predict_drift(ratios, variances=deviation**2 if weighted else None, seed=seed)["interval"]
        held += lo <= coming <= hi
    assert 0.90 <= held / 400 <= 0.98


def test_interval_width_agrees_with_students_t():
    """On 12 checks the interval is as wide as the textbook's t interval for a new observation, within a tenth on average."""
    from scipy import stats

    x, ratio = np.arange(12), []
    for seed in range(100):
        y = 0.9 + np.random.default_rng(seed).normal(0, 0.02, 12)
        fit = np.polyval(np.polyfit(x, y, 1), x)
        s = math.sqrt(((y - fit) ** 2).sum() / 10)
        textbook = 2 * stats.t.ppf(0.975, 10) * s * math.sqrt(1 + 1 / 12 + (12 - 5.5) ** 2 / 143)
        lo, hi = predict_drift(y, seed=seed)["interval"]
        ratio.append((hi - lo) / textbook)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.1)


def test_probability_is_calibrated():
    """Over 400 counted seeds the mean predicted probability is the share of next checks under the threshold, within 0.06."""
    said, was = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        ratios = 0.90 - 0.008 * np.arange(12) + rng.normal(0, 0.03, 12)
        said.append(predict_drift(ratios, seed=seed)["probability"])
        was.append(0.90 - 0.008 * 12 + rng.normal(0, 0.03) < 0.8)
    assert abs(np.mean(said) - np.mean(was)) < 0.06


def test_seed_decides():
    """The same seed gives the same answer, another seed another interval but the same line."""
    first, again, other = (predict_drift(NOISY, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["interval"] != other["interval"]
    assert first["predicted_dir"] == other["predicted_dir"]


def test_many_checks_in_blocks():
    """Ten thousand checks times 1,000 draws go through in blocks, and the interval is that of the noise: ± 1.96 σ."""
    ratios = 0.9 + np.random.default_rng(0).normal(0, 0.02, 10_000)
    lo, hi = predict_drift(ratios)["interval"]
    assert lo == pytest.approx(0.9 - 1.96 * 0.02, abs=0.006)
    assert hi == pytest.approx(0.9 + 1.96 * 0.02, abs=0.006)


@pytest.mark.parametrize(
    ("probability", "already_beyond", "outward", "action"),
    [
        (0.8, False, 0.01, "retrain"),
        (0.799, False, 0.01, "warn"),
        (0.3, False, 0.01, "warn"),
        (0.299, False, 0.01, "none"),
        (0.0, False, 0.0, "none"),
        (0.1, True, 0.01, "retrain"),
        (0.1, True, 0.0, "retrain"),
        (0.1, True, -0.01, "none"),
        (0.5, True, -0.01, "warn"),
        (0.8, True, -0.01, "retrain"),
    ],
)
def test_action_boundaries(probability, already_beyond, outward, action):
    """Retrain from 0.8 or beyond the limit with a slope that does not lead back, warn from 0.3, else none."""
    assert action_for(probability, already_beyond=already_beyond, outward=outward) == action


def test_a_series_for_each_action():
    """The action of a prediction follows its own probability."""
    steady = [0.95, 0.96, 0.94, 0.95, 0.96, 0.95]
    close = [0.84, 0.80, 0.83, 0.81, 0.82, 0.80]
    falling = [0.95, 0.91, 0.90, 0.84, 0.83, 0.79]
    found = [predict_drift(series) for series in (steady, close, falling)]
    assert [f["action"] for f in found] == ["none", "warn", "retrain"]
    assert found[0]["probability"] < 0.3 <= found[1]["probability"] < 0.8


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(0, 10), st.just(math.nan), st.just(0.0)), max_size=30),
    st.integers(1, 50),
)
def test_answers_are_json_and_in_range(ratios, horizon):
    """Whatever the series, the answer is strict JSON, the interval holds the prediction and nothing is negative."""
    found = predict_drift(ratios, horizon=horizon, n_resamples=100)
    json.dumps(found, allow_nan=False)
    if found["status"] == "ok":
        lo, hi = found["interval"]
        assert 0 <= lo <= found["predicted_dir"] <= hi
        assert 0 <= found["probability"] <= 1


BAD = {
    "recent_dirs": ["0.9", None, {0.9: 1}, 0.9],
    "recent_dirs[0]": [[True, 0.8, 0.7], ["0.9", 0.8, 0.7], np.ones((3, 2))],
    "recent_dirs[1]": [[0.9, -0.1, 0.8], [0.9, math.inf, 0.8]],
    "threshold": [0, -0.8, math.nan, math.inf, None, True, "0.8", 10**400],
    "variances": [[0.1, 0.1], 0.1],
    "variances[1]": [[0.1, -0.1, 0.1], [0.1, math.inf, 0.1]],
    "horizon": [0, 1001, 1.0, True],
    "seed": [-1, None, 0.5],
    "n_resamples": [99, 100_001, False],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in BAD for value in BAD[field]])
def test_bad_arguments_are_named(field, value):
    """A bad argument is refused with its name, its place in a list, and what was expected, all fit for JSON."""
    with pytest.raises(InvalidInput) as caught:
        predict_drift(**{"recent_dirs": [0.9, 0.9, 0.8], field.split("[")[0]: value})
    assert caught.value.details["field"] == field
    assert caught.value.details["expected"]
    json.dumps(caught.value.details, allow_nan=False)
