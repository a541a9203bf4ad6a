"""The envelope around every JSON answer, errors included, and the one map from the error tree to HTTP."""

import errno
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, request
from gunicorn.http.errors import NoMoreData, ParseException  # type: ignore[import-untyped]
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from fairlens_backend import errors, telemetry
from fairlens_backend.errors import FairLensError, InvalidInput, MalformedInput
from fairlens_backend.schemas.problems import problems_of, sentence_of

STATUS_OF: tuple[tuple[type[FairLensError], int], ...] = (
    (errors.UnsupportedMedia, 415),
    (errors.MalformedInput, 400),
    (errors.InvalidInput, 422),
    (errors.TooLarge, 413),
    (errors.NotAuthenticated, 401),
    (errors.NotAllowed, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.RateLimited, 429),
    (errors.NotDelivered, 502),
    (errors.Unavailable, 503),
    (errors.TamperedArtefact, 409),
)
HTTP_CODES = {
    400: ("malformed_input", "The request could not be read."),
    404: ("not_found", "There is nothing at this address. GET / lists the endpoints."),
    405: ("method_not_allowed", "This address does not take this method."),
    413: ("too_large", "The body is larger than this server takes."),
    415: ("unsupported_media", "This type of body is not taken here."),
}
MAX_ECHO = 80
MAX_PROBLEMS = 20


def success(data: Any, message: str, status: int = 200) -> Response:
    """Wrap an answer; `message` is a sentence for a person."""
    return _envelope("success", data, message, None, status)


def counted(n: int, noun: str) -> str:
    """A number with its noun: `counted(1, "record")` is "1 record"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def failure(error: FairLensError) -> Response:
    """Wrap an error of the tree with the HTTP code that says the truth."""
    status = next((code for kind, code in STATUS_OF if isinstance(error, kind)), 500)
    answer = _envelope("error", None, error.message, {"code": error.code, "details": error.details}, status)
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        answer.headers["Retry-After"] = str(retry_after_s)
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="fairlens"'
    return answer


def init_app(app: Flask) -> None:
    """Every error of every view leaves as an envelope."""
    app.register_error_handler(FairLensError, failure)
    app.register_error_handler(HTTPException, _http_failure)
    app.register_error_handler(OSError, _os_failure)
    # Chunks that are none, and a body that ends early, are errors of the server's own, met where the body is read.
    app.register_error_handler(ParseException, _broken_transfer)
    app.register_error_handler(NoMoreData, _broken_transfer)
    app.register_error_handler(Exception, _unexpected)


def invalid_request(error: ValidationError) -> Response:
    """What pydantic found wrong, as 422 with the path of each field; an absent body as 400."""
    found = error.errors(include_url=False, include_context=False)
    if len(found) == 1 and found[0]["loc"] == () and found[0]["input"] is None:
        return failure(
            MalformedInput("The body is empty; a JSON object was expected.", expected="a JSON object")
        )
    problems = problems_of(error)
    first = problems[0]
    return failure(
        InvalidInput(
            sentence_of(problems),
            field=first["field"],
            got=first["got"],
            expected=first["expected"],
            problems=problems[:MAX_PROBLEMS],  # type: ignore[arg-type]
        )
    )


def _http_failure(error: HTTPException) -> Response:
    if error.response is not None:  # an answer that was made already and only travels as an exception
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    if status == 429:
        return failure(_rate_limited(error))
    code, message = HTTP_CODES.get(status, ("http_error", error.description or "The request failed."))
    details: dict[str, Any] = {}
    if isinstance(error, RequestEntityTooLarge):
        details, message = _too_large()
    answer = _envelope("error", None, message, {"code": code, "details": details}, status)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "location"):
            answer.headers[name] = value
    return answer


def _too_large() -> tuple[dict[str, Any], str]:
    small = request.content_length is not None and request.content_length <= g.body_limit
    if small and request.mimetype == "application/json":
        return {"limit_bytes": g.body_limit, "setting": g.body_limit_setting}, (
            f"The body is unpacked larger than the {g.body_limit} bytes that {g.body_limit_setting} allows."
        )
    if small:
        # The whole is small enough, so the form's parser refused: a text part is kept in memory, as JSON is.
        limit = request.max_form_memory_size
        return {"limit_bytes": limit, "setting": "MAX_JSON_BYTES"}, (
            f"A part of the form that is no file is larger than the {limit} bytes that MAX_JSON_BYTES allows, or the form has "
            f"more than {request.max_form_parts} parts."
        )
    limit, setting = g.body_limit, g.body_limit_setting
    message = f"The body is larger than the {limit} bytes that {setting} allows."
    return {"limit_bytes": limit, "setting": setting}, message


def _rate_limited(error: HTTPException) -> errors.RateLimited:
    limit = getattr(error, "limit", None)
    window = int(limit.limit.get_expiry()) if limit is not None else 60
    allowed = error.description or "the limit"
    return errors.RateLimited(
        f"More calls than allowed ({allowed}). Try again in {window} seconds.",
        retry_after_s=window,
        limit=allowed,
    )


def _os_failure(error: OSError) -> Response:
    """A full disk, met where an upload is put aside, is 503; the rest is a fault."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        telemetry.log_failure("DISK_FULL", error)
        return failure(errors.Unavailable("The server's disk is full; nothing was stored.", retry_after_s=60))
    return _unexpected(error)


def _broken_transfer(error: Exception) -> Response:
    return failure(MalformedInput("The body's transfer broke off.", expected="a whole body"))


def _unexpected(error: Exception) -> Response:
    # The last resort: the traceback goes to the log, the caller gets the request id to name.
    telemetry.log_failure("REQUEST_FAILED", error)
    details = {"request_id": telemetry.request_id.get()}
    message = "The server failed on this request. The log has the cause under this request_id."
    return _envelope("error", None, message, {"code": "internal_error", "details": details}, 500)


def _envelope(
    status: str, data: Any, message: str, error: dict[str, Any] | None, http_status: int
) -> Response:
    answer = jsonify(
        {
            "status": status,
            "data": data,
            "message": message if message.endswith((".", "?", "!")) else f"{message}.",
            "error": error if error is None else {**error, "details": _writable(error["details"])},
            "request_id": telemetry.request_id.get() or "",
            "timestamp": telemetry.timestamp(telemetry.utc_now()),
        }
    )
    answer.status_code = http_status
    return answer


def _writable(details: dict[str, Any]) -> dict[str, Any]:
    """Details that JSON can carry, whatever a caller sent."""
    try:
        current_app.json.dumps(details)
    except (TypeError, ValueError):
        return {name: str(value)[:MAX_ECHO] for name, value in details.items()}
    return details
