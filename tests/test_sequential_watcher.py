"""Confidence sequences over a model's windows: overlapping windows, revisions, baselines, and how often they cry wolf."""

from typing import Any

import numpy as np
import pytest

from fairlens_backend import audit_reader, schedule_keeper, sequential_watcher
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.inference.sequential import SequentialWatch
from fairlens_backend.core.policy import Policy
from fairlens_backend.sequential_watcher import Look
from fairlens_backend.storage.audit_windows import Span
from fairlens_backend.storage.session import unit_of_work
from tests.clock_kit import at, decide, quick, schedule, tick, windows
from tests.ingest_kit import label, register

PARITY = "statistical_parity_difference"


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `hiring` with a declared reference group."""
    quick(monkeypatch.setattr)
    register(reference_groups={"sex": "M"})


def sequential(number: int = -1) -> dict[str, Any]:
    """What the audit of a window says."""
    audit = audit_reader.read_audit("acme", windows(state="audited")[number]["audit_id"])
    found: dict[str, Any] = audit["sequential"]
    return found


def watch(metric: str = PARITY, number: int = -1, attribute: str = "sex") -> dict[str, Any]:
    """The one watch of a metric."""
    (found,) = [
        one
        for one in sequential(number)["watches"]
        if (one["metric"], one["attribute"]) == (metric, attribute)
    ]
    return found


def test_counts_grow_from_window_to_window_and_alarm_in_words() -> None:
    """Every quarter of an hour 200 of each sex, 30 % and 60 % selected: the counts of the watch are all until now."""
    schedule()
    for k in range(4):
        decide(3 + 15 * k, 200, women=60, men=120)
        assert tick(16 + 15 * k)["audited"] == 1
        assert watch()["sample_sizes"] == {"group": 200 * (k + 1), "reference": 200 * (k + 1)}
    found = watch()
    # The same sequence by the library alone, at the level of the first group: half of alpha.
    alone = SequentialWatch(alpha=0.025, band=0.1)
    for _ in range(4):
        alone = alone.add(n_g=200, k_g=60, n_r=200, k_r=120)
    assert found["confidence_sequence"] == alone.summary()["confidence_sequence"]
    assert found["alarm"] is alone.alarm is True and found["looks"] == 4
    said = sequential()
    assert said["alarm"] is True and "sex=F is selected" in said["sentences"][0]
    assert "less often than sex=M" in said["sentences"][0]
    audit = audit_reader.read_audit("acme", windows()[-1]["audit_id"])
    assert said["sentences"][0] in audit["remarks"]


def test_of_overlapping_windows_each_decision_is_taken_once() -> None:
    """Windows of an hour every quarter of an hour: after four of them a decision counts once, not four times."""
    schedule(window_minutes=60)
    for k in range(6):
        decide(3 + 15 * k, 50, women=10, men=20)
        tick(16 + 15 * k)
    assert watch()["sample_sizes"] == {"group": 300, "reference": 300}
    assert windows(state="audited")[-1]["sample_size"] == 400


def test_late_labels_are_taken_once_and_at_their_worth() -> None:
    """Labels for two past windows: the true positive rates watched are those of all labels, whatever the revisions."""
    schedule(window_minutes=60)
    ids = [decide(3 + 15 * k, 50, women=10, men=20) for k in range(3)]
    for k in range(3):
        tick(16 + 15 * k)
    label([(one, "good") for one in ids[0]], now=at(75))
    assert tick(76)["revised"] >= 1
    found = watch("equal_opportunity_difference")
    assert found["sample_sizes"] == {"group": 50, "reference": 50}
    # The same labels the other way round: taken back, and counted as unfavourable.
    label([(one, "bad") for one in ids[0]], now=at(190))
    assert tick(191)["revised"] >= 1
    assert watch("equal_opportunity_difference")["sample_sizes"] == {"group": 0, "reference": 0}
    assert watch("false_positive_rate_difference")["sample_sizes"] == {"group": 50, "reference": 50}
    assert watch()["sample_sizes"] == {"group": 150, "reference": 150}


def test_without_a_declared_reference_the_first_window_only_chooses_it() -> None:
    """The pair was picked by what happened in it: the looks begin with the second."""
    register("lending")
    schedule("lending")
    for k in range(3):
        decide(3 + 15 * k, 50, women=10, men=20, model="lending")
        tick(16 + 15 * k)
    audit = audit_reader.read_audit("acme", windows("lending")[-1]["audit_id"])
    (found,) = [
        one for one in audit["sequential"]["watches"] if one["metric"] == PARITY and one["attribute"] == "sex"
    ]
    assert (found["group"], found["reference"]) == ("F", "M")
    assert found["sample_sizes"] == {"group": 100, "reference": 100}


def test_a_new_limit_or_a_restart_is_a_new_baseline() -> None:
    """What was watched under another limit says nothing of this one; and after a repair the owner begins anew."""
    schedule()
    for k in range(3):
        decide(3 + 15 * k, 50, women=10, men=20)
        tick(16 + 15 * k)
    schedule(minutes=47, settings={"thresholds": {PARITY: 0.2}})
    decide(48, 50, women=10, men=20)
    tick(61)
    assert (watch()["band"], watch()["sample_sizes"]["group"]) == (0.2, 50)
    decide(63, 50, women=10, men=20)
    tick(76)
    assert watch()["sample_sizes"]["group"] == 100
    schedule(minutes=77, settings={"thresholds": {PARITY: 0.2}}, restart_watches=True)
    decide(78, 50, women=10, men=20)
    tick(91)
    assert watch()["sample_sizes"]["group"] == 50


def test_a_new_baseline_does_not_begin_with_a_past_window() -> None:
    """Labels revise a past window between a new limit and the next window: 50 a sex are counted, those that came since."""
    schedule()
    ids = decide(3, 50, women=10, men=20)
    tick(16)
    decide(18, 50, women=10, men=20)
    tick(31)
    schedule(minutes=33, settings={"thresholds": {PARITY: 0.2}})
    label([(one, "good") for one in ids], now=at(34))
    assert tick(35)["revised"] == 1
    assert PARITY not in {one["metric"] for one in sequential()["watches"]}
    label([(one, "bad") for one in ids], now=at(36))
    decide(38, 50, women=10, men=20)
    tick(46)
    assert (watch()["band"], watch()["sample_sizes"]) == (0.2, {"group": 50, "reference": 50})
    tick(120)
    assert windows()[-1]["window_end"][11:16] == "00:15"
    assert watch()["sample_sizes"] == {"group": 50, "reference": 50}


def test_a_group_that_appears_later_is_watched_from_then_on() -> None:
    """It gets the next share of alpha: 1/2, then 1/6; its reference counts begin with it."""
    schedule()
    decide(3, 50, women=10, men=20)
    tick(16)
    decide(18, 50, women=10, men=20)
    decide_others(18, 30)
    tick(31)
    levels = {
        one["group"]: (
            one["sample_sizes"],
            one["confidence_sequence"] and one["confidence_sequence"]["level"],
        )
        for one in sequential()["watches"]
        if one["metric"] == PARITY and one["attribute"] == "sex"
    }
    assert levels["F"][0] == {"group": 100, "reference": 100} and levels["F"][1] == 1 - 0.05 / 2
    assert levels["X"][0] == {"group": 30, "reference": 50}


def decide_others(minutes: float, n: int) -> None:
    """Decisions on people of a third sex."""
    from tests.ingest_kit import event, send

    send(
        [
            event(
                f"x{minutes}-{i}", timestamp=at(minutes).isoformat(), demographic_tags={"sex": "X", "age": 41}
            )
            for i in range(n)
        ],
        now=at(minutes),
    )


def test_what_is_asked_for_at_once_is_no_look() -> None:
    """An audit on demand says nothing of sequences, and moves none."""
    from fairlens_backend import window_auditor
    from fairlens_backend.schemas.audits import WindowAuditRequest

    schedule()
    decide(3, 50, women=10, men=20)
    asked = window_auditor.audit_window("acme", "hiring", WindowAuditRequest(), at(10))
    assert asked["sequential"] is None
    tick(16)
    assert watch()["looks"] == 1


def test_a_model_of_many_groups_stays_bounded() -> None:
    """Forty groups: the nineteen largest are watched against the reference."""
    groups = {f"g{i:02d}": 100 - i for i in range(40)}
    table = CountTable.from_arrays(
        {"race": [name for name, n in groups.items() for _ in range(n)]},
        decision=[0, 1] * (sum(groups.values()) // 2) + [0] * (sum(groups.values()) % 2),
    )
    look = Look(Span(None, at(0), at(15), at(0)), table, None, {"race": "g00"}, {}, Policy())
    with unit_of_work():
        result, given = sequential_watcher.look("acme", "m", look, at(16))
    watched = {one["group"] for one in result["watches"]}
    assert watched == {f"g{i:02d}" for i in range(1, 20)} and len(given["race"]) == 20


def test_the_state_of_a_tenant_is_its_own() -> None:
    """Two tenants' models of one name are watched apart."""
    look = Look(
        Span(None, at(0), at(15), at(0)),
        CountTable.from_arrays({"sex": ["F", "M"] * 60}, decision=[0, 1] * 60),
        None,
        {"sex": "M"},
        {},
        Policy(),
    )
    for tenant in ("one", "two"):
        with unit_of_work():
            found, _ = sequential_watcher.look(tenant, "m", look, at(16))
        assert {one["looks"] for one in found["watches"]} == {1}


