"""What a server's answer means for the batch that it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from fairlens_sdk._gate import REFUSED_S
from fairlens_sdk._transport import Answer

MAX_WORDS = 500
"""of a warning, so that a server cannot fill the caller's log"""
DELIVERED, REJECTED, SPLIT, AGAIN = "delivered", "rejected", "split", "again"


@dataclass(frozen=True)
class Verdict:
    """`rejected` holds (index, errors) of events that the server will never take; `why` is a word for the log; `doubts` holds
    (n, words) of events that it took and warns of."""

    kind: str
    why: str = ""
    at_least_s: float = 0.0
    rejected: list[tuple[int, Any]] = field(default_factory=list)
    blames_batch: bool = False
    """The server answered with a fault of its own: this batch may be what it stumbles over."""
    doubts: list[tuple[int, str]] = field(default_factory=list)


def judge(answer: Answer, count: int, now_s: float) -> Verdict:
    """Sort an answer.

    A success is a success only with the envelope's `"status": "success"`: a login page of a proxy is 200 too.

    Examples
    --------
    >>> judge(Answer(202, {}, b'{"status": "success", "data": {"rejected": []}}'), 1, 0.0).kind
    'delivered'
    >>> judge(Answer(429, {"retry-after": "7"}), 1, 0.0).at_least_s
    7.0
    """
    status = answer.status
    if 200 <= status < 300:
        return _success(answer, count)
    if status == 413:
        if count > 1:
            return Verdict(SPLIT, "413")
        return Verdict(REJECTED, "413", rejected=[(0, "larger than the server takes")])
    if status in {400, 422}:
        return Verdict(REJECTED, str(status), rejected=[(i, _details(answer)) for i in range(count)])
    wait = retry_after_s(answer.headers.get("retry-after"), now_s)
    if status in {408, 425, 429} or status >= 500:
        return Verdict(AGAIN, str(status), wait, blames_batch=status >= 500 and status != 503)
    # 401, 403: the key may be mended; 404, 3xx and the like: so may the address. Nothing is lost meanwhile.
    return Verdict(AGAIN, str(status), max(wait, REFUSED_S))


def _success(answer: Answer, count: int) -> Verdict:
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    if not isinstance(body, dict) or body.get("status") != "success":
        return Verdict(AGAIN, f"{answer.status} without the envelope", REFUSED_S)
    data = body.get("data")
    listed = data.get("rejected") if isinstance(data, dict) else None
    found: dict[int, Any] = {}
    for one in listed if isinstance(listed, list) else []:
        index = one.get("index") if isinstance(one, dict) else None
        if isinstance(index, int) and 0 <= index < count:
            found[index] = one.get("errors")
    return Verdict(DELIVERED, str(answer.status), rejected=sorted(found.items()), doubts=_doubts(data))


def _doubts(data: Any) -> list[tuple[int, str]]:
    """Of `warnings` and `undeclared`, late labels that were not joined, how many events and the words; of anything odd nothing."""
    if not isinstance(data, dict):
        return []
    listed = data.get("warnings")
    said = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    found = [(one.get("n_events"), f"{one.get('field')}: {one.get('message')}"[:MAX_WORDS]) for one in said]
    found.append((data.get("undeclared"), "label: not among those that the model declares, and not joined"))
    return [(n, words) for n, words in found if type(n) is int and n > 0]


def _details(answer: Answer) -> Any:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return f"status {answer.status}"
    return (body.get("error") or body.get("message")) if isinstance(body, dict) else f"status {answer.status}"


def retry_after_s(header: str | None, now_s: float) -> float:
    """Seconds to wait, from either form of the header (RFC 9110 section 10.2.3); 0 when it says nothing usable.

    Examples
    --------
    >>> retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 0.0)
    60.0
    """
    if not header:
        return 0.0
    try:
        return max(0.0, float(int(header)))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(header)
    except (TypeError, ValueError, IndexError):
        return 0.0
    return max(0.0, (at - datetime.fromtimestamp(now_s, timezone.utc)).total_seconds()) if at.tzinfo else 0.0
