"""What happens to events between reading and counting: personal data becomes tokens, absent attributes get proxies.

Proxies are probabilities. They are kept with an event's details and never decide its group: an event whose attribute is
absent is counted as "unknown", whatever a proxy says.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from fairlens_backend import config, erasure_keys, privacy_keeper, security_utils, telemetry
from fairlens_backend.core.enrich.attribute_groups import RACE, SEX
from fairlens_backend.core.enrich.pii_columns import ColumnScanner, Scanned
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser, Untokenisable
from fairlens_backend.core.enrich.proxy_distribution import ProxyDistribution
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.errors import ConfigurationError, InvalidInput
from fairlens_backend.event_reader import Decisions
from fairlens_backend.privacy_keeper import Privacy
from fairlens_backend.storage import erased_ids
from fairlens_backend.storage.event_details import Details

MAX_TOKENISERS: Final = 64
MAX_NAMES: Final = 500
MAX_PROXIES: Final = 20_000
_STANDS_FOR: Final = {"gender": SEX, "race": RACE, "income_bracket": frozenset({"income_bracket"})}
_READ_FROM: Final = {"gender": ("first_name",), "race": ("surname", "zip"), "income_bracket": ("zip",)}

_made: OrderedDict[tuple[Any, ...], tuple[PiiTokeniser, ColumnScanner]] = OrderedDict()
_distributions: dict[tuple[Any, ...], ProxyDistribution] = {}


@dataclass
class Enriched:
    """Events without personal data.

    Parameters
    ----------
    details : of all n events; those of refused ones are to be left out
    wrong : what cannot be tokenised, by place: the field's path and why
    tokenised : by place the documents that were changed, {"event_id", "features", "demographic_tags"}
    """

    details: Details
    wrong: dict[int, dict[str, str]]
    tokenised: dict[int, dict[str, Any]]


class Enricher:
    """Enriches the events of one tenant, by its switches of this moment."""

    def __init__(self, tenant: str, privacy: Privacy) -> None:
        self.privacy = privacy
        self.tokeniser, self._scanner = _tokeniser(tenant, privacy)

    @classmethod
    def of(cls, tenant: str, now: datetime) -> "Enricher":
        """By the tenant's switches."""
        return cls(tenant, privacy_keeper.of(tenant, now))

    def clean_label(self, attribute: str, label: str) -> str:
        """A group's label without personal data."""
        if label == UNKNOWN:
            return label
        document = self.tokeniser.tokenise({attribute: label}).document
        return str(next(iter(document.values())))

    def enrich(self, some: Decisions, is_word: Callable[[str, Any], bool], keep_features: bool) -> Enriched:
        """Replace what is personal in ids, features and tags.

        Parameters
        ----------
        is_word : whether a value of an attribute is a known word for a group, and so nobody's name
        keep_features : whether features and tags are to be kept
        """
        n = len(some.event_id)
        kept = keep_features and self.privacy.store_features and config.current().store_features
        # Looked through whether kept or not: an id or a label may hold a name that only a feature tells to be one.
        features: Any = some.features
        tags: Any = some.tags
        ids = list(some.event_id)
        if self.tokeniser.has_former:
            features, tags, ids = [self._renewed(one) for one in (features, tags, ids)]
        columns = [_as_columns(table) for table in (features, tags)]
        scanned = Scanned(set(range(n)), [{}, {}])
        if columns[0] is not None and columns[1] is not None:
            scanned = self._scanner.scan([columns[0], columns[1]], some.event_id)
        rows = scanned.rows
        wrong: dict[int, dict[str, str]] = {}
        tokenised: dict[int, dict[str, Any]] = {}
        for i in sorted(rows):
            document = {
                "event_id": some.event_id[i],
                "features": _row(features, i),
                "demographic_tags": _row(tags, i),
            }
            try:
                new = self._tokenised(document, is_word)
            except Untokenisable as error:
                wrong[i] = {"field": str(error.details["field"]), "message": error.message}
                continue
            if new is not document:
                tokenised[i] = new
        for i, new in tokenised.items():
            ids[i] = str(new["event_id"])
        if kept:
            parts = (("features", features), ("demographic_tags", tags))
            features, tags = (
                _replaced(table, columns, {i: one[part] for i, one in tokenised.items()}, n)
                for (part, table), columns in zip(parts, scanned.written, strict=True)
            )
        else:
            features, tags = {}, {}
        version = self.privacy.token_key_version
        details = Details(version, ids, features, tags, some.threshold, some.use_case)
        return Enriched(details, wrong, tokenised)

    def proxies(
        self, some: Decisions, protected: Sequence[str], unknown: Mapping[str, Sequence[int]]
    ) -> dict[str, Any]:
        """The distributions of the events whose attribute is absent, as `Details.proxies` wants them.

        Parameters
        ----------
        protected : the declared attributes
        unknown : for each the places of the events that do not have it
        """
        n = len(some.event_id)
        made: dict[str, Any] = {}
        for proxy in sorted(self.privacy.proxies):
            declared = [name for name in protected if name.casefold() in _STANDS_FOR[proxy]]
            for attribute in declared or [proxy]:
                rows = unknown.get(attribute, range(n)) if declared else range(n)
                one = self._column(proxy, some, rows, n)
                if one is not None:
                    made[attribute] = one
        return made

    def _column(self, proxy: str, some: Decisions, rows: Sequence[int], n: int) -> dict[str, Any] | None:
        try:
            tables = privacy_keeper.tables_of(proxy) if len(rows) else None
        except (ConfigurationError, InvalidInput) as error:
            # Decisions are counted without them: a table that was removed is no fault of the sender's.
            telemetry.log("PROXY_TABLES_MISSING", level="error", proxy=proxy, error=type(error).__name__)
            return None
        found: list[ProxyDistribution | None] = [None] * n
        parts = [self._field(some, part) for part in _READ_FROM[proxy]]
        for i in rows:
            given = tuple(column[i] for column in parts)
            if any(value is not None for value in given):
                found[i] = _distribution(proxy, tables, given)
        first = next((one for one in found if one is not None), None)
        if first is None:
            return None
        groups = list(first.probabilities)
        return {
            "groups": groups,
            "table_sha256": first.table_sha256,
            "p": [None if one is None else [one.probabilities[group] for group in groups] for one in found],
            "unknown": [None if one is None else one.unknown for one in found],
            "quality": [None if one is None else one.proxy_quality_score for one in found],
            "basis": [None if one is None else list(one.basis) for one in found],
        }

    def _field(self, some: Decisions, part: str) -> list[Any]:
        """What proxies are read from, of each event, as it came; a token of this tenant is read back."""
        n = len(some.event_id)
        found: list[Any] = [None] * n
        for name in self.privacy.fields.get(part, ()):
            column, _ = some.values(name)
            found = [new if old is None else old for old, new in zip(found, column, strict=True)]
        return [
            self._opened(value) if type(value) is str and value.startswith("tok_") else _plain(value)
            for value in found
        ]

    def _renewed(self, table: Any) -> Any:
        """The same with tokens of a former key, which somebody sends back, as tokens of the one in use."""
        packed = msgspec.json.encode(table)
        text = packed.decode() if b"tok_" in packed else ""
        new = self.tokeniser.renewed(text)
        return table if new == text else msgspec.json.decode(new)

    def _opened(self, token: str) -> str | None:
        try:
            return self.tokeniser.detokenise(token)
        except InvalidInput:
            return None

    def _tokenised(self, document: dict[str, Any], is_word: Callable[[str, Any], bool]) -> dict[str, Any]:
        """The document with tokens; the same one where nothing was found. A known word for a group is nobody's name."""
        words = [
            (part, name, value)
            for part in ("features", "demographic_tags")
            for name, value in document[part].items()
            if type(value) is str and is_word(name, value)
        ]
        if words:
            inner = {part: dict(document[part]) for part in ("features", "demographic_tags")}
            for part, name, _ in words:
                inner[part][name] = None
            result = self.tokeniser.tokenise({**document, **inner})
        else:
            result = self.tokeniser.tokenise(document)
        if not result.found:
            return document
        new: dict[str, Any] = result.document
        for part, name, value in words:
            new[part][name] = value
        return new


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _tokeniser(tenant: str, privacy: Privacy) -> tuple[PiiTokeniser, ColumnScanner]:
    key, former = security_utils.token_keys(tenant, privacy.token_key_version)
    regions = tuple(part.strip() for part in config.current().phone_regions.split(",") if part.strip())
    names = {one: "name" for part in ("first_name", "surname") for one in privacy.fields.get(part, ())}
    fields = {**names, **privacy.personal_fields}
    known = (key, former, regions, tuple(sorted(fields.items())))
    found = _made.get(known)
    if found is None:
        tokeniser = PiiTokeniser(key, fields=fields, regions=regions, former=former)
        found = _made[known] = (tokeniser, ColumnScanner(tokeniser))
        while len(_made) > MAX_TOKENISERS:
            _made.popitem(last=False)
    return found


