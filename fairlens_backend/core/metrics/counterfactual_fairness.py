"""Metric 10: what the decisions would be if everyone were of one group, against another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fairlens_backend.core.adjusted_effect import adjusted_effect
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.metrics._row_metric import Z_95, FloatArray, RowMetric, RowSettings, no_value
from fairlens_backend.core.row_sample import RowMeasured, RowSample
from fairlens_backend.errors import InvalidInput

# The share under which a group is not taken as reference, as in STATISTICS section 1.
_MIN_SHARE: Final = 0.02
_DRAWS: Final = 10_000
# Regressions of more rows would take more than the second that all metrics on rows have.
ADJUSTED_ROWS: Final = 6_000
_MANY_CLIPPED: Final = 0.05


def counterfactual_fairness(sample: RowSample, settings: RowSettings) -> list[RowMeasured]:
    """abs(P(ŷ=1 | do(A=r)) − P(ŷ=1 | do(A=g))) for the group g that is furthest from the reference r.

    Form `intervention`, where a model is at hand and the attribute is one of its inputs: the model decides on every
    row of the sample with A set to r and to g, all else kept. A group of several values (an age band) is set to values
    drawn from its own rows. Form `adjusted`, otherwise: `core.adjusted_effect` from the first
    6,000 rows as they are.

    Returns
    -------
    One record for each attribute: value in [0, 1], unitless, 0 without an effect; signed = g − r; the interval is the
        image of that of `signed`, from the influence function (simultaneous over the groups where there are
        more than two); the p-value of "no effect in any group" is its multiplier bootstrap. For the intervention
        the standard error is never below the one that half a row more of each kind of change would give.
        parts: form, assumption, selection rates under either, the bounds of `signed`; for `adjusted` the larger
        share of rows whose propensity for one of the two groups was clipped at 0.01, and the columns used.
        `no_model` without a model and without features to adjust for, `insufficient_data` without two groups
        that reach `min_group_size` in the sample.

    Source: Kusner et al., Counterfactual fairness (NeurIPS 2017), as an average over people; Kennedy,
    Semiparametric doubly robust targeted double machine learning (2022); Agresti and Min (Statistics in Medicine
    2005) for half a row; Chernozhukov, Chetverikov and Kato (Annals of Statistics 2013) for the bootstrap;
    STATISTICS section 2.
    """
    return [_of_attribute(sample, attribute, settings) for attribute in sample.protected]


@dataclass(frozen=True, eq=False)
class _Contrast:
    """Both forms end here: groups − reference, with each row's influence on it."""

    means: FloatArray
    influence: FloatArray
    parts: dict[str, float | str | None]
    # a lower bound of the standard error, shape (n_groups,)
    floor: FloatArray
    # of the adjusted form: the share of rows whose propensity was clipped, the reference's first
    clipped: FloatArray | None = None


def _of_attribute(sample: RowSample, attribute: str, settings: RowSettings) -> RowMeasured:
    model = _decides(settings.model, attribute, sample)
    if model is None:
        sample = sample.first(ADJUSTED_ROWS)
    labels = sample.protected[attribute]
    sizes = {
        str(group): int(size)
        for group, size in zip(*np.unique(labels.astype(str), return_counts=True), strict=True)
        if group != UNKNOWN and size >= settings.min_group_size
    }
    reference = settings.reference_groups.get(attribute) or _chosen_reference(sample, labels, sizes)
    groups = [reference, *sorted(set(sizes) - {reference})]
    missing: tuple[str, str] | None = None
    if reference not in sizes or len(groups) < 2:
        missing = (
            "insufficient_data",
            f"In the sample fewer than two groups of {attribute}, the reference among them, have"
            f" {settings.min_group_size} rows.",
        )
    elif model is None and sample.plain_features.shape[1] == 0:
        missing = (
            "no_model",
            f"There is neither a model that takes {attribute} as an input nor a feature to adjust for.",
        )
    if missing or reference is None:
        return no_value(METRIC.name, attribute, *(missing or ("insufficient_data", "")), sizes=sizes)[0]
    used = [str(group) for group in groups]
    contrast = (
        _intervention(sample, attribute, used, model, settings.seed)
        if model is not None
        else _adjusted(sample, attribute, used, settings.seed)
    )
    return _judged(contrast, attribute, used, sizes, settings)


