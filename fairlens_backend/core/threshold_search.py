"""What if each group had its own threshold? What a criterion would take, and cost, from the score bins alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from fairlens_backend.core.columns import TRUTH_UNKNOWN, IntArray
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.reference_group import reference_group
from fairlens_backend.core.threshold_effects import ABOVE_ALL, Result, effects
from fairlens_backend.core.threshold_pairs import BINS, EQUAL_RATES, Criterion, decided
from fairlens_backend.errors import InvalidInput

__all__ = ["ABOVE_ALL", "MAX_PAIRS", "search_thresholds"]

MAX_PAIRS: Final = 100
"""Most pairs of one call, those of the largest groups: a pair takes up to 60 ms."""

MAX_RESAMPLES: Final = 10_000
MAX_RECHOSEN: Final = 1_000
_ASSUMPTION: Final = (
    "Scores are known to a bin of 0.1. A threshold inside a bin stands for selecting that share of the bin at random,"
    " for which every rate here is exact; as a cut at that score it assumes that, within the bin, scores are spread"
    " evenly and outcomes do not hang on them."
)


@dataclass(frozen=True)
class _Asked:
    attribute: str
    criterion: Criterion
    tolerance: float
    between_edges: bool
    min_group_size: int
    seed: int
    n_resamples: int
    n_rechosen: int


def search_thresholds(
    table: CountTable,
    *,
    attribute: str,
    criterion: Criterion,
    reference: object = None,
    all_pairs: bool = False,
    tolerance: float = 0.01,
    between_edges: bool = True,
    min_group_size: int = 30,
    seed: int = 0,
    n_resamples: int = 1_000,
    n_rechosen: int = 100,
) -> Result:
    """For each pair of groups the thresholds on their scores that would meet a criterion, and what they would cost.

    A row would be selected when its score is at least its group's threshold. Of all pairs of thresholds that leave a
    gap of at most the tolerance the most accurate is taken; of equally accurate ones that with the smallest gap, then
    the one nearest to today's selection rates, then the lower thresholds. Each pair of groups is looked at by itself.
    Only rows with a score take part, before and after; accuracy is that of those whose truth is known.

    Parameters
    ----------
    table : counts, none negative; only its score bins, decisions and truths are used
    criterion : "demographic_parity" (equal selection rates), "equal_opportunity" (equal true positive rates) or
        "equalized_odds" (both true and false positive rates)
    reference : the group the others are compared with; None for the one with the highest selection rate
    all_pairs : every pair of groups, not just those with the reference
    tolerance : the greatest gap that meets the criterion, in [0, 1]
    between_edges : True: a bin may be selected in part, at random, so that gaps between two bins' rates can be met;
        False: thresholds at 0, 0.1, …, 1 and above 1 only, which are known exactly
    min_group_size : a group with fewer rows that the criterion uses is not judged
    seed, n_resamples : of the multinomial bootstrap of the two groups' rows; 0 for no intervals
    n_rechosen : in how many of the resamples thresholds are chosen anew (see below)

    Returns
    -------
    dict of plain values: attribute, criterion, tolerance, resolution 0.1, between_edges, assumption (a sentence, None
    at edges), reference_group {group, chosen}, status, reason, pairs, pairs_left_out (beyond `MAX_PAIRS`). A pair has
        groups_compared [group, reference]; n {group: {rows, scored, labelled}} (labelled ones have a score too);
        status `ok`, `no_scores`, `no_ground_truth`, `insufficient_data` or `undefined`, with a reason; criterion;
        thresholds {group: t}, t in [0, 1], or the number after 1 for nobody; in_part {group: None or {bin: [low,
        high], share}}: the bin that is selected in part; met_already; trivial (everybody or nobody of each group);
        rates {group: {before, after: {selection_rate, true_positive_rate, false_positive_rate, accuracy}}};
        gap {before, after, on_new_rows, confidence_interval}; accuracy {before, after, best (of any thresholds)};
        accuracy_change {value, confidence_interval}; sentence.
    The thresholds are held fixed while rows are resampled: the intervals say how well the effect of these very
    thresholds is known, not how much they would vary. The rows that thresholds were chosen on flatter them: choosing
    anew in `n_rechosen` of the resamples, and looking at the rows themselves, shows by how much, and gap.on_new_rows
    is the gap to expect of others. (1,000 rows, tolerance 0.01: 0.024 stated, 0.025 found. Accuracy is flattered by a
    third of its standard error there, by a seventh at 2,000 rows, and is left as it is.)

    Demographic parity without any truth is searched all the same (`no_ground_truth`, accuracy None): the pair that
    selects a number nearest to today's. The other criteria then have no thresholds.

    fairlearn's ThresholdOptimizer mixes any two thresholds of a group by a coin, we only neighbouring edges, so that
    each group has one threshold. Where better scores mean better odds both find the same; for equalized odds its coin
    can reach points below both curves, and the same rates at a higher accuracy.

    Raises
    ------
    InvalidInput
        The attribute, the reference or the criterion does not exist, a number is out of range, counts are negative.

    Examples
    --------
    >>> table = CountTable.from_arrays(
    ...     {"sex": ["F"] * 100 + ["M"] * 100},
    ...     decision=[0] * 60 + [1] * 40 + [0] * 20 + [1] * 80,
    ...     score=[0.25] * 50 + [0.45] * 10 + [0.65] * 40 + [0.35] * 20 + [0.65] * 80,
    ...     truth=[0] * 50 + [1] * 50 + [0] * 20 + [1] * 80,
    ... )
    >>> found = search_thresholds(table, attribute="sex", criterion="equal_opportunity", between_edges=False)
    >>> found["pairs"][0]["thresholds"], found["pairs"][0]["accuracy"]["after"]
    ({'F': 0.3, 'M': 0.4}, 1.0)

    Source: Hardt, Price, Srebro, Equality of opportunity in supervised learning (2016), section 4; bins as in
    STATISTICS section 1.
    """
    asked = _Asked(
        attribute, criterion, tolerance, between_edges, min_group_size, seed, n_resamples, n_rechosen
    )
    _check(table, asked)
    groups = table.marginal([attribute])
    chosen = reference_group(groups, reference, min_group_size)
    sizes = {group: int(n.sum()) for (group,), n in zip(groups.groups, groups.n, strict=True)}
    known = sorted((group for group in sizes if group != UNKNOWN), key=lambda group: (-sizes[group], group))
    others = [group for group in known if chosen and group != chosen.group]
    pairs = [(group, chosen.group) for group in others] if chosen else []
    if all_pairs:
        # the smaller group first, so that the larger one is in the place of the reference
        pairs += [(b, a) for a, b in combinations(others, 2)]
    enough = len(known) >= 2
    return {
        "attribute": attribute,
        "criterion": criterion,
        "tolerance": tolerance,
        "resolution": 1 / BINS,
        "between_edges": between_edges,
        "assumption": _ASSUMPTION if between_edges else None,
        "reference_group": {"group": chosen.group, "chosen": chosen.chosen} if chosen else None,
        "status": "ok" if enough else "insufficient_data",
        "reason": None
        if enough
        else f"{attribute} has fewer than two known groups: there is nothing to compare.",
        "pairs": [_pair(groups, pair, asked) for pair in pairs[:MAX_PAIRS]],
        "pairs_left_out": max(0, len(pairs) - MAX_PAIRS),
    }


def _check(table: CountTable, asked: _Asked) -> None:
    expected = {
        "criterion": (asked.criterion in EQUAL_RATES, f"one of {', '.join(EQUAL_RATES)}"),
        "tolerance": (0 <= asked.tolerance <= 1, "a number from 0 to 1"),
        "min_group_size": (asked.min_group_size >= 1, "a whole number of at least 1"),
        "n_resamples": (0 <= asked.n_resamples <= MAX_RESAMPLES, f"a number from 0 to {MAX_RESAMPLES}"),
        "n_rechosen": (0 <= asked.n_rechosen <= MAX_RECHOSEN, f"a number from 0 to {MAX_RECHOSEN}"),
    }
    for name, (good, wanted) in expected.items():
        if not good:
            got = getattr(asked, name)
            raise InvalidInput(
                f"{name} is {got!r}; expected was {wanted}", field=name, got=str(got), expected=wanted
            )
    if table.negative:
        raise InvalidInput(
            "the table has negative counts: it is a difference of tables, not a window of rows",
            field="counts",
            got="negative counts",
            expected="counts of at least 0",
        )


def _pair(table: CountTable, pair: tuple[str, str], asked: _Asked) -> Result:
    cells = [table.n[table.groups.index((group,))] for group in pair]
    scored = [n[:, :, :BINS] for n in cells]
    n = {
        group: {"rows": int(rows.sum()), "scored": int(known.sum()), "labelled": int(known[:, :2].sum())}
        for group, rows, known in zip(pair, cells, scored, strict=True)
    }
    status, reason = _obstacle(n, scored, asked)
    result: Result = {
        "groups_compared": list(pair),
        "criterion": asked.criterion,
        "n": n,
        "status": status,
        "reason": reason,
    }
    if status == "no_ground_truth" and asked.criterion == "demographic_parity":
        scored = [_truth_unknown(cells) for cells in scored]
    elif status != "ok":
        return {**result, **_NOTHING}
    return {
        **result,
        **effects(
            scored,
            [(group, f"{asked.attribute}={group}") for group in pair],
            asked.criterion,
            asked.tolerance,
            asked.between_edges,
            np.random.Generator(np.random.PCG64(asked.seed)),
            asked.n_resamples,
            asked.n_rechosen,
        ),
    }


def _truth_unknown(cells: IntArray) -> IntArray:
    """The same rows as if no truth were known: a handful of labels tells no accuracy."""
    unknown = np.zeros_like(cells)
    unknown[:, TRUTH_UNKNOWN] = cells.sum(axis=1)
    return unknown


_NOTHING: Final[Mapping[str, Any]] = dict.fromkeys(
    (
        "thresholds",
        "in_part",
        "met_already",
        "trivial",
        "rates",
        "gap",
        "accuracy",
        "accuracy_change",
        "sentence",
    )
)


def _obstacle(
    n: Mapping[str, Mapping[str, int]], scored: list[IntArray], asked: _Asked
) -> tuple[str, str | None]:
    """Status and reason of a pair."""
    needs_truth = asked.criterion != "demographic_parity"
    for group, sizes in n.items():
        if not sizes["scored"]:
            return "no_scores", f"No row of {asked.attribute}={group} has a score."
    for group, sizes in n.items():
        if sizes["scored"] < asked.min_group_size:
            found = f"{sizes['scored']} rows with a score, {asked.min_group_size} needed"
            return "insufficient_data", f"{asked.attribute}={group} has {found}."
    for group, sizes in n.items():
        if sizes["labelled"] < asked.min_group_size:
            known = f"{sizes['labelled']} scored rows with a known truth, {asked.min_group_size} needed"
            status = "insufficient_data" if needs_truth and sizes["labelled"] else "no_ground_truth"
            what = "no error rate" if needs_truth else "no accuracy"
            return status, f"{asked.attribute}={group} has {known}, so {what} is known."
    for group, cells in zip(n, scored, strict=True):
        of = decided(cells)
        for name in EQUAL_RATES[asked.criterion]:
            if np.isnan(of.rate(name)):
                return (
                    "undefined",
                    f"{asked.attribute}={group} has no {name.replace('_', ' ')}: no such rows.",
                )
    return "ok", None
