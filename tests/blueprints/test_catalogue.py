"""The catalogue: every metric with what a reader needs, and values in words."""

import pytest

from fairlens_backend.core.metrics import METRICS
from fairlens_backend.metric_catalogue import CATALOGUE, describe
from tests.api import assert_envelope


def test_every_metric_of_the_engine_is_in_it(people):
    """With the engine's own limit, side and definition: the two never say different things."""
    items = assert_envelope(people.monitor.get("/v1/metrics"), 200)["items"]
    by_name = {one["name"]: one for one in items}
    assert {one["number"] for one in items} == set(range(1, 18))
    for metric in METRICS:
        one = by_name[metric.name]
        assert (one["default_threshold"], one["definition"], one["number"]) == (
            metric.threshold,
            metric.definition,
            metric.number,
        )
        assert CATALOGUE[metric.name].breached_when == metric.breached_when
    for one in items:
        assert all(one[key] for key in ("formula", "direction", "needs", "source", "definition"))
        assert len(one["range"]) == 2


@pytest.mark.parametrize(
    ("name", "value", "words", "breached"),
    [
        (
            "disparate_impact_ratio",
            "0.72",
            "0.72 times as often as the reference group. The limit is 0.8",
            True,
        ),
        ("disparate_impact_ratio", "0.8", "The limit is 0.8: it is kept.", False),
        ("statistical_parity_difference", "-0.25", "25 percentage points less often", True),
        ("statistical_parity_difference", "0.05", "5 percentage points more often", False),
        ("consistency", "0.9", "differs on average by 0.1 from", False),
        (
            "impact_ratio",
            "0.5",
            "0.5 times as often as the group selected most often. The metric is reported",
            None,
        ),
        ("temporal_drift_index", "6", "moved by 6 standard deviations", True),
    ],
)
def test_a_value_in_words(people, name, value, words, breached):
    """Size, direction and whether the limit is kept."""
    answer = people.monitor.get(f"/v1/metrics/{name}", value=value)
    found = assert_envelope(answer, 200)
    assert words in found["meaning"] and found["breached"] is breached
    assert answer.get_json()["message"] == found["meaning"]


def test_short_names_lead_to_the_same_metric(people):
    """`dir` is the disparate impact ratio."""
    assert assert_envelope(people.monitor.get("/v1/metrics/dir"), 200)["name"] == "disparate_impact_ratio"


def test_what_is_wrong_is_said(people):
    """An unknown name, a value outside the range, a value that is no number."""
    assert_envelope(people.monitor.get("/v1/metrics/fairness"), 404, "not_found")
    details = assert_envelope(people.monitor.get("/v1/metrics/dir", value="-1"), 422, "invalid_input")
    assert details["expected"] == "0 or more"
    assert_envelope(people.monitor.get("/v1/metrics/consistency", value="1.5"), 422, "invalid_input")
    assert_envelope(people.monitor.get("/v1/metrics/dir", value="high"), 422, "invalid_input")
    assert_envelope(people.monitor.get("/v1/metrics/dir", value="nan"), 422, "invalid_input")


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_parity_is_kept_by_every_limit(name):
    """The value that says "no difference" never breaches."""
    assert describe(name, CATALOGUE[name].parity)["breached"] in (False, None)
