"""Protected attribute unknown: expected counts, weighted estimates and sharp bounds from P(g | row) (STATISTICS section 6)."""

from fairlens_backend.core.proxies.bounds import RateBounds, rate_bounds
from fairlens_backend.core.proxies.estimates import estimate_with_proxies
from fairlens_backend.core.proxies.soft_counts import SoftCounts

__all__ = ["RateBounds", "SoftCounts", "estimate_with_proxies", "rate_bounds"]
