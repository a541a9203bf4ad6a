"""Multipart requests: the part `request` (JSON) beside the part with the file."""

from typing import Any, TypeVar

from flask import request
from pydantic import ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import abort

from fairlens_backend.blueprints._envelope import invalid_request
from fairlens_backend.blueprints._json import StrictJson
from fairlens_backend.errors import InvalidInput, MalformedInput
from fairlens_backend.schemas._base import Body

Model = TypeVar("Model", bound=Body)


def is_upload() -> bool:
    """Whether this request is multipart/form-data."""
    return request.mimetype == "multipart/form-data"


def read_request(model: type[Model]) -> Model:
    """The JSON of this request, from the body or from the part `request`, checked against its model.

    Raises
    ------
    MalformedInput : the part is missing or not JSON
    """
    body: Any = _request_part() if is_upload() else request.get_json(silent=True)
    if body is None:
        raise MalformedInput("The body is empty; a JSON object was expected.", expected="a JSON object")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        abort(invalid_request(error))


def read_file(part: str, *, required: bool = True) -> FileStorage | None:
    """The uploaded file of a part; it lies in a temporary file, not in memory.

    Raises
    ------
    InvalidInput : the part is missing though required, or a part came that is not known
    """
    unknown = sorted((set(request.files) | set(request.form)) - {part, "request"})
    if unknown:
        raise InvalidInput(
            f"The part {unknown[0]!r} is not known; the parts 'request' and {part!r} were expected.",
            field=unknown[0],
            got=unknown[0],
            expected=f"'request' and {part!r}",
        )
    if part in request.form:
        raise InvalidInput(
            f"The part {part!r} came as text; send it as a file (curl -F '{part}=@name').",
            field=part,
            got="text",
            expected="a file",
        )
    file = request.files.get(part)
    if file is None and required:
        raise InvalidInput(
            f"The part {part!r} with the file is missing.", field=part, got=None, expected="a file"
        )
    return file


def _request_part() -> Any:
    text = request.form.get("request")
    if text is None and "request" in request.files:
        try:
            text = request.files["request"].read().decode()
        except UnicodeDecodeError as error:
            raise MalformedInput("The part 'request' is not UTF-8.", field="request") from error
    if text is None:
        raise MalformedInput(
            "The part 'request' with the JSON is missing.", field="request", expected="a part 'request'"
        )
    try:
        return StrictJson.loads(None, text)  # type: ignore[arg-type]
    except ValueError as error:
        raise MalformedInput(
            f"The part 'request' is not JSON: {error}.", field="request", expected="a JSON object"
        ) from error


def request_body(model: str, part: str) -> dict[str, Any]:
    """The OpenAPI description of a body that comes as JSON or with a file."""
    reference = {"$ref": f"#/components/schemas/{model}"}
    form = {
        "type": "object",
        "required": ["request"],
        "properties": {"request": reference, part: {"type": "string", "format": "binary"}},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference}, "multipart/form-data": {"schema": form}},
        }
    }
