"""The life of an alert, step by step, each expectation by hand."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from fairlens_backend.core import alerting
from fairlens_backend.core.alerting import AlertPolicy, Life, closing_limit, same_gap, verdict_on
from fairlens_backend.errors import Conflict, InvalidInput

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = AlertPolicy()
B, M, C = "breach", "between", "clear"


def run(verdicts: str, rules: AlertPolicy = RULES, severity: str = "HIGH") -> list[str]:
    """What happens at each hourly verdict (b, m, c); memory is emptied at each change, as the desk does."""
    life, recent, happened = None, [], []
    for hour, letter in enumerate(verdicts):
        recent.append({"b": B, "m": M, "c": C}[letter])
        life, kinds = alerting.observe(life, recent, severity, rules, NOW + hour * HOUR)  # type: ignore[arg-type]
        happened.append(kinds[0] if kinds else "-")
        if kinds and kinds[0] in ("opened", "reopened", "resolved"):
            recent = []
    return happened


def test_one_breach_opens_and_two_clear_values_close() -> None:
    """The defaults: 1 of 1 to open, 2 of 2 to close; a value between the limits breaks the row of clear ones."""
    assert run("cb") == ["-", "opened"]
    assert run("bcc") == ["opened", "-", "resolved"]
    assert run("bcmcc") == ["opened", "-", "-", "-", "resolved"]
    assert run("bbbbbbbb") == ["opened"] + ["-"] * 7


def test_a_value_that_swings_around_its_limit_neither_closes_nor_opens_again() -> None:
    """Breach, between, breach, between: one opening. Hysteresis is what the second limit is for."""
    assert run("bmbmbmbm") == ["opened"] + ["-"] * 7


def test_n_of_m() -> None:
    """2 of 3 to open, 2 of 3 to close, the newest one must be of the kind."""
    rules = AlertPolicy(open_n=2, open_m=3, close_n=2, close_m=3)
    assert run("bccb", rules) == ["-", "-", "-", "-"]
    assert run("bcb", rules) == ["-", "-", "opened"]
    assert run("bb" + "cbc", rules) == ["-", "opened", "-", "-", "resolved"]
    assert run("bb" + "cbmc", rules) == ["-", "opened", "-", "-", "-", "-"]


def test_a_breach_soon_after_the_end_opens_the_same_alert_again() -> None:
    """Within 24 hours it is the same one, after that a new one."""
    assert run("bccb") == ["opened", "-", "resolved", "reopened"]
    assert run("bcc" + "m" * 23 + "b")[-1] == "reopened"  # 24 hours after its end
    assert run("bcc" + "m" * 24 + "b")[-1] == "opened"


def life(**changes: Any) -> Life:
    return Life(**{"state": "open", "severity": "HIGH", "peak": "HIGH", "opened_at": NOW, **changes})


def test_only_a_severity_worse_than_ever_is_told() -> None:
    """HIGH, CRITICAL, HIGH, CRITICAL: worse once, eased once; the swing back says nothing."""
    here, told = life(), []
    for severity in ("CRITICAL", "HIGH", "CRITICAL", "MEDIUM"):
        here, kinds = alerting.observe(here, [B], severity, RULES, NOW)  # type: ignore[assignment, arg-type]
        told.append(kinds)
    assert told == [("worse",), ("eased",), (), ("eased",)]
    assert (here.severity, here.peak) == ("MEDIUM", "CRITICAL")


@pytest.mark.parametrize(
    ("value", "when", "threshold", "wanted"),
    [
        # Ratio with the limit 0.8 and a margin of 10 %: clear from 0.8 + 0.1 · 0.2 = 0.82 on.
        (0.82, "below", 0.8, C), (0.8199, "below", 0.8, M), (0.80, "below", 0.8, M),
        # A gap with the limit 0.1: clear up to 0.09, on either side where it has a sign.
        (0.09, "above", 0.1, C), (0.0901, "above", 0.1, M), (-0.09, "outside", 0.1, C), (-0.095, "outside", 0.1, M),
    ],
)  # fmt: skip
def test_the_closing_limit_is_stricter(value: float, when: str, threshold: float, wanted: str) -> None:
    """A value must be a tenth of the way inside its limit to be clear."""
    figure = {"status": "ok", "value": value, "threshold": threshold, "breached": False, "severity": "PASS"}
    assert verdict_on(figure, when, 0.1, True) == wanted
    assert closing_limit(threshold, when, 0.0) == threshold


def test_no_data_and_chance_decide_nothing() -> None:
    """Without a value: unknown. A breach that chance explains (LOW), or of a metric that does not decide: neither."""
    figure = {"status": "ok", "value": 0.5, "threshold": 0.8, "breached": True, "severity": "HIGH"}
    assert verdict_on(figure, "below", 0.1, True) == B
    assert verdict_on(figure, "below", 0.1, False) == M
    assert verdict_on({**figure, "severity": "LOW"}, "below", 0.1, True) == M
    assert verdict_on({**figure, "value": None}, "below", 0.1, True) == "unknown"
    for status in ("undefined", "insufficient_data", "no_ground_truth", "no_scores", "no_baseline"):
        assert verdict_on({**figure, "status": status, "value": None}, "below", 0.1, True) == "unknown"


def test_an_acknowledged_alert_brings_no_reminder_and_still_ends() -> None:
    """Reminders are for what nobody has taken; the end is told all the same."""
    opened, _ = alerting.observe(None, [B], "HIGH", RULES, NOW)
    assert opened is not None and opened.remind_at == NOW + 4 * HOUR
    assert alerting.pass_time(opened, RULES, NOW + 3 * HOUR) == (opened, ())
    later, kinds = alerting.pass_time(opened, RULES, NOW + 4 * HOUR)
    assert kinds == ("reminder",) and later is not None and later.remind_at == NOW + 8 * HOUR
    taken = alerting.acknowledge(later, NOW)
    assert alerting.pass_time(taken, RULES, NOW + 99 * HOUR) == (taken, ())
    ended, kinds = alerting.observe(taken, [C, C], "PASS", RULES, NOW + 5 * HOUR)
    assert kinds == ("resolved",) and ended is not None and ended.resolved_at == NOW + 5 * HOUR


def test_a_silence_ends_by_the_clock_and_then_it_speaks() -> None:
    """Not a moment before; acknowledged meanwhile, it stays acknowledged and quiet."""
    quiet = alerting.silence(life(), NOW + 2 * HOUR, NOW)
    assert alerting.pass_time(quiet, RULES, NOW + 2 * HOUR - timedelta(seconds=1)) == (quiet, ())
    spoken, kinds = alerting.pass_time(quiet, RULES, NOW + 2 * HOUR)
    assert kinds == ("silence_over",) and spoken is not None
    assert (spoken.state, spoken.silenced_until, spoken.remind_at) == ("open", None, NOW + 6 * HOUR)
    taken = alerting.acknowledge(quiet, NOW)
    assert alerting.pass_time(taken, RULES, NOW + 9 * HOUR) == (taken, ())


def test_what_cannot_be_done_is_refused_in_words() -> None:
    """A resolved alert is only opened again; an open one is not; a silence lies ahead."""
    ended = alerting.resolve(life(), NOW)
    for act in (
        alerting.acknowledge,
        alerting.resolve,
        lambda one, now: alerting.silence(one, NOW + HOUR, now),
    ):
        with pytest.raises(Conflict, match="resolved"):
            act(ended, NOW)
    with pytest.raises(Conflict, match="acknowledged already"):
        alerting.acknowledge(life(state="acknowledged"), NOW)
    with pytest.raises(Conflict, match="only a resolved"):
        alerting.reopen(life(), RULES, NOW)
    with pytest.raises(InvalidInput, match="after"):
        alerting.silence(life(), NOW, NOW)
    again = alerting.reopen(ended, RULES, NOW)
    assert (again.state, again.resolved_at, again.opened_at) == ("open", None, NOW)


@pytest.mark.parametrize(
    "given", [{"open_n": 0}, {"open_n": 2}, {"close_n": 3}, {"closing_margin": 1.0}, {"closing_margin": -0.1}]
)
def test_rules_that_cannot_be_met_are_refused(given: dict[str, Any]) -> None:
    """n is from 1 to m; the margin leaves room for a value."""
    with pytest.raises(InvalidInput):
        AlertPolicy(**given)


def test_reminders_can_be_turned_off() -> None:
    """0 seconds stand for never."""
    opened, _ = alerting.observe(None, [B], "HIGH", AlertPolicy(reminder_s=0), NOW)
    assert opened is not None and opened.remind_at is None


def test_over_every_short_story_openings_and_ends_alternate() -> None:
    """All 3^7 stories of breach, between and clear: an end only after an opening, an opening only after an end."""
    for story in product("bmc", repeat=7):
        kinds = [kind for kind in run("".join(story)) if kind != "-"]
        opened = [kind in ("opened", "reopened") for kind in kinds]
        assert opened == [place % 2 == 0 for place in range(len(kinds))]


def test_metrics_that_restate_one_gap_share_a_name() -> None:
    """STATISTICS section 4: metrics 1, 4, 6 and 13 count as one breach; others for themselves."""
    names = (
        "demographic_parity_difference",
        "disparate_impact_ratio",
        "statistical_parity_subgroup_lift",
        "statistical_parity_difference",
    )
    assert len({same_gap(name) for name in names}) == 1
    assert same_gap("equal_opportunity_difference") != same_gap("theil_index")
