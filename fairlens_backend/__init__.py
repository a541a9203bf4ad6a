"""FairLens: watches the decisions of deployed models and says, with evidence, when they become unfair."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlens_backend.library import AuditResult, audit

__version__ = "0.1.0"
__all__ = ["AuditResult", "__version__", "audit"]


def __getattr__(name: str) -> Any:
    """`from fairlens_backend import audit`, loaded when asked for: every other room imports this package too."""
    if name in ("audit", "AuditResult"):
        from fairlens_backend import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
