"""What is counted together: a version of a model by its protected attributes, and the groups that occurred in it."""

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import insert, select

from fairlens_backend import config
from fairlens_backend.core.counts import MAX_GROUPS
from fairlens_backend.errors import InvalidInput
from fairlens_backend.storage.event_tables import CountGroup, CountSeries
from fairlens_backend.storage.session import current_session

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Series:
    """What is counted together: a version of a model by its protected attributes."""

    tenant: str
    model: str
    version: str
    attributes: tuple[str, ...]


_numbers: dict[str, dict[Series, int]] = {}
_by_number: dict[str, dict[int, Series]] = {}
_groups: dict[str, dict[int, dict[tuple[str, ...], int]]] = {}


def of_model(tenant: str, model: str, version: str | None = None) -> list[tuple[int, Series]]:
    """The series of a model with their numbers, oldest first."""
    wanted = select(CountSeries).where(CountSeries.tenant == tenant, CountSeries.model == model)
    if version is not None:
        wanted = wanted.where(CountSeries.version == version)
    rows = current_session().scalars(wanted.order_by(CountSeries.id))
    return [(row.id, _as_series(row)) for row in rows]


def by_id(number: int) -> Series:
    """The series with that number; a process remembers it, since it never changes."""
    known = _remembered(_by_number)
    if number not in known:
        known[number] = _as_series(current_session().get_one(CountSeries, number))
    return known[number]


def id_of(series: Series) -> int:
    """The number of a series; made when it is new. Behind the writers' lock; a process remembers it."""
    numbers = _remembered(_numbers)
    if series not in numbers:
        numbers[series] = _id_of(series)
    return numbers[series]


def remembered_groups(series_id: int, wanted: AbstractSet[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """The numbers of a series' groups, read anew where one is wanted that this process does not know. To be added to.

    Groups are never renumbered. What is remembered of a transaction that fails must be forgotten: `forget_memory`.
    """
    groups = _remembered(_groups)
    if series_id not in groups or not wanted <= groups[series_id].keys():
        groups[series_id] = groups_of(series_id)
    return groups[series_id]


def numbered(
    series_id: int, series: Series, there: AbstractSet[tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    """The numbers of a series' groups; those of `there` that are new get theirs. Behind the writers' lock.

    Raises
    ------
    InvalidInput : the series would have more than 20,000 groups
    """
    known = remembered_groups(series_id, there)
    new = sorted(there - known.keys())
    if len(known) + len(new) > MAX_GROUPS:
        raise InvalidInput(
            f"The protected attributes {', '.join(series.attributes)} would make more than {MAX_GROUPS} groups; an"
            " identifier is no protected attribute.",
            field="demographic_tags",
            got=len(known) + len(new),
            expected=f"at most {MAX_GROUPS} groups",
        )
    if new:
        added = [(group, number) for number, group in enumerate(new, len(known))]
        add_groups(series_id, added)
        known.update(added)
    return known


def forget_memory() -> None:
    """Drop what this process remembers."""
    _numbers.clear()
    _by_number.clear()
    _groups.clear()


def _remembered(memory: dict[str, dict[Key, Value]]) -> dict[Key, Value]:
    return memory.setdefault(config.current().sqlalchemy_url, {})


def _id_of(series: Series) -> int:
    session = current_session()
    named = json.dumps(list(series.attributes))
    found = session.scalars(
        select(CountSeries.id).where(
            CountSeries.tenant == series.tenant,
            CountSeries.model == series.model,
            CountSeries.version == series.version,
            CountSeries.attributes == named,
        )
    ).first()
    if found is not None:
        return found
    row = CountSeries(tenant=series.tenant, model=series.model, version=series.version, attributes=named)
    session.add(row)
    session.flush()
    return row.id


def groups_of(series_id: int) -> dict[tuple[str, ...], int]:
    """The number of every group of a series."""
    rows = current_session().execute(
        select(CountGroup.labels, CountGroup.number).where(CountGroup.series_id == series_id)
    )
    return {tuple(row.labels): row.number for row in rows}


def add_groups(series_id: int, groups: Iterable[tuple[tuple[str, ...], int]]) -> None:
    """Keep the numbers of new groups."""
    rows = [{"series_id": series_id, "number": n, "labels": list(labels)} for labels, n in groups]
    if rows:
        current_session().execute(insert(CountGroup), rows)


def _as_series(row: CountSeries) -> Series:
    return Series(row.tenant, row.model, row.version, tuple(json.loads(row.attributes)))
