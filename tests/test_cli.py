"""`fairlens`: exit codes that a pipeline can rely on, and words on standard error when something is wrong."""

import io
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fairlens_backend import __version__, cli
from fairlens_backend.commands import _console

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """200 women of whom 30 % are approved, 200 men of whom 60 % are."""
    return write(tmp_path / "loans.csv", 60, 120)


def write(path: Path, women: int, men: int, n: int = 200) -> Path:
    pd.DataFrame(
        {
            "sex": ["F"] * n + ["M"] * n,
            "approved": ["yes"] * women + ["no"] * (n - women) + ["yes"] * men + ["no"] * (n - men),
        }
    ).to_csv(path, index=False)
    return path


def arguments(file: Path, *more: str) -> list[str]:
    return ["audit", str(file), "--decision", "approved", "--protected", "sex", "--favourable", "yes", *more]


def test_a_breach_exits_with_1_and_says_it(file, capsys):
    """0.3 / 0.6 = 0.5 is CRITICAL."""
    assert cli.main(arguments(file)) == 1
    out = capsys.readouterr()
    assert out.out.startswith("FairLens audit: CRITICAL, 400 decisions")
    assert "0.500" in out.out and "F / M" in out.out and out.err == ""


def test_no_breach_exits_with_0(tmp_path, capsys):
    """Half of both."""
    assert cli.main(arguments(write(tmp_path / "fair.csv", 100, 100))) == 0
    assert "PASS" in capsys.readouterr().out


def test_too_few_rows_exit_with_2(tmp_path, capsys):
    """20 rows can be judged neither way: UNKNOWN is no pass."""
    assert cli.main(arguments(write(tmp_path / "few.csv", 3, 6, n=10))) == 2
    assert "UNKNOWN" in capsys.readouterr().out


@pytest.mark.parametrize(("fail_on", "code"), [("CRITICAL", 0), ("HIGH", 1), ("MEDIUM", 1), ("LOW", 1)])
def test_fail_on_is_the_least_severity_that_fails(tmp_path, capsys, fail_on, code):
    """70 of 100 times as often is HIGH: below 0.80 and not below 0.65."""
    path = write(tmp_path / "high.csv", 700, 1000, n=2000)
    assert cli.main(arguments(path, "--fail-on", fail_on)) == code
    assert "audit: HIGH" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--truth", "paid"], "no column 'paid'; there are"),
        (["--reference", "sex=Male"], "'Male' of sex; the groups are: F, M"),
        (["--reference", "sex"], "COLUMN=VALUE was expected"),
        (["--favourable", "Yes", "--decision", "sex"], "each needs a column of its own"),
        (["--settings", "no-such.json"], "no-such.json cannot be read"),
        (["--output", "/no/such/folder/out.txt"], "cannot be written"),
    ],
)
def test_what_is_wrong_exits_with_2_and_a_sentence(file, capsys, changes, message):
    """On standard error, without a traceback."""
    assert cli.main(arguments(file, *changes)) == 2
    out = capsys.readouterr()
    assert out.err.startswith("fairlens: ") and message in out.err and "Traceback" not in out.err


def test_a_file_that_is_not_there(tmp_path, capsys):
    """As any other tool says it."""
    assert cli.main(arguments(tmp_path / "none.csv")) == 2
    assert "No such file" in capsys.readouterr().err


def test_a_wrong_argument_exits_with_2(file, capsys):
    """argparse's own code, which is that of "cannot judge" too."""
    with pytest.raises(SystemExit) as left:
        cli.main(["audit", str(file)])
    assert left.value.code == 2 and "--decision" in capsys.readouterr().err


