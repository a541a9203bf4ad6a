"""What a row-based metric says of one attribute, on its way into an assessment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Interval = tuple[float, float, str]


@dataclass(frozen=True)
class RowMeasured:
    """One row-based metric (9, 10, 17) of one attribute, or of all rows.

    Parameters
    ----------
    metric_name : its name in results and settings
    attribute : the protected attribute; None for a metric of all people (9, 17)
    value : None with a status other than `ok`
    signed : the signed difference, worst group minus reference; None where the metric has no sign
    interval : (low, high, method) of `value` at 95 %, always around it; None without a value
    p_value : raw, in [0, 1]; None without a value
    test : the name of the test behind `p_value`; None without one
    sizes : rows used, by group; for a metric of all people {"all": rows}
    compared : (worst group, reference group); empty for a metric of all people
    status : `ok`, `undefined`, `insufficient_data`, `no_scores`, `no_model`, …
    reason : a sentence that says why there is no value; None where there is one
    parts : further figures by name
    sentence : about this very value, with its numbers; None without a value
    """

    metric_name: str
    attribute: str | None
    value: float | None = None
    signed: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    test: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    compared: tuple[str, ...] = ()
    status: str = "ok"
    reason: str | None = None
    parts: Mapping[str, float | str | None] = field(default_factory=dict)
    sentence: str | None = None
