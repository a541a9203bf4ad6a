"""What is counted together: a version of a model by its protected attributes, and the groups that occurred in it."""

import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import insert, select

from fairlens_backend import config
from fairlens_backend.core.counts import MAX_GROUPS
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.storage.event_tables import CountGroup, CountSeries
from fairlens_backend.storage.session import current_session

Group = tuple[str, ...]
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
_groups: dict[str, dict[int, dict[Group, int]]] = {}
_values: dict[str, dict[int, tuple[int, list[set[str]]]]] = {}
"""of each attribute the values among so many groups"""


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


def remembered_groups(series_id: int, wanted: AbstractSet[Group]) -> dict[Group, int]:
    """The numbers of a series' groups; where one is wanted that this process does not know, the newer ones are read. Not to be changed.

    Groups are never renumbered. What is remembered of a transaction that fails must be forgotten: `forget_memory`.
    """
    groups = _remembered(_groups)
    known = groups.get(series_id, {})
    if not known or not wanted <= known.keys():
        # Replaced and never added to: other threads read it meanwhile.
        known = groups[series_id] = known | groups_of(series_id, len(known))
    return known


def numbered(series_id: int, there: Iterable[Group]) -> dict[Group, int]:
    """The numbers of a series' groups; those of `there` that are new get theirs, in that order. Behind the writers' lock.

    A group for which there is no room any more is not among them; why, says `no_room`.
    """
    wanted = dict.fromkeys(there)
    known = remembered_groups(series_id, wanted.keys())
    added: dict[Group, int] = {}
    for group in (one for one in wanted if one not in known):
        number = len(known) + len(added)
        if number >= MAX_GROUPS or crowded(series_id, known, group) is not None:
            continue
        added[group] = number
        for values, label in zip(_values_of(series_id, known), group, strict=True):
            values.add(label)
    if added:
        add_groups(series_id, added.items())
        known = _remembered(_groups)[series_id] = known | added
        _remembered(_values)[series_id] = (len(known), _remembered(_values)[series_id][1])
    return known


def crowded(series_id: int, known: Mapping[Group, int], group: Group) -> int | None:
    """The place of the first attribute that has as many values already as it may have, and not this group's; None where all fit.

    Parameters
    ----------
    known : the groups of the series, as `remembered_groups` gives them

    "unknown" is no value: a decision whose attribute is absent is always counted.
    """
    most = config.current().max_attribute_groups
    for place, (values, label) in enumerate(zip(_values_of(series_id, known), group, strict=True)):
        if label not in values and label != UNKNOWN and len(values) - (UNKNOWN in values) >= most:
            return place
    return None


def no_room(series: Series, place: int | None) -> str:
    """What was expected of a group that cannot be taken, in words; of the attribute at that place, or of all together."""
    most = config.current().max_attribute_groups
    if place is None:
        return f"Expected groups of which there are at most {MAX_GROUPS} of {', '.join(series.attributes)} together"
    return (
        f"Expected one of the {most} values that {series.attributes[place]} has already, which are the most that a"
        " protected attribute may have (MAX_ATTRIBUTE_GROUPS): a number or name of each decision is no group"
    )


def forget_memory() -> None:
    """Drop what this process remembers."""
    _numbers.clear()
    _by_number.clear()
    _groups.clear()
    _values.clear()


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


def groups_of(series_id: int, from_number: int = 0) -> dict[Group, int]:
    """The number of every group of a series, from one number on."""
    rows = current_session().execute(
        select(CountGroup.labels, CountGroup.number).where(
            CountGroup.series_id == series_id, CountGroup.number >= from_number
        )
    )
    return {tuple(row.labels): row.number for row in rows}


def _values_of(series_id: int, known: Mapping[Group, int]) -> list[set[str]]:
    """The values of each attribute among the groups of a series. To be added to."""
    n, values = _remembered(_values).get(series_id, (-1, []))
    if n != len(known) or not values:
        values = [set(column) for column in zip(*known, strict=True)]
        values = values or [set() for _ in by_id(series_id).attributes]
        _remembered(_values)[series_id] = (len(known), values)
    return values


def add_groups(series_id: int, groups: Iterable[tuple[Group, int]]) -> None:
    """Keep the numbers of new groups."""
    rows = [{"series_id": series_id, "number": n, "labels": list(labels)} for labels, n in groups]
    if rows:
        current_session().execute(insert(CountGroup), rows)


def _as_series(row: CountSeries) -> Series:
    return Series(row.tenant, row.model, row.version, tuple(json.loads(row.attributes)))
