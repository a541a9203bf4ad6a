"""The bodies of AUDIT_COMPLETED entries as a verifier reads them: version 1, and the short notation of version 2."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from fairlens_backend.core.audit_notation import spelled_out
from fairlens_backend.core.canonical_json import MAX_SAFE_INTEGER
from fairlens_backend.core.figure_batches import Layout, Row
from fairlens_backend.verifier.lines import Wrong

COUNTS_VERSION: Final = 1
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""what reading JSON that somebody else wrote can end in"""
StatedOf = tuple[str | None, str, str]
"""attribute, metric, basis"""
Fault = tuple[int, Wrong]
"""the index of an entry, and what is wrong with it"""
Number = Annotated[int, msgspec.Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]


class Counts(msgspec.Struct, frozen=True):
    """The count table of version 1."""

    version: int
    attributes: tuple[str, ...]
    rows: list[Row]


class Settings(msgspec.Struct, frozen=True):
    """What an audit was computed with."""

    policy: dict[str, Any]
    protected_attributes: tuple[str, ...]
    reference_groups: dict[str, str]
    seed: int
    n_resamples: int


class Stated(msgspec.Struct, frozen=True):
    """A figure as an audit states it."""

    attribute: str | None
    metric: str
    basis: str
    value: float | None
    signed: float | None
    lower: float | None
    upper: float | None
    p_value: float | None
    p_adjusted: float | None = None
    status: str | None = None
    method: str | None = None
    severity: str | None = None
    groups_compared: tuple[str, ...] = ()
    sample_sizes: dict[str, int] | None = None


class AuditBody(msgspec.Struct, frozen=True):
    """The body of version 1, as far as it is checked.

    A check that was computed elsewhere has neither counts nor settings, and states no labelled_size.
    """

    audit_id: str
    model: str
    sample_size: int
    counts: Counts | None
    figures: list[Stated]
    model_audit_number: int
    previous_audit_index: int | None
    labelled_size: int | None = None
    settings: Settings | None = None
    overall_severity: str | None = None
    alert: bool | None = None
    engine: str | None = None


# What follows is read and written again to see that it is canonical: whole, and with its keys in order.
class ShortCounts(msgspec.Struct):
    """The count table of version 2."""

    attributes: msgspec.Raw
    bins: msgspec.Raw
    groups: msgspec.Raw
    n: str
    scores: str
    version: Literal[2]


class ShortFigures(msgspec.Struct):
    """The figures of version 2; `measured` and `names` are the same in most audits of a model."""

    measured: msgspec.Raw
    names: msgspec.Raw
    rest: str
    signed: str
    value: str
    words: msgspec.Raw


class ShortBody(msgspec.Struct):
    """The body of version 2."""

    alert: bool
    audit_id: str
    audit_sha256: str
    audit_timestamp: str
    counts: ShortCounts
    engine: str
    figures: ShortFigures
    labelled_size: Number
    model: str
    model_audit_number: Number
    model_version: str | None
    overall_severity: str | None
    previous_audit_index: Number | None
    record_hash: str
    record_id: str
    sample_size: Number
    settings: msgspec.Raw
    window_end: str | None
    window_start: str | None


Body = AuditBody | ShortBody


def layout_of(
    index: int, settings: Settings, attributes: Sequence[str], groups: Sequence[tuple[str, ...]]
) -> Layout:
    """What an audit's figures are computed by.

    Raises
    ------
    Wrong : its settings lack what every audit's have, or protect an attribute that its table has not
    """
    least = settings.policy.get("min_group_size")
    if type(least) is not int or not settings.protected_attributes:
        raise Wrong(f"Entry {index}: its settings lack min_group_size or any protected attribute.")
    for name in settings.protected_attributes:
        if name not in attributes:
            raise Wrong(
                f"Entry {index}: its count table has no attribute {name!r}, which its settings protect."
            )
    return Layout(
        tuple(attributes),
        tuple(groups),
        settings.protected_attributes,
        tuple(settings.reference_groups.items()),
        least,
    )


_LONG: Final = msgspec.json.Decoder(dict[str, Any])
_ENCODE: Final = msgspec.json.Encoder().encode


def long_body(body: ShortBody) -> AuditBody:
    """The body as version 1 says it.

    Raises
    ------
    ValueError, LookupError, TypeError, msgspec.ValidationError : its columns do not fit together
    """
    plain = _LONG.decode(_ENCODE(body))
    return msgspec.convert(spelled_out(plain), AuditBody)


def misstated(index: int, what: str, said: object, given: object) -> Wrong:
    """An audit states something else than its counts give."""
    words = ["nothing" if one is None else str(one) for one in (said, given)]
    return Wrong(f"Entry {index}: it states {words[0]} for {what}; its counts give {words[1]}.")
