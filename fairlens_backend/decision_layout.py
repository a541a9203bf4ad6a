"""Which column of a data set holds what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlens_backend.core.group_definitions import GroupDefinition
from fairlens_backend.core.label_words import label_digest
from fairlens_backend.errors import InvalidInput

_SPOKEN = {"protected": "protected attribute"}


@dataclass(frozen=True)
class Layout:
    """Which column holds what, and which labels are favourable.

    `truth_favourable` None means: the same labels as the decision's.

    Raises
    ------
    InvalidInput : one column in two parts. A decision that is its own truth would look perfect for everybody,
        and one that is its own group as unlike as can be.

    Examples
    --------
    >>> Layout("approved", ("sex",), (1,), truth="approved")
    Traceback (most recent call last):
    fairlens_backend.errors.InvalidInput: Column 'approved' is named as the decision and as the truth; ...
    """

    decision: str
    protected: tuple[str, ...]
    favourable: tuple[Any, ...]
    truth: str | None = None
    truth_favourable: tuple[Any, ...] | None = None
    score: str | None = None
    id: str | None = None
    missing_values: tuple[Any, ...] = ()
    features: tuple[str, ...] = ()
    """columns that metrics on rows (9, 10, 17) compare people by; none when only counts are wanted"""
    definitions: Mapping[str, GroupDefinition] = field(default_factory=dict)
    """which values of a protected attribute make one group; without one each value is its own"""
    unfavourable: tuple[Any, ...] | None = None
    """the other labels that there are; None where every other label is unfavourable"""
    truth_unfavourable: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        parts = {"decision": self.decision, "truth": self.truth, "score": self.score}
        seen: dict[str, str] = {}
        named = [(part, name) for part, name in parts.items() if name is not None]
        for part, name in [*named, *(("protected", name) for name in self.protected)]:
            if seen.get(name, part) != part:
                raise InvalidInput(
                    f"Column {name!r} is named as the {seen[name]} and as the {_SPOKEN.get(part, part)}; "
                    "each needs a column of its own.",
                    field=f"columns.{part}",
                    got=name,
                    expected=f"a column other than the {seen[name]}'s",
                )
            seen[name] = part

    @property
    def truth_labels(self) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
        """The favourable labels of the truth and the unfavourable ones; the decision's, where it has none of its own."""
        if self.truth_favourable or self.truth_unfavourable:
            return self.truth_favourable or self.favourable, self.truth_unfavourable
        return self.favourable, self.unfavourable

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        named = [self.decision, self.truth, self.score, self.id, *self.protected, *self.features]
        return list(dict.fromkeys(name for name in named if name is not None))


def unfavourable_of(known: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What declarations say of unfavourable labels, a request's before the registered ones.

    Where a request names other favourable labels than those that are registered, the registered opposites are none of them.

    Examples
    --------
    >>> registered = {"favourable": {"decision": ["yes"]}, "unfavourable": {"decision": ["no"]}}
    >>> unfavourable_of(registered, {}), unfavourable_of(registered, {"favourable": {"decision": ["no"]}})
    ({'decision': ['no']}, {})
    """
    given, own = asked.get("unfavourable") or {}, known.get("unfavourable") or {}
    new, old = asked.get("favourable") or {}, known.get("favourable") or {}
    found = {}
    for part in ("decision", "truth"):
        same = not new.get(part) or _digests(new[part]) == _digests(old.get(part) or ())
        labels = given.get(part) or (own.get(part) if same else None)
        if labels:
            found[part] = list(labels)
    return found


def _digests(labels: Iterable[Any]) -> set[bytes]:
    return {label_digest(one) for one in labels}