def _chosen_reference(
    sample: RowSample, labels: npt.NDArray[np.object_], sizes: dict[str, int]
) -> str | None:
    """The group with the highest selection rate in the sample, of those with 2 % of it."""
    large = [group for group, size in sizes.items() if size >= _MIN_SHARE * len(sample)]
    rates = {group: float(sample.decision[labels == group].mean()) for group in large or sizes}
    return min(rates, key=lambda group: (-rates[group], -sizes[group], group), default=None)


def _decides(model: Any, attribute: str, sample: RowSample) -> Any:
    """What decides on rows, where there is a model that takes the attribute."""
    if model is None or attribute not in sample.features:
        return None
    inputs = getattr(model, "feature_names_in_", None)
    if inputs is not None and attribute not in list(inputs):
        return None
    return getattr(model, "predict", model)


def _intervention(
    sample: RowSample, attribute: str, groups: Sequence[str], decide: Any, seed: int
) -> _Contrast:
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = len(sample)
    decisions = []
    for group in groups:
        own = np.flatnonzero(sample.protected[attribute] == group)
        column = sample.features[attribute].iloc[rng.choice(own, rows)]
        changed = sample.features.assign(**{attribute: column.set_axis(sample.features.index)})
        decisions.append(_checked(decide(changed), rows))
    said = np.stack(decisions, axis=1)
    change = said[:, 1:] - said[:, :1]
    gained, lost = (change > 0).sum(axis=0) + 0.5, (change < 0).sum(axis=0) + 0.5
    more = rows + 2
    floor = np.sqrt((gained + lost) - (gained - lost) ** 2 / more) / more
    parts: dict[str, float | str | None] = {
        "form": "intervention",
        "assumption": f"Only {attribute} is set; whatever else would differ with it is kept as it is.",
    }
    return _Contrast(said.mean(axis=0), change - change.mean(axis=0), parts, floor)


def _checked(answer: Any, rows: int) -> FloatArray:
    said = np.asarray(answer)
    if said.shape != (rows,) or said.dtype.kind not in "biuf" or not np.isin(said, (0, 1)).all():
        raise InvalidInput(
            f"the model gave no decision of 0 or 1 for each of {rows} rows",
            field="model",
            got=f"{said.dtype} of shape {said.shape}",
            expected="0 or 1 for each row",
        )
    return said.astype(np.float64)


def _adjusted(sample: RowSample, attribute: str, groups: Sequence[str], seed: int) -> _Contrast:
    labels = sample.protected[attribute]
    rows = np.flatnonzero(np.isin(labels.astype(str), groups))
    features = sample.plain_features
    effect = adjusted_effect(
        features.iloc[rows], labels[rows], sample.decision[rows].astype(np.float64), groups, seed
    )
    parts: dict[str, float | str | None] = {
        "form": "adjusted",
        "assumption": (
            f"This is the effect of {attribute} only if the features ({features.shape[1]}) hold every common cause of"
            f" {attribute} and the decision, none of them is a consequence of {attribute}, and every kind of person"
            " occurs in every group."
        ),
        "columns": float(effect.columns),
        "columns_left_out": float(effect.left_out),
    }
    return _Contrast(effect.means, effect.influence, parts, np.zeros(len(groups) - 1), effect.clipped)


