"""What audits, the clock and people do to alerts, and who is told of it."""

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import alert_actions, alert_manager, alert_reader, config
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.policy import Policy
from fairlens_backend.errors import Conflict, InvalidInput, NotFound
from fairlens_backend.schemas.alerts import SilenceRequest
from fairlens_backend.storage.session import unit_of_work
from tests.alert_kit import (
    FAIR,
    NEARLY,
    RATIO,
    TENANT,
    UNFAIR,
    WORSE,
    at,
    kinds,
    observe,
    result,
    rows,
    the_alert,
    told,
)


@pytest.fixture(autouse=True)
def hooked(make_settings: Callable[..., config.Settings], database: None) -> None:
    """A webhook and a PagerDuty service in the settings; nothing is delivered here."""
    make_settings(
        WEBHOOK_URL="https://hooks.example/x", WEBHOOK_SECRET="s" * 12 + "ecret-no-one-knows", ALERT_PAGERDUTY_KEY="k" * 32
    )  # fmt: skip


def silence(hours: float, hour: float) -> dict[str, Any]:
    wanted = SilenceRequest(hours=hours, reason="known")
    return alert_actions.silence(TENANT, the_alert().alert_id, wanted, "ann", at(hour))


@pytest.mark.no_cover
def test_10_000_breaches_of_one_metric_make_one_alert() -> None:
    """One row, one opening, one message a target; the breaches are counted. A tenth of them but for the rounds of faults."""
    one = {**result(UNFAIR), "attributes": {"gender": {RATIO: result(UNFAIR)["attributes"]["gender"][RATIO]}}}
    total = 10_000 if os.environ.get("FAIRLENS_FAULT_ROUNDS") else 1_000
    for start in range(0, total, 500):
        with unit_of_work():
            for place in range(start, start + 500):
                alert_manager.observe(TENANT, one, "rec", at(0) + timedelta(seconds=place))
    assert the_alert().breaches == total
    assert [(one["kind"], one["metric"], one["target"]) for one in told()] == [
        ("opened", RATIO, "default:pagerduty"), ("opened", RATIO, "default:webhook"),
    ]  # fmt: skip
    history = alert_reader.read_alert(TENANT, the_alert().alert_id)["history"]
    assert [one["what"] for one in history] == ["opened"]


def test_the_message_has_the_figures_of_its_audit() -> None:
    """By hand: 280 of 1,000 women, 400 of 1,000 men: 0.28 / 0.4 = 0.7, below 0.8, HIGH."""
    observe(UNFAIR, 0)
    one = told("opened")[0]
    assert (one["model"], one["attribute"], one["metric"], one["severity"]) == (
        "loan",
        "gender",
        RATIO,
        "HIGH",
    )
    assert (
        one["value"] == pytest.approx(0.7)
        and one["threshold"] == 0.8
        and one["closing_limit"] == pytest.approx(0.82)
    )
    assert one["groups_compared"] == ["Female", "Male"] and one["sample_sizes"] == {
        "Female": 1000,
        "Male": 1000,
    }
    assert one["since"] == "2026-01-02T03:04:05.000000Z" and one["record_id"] == "rec_0" and one["what_to_do"]
    assert one["alert_id"] == the_alert().alert_id and one["sentence"].startswith(
        "Female is selected 0.70 times"
    )


def test_metrics_that_restate_one_gap_speak_once() -> None:
    """A gap in selection breaches three metrics: three alerts in the list, one of them rings."""
    observe(WORSE, 0)
    found = rows(metric=None)
    assert len(found) >= 3 and {row.state for row in found} == {"open"}
    assert {one["alert_id"] for one in told()} == {row.alert_id for row in found if row.announced_at}
    assert len({one["alert_id"] for one in told()}) == 1
    assert max(row.severity == "CRITICAL" and row.announced_at is not None for row in found)


def test_the_one_that_spoke_hands_over_when_it_ends() -> None:
    """The ratio is closed by a person while the others breach on: at the next audit another of them speaks."""
    observe(UNFAIR, 0)
    first = the_alert()
    alert_actions.resolve(TENANT, first.alert_id, "ann", "looked at it", at(1))
    observe(NEARLY - 3, 2)  # 0.725: the ratio opens again at once
    assert kinds().count("opened") == 2 and "reopened" in kinds()


