"""The envelope: one map from errors to HTTP, nothing of the inside outside, never NaN."""

import errno
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from flask import Flask
from pydantic import ValidationError

from fairlens_backend import errors, telemetry
from fairlens_backend.blueprints import _envelope
from fairlens_backend.blueprints._json import StrictJson
from fairlens_backend.schemas.checks import EvaluateRequest, RegisterRequest, SubmitRequest
from fairlens_backend.schemas.erasures import ErasureRequest
from fairlens_backend.schemas.problems import problems_of, sentence_of


@pytest.fixture
def inside(app: Flask) -> Iterator[None]:
    """Within a request of the application."""
    with app.test_request_context("/"):
        telemetry.request_id.set("r")
        yield


def tree(kind: type[errors.FairLensError]) -> Iterator[type[errors.FairLensError]]:
    """An error and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


STATUS = {
    "malformed_input": 400, "invalid_input": 422, "unsupported_media": 415, "too_large": 413, "not_authenticated": 401,
    "not_allowed": 403, "not_found": 404, "conflict": 409, "rate_limited": 429, "not_delivered": 502, "unavailable": 503,
    "tampered_artefact": 409,
    "configuration_error": 500, "error": 500,
}  # fmt: skip


def test_every_error_of_the_tree_has_its_status(inside: None) -> None:
    """SPEC's codes by the error's own; a new error must be added here and there."""
    # A room may add a child of its own; it has its parent's status.
    kinds = {kind.code: kind for kind in tree(errors.FairLensError) if kind.__module__ == errors.__name__}
    assert set(kinds) == set(STATUS)
    for code, kind in kinds.items():
        more = {"retry_after_s": 7} if code in ("rate_limited", "unavailable") else {}
        answer = _envelope.failure(kind("Something happened", **more))
        assert answer.status_code == STATUS[code], code
        body = answer.get_json()
        assert (body["error"]["code"], body["message"], body["data"]) == (code, "Something happened.", None)
        assert answer.headers.get("Retry-After") == ("7" if more else None)


@pytest.mark.parametrize(
    "details",
    [{"got": float("nan")}, {"got": float("inf")}, {"got": object()}, {"got": {1, 2}}, {"got": b"\xff"}],
)
def test_details_that_json_cannot_carry(inside: None, details: dict[str, Any]) -> None:
    """Become text: the refusal still arrives."""
    answer = _envelope.failure(errors.NotFound("Nothing", **details))
    assert answer.status_code == 404 and isinstance(answer.get_json()["error"]["details"]["got"], str)


def test_numpy_is_written_as_python_and_nan_never() -> None:
    """Scalars and arrays of numpy; a NaN that got this far is an error of ours."""
    json = StrictJson(Flask("x"))
    assert (
        json.dumps({"a": np.int64(1), "b": np.float32(0.5), "c": np.bool_(True), "d": np.array([1, 2])})
        == '{"a": 1, "b": 0.5, "c": true, "d": [1, 2]}'
    )
    for value in (float("nan"), np.float64("inf"), np.array([np.nan])):
        with pytest.raises(ValueError, match="JSON"):
            json.dumps(value)


def test_an_unexpected_error_tells_nothing_but_its_id(
    app: Flask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """500 in the envelope without the error's text; the log has the traceback under the request's id."""

    def fail(*_given: Any) -> None:
        raise ZeroDivisionError("a secret inside")

    monkeypatch.setattr("fairlens_backend.model_evaluator.demonstrate", fail)
    answer = app.test_client().get("/api/monitor_fairness", headers={"X-Request-ID": "find-me"})
    assert answer.status_code == 500 and "secret" not in answer.get_data(as_text=True)
    assert answer.get_json()["error"] == {"code": "internal_error", "details": {"request_id": "find-me"}}
    written = capsys.readouterr().err
    assert "a secret inside" in written and "find-me" in written


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 503), (errno.EDQUOT, 503), (errno.EACCES, 500), (None, 500)]
)
def test_an_os_error(app: Flask, monkeypatch: pytest.MonkeyPatch, number: int | None, status: int) -> None:
    """A full disk or quota is 503; every other one is a fault of the server."""

    def fail(*_given: Any) -> None:
        raise OSError(number, "no") if number else OSError("no")

    monkeypatch.setattr("fairlens_backend.model_evaluator.demonstrate", fail)
    assert app.test_client().get("/api/monitor_fairness").status_code == status


def said(model: Any, body: Any) -> str:
    """The sentence about a body."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)
    return sentence_of(problems_of(caught.value))


@pytest.mark.parametrize(
    ("model", "body", "sentence"),
    [
        (EvaluateRequest, {"n_samples": 0}, "n_samples is 0, at least 1 was expected."),
        (EvaluateRequest, {"n_samples": "5"}, "n_samples is '5', a whole number was expected."),
        (EvaluateRequest, {"n_samples": 5.5}, "n_samples is 5.5, a whole number was expected."),
        (EvaluateRequest, {"n_samples": True}, "n_samples is true, a whole number was expected."),
        (EvaluateRequest, {"n_samples": None}, "n_samples is null, a whole number was expected."),
        (EvaluateRequest, {"drift_level": 1.5}, "drift_level is 1.5, at most 1 was expected."),
        (EvaluateRequest, {"drift_level": float("nan")}, "drift_level is nan, a finite number was expected."),
        (EvaluateRequest, {"mode": "live"}, "mode is 'live', 'demo' or 'prod' was expected."),
        (EvaluateRequest, {"colour": 1}, "colour is not a known field."),
        (EvaluateRequest, {"colour": 1, "alpha": 2}, "alpha is 2, less than 1 was expected. 1 more field is not as expected."),
        (EvaluateRequest, [], "The body is a list, a JSON object was expected."),
        (EvaluateRequest, {"columns": "x"}, "columns is 'x', a JSON object was expected."),
        (EvaluateRequest, {"columns": {"protected": "x"}}, "columns.protected is 'x', a list was expected."),
        (SubmitRequest, {}, "model_name is missing."),
        (SubmitRequest, {"model_name": "a b"}, "model_name is 'a b', 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit, were expected."),
        (ErasureRequest, {"event_ids": ["a\tb"]}, "event_ids.0 is 'a\\tb', text without control characters was expected."),
        (ErasureRequest, {"value": {"field": "a\0", "text": "x"}}, "value.field is 'a\\x00', text without a NUL character, which no database keeps, was expected."),
        (SubmitRequest, {"model_name": "a", "rows": [1]}, "rows.0 is a number, a JSON object was expected."),
        (SubmitRequest, {"model_name": "a", "favourable": {"decision": []}}, "favourable.decision has 0 items, at least 1 was expected."),
        (SubmitRequest, {"model_name": "a", "favourable": {"decision": [{}]}}, "favourable.decision.0 is an object, a text, a number or a truth value was expected."),
        (SubmitRequest, {"model_name": "a", "favourable": {"decision": ["x" * 1001]}}, "favourable.decision.0 has 1001 characters, at most 1000 were expected."),
        (RegisterRequest, {"model_name": "a", "description": "x" * 2001}, "description has 2001 characters, at most 2000 were expected."),
        (RegisterRequest, {"model_name": "a", "metadata": {"a": "x" * 70_000}}, "metadata has more than 65536 characters as JSON."),
    ],
)  # fmt: skip
def test_sentences_about_fields(model: Any, body: Any, sentence: str) -> None:
    """What came in quotes where it is text, what was expected in words."""
    assert said(model, body) == sentence
