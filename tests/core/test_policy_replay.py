"""A dry run judges stored audits as an audit under those settings would have."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.policy_replay import StoredAudit, replay

DIR, SPD = "disparate_impact_ratio", "statistical_parity_difference"
DPD, LIFT = "demographic_parity_difference", "statistical_parity_subgroup_lift"
# The three limits on selection rates, moved to where 0.45 against 0.60 breaches none.
LENIENT = {DIR: 0.70, DPD: 0.20, LIFT: 1.5}


def table(truth: bool = False, **groups: tuple[int, int]) -> CountTable:
    """Groups of (selected, rows); with truth, every other row has a favourable one."""
    labels = [name for name, (_, rows) in groups.items() for _ in range(rows)]
    decisions = [int(i < selected) for selected, rows in groups.values() for i in range(rows)]
    return CountTable.from_arrays(
        {"sex": labels}, decisions, [i % 2 for i in range(len(labels))] if truth else None
    )


def stored(
    counts: CountTable, name: str = "a", when: str = "2026-01-01", kept: bool = True, **more: Any
) -> StoredAudit:
    """An audit as the archive keeps it, through JSON and back."""
    result = {"audit_id": name, "audit_timestamp": when, **assess(counts, **more)}
    return StoredAudit(
        json.loads(json.dumps(result)), json.loads(json.dumps(counts.to_dict())) if kept else None
    )


# By hand DIR 0.75 → HIGH at 0.80, a gap of 0.15, a lift of 1.33: one breach together, MEDIUM when the DIR is let go.
QUARTER = table(F=(450, 1000), M=(600, 1000))


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(
    ("settings", "severity", "alerts"),
    [
        ({}, "HIGH", 1),
        ({"thresholds": LENIENT}, "PASS", 0),
        ({"thresholds": {DIR: 0.70}}, "MEDIUM", 0),
        ({"min_sample_size": 2001}, "UNKNOWN", 0),
        ({"min_sample_size": 2000}, "HIGH", 1),
        # p is about 1e-11, so an alpha below it makes the breach a LOW one
        ({"alpha": 1e-15}, "LOW", 0),
    ],
)
def test_each_setting_moves_the_verdict_as_by_hand(
    kept: bool, settings: dict[str, Any], severity: str, alerts: int
) -> None:
    """Thresholds, alpha and the smallest sample, from counts and from figures alike."""
    found = replay([stored(QUARTER, kept=kept)], Policy(**settings))
    assert found["severities"][severity] == 1 and sum(found["severities"].values()) == 1
    assert (found["n_audits"], found["n_alerts"]) == (1, alerts)
    assert (found["n_recomputed"], found["n_rerated"]) == ((1, 0) if kept else (0, 1))
    assert found["before"]["n_alerts"] == 1 and found["before"]["severities"]["HIGH"] == 1
    assert len(found["changed"]) == (severity != "HIGH")
    json.dumps(found, allow_nan=False)


def test_alerts_and_changes_come_by_time_with_the_first() -> None:
    """Whatever the order in which the archive is read; an audit without a time comes last."""
    audits = [
        stored(QUARTER, "c", "2026-03-01"),
        stored(table(F=(500, 1000), M=(500, 1000)), "fair", "2026-01-15"),
        stored(QUARTER, "b", "2026-02-01"),
        stored(table(F=(100, 1000), M=(600, 1000)), "a", "2026-04-01"),
    ]
    untimed = StoredAudit({**audits[0].result, "audit_timestamp": None, "audit_id": "0"}, audits[0].counts)
    found = replay(iter([untimed, *audits]), Policy())
    assert [alert["audit_id"] for alert in found["alerts"]] == ["b", "c", "a", "0"]
    assert found["first_alert"]["audit_id"] == "b" and found["first_alert"]["metrics"][0]["name"] == DIR
    assert found["alert_share"] == 4 / 5 and found["changed"] == []
    assert found["sentence"] == "By these settings 4 of 5 audits would have alerted; 4 did."
    stricter = replay(audits, Policy(thresholds=LENIENT))
    assert [(c["audit_id"], c["before"], c["after"], c["due_to"]) for c in stricter["changed"]] == [
        ("b", "HIGH", "PASS", "settings"),
        ("c", "HIGH", "PASS", "settings"),
    ]


def test_a_group_let_in_by_a_lower_least_size_counts_only_where_counts_were_kept() -> None:
    """20 rows, none selected, are no group at 30 and the worst group at 20."""
    small = table(A=(500, 1000), B=(500, 1000), C=(0, 20))
    policy = Policy(min_group_size=20)
    assert replay([stored(small)], policy)["severities"]["CRITICAL"] == 1
    found = replay([stored(small, kept=False)], policy)
    assert found["severities"]["PASS"] == 1
    assert "min_group_size 20 could not be applied" in found["remarks"][0]["remark"]
    # where it lets in and shuts out the same groups nothing need be said
    assert replay([stored(small, kept=False)], Policy(min_group_size=25))["remarks"] == []


def test_a_reference_group_that_was_declared_stays_and_one_that_was_chosen_is_chosen_again() -> None:
    """With F declared, M is 1.33 times as often selected and nothing breaches the ratio."""
    declared = stored(QUARTER, reference_groups={"sex": "F"})
    assert declared.result["attributes"]["sex"][DIR]["value"] == pytest.approx(4 / 3)
    found = replay([declared], Policy())
    assert found["severities"] == {**found["severities"], declared.result["overall_severity"]: 1}
    assert found["changed"] == []


def test_a_reference_group_that_could_not_be_compared_is_no_pass() -> None:
    """Declared is a group of 20: A and B are alike, and nothing is known of the group that counts, by the audit and by its replay."""
    for kept in (True, False):
        audit = stored(
            table(A=(500, 1000), B=(500, 1000), C=(0, 20)), kept=kept, reference_groups={"sex": "C"}
        )
        assert audit.result["overall_severity"] == "UNKNOWN"
        found = replay([audit], Policy())
        assert (found["severities"]["UNKNOWN"], found["changed"]) == (1, [])


def test_a_change_by_a_younger_engine_is_not_put_on_the_settings() -> None:
    """An audit kept as PASS that today's engine finds HIGH by the very same settings."""
    audit = stored(QUARTER)
    old = StoredAudit({**audit.result, "overall_severity": "PASS"}, audit.counts)
    assert replay([old], Policy())["changed"][0]["due_to"] == "engine"
    assert replay([old], Policy(thresholds=LENIENT))["changed"] == []
    critical = Policy(thresholds={DIR: 1.0, SPD: 0.01, "theil_index": 0.01}, min_sample_size=5000)
    assert replay([old], critical)["changed"][0]["due_to"] == "both"


