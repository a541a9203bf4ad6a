"""What happens around every request: its id, its size, its media type, its log line, the security headers."""

import re
import secrets
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from flask import Flask, Request, Response, current_app, g, request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import RequestEntityTooLarge

from fairlens_backend import config, gauges, telemetry
from fairlens_backend.core.enrich.pii_finder import suspicious
from fairlens_backend.errors import MalformedInput, UnsupportedMedia

View = TypeVar("View", bound=Callable[..., Any])
UPLOAD_MARK = "_fairlens_accepts_upload"
OWN_BODY_MARK = "_fairlens_reads_own_body"
TEXT_MARK = "_fairlens_takes_text"
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}\Z")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}
ONE_YEAR_S = 31_536_000
DRAINED_BYTES = 33_554_432
SILENCE_S = 10
"""seconds between two pieces of a body, or of an answer, before the caller counts as gone"""
DRAIN_SILENCE_S = 2
DRAIN_S = 10
"""seconds that reading what a refused request still sends may take in all"""


class JsonRequest(Request):
    """A request whose JSON, when it cannot be read, says where."""

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        """Raise what the envelope understands; flask hides the reason outside of debugging."""
        raise MalformedInput(f"The body is not JSON: {e}.", expected="a JSON object") from e


def accepts_upload(view: View) -> View:
    """Mark a view that takes multipart/form-data beside JSON."""
    setattr(view, UPLOAD_MARK, True)
    return view


def reads_own_body(view: View) -> View:
    """Mark a view that takes JSON, gzip or not, and reads it by `packed_body`: nobody parses it before."""
    setattr(view, OWN_BODY_MARK, True)
    return view


def takes_text(view: View) -> View:
    """Mark a view that takes text/plain, of a protocol that is not ours, in place of JSON."""
    setattr(view, TEXT_MARK, True)
    return view


def packed_body() -> bytes:
    """This request's JSON as bytes, unpacked where its Content-Encoding is gzip.

    Raises
    ------
    MalformedInput : it is not gzip, or ends early
    UnsupportedMedia : another encoding
    """
    data = request.get_data(cache=False)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "gzip":
        unpacker = zlib.decompressobj(wbits=31)
        try:
            # One byte beyond the limit is enough to know: a small body can unfold to gigabytes.
            data = unpacker.decompress(data, g.body_limit + 1)
        except zlib.error:
            raise MalformedInput("The body is not gzip, as its Content-Encoding says.") from None
        if not unpacker.eof and len(data) <= g.body_limit:
            raise MalformedInput("The body's gzip ends early.", expected="a whole gzip stream")
    elif encoding != "identity":
        raise UnsupportedMedia(
            f"The body came as {encoding[:40]}, gzip or no encoding was expected.",
            field="Content-Encoding",
            got=encoding[:40],
            expected="gzip",
        )
    if len(data) > g.body_limit:
        raise RequestEntityTooLarge
    return data


def start_request() -> None:
    """Take or make the request's id and set the size its body may have."""
    given = request.headers.get("X-Request-ID", "")
    g.started = time.perf_counter()
    telemetry.request_id.set(given if REQUEST_ID.match(given) else secrets.token_hex(16))
    _wait_at_most(SILENCE_S)
    upload = request.mimetype == "multipart/form-data"
    settings = config.current()
    g.body_limit = settings.max_upload_bytes if upload else settings.max_json_bytes
    g.body_limit_setting = "MAX_UPLOAD_BYTES" if upload else "MAX_JSON_BYTES"
    # A stream of unknown length ends silently at its limit: one byte more shows that there was more.
    request.max_content_length = g.body_limit + (request.content_length is None)
    request.max_form_memory_size = settings.max_json_bytes


def check_body() -> None:
    """Refuse a body that is not JSON before any view sees it (uploads only where the view takes them).

    Raises
    ------
    UnsupportedMedia, MalformedInput
    """
    view = current_app.view_functions.get(request.endpoint or "")
    if request.method not in ("POST", "PUT", "PATCH") or view is None:
        return
    uploads = getattr(view, UPLOAD_MARK, False)
    if uploads and request.mimetype == "multipart/form-data":
        return
    empty = not request.content_length and "Transfer-Encoding" not in request.headers
    if empty and (not request.mimetype or request.is_json):
        return  # many clients name a type also where they send nothing; a view that needs a body says so
    text = getattr(view, TEXT_MARK, False)
    if text and request.mimetype == "text/plain":
        return
    if text or not request.is_json:
        expected = "application/json or multipart/form-data" if uploads else "application/json"
        expected = "text/plain" if text else expected
        came = request.mimetype or "no Content-Type"
        raise UnsupportedMedia(
            f"The body came as {came}, {expected} was expected.",
            field="Content-Type",
            got=came,
            expected=expected,
        )
    if getattr(view, OWN_BODY_MARK, False):
        return
    data = request.get_data(cache=True)
    if len(data) > g.body_limit:
        raise RequestEntityTooLarge
    if data == b"":
        raise MalformedInput("The body is empty; a JSON object was expected.", expected="a JSON object")
    body = request.get_json()
    if not isinstance(body, (dict, list)):
        kind = {str: "a text", bool: "a truth value", type(None): "null"}.get(type(body), "a number")
        raise MalformedInput(f"The body is {kind}; a JSON object was expected.", expected="a JSON object")


def finish_request(answer: Response) -> Response:
    """Add the headers and write the log line."""
    if answer.status_code >= 400:
        _drain()
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    if config.current().production:
        answer.headers.setdefault("Strict-Transport-Security", f"max-age={ONE_YEAR_S}; includeSubDomains")
    if answer.mimetype == "application/json":
        answer.headers.setdefault("Cache-Control", "no-store")
    answer.headers["X-Request-ID"] = telemetry.request_id.get() or ""
    caller = g.get("caller")
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    route = request.url_rule.rule if request.url_rule is not None else None
    gauges.note_request(request.method, route, answer.status_code, seconds)
    telemetry.log(
        "REQUEST",
        method=request.method,
        path=_path_told(),
        status=answer.status_code,
        role=caller.role if caller is not None else None,
        milliseconds=round(seconds * 1000, 2),
    )
    return answer


def _path_told() -> str:
    """The path for the log; one that may hold an address, a name or a number of a person by its route."""
    path = request.path[:200]
    return path if not suspicious(path) else str(request.url_rule or "not shown")


def _drain() -> None:
    """Read what a refused request still sends, up to a bound.

    Most clients send all before they read; a connection closed on them loses the answer that says why.
    """
    # Only where the server marks the body's end: elsewhere a read beyond it would wait for ever.
    if not request.environ.get("wsgi.input_terminated"):
        return
    _wait_at_most(DRAIN_SILENCE_S)
    left, end = DRAINED_BYTES, time.monotonic() + DRAIN_S
    with suppress(
        OSError, ValueError, ParseException
    ):  # the client is gone, or its chunks are torn: there is nobody to tell
        while left > 0 and (piece := request.environ["wsgi.input"].read(min(8_192, left))):
            left -= len(piece) if time.monotonic() < end else left
    _wait_at_most(SILENCE_S)


def _wait_at_most(seconds: float) -> None:
    """Give up on a caller who is silent for so long: each would otherwise hold a thread, and there are few, without a token."""
    connection = request.environ.get("gunicorn.socket")  # no other server tells
    if connection is not None:
        connection.settimeout(seconds)


def init_app(app: Flask) -> None:
    """Put the start first; `check_body` is registered by the roof after the check of roles."""
    app.request_class = JsonRequest
    app.before_request(start_request)
    app.after_request(finish_request)
