"""Audits know those before them: the drift of metric 1, its rows by hand, no alarm of a population that stays as it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend import audit_history, audit_runner
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.core.counts import CountTable
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import AuditFigure

pytestmark = pytest.mark.usefixtures("database")

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SUBJECT = Subject("acme", "hiring", "v1", {})


def table(first: int, second: int, n: int = 500) -> CountTable:
    """So many of n women and of n men are selected."""
    decision = np.concatenate([np.arange(n) < first, np.arange(n) < second]).astype(np.int64)
    return CountTable.from_arrays({"sex": np.repeat(["F", "M"], n)}, decision)


def audit(number: int, counts: CountTable, *, every: timedelta = HOUR, subject: Subject = SUBJECT) -> Any:
    """The audit of an hour that ends `number` steps after the start."""
    end = START + number * every
    return audit_runner.run(subject, counts, Context(window=(end - HOUR, end)), end)


def drift_of(result: Any) -> Any:
    return result["attributes"]["sex"]["temporal_drift_index"]


def test_after_twenty_checks_the_drift_has_a_value() -> None:
    """Gaps of 0 and 0.04 in turn have the mean 0.02; σ is what 500 of each imply at 0.5 and 0.62; then two of 0.12."""
    for number in range(20):
        result = audit(number, table(250, 250 + 20 * (number % 2)))
        assert drift_of(result)["status"] == "no_baseline"
        assert f"{number} " in drift_of(result)["reason"]
    sigma = (0.5 * 0.5 / 500 + 0.62 * 0.38 / 500) ** 0.5
    z = (0.12 - 0.02) / sigma
    assert drift_of(audit(20, table(250, 310)))["value"] == pytest.approx(z - 0.5)
    second = drift_of(audit(21, table(250, 310)))
    assert second["value"] == pytest.approx(2 * (z - 0.5)) and second["breached"] and second["significant"]
    assert second["sentence"]


def test_other_models_and_tenants_have_their_own_baseline() -> None:
    """Twenty checks of one say nothing of another's; a new version stays in the series of its model."""
    for number in range(20):
        audit(number, table(250, 250))
    for other in (Subject("acme", "lending", "v1", {}), Subject("rival", "hiring", "v1", {})):
        assert drift_of(audit(20, table(250, 250), subject=other))["status"] == "no_baseline"
    newer = drift_of(audit(20, table(250, 250), subject=Subject("acme", "hiring", "v2", {})))
    assert newer["status"] == "ok" and newer["value"] == 0


def test_windows_that_overlap_are_one_check() -> None:
    """An hour audited every quarter of an hour: after 20 audits the hours 0, 1, 2, 3 and 4 are known."""
    for number in range(20):
        assert drift_of(audit(number, table(250, 250), every=HOUR / 4))["status"] == "no_baseline"
    assert "5 earlier checks" in drift_of(audit(20, table(250, 250), every=HOUR / 4))["reason"]


def test_an_audit_that_is_made_again_does_not_see_what_came_later() -> None:
    """A revision of the 21st window has the history that the first audit of it had."""
    for number in range(20):
        audit(number, table(250, 250 + 20 * (number % 2)))
    before = drift_of(audit(20, table(250, 270)))["value"]
    audit(21, table(100, 400))
    assert drift_of(audit(20, table(250, 270)))["value"] == before


def test_the_rows_that_an_audit_leaves() -> None:
    """One a metric of counts: 40 % of women, 50 % of men. What has no value says why; metric 12 is no series."""
    result = audit(0, table(200, 250))
    with read_snapshot() as session:
        rows = {row.metric: row for row in session.query(AuditFigure)}
    assert set(rows) == set(audit_history.KEPT) and "temporal_drift_index" not in rows
    gap, ratio, signed = (
        rows[name]
        for name in (
            "demographic_parity_difference",
            "disparate_impact_ratio",
            "statistical_parity_difference",
        )
    )
    assert (gap.value, ratio.value, signed.value) == (
        pytest.approx(0.1),
        pytest.approx(0.8),
        pytest.approx(-0.1),
    )
    interval = result["attributes"]["sex"]["statistical_parity_difference"]["confidence_interval"]
    assert (signed.lower, signed.upper) == (interval["lower"], interval["upper"])
    # √(0.4·0.6/500 + 0.5·0.5/500), which the interval's arm over 1.96 approaches
    assert signed.standard_error == pytest.approx(0.0313, abs=0.001)
    assert (signed.n, signed.audit_id, signed.at, signed.window_start) == (
        1000,
        result["audit_id"],
        START,
        START - HOUR,
    )
    labelled = rows["equal_opportunity_difference"]
    assert (labelled.value, labelled.known, labelled.status) == (None, False, "no_ground_truth")


@pytest.mark.no_cover
def test_an_unchanged_population_raises_no_alarm() -> None:
    """200 audits of 20,000 decisions each, 50 % and 53 % selected: none is alerted on, no drift is significant."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(200):
        women, men = rng.binomial(10_000, [0.5, 0.53]).tolist()
        found.append(audit(number, table(women, men, 10_000)))
    drifts = [drift_of(one) for one in found]
    assert all(one["status"] == "ok" for one in drifts[20:])
    assert not any(one["alert"] for one in found)
    assert not any(one["breached"] and one["significant"] for one in drifts)
    assert sum(one["overall_severity"] != "PASS" for one in found) <= 10
