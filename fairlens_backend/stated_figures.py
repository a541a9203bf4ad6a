"""Compares the figures that audits state with those that their count tables give, many audits at a time."""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.figure_batches import Figure, Layout, Row, cells_of, figures
from fairlens_backend.core.policy import Policy
from fairlens_backend.errors import FairLensError
from fairlens_backend.evidence_bundle import Wrong

AT_ONCE: Final = 2_000
COUNTS_VERSION: Final = 1
TOLERANCE: Final = 1e-12
"""Between two machines the last bits of a division may differ; figures that differ by more were not computed from these counts."""
RECOMPUTED: Final = ("lower", "upper", "p_value")


class Counts(msgspec.Struct, frozen=True):
    """The count table of an audit's entry."""

    version: int
    attributes: tuple[str, ...]
    rows: list[Row]


class Settings(msgspec.Struct, frozen=True):
    """What an audit was computed with."""

    policy: dict[str, Any]
    protected_attributes: tuple[str, ...]
    reference_groups: dict[str, str]
    seed: int
    n_resamples: int


class Stated(msgspec.Struct, frozen=True):
    """A figure as an audit states it."""

    attribute: str | None
    metric: str
    basis: str
    value: float | None
    signed: float | None
    lower: float | None
    upper: float | None
    p_value: float | None


class AuditBody(msgspec.Struct, frozen=True):
    """The body of an AUDIT_COMPLETED entry, as far as it is checked.

    A check that was computed elsewhere has neither counts nor settings, and states no labelled_size.
    """

    audit_id: str
    model: str
    sample_size: int
    counts: Counts | None
    figures: list[Stated]
    model_audit_number: int
    previous_audit_index: int | None
    labelled_size: int | None = None
    settings: Settings | None = None


