"""The catalogue agrees with the engine, and its words with its numbers."""

import math

import pytest

from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.metric_catalogue import CATALOGUE, describe, entry


def test_every_metric_of_the_engine_has_an_entry():
    """Number, side and limit are the engine's; metric 16 alone is a table and no metric of the engine."""
    assert set(CATALOGUE) - set(METRICS_BY_NAME) == {"impact_ratio"}
    for name, metric in METRICS_BY_NAME.items():
        one = CATALOGUE[name]
        assert (one.number, one.breached_when, one.threshold) == (
            metric.number,
            metric.breached_when,
            metric.threshold,
        ), name


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_values_outside_the_range_are_refused_and_its_ends_are_not(name):
    """A ratio has no upper end, a share has both."""
    one = CATALOGUE[name]
    for end in (one.low, one.high):
        if math.isfinite(end):
            assert describe(name, end)["meaning"]
    for value in (one.low - 0.01, math.nan, math.inf):
        with pytest.raises(InvalidInput):
            describe(name, value)


def test_a_metric_that_is_not_there_is_named_with_those_that_are():
    """By name or short name only."""
    with pytest.raises(NotFound, match="'fairness'; there are demographic_parity_difference"):
        entry("fairness")
    assert entry("eod").name == "equal_opportunity_difference"