def test_the_life_of_an_alert_from_opening_to_all_clear() -> None:
    """Opened, worse, reminder after four hours, all-clear after two clear audits, with its duration."""
    observe(UNFAIR, 0)
    observe(WORSE, 1)
    observe(UNFAIR, 2)
    assert alert_manager.remind_due(at(3.9)) == 0
    assert alert_manager.remind_due(at(4)) > 0
    observe(FAIR, 5)
    assert the_alert().state == "open"
    observe(FAIR, 6)
    spoken = [one for one in told() if one["target"] == "default:webhook"]
    ratio = [one for one in spoken if one["metric"] == RATIO]
    assert [one["kind"] for one in ratio] == ["opened", "worse", "reminder", "resolved"]
    assert ratio[1]["previous_severity"] == "HIGH" and ratio[1]["severity"] == "CRITICAL"
    assert ratio[-1]["duration_s"] == 6 * 3600 and ratio[-1]["until"] == "2026-01-02T09:04:05.000000Z"
    assert len({one["message_id"] for one in told()}) == len(told())
    row = the_alert()
    assert (row.state, row.breaches, row.resolved_at) == ("resolved", 3, at(6))
    observe(WORSE, 7)
    assert (the_alert().state, the_alert().times_opened) == ("open", 2)
    observe(FAIR, 8), observe(FAIR, 9)
    observe(UNFAIR, 40)
    assert [row.state for row in rows()] == ["resolved", "open"]


def test_no_data_holds() -> None:
    """Ten audits of too few rows (UNKNOWN) close nothing and open nothing."""
    with unit_of_work():
        for hour in range(10):
            alert_manager.observe(
                TENANT, {**result(WORSE, hour), "overall_severity": "UNKNOWN"}, "rec", at(hour)
            )
    assert rows(metric=None) == []
    observe(UNFAIR, 10)
    hollow = result(FAIR, 11)
    figures = {name: {**one, "status": "insufficient_data", "value": None, "breached": None} for name, one in hollow["attributes"]["gender"].items()}  # fmt: skip
    for hour in range(11, 20):
        with unit_of_work():
            alert_manager.observe(TENANT, {**hollow, "attributes": {"gender": figures}}, "rec", at(hour))
    assert the_alert().state == "open"
    observe(FAIR, 20)
    assert the_alert().state == "open"  # the first clear value of two


def test_windows_count_by_their_end_and_an_old_one_changes_nothing() -> None:
    """An audit of an older window is counted at the open alert; without one it opens none; the newest may be revised."""
    observe(FAIR, 10, window_h=1)
    observe(WORSE, 8, window_h=1, seen=11)
    assert rows(metric=None) == []
    observe(UNFAIR, 11, window_h=1)
    for hour in (3, 4, 5):
        observe(FAIR, hour, window_h=1, seen=12)
    row = the_alert()
    assert (row.state, row.late_windows, row.breaches) == ("open", 3, 1)
    # The newest window audited again, with late labels, is the same observation: two of it are not two clear windows.
    observe(FAIR, 12, window_h=1)
    observe(FAIR, 12, window_h=1, seen=13)
    assert the_alert().state == "open"
    observe(FAIR, 13, window_h=1)
    assert the_alert().state == "resolved"


def test_each_model_attribute_and_tenant_has_its_own() -> None:
    """One alert a tenant, model, attribute and metric."""
    observe(UNFAIR, 0)
    observe(UNFAIR, 0, model="hiring")
    observe(UNFAIR, 0, attribute="race")
    observe(UNFAIR, 0, tenant="other")
    assert [(row.model, row.attribute) for row in rows()] == [
        ("loan", "gender"),
        ("hiring", "gender"),
        ("loan", "race"),
    ]
    assert len(rows("other")) == 1
    with pytest.raises(NotFound):
        alert_reader.read_alert("other", rows()[0].alert_id)


def test_medium_is_kept_and_told_to_nobody_unless_a_route_asks(
    make_settings: Callable[..., config.Settings],
) -> None:
    """0.775 is MEDIUM alone: an alert in the list; CRITICAL and HIGH are what the settings send; a rise then speaks."""
    small = result(31, 0)
    assert small["attributes"]["gender"][RATIO]["severity"] in ("HIGH", "MEDIUM", "LOW")
    quiet = {"gender": {name: {**one, "severity": "MEDIUM"} for name, one in result(UNFAIR)["attributes"]["gender"].items()}}  # fmt: skip
    with unit_of_work():
        alert_manager.observe(
            TENANT, {**result(UNFAIR), "attributes": quiet, "overall_severity": "MEDIUM"}, "rec", at(0)
        )
    assert the_alert().severity == "MEDIUM" and told() == []
    assert alert_manager.remind_due(at(9)) > 0 and told() == []
    observe(WORSE, 10)
    assert kinds() == ["opened", "opened"] and told()[0]["severity"] == "CRITICAL"


