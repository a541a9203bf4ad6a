"""Weighted estimates against weighted means, the stated bias by hand, simulated coverage, and what results must carry."""

import json

import numpy as np
import pytest

from fairlens_backend.core.proxies import SoftCounts, estimate_with_proxies
from fairlens_backend.errors import InvalidInput

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def population(rng: np.random.Generator, n: int, gap: float = 0.0) -> Columns:
    """P(F | row) of five strata, the true group, the decision and the truth.

    The decision goes with the stratum, and beyond it with the group by `gap` (which breaks the bias condition).
    """
    stratum = rng.integers(0, 5, size=n)
    p = np.array([0.05, 0.2, 0.5, 0.8, 0.95])[stratum]
    woman = rng.random(n) < p
    truth = rng.random(n) < 0.5
    chance = np.array([0.7, 0.6, 0.5, 0.4, 0.3])[stratum] + 0.1 * truth - gap * woman
    return p, woman.astype(int), (rng.random(n) < chance).astype(int), truth.astype(int)


def soft_of(p: np.ndarray, decision: np.ndarray, truth: np.ndarray | None = None) -> SoftCounts:
    """Soft counts of two groups."""
    return SoftCounts.from_arrays("sex", ["F", "M"], np.column_stack([p, 1 - p]), decision, truth)


def test_estimates_are_weighted_means() -> None:
    """Each rate is Σ P(g)·[counted] / Σ P(g)·[denominator] over the rows, and the metrics follow from the rates."""
    p, _, decision, truth = population(np.random.Generator(np.random.PCG64(1)), 2_000)
    found = estimate_with_proxies(soft_of(p, decision, truth), n_resamples=50)
    rates = {}
    for group, weight in (("F", p), ("M", 1 - p)):
        of = found["groups"][group]["rates"]
        rates[group] = {
            "selection_rate": np.average(decision, weights=weight),
            "true_positive_rate": np.average(decision, weights=weight * truth),
            "false_positive_rate": np.average(decision, weights=weight * (1 - truth)),
            "positive_predictive_value": np.average(truth, weights=weight * decision),
        }
        for rate, value in rates[group].items():
            assert of[rate]["value"] == pytest.approx(value, abs=1e-8)
            assert of[rate]["bounds"]["lower"] <= value <= of[rate]["bounds"]["upper"]
    metrics = {name: metric["value"] for name, metric in found["metrics"].items()}
    woman, man = rates["F"], rates["M"]
    assert found["reference_group"] == "M"
    assert metrics["disparate_impact_ratio"] == pytest.approx(
        woman["selection_rate"] / man["selection_rate"], abs=1e-8
    )
    assert found["metrics"]["statistical_parity_difference"]["signed"] == pytest.approx(
        woman["selection_rate"] - man["selection_rate"], abs=1e-8
    )
    assert metrics["equal_opportunity_difference"] == pytest.approx(
        abs(woman["true_positive_rate"] - man["true_positive_rate"]), abs=1e-8
    )


def test_the_stated_bias_is_the_bias() -> None:
    """Chen et al. 2019: estimate − truth = −E[cov(group, decision | stratum)] / P(group), exactly on any population.

    Two strata of 100, the proxy their shares of women (20 and 60). Of the women 4 and 30 are selected, of the men 40
    and 25: covariances 0.04 − 0.2·0.44 and 0.3 − 0.6·0.55, mean −0.039; P(F) = 0.4.
    """
    p = np.repeat([0.2, 0.6], 100)
    decision = np.concatenate([np.arange(100) < 44, np.arange(100) < 55]).astype(int)
    estimate = estimate_with_proxies(soft_of(p, decision), n_resamples=0)["groups"]["F"]
    truth = 34 / 80
    assert estimate["rates"]["selection_rate"]["value"] - truth == pytest.approx(0.039 / 0.4, abs=1e-8)
    bounds = estimate["rates"]["selection_rate"]["bounds"]
    assert bounds["lower"] <= truth <= bounds["upper"]


def test_the_bias_goes_away_where_its_condition_holds() -> None:
    """300,000 rows: without a gap inside strata the estimate is the truth, with one of 0.2 it hides most of it."""
    rng = np.random.Generator(np.random.PCG64(2))
    for gap, off in ((0.0, 0.008), (0.2, None)):
        p, woman, decision, _ = population(rng, 300_000, gap)
        found = estimate_with_proxies(soft_of(p, decision), reference="M", n_resamples=0)
        true_gap = decision[woman == 1].mean() - decision[woman == 0].mean()
        difference = found["pairs"]["F"]["selection_rate"]["difference"]
        if off is None:
            assert abs(difference["value"] - true_gap) > 0.05
        else:
            assert difference["value"] == pytest.approx(true_gap, abs=off)
        assert difference["bounds"]["lower"] <= true_gap <= difference["bounds"]["upper"]


