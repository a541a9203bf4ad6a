"""The envelope around every JSON answer, errors included, and the one map from the error tree to HTTP."""

from typing import Any

from flask import Flask, Response, current_app, g, jsonify
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from fairlens_backend import errors, telemetry
from fairlens_backend.errors import FairLensError, InvalidInput, MalformedInput

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
SECRET_FIELDS = ("password", "refresh_token", "token", "secret", "key")
MAX_ECHO = 80


def success(data: Any, message: str, status: int = 200) -> Response:
    """Wrap an answer; `message` is a sentence for a person."""
    return _envelope("success", data, message, None, status)


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
    app.register_error_handler(Exception, _unexpected)


def invalid_request(error: ValidationError) -> Response:
    """What pydantic found wrong, as 422 with the path of each field; an absent body as 400."""
    found = error.errors(include_url=False, include_context=False)
    if len(found) == 1 and found[0]["loc"] == () and found[0]["input"] is None:
        return failure(
            MalformedInput("The body is empty; a JSON object was expected.", expected="a JSON object")
        )
    problems = [_problem(one) for one in found[:20]]
    first = problems[0]
    more = f" {len(found) - 1} more fields are not as expected." if len(found) > 1 else ""
    return failure(
        InvalidInput(
            first["message"] + more,
            field=first["field"],
            got=first["got"],
            expected=first["expected"],
            problems=problems,
        )
    )


def _problem(found: Any) -> dict[str, Any]:
    path = ".".join(str(part) for part in found["loc"]) or "body"
    kind = found["type"]
    got = _echo(path, found["input"])
    expected = found["msg"]
    if kind == "extra_forbidden":
        sentence, expected = f"{path} is not a known field.", "no such field"
    elif kind == "missing":
        sentence, got = f"{path} is missing.", None
        expected = "a value"
    else:
        sentence = f"{path} is {got}: {expected[0].lower()}{expected[1:]}."
    return {"field": path, "got": got, "expected": expected, "message": sentence}


def _echo(path: str, value: Any) -> Any:
    """What came, so far as it may be repeated: never a secret, never the content of a row."""
    name = path.rsplit(".", 1)[-1]
    if (
        name in SECRET_FIELDS
        or path.startswith("rows.")
        or not isinstance(value, (str, int, float, bool, type(None)))
    ):
        kinds = {
            dict: "an object",
            list: "a list",
            str: f"text of {len(value) if isinstance(value, str) else 0} characters",
        }
        return kinds.get(type(value), f"a {type(value).__name__}")
    if isinstance(value, float) and value != value:
        return "NaN"
    return value[:MAX_ECHO] if isinstance(value, str) else value


def _http_failure(error: HTTPException) -> Response:
    if error.response is not None:  # an answer that was made already and only travels as an exception
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    if status == 429:
        return failure(_rate_limited(error))
    code, message = HTTP_CODES.get(status, ("http_error", error.description or "The request failed."))
    details: dict[str, Any] = {}
    if isinstance(error, RequestEntityTooLarge):
        details = {"limit_bytes": g.get("body_limit"), "setting": g.get("body_limit_setting")}
        message = f"The body is larger than the {g.get('body_limit')} bytes that {g.get('body_limit_setting')} allows."
    answer = _envelope("error", None, message, {"code": code, "details": details}, status)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "location"):
            answer.headers[name] = value
    return answer


def _rate_limited(error: HTTPException) -> errors.RateLimited:
    limit = getattr(error, "limit", None)
    window = int(limit.limit.get_expiry()) if limit is not None else 60
    allowed = error.description or "the limit"
    return errors.RateLimited(
        f"More calls than allowed ({allowed}). Try again in {window} seconds.",
        retry_after_s=window,
        limit=allowed,
    )


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
            "message": message,
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
