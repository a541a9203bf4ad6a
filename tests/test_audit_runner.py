"""One audit, all or nothing: the record, its figures, its evidence, its alert; what the request and the model declare."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from fairlens_backend import alert_manager, audit_runner, compliance_logger, model_registry
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import audits, outbox
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import FairnessCheck, OutboxMessage

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DECLARED = {"columns": {"decision": "d", "protected": ["sex"]}, "favourable": {"decision": ["yes"]}}
SUBJECT = Subject("acme", "hiring", "v1", {})


def table(counts: dict[str, tuple[int, int]], attribute: str = "sex", truth: bool = False) -> CountTable:
    """`selected` of `n` of each group."""
    groups = np.concatenate([np.full(n, group, dtype=object) for group, (_, n) in counts.items()])
    decision = np.concatenate([np.arange(n) < selected for selected, n in counts.values()]).astype(np.int64)
    return CountTable.from_arrays({attribute: groups}, decision, decision if truth else None, None)


UNEVEN = table({"Female": (30, 200), "Male": (120, 200)})
EVEN = table({"Female": (100, 200), "Male": (100, 200)})


def kept() -> tuple[int, int]:
    """How many records and outbox messages there are."""
    with read_snapshot() as session:
        return session.query(FairnessCheck).count(), session.query(OutboxMessage).count()


def test_a_record_has_the_figures_by_hand(database: None) -> None:
    """30/200 against 120/200: ratio 0.25, difference −0.45, rates of women and men by name."""
    answer = audit_runner.run(SUBJECT, UNEVEN, Context(0.5, ["Said."]), NOW)
    assert answer["metrics_by_short_name"]["dir"] == pytest.approx(0.25)
    assert answer["metrics_by_short_name"]["spd"] == pytest.approx(-0.45)
    assert answer["alert"] and answer["message"].endswith("Said.")
    with read_snapshot() as session:
        row = session.query(FairnessCheck).one()
        assert (row.female_rate, row.male_rate, row.drift_level, row.sample_size) == (0.15, 0.6, 0.5, 400)
        stored = audits.find(answer["audit_id"], "acme")
        assert stored is not None and CountTable.from_dict(stored.counts).to_dict() == UNEVEN.to_dict()
        assert audits.find(answer["audit_id"], "other") is None
    assert compliance_logger.verify_record(answer["record_id"], "acme")["valid"]


@pytest.mark.parametrize(
    ("attribute", "names", "expected"),
    [("Gender", ("female", "MALE"), 0.5), ("race", ("Female", "Male"), None), ("sex", ("F", "M"), None)],
)
def test_the_rates_of_women_and_men(
    database: None, attribute: str, names: tuple[str, str], expected: float | None
) -> None:
    """Only groups of that name in an attribute of that name; a guess would be a figure of something else."""
    audit_runner.run(SUBJECT, table(dict.fromkeys(names, (50, 100)), attribute), Context(), NOW)
    with read_snapshot() as session:
        row = session.query(FairnessCheck).one()
        assert (row.female_rate, row.male_rate) == (expected, expected)


@pytest.mark.parametrize(
    "where", ["audits.insert", "compliance_logger.log_event", "audit_history.keep", "alert_manager.observe"]
)
def test_all_or_nothing(database: None, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """A failure of any of the writes leaves neither audit nor record nor message nor line."""

    def fail(*_given: Any, **_named: Any) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(f"fairlens_backend.audit_runner.{where}", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        audit_runner.run(SUBJECT, UNEVEN, Context(), NOW)
    assert kept() == (0, 0)
    assert compliance_logger.publish()["head_seq"] == 0


def test_an_alert_is_composed_and_sent_only_when_it_must(make_settings: Any, database: None) -> None:
    """With a webhook an alert is one message in the outbox; no alert is none."""
    make_settings(WEBHOOK_URL="https://hooks.example/x", WEBHOOK_SECRET="s" * 12 + "ecret-no-one-knows")
    audit_runner.run(SUBJECT, EVEN, Context(), NOW)
    assert kept() == (1, 0)
    audit_runner.run(SUBJECT, UNEVEN, Context(), NOW)
    assert kept() == (2, 1)
    assert alert_manager and outbox


def test_a_line_that_cannot_be_written_is_pending_not_lost(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is kept, the answer says that its line follows, and the next publish writes it."""
    real = compliance_logger.publish
    monkeypatch.setattr(
        "fairlens_backend.evidence_publisher.evidence_files.write_at",
        lambda *_a, **_k: (_ for _ in ()).throw(OSError(28, "No space left")),
    )
    answer = audit_runner.run(SUBJECT, EVEN, Context(), NOW)
    assert answer["evidence"]["pending"] is True
    monkeypatch.undo()
    assert real()["pending"] == 0