def test_intervals_cover_the_weighted_estimate_of_the_population() -> None:
    """200 samples of 1,000 rows, seed 3: 95 % intervals of rate, difference and ratio cover, up to 3 sd of chance."""
    rng = np.random.Generator(np.random.PCG64(3))
    p, _, decision, _ = population(rng, 500_000)
    rate_f, rate_m = np.average(decision, weights=p), np.average(decision, weights=1 - p)
    covered = np.zeros(4)
    for run in range(200):
        p, _, decision, _ = population(rng, 1_000)
        found = estimate_with_proxies(soft_of(p, decision), reference="M", n_resamples=150, seed=run)
        pair = found["pairs"]["F"]["selection_rate"]
        for i, (interval, truth) in enumerate(
            (
                (found["groups"]["F"]["rates"]["selection_rate"]["interval"], rate_f),
                (pair["difference"]["interval"], rate_f - rate_m),
                (pair["ratio"]["interval"], rate_f / rate_m),
                (found["metrics"]["disparate_impact_ratio"]["interval"], rate_f / rate_m),
            )
        ):
            covered[i] += interval["lower"] <= truth <= interval["upper"]
    assert (covered >= 200 * (0.95 - 3 * 0.0155)).all()


def test_coarse_strata_do_not_narrow_intervals() -> None:
    """A proxy that is certain, declared as one stratum: the interval of the difference is that of two binomials.

    1.96·sqrt(0.5·0.5/200 + 0.4·0.6/200) = 0.0970; the bounds, which know the shares only, are far wider.
    """
    p = np.repeat([1.0, 0.0], 200)
    decision = np.concatenate([np.arange(200) < 100, np.arange(200) < 80]).astype(int)
    soft = SoftCounts.from_arrays(
        "sex", ["F", "M"], np.column_stack([p, 1 - p]), decision, stratum=["all"] * 400
    )
    found = estimate_with_proxies(soft, reference="M", n_resamples=4_000)["pairs"]["F"]["selection_rate"]
    interval, bounds = found["difference"]["interval"], found["difference"]["bounds"]
    assert (interval["upper"] - interval["lower"]) / 2 == pytest.approx(0.0970, rel=0.06)
    assert (bounds["lower"], bounds["upper"]) == pytest.approx((-0.9, 0.9))


def test_an_interval_can_say_no_difference() -> None:
    """Decisions that go with nothing: an interval reaches 0, that of a magnitude from above, and holds its own value."""
    rng = np.random.Generator(np.random.PCG64(4))
    p, decision = rng.random(3_000), rng.integers(0, 2, 3_000)
    metrics = estimate_with_proxies(soft_of(p, decision), seed=1)["metrics"]
    for name in ("demographic_parity_difference", "statistical_parity_difference"):
        interval = metrics[name]["interval"]
        assert interval["lower"] <= 0.0 < interval["upper"]
        assert interval["lower"] <= metrics[name]["value"] <= interval["upper"]
    assert metrics["demographic_parity_difference"]["interval"]["lower"] == 0.0


def test_every_figure_says_that_it_is_by_proxy() -> None:
    """Marked, with the quality of the proxy, its conditions in words, and nothing that JSON cannot hold."""
    p, _, decision, truth = population(np.random.Generator(np.random.PCG64(5)), 500)
    soft = soft_of(p, decision, truth)
    found = estimate_with_proxies(soft, n_resamples=20)
    assert found["is_proxy"] is True
    assert "cov" in found["bias_condition"]
    assert 0 < found["proxy_quality"] < 1
    assert {"disparate_impact_ratio", "statistical_parity_difference", "equal_opportunity_difference"} <= set(
        found["metrics"]
    )
    for metric in found["metrics"].values():
        assert metric["is_proxy"] is True
        assert metric["proxy_quality"] == found["proxy_quality"] == soft.proxy_quality
    json.dumps(found, allow_nan=False)


def test_the_same_counts_and_seed_give_the_same_result() -> None:
    """Whatever the order of rows and the shards they came in; another seed moves the intervals only."""
    p, _, decision, truth = population(np.random.Generator(np.random.PCG64(6)), 600)
    whole = estimate_with_proxies(soft_of(p, decision, truth), n_resamples=100, seed=7)
    shards = SoftCounts.sum([soft_of(p[i::3], decision[i::3], truth[i::3]) for i in (2, 0, 1)])
    assert estimate_with_proxies(shards, n_resamples=100, seed=7) == whole
    other = estimate_with_proxies(shards, n_resamples=100, seed=8)
    assert other != whole
    assert (
        other["metrics"]["disparate_impact_ratio"]["value"]
        == whole["metrics"]["disparate_impact_ratio"]["value"]
    )


def test_what_is_missing_is_said() -> None:
    """No truth, an expected group of 20 rows, no rows, and a reference that is no group."""
    p = np.full(200, 0.1)
    soft = soft_of(p, np.tile([0, 1], 100))
    found = estimate_with_proxies(soft, n_resamples=10)
    assert found["groups"]["F"]["status"] == "insufficient_data"
    assert "20.0" in found["groups"]["F"]["reason"]
    assert found["groups"]["M"]["rates"]["true_positive_rate"]["status"] == "no_ground_truth"
    assert found["metrics"]["disparate_impact_ratio"]["status"] == "insufficient_data"
    assert found["pairs"] == {}
    lower = estimate_with_proxies(soft, min_group_size=10, n_resamples=10)
    assert lower["metrics"]["equal_opportunity_difference"]["status"] == "no_ground_truth"
    nothing = estimate_with_proxies(soft - soft)
    assert (nothing["n"], nothing["reference_group"], nothing["proxy_quality"]) == (0, None, None)
    json.dumps(nothing, allow_nan=False)
    with pytest.raises(InvalidInput, match="X"):
        estimate_with_proxies(soft, reference="X")
    with pytest.raises(InvalidInput):
        estimate_with_proxies(soft - soft - soft)
