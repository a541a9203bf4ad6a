"""What is said of labels that the model does not declare: how many, and never which; a label may be anything."""

from collections.abc import Mapping
from typing import Any, Final

from fairlens_backend.core import label_words

UNDECLARED: Final = "Expected one of the labels that the model declares as favourable or as unfavourable"
_ODD: Final = (
    "counted as unfavourable: not among the favourable labels that the model declares, nor a customary opposite of one. With"
    " `unfavourable` declared, any other label is set aside instead"
)
_NOT_JOINED: Final = (
    "not joined: not among the labels that the model declares as favourable or as unfavourable. The event is counted without a"
    " true outcome; send one of these labels to POST /v1/predictions/ground_truth"
)
_EARLY: Final = {
    label_words.ODD: f"a label that came before its event is {_ODD}",
    label_words.UNDECLARED: f"a label that came before its event is {_NOT_JOINED}",
}


def of(odd: Mapping[str, int], undeclared: int = 0, early: Mapping[str, int] | None = None) -> dict[str, Any]:
    """`warnings` by field, and `undeclared`; what there is none of is not there.

    Parameters
    ----------
    odd : by field how many events have a label that nobody declared and that counts as unfavourable
    undeclared : late labels that were not joined, since the model declares both classes and they are in neither
    early : labels that came before their event and that nobody declared, by its id: what they mean, as of `core.label_words`
    """
    warnings: list[dict[str, Any]] = [
        {"field": name, "n_events": n, "message": _ODD} for name, n in sorted(odd.items()) if n
    ]
    for meaning, message in _EARLY.items():
        ids = [event_id for event_id, said in (early or {}).items() if said == meaning]
        if ids:
            warnings.append({"field": "label", "n_events": len(ids), "message": message, "event_ids": ids})
    said: dict[str, Any] = {"undeclared": undeclared} if undeclared else {}
    return said | ({"warnings": warnings} if warnings else {})