class FigureCheck:
    """Takes audits one by one and compares them in batches.

    Parameters
    ----------
    intervals : whether intervals and p-values are recomputed too, by the whole engine: about 40 ms an audit
    """

    def __init__(self, *, intervals: bool = False) -> None:
        self.recomputed = 0
        """figures compared so far"""
        self.of_rows = 0
        """stated figures that no count table gives: of samples of rows, of earlier audits"""
        self.without_counts = 0
        """audits that were computed elsewhere, and stored without counts"""
        self.uncounted = 0
        """figures that these state all the same"""
        self._intervals = intervals
        self._waiting: dict[Layout, list[tuple[int, AuditBody]]] = {}
        self._n_waiting = 0

    def add(self, index: int, body: AuditBody) -> None:
        """One more audit.

        Raises
        ------
        Wrong : this audit, or one before it, states what its counts do not give
        """
        if body.counts is None:
            self.without_counts += 1
            self.uncounted += sum(one.value is not None for one in body.figures)
            return
        settings = body.settings
        if settings is None:
            raise Wrong(f"Entry {index} has counts and no settings.")
        least = settings.policy.get("min_group_size")
        if type(least) is not int or not settings.protected_attributes:
            raise Wrong(f"Entry {index}: its settings lack min_group_size or any protected attribute.")
        rows = body.counts.rows
        total, labelled = _sizes(index, body.counts)
        if (total, labelled) != (body.sample_size, body.labelled_size):
            raise _wrong(
                index, "its sizes", f"{body.sample_size} and {body.labelled_size}", f"{total} and {labelled}"
            )
        layout = Layout(
            body.counts.attributes,
            tuple(sorted({row[0] for row in rows})),
            settings.protected_attributes,
            tuple(settings.reference_groups.items()),
            least,
        )
        self._waiting.setdefault(layout, []).append((index, body))
        self._n_waiting += 1
        if self._n_waiting >= AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Compare what still waits.

        Raises
        ------
        Wrong : the first audit that states what its counts do not give
        """
        waiting, self._waiting, self._n_waiting = self._waiting, {}, 0
        faults = [fault for layout, some in waiting.items() for fault in self._compare(layout, some)]
        if faults:
            raise min(faults, key=lambda fault: fault[0])[1]

    def _compare(self, layout: Layout, some: Sequence[tuple[int, AuditBody]]) -> list[tuple[int, Wrong]]:
        try:
            made = list(
                figures(layout, cells_of(layout, [body.counts.rows for _, body in some if body.counts]))
            )
        except (ValueError, IndexError, OverflowError) as error:
            return [(some[0][0], Wrong(f"Entry {some[0][0]}: its count table cannot be read: {error}."))]
        # Audits of one layout state the same figures in the same order, nearly always: those are compared as columns.
        alike: dict[tuple[tuple[str | None, str, str], ...], list[int]] = {}
        for place, (_, body) in enumerate(some):
            shape = tuple([(one.attribute, one.metric, one.basis) for one in body.figures])
            alike.setdefault(shape, []).append(place)
        faults = []
        for shape, places in alike.items():
            faults += self._compare_alike(shape, [some[place] for place in places], made, np.array(places))
        if self._intervals and not faults:
            for index, body in some:
                _compare_intervals(index, body)
        return faults

    def _compare_alike(
        self,
        shape: Sequence[tuple[str | None, str, str]],
        some: Sequence[tuple[int, AuditBody]],
        made: Sequence[Figure],
        places: npt.NDArray[np.int64],
    ) -> list[tuple[int, Wrong]]:
        known = {(one.attribute, one.metric): one for one in made}
        faults = []
        for column, (attribute, metric, basis) in enumerate(shape):
            stated = [body.figures[column] for _, body in some]
            if basis != "counts":
                self.of_rows += sum(one.value is not None for one in stated)
                continue
            one = known.pop((attribute or "", metric), None)
            if one is None:
                faults.append(
                    (some[0][0], Wrong(f"Entry {some[0][0]}: its counts give no {metric} of {attribute}."))
                )
                continue
            what = f"{metric} of {attribute}"
            faults += _differing(some, what, [each.value for each in stated], one.value[places])
            faults += _differing(
                some, f"{what} (signed)", [each.signed for each in stated], one.signed[places]
            )
            self.recomputed += len(some)
        for one in known.values():
            faults += _differing(
                some, f"{one.metric} of {one.attribute}", [None] * len(some), one.value[places]
            )
        return faults


def _sizes(index: int, counts: Counts) -> tuple[int, int]:
    """How many decisions a table counts, and how many of known truth. A row outside the table would count for another's."""
    if counts.version != COUNTS_VERSION:
        raise Wrong(
            f"Entry {index}: its count table is of version {counts.version}; this verifier reads version {COUNTS_VERSION}."
        )
    total = labelled = 0
    width = len(counts.attributes)
    for group, decision, truth, score, n, _ in counts.rows:
        if n < 0 or not (0 <= decision <= 1 and 0 <= truth <= 2 and 0 <= score <= 10) or len(group) != width:
            raise Wrong(
                f"Entry {index}: its count table has a row that none can have: decision {decision}, truth {truth},"
                f" score bin {score}, {n} decisions, {len(group)} labels for {width} attributes."
            )
        total += n
        labelled += n if truth != 2 else 0
    return total, labelled


def _differing(
    some: Sequence[tuple[int, AuditBody]], what: str, said: list[float | None], given: npt.NDArray[np.float64]
) -> list[tuple[int, Wrong]]:
    """The first audit whose statement is not what its counts give."""
    numbers = np.array(said, dtype=np.float64)  # None becomes NaN
    right = np.abs(numbers - given) <= TOLERANCE * np.maximum(1.0, np.abs(given))
    wrong = np.flatnonzero(~(right | (np.isnan(numbers) & np.isnan(given))))
    if not len(wrong):
        return []
    first = int(wrong[0])
    value = float(given[first])
    return [(some[first][0], _wrong(some[first][0], what, said[first], None if np.isnan(value) else value))]


def _compare_intervals(index: int, body: AuditBody) -> None:
    settings = body.settings
    if settings is None:  # without counts, of which `add` has made sure
        return
    try:
        made = assess(
            CountTable.from_dict(msgspec.to_builtins(body.counts)),
            settings.protected_attributes,
            settings.reference_groups,
            Policy(**settings.policy),
            seed=settings.seed,
            n_resamples=settings.n_resamples,
        )
    except (FairLensError, TypeError) as error:
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
                raise _wrong(index, f"{name} of {stated.metric} of {stated.attribute}", said, found)


def _equal(said: float | None, given: float, tolerance: float) -> bool:
    if said is None or math.isnan(given):
        return said is None and math.isnan(given)
    return abs(said - given) <= tolerance * max(1.0, abs(given))


def _wrong(index: int, what: str, said: object, given: object) -> Wrong:
    words = ["nothing" if one is None else str(one) for one in (said, given)]
    return Wrong(f"Entry {index}: it states {words[0]} for {what}; its counts give {words[1]}.")
