"""Decisions come in, as rows or as a file, and leave as one count table: no row is kept.

A file is read in pieces, and only the columns that were named; memory is bounded by the piece and the number of groups.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import UNKNOWN, canonical_label, canonical_labels, matching
from fairlens_backend.errors import InvalidInput

MAX_LISTED = 10
MAX_SHOWN = 100  # characters of a label in a message
MAX_REMEMBERED = 50
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Layout:
    """Which column holds what, and which labels are favourable.

    `truth_favourable` None means: the same labels as the decision's.
    """

    decision: str
    protected: tuple[str, ...]
    favourable: tuple[Any, ...]
    truth: str | None = None
    truth_favourable: tuple[Any, ...] | None = None
    score: str | None = None
    id: str | None = None
    missing_values: tuple[Any, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        named = [self.decision, self.truth, self.score, self.id, *self.protected]
        return list(dict.fromkeys(name for name in named if name is not None))


@dataclass
class Intake:
    """Collapses pieces of a data set, one after the other, and remembers what to say about it.

    Parameters
    ----------
    layout : where the columns are
    max_attribute_groups : most different values a protected attribute may have
    """

    layout: Layout
    max_attribute_groups: int
    rows_read: int = 0
    rows_without_decision: int = 0
    _tables: list[CountTable] = field(default_factory=list)
    _labels_seen: dict[str, set[str]] = field(default_factory=dict)
    _favourable_seen: set[str] = field(default_factory=set)
    _ids: list[NDArray[np.uint64]] = field(default_factory=list)

    def add(self, frame: pd.DataFrame) -> None:
        """Count the rows of a piece; its columns are those of the layout, their values as they came.

        Raises
        ------
        InvalidInput : a score that is no number or outside [0, 1], or too many different groups
        """
        at_row = self.rows_read
        self.rows_read += len(frame)
        decision = self._decide(self.layout.decision, frame, self.layout.favourable)
        decided = decision >= 0
        self.rows_without_decision += int((~decided).sum())
        truth = None
        if self.layout.truth is not None:
            truth = self._decide(
                self.layout.truth, frame, self.layout.truth_favourable or self.layout.favourable
            )[decided]
        score = None if self.layout.score is None else self._scores(frame[self.layout.score], at_row)[decided]
        groups = {name: self._groups(name, frame[name])[decided] for name in self.layout.protected}
        if self.layout.id is not None:
            self._ids.append(pd.util.hash_array(frame[self.layout.id].astype(str).to_numpy(dtype=object)))
        self._tables.append(CountTable.from_arrays(groups, decision[decided], truth, score))
        if (
            len(self._tables) > 16
        ):  # tables of many pieces are folded, so that memory does not grow with the file
            self._tables = [CountTable.sum(self._tables)]

    def finish(self) -> CountTable:
        """The table of everything that was added.

        Raises
        ------
        InvalidInput : no row, no row with a decision, or a favourable label that never occurs
        """
        if self.rows_read == 0:
            raise InvalidInput(
                "There is no row; at least one was expected.", field="rows", got=0, expected="at least 1 row"
            )
        if self.rows_without_decision == self.rows_read:
            name = self.layout.decision
            raise InvalidInput(
                f"Column {name!r} is empty in all {self.rows_read} rows; a decision was expected.",
                field="columns.decision",
                got="only missing values",
                expected="a decision in each row",
            )
        self._require_favourable(self.layout.decision, "favourable.decision", self.layout.favourable)
        if self.layout.truth is not None:
            wanted = self.layout.truth_favourable or self.layout.favourable
            self._require_favourable(self.layout.truth, "favourable.truth", wanted)
        return CountTable.sum(self._tables)

    def remarks(self) -> list[str]:
        """What the caller should know about the data beside the figures."""
        said = []
        if self.rows_without_decision:
            said.append(
                f"{self.rows_without_decision} of {self.rows_read} rows have no decision and were not counted."
            )
        seen = self._labels_seen.get(self.layout.decision, set())
        if len(seen) == 1:
            said.append(f"All rows have the same decision, {next(iter(seen))!r}.")
        if self._ids:
            distinct = len(np.unique(np.concatenate(self._ids)))
            if distinct < self.rows_read:
                said.append(
                    f"{self.rows_read - distinct} rows repeat an id of {self.layout.id!r}; they were counted too."
                )
        return said

    def _decide(self, name: str, frame: pd.DataFrame, favourable: Sequence[Any]) -> NDArray[np.int64]:
        """1 favourable, 0 not, -1 missing; shape (n_rows,)."""
        codes, labels = self._coded(frame[name])
        seen = self._labels_seen.setdefault(name, set())
        if len(seen) < MAX_REMEMBERED:
            seen.update(labels[:MAX_REMEMBERED])
        is_favourable = matching(labels, favourable)
        if is_favourable.any():
            self._favourable_seen.add(name)
        return np.append(is_favourable.astype(np.int64), -1)[codes]

    def _groups(self, name: str, values: Any) -> NDArray[np.object_]:
        codes, labels = self._coded(values)
        seen = self._labels_seen.setdefault(name, set())
        seen.update(labels)
        if len(seen) > self.max_attribute_groups:
            limit = self.max_attribute_groups
            raise InvalidInput(
                f"Protected attribute {name!r} has more than {limit} different values; name a column of groups, or put "
                "it into bands first.",
                field="columns.protected",
                got=f"more than {limit} values in {name!r}",
                expected=f"at most {limit} (MAX_ATTRIBUTE_GROUPS)",
            )
        return np.array([*labels, UNKNOWN], dtype=object)[codes]

    def _coded(self, values: "pd.Series[Any]") -> tuple[NDArray[np.intp], list[str]]:
        codes, labels = canonical_labels(values)
        if any("\0" in label for label in labels):
            raise InvalidInput(
                f"Column {values.name!r} has a text with a NUL character, which no database keeps.",
                field="columns",
                got="a NUL character",
                expected="text without NUL",
            )
        missing = matching(labels, self.layout.missing_values)
        if not missing.any():
            return codes, labels
        # The last place is for what was missing already (-1 indexes it).
        translate = np.append(np.where(missing, -1, np.cumsum(~missing) - 1), -1)
        return translate[codes], [label for label, gone in zip(labels, missing, strict=True) if not gone]

    def _scores(self, values: pd.Series, at_row: int) -> NDArray[np.float64]:
        numbers = pd.to_numeric(values.replace("", None), errors="coerce").to_numpy(
            dtype=np.float64, na_value=np.nan
        )
        wrong = np.isnan(numbers) & ~values.isna().to_numpy() & (values != "").to_numpy()
        wrong |= (numbers < 0) | (numbers > 1)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise InvalidInput(
                f"Column {self.layout.score!r} has in row {at_row + place + 1} a value that is not a number from 0 to 1.",
                field=f"rows.{at_row + place}.{self.layout.score}",
                got="not a number from 0 to 1",
                expected="the score of the favourable decision, 0 to 1",
            )
        return numbers

    def _require_favourable(self, name: str, field_name: str, wanted: Iterable[Any]) -> None:
        seen = self._labels_seen.get(name, set())
        # One label only is a group of decisions that are all the same; two or more without the named one is a slip.
        if name in self._favourable_seen or len(seen) < 2:
            return
        there = [label[:MAX_SHOWN] for label in sorted(seen)[:MAX_LISTED]]
        named = [str(canonical_label(label))[:MAX_SHOWN] for label in wanted][:MAX_LISTED]
        raise InvalidInput(
            f"None of the favourable labels {named} occurs in column {name!r}; there are {there}.",
            field=field_name,
            got=named,
            expected=f"at least one of {there}",
        )


def intake_rows(rows: Sequence[Mapping[str, Any]], layout: Layout, max_attribute_groups: int) -> Intake:
    """Count rows that came as JSON objects.

    Raises
    ------
    InvalidInput : a column that no row has, a value that is a list or an object, and what `Intake` raises
    """
    intake = Intake(layout, max_attribute_groups)
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
