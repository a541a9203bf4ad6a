"""Audit a file: CSV (gzip allowed) or Parquet, of any size, in pieces or counted where it lies."""

import sys
from collections.abc import Callable
from pathlib import Path

from fairlens_backend.audit_plan import AuditPlan
from fairlens_backend.audit_result import AuditResult
from fairlens_backend.decision_counter import Intake
from fairlens_backend.decision_layout import Layout
from fairlens_backend.errors import InvalidInput
from fairlens_backend.numeric_audit import NumericIntake
from fairlens_backend.uploaded_files import CsvFile

Progress = Callable[[int, int], None]
"""told how many bytes of how many are read"""


def audit_file(
    path: Path,
    plan: AuditPlan,
    *,
    encoding: str = "utf-8",
    delimiter: str = ",",
    progress: Progress | None = None,
    numbers: NumericIntake | None = None,
) -> AuditResult:
    """Count a file's rows and assess them; the result is that of `audit` on a DataFrame of the same rows.

    Parameters
    ----------
    path : what it is is told by its first bytes, not by its name
    plan : as `audit_plan.plan_audit` makes it
    encoding, delimiter : of a CSV file
    numbers : takes the rows where the decision is a number without favourable labels

    Raises
    ------
    InvalidInput, MalformedInput, UnsupportedMedia : what is wrong with the file or the plan
    """
    counted = numbers or plan.counter()
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            parquet = stream.read(4) == b"PAR1"
            if not parquet:
                stream.seek(0)
                counted.features_are_texts = True
                file = CsvFile(stream, encoding=encoding, delimiter=delimiter, max_bytes=sys.maxsize)
                for piece in file.texts(plan.layout.columns):
                    counted.add(piece)
                    if progress:
                        progress(stream.tell(), size)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read ({error.strerror}).", field="file", got=str(path)
        ) from error
    if parquet:
        _count_parquet(path, plan.layout, counted, size, progress)
    return plan.conclude(counted) if isinstance(counted, Intake) else counted.conclude()


def _count_parquet(
    path: Path, layout: Layout, counted: Intake | NumericIntake, size: int, progress: Progress | None
) -> None:
    from fairlens_backend.parquet_files import ParquetFile  # DuckDB, which a CSV file does not need

    told = (lambda share: progress(int(share * size), size)) if progress else None
    with ParquetFile(path) as file:
        if isinstance(counted, Intake) and not layout.features:
            keys = [layout.decision, *([layout.truth] if layout.truth else []), *layout.protected]
            cells = file.cells(list(dict.fromkeys(keys)), layout.score, told)
            if cells is not None:
                counted.add_counted(cells.values, cells.bins, cells.n, cells.score_units)
                return
        rows = file.rows
        for piece in file.pieces(layout.columns):
            counted.add(piece)
            if told:
                told(counted.rows_read / rows)
