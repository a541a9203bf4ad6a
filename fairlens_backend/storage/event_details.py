"""What decisions say beside their outcome: ids, features, tags, thresholds, proxies; one compressed block a batch.

A block is made before the writers' lock, in the thread of the request, and written with the rows. Personal data are tokens
by then.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from fairlens_backend.storage import driver_sql
from fairlens_backend.storage.driver_sql import among, list_of

LEVEL: Final = 1
MAX_UNPACKED: Final = 256_000_000
_AT_ONCE: Final = 200
_ENCODER: Final = msgspec.json.Encoder()  # not msgpack, which has no integers beyond 64 bits

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Details:
    """Details of n decisions as columns.

    Parameters
    ----------
    key_version : of the token key that made the tokens
    event_id : n texts; None for a row that was erased, which then says nothing else either
    features, tags : columns of n values by name, or a list of n mappings where rows do not share their names; empty
        when nothing is kept
    threshold : n numbers or None; None when there is none
    use_case : n texts or None; None when there is none
    proxies : by attribute {"groups", "table_sha256", "p": n lists or None, "unknown", "quality", "basis": n values or None}
    """

    key_version: int
    event_id: Sequence[str | None]
    features: Columns | Sequence[Mapping[str, Any]] = field(default_factory=dict)
    tags: Columns | Sequence[Mapping[str, Any]] = field(default_factory=dict)
    threshold: Sequence[float | None] | None = None
    use_case: Sequence[str | None] | None = None
    proxies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.event_id)

    def take(self, rows: Sequence[int]) -> "Details":
        """Some of the rows."""
        return Details(
            self.key_version,
            [self.event_id[i] for i in rows],
            _some(self.features, rows),
            _some(self.tags, rows),
            None if self.threshold is None else [self.threshold[i] for i in rows],
            None if self.use_case is None else [self.use_case[i] for i in rows],
            {
                name: {key: [v[i] for i in rows] if key in PER_ROW else v for key, v in one.items()}
                for name, one in self.proxies.items()
            },
        )

    def without(self, rows: Collection[int]) -> "Details":
        """The same rows, some of which say nothing."""
        gone = set(rows)
        return Details(
            self.key_version,
            [None if i in gone else one for i, one in enumerate(self.event_id)],
            _blanked(self.features, gone),
            _blanked(self.tags, gone),
            None if self.threshold is None else _emptied(self.threshold, gone),
            None if self.use_case is None else _emptied(self.use_case, gone),
            {
                name: {key: _emptied(v, gone) if key in PER_ROW else v for key, v in one.items()}
                for name, one in self.proxies.items()
            },
        )


PER_ROW: Final = frozenset({"p", "unknown", "quality", "basis"})


@dataclass(frozen=True)
class Draft:
    """Details ready to be written: packed in blocks of at most `block` rows, in order."""

    details: Details
    block: int
    packed: list[bytes]

    @classmethod
    def of(cls, details: Details, block: int) -> "Draft":
        """Pack them."""
        n = len(details)
        whole = (
            [details]
            if n <= block
            else [details.take(range(i, min(i + block, n))) for i in range(0, n, block)]
        )
        return cls(details, block, [_pack(one) for one in whole])

    @property
    def key_version(self) -> int:
        """Of the token key in use when they were made."""
        return self.details.key_version

    def kept(self, fresh: npt.NDArray[np.bool_]) -> "Draft":
        """Those of the decisions that are taken."""
        if bool(fresh.all()):
            return self
        return Draft.of(self.details.take(np.flatnonzero(fresh).tolist()), self.block)


def write(batches: Sequence[tuple[int, int, bytes]]) -> None:
    """Keep the details of batches, in the transaction that writes their rows: (batch, key version, block)."""
    driver_sql.run_many(
        "INSERT INTO event_details (batch_id, key_version, content) VALUES (?, ?, ?)", batches
    )


def read(batches: Sequence[int]) -> Iterator[tuple[int, Details]]:
    """The details of batches that have some, by the batch's number; their rows are the batch's, in its order."""
    sql = "SELECT batch_id, key_version, content FROM event_details WHERE "
    for start in range(0, len(batches), _AT_ONCE):
        some = list_of(list(batches[start : start + _AT_ONCE]))
        for batch, version, content in driver_sql.rows(f"{sql}{among('batch_id')} ORDER BY batch_id", some):
            yield batch, _unpack(version, content)


def holding(
    tenant: str, tokens: Sequence[str], after: int, until: int, limit: int
) -> tuple[int | None, dict[int, tuple[list[int], list[str]]]]:
    """Rows of a tenant that hold one of some tokens, in at most `limit` batches behind `after` and before `until`.

    Returns
    -------
    the last batch that was looked at (None when none was left), and by batch the rows' places in it and their ids
    """
    sql = (
        "SELECT event_details.batch_id, event_details.content FROM event_details"
        " JOIN event_batches ON event_batches.id = event_details.batch_id"
        " JOIN count_series ON count_series.id = event_batches.series_id"
        " WHERE count_series.tenant = ? AND event_details.batch_id > ? AND event_details.batch_id < ?"
        " ORDER BY event_details.batch_id LIMIT ?"
    )
    needles, last = [one.encode() for one in tokens], None
    found: dict[int, tuple[list[int], list[str]]] = {}
    for batch, content in driver_sql.rows(sql, tenant, after, until, limit):
        last = batch
        plain = zstandard.ZstdDecompressor().decompress(content, max_output_size=MAX_UNPACKED)
        # A token is letters, digits, dashes and underscores, which JSON spells as they are.
        if any(one in plain for one in needles):
            details = Details(0, **msgspec.json.decode(plain))
            said = [_ENCODER.encode(_said(details, i)) for i in range(len(details))]
            rows = [i for i, text in enumerate(said) if any(one in text for one in needles)]
            if rows:
                found[batch] = rows, [details.event_id[i] or "" for i in rows]
    return last, found


def blank(rows: Mapping[int, Collection[int]]) -> None:
    """Take what some rows of batches say out of the blocks. A block of which nothing is left stays, and says of its rows that
    they were erased."""
    for batch, details in read(sorted(rows)):
        kept = _pack(details.without(rows[batch]))
        driver_sql.run("UPDATE event_details SET content = ? WHERE batch_id = ?", kept, batch)


def column(details: Details, name: str) -> list[Any]:
    """One feature of all rows of a batch; None where it was not sent."""
    features = details.features
    if isinstance(features, Mapping):
        return list(features.get(name) or [None] * len(details))
    return [row.get(name) for row in features] if features else [None] * len(details)


def names(details: Details) -> set[str]:
    """The names of all features that rows of a batch have."""
    features = details.features
    return set(features) if isinstance(features, Mapping) else set().union(*features)


def _pack(details: Details) -> bytes:
    content = {
        name: value for name, value in vars(details).items() if value is not None and name != "key_version"
    }
    return zstandard.compress(_ENCODER.encode(content), LEVEL)


def _unpack(key_version: int, block: bytes) -> Details:
    content = zstandard.ZstdDecompressor().decompress(block, max_output_size=MAX_UNPACKED)
    return Details(key_version, **msgspec.json.decode(content))


def _some(values: Any, rows: Sequence[int]) -> Any:
    if isinstance(values, Mapping):
        return {name: [column[i] for i in rows] for name, column in values.items()}
    return [values[i] for i in rows] if values else values


def _said(details: Details, i: int) -> list[Any]:
    """All that one row says; a field that it does not have is not named."""
    tables = [details.features, details.tags]
    rows = [
        {name: column[i] for name, column in one.items() if column[i] is not None}
        if isinstance(one, Mapping)
        else one[i]
        if one
        else {}
        for one in tables
    ]
    return [details.event_id[i], *rows, None if details.use_case is None else details.use_case[i]]


def _emptied(column: Sequence[Any] | None, gone: set[int]) -> list[Any] | None:
    return None if column is None else [None if i in gone else one for i, one in enumerate(column)]


def _blanked(table: Any, gone: set[int]) -> Any:
    """A table of which some rows say nothing; a column that only they had is left out with its name."""
    if not isinstance(table, Mapping):
        return [{} if i in gone else row for i, row in enumerate(table)]
    columns = {name: _emptied(column, gone) for name, column in table.items()}
    return {name: column for name, column in columns.items() if any(one is not None for one in column or [])}
