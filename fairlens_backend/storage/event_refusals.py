"""What only the writer can tell of a decision: that there is no room for its group, or that its id is another model's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from fairlens_backend.storage import count_series, driver_sql, event_ids
from fairlens_backend.storage.count_series import Group, Series
from fairlens_backend.storage.driver_sql import among, list_of

_AT_ONCE: Final = 400
_TAKEN: Final = (
    "Expected an id that no decision of another model of this tenant has; an id counts once within its tenant"
)


@dataclass(frozen=True)
class Unfit:
    """Why a decision cannot be taken.

    Parameters
    ----------
    field : of the event; where an attribute is named, that attribute's
    """

    message: str
    field: str = "demographic_tags"
    attribute: str | None = None


class Columns(Protocol):
    """What is looked at of `events.EventColumns`."""

    series: Series
    digests: list[bytes]
    codes: npt.NDArray[np.int64]
    groups: list[Group]
    fresh: npt.NDArray[np.bool_]
    refused: dict[int, Unfit]


def number_groups(part: Columns) -> npt.NDArray[np.int64]:
    """The number of each of the part's groups in its series; groups that are new there get theirs.

    Decisions of a group for which there is no room are refused, and no longer `fresh`.
    """
    series_id, codes = count_series.id_of(part.series), part.codes[part.fresh]
    # Groups are listed as they occur: where there is room for some, the first ones get it.
    known = count_series.numbered(series_id, [part.groups[code] for code in sorted(set(codes.tolist()))])
    numbers = np.array([known.get(group, -1) for group in part.groups], dtype=np.int64)
    if (numbers[codes] < 0).any():
        without = part.fresh & (numbers[part.codes] < 0)
        for i in np.flatnonzero(without).tolist():
            place = count_series.crowded(series_id, known, part.groups[part.codes[i]])
            name = None if place is None else part.series.attributes[place]
            part.refused[i] = Unfit(count_series.no_room(part.series, place), attribute=name)
        part.fresh = part.fresh & ~without
    return numbers


def refuse_ids_of_others(parts: Sequence[Columns], places: npt.NDArray[np.int64]) -> None:
    """Refuse decisions whose id, by where it is or by an earlier part of this call, is one of another model.

    Parameters
    ----------
    places : of the ids of all parts, as `event_ids.find` gives them
    """
    models = _models_at(
        {int(one) >> event_ids.POSITION_BITS for one in places.tolist() if one > event_ids.ERASED}
    )
    first: dict[bytes, str] = {}
    start = 0
    for part in parts:
        for i, digest in enumerate(part.digests):
            place = int(places[start + i])
            own = first.setdefault(digest, part.series.model)
            there = own if place == event_ids.NOT_SEEN else models.get(place >> event_ids.POSITION_BITS)
            if not part.fresh[i] and there not in (None, part.series.model):
                part.refused[i] = Unfit(_TAKEN, field="event_id")
        start += len(part.digests)


def _models_at(batches: set[int]) -> dict[int, str]:
    """The model of each batch that is still there."""
    found: dict[int, str] = {}
    wanted = sorted(batches)
    for start in range(0, len(wanted), _AT_ONCE):
        rows = driver_sql.rows(
            f"SELECT id, series_id FROM event_batches WHERE {among('id')}",
            list_of(wanted[start : start + _AT_ONCE]),
        )
        found.update((batch, count_series.by_id(series).model) for batch, series in rows)
    return found