def test_settings_are_read_from_a_file(file, tmp_path, capsys):
    """A limit of 0.4 lets 0.5 pass; a setting that does not exist is named."""
    settings = tmp_path / "policy.json"
    limits = {"disparate_impact_ratio": 0.4, "statistical_parity_difference": 0.9}
    settings.write_text(json.dumps({"thresholds": limits}))
    cli.main(arguments(file, "--settings", str(settings), "--format", "json"))
    ratio = json.loads(capsys.readouterr().out)["metrics"]["disparate_impact_ratio"]
    assert (ratio["threshold"], ratio["breached"]) == (0.4, False)
    for text, message in (('{"treshold": 1}', "'treshold'"), ("{", "not JSON"), ("[]", "no JSON object")):
        settings.write_text(text)
        assert cli.main(arguments(file, "--settings", str(settings))) == 2
        assert message in capsys.readouterr().err


def test_json_and_html_go_into_a_file(file, tmp_path, capsys):
    """Strict JSON; HTML with the groups' rates, and nothing loaded from outside."""
    for form in ("json", "html"):
        assert cli.main(arguments(file, "--format", form, "--output", str(tmp_path / form))) == 1
    assert capsys.readouterr().out == ""
    figures = json.loads((tmp_path / "json").read_text(), parse_constant=pytest.fail)
    assert figures["metrics"]["disparate_impact_ratio"]["value"] == 0.5
    page = (tmp_path / "html").read_text()
    assert page.startswith("<!doctype html>") and "0.300" in page and "sex=F" in page
    assert "<script" not in page and "http" not in page and "src=" not in page


def test_labels_with_commas_and_several_columns(tmp_path, capsys):
    """A label in quotes may hold a comma; columns are separated by commas or named one by one."""
    df = pd.DataFrame({"d": ["a, b", "no", "c", "no"] * 60, "x": ["1", "2"] * 120, "y": ["p", "p", "q"] * 80})
    df.to_csv(tmp_path / "a.csv", index=False)
    for protected in (["--protected", "x,y"], ["--protected", "x", "--protected", "y"]):
        given = ["audit", str(tmp_path / "a.csv"), "--decision", "d", *protected, "--favourable", '"a, b",c']
        cli.main([*given, "--format", "json"])
        figures = json.loads(capsys.readouterr().out)
        assert figures["protected_attributes"] == ["x", "y"]
        rates = {
            tuple(one["attributes"].items()): one["rates"]["selection_rate"]["value"]
            for one in figures["demographic_slices"]
        }
        assert rates[(("x", "1"),)] == 1.0 and rates[(("x", "2"),)] == 0.0


def test_metrics_are_listed_and_explained(capsys):
    """All of STATISTICS section 2; a value in words; an unknown name with those there are."""
    assert cli.main(["metrics"]) == 0
    listed = capsys.readouterr().out
    assert len(listed.splitlines()) == 18 and "consistency" in listed
    assert cli.main(["metrics", "disparate_impact_ratio", "--value", "0.72"]) == 0
    assert (
        "0.72 times as often as the reference group. The limit is 0.8: it is breached."
        in capsys.readouterr().out
    )
    assert cli.main(["metrics", "fairness"]) == 2
    assert "no metric 'fairness'; there are demographic_parity_difference" in capsys.readouterr().err


def command(*given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlens_backend", *given],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_as_a_process(file):
    """Code, output and version; without a terminal there is no bar; no server is loaded."""
    done = command(*arguments(file))
    assert (done.returncode, done.stderr) == (1, "") and "CRITICAL" in done.stdout
    assert command("--version").stdout == f"fairlens {__version__}\n"
    assert command().returncode == 2


def test_a_reader_that_has_seen_enough(file):
    """`fairlens audit … | head -0` keeps the verdict's code and says nothing."""
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "fairlens_backend", *arguments(file)],
            check=False, cwd=ROOT, stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")


def read_until(controller: int, end: str) -> str:
    """What arrives at a terminal, in however many parts, up to an end; less where nothing more comes for 5 seconds."""
    told = ""
    while not told.endswith(end) and select.select([controller], [], [], 5.0)[0]:
        told += os.read(controller, 10_000).decode()
    return told