def test_figures_that_no_table_gives_are_rated_with_the_rest() -> None:
    """A stored individual_fairness_score of 0.60 at its owner's 0.84: (1 − 0.6)/(1 − 0.84) = 2.5 times the limit, HIGH."""
    audit = stored(table(F=(500, 1000), M=(500, 1000)))
    figure = {
        **audit.result["attributes"]["sex"][DIR],
        "name": "individual_fairness_score",
        "value": 0.60,
        "threshold": 0.85,
        "p_value": 0.001,
        "confidence_interval": {"lower": 0.55, "upper": 0.65},
    }
    attributes = {"sex": {**audit.result["attributes"]["sex"], "individual_fairness_score": figure}}
    for counts in (audit.counts, None):
        found = replay(
            [StoredAudit({**audit.result, "attributes": attributes}, counts)],
            Policy(thresholds={"individual_fairness_score": 0.84}),
        )
        assert found["severities"]["HIGH"] == 1
        (metric,) = found["alerts"][0]["metrics"]
        assert metric["name"] == "individual_fairness_score" and metric["confirmed"] is True
    assert found["n_confirmed"] == 1
    # of no attribute, it stands with the metrics alone
    metrics = {**audit.result["metrics"], "individual_fairness_score": {**figure, "attribute": None}}
    found = replay(
        [StoredAudit({**audit.result, "metrics": metrics}, audit.counts)],
        Policy(thresholds={"individual_fairness_score": 0.84}),
    )
    assert found["severities"]["HIGH"] == 1 and found["alerts"][0]["metrics"][0]["attribute"] is None


@pytest.mark.parametrize(
    ("interval", "confirmed"),
    [((0.70, 0.79), True), ((0.70, 0.80), False), ((0.70, 0.85), False), (None, None)],
)
def test_confirmed_is_judged_by_the_new_limit(
    interval: tuple[float, float] | None, confirmed: bool | None
) -> None:
    """The whole interval must lie beyond it."""
    audit = stored(QUARTER, kept=False)
    figure = audit.result["attributes"]["sex"][DIR]
    figure["confidence_interval"] = interval and dict(zip(("lower", "upper"), interval, strict=True))
    metrics = replay([audit], Policy())["alerts"][0]["metrics"]
    assert next(metric for metric in metrics if metric["name"] == DIR)["confirmed"] is confirmed


def test_counts_that_cannot_be_read_fall_back_and_an_audit_without_figures_is_skipped() -> None:
    """One spoilt row of an archive does not end the dry run."""
    audit = stored(QUARTER)
    found = replay(
        [StoredAudit(audit.result, {"version": 99}), StoredAudit({"audit_id": "x"}, None)], Policy()
    )
    assert found["n_audits"] == found["n_rerated"] == 1 and found["severities"]["HIGH"] == 1
    assert "version 99" in found["remarks"][0]["remark"]
    assert found["skipped"][0]["audit_id"] == "x" and "not complete" in found["skipped"][0]["reason"]


def test_no_audits_are_no_good_news() -> None:
    """A share of nothing has no value."""
    found = replay([], Policy())
    assert found["alert_share"] is None and found["first_alert"] is None
    assert found["sentence"] == "There are no stored audits to try these settings on."


policies = st.builds(
    Policy,
    thresholds=st.dictionaries(st.sampled_from([DIR, SPD, LIFT, "theil_index"]), st.floats(0.01, 1.0)),
    alpha=st.sampled_from([0.001, 0.05, 0.3]),
    correction=st.sampled_from(["bh", "holm", "none"]),
    min_sample_size=st.integers(1, 300),
)
groups = st.dictionaries(
    st.sampled_from("ABCD"), st.tuples(st.integers(0, 60), st.integers(60, 120)), min_size=1, max_size=4
)


@given(groups=groups, truth=st.booleans(), then=policies, now=policies)
def test_rating_stored_figures_is_auditing_under_those_settings(
    groups: dict[str, tuple[int, int]], truth: bool, then: Policy, now: Policy
) -> None:
    """From counts or from figures: the severity is that of `assess` under the new settings.

    Not from figures alone where the limit of the Theil index changed: it is tested against its limit.
    """
    counts = table(truth, **groups)
    expected = assess(counts, policy=now)
    same_limit = then.threshold("theil_index") == now.threshold("theil_index")
    for kept in (True, False) if same_limit else (True,):
        found = replay([stored(counts, kept=kept, policy=then)], now)
        assert found["severities"][expected["overall_severity"]] == 1
        assert found["n_alerts"] == expected["alert"]
