"""The doubly robust estimate on populations whose effect is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from fairlens_backend.core.adjusted_effect import adjusted_effect

ROWS = 20_000
Curve = Callable[[np.ndarray], np.ndarray]


def curved(x: np.ndarray) -> np.ndarray:
    """What no logistic regression linear in x describes."""
    return 1.2 * (np.abs(x) - 0.8)


def straight(x: np.ndarray) -> np.ndarray:
    return 0.9 * x


def simulated(
    treatment: Curve, outcome: Curve, effect: float, seed: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=ROWS)
    group = np.where(rng.random(ROWS) < expit(treatment(x)), "T", "C").astype(object)
    decision = (rng.random(ROWS) < expit(-0.5 + outcome(x) + effect * (group == "T"))).astype(float)
    return pd.DataFrame({"x": x}), group, decision


def true_effect(outcome: Curve, effect: float) -> float:
    """By integration over the normal distribution of x."""
    x = np.linspace(-8, 8, 20_001)
    weight = np.exp(-(x**2) / 2)
    weight /= weight.sum()
    return float(weight @ (expit(-0.5 + outcome(x) + effect) - expit(-0.5 + outcome(x))))


@pytest.mark.parametrize("effect", [0.0, 0.6])
@pytest.mark.parametrize(
    ("treatment", "outcome"),
    [(straight, straight), (straight, curved), (curved, straight)],
    ids=["both right", "outcome wrong", "propensity wrong"],
)
def test_it_is_right_where_either_model_is(treatment: Curve, outcome: Curve, effect: float) -> None:
    """Within 3 standard errors of the truth though one of the two regressions cannot be right."""
    features, group, decision = simulated(treatment, outcome, effect, seed=5)
    found = adjusted_effect(features, group, decision, ["C", "T"], seed=0)
    estimate = found.means[1] - found.means[0]
    error = found.influence[:, 0].std() / ROWS**0.5
    assert abs(estimate - true_effect(outcome, effect)) < 3 * error
    assert 0.005 < error < 0.02
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)


def test_what_it_adjusts_for_is_a_difference_without_it() -> None:
    """With no effect but a common cause, the raw rates are over 20 standard errors apart."""
    _, group, decision = simulated(straight, straight, 0.0, seed=5)
    raw = decision[group == "T"].mean() - decision[group == "C"].mean()
    assert raw > 20 * (0.25 / (ROWS / 4)) ** 0.5


def test_on_one_category_it_is_the_standardised_rate() -> None:
    """Hand: Σ over the strata of share × rate. Both regressions are saturated, so only the penalty is between."""
    strata = pd.DataFrame({"town": ["A"] * 3000 + ["B"] * 1000})
    group = np.array((["T"] * 600 + ["C"] * 2400) + (["T"] * 800 + ["C"] * 200), dtype=object)
    decision = np.concatenate(
        [
            np.tile([1, 1, 0, 0, 0], 120),
            np.tile([1, 0, 0, 0, 0], 480),
            np.tile([1, 1, 1, 1, 0], 160),
            np.tile([1, 1, 0, 0], 50),
        ]
    ).astype(float)
    found = adjusted_effect(strata, group, decision, ["C", "T"], seed=1)
    assert found.means[1] == pytest.approx(0.75 * 0.4 + 0.25 * 0.8, abs=0.003)
    assert found.means[0] == pytest.approx(0.75 * 0.2 + 0.25 * 0.5, abs=0.003)
    assert found.columns == 2


def test_three_groups_share_the_population() -> None:
    """Each group's mean is what the whole population would have; the truth is known by construction."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=ROWS)
    odds = np.exp(np.stack([np.zeros(ROWS), 0.5 * x, -0.5 * x], axis=1))
    pick = (rng.random(ROWS)[:, None] > np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)).sum(axis=1)
    shift = np.array([0.0, 0.5, -0.5])
    decision = (rng.random(ROWS) < expit(x + shift[pick])).astype(float)
    found = adjusted_effect(
        pd.DataFrame({"x": x}),
        np.array(["R", "S", "U"], dtype=object)[pick],
        decision,
        ["R", "S", "U"],
        seed=0,
    )
    grid = np.linspace(-8, 8, 20_001)
    weight = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
    for mean, by in zip(found.means, shift, strict=True):
        assert mean == pytest.approx(float(weight @ expit(grid + by)), abs=0.02)
    assert found.influence.shape == (ROWS, 2)


def test_clipped_propensities_are_reported() -> None:
    """Where a group is all but absent for some x, the share of such rows is said."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    group = np.where(rng.random(4000) < expit(6 * x), "T", "C").astype(object)
    found = adjusted_effect(pd.DataFrame({"x": x}), group, (x > 0).astype(float), ["C", "T"], seed=0)
    # −6x > log 99 for 22 % of a normal x; of the reference 6x
    assert found.clipped.tolist() == pytest.approx([0.22, 0.22], abs=0.04)
