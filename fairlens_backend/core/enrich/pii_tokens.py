"""Personal data replaced by tokens: equal within a tenant, reversible with the tenant's key, or refused."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from fairlens_backend.core.enrich.pii_finder import KINDS, Finder, plain, suspicious
from fairlens_backend.core.enrich.pii_walk import KEEP, Limits, Rule, Untokenisable, Walk, refused
from fairlens_backend.errors import InvalidInput

_TOKEN: Final = re.compile(rf"tok_({'|'.join(KINDS)})_([A-Za-z0-9_-]{{44,}})")
_BLOCK: Final = 16
_MAX_BLOCKS: Final = 64
_CONTEXT: Final = b"fairlens personal data 1"
_REMEMBERED_KEYS: Final = 4_096
_LONG_KEY: Final = 200

__all__ = ["KEEP", "KINDS", "Limits", "PiiTokeniser", "Tokenised", "Untokenisable"]


class Tokenised(NamedTuple):
    """A document without personal data, and how many pieces of each kind it had."""

    document: Any
    found: dict[str, int]


class PiiTokeniser:
    """Replaces personal data by tokens `tok_<kind>_<base64url>`, the same for the same value under one key.

    Found are e-mail addresses, telephone, social security and card numbers and IP addresses wherever they stand; names in
    fields that are called so (`kind_of_key`), where the same event repeats them in its texts, and after "Mr", "name is"
    and the like. Any other name in a free text stays: no list of names tells "May" from May.

    Parameters
    ----------
    key : 32, 48 or 64 bytes, one tenant's
    former : keys that made the tenant's tokens before: a token of one of these that is met becomes one of `key`
    fields : {field: kind}; the whole value of such a field becomes a token of that kind, whatever it looks like.
        `KEEP` in place of a kind leaves it as it is. Fields are matched by name without difference of case, at any depth.
    regions : ISO 3166 codes of the countries whose national telephone numbers are expected
    kinds : of `KINDS`, those wanted
    limits : beyond which a document is refused

    Raises
    ------
    ConfigurationError
        The extra `enrich` is not installed, or a region is none.
    InvalidInput
        The key is of another length, or a kind is none.

    Examples
    --------
    >>> tokeniser = PiiTokeniser(bytes(32))
    >>> event = {"age": 41, "note": "write to Ann.Lee@Example.org", "first_name": "Ann"}
    >>> stored = tokeniser.tokenise(event)
    >>> stored.found, stored.document["age"]
    ({'email': 1, 'name': 1}, 41)
    >>> tokeniser.detokenise(stored.document["note"].removeprefix("write to "))
    'ann.lee@example.org'

    Source: RFC 5297, AES-SIV; the kind is associated data, so no token passes for one of another kind.
    """

    def __init__(
        self,
        key: bytes,
        *,
        fields: Mapping[str, str] | None = None,
        regions: tuple[str, ...] = ("US",),
        kinds: Iterable[str] = KINDS,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        former: Iterable[bytes] = (),
    ) -> None:
        wanted = tuple(kinds)
        for kind in (*wanted, *(fields or {}).values()):
            if kind not in (*KINDS, KEEP):
                raise InvalidInput(
                    f"{kind!r} is no kind of personal data; there are {', '.join(KINDS)}",
                    field="kind",
                    got=kind,
                )
        all_keys = (key, *former)
        for one in all_keys:
            if len(one) not in (32, 48, 64):
                raise InvalidInput(f"a key of {len(one)} bytes; 32, 48 or 64 were expected", field="key")
        self._siv, *self._former = [AESSIV(one) for one in all_keys]
        self._finder = Finder(wanted, regions)
        self._declared = {field.casefold(): kind for field, kind in (fields or {}).items()}
        self._limits = limits
        self.known_rules: dict[str, Rule] = {}

    @property
    def has_former(self) -> bool:
        """Whether tokens of a former key may be met."""
        return bool(self._former)

    def tokenise(self, document: Any) -> Tokenised:
        """A document of dicts, lists, texts, numbers, truth values and None, with its personal data as tokens.

        A document in which nothing was found is returned itself; one that was changed is new. Tokens of this key are left
        as they are, so a second pass changes nothing. Keys of dicts are read as texts are.

        Raises
        ------
        Untokenisable
            Another type, a key that is no text, or more than the limits allow; `field` is the path.
        """
        if type(document) is dict and self._is_clean(document):
            return Tokenised(document, {})
        walk = Walk(self, self._declared, self._limits)
        written = walk.over(document)
        return Tokenised(written, walk.found) if walk.found else Tokenised(document, {})

    def token(self, kind: str, value: str, path: str = "") -> str:
        """The token of one value, which is brought into its canonical form; a token of this key is returned as it is.

        Raises
        ------
        Untokenisable
            The value is longer than 1,000 bytes, or no Unicode text.
        """
        whole = _TOKEN.fullmatch(value)
        if whole is not None:
            opened = self._opened(whole)
            if opened is not None and opened[1] == len(value):
                return value if opened[2] else self._sealed(whole[1], opened[0], path)
        return self._sealed(kind, self._finder.canonical(kind, value), path)

    def detokenise(self, token: str) -> str:
        """The value behind a token, in its canonical form.

        Raises
        ------
        InvalidInput
            It is no token, or one of another key.
        """
        whole = _TOKEN.fullmatch(token)
        opened = self._opened(whole) if whole is not None else None
        if opened is None or opened[1] != len(token):
            raise InvalidInput("no token of this key", field="token", expected="tok_<kind>_<base64url>")
        return opened[0]

    def renewed(self, text: str) -> str:
        """A text, such as a whole JSON document, with each token of a former key as one of this key; the rest as it is.

        Examples
        --------
        >>> old, new = PiiTokeniser(bytes(32)), PiiTokeniser(bytes(31) + b"1", former=[bytes(32)])
        >>> new.renewed(old.token("name", "Ann")) == new.token("name", "Ann")
        True
        """
        parts: list[str] = []
        at = 0
        for match in _TOKEN.finditer(text):
            opened = self._opened(match) if match.start() >= at else None
            if opened is not None and not opened[2]:
                parts += [text[at : match.start()], self._sealed(match[1], opened[0], "")]
                at = match.start() + opened[1]
        return "".join([*parts, text[at:]]) if parts else text

    def text(
        self, text: str, path: str = "", *, bare: bool = True, names: re.Pattern[str] | None = None
    ) -> tuple[str, list[str]]:
        """A free text with its personal data as tokens, and the kinds that were found, one a piece.

        Parameters
        ----------
        path : where the text stands, for messages
        bare : whether ten digits without separators may be a telephone number
        names : names known from other fields
        """
        parts: list[str] = []
        kinds: list[str] = []
        at = 0
        for match in _TOKEN.finditer(text):
            opened = self._opened(match) if match.start() >= at else None
            if opened is not None:
                parts += [self._segment(text[at : match.start()], path, kinds, bare, names)]
                at = match.start() + opened[1]
                if opened[2]:
                    parts += [text[match.start() : at]]
                else:
                    kinds.append(match[1])
                    parts += [self._sealed(match[1], opened[0], path)]
        parts.append(self._segment(text[at:], path, kinds, bare, names))
        return ("".join(parts), kinds) if kinds else (text, kinds)

    def only_kind(self, text: str) -> str | None:
        """The kind of the one thing that a text consists of, such as an e-mail address for a user's name."""
        readable = plain(text).strip()
        found = self._finder.find(readable) if suspicious(readable) else []
        return found[0].kind if len(found) == 1 and found[0].end - found[0].start == len(readable) else None

    def rule(self, key: Any) -> Rule | None:
        """What the name of a field says, kept for the next event; None for a name that is personal data, or no text."""
        if type(key) is not str or len(key) > _LONG_KEY or (suspicious(key) and self.text(key)[1]):
            return None
        rule = Rule.of(key, self._declared)
        if len(self.known_rules) < _REMEMBERED_KEYS:
            self.known_rules[key] = rule
        return rule

    def wants(self, kind: str) -> bool:
        """Whether this kind is looked for."""
        return kind in self._finder.kinds

    def _is_clean(self, event: dict[Any, Any]) -> bool:
        """Whether a flat event has nothing to look at: the way of most events, so it is short."""
        rules, texts = self.known_rules, []
        for key, value in event.items():
            rule = rules.get(key) or self.rule(key)
            if rule is None:
                return False
            kind = rule.kind
            if value is None or value is True or value is False or kind == KEEP:
                continue
            if kind is not None and kind != "identifier":
                return False
            cls = type(value)
            if cls is str:
                texts.append(value)
            elif cls is int:
                if not -1_000_000_000 < value < 1_000_000_000:
                    return False
            elif cls is not float or value >= 1e12:
                return False
        joined = "\n".join(texts)
        return len(event) <= 500 and len(joined) <= 20_000 and not suspicious(joined)

    def _segment(
        self, text: str, path: str, kinds: list[str], bare: bool, names: re.Pattern[str] | None
    ) -> str:
        if not text:
            return text
        readable = plain(text)
        hits = self._finder.find(readable, bare=bare, names=names)
        if not hits:
            return text
        parts, at = [], 0
        for hit in hits:
            kinds.append(hit.kind)
            parts += [readable[at : hit.start], self._sealed(hit.kind, hit.canonical, path)]
            at = hit.end
        return "".join([*parts, readable[at:]])

    def _sealed(self, kind: str, value: str, path: str) -> str:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise refused(path, f"a value of kind {kind} that is no Unicode text") from None
        blocks = len(data) // _BLOCK + 1
        if blocks > _MAX_BLOCKS:
            raise refused(path, f"a value of kind {kind} of more than {_MAX_BLOCKS * _BLOCK} bytes")
        # Padded, so that a token does not tell the length of a name; the number of blocks says where it ends.
        padded = data + b"\x80" + bytes(blocks * _BLOCK - len(data) - 1)
        sealed = bytes([blocks]) + self._siv.encrypt(padded, [_CONTEXT, kind.encode()])
        return f"tok_{kind}_{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def _opened(self, match: re.Match[str]) -> tuple[str, int, bool] | None:
        """The value of a token, the token's length and whether it is of this key and no former one; None for what only
        looks like one.
        """
        kind, body = match[1], match[2]
        try:
            blocks = base64.urlsafe_b64decode(body[:4])[0]
            size = 1 + _BLOCK + blocks * _BLOCK
            length = -(-size * 4 // 3)
            if not 1 <= blocks <= _MAX_BLOCKS or len(body) < length:
                return None
            sealed = base64.urlsafe_b64decode(body[:length] + "=" * (-length % 4))
            siv, value = self._decrypted(sealed[1:], kind)
        except (InvalidTag, binascii.Error, ValueError):
            return None
        text = value.rstrip(b"\x00").removesuffix(b"\x80").decode()
        return text, match.start(2) - match.start() + length, siv is self._siv

    def _decrypted(self, sealed: bytes, kind: str) -> tuple[AESSIV, bytes]:
        for siv in (self._siv, *self._former):
            with suppress(InvalidTag):
                return siv, siv.decrypt(sealed, [_CONTEXT, kind.encode()])
        raise InvalidTag
