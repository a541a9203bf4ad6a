"""Audits of other groups each are computed on the union of their groups, and found right or wrong as by themselves."""

import inspect
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.audit_evidence import audit_body
from fairlens_backend.core.audit_notation import shortened
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.core.counts import CountTable
from fairlens_backend.verifier import tables
from fairlens_backend.verifier.bodies import ShortBody
from fairlens_backend.verifier.lines import Wrong
from fairlens_backend.verifier.numbers import ShortAudits
from fairlens_backend.verifier.stated_figures import FigureCheck
from fairlens_backend.verifier.tables import Batch, batches

RECORD = {"record_id": "rec", "hash_value": "0" * 64, "audit_sha256": "1" * 64}
NEARLY_EMPTY = (27, 30, 42, 48, 57, 60, 69)  # with scores: the other notation is shorter
SEEDS = [seed for seed in range(80) if seed not in NEARLY_EMPTY][:60]
TIME = "2026-01-01T00:00:00.000000Z"


def odd_table(seed: int) -> CountTable:
    """Decisions by team, sex and place, of which rare ones occur in some tables and not in others; every third with scores."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(60, 500))
    teams = chance.choice(["a", "b", "c", "d", "e", "unknown"], n, p=[0.5, 0.3, 0.1, 0.05, 0.02, 0.03])
    return CountTable.from_arrays(
        {"team": teams, "sex": chance.choice(["F", "M"], n), "place": chance.choice([*"uvwxyz"], n)},
        decision=(chance.random(n) < chance.choice([0.0, 0.05, 0.5])).astype(int),
        truth=chance.integers(-1, 2, n),
        score=chance.random(n) if seed % 3 == 0 else None,
    )


def body_of(seed: int) -> dict[str, Any] | None:
    """What an entry of version 2 says of it: figures are the engine's, table by table. None where it is not written so."""
    table = odd_table(seed)
    declared = {"team": "e"} if seed % 4 == 0 and ("e",) in table.marginal(["team"]).groups else {}
    counts = table.to_dict() | ({"reference_groups": declared} if declared else {})
    found = assess(table, reference_groups=declared, n_resamples=0)
    result = {
        **found,
        "audit_id": f"aud{seed}",
        "model": "hiring",
        "model_version": "1",
        "audit_timestamp": TIME,
        "window_start": TIME,
        "window_end": TIME,
    }
    body = shortened(audit_body(result, counts, RECORD, "test"))
    return body and {**body, "model_audit_number": 1, "previous_audit_index": None}


def read(body: dict[str, Any]) -> ShortBody:
    return msgspec.json.decode(canonical_json(body), type=ShortBody)


def checked(bodies: list[dict[str, Any]]) -> FigureCheck:
    check = FigureCheck()
    for index, body in enumerate(bodies):
        check.add(index, read(body))
    check.finish()
    return check


@pytest.fixture(scope="module")
def bodies() -> list[dict[str, Any]]:
    """Sixty audits, nearly each of other groups."""
    made = [body for body in map(body_of, SEEDS) if body is not None]
    assert len(made) == len(SEEDS) and len({str(body["counts"]["groups"]) for body in made}) > 50
    return made


