"""The prediction of any metric: that of the ratio, and its mirror for the others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.drift.prediction import predict
from fairlens_backend.core.drift.series import Check, Series
from fairlens_backend.fairness_predictor import predict_drift

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def of(
    values: list[Any], variances: list[Any] | None = None, when: Any = "below", threshold: float = 0.8
) -> Series:
    spread = variances or [None] * len(values)
    checks = [
        Check(BEGIN + timedelta(hours=place), x, v)
        for place, (x, v) in enumerate(zip(values, spread, strict=True))
    ]
    return Series("loans", "sex", "m", threshold, when, checks)


def test_of_a_ratio_it_is_predict_drift() -> None:
    """200 random series with gaps and unknown variances: every figure is the same to 1e-12, as there is one definition."""
    rng = np.random.default_rng(2)
    for seed in range(200):
        n = int(rng.integers(0, 25))
        values = [None if rng.random() < 0.1 else float(rng.uniform(0.6, 1)) for _ in range(n)]
        variances = [None if rng.random() < 0.2 else float(rng.uniform(1e-4, 1e-2)) for _ in range(n)]
        horizon = int(rng.integers(1, 9))
        ours = predict(of(values, variances), last=25, horizon=horizon, seed=seed)
        theirs: dict[str, Any] = dict(predict_drift(values, variances=variances, horizon=horizon, seed=seed))
        for mine, yours in (
            ("predicted", "predicted_dir"),
            ("interval", "interval"),
            ("slope_per_check",) * 2,
        ):
            expected = theirs.pop(yours)
            near = None if expected is None else pytest.approx(expected, rel=1e-12, abs=1e-15)
            assert ours.pop(mine) == near
        ours.pop("reason")
        theirs.pop("reason")
        assert ours == theirs


def test_a_growing_difference_is_a_falling_ratio_mirrored() -> None:
    """1 − ratio against 1 − threshold has the same probability, steps and action."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        ratio = [float(x) for x in rng.uniform(0.7, 0.95, 12)]
        below = predict(of(ratio), n_resamples=400)
        above = predict(of([1 - x for x in ratio], None, "above", 0.2), n_resamples=400)
        assert above["checks_to_breach"] == below["checks_to_breach"]
        assert above["action"] == below["action"]
        assert above["predicted"] == pytest.approx(1 - below["predicted"], abs=1e-9)
        # The residuals are mirrored too, so the draws are those of the other side: near, not equal.
        assert above["probability"] == pytest.approx(below["probability"], abs=0.12)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_signed_difference_breaches_on_either_side(sign: int) -> None:
    """By hand: ±(0.02, 0.04, 0.06, 0.08) passes ±0.1 at the second coming check; then it calls for retraining."""
    found = predict(of([sign * x for x in (0.02, 0.04, 0.06, 0.08)], None, "outside", 0.1))
    assert found["checks_to_breach"] == 2
    assert found["predicted"] == pytest.approx(sign * 0.1)
    later = predict(of([sign * x for x in (0.08, 0.1, 0.12, 0.14)], None, "outside", 0.1))
    assert (later["checks_to_breach"], later["action"]) == (0, "retrain")
    back = predict(of([sign * x for x in (0.2, 0.16, 0.12, 0.08)], None, "outside", 0.1))
    assert back["checks_to_breach"] == 5, (
        "it comes in again, and out on the other side: 0.04, 0, −0.04, −0.08, −0.12"
    )


def test_what_leads_back_does_not_call_for_retraining() -> None:
    """Beyond the limit but on the way in, with the next check surely inside."""
    found = predict(of([0.5, 0.6, 0.7, 0.79], None, "below"))
    assert found["checks_to_breach"] == 0
    assert found["action"] != "retrain"


def test_too_few_checks_are_unknown_not_fair() -> None:
    """Two values make no line with noise; the action is None and not "none"."""
    found = predict(of([0.9, None, 0.8]))
    assert (found["status"], found["action"], found["n_checks"]) == ("insufficient_data", None, 2)
