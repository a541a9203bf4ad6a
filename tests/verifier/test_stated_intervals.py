"""What an audit says of its own figures follows from its counts, or the lie is named: entry, figure, said and given."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.audit_evidence import audit_body
from fairlens_backend.core.audit_notation import shortened
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.row_sample import RowMeasured
from fairlens_backend.verifier.bodies import AuditBody, ShortBody
from fairlens_backend.verifier.bundle import verify_bundle
from fairlens_backend.verifier.stated_intervals import interval_faults
from tests.ledger_kit import recorded
from tests.verifier.test_bundle import exported, key

Change = Callable[[dict[str, Any]], object]
RECORD = {"record_id": "rec", "hash_value": "0" * 64, "audit_sha256": "1" * 64}
WORDS = {"audit_id": "aud", "model": "hiring", "model_version": "1", "audit_timestamp": "", "window_start": None, "window_end": None}  # fmt: skip


def table(n: int = 400, *, women: float = 0.3, seed: int = 1) -> CountTable:
    """Decisions about women, of whom so many are selected, and men, of whom six in ten are."""
    chance = np.random.default_rng(seed)
    sex = chance.choice(["F", "M"], n)
    decision = chance.random(n) < np.where(sex == "F", women, 0.6)
    return CountTable.from_arrays(
        {"sex": sex, "race": chance.choice(["A", "B", "C"], n)},
        decision.astype(int),
        chance.integers(-1, 2, n),
    )


def of_rows(p_value: float = 0.0123456789) -> list[RowMeasured]:
    """Figures of rows: one of people, one of groups."""
    return [
        RowMeasured("individual_fairness_score", None, 0.4, p_value=0.001, test="bootstrap", sizes={"all": 400}),
        RowMeasured("counterfactual_fairness", "sex", 0.2, 0.2, None, p_value, "aipw", {"F": 200, "M": 200}, ("F", "M")),
    ]  # fmt: skip


def audited(counts: CountTable, **more: Any) -> dict[str, Any]:
    """The body of the audit's entry in the long notation."""
    found = assess(counts, n_resamples=50, **more)
    return audit_body({**found, **WORDS}, counts.to_dict(), RECORD, "0.0.1", None)


def said_of(body: dict[str, Any], index: int = 7) -> str | None:
    """What is found, in both notations; they agree."""
    short = shortened(body)
    assert short is not None
    plain = {name: value for name, value in msgspec.json.decode(msgspec.json.encode(body)).items()}
    found = [
        interval_faults([(index, one)])
        for one in (
            msgspec.convert(plain, AuditBody),
            msgspec.json.decode(msgspec.json.encode(short), type=ShortBody),
        )
    ]
    words = {str(faults[0][1]) if faults else None for faults in found}
    assert len(words) == 1
    return words.pop()


def figure(body: dict[str, Any], metric: str, attribute: str = "sex") -> dict[str, Any]:
    return next(one for one in body["figures"] if (one["metric"], one["attribute"]) == (metric, attribute))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("correction", ["bh", "holm", "none"])
def test_true_statements_are_right(seed: int, correction: Any) -> None:
    """Whatever rows and history add to the correction, the verdict of an honest audit is what its figures give."""
    counts = table(women=0.5 - seed / 20, seed=seed)
    policy = Policy(correction=correction, thresholds={"theil_index": 0.1})
    history = {"sex": [0.01, 0.02, 0.03] * 10, "race": [0.02] * 25}
    body = audited(counts, policy=policy, extra=of_rows(), history=history)
    assert figure(body, "temporal_drift_index")["value"] is not None
    assert said_of(body) is None
    assert said_of(audited(counts, policy=policy)) is None
    assert said_of(audited(CountTable.from_arrays({"sex": ["F"] * 9}, [1] * 9))) is None


def test_what_is_compared_is_what_stands_in_the_entry() -> None:
    """Each of these lies about one figure is named by entry, figure, what it says and what its counts give."""
    counts = table()
    honest = figure(audited(counts), "disparate_impact_ratio")
    assert honest["severity"] == "CRITICAL"  # 0.3 / 0.6 is under 0.65
    lies: dict[str, tuple[Any, str, str]] = {
        "severity": ("PASS", "PASS", "CRITICAL"),
        "status": ("undefined", "undefined", "ok"),
        "groups_compared": (["M", "F"], "M and F", "F and M"),
        "method": ("percentile", "percentile", honest["method"]),
    }
    for name, (lie, said, given) in lies.items():
        body = audited(counts)
        figure(body, "disparate_impact_ratio")[name] = lie
        expected = (
            f"Entry 7: it states {said} for {name} of disparate_impact_ratio of sex; its counts give {given}."
        )
        assert str(said_of(body)).startswith(expected)
    body = audited(counts)
    figure(body, "disparate_impact_ratio")["p_adjusted"] = 0.5
    assert "it states 0.5 for p_adjusted of disparate_impact_ratio of sex; its counts give " in str(
        said_of(body)
    )


