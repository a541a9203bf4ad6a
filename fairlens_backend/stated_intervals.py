"""Compares the intervals and p-values that audits state with those that the whole engine computes from their counts."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from fairlens_backend.audit_bodies import AuditBody, Fault, ShortBody, long_body, misstated
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.policy import Policy
from fairlens_backend.errors import FairLensError
from fairlens_backend.evidence_bundle import Wrong

RECOMPUTED: Final = ("lower", "upper", "p_value")


def interval_faults(some: Sequence[tuple[int, AuditBody | ShortBody]]) -> list[Fault]:
    """The first audit that states other limits or p-values than the whole engine gives."""
    for index, body in some:
        try:
            _compare_intervals(index, body)
        except Wrong as wrong:
            return [(index, wrong)]
    return []


def _compare_intervals(index: int, stated_body: AuditBody | ShortBody) -> None:
    try:
        body = long_body(stated_body) if isinstance(stated_body, ShortBody) else stated_body
        settings = body.settings
        if settings is None:  # without counts, of which `add` has made sure
            return
        made = assess(
            CountTable.from_dict(msgspec.to_builtins(body.counts)),
            settings.protected_attributes,
            settings.reference_groups,
            Policy(**settings.policy),
            seed=settings.seed,
            n_resamples=settings.n_resamples,
        )
    except (FairLensError, LookupError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise Wrong(f"Entry {index}: its audit cannot be computed anew: {error}.") from error
    for stated in body.figures:
        if stated.basis != "counts":
            continue
        figure = made["attributes"][stated.attribute][stated.metric]
        given = {**(figure["confidence_interval"] or {}), "p_value": figure["p_value"]}
        for name in RECOMPUTED:
            said, found = getattr(stated, name), given.get(name)
            # Limits are rounded to 1e-9, so two machines may round a half to different sides.
            if not _equal(said, math.nan if found is None else found, 2e-9):
                raise misstated(index, f"{name} of {stated.metric} of {stated.attribute}", said, found)


def _equal(said: float | None, given: float, tolerance: float) -> bool:
    if said is None or math.isnan(given):
        return said is None and math.isnan(given)
    return abs(said - given) <= tolerance * max(1.0, abs(given))
