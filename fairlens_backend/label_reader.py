"""Bodies of labels: true outcomes, each with the id of its event, one by one or as two columns."""

from typing import Any, Final

import msgspec

from fairlens_backend.core.labels import canonical_label
from fairlens_backend.errors import InvalidInput
from fairlens_backend.event_problems import invalid, malformed, require_ids
from fairlens_backend.schemas.events import LabelList, LabelTable

_LABELS: Final = msgspec.json.Decoder(LabelList)
_LABEL_TABLE: Final = msgspec.json.Decoder(LabelTable)


def read_labels(body: bytes) -> tuple[list[str], list[Any]]:
    """The ids of events and their labels, side by side.

    Raises
    ------
    MalformedInput, InvalidInput : not `labels`, nor the columns `event_id` and `label` of equal length, or a label is empty
    """
    ids, labels = _read(body)
    require_ids(ids, "labels.{}.event_id")
    if any(canonical_label(label) is None for label in set(labels)):
        place = next(i for i, label in enumerate(labels) if canonical_label(label) is None)
        raise InvalidInput(
            f"labels.{place}.label is empty; a label was expected.",
            field=f"labels.{place}.label",
            expected="a label",
        )
    return ids, labels


def _read(body: bytes) -> tuple[list[str], list[Any]]:
    keys: dict[str, msgspec.Raw] = {}
    try:
        keys = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "event_id" not in keys:
            items = _LABELS.decode(body).labels
            return [item.event_id for item in items], [item.label for item in items]
        table = _LABEL_TABLE.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(error, body, LabelTable if "event_id" in keys else LabelList) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    if len(table.event_id) != len(table.label):
        raise InvalidInput(
            f"label has {len(table.label)} values, event_id has {len(table.event_id)}.",
            field="label",
            got=len(table.label),
            expected=f"{len(table.event_id)} values",
        )
    return table.event_id, list(table.label)
