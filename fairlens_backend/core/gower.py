"""Gower's distance between rows of mixed features: numbers by their range, categories by equality, gaps left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.labels import canonical_labels

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# 16 rows times some thousand distances stay in the cache of a core
_BLOCK: Final = 16


@dataclass(frozen=True, eq=False)
class GowerSpace:
    """Rows made ready for distances.

    The distance of two rows is the mean, over the features that both have, of abs(difference) / range for a number
    and of 0 (equal) or 1 for a category; truth values, texts and all else are categories. The range is that of these
    rows; a number that is the same in all of them is at distance 0 and counts like any other feature.

    Parameters
    ----------
    numbers : shape (n_numeric, n_rows), scaled to [0, 1], NaN where missing
    codes : shape (n_categorical, n_rows), −1 where missing

    Examples
    --------
    >>> rows = pd.DataFrame({"age": [20, 40, 60], "city": ["Ulm", "Bonn", None]})
    >>> space = GowerSpace.of(rows)
    >>> space.between([0, 0], [1, 2]).tolist()  # (0.5 + 1) / 2, and 1 from the age alone
    [0.75, 1.0]

    Source: Gower, A general coefficient of similarity and some of its properties (Biometrics 1971).
    """

    numbers: FloatArray
    codes: IntArray

    @classmethod
    def of(cls, features: pd.DataFrame) -> "GowerSpace":
        """Scale and code the columns; an infinite number counts as missing."""
        numbers: list[FloatArray] = []
        codes: list[IntArray] = []
        for name in features:
            column = features[name]
            values = as_numbers(column)
            if values is None:
                codes.append(canonical_labels(column)[0].astype(np.int64))
                continue
            known = values[~np.isnan(values)]
            # halved first: the range of two finite numbers can be infinite
            low, high = (known.min() / 2, known.max() / 2) if len(known) else (0.0, 0.0)
            numbers.append((values / 2 - low) / ((high - low) or 1.0))
        rows = len(features)
        return cls(
            np.array(numbers).reshape(len(numbers), rows),
            np.array(codes, dtype=np.int64).reshape(len(codes), rows),
        )

    @property
    def size(self) -> int:
        """How many features there are."""
        return len(self.numbers) + len(self.codes)

    def between(self, i: Any, j: Any) -> FloatArray:
        """Distances of pairs of rows, shape of `i` and `j`; NaN for two rows that have no feature in common."""
        apart = np.abs(self.numbers[:, i] - self.numbers[:, j])
        a, b = self.codes[:, i], self.codes[:, j]
        both = (a >= 0) & (b >= 0)
        total = np.nansum(apart, axis=0) + (both & (a != b)).sum(axis=0)
        shared = (~np.isnan(apart)).sum(axis=0) + both.sum(axis=0)
        result = np.full(total.shape, np.nan)
        np.divide(total, shared, out=result, where=shared > 0)
        return result

    def to_all(self) -> Iterator[tuple[slice, FloatArray]]:
        """Distances of every row to all rows, in blocks of rows; infinite where no feature is in common.

        Yields
        ------
        the rows of the block, and their distances, shape (n_block, n_rows); the array is used again for the next block
        """
        rows = self.numbers.shape[1]
        numbers = [(column, bool(np.isnan(column).any())) for column in self.numbers]
        codes = [(column.astype(np.int32), bool((column < 0).any())) for column in self.codes]
        complete = not any(gaps for _, gaps in [*numbers, *codes])
        total, apart = np.empty((_BLOCK, rows)), np.empty((_BLOCK, rows))
        differing = np.empty((_BLOCK, rows), dtype=np.uint16)
        for start in range(0, rows, _BLOCK):
            block = slice(start, min(start + _BLOCK, rows))
            size = block.stop - block.start
            d, one, unequal = total[:size], apart[:size], differing[:size]
            d[:] = 0.0
            unequal[:] = 0
            lacking = np.zeros((size, rows), dtype=np.uint16) if not complete else None
            for column, gaps in numbers:
                np.subtract(column[block, None], column, out=one)
                np.abs(one, out=one)
                if gaps and lacking is not None:
                    gap = np.isnan(one)
                    lacking += gap
                    one[gap] = 0.0
                d += one
            for labels, gaps in codes:
                unlike = labels[block, None] != labels
                if gaps and lacking is not None:
                    gap = (labels[block, None] < 0) | (labels < 0)
                    lacking += gap
                    unlike &= ~gap
                unequal += unlike
            d += unequal
            if lacking is None:
                d /= self.size
            else:
                shared = self.size - lacking.astype(np.float64)
                np.divide(d, shared, out=d, where=shared > 0)
                d[shared == 0] = np.inf
            yield block, d


def as_numbers(column: pd.Series) -> FloatArray | None:
    """The values of a numeric column, shape (n_rows,), NaN where missing or infinite; None for a category.

    Numbers of any kind and points in time are numeric; truth values are not.
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        return None
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        ticks = column.to_numpy().astype("int64").astype(np.float64)
        values = np.where(column.isna(), np.nan, ticks)
    elif pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        return None
    return np.where(np.isfinite(values), values, np.nan)
