"""Columns of rows, checked and collapsed into cells: how a count table is made."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.labels import UNKNOWN, canonical_labels
from fairlens_backend.errors import InvalidInput

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

Group = tuple[str, ...]

TRUTH_UNKNOWN: Final = 2
SCORE_UNKNOWN: Final = 10
CELL_SHAPE: Final = (2, 3, 11)
CELLS: Final = 2 * 3 * 11
SCORE_UNITS: Final = 2**32

# Compared with, not multiplied by 10: a score of 0.3 belongs to the bin that starts at the same float 0.3.
_BIN_EDGES: Final[FloatArray] = np.arange(1, 10) / 10


def collapse(
    protected: Mapping[str, Any], decision: Any, truth: Any, score: Any, max_groups: int
) -> tuple[list[Group], IntArray, IntArray]:
    """Check the columns and count their rows, as `CountTable.from_arrays` describes.

    Returns
    -------
    the groups that occur, their counts and their score units, both of shape (n_groups, 2, 3, 11)
    """
    y_hat = checked_numbers(decision, "decision", "0 or 1", lambda v: (v == 0) | (v == 1)).astype(np.int64)
    rows = len(y_hat)
    y = np.full(rows, TRUTH_UNKNOWN, dtype=np.int64)
    if truth is not None:
        known = checked_numbers(truth, "truth", "0, 1 or -1", lambda v: np.isnan(v) | np.isin(v, (-1, 0, 1)))
        require_length("truth", len(known), rows)
        y = np.where(np.isnan(known) | (known < 0), TRUTH_UNKNOWN, known).astype(np.int64)
    s = np.full(rows, np.nan)
    if score is not None:
        s = checked_numbers(score, "score", "in [0, 1]", lambda v: np.isnan(v) | ((v >= 0) & (v <= 1)))
        require_length("score", len(s), rows)
    units = units_of(s)
    codes, groups = group_codes(protected, rows, max_groups)
    cell = codes * CELLS + cell_of(y_hat, y, s)
    size = len(groups) * CELLS
    n = np.bincount(cell, minlength=size).astype(np.int64)
    # bincount adds weights as floats: in halves of 16 bits each sum stays exact up to 2**37 rows.
    high = np.bincount(cell, weights=(units >> 16).astype(np.float64), minlength=size).astype(np.int64)
    low = np.bincount(cell, weights=(units & 0xFFFF).astype(np.float64), minlength=size).astype(np.int64)
    shape = (len(groups), *CELL_SHAPE)
    return groups, n.reshape(shape), ((high << 16) + low).reshape(shape)


def cell_of(decision: IntArray, truth: IntArray, score: FloatArray) -> IntArray:
    """The cell of each row within its group, 0 to 65: decision 0 or 1, truth 0, 1 or 2, score in [0, 1] or NaN."""
    bins = np.where(np.isnan(score), SCORE_UNKNOWN, np.searchsorted(_BIN_EDGES, score, side="right"))
    cells: IntArray = (decision * (TRUTH_UNKNOWN + 1) + truth) * (SCORE_UNKNOWN + 1) + bins
    return cells


def units_of(score: FloatArray) -> IntArray:
    """Scores in units of 2**-32, 0 where there is none."""
    units: IntArray = np.rint(np.where(np.isnan(score), 0.0, score) * SCORE_UNITS).astype(np.int64)
    return units


def checked_numbers(
    values: Any, field: str, expected: str, allowed: Callable[[FloatArray], npt.NDArray[np.bool_]]
) -> FloatArray:
    """A column as floats, shape (n_rows,); `InvalidInput` names the first value that is not allowed."""
    try:
        column = np.asarray(values)
        if column.dtype.kind not in "biuf":
            if column.dtype.kind != "O" or any(isinstance(value, str | bytes) for value in column.flat):
                raise ValueError("text")
            # pandas' gaps (None, NA, NaN) in a column of objects
            column = np.where(pd.isna(column), np.nan, column)
        numbers = column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{field} holds values that are not numbers; each must be {expected}",
            field=field,
            got="values that are not numbers",
            expected=expected,
        ) from error
    if numbers.ndim != 1:
        raise InvalidInput(
            f"{field} has shape {numbers.shape}; one value a row was expected",
            field=field,
            got=list(numbers.shape),
            expected="one dimension",
        )
    good = allowed(numbers)
    if not good.all():
        row = int(np.argmin(good))
        got = float(numbers[row])
        # text, since NaN and infinity never cross a wall
        raise InvalidInput(
            f"{field} is {got:g} in row {row}; each must be {expected}",
            field=field,
            got=f"{got:g}",
            expected=expected,
        )
    return numbers


def require_length(field: str, got: int, expected: int) -> None:
    """Refuse a column that is shorter or longer than the decisions."""
    if got != expected:
        raise InvalidInput(
            f"{field} has {got} rows, decision has {expected}",
            field=field,
            got=got,
            expected=f"{expected} rows",
        )


def require_groups(field: str, got: int, max_groups: int) -> None:
    """Refuse more groups than can be told apart in bounded memory; an identifier is no protected attribute."""
    if got > max_groups:
        raise InvalidInput(
            f"{field} makes {got} groups; at most {max_groups} can be told apart",
            field=field,
            got=got,
            expected=f"at most {max_groups} groups",
        )


def group_codes(protected: Mapping[str, Any], rows: int, max_groups: int) -> tuple[IntArray, list[Group]]:
    """Number the combinations of labels that occur.

    Returns
    -------
    codes, shape (n_rows,), and for each code its group, one label for each attribute.
    """
    codes = np.zeros(rows, dtype=np.int64)
    groups: list[Group] = [()] if rows else []
    for attribute, values in protected.items():
        label_codes, labels = _label_codes(f"protected.{attribute}", values)
        require_length(f"protected.{attribute}", len(label_codes), rows)
        joint, occurring = pd.factorize(codes * len(labels) + label_codes)
        require_groups(f"protected.{attribute}", len(occurring), max_groups)
        codes = joint.astype(np.int64)
        groups = [(*groups[code // len(labels)], labels[code % len(labels)]) for code in occurring.tolist()]
    return codes, groups


def _label_codes(field: str, values: Any) -> tuple[IntArray, list[str]]:
    """Code a column by its labels; what has none is in the group "unknown"."""
    if getattr(values, "ndim", 1) != 1:
        raise InvalidInput(f"{field} must hold one label a row", field=field, expected="one dimension")
    try:
        codes, labels = canonical_labels(values)
    except TypeError as error:
        raise InvalidInput(
            f"{field} holds values that cannot be a label",
            field=field,
            got="lists or mappings",
            expected="text or numbers",
        ) from error
    if UNKNOWN in labels:
        unknown = labels.index(UNKNOWN)
    else:
        unknown = len(labels)
        labels = [*labels, UNKNOWN]
    return np.where(codes < 0, unknown, codes).astype(np.int64), labels
