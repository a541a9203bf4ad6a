"""What only the writer can tell of events, behind its lock: that one cannot be taken, and what the label is that waited for it."""

from collections.abc import Sequence

import numpy as np

from fairlens_backend.errors import InvalidInput
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


def raise_first(refused: Sequence[Refused]) -> None:
    """Refuse a request of one event for what is wrong with it.

    Raises
    ------
    InvalidInput : there is one that is refused
    """
    for one in refused:
        first = one.errors[0]
        raise InvalidInput(
            f"{first['field']}: {first['message']}.",
            field=first["field"],
            expected=first["message"],
            problems=list(one.errors),
        )


def early_labels(parts: Sequence[EventColumns]) -> dict[str, int]:
    """By the id of an event what the label is that waited for it, where the model does not declare it (`core.label_words`)."""
    found = {}
    for part in parts:
        if part.early:
            some, kept = part.origin
            places = np.flatnonzero(kept)
            found.update({some.event_id[int(places[i])]: said for i, said in sorted(part.early.items())})
    return found


def _refused(some: Decisions, i: int, unfit: Unfit) -> Refused:
    field = unfit.field
    if unfit.attribute is not None:
        field = some.values(unfit.attribute)[1](i)
    return Refused(some.index[i], [{"field": field, "message": unfit.message}], some.event(i))