def test_several_breaches_that_are_severe_together_ring() -> None:
    """Where no metric is HIGH alone and the audit is, each breach is as severe as they are together."""
    figures = result(UNFAIR)["attributes"]["gender"]
    each = {"gender": {name: {**one, "severity": "MEDIUM" if one["breached"] else one["severity"]} for name, one in figures.items()}}  # fmt: skip
    with unit_of_work():
        alert_manager.observe(
            TENANT, {**result(UNFAIR), "attributes": each, "overall_severity": "CRITICAL"}, "rec", at(0)
        )
    assert the_alert().severity == "CRITICAL" and "opened" in kinds()


def test_a_silenced_alert_is_silent_until_its_time() -> None:
    """Neither worse nor a reminder is told; after the time it speaks, if it is still open."""
    observe(UNFAIR, 0)
    silence(10, 1)
    observe(WORSE, 2)
    alert_manager.remind_due(at(9))
    assert set(kinds()) == {"opened"}
    alert_manager.remind_due(at(11))
    assert [one["kind"] for one in told() if one["metric"] == RATIO][-2:] == ["silence_over"] * 2
    assert the_alert().state == "open"


def test_what_comes_back_in_silence_stays_silent_until_its_time() -> None:
    """Ended at 3:00 and back at 4:00, silenced until 11:00: not a word to anybody, for the others of its gap neither."""
    observe(UNFAIR, 0)
    silence(10, 1)
    observe(FAIR, 2), observe(FAIR, 3)
    before = len(told())
    observe(UNFAIR, 4), alert_manager.remind_due(at(9))
    back = the_alert()
    assert (back.state, back.times_opened, back.silenced_until) == ("silenced", 2, at(11))
    assert len(told()) == before
    alert_manager.remind_due(at(11))
    assert {one["kind"] for one in told()[before:]} == {"silence_over"} and the_alert().state == "open"


def test_what_ends_in_silence_hands_nothing_over_before_its_time(
    make_settings: Callable[..., config.Settings],
) -> None:
    """55 against 66 of 100: the ratio is 0.833 and clear, the difference 0.11 and a breach. Silenced until 11:00 neither speaks; then it does."""
    make_settings(
        WEBHOOK_URL="https://hooks.example/x", WEBHOOK_SECRET="s" * 12 + "ecret-no-one-knows", ALERT_SEVERITIES="CRITICAL,HIGH,MEDIUM"
    )  # fmt: skip
    observe(UNFAIR, 0)
    silence(10, 1)
    before = len(told())
    for hour in (2, 3, 4):
        apart(hour)
    assert the_alert().state == "resolved"
    (difference,) = rows(metric="demographic_parity_difference")
    assert difference.state == "open" and {one["kind"] for one in told()[before:]} == {"resolved"}
    alert_manager.remind_due(at(11)), apart(12)
    assert told()[-1]["kind"] == "opened" and told()[-1]["metric"] == "demographic_parity_difference"


def apart(hour: float) -> None:
    """An audit of 1,000 women and men, 55 and 66 of 100 selected."""
    table = CountTable.from_arrays(
        {"gender": ["Female"] * 1000 + ["Male"] * 1000},
        decision=[1] * 550 + [0] * 450 + [1] * 660 + [0] * 340,
    )
    seen = {**result(UNFAIR, hour), **assess(table, policy=Policy(), n_resamples=0)}
    with unit_of_work():
        alert_manager.observe(TENANT, seen, f"rec_{hour}", at(hour))


def test_a_silence_is_over_for_what_ended_and_for_what_a_person_closed() -> None:
    """After 11:00, or once somebody closed it, a breach speaks; the clock finds nothing due for ever."""
    observe(UNFAIR, 0)
    silence(10, 1)
    observe(FAIR, 2), observe(FAIR, 3)
    alert_manager.remind_due(at(11))
    assert the_alert().silenced_until is None and alert_manager.remind_due(at(11)) == 0
    observe(UNFAIR, 12)
    assert the_alert().state == "open" and "reopened" in kinds()
    silence(10, 13)
    alert_actions.resolve(TENANT, the_alert().alert_id, "ann", "closed", at(14))
    assert the_alert().silenced_until is None
    observe(UNFAIR, 15)
    assert the_alert().state == "open" and kinds().count("reopened") > 1


