"""The three metrics on rows together."""

from pathlib import Path

import numpy as np
import pandas as pd

from fairlens_backend.core import metrics
from fairlens_backend.core.row_metrics import ROW_METRICS, ROW_METRICS_BY_NAME, measure_rows
from fairlens_backend.core.row_sample import RowSample


def people(n: int = 3000, seed: int = 0) -> RowSample:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    sex, race = rng.choice(["F", "M"], n), rng.choice(["A", "B", "C"], n)
    score = 1 / (1 + np.exp(-x - 0.5 * (sex == "M")))
    return RowSample.draw(
        pd.DataFrame({"x": x, "town": rng.choice(["Ulm", "Bonn"], n)}),
        decision=(score > 0.5).astype(int),
        score=score,
        protected={"sex": sex, "race": race},
    )


def test_numbers_thresholds_and_directions_are_those_of_the_statistics() -> None:
    """STATISTICS section 2: 9 (0.85, <), 10 (0.06, >), 17 (0.85, <); 10 decides by itself; each has a file of its name."""
    assert [(m.name, m.number, m.threshold, m.breached_when, m.decides) for m in ROW_METRICS] == [
        ("individual_fairness_score", 9, 0.85, "below", False),
        ("counterfactual_fairness", 10, 0.06, "above", True),
        ("consistency", 17, 0.85, "below", False),
    ]
    for name in ROW_METRICS_BY_NAME:
        assert (Path(metrics.__file__).parent / f"{name}.py").exists()


def test_each_attribute_has_its_own_counterfactual() -> None:
    """9 and 17 are of all people, 10 of each attribute."""
    found = [(one.metric_name, one.attribute, one.status) for one in measure_rows(people())]
    assert found == [
        ("individual_fairness_score", None, "ok"),
        ("counterfactual_fairness", "sex", "ok"),
        ("counterfactual_fairness", "race", "ok"),
        ("consistency", None, "ok"),
    ]


def test_every_interval_holds_its_value_and_every_value_has_a_sentence() -> None:
    """Whatever the data."""
    for seed in range(5):
        for one in measure_rows(people(200, seed), seed=seed):
            assert one.value is not None
            assert one.interval is not None
            assert one.interval[0] <= one.value <= one.interval[1]
            assert one.p_value is not None
            assert 0 <= one.p_value <= 1
            assert one.test
            assert one.sentence
            assert one.sentence.endswith(".")


def test_the_same_seed_gives_the_same_figures() -> None:
    """Also when measured again; figures have at most ten digits after the point."""
    first = measure_rows(people(), seed=3)
    assert first == measure_rows(people(), seed=3)
    for one in first:
        assert one.value == round(one.value or 0.0, 10)


def test_limits_are_the_policy_s() -> None:
    """The p-value of 9 and 17 is about the limit; that of 10 is about no effect."""
    strict = measure_rows(people(), {"individual_fairness_score": 0.99, "consistency": 0.999})
    mild = measure_rows(people(), {"individual_fairness_score": 0.01, "consistency": 0.01})
    assert [one.p_value < 0.01 for one in (strict[0], strict[3]) if one.p_value is not None] == [True, True]
    assert [one.p_value > 0.99 for one in (mild[0], mild[3]) if one.p_value is not None] == [True, True]
    assert strict[1].p_value == mild[1].p_value
    assert "0.999" not in (mild[3].sentence or "")


def test_no_rows_at_all() -> None:
    """Nothing is said of nothing."""
    empty = RowSample.draw(None, [], protected={"sex": []})
    assert [one.status for one in measure_rows(empty)] == [
        "no_scores",
        "insufficient_data",
        "insufficient_data",
    ]
