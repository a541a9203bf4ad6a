"""Lines and anchors follow the rows; what no crash explains is reported and never mended; several publish at once."""

import json
import os
from typing import Any

import pytest

from fairlens_backend import compliance_logger, evidence_files
from tests import evidence_kit as kit
from tests.evidence_kit import NOW, TENANT, add


@pytest.fixture
def quick(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk where its order is not what is tested."""
    monkeypatch.setattr(evidence_files.os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("file", ["log", "anchors"])
@pytest.mark.parametrize("cut", ["in a line", "between lines", "everything"])
def test_a_file_that_became_shorter_is_reported_and_never_mended(quick: None, file: str, cut: str) -> None:
    """Published bytes that are gone are damage; the next line begins freshly, and the reason stays until it is acknowledged."""
    for number in range(1, 4):
        add(number)
    compliance_logger.publish()
    path = evidence_files.log_path() if file == "log" else evidence_files.anchor_path()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    left = whole[: {"in a line": first + 50, "between lines": first, "everything": 0}[cut]]
    path.write_bytes(left)
    assert (
        f"{path.name}: {len(left)} bytes are left of {len(whole)}" in compliance_logger.health(NOW)["damaged"]
    )
    add(4)
    said = compliance_logger.publish()
    assert said["pending"] == 0
    assert path.name in said["damaged"]
    fresh = b"\n" if cut == "in a line" else b""
    wanted = kit.expected_log() if file == "log" else kit.expected_anchors()
    assert path.read_bytes() == left + fresh + wanted[wanted[:-1].rindex(b"\n") + 1 :]
    assert compliance_logger.verify_record("rec-4", TENANT)["valid"]
    part = "line" if file == "log" else "anchor"
    assert compliance_logger.verify_record("rec-3", TENANT)["failed"] == [part]
    assert not compliance_logger.health(NOW)["ok"]
    assert {failure["part"] for failure in compliance_logger.verify_all()["failures"]} == {part}
    assert path.name in str(compliance_logger.acknowledge_damage("operator"))
    assert compliance_logger.health(NOW)["ok"]
    assert not compliance_logger.verify_all()["ok"]


@pytest.mark.parametrize("strange", [b'{"forged":true}\n', b"half a forged li", b"\x00" * 100])
@pytest.mark.parametrize("pending", [0, 1])
def test_bytes_that_no_record_explains_are_reported_and_kept(
    quick: None, strange: bytes, pending: int
) -> None:
    """A line without a row is neither removed nor glued to: it is said, and the next line stands on its own."""
    add(1)
    compliance_logger.publish()
    before = kit.log_bytes()
    with evidence_files.log_path().open("ab") as file:
        file.write(strange)
    if pending:
        add(2)
    assert "belong to no record" in compliance_logger.health(NOW)["damaged"]
    compliance_logger.publish()
    add(2 + pending)
    said = compliance_logger.publish()
    assert "belong to no record" in said["damaged"]
    fresh = b"" if strange.endswith(b"\n") else b"\n"
    assert kit.log_bytes() == before + strange + fresh + kit.expected_log()[len(before) :]
    failures = compliance_logger.verify_all()["failures"]
    assert [failure["part"] for failure in failures] == ["line"]


def test_damage_is_logged_once(quick: None, make_settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`EVIDENCE_DAMAGED` is one line for one finding, whoever publishes how often afterwards."""
    add(1)
    compliance_logger.publish()
    evidence_files.log_path().write_bytes(b"")
    capsys.readouterr()
    compliance_logger.publish()
    compliance_logger.publish()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["EVIDENCE_DAMAGED"]


def test_a_deleted_row_is_reported_and_its_place_is_not_given_again(quick: None) -> None:
    """The last published row deleted: health says so, and the next record does not take its place."""
    for number in (1, 2):
        add(number)
    compliance_logger.publish()
    kit.sql("DELETE FROM fairness_checks WHERE seq = 2")
    assert "ends at record 1" in compliance_logger.health(NOW)["damaged"]
    assert "ends at record 1" in compliance_logger.publish()["damaged"]
    assert add(3)["seq"] == 3
    assert compliance_logger.publish()["pending"] == 0
    assert len(kit.log_bytes().splitlines()) == 3
    assert compliance_logger.verify_record("rec-3", TENANT)["failed"] == ["chain"]


def test_an_unpublished_row_that_is_gone_is_reported(quick: None) -> None:
    """A gap before the next record to publish is damage; the others are published."""
    for number in range(1, 5):
        add(number)
    kit.sql("DELETE FROM fairness_checks WHERE seq IN (1, 3)")
    said = compliance_logger.publish()
    assert said["pending"] == 0
    assert "lost records 1 to 1" in said["damaged"]
    assert "lost records 3 to 3" in said["damaged"]
    assert kit.log_bytes() == kit.expected_log()


def test_four_processes_lose_nothing(database: None) -> None:
    """Four processes with 50 records each, all publishing: 200 rows, 200 lines, 200 anchors, one unbroken chain."""

    def writer(part: int) -> None:
        for number in range(50):
            add(part * 50 + number, alert="people" if number == 7 else None)
            assert compliance_logger.publish()["reason"] is None

    children = []
    for part in range(4):
        child = os.fork()
        if child == 0:
            os._exit(0 if kit.in_child(lambda part=part: writer(part)) == 0 else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]
    kit.assert_in_order(200)
    for number in (0, 57, 199):
        assert compliance_logger.verify_record(f"rec-{number}", TENANT)["valid"]
