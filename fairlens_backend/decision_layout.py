"""Which column of a data set holds what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlens_backend.core.group_definitions import GroupDefinition


@dataclass(frozen=True)
class Layout:
    """Which column holds what, and which labels are favourable.

    `truth_favourable` None means: the same labels as the decision's.
    """

    decision: str
    protected: tuple[str, ...]
    favourable: tuple[Any, ...]
    truth: str | None = None
    truth_favourable: tuple[Any, ...] | None = None
    score: str | None = None
    id: str | None = None
    missing_values: tuple[Any, ...] = ()
    features: tuple[str, ...] = ()
    """columns that metrics on rows (9, 10, 17) compare people by; none when only counts are wanted"""
    definitions: Mapping[str, GroupDefinition] = field(default_factory=dict)
    """which values of a protected attribute make one group; without one each value is its own"""

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        named = [self.decision, self.truth, self.score, self.id, *self.protected, *self.features]
        return list(dict.fromkeys(name for name in named if name is not None))
