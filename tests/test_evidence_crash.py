"""A crash between any two writes, a torn line, a full disk: the next publish completes what is left."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import compliance_logger, config, evidence_files
from fairlens_backend.storage import session, tables
from tests import evidence_kit as kit
from tests.evidence_kit import NOW, TENANT, Died, Fate, add

MANY = 60  # more steps than any publish of these tests has


@pytest.fixture
def quick(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk where its order is not what is tested."""
    monkeypatch.setattr(evidence_files.os, "fsync", lambda descriptor: None)


def dies(fate: Fate, work: Callable[[], Any]) -> bool:
    """Whether the work came to its end, by `Died`."""
    with pytest.MonkeyPatch.context() as patched:
        for place, name, step in fate.patches():
            patched.setattr(place, name, step)
        try:
            work()
        except Died:
            return True
    return False


@pytest.mark.parametrize("when", ["before", "middle", "after"])
def test_a_crash_at_any_step_of_a_publish_is_completed_by_the_next(database: None, when: str) -> None:
    """Every write, sync, cut and commit of a publish may be the last: the next publish leaves exactly the rows' lines."""
    crashes = 0
    for step in range(1, MANY):
        add(2 * step - 1)
        add(2 * step, alert="a sentence for people")
        crashed = dies(Fate(step, when), compliance_logger.publish)
        crashes += crashed
        # What the crash left is pending, or there already, and no alteration.
        assert [
            compliance_logger.verify_record(f"rec-{n}", TENANT)["failed"] for n in (2 * step - 1, 2 * step)
        ] == [[], []]
        assert compliance_logger.health(NOW)["damaged"] is None
        said = compliance_logger.publish()
        assert (said["pending"], said["reason"], said["damaged"]) == (0, None, None)
        kit.assert_in_order(2 * step)
        if not crashed:
            break
    assert crashes >= 5  # two writes, two syncs, one commit at least


def test_a_crash_while_repairing_a_crash_is_completed_too(quick: None) -> None:
    """The repair itself may crash at any step, and its repair again."""
    number = 0
    for first in range(1, 7):
        for second in range(1, 7):
            number += 1
            add(number)
            dies(Fate(first, "middle"), compliance_logger.publish)
            dies(Fate(second, "before"), compliance_logger.publish)
            dies(Fate(second, "middle"), compliance_logger.publish)
            compliance_logger.publish()
    kit.assert_in_order(number)


@pytest.mark.parametrize("when", ["before", "middle", "after"])
def test_a_killed_process_leaves_what_the_next_start_completes(database: None, when: str) -> None:
    """SIGKILL at any step from the record's commit to the last sync: the row is there wholly or not at all, the files follow."""
    killed = 0
    for step in range(1, MANY):

        def work(step: int = step) -> None:
            for place, name, changed in Fate(step, when, kill=True).patches():
                setattr(place, name, changed)
            add(step, alert="people")
            compliance_logger.publish()

        code = kit.in_child(work)
        killed += code == -9
        compliance_logger.publish()
        kit.assert_in_order(len(kit.rows()))
        if code == 0:
            break
        assert code == -9
    assert killed >= 6


