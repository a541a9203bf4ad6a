"""The groups of one attribute or crossing, and each count-based metric of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from fairlens_backend.core.counts import CountTable, IntArray
from fairlens_backend.core.drift.cusum import BASELINE, CusumState
from fairlens_backend.core.findings import Namer, sentence
from fairlens_backend.core.inference.bootstrap import Draws, jackknife_acceleration
from fairlens_backend.core.inference.calibration import calibration_interval
from fairlens_backend.core.inference.gaps import Gaps
from fairlens_backend.core.inference.intervals import bca_limits, wilson_interval
from fairlens_backend.core.inference.significance import (
    Tested,
    calibration_test,
    equality_test,
    not_beyond_test,
)
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.measured import Measured
from fairlens_backend.core.metrics import GroupRates, Metric
from fairlens_backend.core.metrics._metric import Computed
from fairlens_backend.core.metrics.calibration_gap import MIN_IN_BIN
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.reference_group import ReferenceGroup

CROSS: Final = " × "
_NO_DRAWS: Final = "No interval was computed: no resamples were asked for."
# Of an attribute with hundreds of groups a result names the largest.
_SIZES_LISTED: Final = 50

Interval = tuple[float, float, str]


@dataclass(frozen=True)
class _Subset:
    """The groups that take part in a metric, with what all metrics of the same groups share."""

    labels: tuple[str, ...]
    rates: GroupRates
    drawn: GroupRates | None
    reference: int
    gaps: Gaps | None


@dataclass
class AuditView:
    """The groups of an attribute, or of a crossing of two.

    Parameters
    ----------
    table : their counts
    reference : the reference group; None where there is none, as in a crossing
    draws : the resampled tables, in the order of the groups of `table`; None without resampling
    history : the CUSUM of the checks before; None without a baseline
    past : how many checks before are known
    """

    table: CountTable
    reference: ReferenceGroup | None
    draws: Draws | None
    policy: Policy
    namer: Namer
    history: CusumState | None = None
    past: int = 0
    _subsets: dict[tuple[int, ...], _Subset] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """The attribute's, or those of the crossing: "sex × race"."""
        return CROSS.join(self.table.attributes)

    @cached_property
    def labels(self) -> list[str | None]:
        """For each group its label; None for one that is not known."""
        return [None if UNKNOWN in group else CROSS.join(group) for group in self.table.groups]

    def sizes(self, metric: Metric) -> dict[str, int]:
        """The rows that a metric uses of each known group."""
        n = self.table.n
        used = n[:, :, :2] if "truth" in metric.needs else n
        used = used[..., :10] if "score" in metric.needs else used
        return {
            label: size
            for label, size in zip(self.labels, used.sum(axis=(1, 2, 3)).tolist(), strict=True)
            if label is not None
        }

    def measure(self, metric: Metric) -> Measured:
        """One metric of these groups, with its interval, test and sentence, or the reason why there is none."""
        sizes = self.sizes(metric)
        one = Measured(metric, self.name, self.policy.threshold(metric.name), "ok", _largest(sizes, sizes))
        obstacle = self._obstacle(metric, sizes)
        if obstacle:
            return replace(one, status=obstacle[0], reason=obstacle[1])
        least = self.policy.min_group_size
        subset = self._subset(
            [i for i, label in enumerate(self.labels) if sizes.get(label or "", -1) >= least]
        )
        found = metric.compute(subset.rates, subset.reference)
        if math.isnan(found.value):
            named = f"{self.name}={self.reference.group}" if self.reference else self.name
            return replace(one, status="undefined", reason=metric.undefined_because.format(reference=named))
        value, worst = _plain(found.value), int(found.worst)
        compared = (subset.labels[worst], subset.labels[int(found.other)]) if worst >= 0 else ()
        interval = self._interval(metric, subset, found)
        tested = self._test(metric, subset, found, one.threshold)
        one = replace(
            one,
            value=value,
            signed=_plain(found.signed),
            compared=compared,
            interval=interval,
            sizes=_largest(sizes, compared or subset.labels),
            parts={name: _plain(part(subset.rates)) for name, part in metric.parts.items()},
            test=tested[1] if tested else None,
            p_value=tested[0] if tested else None,
            reason=None if self.draws else _NO_DRAWS,
        )
        names = tuple(self.namer(self.table.attributes, label) for label in compared)
        return replace(one, sentence=sentence(one, names, subset.rates, worst, int(found.other)))

    def pairs(self, metric: Metric) -> list[dict[str, Any]]:
        """A metric of every two groups, each in turn against every other with a higher index as the reference."""
        sizes = self.sizes(metric)
        if (
            metric.compared == "people"
            or "history" in metric.needs
            or self._obstacle(metric, sizes, pairs=True)
        ):
            return []
        least = self.policy.min_group_size
        subset = self._subset(
            [i for i, label in enumerate(self.labels) if sizes.get(label or "", -1) >= least]
        )
        i, j = np.triu_indices(len(subset.labels), 1)
        both = np.stack([i, j], axis=1)
        scored = subset.rates.scored
        of_pairs = GroupRates(subset.rates.n[both], None if scored is None else scored[both])
        values = metric.compute(of_pairs, 1).value.tolist()
        return [
            {"groups": [subset.labels[a], subset.labels[b]], "value": _plain(value)}
            for a, b, value in zip(i.tolist(), j.tolist(), values, strict=True)
        ]

    def _subset(self, large: Sequence[int]) -> _Subset:
        key = tuple(large)
        if key not in self._subsets:
            labels = tuple(str(self.labels[i]) for i in large)
            wanted = self.reference.group if self.reference else None
            reference = labels.index(wanted) if wanted in labels else -1
            n: IntArray = self.table.decided[list(large)]
            scored = self.table.n[list(large), :, :2, :10].sum(axis=1)
            drawn = gaps = None
            if self.draws is not None:
                drawn_n = _groups_of(self.draws.n, large)
                bins = self.draws.scored
                drawn = GroupRates(drawn_n, None if bins is None else _groups_of(bins, large), self.history)
                gaps = Gaps(n, drawn_n, reference)
            self._subsets[key] = _Subset(labels, GroupRates(n, scored, self.history), drawn, reference, gaps)
        return self._subsets[key]

    def _interval(self, metric: Metric, subset: _Subset, found: Computed) -> Interval | None:
        if subset.drawn is None or subset.gaps is None:
            return None
        value = float(found.value)
        if metric.rates:
            return subset.gaps.interval(metric, value, int(found.worst))
        if "score" in metric.needs:
            scored, drawn = subset.rates.scored, subset.drawn.scored
            assert scored is not None and drawn is not None
            others = len(subset.labels) - 1
            return calibration_interval(scored, drawn, subset.reference, int(found.worst), value, others)
        if "history" in metric.needs and self.history:
            rates = subset.rates.selection
            gap = float(np.nanmax(rates) - np.nanmin(rates))
            low, high, method = subset.gaps.interval(_gap_metric(), gap, int(found.worst))
            least, most = self.history.image(low, high)
            return min(least, value), max(most, value), method
        return _of_people(metric, subset.rates.n, metric.compute(subset.drawn, -1).value, value)

    def _test(self, metric: Metric, subset: _Subset, found: Computed, threshold: float) -> Tested:
        if metric.null == "calibration":
            assert subset.rates.scored is not None
            return calibration_test(subset.rates.scored, MIN_IN_BIN)
        if metric.null:
            return equality_test(np.asarray(subset.rates.n), metric.null)
        if "history" in metric.needs and self.history:
            return self.history.chance(float(found.value)), "cusum_bound"
        return not_beyond_test(metric.compute(subset.drawn, -1).value, threshold) if subset.drawn else None

    def _obstacle(
        self, metric: Metric, sizes: Mapping[str, int], *, pairs: bool = False
    ) -> tuple[str, str] | None:
        """Why a metric is not computed, as (status, reason); None when nothing stands against it."""
        name, least = self.name, self.policy.min_group_size
        if self.table.total == 0:
            return "insufficient_data", "There are no rows."
        rows = "rows"
        if "truth" in metric.needs:
            rows = "rows with a known truth"
            if self.table.labelled == 0:
                return "no_ground_truth", "No row has a known truth, so error rates cannot be compared."
        if "score" in metric.needs:
            rows = "rows with a score and a known truth"
            if not self.table.n[..., :10].any():
                return "no_scores", "No row has a score, so what a score means cannot be compared."
        if "history" in metric.needs and self.history is None:
            return "no_baseline", _no_baseline(name, self.past)
        large = [group for group, size in sizes.items() if size >= least]
        if metric.compared == "people" and large:
            return None
        if len(sizes) < 2:
            found = f"only the group {next(iter(sizes))}" if sizes else "no known group"
            return "insufficient_data", f"{name} has {found}: there is nothing to compare."
        if len(large) < 2:
            short = f"Fewer than two groups of {name} have {least} {rows}: there is nothing to compare."
            return "insufficient_data", short
        if metric.compared == "reference" and not pairs:
            group = self.reference.group if self.reference else "none"
            if group not in large:
                has = f"has {sizes.get(group, 0)} {rows}, {least} needed"
                return "insufficient_data", f"The reference group {group} of {name} {has}."
        return None


