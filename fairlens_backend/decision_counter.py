"""Rows of decisions as callers write them, counted piece by piece into one table: labels, gaps, slips.

Every source goes through here (JSON rows, DataFrame, CSV, Parquet), so that the same rows make the same table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairlens_backend.core.columns import CELL_SHAPE, CELLS, group_codes
from fairlens_backend.core.counts import MAX_GROUPS, CountTable
from fairlens_backend.core.labels import UNKNOWN, canonical_label, canonical_labels, matching
from fairlens_backend.core.row_sample import RowReservoir, RowSample
from fairlens_backend.decision_layout import Layout
from fairlens_backend.errors import InvalidInput
from fairlens_backend.row_labels import MAX_LISTED, MISSING, RowCount, meanings, require_favourable

MAX_REMEMBERED = 50
MAX_IDS = 5_000_000  # rows whose ids are compared: 8 bytes each, also of a file of a billion rows
# Tables of many pieces are folded, so that memory does not grow with the file.
MAX_TABLES = 16


@dataclass
class Intake:
    """Collapses pieces of a data set, one after the other, and remembers what to say about it.

    Parameters
    ----------
    layout : where the columns are
    max_attribute_groups : most different values a protected attribute may have
    seed : draws the sample of rows that `layout.features` asks for
    features_are_texts : whether the source has no types, as CSV has not
    """

    layout: Layout
    max_attribute_groups: int
    seed: int = 0
    features_are_texts: bool = False
    _tables: list[CountTable] = field(default_factory=list)
    _labels_seen: dict[str, set[str]] = field(default_factory=dict)
    _favourable_seen: set[str] = field(default_factory=set)
    _ids: list[NDArray[np.uint64]] = field(default_factory=list)
    _reservoir: RowReservoir | None = None

    def __post_init__(self) -> None:
        self.rows = RowCount(self.layout)
        """how many were read, and of those how many are not counted"""

    def add(self, frame: pd.DataFrame) -> None:
        """Count the rows of a piece; its columns are those of the layout, their values as they came.

        Raises
        ------
        InvalidInput : a score that is no number or outside [0, 1], or too many different groups
        """
        at_row = self.rows.read
        decision, truth, groups = self._coded_rows(frame)
        decided = self.rows.counted(decision, truth)
        score = None if self.layout.score is None else self._scores(frame[self.layout.score], at_row)
        if self.layout.id is not None and at_row < MAX_IDS:
            self._ids.append(pd.util.hash_array(frame[self.layout.id].astype(str).to_numpy(dtype=object)))
        features = frame[list(self.layout.features)] if self.layout.features else None
        if not decided.all():
            groups = {name: labels[decided] for name, labels in groups.items()}
            decision, truth = decision[decided], None if truth is None else truth[decided]
            score = None if score is None else score[decided]
            features = None if features is None else features[decided]
        if features is not None:
            if self._reservoir is None:
                self._reservoir = RowReservoir(seed=self.seed)
            self._reservoir.add(features, decision, truth, score, groups)
        self._keep(CountTable.from_arrays(groups, decision, truth, score))

    def add_counted(self, values: pd.DataFrame, bins: Any, n: Any, score_units: Any) -> None:
        """Count rows that a database has grouped already, by the same rules as `add`.

        Parameters
        ----------
        values : the decision, truth and protected columns, one row a combination that occurs, as they came
        bins : int array, shape (n_combinations,), score bin 0 to 9, 10 where there is no score
        n, score_units : int64 arrays of the same shape, rows of each combination and the sum of their scores in
            units of 2**-32
        """
        n, units = np.asarray(n, dtype=np.int64), np.asarray(score_units, dtype=np.int64)
        decision, truth, groups = self._coded_rows(values)
        decided = self.rows.counted(decision, truth, n)
        if not decided.any():
            return
        y = np.full(len(n), 2) if truth is None else np.where(truth < 0, 2, truth)
        kept = {name: labels[decided] for name, labels in groups.items()}
        codes, labels = group_codes(kept, int(decided.sum()), MAX_GROUPS)
        cell = codes * CELLS + ((decision * 3 + y) * 11 + np.asarray(bins))[decided]
        counts = np.zeros(len(labels) * CELLS, dtype=np.int64)
        sums = np.zeros_like(counts)
        np.add.at(counts, cell, n[decided])
        np.add.at(sums, cell, units[decided])
        shape = (len(labels), *CELL_SHAPE)
        table = CountTable(self.layout.protected, tuple(labels), counts.reshape(shape), sums.reshape(shape))
        self._keep(table)

    @property
    def rows_read(self) -> int:
        """How many rows were added, counted or not."""
        return self.rows.read

    @property
    def sample(self) -> RowSample | None:
        """The bounded sample of rows; None where no features were named or no row had a decision.

        In its features what marks a missing value is missing; texts that are all numbers are numbers where the source
        knew nothing but texts.
        """
        if self._reservoir is None:
            return None
        sample = self._reservoir.sample()
        features = {name: self._feature(sample.features[name]) for name in sample.features}
        return replace(sample, features=pd.DataFrame(features, index=sample.features.index))

    def outcomes_of(self, frame: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Decision and truth of each row, 1 favourable, 0 not, -1 not known; the truth None where there is no column."""
        decision, truth, _ = self._coded_rows(frame)
        return np.maximum(decision, MISSING), None if truth is None else np.maximum(truth, MISSING)

    def groups_of(self, frame: pd.DataFrame) -> dict[str, "pd.Series[Any]"]:
        """The group of each row for each protected attribute."""
        return {name: self._groups(name, frame[name]) for name in self.layout.protected}

    def _feature(self, column: "pd.Series[Any]") -> "pd.Series[Any]":
        if column.dtype.kind in "biufcmM":
            return column
        codes, labels = self._coded(column)
        if not (self.features_are_texts and labels):
            return column.mask(codes < 0, None)
        numbers = pd.to_numeric(pd.Series(labels, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        if np.isnan(numbers).any():
            return column.mask(codes < 0, None)
        return pd.Series(np.append(numbers, np.nan)[codes], index=column.index)

    def finish(self) -> CountTable:
        """The table of everything that was added.

        Raises
        ------
        InvalidInput : no row that can be counted, or a favourable label that never occurs
        """
        self.rows.require_some()
        wanted = {"decision": (self.layout.decision, self.layout.favourable)}
        if self.layout.truth is not None:
            wanted["truth"] = self.layout.truth, self.layout.truth_labels[0]
        for part, (name, favourable) in wanted.items():
            if name not in self._favourable_seen:
                require_favourable(name, f"favourable.{part}", favourable, self._labels_seen.get(name, set()))
        return CountTable.sum(self._tables)

    def remarks(self) -> list[str]:
        """What the caller should know about the data beside the figures."""
        said = self.rows.remarks()
        seen = self._labels_seen.get(self.layout.decision, set())
        if len(seen) == 1:
            said.append(f"All rows have the same decision, {next(iter(seen))!r}.")
        if len(seen) < MAX_REMEMBERED:
            absent = [
                str(canonical_label(label))
                for label in self.layout.favourable
                if not matching(seen, [label]).any()
            ]
            if absent:
                said.append(f"Favourable, and in no row: {', '.join(map(repr, absent[:MAX_LISTED]))}.")
        if self._ids:
            hashed = np.concatenate(self._ids)
            repeated = len(hashed) - len(np.unique(hashed))
            if repeated:
                among = "" if len(hashed) == self.rows.read else f" of the first {len(hashed)}"
                said.append(
                    f"{repeated} rows{among} repeat an id of {self.layout.id!r}; they were counted too."
                )
        return said

    def _keep(self, table: CountTable) -> None:
        self._tables.append(table)
        if len(self._tables) > MAX_TABLES:
            self._tables = [CountTable.sum(self._tables)]

    def _coded_rows(
        self, frame: pd.DataFrame
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None, dict[str, "pd.Series[Any]"]]:
        """Decision and truth as `row_labels` has them, and the groups, each of shape (n_rows,)."""
        layout = self.layout
        decision = self._decide(layout.decision, frame, layout.favourable, layout.unfavourable)
        truth = None
        if layout.truth is not None:
            truth = self._decide(layout.truth, frame, *layout.truth_labels)
        return decision, truth, self.groups_of(frame)

    def _decide(
        self, name: str, frame: pd.DataFrame, favourable: Sequence[Any], unfavourable: Sequence[Any] | None
    ) -> NDArray[np.int64]:
        """1 favourable, 0 not, -1 missing, -2 neither, where `unfavourable` ones are declared; shape (n_rows,)."""
        codes, labels = self._coded(frame[name])
        seen = self._labels_seen.setdefault(name, set())
        if len(seen) < MAX_REMEMBERED:
            seen.update(labels[:MAX_REMEMBERED])
        meaning = meanings(labels, favourable, unfavourable)
        if (meaning == 1).any():
            self._favourable_seen.add(name)
        return np.append(meaning, MISSING)[codes]

    def _groups(self, name: str, values: Any) -> "pd.Series[Any]":
        codes, labels = self._defined(name, values)
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
        if UNKNOWN not in labels:
            labels = [*labels, UNKNOWN]
        codes = np.where(codes < 0, labels.index(UNKNOWN), codes)
        # Numbers beside a list of labels, not an object a row: the next to count them need not hash texts again.
        return pd.Series(pd.Categorical.from_codes(codes, labels))

    def _defined(self, name: str, values: "pd.Series[Any]") -> tuple[NDArray[np.intp], list[str]]:
        """The groups of an attribute as codes into their labels, -1 for missing."""
        definition = self.layout.definitions.get(name)
        if definition is None:
            return self._coded(values)
        if definition.ranges and values.dtype.kind in "iuf" and not self.layout.missing_values:
            return canonical_labels(definition.apply(values))  # millions of incomes, and no text of each
        codes, labels = self._coded(values)
        to_group, groups = canonical_labels(definition.apply(np.array(labels, dtype=object)))
        return np.append(to_group, -1)[codes], groups

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
        if values.dtype.kind in "iuf":  # nothing to convert, and no text to look for
            numbers: NDArray[np.float64] = values.to_numpy(dtype=np.float64, na_value=np.nan)
            wrong = (numbers < 0) | (numbers > 1)
        else:
            converted = pd.to_numeric(values.replace("", None), errors="coerce")
            numbers = converted.to_numpy(dtype=np.float64, na_value=np.nan)
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
