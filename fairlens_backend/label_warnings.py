"""What is said of labels that the model does not declare: how many, and never which; a label may be anything."""

from collections.abc import Mapping
from typing import Any, Final

UNDECLARED: Final = "Expected one of the labels that the model declares as favourable or as unfavourable"
_ODD: Final = (
    "counted as unfavourable: not among the favourable labels that the model declares, nor a customary opposite of one. With"
    " `unfavourable` declared, any other label is set aside instead"
)


def of(odd: Mapping[str, int], undeclared: int = 0) -> dict[str, Any]:
    """`warnings` by field, and `undeclared`; what there is none of is not there.

    Parameters
    ----------
    odd : by field how many events have a label that nobody declared and that counts as unfavourable
    undeclared : late labels that were not joined, since the model declares both classes and they are in neither
    """
    warnings = [{"field": name, "n_events": n, "message": _ODD} for name, n in sorted(odd.items()) if n]
    said: dict[str, Any] = {"undeclared": undeclared} if undeclared else {}
    return said | ({"warnings": warnings} if warnings else {})
