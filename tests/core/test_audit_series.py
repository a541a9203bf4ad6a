"""Series from kept audits: which value, which time, which limit."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.audit_series import series_of_audits
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def audit(place: int, women: int, men: int = 60, **more: Any) -> dict[str, Any]:
    """An audit of an hour with 100 women and 100 men, of whom so many are selected."""
    table = CountTable.from_arrays(
        {"sex": ["F"] * 100 + ["M"] * 100},
        decision=[1] * women + [0] * (100 - women) + [1] * men + [0] * (100 - men),
    )
    end = NOON + place * HOUR
    return {
        "audit_id": f"a{place}",
        "model_id": "loans",
        "audit_timestamp": (end + timedelta(minutes=1)).isoformat(),
        "window_start": (end - HOUR).isoformat(),
        "window_end": end.isoformat(),
        **assess(table, None, {"sex": "M"}, n_resamples=200),
        **more,
    }


def test_a_series_has_the_values_at_the_ends_of_their_windows() -> None:
    """By hand: 54/60 and 45/60 for the ratio, −0.06 and −0.15 for the difference, which is taken signed."""
    audits = [audit(1, 45), audit(0, 54)]
    series = {one.metric: one for one in series_of_audits(audits)}
    ratio, difference = series["disparate_impact_ratio"], series["statistical_parity_difference"]
    assert ratio.values == pytest.approx((0.9, 0.75))
    assert difference.values == pytest.approx((-0.06, -0.15))
    assert [check.time for check in ratio.checks] == [NOON, NOON + HOUR]
    assert ratio.checks[0].start == NOON - HOUR
    assert ratio.checks[0].n == 200
    assert (ratio.model, ratio.attribute, ratio.threshold, ratio.breached_when) == (
        "loans",
        "sex",
        0.8,
        "below",
    )
    assert difference.breached_when == "outside"


def test_the_variance_is_that_of_the_counts() -> None:
    """Of a difference of two shares by hand: 0.54·0.46/100 + 0.6·0.4/100; the interval's is within 15 % of it."""
    (series,) = series_of_audits([audit(0, 54)], metrics=["statistical_parity_difference"])
    assert series.variances[0] == pytest.approx(0.54 * 0.46 / 100 + 0.6 * 0.4 / 100, rel=0.15)


def test_a_later_audit_of_the_same_window_replaces_the_earlier_one() -> None:
    """A revision counts, whatever the order it is given in."""
    revised = audit(0, 30, audit_timestamp=(NOON + 5 * HOUR).isoformat())
    for audits in ([revised, audit(0, 54)], [audit(0, 54), revised]):
        (series,) = series_of_audits(audits, metrics=["disparate_impact_ratio"])
        assert series.values == pytest.approx((0.5,))


def test_what_had_no_value_stays_without_one() -> None:
    """Metrics that need the truth have a series of None with the status of the audit; the drift index has no series."""
    series = {one.metric: one for one in series_of_audits([audit(0, 54)])}
    check = series["equal_opportunity_difference"].checks[0]
    assert (check.value, check.status) == (None, "no_ground_truth")
    assert check.reason
    assert "temporal_drift_index" not in series


def test_limits_can_be_tried_and_names_chosen() -> None:
    """A limit given replaces the kept one; an attribute that does not occur gives no series."""
    (series,) = series_of_audits(
        [audit(0, 54)], metrics=["disparate_impact_ratio"], thresholds={"disparate_impact_ratio": 0.95}
    )
    assert series.threshold == 0.95
    assert series_of_audits([audit(0, 54)], attributes=["race"]) == []


def test_an_audit_without_a_time_is_refused() -> None:
    """It could stand anywhere in a series. Without a window its own time stands in."""
    nowhere = {**audit(0, 54), "audit_timestamp": None, "window_start": None, "window_end": "yesterday"}
    with pytest.raises(InvalidInput):
        series_of_audits([nowhere])
    made = {**audit(0, 54), "window_start": None, "window_end": None}
    assert series_of_audits([made])[0].checks[0].time == NOON + timedelta(minutes=1)