def register(**declared: Any) -> None:
    """A registered model `hiring` of the tenant acme."""
    model_registry.register_model(
        "hiring", "v1", tenant="acme", declarations={**DECLARED, **declared}, created_by="a", now=NOW
    )


def test_the_requests_word_counts_first(database: None) -> None:
    """Columns, labels, references and thresholds are joined key by key; what is not asked stays as registered."""
    register(
        reference_groups={"sex": "Male", "race": "A"}, thresholds={"disparate_impact_ratio": 0.9}, alpha=0.01
    )
    asked = {"columns": {"truth": "t", "protected": []}, "reference_groups": {"race": "B"}, "alpha": 0.1}
    subject = audit_runner.settle("acme", "hiring", None, asked, registered=True)
    assert (subject.version, subject.declared["columns"]) == (
        "v1",
        {"decision": "d", "protected": ["sex"], "truth": "t"},
    )
    assert subject.reference_groups == {"sex": "Male", "race": "B"}
    assert subject.policy.alpha == 0.1


def test_a_model_that_is_not_registered(database: None) -> None:
    """A submission stands on its own declarations; an evaluation is refused, and another tenant's model is no help."""
    register()
    subject = audit_runner.settle("acme", "new", None, DECLARED, registered=False)
    assert (subject.version, subject.layout().protected) == ("unversioned", ("sex",))
    for tenant, model in (("acme", "new"), ("other", "hiring")):
        with pytest.raises(NotFound):
            audit_runner.settle(tenant, model, None, {}, registered=True)


@pytest.mark.parametrize(
    ("left_out", "field"),
    [
        (("columns", "decision"), "columns.decision"),
        (("columns", "protected"), "columns.protected"),
        (("favourable", "decision"), "favourable.decision"),
    ],
)
def test_what_neither_declares_is_named(left_out: tuple[str, str], field: str) -> None:
    """InvalidInput with the path of the field."""
    part, key = left_out
    declared = {**DECLARED, part: {name: value for name, value in DECLARED[part].items() if name != key}}
    with pytest.raises(InvalidInput, match=field) as caught:
        Subject("acme", "hiring", "v1", declared).layout()
    assert caught.value.details["field"] == field


def test_a_reference_group_of_no_attribute(database: None) -> None:
    """Named, with the attributes there are; nothing is kept."""
    with pytest.raises(InvalidInput, match="planet"):
        audit_runner.run(
            Subject("acme", "m", "v1", {"reference_groups": {"planet": "Mars"}}), EVEN, Context(), NOW
        )
    assert kept() == (0, 0)


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    """Later ids are greater; a thousand of one moment differ."""
    later = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
    assert audit_runner.new_id("rec", NOW) < audit_runner.new_id("rec", later)
    assert len({audit_runner.new_id("rec", NOW) for _ in range(1000)}) == 1000
    assert len(audit_runner.new_id("rec", NOW)) <= 64


def test_an_audit_inside_a_unit_of_work_joins_it(database: None) -> None:
    """Rolled back with what is around it: neither record nor line."""
    with pytest.raises(RuntimeError, match="outer"), unit_of_work():
        audit_runner.run(SUBJECT, EVEN, Context(), NOW)
        raise RuntimeError("outer")
    assert kept() == (0, 0)
    assert compliance_logger.publish()["pending"] == 0


@pytest.mark.parametrize(
    ("size", "opening"), [(1, "1 decision allows no judgement."), (50, "50 decisions allow no judgement.")]
)
def test_the_message_counts_in_words(database: None, size: int, opening: str) -> None:
    """One decision is no plural."""
    answer = audit_runner.run(SUBJECT, table({"Female": (size, size)}), Context(), NOW)
    assert answer["message"].startswith(opening)
