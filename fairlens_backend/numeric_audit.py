"""An audit of decisions that are numbers (an amount, a rent): the rows gathered piece by piece, then compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairlens_backend.audit_plan import IDENTITY, AuditPlan
from fairlens_backend.audit_result import AuditResult
from fairlens_backend.core.labels import canonical_labels, matching
from fairlens_backend.core.policy import Policy
from fairlens_backend.decision_counter import Intake
from fairlens_backend.errors import InvalidInput

__all__ = ["NumericIntake", "numeric_settings"]

SETTINGS = ("thresholds", "alpha", "correction", "min_group_size", "min_sample_size")


@dataclass
class NumericIntake:
    """Keeps of each row its number, its truth and its groups; numbers do not add up to a table of counts.

    Parameters
    ----------
    plan : what is audited; its policy is not looked at, since it has limits of metrics on labels
    settings : as `numeric_settings` checks them
    """

    plan: AuditPlan
    settings: Mapping[str, Any]
    rows_read: int = 0
    features_are_texts: bool = False
    _numbers: list[NDArray[np.float64]] = field(default_factory=list)
    _truths: list[NDArray[np.float64]] = field(default_factory=list)
    _groups: dict[str, list["pd.Series[Any]"]] = field(default_factory=dict)
    _coder: Intake | None = None

    def add(self, frame: pd.DataFrame) -> None:
        """Keep the rows of a piece.

        Raises
        ------
        InvalidInput : a decision or a truth is no number, or an attribute has too many groups
        """
        layout, at_row = self.plan.layout, self.rows_read
        self._coder = self._coder or self.plan.counter()
        self.rows_read += len(frame)
        self._numbers.append(self._as_numbers(frame[layout.decision], at_row))
        if layout.truth is not None:
            self._truths.append(self._as_numbers(frame[layout.truth], at_row))
        for name, groups in self._coder.groups_of(frame).items():
            self._groups.setdefault(name, []).append(groups)

    def conclude(self) -> AuditResult:
        """Compare the groups.

        Raises
        ------
        InvalidInput : there is no row, or a group or a limit that does not exist
        """
        from fairlens_backend.core.numeric_outcome import assess_numeric

        plan = self.plan
        if not self.rows_read:
            raise InvalidInput(
                "There is no row; at least one was expected.", field="rows", got=0, expected="at least 1 row"
            )
        found = assess_numeric(
            np.concatenate(self._numbers),
            {name: _joined(pieces) for name, pieces in self._groups.items()},
            np.concatenate(self._truths) if self._truths else None,
            plan.reference_groups,
            seed=plan.seed,
            n_resamples=plan.n_resamples,
            **self.settings,
        )
        rest: dict[str, Any] = {
            "resampling": {"seed": plan.seed, "n_resamples": plan.n_resamples},
            "triggered_mitigation": False,
            "mitigation_id": None,
            "remarks": self._remarks(found),
        }
        return AuditResult({**dict.fromkeys(IDENTITY), **found, **rest})

    def _remarks(self, found: Mapping[str, Any]) -> list[str]:
        said = []
        if not found["settings"]["thresholds"]:
            said.append("No limit was set for a difference in numbers, so there is no verdict.")
        if found["missing_scores"]:
            said.append(
                f"{found['missing_scores']} of {self.rows_read} rows have no decision and were not counted."
            )
        return said

    def _as_numbers(self, values: "pd.Series[Any]", at_row: int) -> NDArray[np.float64]:
        """Numbers, NaN for missing ones, shape (n_rows,); texts that are numbers are numbers, as CSV has nothing else."""
        if values.dtype.kind in "iuf" and not self.plan.layout.missing_values:
            numbers: NDArray[np.float64] = values.to_numpy(dtype=np.float64, na_value=np.nan)
            wrong = np.isinf(numbers)
        else:
            codes, labels = canonical_labels(values)
            missing = matching(labels, self.plan.layout.missing_values)
            known = pd.to_numeric(pd.Series(labels, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
            bad = ~np.isfinite(known) & ~missing
            numbers = np.append(np.where(missing, np.nan, known), np.nan)[codes]
            wrong = np.append(bad, False)[codes]
        if wrong.any():
            row = at_row + int(np.argmax(wrong))
            raise InvalidInput(
                f"Column {values.name!r} has in row {row + 1} a value that is not a number; without favourable labels "
                "each must be one.",
                field=f"rows.{row}.{values.name}",
                got="not a number",
                expected="a number, or nothing where it is missing",
            )
        return numbers


def numeric_settings(settings: Policy | Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of an audit of numbers; `InvalidInput` names one that does not exist."""
    given = settings.to_dict() if isinstance(settings, Policy) else dict(settings or {})
    for name in given:
        if name not in SETTINGS:
            raise InvalidInput(
                f"settings names {name!r}; there are {', '.join(SETTINGS)}",
                field=f"settings.{name}", got=str(name), expected=f"one of {list(SETTINGS)}",
            )  # fmt: skip
    if isinstance(settings, Policy):
        del given["thresholds"]  # those of a Policy are of metrics on labels
    return given


def _joined(pieces: list["pd.Series[Any]"]) -> "pd.Series[Any]":
    """The groups of all pieces, each label once."""
    if len(pieces) == 1:
        return pieces[0]
    return pd.Series(pd.api.types.union_categoricals([piece.array for piece in pieces]))