def _judged(
    contrast: _Contrast, attribute: str, groups: Sequence[str], sizes: dict[str, int], settings: RowSettings
) -> RowMeasured:
    means = np.clip(contrast.means, 0.0, 1.0)
    signed = means[1:] - means[0]
    rows = len(contrast.influence)
    error = np.maximum(contrast.influence.std(axis=0, ddof=1) / rows**0.5, contrast.floor)
    error = np.maximum(error, 1 / rows)  # where all rows say the same
    z = np.abs(signed) / error
    critical, p = _largest_of(contrast.influence, float(z.max()), settings.seed)
    worst = int(np.lexsort((signed, -np.abs(signed))).flat[0])
    low, high = signed[worst] + critical * error[worst] * np.array([-1.0, 1.0])
    low, high = max(-1.0, float(low)), min(1.0, float(high))
    value = abs(float(signed[worst]))
    ends = sorted((abs(low), abs(high)))
    interval = (0.0 if low <= 0 <= high else ends[0], ends[1])
    method = "influence function" if len(groups) == 2 else "simultaneous"
    group, reference = groups[worst + 1], groups[0]
    parts = contrast.parts | {
        "rate": float(means[worst + 1]),
        "reference_rate": float(means[0]),
        "standard_error": float(error[worst]),
        "signed_lower": low,
        "signed_upper": high,
    }
    if contrast.clipped is not None:
        parts["clipped_share"] = float(max(contrast.clipped[0], contrast.clipped[worst + 1]))
    return RowMeasured(
        METRIC.name,
        attribute,
        value=value,
        signed=float(signed[worst]),
        interval=(*interval, method),
        p_value=p,
        test="multiplier bootstrap",
        sizes={group: sizes[group], reference: sizes[reference]},
        compared=(group, reference),
        parts=parts,
        sentence=_sentence(
            attribute, group, reference, value, float(signed[worst]), interval, parts, settings
        ),
    )


def _largest_of(influence: FloatArray, z: float, seed: int) -> tuple[float, float]:
    """The 95 % point of the largest abs(z) over the groups when there is no effect, and P(it is at least z).

    The multiplier bootstrap with normal multipliers gives influence values a normal distribution with their own
    covariance; for one group it is known without drawing.
    """
    groups = influence.shape[1]
    if groups == 1:
        return Z_95, min(1.0, 2 * float(ndtr(-z)))
    spread = influence.std(axis=0)
    scaled = influence / np.where(spread > 0, spread, 1.0)
    correlation = scaled.T @ scaled / len(scaled)
    correlation[np.diag_indices(groups)] = 1.0
    values, vectors = np.linalg.eigh(correlation)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    rng = np.random.Generator(np.random.PCG64(seed))
    largest = np.abs(rng.standard_normal((_DRAWS, groups)) @ root).max(axis=1)
    critical = max(Z_95, float(np.quantile(largest, 0.95)))
    return critical, (1 + int((largest >= z).sum())) / (_DRAWS + 1)


def _sentence(
    attribute: str,
    group: str,
    reference: str,
    value: float,
    signed: float,
    interval: tuple[float, float],
    parts: dict[str, float | str | None],
    settings: RowSettings,
) -> str:
    low, high = (f"{100 * end:.1f}" for end in interval)
    points = f"{100 * value:.1f}"
    how = (
        "as often"
        if points == "0.0"
        else f"{points} percentage points {'more' if signed > 0 else 'less'} often"
    )
    before = (
        f"With {attribute} set to {group} and all else kept, the model selects"
        if parts["form"] == "intervention"
        else f"Adjusted for the other features, {attribute}={group} is selected"
    )
    other = f"with {reference}" if parts["form"] == "intervention" else f"{attribute}={reference}"
    than = f"{'as' if points == '0.0' else 'than'} {other}"
    text = (
        f"{before} {how} {than} (95 % interval of the gap {low} to {high});"
        f" the limit is {100 * settings.threshold:.1f}. {parts['assumption']}"
    )
    clipped = parts.get("clipped_share")
    if isinstance(clipped, float) and clipped > _MANY_CLIPPED:
        text += (
            f" Of {100 * clipped:.0f} % of the people hardly anyone alike is in one of the two groups;"
            " for them the figure rests on extrapolation."
        )
    return text


METRIC = RowMetric(
    name="counterfactual_fairness",
    number=10,
    threshold=0.06,
    breached_when="above",
    needs=frozenset({"features"}),
    definition=(
        "The absolute difference between the share of favourable decisions if everyone were of the reference group and"
        " if everyone were of the group furthest from it: by asking the model, or, without one, adjusted for the"
        " features (doubly robust)."
    ),
    decides=True,
    compute=counterfactual_fairness,
    undefined_because="No decision could be set against another.",
)
