"""Values as callers write them, made comparable: "0", 0 and 0.0 are one label, "Low" and " Low " are one label."""

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

UNKNOWN = "unknown"
"""The group of rows whose protected attribute is missing."""

# A leading zero makes a code, not a number: ZIP 01234 is not 1234.
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\Z")
_SAME_AS = {"1": "true", "true": "1", "0": "false", "false": "0"}
MAX_LABEL_LENGTH = 200


def canonical_label(value: Any) -> str | None:
    """One text for one value; None for a missing one (None, NaN, NaT, empty text).

    Numbers that are equal get the same text, texts lose surrounding blanks, truth values become "true" and "false".
    Texts longer than 200 characters are cut there: a label is a name, not a document.

    Examples
    --------
    >>> [canonical_label(v) for v in ("0", 0.0, " Low ", True, "1e3", "01234", "", float("nan"))]
    ['0', '0', 'Low', 'true', '1000', '01234', None, None]
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return _number(float(value))
    if value is pd.NaT or value is pd.NA:
        return None
    text = str(value).strip()
    if not text:
        return None
    if text.lower() in ("true", "false"):
        return text.lower()
    if _NUMBER.match(text):
        return (
            str(int(text))
            if text.lstrip("+-").isdigit() and len(text) < MAX_LABEL_LENGTH
            else _number(float(text))
        )
    return text[:MAX_LABEL_LENGTH]


def canonical_labels(values: Any) -> tuple[NDArray[np.intp], list[str]]:
    """Every value's label, as codes into the labels that occur.

    Parameters
    ----------
    values : array-like, shape (n_rows,), of anything

    Returns
    -------
    codes : int array, shape (n_rows,), -1 for a missing value
    labels : list of str, in order of first occurrence

    Examples
    --------
    >>> codes, labels = canonical_labels(["b", "a", 1, "1.0", None])
    >>> codes.tolist(), labels
    ([0, 1, 2, 2, -1], ['b', 'a', '1'])
    """
    series = values if isinstance(values, (pd.Series, np.ndarray)) else pd.Series(list(values), dtype=object)
    raw_codes, uniques = pd.factorize(series, use_na_sentinel=True)
    labels: dict[str, int] = {}
    # The last place is for the missing (-1 indexes it).
    translate = np.full(len(uniques) + 1, -1, dtype=np.intp)
    for i, unique in enumerate(uniques):
        label = canonical_label(unique)
        if label is not None:
            translate[i] = labels.setdefault(label, len(labels))
    return translate[raw_codes], list(labels)


def matching(labels: Iterable[str], wanted: Iterable[Any]) -> NDArray[np.bool_]:
    """Which labels are among the wanted values; a truth value also matches 1 and 0.

    Parameters
    ----------
    labels : canonical labels, n of them
    wanted : values as the caller wrote them

    Returns
    -------
    bool array, shape (n,)

    Examples
    --------
    >>> matching(["Low", "High", "0"], ["Low", 0]).tolist()
    [True, False, True]
    """
    chosen = {label for label in map(canonical_label, wanted) if label is not None}
    chosen |= {_SAME_AS[label] for label in chosen if label in _SAME_AS}
    return np.array([label in chosen for label in labels], dtype=bool)


def _number(value: float) -> str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
