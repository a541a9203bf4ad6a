"""A model's drift: series from rows, what lies before the window, nothing where there is nothing, where a change is from."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend import audit_runner, drift_reader
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.schemas.drift import DriftQuery

pytestmark = pytest.mark.usefixtures("database")

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NORTH, SOUTH = 0.6, 0.2
"""Selection rates of two regions, of women and men alike."""


def loans(women_north: int, women_south: int) -> CountTable:
    """Women by region, and 100 men in each; who lives where decides, not whether one is a woman."""
    cells = [
        ("F", "north", women_north),
        ("F", "south", women_south),
        ("M", "north", 100),
        ("M", "south", 100),
    ]
    sex = np.concatenate([np.full(n, sex, dtype=object) for sex, _, n in cells])
    region = np.concatenate([np.full(n, region, dtype=object) for _, region, n in cells])
    rate = {"north": NORTH, "south": SOUTH}
    decision = np.concatenate([np.arange(n) < round(n * rate[region]) for _, region, n in cells])
    return CountTable.from_arrays({"sex": sex, "region": region}, decision.astype(np.int64))


def audit(number: int, table: CountTable, *, every: timedelta = DAY) -> Any:
    """The audit of an hour."""
    end = START + number * every
    subject = Subject("acme", "hiring", "v1", {"reference_groups": {"sex": "M"}})
    return audit_runner.run(subject, table, Context(window=(end - HOUR, end)), end)


def drift(number: float, **asked: Any) -> Any:
    """The answer so many days after the first audit."""
    return drift_reader.drift("acme", "hiring", DriftQuery(**asked), START + number * DAY)


@pytest.fixture
def falling() -> list[Any]:
    """25 even audits, then five with ever more women in the south."""
    even = [audit(number, loans(100, 100)) for number in range(25)]
    return even + [audit(25 + step, loans(100 - 15 * step, 100 + 15 * step)) for step in range(1, 6)]


def test_a_series_of_a_ratio_that_falls(falling: list[Any]) -> None:
    """Values by hand: 40 % of men; of women 40 % less 3 points a step, so 25 % and a ratio of 0.625 in the end."""
    answer = drift(30, metrics="dir,spd", attribute="sex", window_days=10)
    assert answer["status"] == "ok" and answer["reason"] is None
    ratio, difference = answer["series"]
    values = [point["value"] for point in ratio["timeseries"]]
    assert values == pytest.approx([1, 1, 1, 1, 0.925, 0.85, 0.775, 0.7, 0.625])  # no audit on day 25
    assert [point["value"] for point in difference["timeseries"]][-1] == pytest.approx(-0.15)
    assert [point["breached"] for point in ratio["timeseries"]][-3:] == [True, True, True]
    assert (ratio["threshold"], ratio["baseline"]["n_checks"]) == (0.8, 20)
    assert ratio["baseline"]["mean"] == pytest.approx(1.0)
    assert ratio["baseline"]["since"].startswith("2026-03-01")
    assert ratio["pre_alert"]["pre_alert"] is not None and ratio["prediction"]["status"] == "ok"
    assert ratio["current_trend"]["direction"] in ("worsening", "steady")
    for name in ("cusum_breakpoints", "adwin_changes", "breakpoints", "velocity"):
        assert name in ratio


def test_many_metrics_on_one_grid(falling: list[Any]) -> None:
    """Every series has as many values as there are times."""
    aligned = drift(30, metrics="dir,spd,theil")["aligned"]
    assert len(aligned["times"]) == 29  # the first audit is as old as the window is long, and so outside
    assert [(one["attribute"], one["metric"]) for one in aligned["series"]] == [
        (attribute, metric)
        for attribute in ("region", "sex")
        for metric in ("disparate_impact_ratio", "statistical_parity_difference", "theil_index")
    ]
    assert all(len(one["values"]) == 29 for one in aligned["series"])
    assert set(aligned["series"][2]["values"]) == {None}  # no truth: no index, and it says so
    assert set(aligned["series"][2]["statuses"]) == {"no_ground_truth"}


def test_where_a_change_comes_from(falling: list[Any]) -> None:
    """Nobody was treated differently within a region: the whole change of −15 points is who was decided on."""
    (found,) = drift(30, metrics="dir", attribute="sex")["decomposition"]
    assert (found["from_audit"], found["to_audit"]) == (falling[1]["audit_id"], falling[-1]["audit_id"])
    assert (found["stratum"], found["groups_compared"], found["rate"]) == (
        ["region"],
        ["F", "M"],
        "selection_rate",
    )
    gap = found["gap"]
    assert gap["change"]["value"] == pytest.approx(-0.15) and gap["mix"]["value"] == pytest.approx(-0.15)
    assert gap["rates"]["value"] == pytest.approx(0.0)


def test_a_change_of_an_error_rate_is_split_by_that_rate() -> None:
    """Equal opportunity is about the true positive rate; without labels that is what the part says."""
    audit(0, loans(100, 100))
    audit(1, loans(50, 150))
    parts = drift(1, metrics="eod,dir", attribute="sex")["decomposition"]
    assert [(part["rate"], part["status"]) for part in parts] == [
        ("true_positive_rate", "no_ground_truth"),
        ("selection_rate", "ok"),
    ]


def test_one_audit_or_one_attribute_cannot_be_split() -> None:
    """The reason stands where the parts would."""
    audit(0, loans(100, 100))
    (one,) = drift(0.5, metrics="dir", attribute="sex")["decomposition"]
    assert one["status"] == "insufficient_data" and "one audit" in one["reason"]
    audit(1, loans(100, 100).marginal(["sex"]))
    (two,) = drift(1, metrics="dir", attribute="sex")["decomposition"]
    assert two["status"] == "insufficient_data" and "no other attribute" in two["reason"]


def test_no_audit_in_the_window_is_not_fair() -> None:
    """30 good days and then 30 without an audit: nothing is known of now, in the whole and of each series."""
    for number in range(30):
        audit(number, loans(100, 100))
    answer = drift(65, metrics="dir", attribute="sex")
    assert answer["status"] == "insufficient_data" and "unknown" in answer["reason"]
    (series,) = answer["series"]
    assert (series["status"], series["timeseries"], series["baseline"]) == ("insufficient_data", [], None)
    assert series["pre_alert"]["pre_alert"] is None and series["prediction"]["action"] is None
    assert series["early_warning"]["early_warning"] is None
    assert answer["decomposition"] == [] and answer["aligned"]["times"] == []
    # Seen from within those days there is an answer.
    then = drift(65, metrics="dir", attribute="sex", until=START + 20 * DAY, window_days=5)
    assert then["status"] == "ok" and len(then["series"][0]["timeseries"]) == 5


def test_days_out_of_hours() -> None:
    """Three hours are summed to one day and assessed exactly; the grid says its grain, and the answer where it is from."""
    for number, south in enumerate([100, 100, 50]):
        audit(number + 1, loans(100, south), every=HOUR)
    answer = drift(1, metrics="spd", attribute="sex", grain="day")
    (point,) = answer["series"][0]["timeseries"]
    # of 300 women in the north 60 %, of 250 in the south 20 %; of men 40 %
    assert point["value"] == pytest.approx((180 + 50) / 550 - 0.4)
    assert (point["n"], answer["source"]) == (1150, "counts")
    assert answer["grain_hours"] == answer["aligned"]["grain_hours"] == 24


def test_a_model_that_does_not_exist() -> None:
    """Neither registered nor audited, or another tenant's: NotFound."""
    with pytest.raises(NotFound):
        drift(1)
    audit(0, loans(100, 100))
    with pytest.raises(NotFound):
        drift_reader.drift("rival", "hiring", DriftQuery(), START)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"metrics": "dir,beauty"}, "metrics"),
        ({"metrics": "temporal_drift_index"}, "metrics"),
        ({"metrics": "individual_fairness_score"}, "metrics"),
        ({"attribute": "age"}, "attribute"),
        ({"grain": "week"}, "grain"),
        ({"grain": "5"}, "grain"),
    ],
)
def test_what_does_not_exist_is_named(asked: dict[str, Any], field: str) -> None:
    """InvalidInput with the field."""
    audit(0, loans(100, 100))
    with pytest.raises(InvalidInput) as caught:
        drift(1, **asked)
    assert caught.value.details["field"] == field


