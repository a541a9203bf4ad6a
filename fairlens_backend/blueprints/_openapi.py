"""What the doors say about themselves in the OpenAPI document."""

from typing import Any

from fairlens_backend.schemas._base import Envelope

SECURED: list[dict[str, list[Any]]] = [{"bearer": []}]
SECURED_OR_KEY: list[dict[str, list[Any]]] = [{"bearer": []}, {"api_key": []}]
SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "access_token of POST /api/login",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "a key of POST /api/admin/api_keys",
    },
}
ALWAYS = (400, 401, 403, 413, 415, 422, 429, 503)


def answers(*more: int, success: int = 200) -> dict[int | str, Any]:
    """Every answer is an envelope; beside the usual codes a view names its own, and its code of success."""
    return dict.fromkeys((success, *ALWAYS, *more), Envelope)
