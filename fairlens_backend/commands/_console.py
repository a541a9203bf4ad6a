"""What commands share: exit codes, reading arguments, writing results, the progress bar."""

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fairlens_backend.errors import InvalidInput

PASSED, BREACHED, CANNOT_JUDGE, INTERRUPTED = 0, 1, 2, 130
BAR_WIDTH: Final = 30
BAR_AFTER_S: Final = 0.5
BAR_EVERY_S: Final = 0.1


def megabytes(total: int) -> str:
    """The size of a file, in words."""
    return f"{total / 1e6:,.1f} MB"


class Bar:
    """A bar on standard error while work goes on, on a terminal only, and not for what is done at once.

    Parameters
    ----------
    size : how the total is said
    """

    def __init__(self, size: Callable[[int], str] = megabytes) -> None:
        self.size = size
        self.shown = sys.stderr.isatty()
        self._started = self._drawn = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._started < BAR_AFTER_S or now - self._drawn < BAR_EVERY_S or not total:
            return
        self._drawn = now
        share = min(1.0, done / total)
        left = f"{(now - self._started) * (1 - share) / share:.0f} s left" if share > 0 else ""
        drawn = ("#" * int(share * BAR_WIDTH)).ljust(BAR_WIDTH)
        sys.stderr.write(f"\r[{drawn}] {share:4.0%} of {self.size(total)}  {left}   ")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        if self.shown and self._drawn != self._started:
            sys.stderr.write("\r" + " " * (BAR_WIDTH + 45) + "\r")
            sys.stderr.flush()


def listed(texts: Sequence[str]) -> list[str]:
    """Names separated by commas, in quotes where one holds a comma; each option may be repeated."""
    return [name.strip() for row in csv.reader(texts, skipinitialspace=True) for name in row if name.strip()]


def pair(text: str, option: str) -> tuple[str, str]:
    """COLUMN=VALUE in its two parts; `InvalidInput` names the option."""
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise InvalidInput(f"{option} is {text!r}; COLUMN=VALUE was expected", field=option, got=text)
    return column, value


def read_settings(path: Path | None, option: str = "--settings") -> dict[str, Any] | None:
    """The JSON object of a settings file; None without one. `InvalidInput` says what is wrong with it."""
    if path is None:
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}).", field=option) from error
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}.", field=option) from error
    if not isinstance(settings, dict):
        raise InvalidInput(f"{path} holds no JSON object of settings.", field=option)
    return settings


def write(text: str, output: Path | None = None) -> None:
    """To a file, or to standard output; a reader that has seen enough is no error."""
    if output is None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough; the verdict stands
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written ({error.strerror}).", field="--output") from error


def whole(text: str) -> int:
    """A whole number, at least 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def moment(text: str) -> datetime:
    """A time; a day alone is its midnight, and one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time, as in 2026-03-01 or 2026-03-01T06:00:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