def _gap_metric() -> Metric:
    from fairlens_backend.core.metrics import demographic_parity_difference

    return demographic_parity_difference.METRIC


def _of_people(metric: Metric, n: Any, draws: Any, value: float) -> Interval:
    """BCa; where all people have the same benefit, what Wilson's limit of a share of 0 leaves open."""
    pooled = np.asarray(n).sum(axis=0, keepdims=True)
    if np.isfinite(draws).any() and np.ptp(draws[np.isfinite(draws)]) > 0:
        acceleration = jackknife_acceleration(
            pooled, lambda tables: metric.compute(GroupRates(tables), -1).value
        )
        low, high = bca_limits(draws, value, acceleration)
        return min(round(low, 9), value), max(round(high, 9), value), "bca"
    none = wilson_interval(0, int(pooled[..., :2].sum()))
    # a share u with the benefit 0 beside equal benefits: GE(1) = −ln(1 − u)
    return 0.0, max(value, -math.log1p(-none[1]) if none else 0.0), "wilson"


def _no_baseline(name: str, past: int) -> str:
    if past < BASELINE:
        known = (
            f"{past} earlier check{'' if past == 1 else 's'} of {name} {'is' if past == 1 else 'are'} known"
        )
        return f"{known}, {BASELINE} are needed for a baseline."
    return f"The earlier checks of {name} do not differ at all, so there is no scale to measure drift by."


def _groups_of(planes: Any, large: Sequence[int]) -> Any:
    """Some of the groups of an array of shape (n_resamples, n_groups, …), its memory kept in planes of groups."""
    if len(large) == planes.shape[1]:
        return planes
    return np.moveaxis(np.moveaxis(planes, 1, -1)[..., list(large)], -1, 1)


def _largest(sizes: Mapping[str, int], groups: Iterable[str]) -> dict[str, int]:
    """The sizes of the groups, of hundreds of them those of the largest."""
    return {group: sizes[group] for group in sorted(groups, key=lambda group: -sizes[group])[:_SIZES_LISTED]}


def _plain(value: Any) -> float | None:
    """A Python float; None for NaN. Adding 0.0 makes -0.0 plain zero."""
    return None if math.isnan(value) else float(value) + 0.0
