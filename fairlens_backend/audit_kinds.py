"""What audits of version 2 have in common that are alike but for their numbers: read once, and known again by its bytes."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from fairlens_backend.audit_bodies import UNREADABLE, Count, Number, Settings, ShortBody, StatedOf, layout_of
from fairlens_backend.core.audit_notation import cell_places
from fairlens_backend.core.canonical_json import is_canonical
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
    """Audits of one kind, by their numbers alone: what they were read from need not be kept until they are compared."""

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.whole: list[tuple[int, ShortBody]] = []
        """the audits themselves, where these are needed"""
        self._numbers = {name: array("q") for name in ("n", "value", "signed", "sizes")}

    def add(self, index: int, body: ShortBody, *, whole: bool) -> None:
        """One more."""
        numbers = self._numbers
        self.indexes.append(index)
        numbers["n"].fromlist(body.counts.n)
        numbers["value"].fromlist(body.figures.value)
        numbers["signed"].fromlist(body.figures.signed)
        numbers["sizes"].fromlist([body.sample_size, body.labelled_size])
        if whole:
            self.whole.append((index, body))

    def numbers(self, name: str) -> npt.NDArray[np.int64]:
        """Their `n`, `value`, `signed` or `sizes` (of the sample, and labelled), one audit after the other."""
        return np.array(self._numbers[name], dtype=np.int64)


Parts = tuple[msgspec.Raw, ...]
"""the bytes that say of which kind an audit is"""


class Kinds:
    """The kinds of audits that were seen; each is read once, by the bytes that say it."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[tuple[Parts, Kind]]] = {}
        self._n_known = 0
        self._words: set[bytes] = set()
        self._forms: set[tuple[int, bytes]] = set()

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
        lengths = len(counts.n), len(figures.value), len(figures.signed)
        if lengths != (found.length, len(found.valued), len(found.with_sign)):
            raise Wrong(
                f"Entry {index}: its table and its figures have {lengths[0]}, {lengths[1]} and {lengths[2]} numbers;"
                f" by its groups and names there are {found.length}, {len(found.valued)} and {len(found.with_sign)}."
            )
        words = bytes(figures.words)
        if words not in self._words:
            _check_words(index, words)
            if len(self._words) >= _KEPT:
                self._words.clear()
            self._words.add(words)
        # Without its digits and its nulls: brackets and commas, nearly always the same.
        form = bytes(figures.rest).translate(None, b"0123456789-nul")
        if (len(found.shape), form) not in self._forms:
            _check_rest(index, figures.rest, len(found.shape))
            if form.translate(None, b"[],"):
                raise _misspelt(index)
            if len(found.shape) > 1 and len(self._forms) < _KEPT:  # of one figure [] and [0] look alike
                self._forms.add((len(found.shape), form))
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
_REST: Final = msgspec.json.Decoder(
    tuple[
        list[Number | None],
        list[Number | None],
        list[Number | None],
        list[Number | None],
        list[Count | None],
        list[Count | None],
        list[Count | None],
        list[list[Count]],
    ]
)


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


def _check_rest(index: int, rest: msgspec.Raw, length: int) -> None:
    try:
        found = {len(column) for column in _REST.decode(rest)}
    except UNREADABLE as error:
        raise _unknown(index, error) from None
    if found != {length} and (found or length):
        raise Wrong(f"Entry {index}: the columns of its figures are not all of {length}.")


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
