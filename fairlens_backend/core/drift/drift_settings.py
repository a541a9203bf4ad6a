"""What the detectors of drift are set to, and the baseline they compare with."""

import math
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from fairlens_backend.core.drift.adwin import AdwinSettings
from fairlens_backend.core.drift.cusum import BASELINE, H, K
from fairlens_backend.errors import InvalidInput

_COUNTS: Final = {"baseline": 2, "window": 2, "horizon": 1, "predict_checks": 3, "predict_horizon": 1}


@dataclass(frozen=True)
class DriftSettings:
    """The settings of the detectors; counts are of checks at the grain in use.

    Parameters
    ----------
    baseline : first checks that give μ0 and σ0 where no baseline window is declared, at least 2
    k, h : slack and limit of the CUSUM, in σ0
    window, horizon : checks of the moving average and velocity, and checks that the pre-alert looks ahead
    predict_checks, predict_horizon : checks that the line of the prediction goes through, and how far ahead it is for
    adwin : how ADWIN looks; every 4 checks rather than river's 32, since a check is a whole audit
    grains : hours of the periods that an early warning may put checks together to, ascending; not 1, since 20 hours hold
        no whole day, and against the noon of a model that has a daily rhythm every night is a drift
    resolution : an early warning uses the finest of those periods whose standard error goes this often into the
        distance from the baseline to the limit; below it noise alone reaches the limit
    seed, n_resamples : of the prediction

    Raises
    ------
    InvalidInput
        A setting is out of its range.
    """

    baseline: int = BASELINE
    k: float = K
    h: float = H
    window: int = 20
    horizon: int = 20
    predict_checks: int = 20
    predict_horizon: int = 1
    adwin: AdwinSettings = field(default_factory=lambda: AdwinSettings(clock=4))
    grains: tuple[int, ...] = (2, 3, 4, 6, 8, 12, 24)
    resolution: float = 3.0
    seed: int = 0
    n_resamples: int = 1_000

    def __post_init__(self) -> None:
        for name, least in {**_COUNTS, "seed": 0, "n_resamples": 100}.items():
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, int) or size < least:
                raise _refusal(name, size, f"a whole number of at least {least}")
        for name in ("k", "h", "resolution"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value <= 0:
                raise _refusal(name, value, "a number above 0")
        if not self.grains or list(self.grains) != sorted(set(self.grains)):
            raise _refusal("grains", self.grains, "hours, ascending")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {**asdict(self), "grains": list(self.grains)}


DEFAULT_SETTINGS: Final = DriftSettings()


class BaselineWindow(NamedTuple):
    """A declared baseline: the checks with since < time ≤ until."""

    since: datetime
    until: datetime


def _refusal(name: str, got: object, expected: str) -> InvalidInput:
    return InvalidInput(
        f"{name} is {got!r:.80}, {expected} was expected", field=name, got=str(got)[:80], expected=expected
    )
