"""Every metric's sentence, read back: its direction and its size are those of the numbers beside it."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.counts import CountTable

NUMBER = r"[−-]?\d+(?:\.\d+)?"
INTERVAL = re.compile(rf"95 % interval ({NUMBER}) to ({NUMBER})")
TIMES = re.compile(
    rf"^(.+?) is selected ({NUMBER}) times as often as (.+?) \(({NUMBER}) % against ({NUMBER}) %"
)
APART = re.compile(rf"({NUMBER}) percentage points apart")
PAIR = re.compile(
    rf"(?:^|, )([^,]+?) (?:is selected|is rejected|has a favourable true outcome) in ({NUMBER}) % of cases and (.+?) in ({NUMBER}) %"
)
LIMIT = re.compile(rf"the limit is ({NUMBER})\.")
FORBIDDEN = re.compile("debias|unbiased|fair model|fix bias|nan|None|inf ")


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def read_back(metric: dict[str, Any]) -> None:
    """Compare the sentence of a metric with its figures."""
    text, value, name = metric["sentence"], metric["value"], metric["name"]
    assert text.endswith(".") and not FORBIDDEN.search(text)
    in_points = bool(APART.search(text))
    scale = 100 if in_points else 1
    tolerance = 0.051 if in_points else 0.0051
    size = abs(value) * scale
    limit = LIMIT.search(text)
    assert limit and number(limit[1]) == pytest.approx(metric["threshold"] * scale, abs=0.051 * scale)
    interval = metric["confidence_interval"]
    ends = INTERVAL.search(text)
    assert (interval is None) == (ends is None)
    if interval and ends:
        low, high = interval["lower"] * scale, interval["upper"] * scale
        if metric["name"] in SIGNED and value < 0:
            low, high = -high, -low
        assert (number(ends[1]), number(ends[2])) == pytest.approx((low, high), abs=tolerance)
        assert number(ends[1]) - tolerance <= size <= number(ends[2]) + tolerance
    times = TIMES.search(text)
    if name in ("disparate_impact_ratio", "statistical_parity_subgroup_lift"):
        assert times and number(times[2]) == pytest.approx(value, abs=tolerance)
        first, second = number(times[4]), number(times[5])
        assert (value > 1 + 1e-3) <= (first >= second - 0.1) and (value < 1 - 1e-3) <= (first <= second + 0.1)
        return
    if in_points:
        assert number(APART.search(text)[1]) == pytest.approx(size, abs=tolerance)  # type: ignore[index]
    pair = PAIR.search(text)
    if name in SINGLE_RATE:
        assert pair, text
        gap = number(pair[2]) - number(pair[4])
        assert abs(gap) == pytest.approx(size, abs=0.11)
        signed = metric["signed"] if metric["signed"] is not None else -value
        assert gap == pytest.approx(signed * 100, abs=0.11)


SIGNED = {"statistical_parity_difference", "false_positive_rate_difference", "false_negative_rate_difference"}
SINGLE_RATE = {
    *SIGNED,
    "demographic_parity_difference",
    "intersectional_bias_score",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "predictive_parity_difference",
}


def window(seed: int, rows: int = 900) -> CountTable:
    rng = np.random.default_rng(seed)
    sex, race = rng.choice(["Women", "Men"], rows), rng.choice(["Black", "White", "Asian"], rows)
    score = rng.beta(2, 2, rows) * np.where(sex == "Women", rng.uniform(0.5, 1), 1)
    truth = (rng.random(rows) < score).astype(int)
    return CountTable.from_arrays({"sex": sex, "race": race}, score > rng.uniform(0.2, 0.6), truth, score)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), resamples=st.sampled_from([0, 50]))
def test_every_sentence_says_what_its_numbers_say(seed: int, resamples: int) -> None:
    """Direction, size, interval and limit, for every metric that has a value; one that has none has no sentence."""
    history = {"sex": [0.1 + 0.01 * (i % 3) for i in range(24)]}
    result = assess(window(seed), n_resamples=resamples, seed=seed, history=history)
    told = set()
    for metrics in result["attributes"].values():
        for metric in metrics.values():
            if metric["status"] == "ok":
                read_back(metric)
                told.add(metric["name"])
            else:
                assert metric["sentence"] is None and metric["reason"]
    assert len(told) == 14
    assert all(text.endswith(".") and not FORBIDDEN.search(text) for text in result["sentences"])


def test_the_example_of_the_specification() -> None:
    """ "Women are selected 0.36 times as often as men (95 % interval …)", with both rates and the limit beside."""
    labels = ["Women"] * 1000 + ["Men"] * 1000
    table = CountTable.from_arrays({"sex": labels}, [1] * 108 + [0] * 892 + [1] * 300 + [0] * 700)
    text = assess(table)["metrics"]["disparate_impact_ratio"]["sentence"]
    assert re.fullmatch(
        r"Women is selected 0\.36 times as often as Men \(10\.8 % against 30\.0 %; 95 % interval 0\.(29|30) to"
        r" 0\.4[34]\); the limit is 0\.80\.",
        text,
    )


def test_crossings_are_named_by_both_labels() -> None:
    """Short labels carry their attribute."""
    rng = np.random.default_rng(2)
    sex, race = rng.choice(["F", "M"], 800), rng.choice(["Black", "White"], 800)
    decision = (sex == "F") & (race == "Black")
    result = assess(CountTable.from_arrays({"sex": sex, "race": race}, ~decision), policy=Policy())
    text = result["metrics"]["intersectional_bias_score"]["sentence"]
    assert text.startswith("sex=F × Black is selected in 0.0 % of cases and ")
    assert result["metrics"]["intersectional_bias_score"]["attribute"] == "sex × race"
    assert result["worst_groups"]["sex × race"]["group"] == "F × Black"