def test_the_bar_is_drawn_on_a_terminal(monkeypatch):
    """Share, size and time left, each on the same line; cleared at the end; not for what is done at once."""
    moments = iter([0.0, 0.2, 1.0, 1.05, 2.0])
    monkeypatch.setattr(_console.time, "monotonic", lambda: next(moments))
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        bar = _console.Bar()
        assert bar.shown
        for done in (10, 50, 55, 100):
            bar(done, 100)
        bar.clear()
        monkeypatch.undo()
        drawn = read_until(controller, " \r")
    os.close(controller)
    assert drawn.count("[") == 2 and " 50% of 0.0 MB  1 s left" in drawn and "100% of" in drawn
    assert drawn.endswith(" \r")


def test_an_encoding_that_knows_no_sign_does_not_end_the_audit(file, monkeypatch):
    """An ASCII terminal gets escapes."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(arguments(file)) == 1
    assert cli.main(["metrics"]) == 0


def test_bands_make_groups_of_numbers(tmp_path, capsys):
    """An attribute with bands is a protected one; what is no number is said."""
    pd.DataFrame({"approved": ["yes", "no"] * 100, "age": [20, 50] * 100}).to_csv(
        tmp_path / "a.csv", index=False
    )
    given = [
        "audit",
        str(tmp_path / "a.csv"),
        "--decision",
        "approved",
        "--favourable",
        "yes",
        "--protected",
        "age",
    ]
    assert cli.main([*given, "--bands", "age=30"]) == 1
    assert "UNDER_30" in capsys.readouterr().out
    assert cli.main([*given, "--bands", "age=young"]) == 2
    assert "age=18,30,40" in capsys.readouterr().err


def test_an_attribute_that_cannot_be_judged_does_not_pass(tmp_path, capsys):
    """Equal rates of the sexes and a race that nobody filled in: 2, and the headline and standard error say which."""
    frame = pd.DataFrame(
        {"approved": ["yes", "no"] * 200, "sex": ["F", "F", "M", "M"] * 100, "race": ["?"] * 400}
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    given = arguments(tmp_path / "a.csv")
    assert cli.main(given) == 0
    given += ["--protected", "race", "--missing", "?"]
    assert cli.main(given) == 2
    printed = capsys.readouterr()
    assert "PASS (race could not be judged)" in printed.out and "race could not be judged" in printed.err
    frame["sex"] = ["F", "M"] * 200  # 100 % against 0 %: a breach stays a breach
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert cli.main(given) == 1


def test_a_favourable_label_that_never_occurs_is_said(tmp_path, capsys):
    """A slip among several labels would lower every rate without a word."""
    cli.main(arguments(write(tmp_path / "a.csv", 100, 100), "--favourable", "Granted"))
    assert "Favourable, and in no row: 'Granted'." in capsys.readouterr().out


def test_the_command_of_a_checkout_runs_from_any_folder(tmp_path: Path) -> None:
    """As `tools/install.sh` makes it, in a folder with a quote and a space in its name, for the code of its own checkout."""
    root = tmp_path / "it's here"
    (root / "tools").mkdir(parents=True)
    (root / "fairlens_backend").mkdir()
    (root / "fairlens_backend" / "__init__.py").touch()
    (root / "fairlens_backend" / "cli.py").write_text(
        "import sys\n\ndef main(): return print(sys.argv[1:])\n"
    )
    shutil.copy(Path(cli.__file__).parent.parent / "tools" / "install.sh", root / "tools")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (root / "requirements.lock").touch()
    (root / ".venv" / ".installed-runtime").touch()
    subprocess.run(["bash", str(root / "tools" / "install.sh"), "runtime"], check=True)
    made = [root / ".venv" / "bin" / "fairlens", "verify", "a file's name"]
    said = subprocess.run(made, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "['verify', \"a file's name\"]\n"
