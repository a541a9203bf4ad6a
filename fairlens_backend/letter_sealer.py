"""Events that could not be taken are sealed as dead letters: personal data as tokens first, then encrypted.

What cannot be tokenised whole is tokenised piece by piece, and a piece that cannot be is left out. So a letter can be
mended and sent again, and holds nobody's name.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fairlens_backend import erasure_keys, security_utils
from fairlens_backend.core.enrich.pii_finder import suspicious
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser, Untokenisable
from fairlens_backend.event_reader import Refused
from fairlens_backend.schemas._base import NAME_PATTERN
from fairlens_backend.schemas.events import Prediction, PredictionEvent, SessionContext
from fairlens_backend.storage import event_ids
from fairlens_backend.storage.dead_letters import NewLetter

REMOVED: Final = "(removed: it could not be stored without personal data)"
_DEPTH: Final = 16
_MOST: Final = 2_000
_NAMES: Final = 50
_LONGEST: Final = 200
_FIELDS: Final = frozenset(PredictionEvent.__struct_fields__)
_INNER: Final = {
    "prediction": frozenset(Prediction.__struct_fields__),
    "session_context": frozenset(SessionContext.__struct_fields__),
}
_MODEL: Final = re.compile(NAME_PATTERN)


def seal(tenant: str, source: str, tokeniser: PiiTokeniser, refused: Sequence[Refused]) -> list[NewLetter]:
    """The letters of refused events."""
    if not refused:
        return []
    fernet, key = security_utils.load_fernet(), erasure_keys.letter_key()
    letters = []
    for one in refused:
        event = _without_personal_data(tokeniser, one.event)
        model = event.get("model_id") if isinstance(event, dict) else None
        is_name = isinstance(model, str) and _MODEL.match(model) and not suspicious(model)
        sealed = fernet.encrypt(
            msgspec.json.encode({"event": event, "id": _digest(tenant, one.event, event)})
        ).decode()
        known_by = _known_by(key, one)
        letters.append(NewLetter(tenant, model if is_name else None, source, one.errors, sealed, known_by))
    return letters


def open_letter(sealed: str) -> tuple[Any, bytes | None]:
    """A letter's event, and the digest of its id where the id itself is a token now.

    Raises
    ------
    TamperedArtefact : it was altered, or its key is not in this database
    """
    content = msgspec.json.decode(security_utils.decrypt_text(sealed))
    digest = content["id"]
    return content["event"], None if digest is None else bytes.fromhex(digest)


def _known_by(key: bytes, one: Refused) -> bytes | None:
    """What the same event refused for the same reasons is known by; None where it has no id: it may be another decision."""
    if not isinstance(one.event, dict) or not isinstance(one.event.get("event_id"), str | int):
        return None
    parts = {name: _given(value) if name in _INNER else value for name, value in one.event.items()}
    content = msgspec.json.encode([_given(parts), one.errors], order="sorted")
    return hashlib.blake2b(content, key=key, digest_size=event_ids.DIGEST_BYTES).digest()


def _given(item: Any) -> Any:
    """Without what is absent: in columns an event has every field, in rows perhaps not."""
    return (
        {name: value for name, value in item.items() if value not in (None, {})}
        if isinstance(item, dict)
        else item
    )


def _digest(tenant: str, before: Any, after: Any) -> str | None:
    """What the event's id was known by, when it is a token now: a label may come by the id as it was."""
    if not isinstance(before, dict) or not isinstance(before.get("event_id"), str):
        return None
    if isinstance(after, dict) and after.get("event_id") == before["event_id"]:
        return None
    return event_ids.digest_of(tenant, before["event_id"]).hex()