def test_sizes_of_the_long_notation() -> None:
    """Version 1 repeats the rows of the groups beside each figure: they too are counted anew."""
    body = audited(table())
    figure(body, "disparate_impact_ratio")["sample_sizes"] = {"F": 1, "M": 2}
    plain = msgspec.convert(msgspec.json.decode(msgspec.json.encode(body)), AuditBody)
    assert "for sample_sizes of disparate_impact_ratio of sex; its counts give {" in str(
        interval_faults([(0, plain)])[0][1]
    )


@pytest.mark.parametrize(
    ("name", "lie", "words"),
    [
        ("overall_severity", "PASS", "it states PASS for overall_severity; its counts give CRITICAL."),
        ("overall_severity", None, "it states nothing for overall_severity; its counts give CRITICAL."),
        ("alert", False, "it states false for alert; its counts give true."),
    ],
)
def test_the_verdict_of_the_whole(name: str, lie: Any, words: str) -> None:
    """The word for the audit follows from its figures, and whether somebody must be told from that word."""
    assert words in str(said_of({**audited(table()), name: lie}))


def test_a_verdict_that_rests_on_rows_too() -> None:
    """Values of rows cannot be recomputed; that severity and alert follow from them as they are stated can."""
    fair = table(2000, women=0.6, seed=3)
    honest = audited(fair, extra=of_rows(1e-6))
    assert honest["overall_severity"] == "CRITICAL"  # 0.2 is more than three times the limit of 0.06
    assert said_of(honest) is None
    by_all = "its counts, and what it states of rows and of earlier audits, give CRITICAL."
    assert f"it states PASS for overall_severity; {by_all}" in str(
        said_of({**honest, "overall_severity": "PASS"})
    )
    lie = audited(fair, extra=of_rows(1e-6))
    figure(lie, "counterfactual_fairness")["severity"] = "LOW"
    assert f"it states LOW for severity of counterfactual_fairness of sex; {by_all}" in str(said_of(lie))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one["figures"].pop(0), "is left out"),
        (lambda one: one["figures"].append(dict(one["figures"][0])), "is stated twice"),
        (lambda one: one["figures"][0].update(basis="rows"), "is of counts, and stated as of rows"),
        (lambda one: figure(one, "individual_fairness_score", "all rows").update(status="no_model"), "individual_fairness_score of all rows is no_model"),
        (lambda one: figure(one, "individual_fairness_score", "all rows").update(p_value=1.5), "the p-value of individual_fairness_score of all rows is 1.5"),
        (lambda one: figure(one, "temporal_drift_index").update(p_value=0.01), "temporal_drift_index of sex is no_baseline"),
        (lambda one: one["figures"].append({**figure(one, "individual_fairness_score", "all rows"), "metric": "luck"}), "luck"),
    ],
)  # fmt: skip
def test_figures_that_no_audit_states(change: Change, words: str) -> None:
    """One left out, doubled, put where nobody recomputes it, or that contradicts itself."""
    body = audited(table(), extra=of_rows())
    change(body)
    found = str(said_of(body))
    assert found.startswith("Entry 7: its audit cannot be computed anew: ") and words in found


def test_another_version_of_the_engine_is_named() -> None:
    """Rules may have changed between versions, so the reader is told that they are not the same."""
    body = {**audited(table()), "overall_severity": "LOW"}
    assert "The audit was computed by version 0.0.1, this is version " in str(said_of(body))


@pytest.mark.parametrize("intervals", [False, True])
def test_a_bundle_with_a_beautified_verdict(database: Any, intervals: bool) -> None:
    """Signed and hashed as it is, it is found with --intervals; without, the reader is told that this was not looked at."""
    counts = table()
    found = {**assess(counts, n_resamples=50, extra=of_rows()), "overall_severity": "PASS", "alert": False}
    index = recorded(5, counts.to_dict(), found)
    verdict = verify_bundle(exported(0, 100), [key()], intervals=intervals)
    if intervals:
        assert str(verdict.finding).startswith(
            f"Entry {index}: it states PASS for overall_severity; its counts, and "
        )
    else:
        assert verdict.finding is None
        assert any("severities and alerts: give --intervals" in one for one in verdict.not_checked)


def test_what_intervals_cannot_check_is_said(database: Any) -> None:
    """The figures of rows and history are counted, and the reader is told that the verdict was computed with them."""
    counts = table()
    recorded(5, counts.to_dict(), assess(counts, n_resamples=50, extra=of_rows()))
    verdict = verify_bundle(exported(0, 100), [key()], intervals=True)
    assert verdict.finding is None
    assert verdict.not_checked == [
        "2 figures of samples of rows or of earlier audits, which no count table gives; what follows from all figures together was computed with these as stated"
    ]
