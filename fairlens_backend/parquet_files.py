"""Parquet files, counted by DuckDB where they lie: ten million rows become a few hundred cells without becoming rows first."""

import glob
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairlens_backend.errors import InvalidInput, MalformedInput

MEMORY_LIMIT: Final = "600MB"
MAX_THREADS: Final = 2
MAX_CELLS: Final = 200_000
"""more combinations of values than this are not worth grouping: rows are then read in pieces"""
PIECE_VECTORS: Final = 50  # of 2,048 rows each
POLL_S: Final = 0.1
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": MAX_THREADS,
    "memory_limit": MEMORY_LIMIT,
    "temp_directory": "",  # nothing of the data is written to disk
    "autoinstall_known_extensions": "false",  # nothing is downloaded
    "autoload_known_extensions": "false",
}
# A comparison with each edge, as the count table does it: a score of 0.3 belongs to the bin that starts at 0.3.
_BIN: Final = (
    "CASE WHEN s IS NULL THEN 10 ELSE " + " + ".join(f"(s >= {k}e-1)::TINYINT" for k in range(1, 10)) + " END"
)

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Cells:
    """Rows grouped by their values.

    Parameters
    ----------
    values : one row a combination that occurs, the columns as they came
    bins : shape (n_combinations,), score bin 0 to 9, 10 for no score
    n, score_units : rows of each, and the sum of their scores in units of 2**-32
    """

    values: pd.DataFrame
    bins: NDArray[np.int64]
    n: NDArray[np.int64]
    score_units: NDArray[np.int64]


class ParquetFile:
    """A Parquet file, read column by name.

    Raises
    ------
    MalformedInput : the file is damaged, or no Parquet file
    """

    def __init__(self, path: Path) -> None:
        self._path = glob.escape(str(path))  # a name with * or [ is a name, no pattern
        self._connection = duckdb.connect(config=_CONFIG)
        try:
            described = self._connection.execute(
                "DESCRIBE SELECT * FROM read_parquet(?)", [self._path]
            ).fetchall()
        except duckdb.Error as error:
            raise MalformedInput(
                f"{path.name} cannot be read as Parquet; it may be damaged or cut short.",
                field="file",
                expected="Parquet",
            ) from error
        self.header: list[str] = [str(row[0]) for row in described]

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def require(self, columns: Sequence[str]) -> None:
        """Refuse a column that the file has not; `InvalidInput` names it and those there are."""
        for name in columns:
            if name not in self.header:
                there = self.header[:60]
                raise InvalidInput(
                    f"The file has no column {name!r}; there are {there}.",
                    field="columns",
                    got=name,
                    expected=str(there),
                )

    def cells(
        self, columns: Sequence[str], score: str | None, progress: Progress | None = None
    ) -> Cells | None:
        """Group all rows by these columns and the bin of the score.

        Parameters
        ----------
        columns : decision, truth and protected attributes
        score : column of the score, each in [0, 1] or missing
        progress : is told the share that is done, 0 to 1

        Returns
        -------
        None when there are more than `MAX_CELLS` combinations, or more than fit into memory

        Raises
        ------
        InvalidInput : a column is not there, or a score is not a number from 0 to 1
        """
        self.require([*columns, *([score] if score else [])])
        keys = ", ".join(f"{_quoted(name)} AS k{i}" for i, name in enumerate(columns))
        names = ", ".join(f"k{i}" for i in range(len(columns)))
        question = f"""
            SELECT {names}, {_BIN} AS bin, count(*) AS n, coalesce(sum((s * 4294967296e0)::BIGINT), 0) AS units
            FROM (SELECT {keys}, CASE WHEN isnan(x) THEN NULL ELSE x END AS s
                  FROM (SELECT *, {_number(score)} AS x FROM read_parquet(?)))
            GROUP BY ALL LIMIT {MAX_CELLS + 1}"""
        if score is not None:
            self._require_scores(score)
        try:
            rows = self._asked(question, progress)
        except duckdb.OutOfMemoryException:
            return None
        if len(rows) > MAX_CELLS:
            return None
        values = {name: pd.Series([row[i] for row in rows], dtype=object) for i, name in enumerate(columns)}
        bins, n, units = (np.array([int(row[k]) for row in rows], dtype=np.int64) for k in (-3, -2, -1))
        return Cells(pd.DataFrame(values, copy=False), bins, n, units)

    def pieces(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The rows of these columns in order, about a hundred thousand at a time."""
        self.require(columns)
        chosen = ", ".join(map(_quoted, columns))
        asked = self._connection.execute(f"SELECT {chosen} FROM read_parquet(?)", [self._path])
        while len(piece := asked.fetch_df_chunk(PIECE_VECTORS)):
            yield piece

    @property
    def rows(self) -> int:
        """Number of rows, from the file's own footer."""
        found = self._connection.execute("SELECT count(*) FROM read_parquet(?)", [self._path]).fetchone()
        return int(found[0]) if found else 0

    def _require_scores(self, score: str) -> None:
        """The smallest and the largest stand in the file's statistics; only a bad one is looked for in the rows."""
        column = _quoted(score)
        wrong = f"(x < 0 OR x > 1 OR (x IS NULL AND trim({column}::VARCHAR) <> ''))"
        found = self._connection.execute(
            f"SELECT row FROM (SELECT file_row_number AS row, {column}, {_number(score)} AS x "
            f"FROM read_parquet(?, file_row_number = true)) WHERE NOT coalesce(isnan(x), false) AND {wrong} LIMIT 1",
            [self._path],
        ).fetchone()
        if found:
            raise InvalidInput(
                f"Column {score!r} has in row {found[0] + 1} a value that is not a number from 0 to 1.",
                field=f"rows.{found[0]}.{score}", got="not a number from 0 to 1",
                expected="the score of the favourable decision, 0 to 1",
            )  # fmt: skip

    def _asked(self, question: str, progress: Progress | None) -> list[tuple[Any, ...]]:
        """Run a question in a thread of its own, so that this one can tell how far it is."""
        done: list[list[tuple[Any, ...]]] = []
        failed: list[duckdb.Error] = []

        def run() -> None:
            try:
                done.append(self._connection.execute(question, [self._path]).fetchall())
            except duckdb.Error as error:
                failed.append(error)

        if progress is None:
            run()
        else:
            worker = threading.Thread(target=run, daemon=True)
            worker.start()
            while worker.is_alive():
                worker.join(POLL_S)
                progress(max(0.0, self._connection.query_progress()) / 100)
        if failed:
            raise failed[0]
        return done[0]


def _number(score: str | None) -> str:
    return "NULL::DOUBLE" if score is None else f"try_cast({_quoted(score)} AS DOUBLE)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
