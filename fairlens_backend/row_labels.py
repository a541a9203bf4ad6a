"""What the labels of rows mean: favourable, unfavourable, missing, or none that the model declares; and what is said of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fairlens_backend.core.labels import canonical_label, matching
from fairlens_backend.decision_layout import Layout
from fairlens_backend.errors import InvalidInput

FAVOURABLE, UNFAVOURABLE, MISSING, UNDECLARED = 1, 0, -1, -2
MAX_LISTED: Final = 10
MAX_SHOWN: Final = 100  # characters of a label in a message
IntArray = NDArray[np.int64]


def meanings(
    labels: Sequence[str], favourable: Sequence[Any], unfavourable: Sequence[Any] | None
) -> IntArray:
    """1 favourable, 0 not; where `unfavourable` labels are declared, -2 for one that is neither. Shape (n_labels,).

    Examples
    --------
    >>> meanings(["yes", "no", "later"], ["yes"], None).tolist(), meanings(["yes", "no", "later"], ["yes"], ["no"]).tolist()
    ([1, 0, 0], [1, 0, -2])
    """
    meaning = matching(labels, favourable).astype(np.int64)
    if unfavourable:
        meaning[(meaning == UNFAVOURABLE) & ~matching(labels, unfavourable)] = UNDECLARED
    return meaning


class RowCount:
    """How many rows were read, and how many of them are not counted, and why."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.read = 0
        self.without_decision = 0
        self.undeclared: Counter[str] = Counter()
        """by column, rows with a label that the model declares neither as favourable nor as unfavourable"""

    def counted(
        self, decision: IntArray, truth: IntArray | None, n: IntArray | None = None
    ) -> NDArray[np.bool_]:
        """Which rows are counted: those with a decision, and with no label that nobody declared; as events are.

        Parameters
        ----------
        n : how many rows each stands for; one where None
        """

        def size(some: Any) -> int:
            return int(np.count_nonzero(some) if n is None else n[some].sum())

        self.read += len(decision) if n is None else int(n.sum())
        kept: NDArray[np.bool_] = decision >= 0
        if kept.all() and (truth is None or not (truth == UNDECLARED).any()):
            return kept
        self.without_decision += size(decision == MISSING)
        self.undeclared[self._layout.decision] += size(decision == UNDECLARED)
        if truth is not None and self._layout.truth is not None:
            self.undeclared[self._layout.truth] += size(kept & (truth == UNDECLARED))
            kept = kept & (truth != UNDECLARED)
        return kept

    def require_some(self) -> None:
        """Refuse a data set of which no row is counted.

        Raises
        ------
        InvalidInput : no row, no decision, or only labels that nobody declared
        """
        if self.read == 0:
            raise InvalidInput(
                "There is no row; at least one was expected.", field="rows", got=0, expected="at least 1 row"
            )
        name = self._layout.decision
        if self.without_decision == self.read:
            raise InvalidInput(
                f"Column {name!r} is empty in all {self.read} rows; a decision was expected.",
                field="columns.decision",
                got="only missing values",
                expected="a decision in each row",
            )
        if self.without_decision + self.undeclared.total() == self.read:
            raise InvalidInput(
                f"No row can be counted. {' '.join(self.remarks())}",
                field="unfavourable",
                got="no declared label",
                expected="labels that are declared as favourable or as unfavourable",
            )

    def remarks(self) -> list[str]:
        """What the caller should know of the rows that were not counted."""
        said = []
        if self.without_decision:
            said.append(f"{self.without_decision} of {self.read} rows have no decision and were not counted.")
        said += [
            f"{n} of {self.read} rows have in {name!r} a label that the model declares neither as favourable nor as unfavourable;"
            " they were not counted."
            for name, n in self.undeclared.items()
            if n
        ]
        return said


def require_favourable(name: str, field: str, wanted: Iterable[Any], seen: set[str]) -> None:
    """Refuse a column with two labels or more, `seen`, of which none is favourable.

    Raises
    ------
    InvalidInput : it names those that are there
    """
    # One label only is a group of decisions that are all the same; two or more without the named one is a slip.
    if len(seen) < 2:
        return
    there = [label[:MAX_SHOWN] for label in sorted(seen)[:MAX_LISTED]]
    named = [str(canonical_label(label))[:MAX_SHOWN] for label in wanted][:MAX_LISTED]
    raise InvalidInput(
        f"None of the favourable labels {named} occurs in column {name!r}; there are {there}.",
        field=field,
        got=named,
        expected=f"at least one of {there}",
    )