def test_what_ends_in_silence_is_told_only_to_who_keeps_an_incident() -> None:
    """PagerDuty and the webhook hear of the end, people do not; a silence that is over then says nothing."""
    observe(UNFAIR, 0)
    silence(10, 1)
    observe(FAIR, 2), observe(FAIR, 3)
    assert the_alert().state == "resolved"
    assert {one["target"] for one in told("resolved") if one["metric"] == RATIO} == {
        "default:pagerduty",
        "default:webhook",
    }
    alert_manager.remind_due(at(11))
    assert "silence_over" not in kinds()


def test_every_act_is_kept_with_who_and_when() -> None:
    """Acknowledge, silence, resolve, reopen; the history names each person; what is impossible is refused."""
    observe(UNFAIR, 0)
    alert_id = the_alert().alert_id
    alert_actions.acknowledge(TENANT, alert_id, "ann", None, at(1))
    with pytest.raises(Conflict):
        alert_actions.acknowledge(TENANT, alert_id, "bob", None, at(1))
    silence(1, 2)
    with pytest.raises(InvalidInput):
        alert_actions.silence(TENANT, alert_id, SilenceRequest(until=at(1), reason="x"), "bob", at(2))
    alert_actions.resolve(TENANT, alert_id, "bob", "went back", at(3))
    alert_actions.reopen(TENANT, alert_id, "cy", "too early", at(4))
    read = alert_reader.read_alert(TENANT, alert_id)
    assert [(one["what"], one["by"], one["at"][11:13], one.get("reason")) for one in read["history"]] == [
        ("opened", None, "03", None), ("acknowledged", "ann", "04", None), ("silenced", "ann", "05", "known"),
        ("resolved", "bob", "06", "went back"), ("reopened", "cy", "07", "too early"),
    ]  # fmt: skip
    assert read["times_opened"] == 2 and read["state"] == "open"
    assert [one["kind"] for one in read["messages"] if one["target"] == "default:pagerduty"] == [
        "opened", "acknowledged", "resolved", "reopened",
    ]  # fmt: skip
    with pytest.raises(NotFound):
        alert_actions.resolve("other", alert_id, "bob", "x", at(5))


def test_an_old_alert_is_not_opened_beside_a_newer_one() -> None:
    """There is one at a time, also by a person's hand."""
    observe(UNFAIR, 0), observe(FAIR, 1), observe(FAIR, 2)
    observe(UNFAIR, 99)
    old, new = rows()
    with pytest.raises(Conflict, match=new.alert_id):
        alert_actions.reopen(TENANT, old.alert_id, "ann", "x", at(100))


def test_two_workers_at_once_make_one_alert() -> None:
    """Four threads observe the same breach in units of work of their own: one alive alert a metric, one opening."""
    gate, failures = threading.Barrier(4), list[BaseException]()

    def work(number: int) -> None:
        gate.wait()
        try:
            for turn in range(5):
                observe(UNFAIR, turn + number / 10)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(rows()) == 1 and the_alert().state == "open"
    assert kinds() == ["opened", "opened"]


def test_an_alert_shares_the_fate_of_its_audit() -> None:
    """What rolls the unit of work back takes alert and message with it."""
    with pytest.raises(ZeroDivisionError), unit_of_work():
        observe(UNFAIR, 0)
        raise ZeroDivisionError
    assert rows(metric=None) == [] and told() == []


def test_n_of_m_from_the_settings(make_settings: Callable[..., config.Settings]) -> None:
    """Two breaches of three open; the verdicts before are remembered between audits."""
    config.use(config.load_settings({**_environ(), "ALERT_OPEN_BREACHES": "2", "ALERT_OPEN_WINDOWS": "3"}))
    observe(UNFAIR, 0)
    observe(FAIR, 1)
    assert rows() == []
    observe(UNFAIR, 2)
    assert the_alert().state == "open"


def _environ() -> dict[str, str]:
    return {name.upper(): str(value) for name, value in vars(config.current()).items()}
