"""The settings of a client, checked once."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlens_sdk._clock import Clock
from fairlens_sdk._files import default_spool_dir
from fairlens_sdk._transport import Transport
from fairlens_sdk._wire import MAX_BATCH, Identity

USE_CASES = ("hiring", "lending", "healthcare", "criminal_justice", "content_recommendation")
LEAST_BYTES = 65_536
# What the server takes as a name; it would refuse every event of another.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME_IN_WORDS = "1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit"


@dataclass(frozen=True)
class Config:
    """What `FairLensClient` was given.

    Raises
    ------
    ValueError
        A setting that cannot work: its name, what was expected, what was given.
    """

    endpoint: str
    identity: Identity
    api_key: str
    batch_size: int
    flush_interval_s: float
    queue_max_events: int
    memory_max_bytes: int
    spool_dir: Path | None
    spool_max_bytes: int
    timeout_s: float
    durable: bool
    fsync: bool
    clock: Clock
    rng: random.Random
    transport: Transport

    def __post_init__(self) -> None:
        who, spool = self.identity, self.spool_max_bytes
        model_id, use_case = who.model_id, who.use_case
        _require(1 <= self.batch_size <= MAX_BATCH, "batch_size", self.batch_size, f"1 to {MAX_BATCH}")
        for name in ("flush_interval_s", "timeout_s"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        _require(self.queue_max_events >= 1, "queue_max_events", self.queue_max_events, "at least 1")
        enough = self.memory_max_bytes >= LEAST_BYTES
        _require(enough, "memory_max_bytes", self.memory_max_bytes, f"at least {LEAST_BYTES}")
        _require(
            spool == 0 or spool >= LEAST_BYTES, "spool_max_bytes", spool, f"0, or at least {LEAST_BYTES}"
        )
        _require(spool > 0 or not self.durable, "spool_max_bytes", spool, "above 0 when durable")
        for name, text in (("model_id", model_id), ("model_version", who.model_version)):
            _require(NAME.fullmatch(text) is not None, name, text, NAME_IN_WORDS)
        _require(
            use_case is None or use_case in USE_CASES, "use_case", use_case, f"one of {', '.join(USE_CASES)}"
        )
        # The key itself is not repeated in a message.
        _require(self.api_key.isprintable() and self.api_key.isascii(), "api_key", "…", "printable ASCII")

    @property
    def spool_folder(self) -> Path:
        """The folder named, or the one of this server, tenant and model."""
        if self.spool_dir is not None:
            return self.spool_dir
        return default_spool_dir(self.endpoint, self.identity.tenant_id, self.identity.model_id)


def _require(holds: bool, name: str, got: Any, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name}: {expected}, got {got!r}")
