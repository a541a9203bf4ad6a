"""`fairlens export-evidence` and `fairlens verify`, as two people use them: one with the server, one with the file and the key."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import cli, ledger_keeper, ledger_reader
from fairlens_backend.storage import ledger, ledger_heads, migrate
from fairlens_backend.storage.session import read_snapshot
from tests.ledger_kit import at, audit, other

RANGE = ["--from", "2026-03-02T00:10:00Z", "--to", "2026-03-02T01:00:00Z"]


@pytest.fixture
def key(database: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger with audits, on a database that counts as migrated; its public key."""
    monkeypatch.setattr(migrate, "is_at_head", lambda: True)
    for i in range(10):
        audit(i * 7, tenant="default", seed=i % 3)
        other(i * 7 + 1)
    return ledger_keeper.ensure_key(at(0)).text


def export(path: Path, *more: str) -> int:
    return cli.main(["export-evidence", "--model", "hiring", *RANGE, "--output", str(path), *more])


def test_a_file_is_written_and_verified(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer says what is right, in numbers: the seven audits at 14, 21, … 56 minutes."""
    file = tmp_path / "evidence.jsonl"
    assert export(file) == 0
    assert "7 audits of hiring" in capsys.readouterr().out
    assert cli.main(["verify", str(file), "--key", key]) == 0
    said = capsys.readouterr().out
    assert said.startswith("RIGHT.") and "audits    7 in the range" in said
    assert not list(tmp_path.glob(".evidence*"))  # no draft is left


def test_a_packed_file_and_a_key_in_a_file(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that ends in .gz is packed and unpacked; the key may stand in a file; the last head is kept on demand."""
    file, keys, head = tmp_path / "evidence.gz", tmp_path / "key.txt", tmp_path / "head.txt"
    keys.write_text(key + "\n")
    assert export(file) == 0
    assert gzip.decompress(file.read_bytes()).startswith(b'{"fairlens_evidence":2')
    capsys.readouterr()
    assert (
        cli.main(["verify", str(file), "--key", str(keys), "--keep-head", str(head), "--format", "json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    keys.write_text(json.dumps({"status": "success", "data": ledger_reader.keys()}))
    assert cli.main(["verify", str(file), "--key", str(keys)]) == 0
    for odd in ('{"status": "success", "data": null}', "[" * 100_000):
        keys.write_text(odd)
        assert cli.main(["verify", str(file), "--key", str(keys)]) == 2
        assert "is not a public key" in capsys.readouterr().err
    assert found["ok"] and found["audits"] == 7 and found["header"]["model"] == "hiring"
    with read_snapshot():
        newest = ledger_heads.newest()
        assert newest is not None and head.read_text() == newest.note
    audit(80, tenant="default")
    again = tmp_path / "again.jsonl"
    assert export(again, "--head", str(head)) == 0
    assert cli.main(["verify", str(again), "--key", key, "--head", str(head)]) == 0
    assert "NOT CHECKED: an earlier head" not in capsys.readouterr().out


def test_a_tampered_file_exits_with_1_and_says_why(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed digit, and the first word says so."""
    file = tmp_path / "evidence.jsonl"
    export(file)
    file.write_bytes(file.read_bytes().replace(b'"sample_size":', b'"sample_size": ', 1))
    capsys.readouterr()
    assert cli.main(["verify", str(file), "--key", key]) == 1
    assert capsys.readouterr().out.startswith("WRONG. Entry ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key", "nonsense"], "is not a public key"),
        (["--key", "{key}", "--head", "none.txt"], "--head"),
        (["--key", "{key}", "--roots", "none.pem"], "--roots"),
        (["--key", "{key}", "--witness", "who"], "is not a witness's key"),
    ],
)
def test_what_cannot_be_read_exits_with_2(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """An argument that is wrong is named; nothing is said of the bundle."""
    file = tmp_path / "evidence.jsonl"
    export(file)
    capsys.readouterr()
    assert cli.main(["verify", str(file), *(one.format(key=key) for one in arguments)]) == 2
    answer = capsys.readouterr()
    assert said in answer.err and answer.out == ""


def test_files_that_are_not_there_or_damaged(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file, a folder, half of a packed file: 2, with the file's name."""
    packed = tmp_path / "evidence.gz"
    export(packed)
    packed.write_bytes(packed.read_bytes()[:-20])
    for path in (tmp_path / "none", tmp_path, packed):
        capsys.readouterr()
        assert cli.main(["verify", str(path), "--key", key]) == 2
        assert str(path) in capsys.readouterr().err


def test_an_export_for_the_reader_of_an_older_key(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the key that the reader has, in a file or as it is, the bundle leads from it to the key of its audits."""
    keys, file = tmp_path / "key.txt", tmp_path / "evidence.jsonl"
    keys.write_text(key + "\n")
    ledger_keeper.rotate_key("admin", at(60))
    audit(70, tenant="default", model="late")
    late = ["export-evidence", "--model", "late", "--from", "2026-03-02", "--output", str(file)]
    for given, wrong in (([], 1), (["--key", key], 0), (["--key", str(keys)], 0)):
        assert cli.main([*late, *given]) == 0
        assert cli.main(["verify", str(file), "--key", key]) == wrong
    keys.write_text(f"{key}\n{key}\n")
    for given, said in (
        (str(keys), "2 lines"),
        ("x", "is not a public key"),
        (key[:-4] + "AAA=", "public key"),
    ):
        capsys.readouterr()
        assert cli.main([*late, "--key", given]) == 2
        assert said in capsys.readouterr().err


def test_an_export_of_nothing_leaves_no_file(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model without audits, and an empty range, are said; no file is there afterwards, and a former one stays."""
    file = tmp_path / "evidence.jsonl"
    file.write_text("former")
    assert cli.main(["export-evidence", "--model", "nobody", *RANGE, "--output", str(file)]) == 2
    assert "nobody" in capsys.readouterr().err
    assert (
        cli.main(
            [
                "export-evidence",
                "--model",
                "hiring",
                "--from",
                "2026-03-02",
                "--to",
                "2026-03-01",
                "--output",
                str(file),
            ]
        )
        == 2
    )
    assert "from must be before to" in capsys.readouterr().err
    with read_snapshot():
        entries = ledger.size()
    assert export(tmp_path) == 2
    assert f"{tmp_path} is a folder" in capsys.readouterr().err
    with read_snapshot():
        assert ledger.size() == entries  # nobody was given what it would say was exported
    assert file.read_text() == "former" and not list(tmp_path.glob(".evidence*"))
