"""Events that only the writer could refuse, behind its lock: their group has no room, or their id is another model's."""

from collections.abc import Sequence

import numpy as np

from fairlens_backend.event_reader import Decisions, Refused
from fairlens_backend.storage.event_refusals import Unfit
from fairlens_backend.storage.events import EventColumns


def of(parts: Sequence[EventColumns]) -> list[Refused]:
    """What was refused of the parts of one request; their `origin` is the decisions and which of them were handed in."""
    found = []
    for part in parts:
        if part.refused:
            some, kept = part.origin
            places = np.flatnonzero(kept)
            found += [_refused(some, int(places[i]), unfit) for i, unfit in sorted(part.refused.items())]
    return found


def _refused(some: Decisions, i: int, unfit: Unfit) -> Refused:
    field = unfit.field
    if unfit.attribute is not None:
        field = some.values(unfit.attribute)[1](i)
    return Refused(some.index[i], [{"field": field, "message": unfit.message}], some.event(i))