def _distribution(proxy: str, tables: Any, given: tuple[Any, ...]) -> ProxyDistribution:
    key = (proxy, tables.sha256, given)
    found = _distributions.get(key)
    if found is None:
        if len(_distributions) >= MAX_PROXIES:
            _distributions.clear()
        found = _distributions[key] = tables.proxy(*given)
    return found


def _as_columns(table: Any) -> Mapping[str, Sequence[Any]] | None:
    """Columns of what may be a list of mappings; None where these have too many names for columns."""
    if isinstance(table, Mapping):
        return table
    names = set().union(*table)
    return {name: [row.get(name) for row in table] for name in names} if len(names) <= MAX_NAMES else None


def _row(table: Any, i: int) -> dict[str, Any]:
    return (
        {name: column[i] for name, column in table.items()}
        if isinstance(table, Mapping)
        else table[i]
        if table
        else {}
    )


def _replaced(
    table: Any, columns: Mapping[str, list[Any]], rows: Mapping[int, dict[str, Any]], n: int
) -> Any:
    """The table with some columns and some rows in their new form; columns where all rows have the same names."""
    if not len(table) or not (rows or columns):
        return table
    if isinstance(table, Mapping):
        table = {**table, **columns}
        if all(row.keys() == table.keys() for row in rows.values()):
            new = {name: list(column) for name, column in table.items()} if rows else table
            for i, row in rows.items():
                for name, value in row.items():
                    new[name][i] = value
            return new
        return [rows[i] if i in rows else _row(table, i) for i in range(n)]
    return [
        rows[i]
        if i in rows
        else {name: columns[name][i] if name in columns else value for name, value in row.items()}
        for i, row in enumerate(table)
    ]


# Whoever takes events passes here: storage learns who knows the key by which it refuses erased ones.
erased_ids.ask_for_key(erasure_keys.id_key)
os.register_at_fork(after_in_child=_distributions.clear)
