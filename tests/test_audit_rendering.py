"""What the text and the page of an audit show beside its table and sentences."""

from pathlib import Path

import pandas as pd

from fairlens_backend import cli


def arguments(file: Path, *more: str) -> list[str]:
    return ["audit", str(file), "--decision", "approved", "--protected", "sex", "--favourable", "yes", *more]


def write(path: Path, women: int, men: int, n: int = 200) -> Path:
    approved = ["yes"] * women + ["no"] * (n - women) + ["yes"] * men + ["no"] * (n - men)
    pd.DataFrame({"sex": ["F"] * n + ["M"] * n, "approved": approved}).to_csv(path, index=False)
    return path


def test_impact_ratios_are_written_out(tmp_path, capsys):
    """NYC Local Law 144 by hand: women 20 of 200, men 50 of 200, so 0.1 against 0.25 and a ratio of 0.4."""
    path = write(tmp_path / "a.csv", 20, 50)
    cli.main(arguments(path))
    lines = capsys.readouterr().out.split("Impact ratios (New York City Local Law 144)")[1].split("\n")
    rows = [line.split() for line in lines if line[:2] in ("F ", "M ")]
    assert rows == [
        ["F", "200", "50.0", "%", "20", "0.100", "0.400"],
        ["M", "200", "50.0", "%", "50", "0.250", "1.000"],
    ]
    cli.main(arguments(path, "--format", "html"))
    page = capsys.readouterr().out
    assert "<h2>Impact ratios" in page and '<th scope="row">F</th><td class="n">200</td>' in page


def test_a_group_that_speaks_to_the_terminal_is_printed_as_text(tmp_path, capsys):
    """A label with an escape sequence would colour or move what follows on a terminal."""
    frame = pd.DataFrame({"approved": ["yes", "no"] * 100, "sex": ["F", "\x1b[2J\u202eM"] * 100})
    frame.to_csv(tmp_path / "a.csv", index=False)
    cli.main(arguments(tmp_path / "a.csv"))
    told = capsys.readouterr().out
    assert "\x1b" not in told and "\u202e" not in told and r"\x1b[2J\u202eM" in told
