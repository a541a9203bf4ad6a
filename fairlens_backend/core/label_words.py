"""What the words of a column of labels mean: favourable, unfavourable, or neither as far as anybody said."""

import hashlib
from typing import Any, Final

from fairlens_backend.core.labels import canonical_label

UNFAVOURABLE, FAVOURABLE, ODD, UNDECLARED = 0, 1, 2, -1
"""`ODD`: nobody said so, counted as unfavourable with a warning. `UNDECLARED`: not counted, since the model declares both classes."""

_POSITIVE: Final = frozenset(
    [
        "1",
        "true",
        "yes",
        "y",
        "t",
        "positive",
        "pass",
        "passed",
        "good",
        "approved",
        "approve",
        "accepted",
        "accept",
        "granted",
        "grant",
        "hired",
        "hire",
        "selected",
        "admitted",
        "released",
    ]
)
_NEGATIVE: Final = frozenset(
    [
        "0",
        "-1",
        "false",
        "no",
        "n",
        "f",
        "negative",
        "fail",
        "failed",
        "bad",
        "denied",
        "deny",
        "rejected",
        "reject",
        "declined",
        "decline",
        "refused",
        "refuse",
        "detained",
    ]
) | {"not hired", "not selected", "not admitted", "not released"}
_SIDES: Final = (
    (_POSITIVE, _NEGATIVE),
    (_NEGATIVE, _POSITIVE),
    (frozenset({"low"}), frozenset({"medium", "high"})),
)


class LabelWords:
    """The words of one column: those that the model declares, and the customary opposites of the favourable ones.

    Parameters
    ----------
    favourable, unfavourable : as declared; where `unfavourable` is None every other word is unfavourable, with a warning
        unless it is a customary opposite

    Examples
    --------
    >>> words = LabelWords(["Yes"])
    >>> [words.meaning(one) for one in ("Yes", "No", "0", "yes")]
    [1, 0, 0, 2]
    >>> [LabelWords([0]).meaning(one) for one in (0, 1, True, 2)]
    [1, 0, 0, 2]
    >>> [LabelWords(["a"], ["b"]).meaning(one) for one in ("a", "b", "no")]
    [1, 0, -1]
    """

    def __init__(self, favourable: Any, unfavourable: Any = None) -> None:
        self.closed = bool(unfavourable)
        self._favourable = frozenset(map(label_digest, favourable))
        if unfavourable:
            other = set(map(label_digest, unfavourable))
        else:
            said = {_text(one).casefold() for one in favourable}
            words = [word for side, opposite in _SIDES if said & side for word in opposite] or _NEGATIVE
            other = {label_digest(form) for word in words for form in (word, word.capitalize(), word.upper())}
        self._unfavourable = frozenset(other) - self._favourable

    def meaning(self, value: Any) -> int:
        """Of a label as it came."""
        return self.of_digest(label_digest(value))

    def of_digest(self, digest: bytes) -> int:
        """Of a label of which only `label_digest` is kept."""
        if digest in self._favourable:
            return FAVOURABLE
        if digest in self._unfavourable:
            return UNFAVOURABLE
        return UNDECLARED if self.closed else ODD


def label_digest(value: Any) -> bytes:
    """16 bytes that are equal for labels that `core.labels.matching` takes as one: 1, "1", 1.0 and true."""
    label = {"true": "1", "false": "0"}.get(_text(value), _text(value))
    return hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _text(value: Any) -> str:
    return canonical_label(value) or ""
