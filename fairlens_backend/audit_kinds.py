"""What audits of version 2 have in common that are alike but for their numbers: read once, and known again by its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from fairlens_backend.audit_bodies import (
    UNREADABLE,
    Fault,
    Settings,
    ShortBody,
    StatedOf,
    layout_of,
    misstated,
)
from fairlens_backend.core.audit_notation import REST_COLUMNS, cell_places
from fairlens_backend.core.canonical_json import MAX_SAFE_INTEGER, is_canonical
from fairlens_backend.core.columns import SCORE_UNKNOWN
from fairlens_backend.core.figure_batches import Layout
from fairlens_backend.evidence_bundle import Wrong


@dataclass(frozen=True, eq=False)
class Kind:
    """What audits of version 2 have in common that are alike but for their numbers.

    Parameters
    ----------
    layout : of their tables
    shape : what each of their figures is of
    valued, with_sign : places of the figures that have a value, and a sign
    bins : the score bins of their tables
    length : how many numbers their tables have
    """

    layout: Layout
    shape: tuple[StatedOf, ...]
    valued: npt.NDArray[np.int64]
    with_sign: npt.NDArray[np.int64]
    bins: tuple[int, ...]
    length: int


class ShortAudits:
    """Audits of one kind, by the texts of their numbers: these are read together."""

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        """of the sample, and labelled"""
        self.whole: list[tuple[int, ShortBody]] = []
        """the audits themselves, where these are needed"""
        self._texts: dict[str, list[str]] = {"n": [], "value": [], "signed": []}

    def add(self, index: int, body: ShortBody, *, whole: bool) -> None:
        """One more."""
        self.indexes.append(index)
        self.sizes.append((body.sample_size, body.labelled_size))
        texts, figures = self._texts, body.figures
        texts["n"].append(body.counts.n)
        texts["value"].append(figures.value)
        texts["signed"].append(figures.signed)
        if whole:
            self.whole.append((index, body))

    def numbers(self, name: str) -> npt.NDArray[np.int64]:
        """Their `n`, `value` or `signed`, one audit after the other.

        Raises
        ------
        Unreadable : a text of one of them is none of whole numbers
        """
        texts = self._texts[name]
        if not any(texts):
            return np.zeros(0, dtype=np.int64)
        joined = " ".join(["", *texts, ""])
        if not _are_numbers(joined):
            for index, text in zip(self.indexes, texts, strict=True):
                if text and not _are_numbers(f" {text} "):
                    raise Unreadable(
                        index, f"Entry {index}: its {name} are no whole numbers with a space between them."
                    )
        return np.fromstring(joined, dtype=np.int64, sep=" ")


def size_faults(
    indexes: Sequence[int], stated: Sequence[tuple[int, int]], n: npt.NDArray[np.int64]
) -> list[Fault]:
    """The first audit that says other sizes than its table adds up to, or whose table no decisions can have."""
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
    said = np.array(stated, dtype=np.int64)
    total = n.reshape(len(n), -1).sum(axis=1)
    unknown = n[:, :, :, _UNKNOWN_TRUTH].reshape(len(n), -1).sum(axis=1)
    counted = np.column_stack([total, total - unknown])
    wrong = np.flatnonzero((said != counted).any(axis=1))
    if not len(wrong):
        return []
    first = min(wrong.tolist(), key=lambda one: indexes[one])
    words = ("{} and {}".format(*row) for row in (said[first], counted[first]))
    return [(indexes[first], misstated(indexes[first], "its sizes", *words))]


class Unreadable(Wrong):
    """An audit whose numbers cannot be read."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def _are_numbers(text: str) -> bool:
    """Whether a text, a space before and after it, is of whole numbers with one space between each two."""
    spelled = text.encode()
    if spelled.translate(None, b"0123456789- "):
        return False
    found = np.frombuffer(spelled, dtype=np.uint8)
    blank, minus = found == _BLANK, np.flatnonzero(found == _MINUS)
    double = blank[1:] & blank[:-1]
    return not (double.any() or (found[minus - 1] != _BLANK).any() or (found[minus + 1] < _ZERO).any())


_UNKNOWN_TRUTH: Final = 2
_BLANK, _MINUS, _ZERO = b" -0"


Parts = tuple[msgspec.Raw, ...]
"""the bytes that say of which kind an audit is"""


