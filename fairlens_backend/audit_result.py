"""What an audit of a DataFrame or a file gives back: the figures, in several forms, and what follows from them."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fairlens_backend.audit_rendering import as_html, as_rows, as_text
from fairlens_backend.core.counts import CountTable

__all__ = ["AuditResult"]


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult:
    """A finished audit.

    In a notebook it shows itself as a table; `print(result)` writes the same as text.

    Parameters
    ----------
    result : the BiasAuditResult
    table : the count table that it was computed from
    """

    result: Mapping[str, Any]
    table: CountTable | None = field(default=None)

    @property
    def severity(self) -> str:
        """CRITICAL, HIGH, MEDIUM, LOW, PASS, or UNKNOWN where nothing can be judged."""
        return str(self.result["overall_severity"])

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

    def to_dict(self) -> dict[str, Any]:
        """The BiasAuditResult as plain values that JSON can carry."""
        return copy.deepcopy(dict(self.result))

    def to_frame(self) -> pd.DataFrame:
        """One row for each attribute and metric: value, interval, threshold, severity, groups, p-values, sentence."""
        return pd.DataFrame(as_rows(self.result))

    def __repr__(self) -> str:
        return as_text(self.result, all_rows=False)

    def _repr_html_(self) -> str:
        return as_html(self.result)
