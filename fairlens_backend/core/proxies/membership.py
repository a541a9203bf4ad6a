"""Rows with P(g | row), checked and collapsed: how soft counts are made."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.columns import TRUTH_UNKNOWN, checked_numbers, require_length
from fairlens_backend.core.labels import UNKNOWN, canonical_label, canonical_labels
from fairlens_backend.errors import InvalidInput

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

MEMBERSHIP_UNITS: Final = 2**32
CELLS: Final = 6
GRID: Final = 0.1
"""Width of the cells of P(g | row) within which rows are taken as alike."""
# Probabilities that were rounded to a few decimals may sum to a little more than 1.
_ROUNDING: Final = 1e-6


def decision_cells(decision: Any, truth: Any) -> IntArray:
    """Each row's cell by decision and truth, 3·ŷ + y with y = 2 where it is not known, shape (n_rows,)."""
    y_hat = checked_numbers(decision, "decision", "0 or 1", lambda v: (v == 0) | (v == 1)).astype(np.int64)
    y = np.full(len(y_hat), TRUTH_UNKNOWN, dtype=np.int64)
    if truth is not None:
        known = checked_numbers(truth, "truth", "0, 1 or -1", lambda v: np.isnan(v) | np.isin(v, (-1, 0, 1)))
        require_length("truth", len(known), len(y_hat))
        y = np.where(np.isnan(known) | (known < 0), TRUTH_UNKNOWN, known).astype(np.int64)
    return y_hat * 3 + y


def group_labels(groups: Sequence[object]) -> tuple[str, ...]:
    """The labels of the columns, made comparable."""
    labels = [canonical_label(group) for group in groups]
    if UNKNOWN in labels or None in labels:
        raise InvalidInput(
            "what is missing to 1 is the unknown group; it has no column",
            field="groups",
            got=str(list(groups)),
        )
    if not labels or len(set(labels)) != len(labels):
        raise InvalidInput("groups must be distinct, and at least one", field="groups", got=str(list(groups)))
    return tuple(label for label in labels if label is not None)


def checked_membership(membership: Any, rows: int, groups: int) -> FloatArray:
    """P(g | row) as floats, shape (rows, groups); `InvalidInput` names the first row that is not allowed."""
    try:
        p = np.asarray(membership, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput("membership holds values that are not numbers", field="membership") from error
    if p.shape != (rows, groups):
        raise InvalidInput(
            f"membership has shape {p.shape}, ({rows}, {groups}) was expected: a row a decision, a column a group",
            field="membership",
            got=list(p.shape),
            expected=f"({rows}, {groups})",
        )
    good = (p >= 0).all(axis=1) & (p <= 1 + _ROUNDING).all(axis=1) & (p.sum(axis=1) <= 1 + _ROUNDING)
    if not good.all():
        row = int(np.argmin(good))
        raise InvalidInput(
            f"membership of row {row} is {', '.join(f'{value:g}' for value in p[row])}; "
            "each must be in [0, 1] and their sum at most 1",
            field="membership",
            expected="probabilities that sum to at most 1",
        )
    return np.asarray(p / np.maximum(p.sum(axis=1, keepdims=True), 1.0), dtype=np.float64)


def strata_of(p: FloatArray, stratum: Any) -> tuple[IntArray, list[tuple[str, str]]]:
    """Each row's number among the pairs (stratum, cell of the membership) that occur; the cell is the stratum where
    none is declared."""
    cells, names = _grid(p)
    if stratum is None:
        return cells, [(name, name) for name in names]
    declared, labels = _declared(stratum, len(p))
    codes, found = pd.factorize(declared * max(1, len(names)) + cells)
    return codes.astype(np.int64), [(labels[f // len(names)], names[f % len(names)]) for f in found.tolist()]


def _grid(p: FloatArray) -> tuple[IntArray, list[str]]:
    """Strata of rows with nearly the same probabilities, named by the middle of their cell."""
    cells = np.rint(p / GRID).astype(np.int64)
    base = math.ceil(1 / GRID) + 1
    codes = np.zeros(len(p), dtype=np.int64)
    names: list[str] = [""]
    for column in cells.T:
        codes, found = pd.factorize(codes * base + column)
        names = [f"{names[f // base]} {(f % base) * GRID:.1f}".strip() for f in found.tolist()]
    return codes.astype(np.int64), names if len(p) else []


def _declared(stratum: Any, rows: int) -> tuple[IntArray, list[str]]:
    """Strata as the caller names them; rows without a label are the stratum "unknown"."""
    codes, labels = canonical_labels(stratum)
    require_length("stratum", len(codes), rows)
    if (codes < 0).any() and UNKNOWN not in labels:
        labels = [*labels, UNKNOWN]
    missing = labels.index(UNKNOWN) if UNKNOWN in labels else 0
    return np.where(codes < 0, missing, codes).astype(np.int64), labels


def exact_sums(cell: IntArray, values: FloatArray, size: int) -> IntArray:
    """Sums in fixed point by cell; in halves of 16 bits, since bincount adds as floats."""
    units = np.rint(values * MEMBERSHIP_UNITS).astype(np.int64)
    high = np.bincount(cell, weights=(units >> 16).astype(np.float64), minlength=size).astype(np.int64)
    low = np.bincount(cell, weights=(units & 0xFFFF).astype(np.float64), minlength=size).astype(np.int64)
    return (high << 16) + low


def entropy(p: FloatArray) -> FloatArray:
    """In nats, of each row with its unknown remainder as a further group."""
    rest = np.clip(1 - p.sum(axis=1, keepdims=True), 0.0, 1.0)
    every = np.concatenate([p, rest], axis=1)
    logs = np.log(every, out=np.zeros_like(every), where=every > 0)
    return np.asarray(-(every * logs).sum(axis=1), dtype=np.float64)
