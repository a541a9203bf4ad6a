"""One contract over every source of rows: JSON rows, DataFrame, CSV, CSV.gz and Parquet make the same count table."""

import gzip
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from fairlens_backend.audit_plan import plan_audit
from fairlens_backend.core.columns import CELL_SHAPE
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, MalformedInput
from fairlens_backend.file_audit import audit_file
from fairlens_backend.library import audit
from fairlens_backend.prediction_intake import intake_rows

ARGUMENTS = ("decided", "outcome", "score", ["sex", "code"], {"decision": ["yes"], "truth": [1]})
SOURCES = ("rows", "frame", "csv", "csv.gz", "parquet", "parquet in pieces")


def awkward(n: int = 3000) -> pd.DataFrame:
    """Gaps in every column, blanks around labels, a quote and a comma in one, scores on the edges of bins, codes with a leading zero."""
    rng = np.random.default_rng(11)
    edges = [0.0, 0.1, 0.2, 0.3, 0.30000000000000004, 0.5, 0.7, 0.9, 1.0, 1 / 3, 2**-33, 3 * 2**-33]
    return pd.DataFrame(
        {
            "decided": rng.choice(["yes", "no", " yes ", None], n, p=[0.4, 0.4, 0.15, 0.05]),
            "outcome": pd.array(rng.choice([0, 1, None], n), dtype="Int64"),
            "score": np.where(rng.random(n) < 0.1, np.nan, rng.choice(edges, n)),
            "sex": rng.choice(["F", "M", 'X, "other"', "?", None], n),
            "code": rng.choice(["01", "1", "1.0", "ü"], n),
            "unused": range(n),
        }
    )


def write_parquet(df: pd.DataFrame, path: Path) -> None:
    with duckdb.connect() as connection:
        connection.register("df", df)
        connection.execute(f"COPY df TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")


def counted(source: str, df: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CountTable:
    plan = plan_audit(*ARGUMENTS, missing_values=["?"])
    if source == "frame":
        table = audit(df, *ARGUMENTS, missing_values=["?"]).table
    elif source == "rows":
        rows = df.astype(object).where(df.notna(), None).to_dict("records")
        table = intake_rows(rows, plan.layout, 1000).finish()
    else:
        path = folder / "rows.data"
        if source.startswith("parquet"):
            write_parquet(df, path)
            if source.endswith("pieces"):
                monkeypatch.setattr("fairlens_backend.parquet_files.MAX_CELLS", 3)
        else:
            text = df.to_csv(index=False).encode()
            path.write_bytes(gzip.compress(text) if source.endswith("gz") else text)
        table = audit_file(path, plan).table
    assert table is not None
    return table


def by_hand(df: pd.DataFrame) -> dict[tuple, tuple[int, int]]:
    """Rows and score units of each cell, counted one row at a time."""
    cells: dict[tuple, tuple[int, int]] = {}
    for row in df.astype(object).where(df.notna(), None).to_dict("records"):
        if row["decided"] is None:
            continue
        score = row["score"]
        edge = 10 if score is None else min(9, sum(score >= k / 10 for k in range(1, 10)))
        sex = "unknown" if row["sex"] in (None, "?") else row["sex"]
        code = {"1.0": "1"}.get(row["code"], row["code"])
        truth = 2 if row["outcome"] is None else int(row["outcome"])
        key = (sex, code, int(row["decided"].strip() == "yes"), truth, edge)
        n, units = cells.get(key, (0, 0))
        # round() is half to even, as the table's fixed point is
        cells[key] = (n + 1, units + (0 if score is None else round(score * 2**32)))
    return cells


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_makes_the_table_that_hand_counting_makes(source, tmp_path, monkeypatch):
    """Groups, counts and sums of scores, to the last bit."""
    df = awkward()
    table = counted(source, df, tmp_path, monkeypatch)
    found = {
        (*group, *map(int, place)): (int(table.n[(i, *place)]), int(table.score_units[(i, *place)]))
        for i, group in enumerate(table.groups)
        for place in np.ndindex(*CELL_SHAPE)
        if table.n[(i, *place)]
    }
    assert found == by_hand(df)


def test_a_file_gives_the_audit_that_its_frame_gives(tmp_path):
    """Figures, remarks and intervals, whatever the path."""
    df = awkward()
    write_parquet(df, tmp_path / "a.parquet")
    plan = plan_audit(*ARGUMENTS, seed=4)
    assert audit_file(tmp_path / "a.parquet", plan).to_dict() == audit(df, *ARGUMENTS, seed=4).to_dict()


def test_pieces_of_a_csv_add_up(tmp_path, monkeypatch):
    """A file larger than a piece, and so one larger than memory, makes one table."""
    df = awkward(5000)
    df.to_csv(tmp_path / "a.csv", index=False)
    plan, told = plan_audit(*ARGUMENTS), []
    whole = audit_file(tmp_path / "a.csv", plan).table
    monkeypatch.setattr("fairlens_backend.uploaded_files.PIECE_VALUES", 10)
    pieces = audit_file(
        tmp_path / "a.csv", plan, progress=lambda done, total: told.append((done, total))
    ).table
    assert pieces == whole
    size = (tmp_path / "a.csv").stat().st_size
    assert len(told) == 5 and told[-1] == (size, size) and [d for d, _ in told] == sorted(d for d, _ in told)


def test_a_parquet_name_with_a_pattern_in_it_is_a_name(tmp_path):
    """`a[1]*.parquet` is one file."""
    path = tmp_path / "a[1]*.parquet"
    write_parquet(awkward(300), tmp_path / "plain.parquet")
    (tmp_path / "plain.parquet").rename(path)
    told: list[int] = []
    found = audit_file(path, plan_audit(*ARGUMENTS), progress=lambda done, total: told.append(done))
    assert found.table is not None and found.table.total > 200


@pytest.mark.parametrize("score", [1.5, -0.5, float("inf")])
def test_a_score_out_of_range_is_refused_by_its_row(score, tmp_path):
    """In a Parquet file as in a frame."""
    df = awkward(50).assign(score=[0.5] * 49 + [score])
    write_parquet(df, tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="'score' has in row 50"):
        audit_file(tmp_path / "a.parquet", plan_audit(*ARGUMENTS))
    with pytest.raises(InvalidInput, match="'score' has in row 50"):
        audit(df, *ARGUMENTS)


def test_a_text_that_is_no_score_is_refused(tmp_path):
    """An empty text is a gap, "high" is a slip."""
    df = awkward(50).assign(score=["0.5", ""] * 24 + ["0.25", "high"])
    write_parquet(df, tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="'score' has in row 50"):
        audit_file(tmp_path / "a.parquet", plan_audit(*ARGUMENTS))


def test_a_column_that_the_file_has_not_is_named(tmp_path):
    """With those there are."""
    write_parquet(awkward(50), tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match=r"no column 'race'; there are \['decided'"):
        audit_file(tmp_path / "a.parquet", plan_audit("decided", protected="race"))


def test_a_parquet_file_cut_short_is_said(tmp_path):
    """Not a traceback."""
    write_parquet(awkward(500), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-40])
    with pytest.raises(MalformedInput, match="cut short"):
        audit_file(tmp_path / "b.parquet", plan_audit(*ARGUMENTS))


