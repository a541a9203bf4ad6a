"""Metrics on rows (9, 10, 17) for one audit: the sample, the reference groups of the counts, and a model where there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import canonical_labels, matching
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.reference_group import reference_group
from fairlens_backend.core.row_sample import RowMeasured, RowSample

__all__ = ["Decider", "measure_sample"]

INTERVENED: Final = "counterfactual_fairness"


class Decider:
    """A model as metric 10 asks it: 1 for a favourable decision, 0 for any other.

    Parameters
    ----------
    model : takes a DataFrame of features and gives a decision a row, in its `predict` where it has one
    favourable : the favourable labels among those decisions
    """

    def __init__(self, model: Any, favourable: Sequence[Any]) -> None:
        self._decide = getattr(model, "predict", model)
        self._favourable = tuple(favourable)
        names = getattr(model, "feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = [str(name) for name in names]

    def predict(self, rows: Any) -> NDArray[np.int64]:
        """The decisions on these rows, shape (n_rows,)."""
        names = getattr(self, "feature_names_in_", None)
        codes, labels = canonical_labels(np.asarray(self._decide(rows if names is None else rows[names])))
        return np.append(matching(labels, self._favourable), False)[codes].astype(np.int64)


def measure_sample(
    sample: RowSample | None,
    table: CountTable,
    declared: Mapping[str, str],
    policy: Policy,
    *,
    model: Any = None,
    interventions_only: bool = False,
    seed: int = 0,
    n_resamples: int = 1000,
) -> list[RowMeasured]:
    """What `assess` takes as `extra`; nothing without a sample.

    Parameters
    ----------
    sample : the rows that were drawn, with their features
    table : the counts of all rows, by which undeclared reference groups are chosen, as those of the other metrics are
    declared : the declared reference groups
    model : gives 0 or 1 a row, as `Decider` does
    interventions_only : only metric 10, and only of the attributes that are among the features, so that the model is
        asked again with another group in their place
    """
    if sample is not None and interventions_only:
        taken = {name: labels for name, labels in sample.protected.items() if name in sample.features}
        sample = replace(sample, protected=taken) if taken else None
    if sample is None or not len(sample):
        return []
    from fairlens_backend.core.row_metrics import measure_rows  # only where rows are measured

    references = {}
    for attribute in table.attributes:
        chosen = reference_group(table.marginal([attribute]), declared.get(attribute), policy.min_group_size)
        if chosen is not None:
            references[attribute] = chosen.group
    measured = measure_rows(
        sample,
        policy.thresholds,
        references,
        model,
        seed,
        n_resamples=n_resamples,
        min_group_size=policy.min_group_size,
    )
    return [one for one in measured if not interventions_only or one.metric_name == INTERVENED]
