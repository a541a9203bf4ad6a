"""The numbers of audits of version 2, which stand in texts: those of one kind are read together."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fairlens_backend.audit_bodies import Fault, ShortBody, misstated
from fairlens_backend.audit_kinds import Kind
from fairlens_backend.core.audit_notation import FIGURE_UNITS
from fairlens_backend.core.canonical_json import MAX_SAFE_INTEGER
from fairlens_backend.evidence_bundle import Wrong

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
        sizes = self._column("sample_size"), self._column("labelled_size")
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
        Unreadable : as of `n`
        """
        value = self._numbers("value", len(self.kind.valued))
        signed = self._numbers("signed", len(self.kind.with_sign))
        return self._spread(value, self.kind.valued), self._spread(signed, self.kind.with_sign)

    def _column(self, name: str) -> list[bytes]:
        place = Row._fields.index(name)
        return [row[place] for row in self._rows]

    def _numbers(self, name: str, length: int) -> IntArray:
        texts = self._column(name)
        if not any(texts) and not length:
            return np.zeros((len(texts), 0), dtype=np.int64)
        joined = b" ".join([b"", *texts, b""])
        if not _are_numbers(joined):
            for index, text in zip(self.indexes, texts, strict=True):
                if not _are_numbers(b" %b " % text):
                    raise Unreadable(
                        index, f"Entry {index}: its {name} are no whole numbers with a space between them."
                    )
        for index, text in zip(self.indexes, texts, strict=True):
            if text.count(b" ") != length - 1:
                raise Unreadable(index, f"Entry {index}: its {name} are not {length} numbers.")
        return np.fromstring(joined, dtype=np.int64, sep=" ").reshape(len(texts), length)

    def _spread(self, numbers: IntArray, places: IntArray) -> FloatArray:
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
    least, most = n.reshape(len(n), -1).min(axis=1, initial=0), n.reshape(len(n), -1).max(axis=1, initial=0)
    none = np.flatnonzero((least < 0) | (most > MAX_SAFE_INTEGER))
    if len(none):
        index = min(indexes[place] for place in none.tolist())
        return [
            (
                index,
                Wrong(
                    f"Entry {index}: its count table has a row that none can have: {least.min()} decisions."
                ),
            )
        ]
    total = n.reshape(len(n), -1).sum(axis=1)
    unknown = n[:, :, :, _UNKNOWN_TRUTH].reshape(len(n), -1).sum(axis=1)
    counted = np.column_stack([total, total - unknown])
    wrong = np.flatnonzero((said != counted).any(axis=1))
    if not len(wrong):
        return []
    first = min(wrong.tolist(), key=lambda one: indexes[one])
    words = ("{} and {}".format(*row) for row in (said[first], counted[first]))
    return [(indexes[first], misstated(indexes[first], "its sizes", *words))]


def _are_numbers(text: bytes) -> bool:
    """Whether a text, a space before and after it, is of whole numbers with one space between each two."""
    codes = np.frombuffer(text, dtype=np.uint8)
    blank, minus = codes == _BLANK, np.flatnonzero(codes == _MINUS)
    digits = np.count_nonzero(codes - np.uint8(_ZERO) < _DIGITS)  # what is less than "0" wraps around
    if digits + np.count_nonzero(blank) + len(minus) < len(codes):
        return False
    double = blank[1:] & blank[:-1]
    return not (double.any() or (codes[minus - 1] != _BLANK).any() or (codes[minus + 1] < _ZERO).any())
