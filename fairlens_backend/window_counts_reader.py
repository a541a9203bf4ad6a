"""What a model decided in a window, whichever way it came: single decisions and submissions, summed into one count table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from fairlens_backend import config, count_keeper
from fairlens_backend.audit_runner import Subject
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.group_folding import fold_rare_values
from fairlens_backend.core.labels import canonical_label
from fairlens_backend.errors import InvalidInput
from fairlens_backend.storage import audits, count_horizon
from fairlens_backend.storage.audits import Counted
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.session import read_snapshot

SUMMED_AT_ONCE = 200
NO_LIMIT = 2**31
"""of groups while tables are summed: `_folded` sees to it that there are no more than can be assessed"""


class NoAttributes(InvalidInput):
    """Nobody said by which attributes to count, and the window is empty."""


@dataclass(frozen=True)
class WindowCounts:
    """The decisions of a window and where they came from.

    Parameters
    ----------
    table : all that were counted by the attributes; of an attribute with more values than MAX_ATTRIBUTE_GROUPS the rare ones as
        unknown
    events : how many of them are single decisions; the others are of submissions
    submissions : the audits of the submissions that were summed
    versions : of the model, those that decided
    reference_groups : declared by the model or by the submissions, of groups that occur
    remarks : sentences on what is left out, missing or mixed
    folded : of these the ones on values that are not told apart
    """

    table: CountTable
    events: int
    submissions: Sequence[Counted]
    versions: Sequence[str]
    reference_groups: Mapping[str, str]
    remarks: Sequence[str]
    folded: Sequence[str] = ()


@dataclass(frozen=True)
class _Part:
    """Decisions that were counted together: a series' or a submission's."""

    version: str
    attributes: tuple[str, ...]
    table: CountTable


def read_window(
    subject: Subject,
    start: datetime,
    end: datetime,
    *,
    version: str | None = None,
    attributes: Sequence[str] | None = None,
) -> WindowCounts:
    """Count a window: every decision whose time is in it, and every submission that was made in it.

    Parameters
    ----------
    start, end : whole minutes, the first included, the last not; a start of which only counts by the hour are left is
        brought forward to its hour, which a remark tells
    version : None for all versions together
    attributes : None for those registered; of them, and where none are, those that all of the window was counted by

    Raises
    ------
    InvalidInput : attributes were asked for that nothing in the window has together, or none are known
    """
    with read_snapshot():
        asked, start = start, _begin_that_is_kept(start)
        series = count_keeper.window_series(subject.tenant, subject.model, start, end, version)
        found = list(audits.counted_between(subject.tenant, subject.model, start, end, version))
    counts = counts_of(subject, series, found, attributes)
    if start == asked:
        return counts
    said = f"The window is counted from {start:%Y-%m-%d %H:%M} UTC: that far back counts are kept by the hour (MINUTE_COUNTS_DAYS)."
    return replace(counts, remarks=[said, *counts.remarks])


def counts_of(
    subject: Subject,
    series: Sequence[tuple[Series, CountTable]],
    found: Sequence[Counted],
    attributes: Sequence[str] | None,
) -> WindowCounts:
    """The counts of a window, of which `series` are the decisions and `found` the submissions; as `read_window` says."""
    there = [one.attributes for one, _ in series] + [tuple(one.counts["attributes"]) for one in found]
    names, remarks = _attributes(subject, attributes, there)
    wanted = set(names)
    parts = [
        _Part(one.version, one.attributes, table) for one, table in series if wanted <= set(one.attributes)
    ]
    taken = [one for one in found if wanted <= set(one.counts["attributes"])]
    remarks += _left_out(
        names,
        sum(table.total for one, table in series if not wanted <= set(one.attributes)),
        len(found) - len(taken),
        len(found),
    )
    every = [CountTable.empty(names), *(part.table.marginal(names) for part in parts)]
    counted = CountTable.sum(every, max_groups=NO_LIMIT)
    versions = sorted({part.version for part in parts} | {one.model_version for one in taken})
    if len(versions) > 1:
        remarks.append(f"The window holds decisions of {len(versions)} versions: {', '.join(versions)}.")
    simulated = sum(one.drift_level is not None for one in taken)
    if simulated:
        remarks.append(f"{simulated} of the {len(taken)} submissions summed are of simulated data.")
    table = _summed(counted, taken, names)
    references, said = _references({**_declared_before(taken), **subject.reference_groups}, table)
    table, folded = _folded(table, {name: str(canonical_label(group)) for name, group in references.items()})
    return WindowCounts(table, counted.total, taken, versions, references, [*remarks, *folded, *said], folded)


def _folded(table: CountTable, references: Mapping[str, str]) -> tuple[CountTable, list[str]]:
    """A table whose intervals do not take gigabytes and half a minute, and what was folded.

    A version's events have no more values, since those beyond are dead letters; together with those of another version, of
    submissions, or since a change of the setting, they may. The window is audited all the same.
    """
    most = config.current().max_attribute_groups
    made, folded = fold_rare_values(table, most, references)
    said = [
        f"{one.attribute} has {one.values} different values in this window, of which the {one.kept} with the most decisions are compared"
        f" (MAX_ATTRIBUTE_GROUPS is {most}); {one.rows} decisions of the others are counted as unknown. Is it a group, or a number or"
        " name of each decision?"
        for one in folded
    ]
    return made, said


def _begin_that_is_kept(start: datetime) -> datetime:
    minute = int(start.timestamp()) // 60
    return start - timedelta(minutes=minute % 60) if minute < count_horizon.minutes_from() else start


def _attributes(
    subject: Subject, asked: Sequence[str] | None, there: Sequence[Sequence[str]]
) -> tuple[list[str], list[str]]:
    """Those asked for, else those registered, else those that everything in the window has; and a remark."""
    declared = list((subject.declared.get("columns") or {}).get("protected") or [])
    names = list(dict.fromkeys(asked or declared))
    if names and (not there or any(set(names) <= set(one) for one in there)):
        return names, []
    common = [name for name in (there[-1] if there else []) if all(name in one for one in there)]
    if asked:
        known = sorted({name for one in there for name in one})
        raise InvalidInput(
            f"Nothing of {subject.model} in this window was counted by {', '.join(names)} together; there are"
            f" {', '.join(known)}.",
            field="protected_attributes",
            got=names,
            expected=f"some of {known}",
        )
    if not common:
        raise NoAttributes(
            f"protected_attributes is neither in the request nor registered with model {subject.model!r}, and the window"
            " has no decisions to take it from.",
            field="protected_attributes",
            got=None,
            expected="a list of attributes",
        )
    if not names:
        return common, []
    return common, [
        f"The window was counted by {', '.join(common)}, and not by all of the registered {', '.join(names)}."
    ]


def _left_out(names: Sequence[str], decisions: int, submissions: int, of: int) -> list[str]:
    by = ", ".join(names)
    said = []
    if decisions:
        said.append(f"{decisions} decisions were not counted by {by} and are left out.")
    if submissions:
        said.append(f"{submissions} of {of} submissions did not count {by} and are left out.")
    return said


def _summed(counted: CountTable, taken: Sequence[Counted], names: Sequence[str]) -> CountTable:
    total = counted
    for start in range(0, len(taken), SUMMED_AT_ONCE):
        some = taken[start : start + SUMMED_AT_ONCE]
        some_tables = (CountTable.from_dict(one.counts).marginal(names) for one in some)
        total = CountTable.sum([total, *some_tables], max_groups=NO_LIMIT)
    return total


def _declared_before(taken: Iterable[Counted]) -> dict[str, Any]:
    """The reference groups that the submissions declared, the newest one's word for each attribute."""
    newest_last = sorted(taken, key=lambda one: one.audit_id)
    return {
        name: group for one in newest_last for name, group in one.counts.get("reference_groups", {}).items()
    }


def _references(declared: Mapping[str, str], table: CountTable) -> tuple[dict[str, str], list[str]]:
    """The declared reference groups that occur; a window may lack one, and that is no mistake of the caller's."""
    kept, said = {}, []
    for attribute, group in declared.items():
        if attribute not in table.attributes:
            continue
        if any(labels == (canonical_label(group),) for labels in table.marginal([attribute]).groups):
            kept[attribute] = group
        elif table.total:
            said.append(f"The reference group {group} of {attribute} does not occur in the window.")
    return kept, said