def test_a_line_torn_at_any_byte_is_completed(quick: None) -> None:
    """Of two pending lines any number of bytes may have reached the file, and of the anchors too."""
    add(1)
    compliance_logger.publish()
    log, anchors = kit.log_bytes(), kit.anchor_bytes()
    add(2, alert="people")
    add(3)
    wanted, wanted_anchors = kit.expected_log(), kit.expected_anchors()
    path = evidence_files.log_path()
    first, second = [line + b"\n" for line in wanted[len(log) :].split(b"\n")[:2]]
    for length in range(len(first) + len(second) + 1):
        path.write_bytes(wanted[: len(log) + length])
        plan = evidence_files.plan_append(path, len(log), [first, second], last=True)
        whole = 0 if length < len(first) else 1 if length < len(first) + len(second) else 2
        assert plan.damage is None
        assert plan.at == len(log) + len(b"".join([first, second][:whole]))
        assert list(plan.todo) == [first, second][whole:]
    for length in {*range(0, len(first) + len(second), 41), len(first) - 1, len(first), len(first) + 1}:
        path.write_bytes(wanted[: len(log) + length])
        evidence_files.anchor_path().write_bytes(wanted_anchors[: len(anchors) + length % 521])
        kit.sql(
            "UPDATE evidence_state SET published_seq = 1, log_bytes = :log, anchor_bytes = :anchors",
            log=len(log), anchors=len(anchors),
        )  # fmt: skip
        assert compliance_logger.health(NOW)["damaged"] is None
        for number in (1, 2, 3):
            assert compliance_logger.verify_record(f"rec-{number}", TENANT)["failed"] == []
        compliance_logger.publish()
        assert kit.log_bytes() == wanted
        assert kit.anchor_bytes() == wanted_anchors
    kit.assert_in_order(3)


def test_a_crash_while_damage_is_noted_leaves_one_fresh_line(quick: None) -> None:
    """The newline after damage and its note in the database are two writes: a crash between them changes nothing that is told."""
    add(1)
    compliance_logger.publish()
    with evidence_files.log_path().open("ab") as file:
        file.write(b"forged")
    add(2)
    for step in range(1, 8):
        dies(Fate(step, "after"), compliance_logger.publish)
    compliance_logger.publish()
    lines = kit.expected_log().splitlines(keepends=True)
    assert kit.log_bytes() == lines[0] + b"forged\n" + lines[1]


def test_a_write_that_fails_half_way_is_taken_back(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space after half of the bytes: the file ends where it ended, the record stays and is pending, the next publish completes."""
    add(1)
    compliance_logger.publish()
    before = kit.log_bytes(), kit.anchor_bytes()
    add(2)
    real, calls = os.pwrite, iter(range(9))

    def full(descriptor: int, data: bytes, at: int) -> int:
        if next(calls) == 0:
            return real(descriptor, data[: len(data) // 2], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(evidence_files.os, "pwrite", full)
    said = compliance_logger.publish()
    assert said["pending"] == 1
    assert "No space left" in said["reason"]
    assert (kit.log_bytes(), kit.anchor_bytes()) == before
    assert compliance_logger.health(NOW) == {
        "ok": True, "published_seq": 1, "head_seq": 2, "pending": 1, "damaged": None,
    }  # fmt: skip
    monkeypatch.undo()
    compliance_logger.publish()
    kit.assert_in_order(2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, which only root may mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    ) if os.geteuid() == 0 else None  # fmt: skip
    if made is None or made.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here (not root, or not allowed)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_full_disk_the_record_stays_and_its_line_is_pending(
    small_disk: Path,
    make_settings: Callable[..., config.Settings],
    tmp_path: Path,
    postgres_database: str | None,
) -> None:
    """The evidence files on a full file system: no line, no half line; health and verify say pending; space again completes."""
    make_settings(
        DATA_DIR=str(small_disk), DATABASE_URL=postgres_database or f"sqlite:///{tmp_path / 'fairlens.db'}"
    )
    tables.Base.metadata.create_all(session.engine())
    add(1)
    compliance_logger.publish()
    before = kit.log_bytes(), kit.anchor_bytes()
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    for number in range(2, 12):
        add(number)
        said = compliance_logger.publish()
    assert said["pending"] > 0
    assert "No space left" in said["reason"]
    assert kit.log_bytes().startswith(before[0])
    assert kit.log_bytes() in [b"".join(kit.expected_log().splitlines(True)[:n]) for n in range(1, 12)]
    assert compliance_logger.health(NOW)["pending"] == said["pending"]
    verdict = compliance_logger.verify_record("rec-11", TENANT)
    assert (verdict["valid"], verdict["pending"], verdict["failed"]) == (False, True, [])
    filler.unlink()
    assert compliance_logger.publish()["reason"] is None
    kit.assert_in_order(11)
    session.dispose_engines()
