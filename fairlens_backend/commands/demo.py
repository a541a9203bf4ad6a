"""`fairlens demo`: decisions go through the SDK at many times their speed, drift is injected half-way, and is found.

Without --endpoint it starts a server of its own on this machine, in a folder that is gone afterwards. Exit codes: 0 the drift
was found; 1 it was not; 2 it could not be shown, standard error says why; 130 interrupted.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fairlens_backend.commands._console import BREACHED, PASSED, write
from fairlens_backend.errors import InvalidInput

NAME = "demo"
HELP = "see drift being found, in a minute"
LEAST_WINDOWS, MOST_WINDOWS = 48, 500
HOURS, WINDOW_HOURS, PER_HOUR, IN_S = 192, 3, 400, 55


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="FILE",
        help="the Adult census data as CSV with a header (default: simulated loans)",
    )
    add("--hours", type=int, default=HOURS, help=f"simulated (default {HOURS}: eight days)")
    add(
        "--window-hours",
        type=int,
        default=WINDOW_HOURS,
        metavar="N",
        help=f"an audit's (default {WINDOW_HOURS})",
    )
    add("--decisions-per-hour", type=int, default=PER_HOUR, metavar="N", help=f"default {PER_HOUR}")
    add(
        "--speed",
        type=float,
        metavar="MINUTES",
        help="simulated minutes a second at most (default: all in a minute)",
    )
    add("--events-per-second", type=float, metavar="N", help="in the place of --speed")
    add("--seed", type=int, default=42)
    add("--endpoint", metavar="URL", help="a server that runs already; needs --token or --username")
    add("--token", help="an administrator's access token for it")
    add("--username", help="or an administrator's name; the password is asked for")
    add("--api-key", metavar="KEY", help="of scope ingest (default: one is made)")
    add("--model", help="name to register (default: a new one)")
    add("--json", action="store_true", help="the outcome as JSON, and nothing else on standard output")


def run(wanted: argparse.Namespace) -> int:
    _check(wanted)
    from fairlens_backend import demo_data, demo_feed
    from fairlens_backend.commands._demo_screen import Screen, as_json, summary
    from fairlens_backend.demo_client import load_sdk

    sdk = load_sdk()
    screen = Screen(sys.stderr, None if wanted.json else sys.stdout)
    model = wanted.model or demo_feed.new_name()
    windows = wanted.hours // wanted.window_hours
    size, seed = wanted.decisions_per_hour * wanted.window_hours, wanted.seed
    screen.wait("preparing the decisions")
    scenario = (
        demo_data.adult(wanted.data, windows, wanted.window_hours, size, seed)
        if wanted.data
        else demo_data.simulated(windows, wanted.window_hours, size, seed)
    )
    speed = wanted.speed or scenario.n_hours * 60 / IN_S
    if wanted.events_per_second:
        speed = wanted.events_per_second * 60 / wanted.decisions_per_hour
    with _ended_by_signals(), ExitStack() as stack:
        api, folder = _server(wanted, stack, screen)
        target = demo_feed.open_target(api, wanted.api_key, model, scenario)
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        client = sdk(
            api.url, target.key, model, "v1", scenario.use_case, spool_dir=demo_feed.spool_folder(folder),
            flush_interval_s=0.02,
        )  # fmt: skip
        stack.callback(client.close, 1.0)
        start = now - timedelta(hours=scenario.n_hours)
        feed = demo_feed.Feed(target, client, model, scenario, start, speed)
        screen.opening(feed.outcome, api.url)
        for seen in feed.run():
            screen.window(feed.outcome, seen)
        screen.clear()
    outcome = feed.outcome
    write(json.dumps(as_json(outcome), indent=1, allow_nan=False) + "\n" if wanted.json else summary(outcome))
    return PASSED if outcome.pre_alert is not None or outcome.alert is not None else BREACHED


def _check(wanted: argparse.Namespace) -> None:
    for name, value, least, most in (
        ("--window-hours", wanted.window_hours, 1, 24),
        ("--decisions-per-hour", wanted.decisions_per_hour, 50, 5_000),
        ("--speed", wanted.speed, 0.1, 1e6),
        ("--events-per-second", wanted.events_per_second, 1, 1e6),
        ("--seed", wanted.seed, 0, 2**31),
    ):
        if value is not None and not least <= value <= most:
            raise InvalidInput(f"{name} is {value:g}, {least:g} to {most:g} was expected", field=name)
    windows = wanted.hours // wanted.window_hours
    if not LEAST_WINDOWS <= windows <= MOST_WINDOWS:
        raise InvalidInput(
            f"--hours {wanted.hours} are {windows} windows of {wanted.window_hours} hours, {LEAST_WINDOWS} to {MOST_WINDOWS} were"
            " expected: the first 20 say what is usual",
            field="--hours",
        )
    if wanted.endpoint and not (wanted.token or wanted.username):
        raise InvalidInput(
            "--endpoint needs --token or --username: an administrator registers the model and asks for its audits",
            field="--endpoint",
        )
    if not wanted.endpoint and (wanted.token or wanted.username or wanted.api_key):
        raise InvalidInput("--token, --username and --api-key belong to --endpoint", field="--endpoint")


def _server(wanted: argparse.Namespace, stack: ExitStack, screen: Any) -> tuple[Any, Path]:
    """The server, with an administrator's token, and a folder that is gone afterwards."""
    from fairlens_backend.demo_client import Api
    from fairlens_backend.demo_server import own_server

    if not wanted.endpoint:
        screen.wait("starting a server")
        server = stack.enter_context(own_server())
        return Api(server.url).login("admin", server.password), server.folder
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairlens-demo-")))
    if wanted.token:
        return Api(wanted.endpoint, wanted.token), folder
    from getpass import getpass

    screen.clear()
    return Api(wanted.endpoint).login(wanted.username, getpass(f"Password of {wanted.username}: ")), folder


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A terminal that closes and a `kill` end the server too, as Ctrl-C does."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