def _without_personal_data(tokeniser: PiiTokeniser, event: Any) -> Any:
    if not isinstance(event, dict):
        return REMOVED  # what is no event says of no text what it is
    known = {name: value for name, value in event.items() if name in _FIELDS}
    for name, fields in _INNER.items():
        inner = known.get(name)
        if isinstance(inner, dict):
            own = {key: value for key, value in inner.items() if key in fields}
            known[name] = own | _strangers(tokeniser, inner, fields)
    unknown = _strangers(tokeniser, event, _FIELDS)
    try:
        new = tokeniser.tokenise(known).document
    except Untokenisable:
        new = _Pieces(tokeniser, event).of(known)
    for name in ("model_id", "model_version"):
        # Bare digits are taken for an identifier elsewhere; here nobody has looked yet whether there is such a model.
        if isinstance(new.get(name), str) and suspicious(new[name]):
            new = {**new, name: _whole(tokeniser, new[name])}
    return {**new, **unknown}


def _strangers(tokeniser: PiiTokeniser, item: dict[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    """Fields that events do not have, of which nothing is known: whatever stands in them may be somebody's name."""
    return {
        _whole(tokeniser, name): _whole(tokeniser, value)
        for name, value in item.items()
        if name not in fields
    }


def _whole(tokeniser: PiiTokeniser, value: Any, depth: int = 0) -> Any:
    """A value every text of which is a token."""
    if depth > _DEPTH:
        return REMOVED
    if isinstance(value, dict):
        items = list(value.items())[:_MOST]
        return {_whole(tokeniser, key): _whole(tokeniser, item, depth + 1) for key, item in items}
    if isinstance(value, list):
        return [_whole(tokeniser, item, depth + 1) for item in value[:_MOST]]
    try:
        if isinstance(value, str):
            return tokeniser.token("other", value)
        return tokeniser.tokenise({"value": value}).document["value"]
    except Untokenisable:
        return REMOVED


class _Pieces:
    """Tokenises an event piece by piece: what is too deep, too long or too much is left out."""

    def __init__(self, tokeniser: PiiTokeniser, event: Any) -> None:
        self._tokeniser = tokeniser
        self._names: list[str] = []
        self._gather(event, False, 0)

    def of(self, value: Any, depth: int = 0) -> Any:
        """As much as can be tokenised of a value."""
        if depth > _DEPTH:
            return REMOVED
        if isinstance(value, dict):
            new: dict[str, Any] = {}
            for name, item in list(value.items())[:_MOST]:
                new |= self._item(name, item, depth)
            return new
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in value[:_MOST]]
        return next(iter(self._item("value", value, depth).values()), REMOVED)

    def _item(self, name: str, item: Any, depth: int) -> dict[str, Any]:
        """One field, under its name, which says whether the value is a person's; nothing where the name cannot be told."""
        whole = self._tokenised({name: item})
        if whole is not None:
            return whole
        empty = self._tokenised({name: None})
        if not empty:
            return {}
        inner = self.of(item, depth + 1) if isinstance(item, dict | list) else REMOVED
        return dict.fromkeys(empty, inner)

    def _tokenised(self, field: dict[str, Any]) -> dict[str, Any] | None:
        """A field with tokens, beside the names that the rest of the event gives; None where it cannot be."""
        beside = next(key for key in ("names", "surnames") if key not in field)
        try:
            document = self._tokeniser.tokenise({beside: self._names, **field}).document
        except Untokenisable:
            return None
        return {name: value for name, value in document.items() if name != beside}

    def _gather(self, value: Any, is_name: bool, depth: int) -> None:
        """The names in fields of names, so that they are found in every piece."""
        if len(self._names) >= _NAMES or depth > _DEPTH:
            return
        if isinstance(value, dict):
            for name, item in list(value.items())[:_MOST]:
                rule = self._tokeniser.rule(name)
                self._gather(item, rule is not None and rule.kind == "name", depth + 1)
        elif isinstance(value, list):
            for item in value[:_MOST]:
                self._gather(item, is_name, depth + 1)
        elif is_name and isinstance(value, str) and len(value) <= _LONGEST:
            self._names.append(value)
