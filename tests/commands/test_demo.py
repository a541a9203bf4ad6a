"""`fairlens demo`: from its own server to its summary; Ctrl-C and kill leave nothing running; what is wrong is said."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import cli, demo_data
from fairlens_backend.demo_client import Api
from fairlens_backend.errors import InvalidInput, Unavailable
from tests.conftest import PROJECT_ROOT
from tests.live_server import live_server

SMALL = ["--hours", "48", "--window-hours", "1", "--decisions-per-hour", "400", "--speed", "100000"]


def run(*more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairlens_backend", "demo", *SMALL, *more]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=170, check=False)


def test_a_demonstration_from_its_own_server_to_its_summary() -> None:
    """Every decision is sent, audited by the window and counted once; JSON alone is on standard output, no bar in a pipe."""
    done = run("--json")
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert (found["decisions"], found["lost"], len(found["ratios"])) == (19_200, 0, 48)
    assert found["whole"]["sample_size"] == 19_200 and found["whole"]["labelled_size"] == 36 * 400
    assert found["drift"]["window"] == 24
    # The last windows are drifted: their mean ratio is under that of the first ones.
    ratios = [one["ratio"] for one in found["ratios"]]
    assert sum(ratios[-8:]) / 8 < sum(ratios[:24]) / 24 - 0.1
    assert found["alert"] is not None and found["alert"]["hours_after_drift"] > 0
    assert done.returncode == 0


def test_another_server_is_fed_where_one_is_named(tmp_path: Path) -> None:
    """By an administrator's token; the model stays there, with an audit a window; words on standard output."""
    with live_server(tmp_path, workers=1, CLOCK_ENABLED="false") as server:
        token = server.login()
        done = run("--endpoint", server.url, "--token", token, "--model", "shown")
        assert done.returncode == 0, done.stderr
        assert (
            "drift begins" in done.stdout
            and "nothing was lost" in done.stdout
            and "first alert" in done.stdout
        )
        audits = server.call("GET", "/v1/audits?model=shown&limit=100", token=token)[1]["data"]["items"]
        assert len(audits) == 49
        again = run("--endpoint", server.url, "--token", token, "--model", "shown")
        assert (again.returncode, again.stdout) == (2, "") and "shown" in again.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_ends_its_server(how: signal.Signals) -> None:
    """In the midst: exit code 130, the port is free, the folder is gone."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "fairlens_backend",
            "demo",
            "--hours",
            "96",
            "--window-hours",
            "1",
            "--speed",
            "30",
        ],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell runs in the background ignores SIGINT, and so do its children: here too, were the suite run like that.
        preexec_fn=partial(signal.signal, how, signal.SIG_DFL),  # noqa: PLW1509  one call of C
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    url = first.rsplit(" ", 1)[-1].strip()
    assert url.startswith("http://127.0.0.1:"), first
    Api(url).call("GET", "/api/health")
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "fairlens: interrupted\n")
    with pytest.raises(Unavailable):
        Api(url).call("GET", "/api/health")


def test_real_data_is_fair_at_first_and_drifts(tmp_path: Path) -> None:
    """People in the columns of the Adult data: the same share of both sexes, and 27 % fewer of the women in the end."""
    lines = ["age, education-num, hours-per-week, sex, income"]
    lines += [
        f"{20 + i % 50}, {i % 16}, {20 + i % 41}, {'Female' if i % 3 else 'Male'}, {'>50K' if i % 50 + i % 16 > 40 else '<=50K'}"
        for i in range(6_000)
    ]
    (tmp_path / "adult.csv").write_text("\n".join(lines))
    scenario = demo_data.adult(tmp_path / "adult.csv", 48, 1, 2_000, 1)

    def share(windows: list[Any], sex: str) -> float:
        labels = [one["prediction"]["label"] for some in windows for one in some if one["tags"]["sex"] == sex]
        return sum(labels) / len(labels)

    before, last = scenario.windows[:24], scenario.windows[-1:]
    assert share(before, "Female") / share(before, "Male") == pytest.approx(1, abs=0.05)
    assert share(last, "Female") / share(last, "Male") == pytest.approx(0.73, abs=0.12)
    assert scenario.drift_window == 24 and scenario.n_decisions == 96_000


def test_simulated_drift_is_that_of_the_simulator() -> None:
    """Level until half-way, then worse from window to window; hours follow from windows."""
    scenario = demo_data.simulated(10, 3, 4_000, 7)
    rates = []
    for window in scenario.windows:
        women = [one["prediction"]["label"] for one in window if one["tags"]["gender"] == "Female"]
        men = [one["prediction"]["label"] for one in window if one["tags"]["gender"] == "Male"]
        rates.append(sum(women) / len(women) / (sum(men) / len(men)))
    assert min(rates[:5]) > 0.9 and max(rates[8:]) < 0.9 and rates[9] == pytest.approx(0.73, abs=0.06)
    assert (scenario.n_hours, scenario.drift_window) == (30, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hours", "10"], "48 to 500 were expected"),
        (["--decisions-per-hour", "5"], "--decisions-per-hour is 5, 50 to"),
        (["--speed", "0"], "--speed is 0"),
        (["--endpoint", "http://127.0.0.1:1"], "--endpoint needs --token or --username"),
        (["--token", "x"], "belong to --endpoint"),
        (["--data", "no-such.csv"], "no-such.csv cannot be read"),
        (["--endpoint", "http://127.0.0.1:1", "--token", "x"], "does not answer"),
    ],
)
def test_what_is_wrong_exits_with_2_and_a_sentence(capsys: Any, arguments: list[str], message: str) -> None:
    """Before anything is started."""
    assert cli.main(["demo", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_other_columns_is_named(tmp_path: Path) -> None:
    """With those that are missing."""
    (tmp_path / "x.csv").write_text("sex,age\nM,3\n")
    with pytest.raises(InvalidInput, match="lacks income, education-num, hours-per-week"):
        demo_data.adult(tmp_path / "x.csv", 48, 1, 100, 1)
