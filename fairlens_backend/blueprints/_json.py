"""JSON in and out for the whole application: strict when reading, never NaN when writing."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from flask.json.provider import JSONProvider

from fairlens_backend.telemetry import timestamp


class StrictJson(JSONProvider):
    """msgspec reads (NaN and Infinity are no JSON, and it is quick on 100,000 rows); numpy scalars are written as Python's."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read strict JSON; a ValueError says where it ends to be JSON."""
        try:
            return msgspec.json.decode(s)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except UnicodeDecodeError as error:
            raise ValueError("it is not UTF-8") from error
        except (msgspec.DecodeError, ValueError) as error:
            raise ValueError(str(error)) from error

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Write JSON; a NaN that got this far is a fault of ours and becomes a 500, not bad JSON."""
        return json.dumps(obj, default=plain, allow_nan=False, ensure_ascii=False, **kwargs)


def plain(value: Any) -> Any:
    """Python's own type for what JSON does not know."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