@pytest.mark.parametrize("cells", [4_000_000, 20_000, 1])
def test_the_engines_figures_are_right(
    bodies: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    """In one union, in some, and each audit by itself: as many figures are compared, and none differs."""
    monkeypatch.setattr(tables, "CELLS_AT_ONCE", cells)
    figures = sum(
        len(body["figures"]["measured"][0]) - body["figures"]["names"].count("history") * 3 for body in bodies
    )
    assert checked(bodies).recomputed == figures


@pytest.mark.parametrize("place", [0, 7, 31, 59])
@pytest.mark.parametrize("column", ["value", "signed"])
def test_a_figure_that_differs_is_found(bodies: list[dict[str, Any]], place: int, column: str) -> None:
    """By 10⁻⁹ in one audit, the first or the last number that it states."""
    numbers = bodies[place]["figures"][column].split()
    for at in (0, -1):
        lie = [*numbers]
        lie[at] = str(int(lie[at]) + 1000)
        figures = {**bodies[place]["figures"], column: " ".join(lie)}
        changed = [*bodies]
        changed[place] = {**bodies[place], "figures": figures}
        with pytest.raises(Wrong, match=f"^Entry {place}: it states"):
            checked(changed)


def mute(body: dict[str, Any]) -> dict[str, Any]:
    """With a table that cannot be read."""
    counts = body["counts"]
    return {**body, "counts": {**counts, "n": counts["n"].replace(" ", " -", 1) + "-"}}


def test_one_that_cannot_be_read_hides_no_other(bodies: list[dict[str, Any]]) -> None:
    """Of two that are wrong the first is named, whatever is wrong with it."""
    changed = [*bodies]
    changed[40] = mute(bodies[40])
    with pytest.raises(Wrong, match=r"^Entry 40: "):
        checked(changed)
    changed[20] = {**bodies[20], "sample_size": bodies[20]["sample_size"] + 1}
    with pytest.raises(Wrong, match=r"^Entry 20: it states"):
        checked(changed)


def test_however_many_cannot_be_read_the_first_is_named(bodies: list[dict[str, Any]]) -> None:
    """Fifty kinds, in a stack that holds a few calls more than there are now: none is looked at inside another."""
    changed = [*bodies[:10], *map(mute, bodies[10:])]
    depth, limit = len(inspect.stack()), sys.getrecursionlimit()
    check = FigureCheck()
    for index, body in enumerate(changed):
        check.add(index, read(body))
    sys.setrecursionlimit(depth + 60)
    try:
        with pytest.raises(Wrong, match=r"^Entry 10: "):
            check.finish()
    finally:
        sys.setrecursionlimit(limit)


def waiting(bodies: list[dict[str, Any]]) -> list[ShortAudits]:
    check = FigureCheck()
    made = []
    for index, body in enumerate(bodies):
        made.append(ShortAudits(check.kinds.of(index, read(body))))
        made[-1].add_body(index, read(body), whole=False)
    return made


def dense(table: CountTable, batch: Batch) -> Any:
    """The table's counts at the groups of a batch, by looking each up."""
    bins = 11 if batch.scored else 1
    made = np.zeros((len(batch.layout.groups), 2, 3, bins), dtype=np.int64)
    for place, group in enumerate(batch.layout.groups):
        if group in table.groups:
            made[place] = table.n[table.groups.index(group)][..., -bins:]
    return made


def test_tables_stand_at_their_groups(bodies: list[dict[str, Any]]) -> None:
    """Every count is at its group, decision, truth and bin, and nothing else is; each audit is in one batch."""
    found = list(batches(waiting(bodies)))
    assert len(found) < 12 and sorted(i for one in found for i in one.indexes()) == [*range(60)]
    for batch in found:
        for index, cells in zip(batch.indexes(), batch.cells(), strict=True):
            np.testing.assert_array_equal(cells, dense(odd_table(SEEDS[index]), batch))


def test_where_groups_of_nobody_would_take_part_each_layout_is_by_itself() -> None:
    """A smallest size of 0 is none that our audits have; put into a union, empty groups would be compared."""
    made = waiting([body for body in map(body_of, SEEDS[:6]) if body is not None])
    for one in made:
        object.__setattr__(one.kind, "layout", tables.replace(one.kind.layout, least=0))
    assert [len(batch.audits) for batch in batches(made)] == [1] * 6


def test_many_of_the_same_groups_are_by_themselves(bodies: list[dict[str, Any]]) -> None:
    """So that what comes and goes elsewhere does not make their tables wider."""
    same = waiting([bodies[1]] * tables.ENOUGH)
    found = list(batches([*same, *waiting(bodies[2:9])]))
    assert found[0].layout == same[0].kind.layout and len(found[0].audits) == tables.ENOUGH
