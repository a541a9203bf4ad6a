"""Decisions come in, as rows or as a file, and leave as one count table: no row is kept.

A file is read in pieces, and only the columns that were named; memory is bounded by the piece and the number of groups.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairlens_backend.decision_counter import MAX_LISTED, Intake
from fairlens_backend.decision_layout import Layout
from fairlens_backend.errors import InvalidInput

__all__ = ["Intake", "Layout", "intake_rows"]

_SCALARS = (str, int, float, bool, type(None))


def intake_rows(rows: Sequence[Mapping[str, Any]], layout: Layout, max_attribute_groups: int) -> Intake:
    """Count rows that came as JSON objects.

    Raises
    ------
    InvalidInput : a column that no row has, a value that is a list or an object, and what `Intake` raises
    """
    intake = Intake(layout, max_attribute_groups, features_are_texts=True)
    if rows:
        intake.add(pd.DataFrame({name: _column(rows, name) for name in layout.columns}, copy=False))
    return intake


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> "pd.Series[Any]":
    values = [row.get(name) for row in rows]
    if not any(name in row for row in rows):
        there = sorted({key for row in rows[:100] for key in row})[:MAX_LISTED]
        raise InvalidInput(
            f"No row has a column {name!r}; there are {there}.",
            field="columns",
            got=name,
            expected=str(there),
        )
    if not set(map(type, values)) <= set(_SCALARS):
        place = next(i for i, value in enumerate(values) if not isinstance(value, _SCALARS))
        raise InvalidInput(
            f"rows.{place}.{name} is a {type(values[place]).__name__}; a text, a number or a truth value was expected.",
            field=f"rows.{place}.{name}",
            got=type(values[place]).__name__,
            expected="a text, a number, a truth value or null",
        )
    return pd.Series(values, dtype=object)
