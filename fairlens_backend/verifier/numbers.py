"""The numbers of audits of version 2, which stand in texts: those of one kind are read together."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.audit_notation import FIGURE_UNITS
from fairlens_backend.core.canonical_json import MAX_SAFE_INTEGER
from fairlens_backend.verifier.bodies import Fault, ShortBody, misstated
from fairlens_backend.verifier.kinds import Kind
from fairlens_backend.verifier.lines import Wrong

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
_UNKNOWN_TRUTH: Final = 2
_BLANK, _MINUS, _ZERO = b" -0"
_DIGITS: Final = 10


class Row(NamedTuple):
    """What an audit says in numbers, as it stands in its entry."""

    sample_size: bytes
    labelled_size: bytes
    n: bytes
    value: bytes
    signed: bytes


class Unreadable(Wrong):
    """An audit whose numbers cannot be read."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class ShortAudits:
    """Audits of one kind, by the texts of their numbers."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.indexes: list[int] = []
        self.whole: list[tuple[int, ShortBody]] = []
        """the audits themselves, where these are needed"""
        self._rows: list[tuple[bytes, ...]] = []
        """each as `Row`"""

    def add(self, index: int, row: tuple[bytes, ...]) -> None:
        """One more, by the parts of its `Row`."""
        self.indexes.append(index)
        self._rows.append(row)

    def add_body(self, index: int, body: ShortBody, *, whole: bool) -> None:
        """One more, as it was read."""
        counts, figures = body.counts, body.figures
        sizes = b"%d" % body.sample_size, b"%d" % body.labelled_size
        texts = (counts.n, figures.value, figures.signed)
        self.add(index, Row(*sizes, *(text.encode() for text in texts)))
        if whole:
            self.whole.append((index, body))

    def sizes(self) -> IntArray:
        """Their `sample_size` and `labelled_size`, shape (n_audits, 2)."""
        sizes = self._columns["sample_size"], self._columns["labelled_size"]
        return np.array([[*map(int, texts)] for texts in sizes], dtype=np.int64).T

    def n(self) -> IntArray:
        """The numbers of their tables, shape (n_audits, length of the kind).

        Raises
        ------
        Unreadable : a text of one of them is none of so many whole numbers
        """
        return self._numbers("n", self.kind.length)

    def figures(self) -> tuple[FloatArray, FloatArray]:
        """The values and the signs of their figures, each of shape (n_audits, n_figures), NaN where a figure has none.

        Raises
        ------
        Unreadable : as of `n`, or a number is beyond ±(2⁵³ − 1), which this notation cannot say
        """
        return self._spread("value", self.kind.valued), self._spread("signed", self.kind.with_sign)

    @cached_property
    def _columns(self) -> dict[str, tuple[bytes, ...]]:
        """What `add` was given, by the names of `Row`; when it is asked for, there are no more to come."""
        return dict(zip(Row._fields, zip(*self._rows, strict=True), strict=True))

    def _numbers(self, name: str, length: int) -> IntArray:
        texts = self._columns[name]
        if not any(texts) and not length:
            return np.zeros((len(texts), 0), dtype=np.int64)
        joined = b" ".join([b"", *texts, b""])
        blanks = _blanks(joined)
        # Each text has so many numbers where every so manieth blank is one that divides two texts.
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        ends = np.concatenate([[0], np.cumsum(lengths + 1)])
        if blanks is None or not length or not np.array_equal(blanks[::length], ends):
            raise self._unreadable(name, texts, length)
        return np.fromstring(joined, dtype=np.int64, sep=" ").reshape(len(texts), length)

    def _unreadable(self, name: str, texts: Sequence[bytes], length: int) -> Unreadable:
        """What is wrong with the first text that is none of so many numbers."""
        for index, text in zip(self.indexes, texts, strict=True):
            blanks = _blanks(b" %b " % text)
            if blanks is None:
                said = f"its {name} are no whole numbers with a space between them"
                return Unreadable(index, f"Entry {index}: {said}.")
            if len(blanks) != length + 1:
                said = f"its {name} are {len(blanks) - 1} numbers, and not {length}"
                return Unreadable(index, f"Entry {index}: {said}.")
        raise AssertionError("each text is of so many numbers, and all together are not")

    def _spread(self, name: str, places: IntArray) -> FloatArray:
        numbers = self._numbers(name, len(places))
        # What no array holds was read as the largest number that one does: any lie beyond it would be that number.
        most, least = numbers.max(axis=1, initial=0), numbers.min(axis=1, initial=0)
        beyond = np.flatnonzero((most > MAX_SAFE_INTEGER) | (least < -MAX_SAFE_INTEGER))
        if len(beyond):
            index = self.indexes[int(beyond[0])]
            raise Unreadable(index, f"Entry {index}: a number of its {name} is beyond ±{MAX_SAFE_INTEGER}.")
        made = np.full((len(numbers), len(self.kind.shape)), np.nan)
        made[:, places] = numbers / FIGURE_UNITS
        return made


def size_faults(indexes: Sequence[int], said: IntArray, n: IntArray) -> list[Fault]:
    """The first audit that says other sizes than its table adds up to, or whose table no decisions can have.

    Parameters
    ----------
    said : sample size and labelled size, shape (n_audits, 2)
    n : shape (n_audits, n_groups, 2, 3, n_bins)
    """
    cells = n.reshape(len(n), -1)
    # As whole numbers large ones could add up to a small one: an integer begins anew from below.
    least, sums = cells.min(axis=1, initial=0), cells.sum(axis=1, dtype=np.float64)
    none = np.flatnonzero((least < 0) | (sums > MAX_SAFE_INTEGER))
    if len(none):
        place = min(none.tolist(), key=lambda one: indexes[one])
        said_of = (
            f"a row that none can have: {least[place]} decisions"
            if least[place] < 0
            else f"more decisions than a table can have: about {sums[place]:.3g}"
        )
        return [(indexes[place], Wrong(f"Entry {indexes[place]}: its count table has {said_of}."))]
    total = cells.sum(axis=1)
    unknown = n[:, :, :, _UNKNOWN_TRUTH].reshape(len(n), -1).sum(axis=1)
    counted = np.column_stack([total, total - unknown])
    wrong = np.flatnonzero((said != counted).any(axis=1))
    if not len(wrong):
        return []
    first = min(wrong.tolist(), key=lambda one: indexes[one])
    words = ("{} and {}".format(*row) for row in (said[first], counted[first]))
    return [(indexes[first], misstated(indexes[first], "its sizes", *words))]


def _blanks(text: bytes) -> IntArray | None:
    """Where spaces stand in a text of whole numbers with one space between each two, before and after them; None for another text."""
    codes = np.frombuffer(text, dtype=np.uint8)
    blanks, minus = np.flatnonzero(codes == _BLANK), np.flatnonzero(codes == _MINUS)
    digits = np.count_nonzero(codes - np.uint8(_ZERO) < _DIGITS)  # what is less than "0" wraps around
    if digits + len(blanks) + len(minus) < len(codes) or (np.diff(blanks) == 1).any():
        return None
    if (codes[minus - 1] != _BLANK).any() or (codes[minus + 1] < _ZERO).any():
        return None
    return blanks
