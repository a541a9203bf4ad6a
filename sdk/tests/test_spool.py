"""Files on disk: what is whole is read, what is torn is not, and the folder stays inside its bound."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from fairlens_sdk._files import FileLock, default_spool_dir, private_folder
from fairlens_sdk._spool import REJECTED_BYTES, Spool
from fairlens_sdk._stats import Counters


def dropped(counters: Counters) -> dict[str, int]:
    return counters.stats(0, 0, 0, "closed").dropped


def drain(spool: Spool) -> list[tuple[str, int, bytes]]:
    found = []
    while (parcel := spool.head()) is not None:
        found.append((parcel.kind, parcel.count, parcel.body))
        spool.pop()
    return found


def total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.seg"))


def test_what_was_appended_is_read_in_order_and_then_gone(tmp_path: Path) -> None:
    """Records over many segments; a delivered segment leaves no file."""
    spool = Spool(tmp_path, 80_000, Counters())
    written = [("events", i + 1, bytes([i]) * 3_000) for i in range(20)]
    for record in written:
        spool.append(*record)
    assert spool.waiting == sum(range(1, 21))
    assert drain(spool) == written
    assert (spool.waiting, total(tmp_path)) == (0, 0)
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_record_stays_until_it_is_settled(tmp_path: Path) -> None:
    """A failed attempt finds the same record at the head."""
    spool = Spool(tmp_path, 80_000, Counters())
    spool.append("events", 2, b"one")
    first = spool.head()
    assert spool.put_back()
    assert spool.head() == first
    spool.pop()
    assert spool.head() is None


def test_single_records_are_joined_up_to_a_batch(tmp_path: Path) -> None:
    """Events and labels are joined among themselves."""
    spool = Spool(tmp_path, 80_000, Counters())
    for kind in ["event"] * 3 + ["label"] * 2 + ["event"]:
        spool.append(kind, 1, b"{}")
    sizes = []
    while (parcel := spool.head(batch_size=2)) is not None:
        sizes.append((parcel.kind, parcel.count))
        spool.pop()
    assert sizes == [("events", 2), ("events", 1), ("labels", 2), ("events", 1)]


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_torn_end_costs_only_the_record_that_was_torn(tmp_path: Path, cut: int) -> None:
    """A crash in the middle of a write leaves half a record: header of 20 bytes and 5 of payload."""
    dead = Spool(tmp_path, 80_000, Counters())
    for i in range(3):
        dead.append("events", 1, b"body%d" % i)
    dead.forget()  # as a killed process: descriptors go, files stay
    (path,) = tmp_path.rglob("*.seg")
    os.truncate(path, path.stat().st_size - cut)
    spool = Spool(tmp_path, 80_000, Counters())
    assert spool.adopt() == 2
    assert [body for _, _, body in drain(spool)] == [b"body0", b"body1"]
    assert list(tmp_path.glob("w-*")) == []


def test_a_file_torn_within_its_first_record_leaves_nothing_behind(tmp_path: Path) -> None:
    """No record to send, so no file, no folder, no lock."""
    dead = Spool(tmp_path, 80_000, Counters())
    dead.append("events", 1, b"body")
    dead.forget()
    (path,) = tmp_path.rglob("*.seg")
    os.truncate(path, 10)
    assert Spool(tmp_path, 80_000, Counters()).adopt() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", [0, 6, 9, 17, 21, 24])
def test_a_flipped_byte_is_found_and_counted(tmp_path: Path, at: int) -> None:
    """In a payload or a header: never delivered, and counted as far as it is known."""
    counters = Counters()
    spool = Spool(tmp_path, 80_000, counters)
    for i in range(3):
        spool.append("events", 1, b"body%d" % i)
    spool.seal()
    (path,) = tmp_path.rglob("*.seg")
    data = bytearray(path.read_bytes())
    data[25 + at] ^= 0x41
    path.write_bytes(data)
    bodies = [body for _, _, body in drain(spool)]
    assert bodies in ([b"body0", b"body2"], [b"body0"])
    assert spool.waiting == 0
    assert list(tmp_path.rglob("*.seg")) == []
    if at > 16:
        assert dropped(counters) == {"spool_corrupt": 1}


def test_the_oldest_goes_first_when_the_disk_share_is_full(tmp_path: Path) -> None:
    """The bound holds after every append; what is dropped is counted, what is left is the newest."""
    counters = Counters()
    spool = Spool(tmp_path, 100_000, counters)
    for i in range(300):
        spool.append("events", 1, b"%06d" % i + b"x" * 1_000)
        assert total(tmp_path) <= 100_000
    kept = [int(body[:6]) for _, _, body in drain(spool)]
    assert kept == list(range(300 - len(kept), 300))
    assert len(kept) >= 80
    assert dropped(counters) == {"spool_full": 300 - len(kept)}


def test_a_parcel_under_way_when_its_file_is_dropped_is_not_counted_as_lost(tmp_path: Path) -> None:
    """It may be delivered yet; `put_back` says that the file is gone."""
    counters = Counters()
    spool = Spool(tmp_path, 65_536, counters)
    spool.append("events", 7, b"x" * 7_000)
    assert spool.head() is not None
    for _ in range(20):
        spool.append("events", 1, b"y" * 7_000)
    assert not spool.put_back()
    assert dropped(counters)["spool_full"] + spool.waiting == 20


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is undone: what came behind a torn record would never be read."""
    spool = Spool(tmp_path, 80_000, Counters())
    spool.append("events", 1, b"good")
    real = os.write

    def short(fd: int, data: bytes) -> int:
        real(fd, data[:10])
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="no space"):
        spool.append("events", 1, b"lost")
    monkeypatch.undo()
    spool.append("events", 1, b"later")
    assert [body for _, _, body in drain(spool)] == [b"good", b"later"]


