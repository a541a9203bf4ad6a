"""Decisions as a model's declarations read them: favourable or not, which group, which cell. Values are coded once and kept."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import TRUTH_UNKNOWN, cell_of
from fairlens_backend.core.enrich.attribute_groups import AttributeGroups
from fairlens_backend.core.label_words import FAVOURABLE, UNFAVOURABLE, LabelWords, label_digest
from fairlens_backend.core.labels import UNKNOWN, canonical_label, matching
from fairlens_backend.decision_layout import Layout

__all__ = ["Coder", "label_digest"]

MAX_REMEMBERED: Final = 20_000  # values of one column
_NO_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Memory:
    """What the values of one column were coded as. It is replaced and never emptied: other threads read it meanwhile."""

    def __init__(self, code: Callable[[list[Any]], Sequence[Any]], words: LabelWords | None = None) -> None:
        self._code, self._words = code, words
        self._known: dict[tuple[type, Hashable], Any] = {}
        self._odd: frozenset[tuple[type, Hashable]] = frozenset()

    def odd(self, values: Sequence[Any]) -> list[int]:
        """The places of coded values of which the model says neither that they are favourable nor that they are not."""
        odd = self._odd
        return [i for i, value in enumerate(values) if (value.__class__, value) in odd] if odd else []

    def coded(self, values: Sequence[Any]) -> list[Any]:
        """The code of each value; with its type: True, 1 and 1.0 are one key of a dict, and not one label."""
        known = self._known
        try:
            return [known[value.__class__, value] for value in values]
        except KeyError:
            pass
        every = {(value.__class__, value) for value in values}
        new = [key for key in every if key not in known]
        if len(known) + len(new) > MAX_REMEMBERED:
            self._known, self._odd = {}, frozenset()
            known, new = self._known, list(every)
        if self._words is not None:
            self._odd |= {key for key in new if self._is_odd(key[1], self._words)}
        known.update(zip(new, self._code([value for _, value in new]), strict=True))
        return [known[value.__class__, value] for value in values]

    @staticmethod
    def _is_odd(value: Any, words: LabelWords) -> bool:
        return canonical_label(value) is not None and words.meaning(value) not in (FAVOURABLE, UNFAVOURABLE)


class Coder:
    """Codes columns of one version of a model.

    Parameters
    ----------
    layout : what it declares; of the columns only the names of the protected attributes are used
    normalised : of the attributes whose words and codes are brought to groups, how; one with a definition has that instead
    cleaned : gives a label of an attribute without personal data; None where the caller keeps no label

    Examples
    --------
    >>> coder = Coder(Layout("hired", ("sex",), favourable=("yes",), missing_values=("?",)))
    >>> coder.cells(["yes", "no"], [None, "yes"], np.array([0.75, np.nan]))
    array([62, 21])
    >>> coder.groups({"sex": ["F", "?"]})
    (array([0, 1]), [('F',), ('unknown',)])
    """

    def __init__(
        self,
        layout: Layout,
        normalised: Mapping[str, AttributeGroups] | None = None,
        cleaned: Callable[[str, str], str] | None = None,
    ) -> None:
        self.layout = layout
        self.normalised = {
            name: one for name, one in (normalised or {}).items() if name not in layout.definitions
        }
        self._cleaned = cleaned
        self.decision_words = LabelWords(layout.favourable, layout.unfavourable)
        own = layout.truth_favourable or layout.truth_unfavourable
        self.truth_words = (
            LabelWords(layout.truth_favourable or layout.favourable, layout.truth_unfavourable)
            if own
            else self.decision_words
        )
        self._decisions = _Memory(self._decide, self.decision_words)
        self._truths = _Memory(self._judge, self.truth_words)
        self._labels = {name: _Memory(partial(self._grouped, name)) for name in layout.protected}
        self._missing = layout.missing_values

    def cells(
        self, label: Sequence[Any], truth: Sequence[Any] | None, score: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        """The cell of each decision within its group, 0 to 65, shape (n,).

        Parameters
        ----------
        label : the decisions as they came, n of them
        truth : the true outcomes, None where not known; None when none is
        score : shape (n,), NaN where there is none
        """
        decision = np.array(self._decisions.coded(label), dtype=np.int64)
        y = np.full(len(decision), TRUTH_UNKNOWN, dtype=np.int64)
        if truth is not None:
            y = np.array(self._truths.coded(truth), dtype=np.int64)
        return cell_of(decision, y, score)

    def odd_labels(
        self, label: Sequence[Any], truth: Sequence[Any] | None
    ) -> list[tuple[str, LabelWords, list[int]]]:
        """Of what `cells` has coded the labels that are neither favourable nor known not to be: field, words and places."""
        found = [("prediction.label", self.decision_words, self._decisions.odd(label))]
        if truth is not None:
            found.append(("ground_truth", self.truth_words, self._truths.odd(truth)))
        return [one for one in found if one[2]]

    def groups(self, values: dict[str, Sequence[Any]]) -> tuple[npt.NDArray[np.int64], list[tuple[str, ...]]]:
        """The group of each decision, as places in the list of those that occur.

        Parameters
        ----------
        values : for each protected attribute its n values as they came; None where missing
        """
        columns = [self.labels(name, values[name]) for name in self.layout.protected]
        index: dict[tuple[str, ...], int] = {}
        codes = [index.setdefault(group, len(index)) for group in zip(*columns, strict=True)]
        return np.array(codes, dtype=np.int64), list(index)

    def labels(self, name: str, values: Sequence[Any]) -> list[str]:
        """The group's label of each value of one attribute; one with a NUL is given as it is."""
        return self._labels[name].coded(values)

    def on_the_day(self, name: str, values: list[Any], at: Callable[[int], datetime]) -> list[Any]:
        """The values with dates of birth as the bands of age on the day of each decision."""
        how = self.normalised.get(name)
        if how is None or how.kind not in ("age", "birth"):
            return values
        dated = [i for i, value in enumerate(values) if how.wants_the_day(value)]
        for i in dated:
            values[i] = how.groups([values[i]], at(i))[0]
        return values

    def is_word(self, name: str, value: Any) -> bool:
        """Whether a value is a known word for a group of the attribute, and so nobody's name."""
        how = self.normalised.get(name)
        return how is not None and how.is_word(value)

    def _decide(self, values: list[Any]) -> list[int]:
        return [int(one) for one in matching(map(_text, values), self.layout.favourable)]

    def _judge(self, values: list[Any]) -> list[int]:
        wanted = self.layout.truth_favourable or self.layout.favourable
        known = [canonical_label(value) is not None for value in values]
        favourable = matching(map(_text, values), wanted)
        return [int(one) if there else TRUTH_UNKNOWN for one, there in zip(favourable, known, strict=True)]

    def _grouped(self, name: str, values: list[Any]) -> list[str]:
        labels = [canonical_label(value) for value in values]
        missing = matching(map(_text, values), self._missing) if self._missing else [False] * len(values)
        labels = [None if gone else label for label, gone in zip(labels, missing, strict=True)]
        definition = self.layout.definitions.get(name)
        if definition is not None:
            labels = [canonical_label(one) for one in definition.apply(np.array(labels, dtype=object))]
        elif name in self.normalised:
            kept = [None if label is None else value for label, value in zip(labels, values, strict=True)]
            labels = list(self.normalised[name].groups(kept, _NO_DAY))
        known = [UNKNOWN if label is None else label for label in labels]
        return known if self._cleaned is None else [self._cleaned(name, label) for label in known]


def _text(value: Any) -> str:
    return canonical_label(value) or ""
