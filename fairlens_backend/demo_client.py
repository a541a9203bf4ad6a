"""The calls that a demonstration makes of a server beside those of the SDK, and the SDK itself."""

import importlib
import json
import sys
from dataclasses import dataclass
from typing import Any, Final
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from fairlens_backend import config
from fairlens_backend.errors import ConfigurationError, InvalidInput, Unavailable

TIMEOUT_S: Final = 60.0
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Api:
    """A server and an access token for it."""

    url: str
    token: str | None = None

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """`data` of the answer.

        Raises
        ------
        InvalidInput : the server refused the call; its message
        Unavailable : no answer
        """
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        asked = request.Request(self.url.rstrip("/") + path, data=data, method=method, headers=headers)
        # A proxy cannot reach this machine's own loopback.
        local = urlsplit(self.url).hostname in _LOCAL
        opener = request.build_opener(*([request.ProxyHandler({})] if local else []))
        try:
            with opener.open(asked, timeout=TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            with error:
                raise InvalidInput(f"{method} {path}: {_message(error)}", got=error.code) from error
        except (URLError, OSError) as error:
            raise Unavailable(f"{self.url} does not answer ({error}).", retry_after_s=0) from error
        except (ValueError, KeyError) as error:
            raise Unavailable(f"{self.url} is no FairLens server.", retry_after_s=0) from error

    def login(self, username: str, password: str) -> "Api":
        """The same server with the token of a person."""
        made = self.call("POST", "/api/login", {"username": username, "password": password})
        return Api(self.url, made["access_token"])


def load_sdk() -> Any:
    """The client class of the SDK: installed, or from the folder `sdk` of the project.

    Raises
    ------
    ConfigurationError : it is neither; how to install it
    """
    try:
        return importlib.import_module("fairlens_sdk").FairLensClient
    except ModuleNotFoundError:
        folder = config.PROJECT_ROOT / "sdk"
        if not (folder / "fairlens_sdk").is_dir():
            raise ConfigurationError(
                "The demonstration reports its decisions through the SDK, which is not installed: pip install fairlens-sdk"
                " (from a checkout: pip install ./sdk)."
            ) from None
        sys.path.append(str(folder))
        return importlib.import_module("fairlens_sdk").FairLensClient


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {error.code}"