def test_a_call_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More series than are looked at in one call are refused, with both numbers."""
    monkeypatch.setattr(drift_reader, "MAX_SERIES", 3)
    audit(0, loans(100, 100))
    assert len(drift(1, metrics="dir")["series"]) == 2
    with pytest.raises(InvalidInput, match="4 series, at most 3"):
        drift(1, metrics="dir,spd")


def test_a_registered_model_without_audits_says_that_it_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Known by its registration: nothing is known of its drift."""
    from fairlens_backend import model_registry

    model_registry.register_model(
        "hiring", "v1", tenant="acme", declarations={}, artefact=None, created_by="ann", now=START
    )
    answer = drift(1)
    assert (answer["status"], answer["series"], answer["aligned"]["series"]) == ("insufficient_data", [], [])
    assert answer["reason"].startswith("No audit of hiring")


def test_many_checks_are_read_less_far_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the baseline the newest alone, and that is said; exactly as many as are read are not cut."""
    monkeypatch.setattr(drift_reader, "MAX_CHECKS", 25)
    for number in range(25):
        audit(number, loans(100, 100), every=HOUR)
    whole = drift(2, metrics="dir", attribute="sex")
    assert (whole["checks_per_series"], whole["cut"], whole["series"][0]["n_checks"]) == (25, False, 25)
    monkeypatch.setattr(drift_reader, "ALL_CHECKS", 6)
    part = drift(2, metrics="dir,spd", attribute="sex")
    assert (part["checks_per_series"], part["cut"], part["series"][0]["n_checks"]) == (3, True, 23)


def test_a_window_of_any_days() -> None:
    """From one time to another, in the place of a length; a begin after the end is refused by its name."""
    for number in range(8):
        audit(number, loans(100, 100))
    answer = drift(8, metrics="dir", attribute="sex", since=START + 2 * DAY, until=START + 5 * DAY)
    assert answer["window_days"] == 3 and answer["source"] == "audits"
    times = [point["time"][:10] for point in answer["series"][0]["timeseries"]]
    assert times == ["2026-03-04", "2026-03-05", "2026-03-06"]  # after the begin, up to the end
    with pytest.raises(InvalidInput, match="since"):
        drift(8, since=START + 9 * DAY)


def test_hours_without_decisions_stay_gaps_and_too_many_are_refused() -> None:
    """Of a day with one hour of decisions the others have no value; years of hours are not counted at once."""
    audit(1, loans(100, 100))
    answer = drift(2, metrics="dir", attribute="sex", grain="hour", window_days=2)
    (series,) = answer["series"]
    known = [point["time"] for point in series["timeseries"] if point["value"] is not None]
    assert known == ["2026-03-02T01:00:00+00:00"]  # submitted at midnight: the hour that begins then
    assert {point["reason"] for point in series["timeseries"]} == {None, "No decisions in this period."}
    assert len(answer["aligned"]["times"]) == 48 - 24
    with pytest.raises(InvalidInput, match="coarser grain"):
        drift(100, metrics="dir", attribute="sex", grain="hour", window_days=99)
