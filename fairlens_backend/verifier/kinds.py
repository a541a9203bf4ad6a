"""What audits of version 2 have in common that are alike but for their numbers: read once, and known again by its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from fairlens_backend.core.audit_notation import REST_COLUMNS, cell_places
from fairlens_backend.core.canonical_json import is_canonical
from fairlens_backend.core.columns import SCORE_UNKNOWN
from fairlens_backend.core.figure_batches import Layout
from fairlens_backend.verifier.bodies import (
    UNREADABLE,
    Settings,
    ShortBody,
    StatedOf,
    layout_of,
)
from fairlens_backend.verifier.lines import Wrong
from fairlens_backend.verifier.spelling import Spelt, spelling_of


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
    rest : the columns of their other figures without the numbers
    """

    layout: Layout
    shape: tuple[StatedOf, ...]
    valued: npt.NDArray[np.int64]
    with_sign: npt.NDArray[np.int64]
    bins: tuple[int, ...]
    length: int
    rest: bytes


class Kinds:
    """The kinds of audits that were seen; each is read once, by the bytes that say it."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, bytes], Kind] = {}
        """by what says of which groups they are, what says of which figures, and the settings"""
        self._last: dict[bytes, tuple[bytes, bytes, Kind]] = {}
        """the last one that was asked for, by what says of which groups it is"""
        self._words: set[bytes] = set()

    def of(self, index: int, body: ShortBody) -> Kind:
        """The kind of an audit.

        Raises
        ------
        Wrong : what it says of its settings, groups or figures is none that an audit has, or not spelled as canonical JSON
        """
        counts, figures = body.counts, body.figures
        spelling = spelling_of(body)
        found = self._find(*spelling) or self._learn(spelling, index, body)
        lengths = _length(counts.n), _length(figures.value), _length(figures.signed)
        if lengths != (found.length, len(found.valued), len(found.with_sign)):
            raise Wrong(
                f"Entry {index}: its table and its figures have {lengths[0]}, {lengths[1]} and {lengths[2]} numbers;"
                f" by its groups and names there are {found.length}, {len(found.valued)} and {len(found.with_sign)}."
            )
        if any(figures.rest.count(one) != found.rest.count(one.encode()) for one in "; "):
            raise Wrong(
                f"Entry {index}: the columns of its figures are not {REST_COLUMNS} of {len(found.shape)}."
            )
        words = bytes(figures.words)
        if words not in self._words:
            _check_words(index, words)
            if len(self._words) >= _KEPT:
                self._words.clear()
            self._words.add(words)
        return found

    def spelt(self, audits: Spelt) -> list[Kind] | None:
        """The kinds of audits, each spelled as one that was read; None where one is not, or has not the columns of its other figures.

        How many numbers their tables and figures have is not looked at.
        """
        if not self._words.issuperset(audits.words):
            return None
        found = map(self._find, audits.of_counts, audits.of_figures, audits.settings)
        kinds = [kind for kind in found if kind is not None]
        if len(kinds) < len(audits.rest):
            return None
        columns = b"\n".join(audits.rest).translate(None, _OF_NUMBERS)
        return kinds if columns == b"\n".join([kind.rest for kind in kinds]) else None

    def _find(self, of_counts: bytes, of_figures: bytes, settings: bytes) -> Kind | None:
        # Comparing bytes costs less than hashing them, and of the same groups the next audit is mostly of the same kind.
        last = self._last.get(of_counts)
        if last is not None and last[0] == of_figures and last[1] == settings:
            return last[2]
        found = self._known.get((of_counts, of_figures, settings))
        if found is not None:
            self._last[of_counts] = of_figures, settings, found
        return found

    def _learn(self, spelling: tuple[bytes, bytes, bytes], index: int, body: ShortBody) -> Kind:
        if len(self._known) >= _KEPT:
            self._known.clear()
            self._last.clear()
        kind = self._known[spelling] = _read_kind(index, body)
        return kind


_OF_NUMBERS: Final = b"0123456789-."
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


def _read_kind(index: int, body: ShortBody) -> Kind:
    counts, figures = body.counts, body.figures
    parts = body.settings, figures.names, figures.measured, counts.attributes, counts.bins, counts.groups
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
    _check_spelling(index, *map(bytes, parts))
    layout = layout_of(index, settings, attributes, groups)
    has = (np.flatnonzero(columns[3]), np.flatnonzero(columns[4]))
    rest = b";".join([b" " * (len(shape) - 1)] * REST_COLUMNS)
    return Kind(layout, shape, *has, tuple(bins), len(groups) * len(cell_places(bins)), rest)


def _named(names: Sequence[str], number: int) -> str:
    if number < 0:
        raise ValueError(f"it names {number}")
    return names[number]
