"""What an audit of a DataFrame or a file gives back: the figures, in several forms, and what follows from them."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fairlens_backend.audit_rendering import as_html, as_rows, as_text, not_judged
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.decomposition import decompose_change
from fairlens_backend.core.drift.strata import MAX_RESAMPLES, Rate
from fairlens_backend.core.label_free import estimate_without_labels
from fairlens_backend.core.threshold_pairs import Criterion
from fairlens_backend.core.threshold_search import search_thresholds
from fairlens_backend.errors import InvalidInput

__all__ = ["AuditResult"]

SENTENCES_SHOWN = 6


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult:
    """A finished audit.

    In a notebook it shows itself as a table; `print(result)` writes the same as text.

    Parameters
    ----------
    result : the BiasAuditResult
    table : the count table that it was computed from; None for an outcome that is a number
    """

    result: Mapping[str, Any]
    table: CountTable | None = field(default=None)

    @property
    def severity(self) -> str:
        """CRITICAL, HIGH, MEDIUM, LOW, PASS, or UNKNOWN where nothing can be judged."""
        return str(self.result["overall_severity"])

    @property
    def not_judged(self) -> list[str]:
        """The protected attributes whose groups could not be compared; the severity says nothing of them."""
        return not_judged(self.result)

    @property
    def sentences(self) -> list[str]:
        """Each finding in words, the worst first."""
        return list(self.result["sentences"])

    @property
    def metrics(self) -> dict[str, Any]:
        """Each metric of the attribute that is worst by it."""
        return copy.deepcopy(dict(self.result["metrics"]))

    @property
    def attributes(self) -> dict[str, Any]:
        """Every metric of every attribute."""
        return copy.deepcopy(dict(self.result["attributes"]))

    @property
    def proxies(self) -> dict[str, Any]:
        """For each attribute known by proxy only its weighted estimates and sharp bounds, never merged with the rest."""
        return copy.deepcopy(dict(self.result.get("proxies", {})))

    def to_dict(self) -> dict[str, Any]:
        """The BiasAuditResult as plain values that JSON can carry."""
        return copy.deepcopy(dict(self.result))

    def to_frame(self) -> pd.DataFrame:
        """One row for each attribute and metric: value, interval, threshold, severity, groups, p-values, sentence."""
        return pd.DataFrame(as_rows(self.result))

    def threshold_search(
        self, attribute: str, criterion: Criterion = "demographic_parity", **options: Any
    ) -> dict[str, Any]:
        """What thresholds on the score, a group each, would meet a criterion, and what they would cost.

        Parameters
        ----------
        criterion : "demographic_parity", "equal_opportunity" or "equalized_odds"
        options : of `core.threshold_search.search_thresholds`: reference, all_pairs, tolerance, between_edges, …

        Raises
        ------
        InvalidInput
            There is no such attribute or group, or the audit was of numbers and has no counts.
        """
        if self.table is None:
            raise InvalidInput(
                "a numeric outcome has no decisions that a threshold could change", field="criterion"
            )
        chosen = self.result["reference_groups"].get(attribute, {}).get("group")
        given = {
            "reference": chosen,
            "seed": self.result["resampling"]["seed"],
            "n_resamples": self.result["resampling"]["n_resamples"],
            "min_group_size": self.result["settings"]["min_group_size"],
            **options,
        }
        return search_thresholds(self.table, attribute=attribute, criterion=criterion, **given)

    def estimate_without_labels(self, attribute: str) -> dict[str, Any]:
        """Error rates of each group from calibrated scores alone, marked as estimates, beside those of labelled rows.

        Raises
        ------
        InvalidInput
            There is no such attribute, or the audit was of numbers and has no counts.
        """
        if self.table is None:
            raise InvalidInput("a numeric outcome has no decisions to estimate rates of", field="attribute")
        return estimate_without_labels(
            self.table,
            attribute,
            reference=self.result["reference_groups"].get(attribute, {}).get("group"),
            min_group_size=self.result["settings"]["min_group_size"],
        )

    def decompose_change(
        self,
        earlier: "AuditResult",
        attribute: str,
        stratum: str | Sequence[str],
        group: str | None = None,
        rate: Rate = "selection_rate",
    ) -> dict[str, Any]:
        """How much of a gap's change since an earlier audit comes from who applied (mix) and how they were treated (rates).

        Parameters
        ----------
        earlier : the audit to compare with; both have counted the attribute and the stratum
        attribute : whose gap
        stratum : one or several of the attributes, or of the `strata` of `audit`
        group : compared with the reference group of this audit; None for the one that is furthest from it here
        rate : "selection_rate", "true_positive_rate", "false_positive_rate" or "precision"

        Returns
        -------
        dict as of `core.drift.decomposition.decompose_change`; gap["mix"] and gap["rates"] add up to gap["change"]

        Raises
        ------
        InvalidInput
            An audit has no counts of the attribute or the stratum, or no two groups to compare.
        """
        if self.table is None or earlier.table is None:
            raise InvalidInput(
                "a numeric outcome has no counts that a change could be split by", field="earlier"
            )
        reference = self.result["reference_groups"].get(attribute, {}).get("group")
        measured = self.result["attributes"].get(attribute, {}).get("statistical_parity_difference")
        chosen = group or next(iter(measured["groups_compared"] if measured else ()), None)
        if reference is None or chosen is None:
            there = ", ".join(self.result["protected_attributes"])
            raise InvalidInput(
                f"there are no two groups of {attribute!r} to compare; the attributes are {there}",
                field="attribute", got=attribute, expected=f"one of {there}",
            )  # fmt: skip
        return decompose_change(
            earlier.table,
            self.table,
            attribute=attribute,
            stratum=stratum,
            groups=(chosen, reference),
            rate=rate,
            seed=self.result["resampling"]["seed"],
            n_resamples=min(self.result["resampling"]["n_resamples"], MAX_RESAMPLES),
        )

    def __repr__(self) -> str:
        return as_text(self.result, sentences=SENTENCES_SHOWN)

    def _repr_html_(self) -> str:
        return as_html(self.result)
