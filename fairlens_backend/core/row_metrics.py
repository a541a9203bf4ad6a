"""The metrics on rows (9, 10, 17), measured on one bounded sample."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fairlens_backend.core.metrics import ROW_METRICS, RowMetric
from fairlens_backend.core.metrics._row_metric import RowSettings
from fairlens_backend.core.row_sample import RowMeasured, RowSample

__all__ = ["ROW_METRICS", "ROW_METRICS_BY_NAME", "RowMetric", "measure_rows"]

ROW_METRICS_BY_NAME: Final[dict[str, RowMetric]] = {metric.name: metric for metric in ROW_METRICS}

# Sums of many floats differ in the last bits between machines; what is kept must not.
_DIGITS: Final = 10


def measure_rows(
    sample: RowSample,
    policy_thresholds: Mapping[str, float] | None = None,
    reference_groups: Mapping[str, str] | None = None,
    model: Any = None,
    seed: int = 0,
    *,
    n_resamples: int = 1_000,
    min_group_size: int = 30,
) -> list[RowMeasured]:
    """Measure every metric on rows.

    Parameters
    ----------
    sample : the rows; each protected attribute in it is measured
    policy_thresholds : limits by metric name that replace the defaults
    reference_groups : reference groups by attribute, as labels; for the others the group with the highest selection
        rate in the sample
    model : takes a DataFrame like `sample.features` and gives a decision of 0 or 1 for each row (or has such a
        `predict`); asked only about attributes that are among its `feature_names_in_`, where it has those, and among
        the features
    seed : the same sample and seed give the same result
    n_resamples : of the bootstrap
    min_group_size : rows of the sample below which a group takes part in no headline value

    Returns
    -------
    One record for metric 9, one for each attribute for metric 10, one for metric 17; figures are rounded to ten digits
    after the point.

    Raises
    ------
    InvalidInput
        The model does not answer with one decision of 0 or 1 a row.

    Examples
    --------
    >>> rows = {"income": [10, 20, 30, 40] * 50}
    >>> sample = RowSample.draw(rows, decision=[0, 0, 1, 1] * 50, protected={"sex": ["F", "M"] * 100})
    >>> [(one.metric_name, one.attribute, one.status) for one in measure_rows(sample)]
    [('individual_fairness_score', None, 'no_scores'),
     ('counterfactual_fairness', 'sex', 'ok'),
     ('consistency', None, 'ok')]
    """
    limits = policy_thresholds or {}
    measured: list[RowMeasured] = []
    for metric in ROW_METRICS:
        settings = RowSettings(
            limits.get(metric.name, metric.threshold),
            reference_groups or {},
            model,
            seed,
            n_resamples,
            min_group_size,
        )
        measured += [_steady(one) for one in metric.compute(sample, settings)]
    return measured


def _steady(one: RowMeasured) -> RowMeasured:
    def short(figure: Any) -> Any:
        # + 0.0: no negative zero
        return round(figure, _DIGITS) + 0.0 if isinstance(figure, float) else figure

    interval = one.interval
    return replace(
        one,
        value=short(one.value),
        signed=short(one.signed),
        interval=interval and (short(interval[0]), short(interval[1]), interval[2]),
        p_value=short(one.p_value),
        parts={name: short(part) for name, part in one.parts.items()},
    )