def test_ninety_six_looks_a_day_cry_wolf_in_at_most_alpha_of_steady_streams() -> None:
    """400 models without a difference, a month's 2,880 looks each by the same splitting of alpha: at most 5 % ever alarm.

    Judged by the raw test at every look most would. Counts as the watcher gives them: three groups, at alpha / 2 and alpha / 6.
    """
    from fairlens_backend.core.inference.sequential import confidence_sequence

    chance = np.random.default_rng(5)
    runs, looks = 400, 2_880
    n = np.cumsum(np.full((3, runs, looks), 20), axis=-1)
    k = np.cumsum(chance.binomial(20, 0.4, size=(3, runs, looks)), axis=-1)
    ever = np.zeros(runs, dtype=bool)
    for number, group in enumerate((0, 1), 1):
        found = confidence_sequence(
            n[group], k[group], n[2], k[2], alpha=0.05 / (number * (number + 1)), band=0.0
        )
        ever |= found.alarm[:, -1]
    # 20 of 400 expected at the most; 33 would be three standard errors above.
    assert ever.sum() <= 33
    rates = k[0] / n[0] - k[2] / n[2]
    pooled = (k[0] + k[2]) / (n[0] + n[2])
    raw = np.abs(rates) > 1.96 * np.sqrt(pooled * (1 - pooled) * 2 / n[0])
    assert raw[:, 4:].any(axis=1).mean() > 0.5


def test_an_alarm_stays_and_keeps_its_time() -> None:
    """It is said at every later window until the watch is restarted."""
    schedule()
    decide(3, 1_000, women=100, men=900)
    tick(16)
    first = watch()["alarmed_at"]
    assert first is not None
    decide(18, 200, women=100, men=100)
    tick(31)
    assert (watch()["alarm"], watch()["alarmed_at"]) == (True, first)
    assert schedule_keeper.get_schedule("acme", "hiring", at(32))["last_audit_id"]