def test_an_identifier_is_no_protected_attribute(tmp_path):
    """Too many groups are refused, not counted."""
    write_parquet(awkward(3000), tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="more than 1000 different values"):
        audit_file(tmp_path / "a.parquet", plan_audit("decided", protected="unused", favourable="yes"))


def test_all_rows_without_a_decision(tmp_path):
    """Nothing is not fair."""
    df = awkward(50).assign(decided=pd.Series([None] * 50, dtype="str"))
    write_parquet(df, tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="empty in all 50 rows"):
        audit_file(tmp_path / "a.parquet", plan_audit(*ARGUMENTS))


@pytest.mark.parametrize("source", ["csv", "parquet", "parquet in pieces"])
def test_declared_groups_are_the_same_from_every_source(source, tmp_path, monkeypatch):
    """Age bands on text, on numbers and on numbers with gaps; sets beside them; a declared gap stays one."""
    rng = np.random.default_rng(3)
    df = pd.DataFrame(
        {
            "d": rng.choice(["1", "0"], 2000),
            "age": np.where(rng.random(2000) < 0.1, np.nan, rng.integers(10, 80, 2000) + 0.5),
            "race": rng.choice(["a", "b", "c", "?"], 2000),
        }
    )
    protected = {"age": {"bands": [18, 40]}, "race": {"sets": {"AB": ["a", "b"]}, "else": "other"}}
    path = tmp_path / "rows"
    if source == "csv":
        df.to_csv(path, index=False)
    else:
        write_parquet(df, path)
    if source.endswith("pieces"):
        monkeypatch.setattr("fairlens_backend.parquet_files.MAX_CELLS", 3)
    for missing in ([], ["?"]):
        found = audit_file(path, plan_audit("d", protected=protected, missing_values=missing)).table
        age = np.select(
            [df.age.isna(), df.age < 18, df.age < 40], ["unknown", "UNDER_18", "18_40"], "40_PLUS"
        )
        race = df.race.map({"a": "AB", "b": "AB", "c": "other", "?": "unknown" if missing else "other"})
        assert found == CountTable.from_arrays({"age": age, "race": race}, df.d.astype(int).to_numpy())
        assert found == audit(df, "d", protected=protected, missing_values=missing).table


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_metrics_on_rows_are_the_same_from_every_source(source, tmp_path):
    """The same seed draws the same rows; a number written as text is a number, a declared gap is none."""
    rng = np.random.default_rng(9)
    income = rng.integers(10, 90, 8000)
    df = pd.DataFrame(
        {
            "g": rng.choice(["a", "b"], 8000),
            "income": income,
            "city": rng.choice(["Ulm", "Bonn", "?"], 8000),
            "d": (income + rng.normal(0, 10, 8000) > 50).astype(int),
        }
    )
    path = tmp_path / "rows"
    if source == "csv":
        df.to_csv(path, index=False)
    else:
        write_parquet(df, path)
    given = {
        "decision": "d",
        "protected": "g",
        "features": ["income", "city"],
        "missing_values": ["?"],
        "seed": 2,
    }
    found, wanted = audit_file(path, plan_audit(**given)), audit(df, **given)
    assert found.metrics["consistency"]["status"] == "ok"
    assert found.to_dict() == wanted.to_dict()


def test_a_frame_without_names_is_audited_by_its_numbers():
    """Columns 0 and 1, named as numbers or as texts."""
    df = pd.DataFrame({0: [1, 0, 1, 1] * 50, 1: ["a", "b"] * 100})
    assert audit(df, 0, protected=[1]).to_dict() == audit(df, "0", protected="1").to_dict()