def test_a_record_larger_than_the_spool_is_refused(tmp_path: Path) -> None:
    """Dropping everything else would not make room for it."""
    spool = Spool(tmp_path, 65_536, Counters())
    spool.append("events", 1, b"small")
    with pytest.raises(OSError, match="65536"):
        spool.append("events", 1, b"x" * 70_000)
    assert spool.waiting == 1


def test_a_living_writer_is_not_adopted_and_a_dead_one_once(tmp_path: Path) -> None:
    """The lock says who owns a folder; two heirs do not both get it."""
    writer = Spool(tmp_path, 80_000, Counters())
    writer.append("events", 5, b"body")
    heirs = [Spool(tmp_path, 80_000, Counters()) for _ in range(2)]
    assert [heir.adopt() for heir in heirs] == [0, 0]
    writer.forget()
    assert [heir.adopt() for heir in heirs] == [5, 0]
    assert drain(heirs[0]) == [("events", 5, b"body")]
    assert heirs[1].adopt() == 0


def test_the_bound_counts_what_others_hold(tmp_path: Path) -> None:
    """Two processes share one bound, to within a segment each."""
    one, two = (Spool(tmp_path, 100_000, Counters()) for _ in range(2))
    for _ in range(300):
        one.append("events", 1, b"x" * 1_000)
        two.append("events", 1, b"x" * 1_000)
    assert total(tmp_path) <= 100_000 + 2 * 100_000 // 8


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """Spooled events hold what the model saw."""
    spool = Spool(tmp_path / "spool", 80_000, Counters())
    spool.append("events", 1, b"body")
    spool.keep_rejected([{"a": 1}], ["wrong"])
    for path in (tmp_path / "spool").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_default_folder_that_somebody_else_put_there_is_refused(tmp_path: Path) -> None:
    """In a shared /tmp a link would lead the events elsewhere; a folder that the caller names may be a link."""
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(PermissionError):
        private_folder(tmp_path / "link", checked=True)
    private_folder(tmp_path / "link", checked=False)


def test_the_default_folder_follows_server_tenant_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tenant's key never sends this tenant's events."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = {
        default_spool_dir(*who)
        for who in [
            ("http://a", "t", "m"),
            ("http://b", "t", "m"),
            ("http://a", "u", "m"),
            ("http://a", "t", "../m"),
        ]
    }
    assert len(folders) == 4
    assert {folder.parent for folder in folders} == {tmp_path / "fairlens"}


def test_the_file_of_rejected_events_is_small(tmp_path: Path) -> None:
    """Two files of a quarter of a megabyte, whole lines."""
    spool = Spool(tmp_path, 80_000, Counters())
    for i in range(200):
        spool.keep_rejected([{"i": i, "text": "x" * 9_000}], ["too long"])
    files = sorted(tmp_path.glob("rejected*"))
    assert [path.name for path in files] == ["rejected.1.jsonl", "rejected.jsonl"]
    assert all(path.stat().st_size <= REJECTED_BYTES for path in files)
    assert '"i": 199' in files[1].read_text().splitlines()[-1]


def test_a_lock_excludes_within_one_process_too(tmp_path: Path) -> None:
    """Two clients of one process share a folder."""
    locks: list[Any] = [FileLock(tmp_path / "lock") for _ in range(2)]
    assert [lock.acquire() for lock in locks] == [True, False]
    locks[0].close()
    assert locks[1].acquire()
    locks[1].close()