class Kinds:
    """The kinds of audits that were seen; each is read once, by the bytes that say it."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[tuple[Parts, Kind]]] = {}
        self._n_known = 0
        self._words: set[bytes] = set()

    def of(self, index: int, body: ShortBody) -> Kind:
        """The kind of an audit.

        Raises
        ------
        Wrong : what it says of its settings, groups or figures is none that an audit has, or not spelled as canonical JSON
        """
        counts, figures = body.counts, body.figures
        parts = body.settings, figures.names, figures.measured, counts.attributes, counts.bins, counts.groups
        # Comparing bytes costs less than hashing them, and there are few kinds with the same groups.
        groups = bytes(counts.groups)
        for known, kind in self._known.get(groups, ()):
            if known == parts:
                found = kind
                break
        else:
            found = self._learn(groups, index, body, parts)
        lengths = _length(counts.n), _length(figures.value), _length(figures.signed)
        if lengths != (found.length, len(found.valued), len(found.with_sign)):
            raise Wrong(
                f"Entry {index}: its table and its figures have {lengths[0]}, {lengths[1]} and {lengths[2]} numbers;"
                f" by its groups and names there are {found.length}, {len(found.valued)} and {len(found.with_sign)}."
            )
        rest, width = figures.rest, len(found.shape)
        if (rest.count(";"), rest.count(" ")) != (REST_COLUMNS - 1, REST_COLUMNS * max(0, width - 1)):
            raise Wrong(f"Entry {index}: the columns of its figures are not {REST_COLUMNS} of {width}.")
        words = bytes(figures.words)
        if words not in self._words:
            _check_words(index, words)
            if len(self._words) >= _KEPT:
                self._words.clear()
            self._words.add(words)
        return found

    def _learn(self, groups: bytes, index: int, body: ShortBody, parts: Parts) -> Kind:
        if self._n_known >= _KEPT:
            self._known.clear()
            self._n_known = 0
        copied = tuple(part.copy() for part in parts)  # else each would keep the whole entry
        kind = _read_kind(index, body, [bytes(part) for part in copied])
        self._known.setdefault(groups, []).append((copied, kind))
        self._n_known += 1
        return kind


_KEPT: Final = 4096
_SETTINGS: Final = msgspec.json.Decoder(Settings)
_GROUPS: Final = msgspec.json.Decoder(list[tuple[str, ...]])
_NAMES: Final = msgspec.json.Decoder(list[str])
_BINS: Final = msgspec.json.Decoder(list[int])
_MEASURED: Final = msgspec.json.Decoder(tuple[list[int | None], list[int], list[int], list[int], list[int]])


def _length(text: str) -> int:
    return text.count(" ") + 1 if text else 0


def _check_words(index: int, words: bytes) -> None:
    try:
        _NAMES.decode(words)
    except UNREADABLE as error:
        raise _unknown(index, error) from None
    _check_spelling(index, words)


def _check_spelling(index: int, *parts: bytes) -> None:
    if not all(map(is_canonical, parts)):
        raise _misspelt(index)


def _misspelt(index: int) -> Wrong:
    return Wrong(f"Entry {index} is not spelled as canonical JSON.")


def _unknown(index: int, error: Exception) -> Wrong:
    return Wrong(f"Entry {index} is no AUDIT_COMPLETED as this verifier knows it: {error}.")


def _read_kind(index: int, body: ShortBody, parts: Sequence[bytes]) -> Kind:
    try:
        settings = _SETTINGS.decode(body.settings)
        attributes, groups = _NAMES.decode(body.counts.attributes), _GROUPS.decode(body.counts.groups)
        bins, names = _BINS.decode(body.counts.bins), _NAMES.decode(body.figures.names)
        columns = _MEASURED.decode(body.figures.measured)
        shape = tuple(
            (None if a is None else _named(names, a), _named(names, m), _named(names, b))
            for a, m, b, *_ in zip(*columns, strict=True)
        )
        if not {0, 1}.issuperset(columns[3] + columns[4]):
            raise ValueError("whether a figure has a value is neither 0 nor 1")
        if len({len(group) for group in groups} | {len(attributes)}) > 1 or len(set(groups)) < len(groups):
            raise ValueError("its groups are not one label of each attribute each, or one stands there twice")
        for one in bins:
            if not 0 <= one <= SCORE_UNKNOWN:
                raise ValueError(f"there is no score bin {one}")
        if sorted(set(bins)) != bins:
            raise ValueError(f"its score bins {bins} are not in order, or one stands there twice")
    except (*UNREADABLE, LookupError, ValueError) as error:
        raise _unknown(index, error) from None
    _check_spelling(index, *parts)
    layout = layout_of(index, settings, attributes, groups)
    has = (np.flatnonzero(columns[3]), np.flatnonzero(columns[4]))
    return Kind(layout, shape, *has, tuple(bins), len(groups) * len(cell_places(bins)))


def _named(names: Sequence[str], number: int) -> str:
    if number < 0:
        raise ValueError(f"it names {number}")
    return names[number]
