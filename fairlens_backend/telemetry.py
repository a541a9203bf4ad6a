"""Logs: one JSON object a line on standard error, the event's name first, facts as fields.

Never a raw protected attribute, a token, a password or a secret: callers pass names of models, ids, counts.
"""

import json
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any, TextIO

from fairlens_backend import config

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; every line carries it."""


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and a Z, so that text order is time order.

    Examples
    --------
    >>> timestamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000Z'
    """
    # A tenth of what strftime costs, and a ledger's entry is not much more.
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def log(event: str, *, level: str = "info", stream: TextIO | None = None, **facts: Any) -> None:
    """Write one event: `log("AUDIT_COMPLETED", model="loan_model", severity="HIGH")`.

    Facts are JSON scalars or lists of them; anything else is written as text.
    """
    if LEVELS[level] < LEVELS[config.current().log_level]:
        return
    line = {
        "event": event,
        "level": level,
        "timestamp": timestamp(utc_now()),
        "request_id": request_id.get(),
        **facts,
    }
    out = stream if stream is not None else sys.stderr
    # One write a line: workers share the stream, and two writes would interleave.
    out.write(json.dumps(line, default=str, ensure_ascii=False) + "\n")
    out.flush()


def log_failure(event: str, error: BaseException, **facts: Any) -> None:
    """Write an unexpected error with its traceback, for the operator only."""
    log(event, level="error", error=type(error).__name__, traceback="".join(format_exception(error)), **facts)
