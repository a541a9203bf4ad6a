"""What an assessment is held against: thresholds, the level of significance, the smallest sizes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlens_backend.core.inference.significance import Correction
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.errors import InvalidInput


@dataclass(frozen=True)
class Policy:
    """The settings of one assessment; a model's owner may set each, and each audit keeps its own.

    Parameters
    ----------
    thresholds : limits by metric name that replace the defaults; above 0, and at most 1 for a ratio
    alpha : a difference is significant when its adjusted p-value is at most this, in (0, 1)
    correction : "bh" (Benjamini–Hochberg), "holm" or "none"
    min_group_size : rows below which a group takes part in no headline value
    min_sample_size : rows below which the overall severity is UNKNOWN

    Raises
    ------
    InvalidInput
        A setting is out of its range, or a threshold names no metric.

    Examples
    --------
    >>> Policy(thresholds={"disparate_impact_ratio": 0.9}).threshold("disparate_impact_ratio")
    0.9
    >>> Policy().threshold("disparate_impact_ratio")
    0.8
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.05
    correction: Correction = "bh"
    min_group_size: int = 30
    min_sample_size: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.thresholds, Mapping):
            raise _refusal("thresholds", self.thresholds, "a mapping of metric names to numbers")
        for name, value in self.thresholds.items():
            if name not in METRICS_BY_NAME:
                raise _refusal("thresholds", name, f"one of {', '.join(METRICS_BY_NAME)}")
            if not _number(value) or value <= 0:
                raise _refusal(f"thresholds.{name}", value, "a number above 0")
            if METRICS_BY_NAME[name].breached_when == "below" and value > 1:
                raise _refusal(f"thresholds.{name}", value, "a number above 0 and at most 1")
        if not _number(self.alpha) or not 0 < self.alpha < 1:
            raise _refusal("alpha", self.alpha, "a number between 0 and 1")
        if self.correction not in ("bh", "holm", "none"):
            raise _refusal("correction", self.correction, "bh, holm or none")
        for name in ("min_group_size", "min_sample_size"):
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise _refusal(name, size, "a whole number of at least 1")
        # A copy: the caller's mapping may change after it was checked.
        object.__setattr__(self, "thresholds", {k: float(v) for k, v in self.thresholds.items()})

    def threshold(self, name: str) -> float:
        """The limit of a metric."""
        return self.thresholds.get(name, METRICS_BY_NAME[name].threshold)

    def decides(self, name: str) -> bool:
        """Whether a breach counts for the overall severity: of 1–12, and of another metric with a limit of its owner's.

        Examples
        --------
        >>> Policy().decides("theil_index"), Policy(thresholds={"theil_index": 0.3}).decides("theil_index")
        (False, True)

        Source: STATISTICS section 4.
        """
        metric = METRICS_BY_NAME[name]
        # A stored policy names every limit: the default itself, named, is not one that an owner chose.
        return metric.decides or self.threshold(name) != metric.threshold

    def to_dict(self) -> dict[str, Any]:
        """The settings as kept with an audit, with the limit of every metric."""
        return {
            "thresholds": {name: self.threshold(name) for name in METRICS_BY_NAME},
            "alpha": self.alpha,
            "correction": self.correction,
            "min_group_size": self.min_group_size,
            "min_sample_size": self.min_sample_size,
        }


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refusal(setting: str, got: object, expected: str) -> InvalidInput:
    return InvalidInput(
        f"{setting} is {got!r}; expected was {expected}", field=setting, got=str(got), expected=expected
    )


DEFAULT_POLICY = Policy()
