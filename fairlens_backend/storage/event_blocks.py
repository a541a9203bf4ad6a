"""Rows of decisions as they are kept, several batches as one array: read, recounted, given another truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import units_of
from fairlens_backend.storage import driver_sql
from fairlens_backend.storage.session import is_postgresql

MINUTE_US: Final = 60_000_000
ROWS: Final = (
    "SELECT event_batches.id, event_batches.series_id, event_batches.n, event_batches.numbers, event_cells.cells"
    " FROM event_batches JOIN event_cells ON event_cells.batch_id = event_batches.id"
)

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Batches in the order of their numbers.

    Parameters
    ----------
    ids, series, sizes, starts : int64, shape (n_batches,); `starts` are the places of the batches' first cells
    numbers : int64, shape (2 · n_rows,); of each batch the times in µs, then the scores, as their bits
    cells : int32, shape (n_rows,), of all batches
    """

    ids: IntArray
    series: IntArray
    sizes: IntArray
    starts: IntArray
    numbers: IntArray
    cells: npt.NDArray[np.int32]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "Block":
        """What `ROWS` gives, at least one row."""
        ids, series, sizes, numbers, cells = zip(*rows, strict=True)
        n = np.array(sizes, dtype=np.int64)
        return cls(
            np.array(ids, dtype=np.int64),
            np.array(series, dtype=np.int64),
            n,
            np.cumsum(n) - n,
            np.frombuffer(b"".join(numbers), dtype="<i8"),
            np.frombuffer(b"".join(cells), dtype="<i4").copy(),
        )

    def minutes_and_units(self, batch: IntArray, at: IntArray) -> tuple[IntArray, IntArray]:
        """The minute of some decisions and their scores in units of 2**-32; `at` are their places among the cells."""
        time_at = self.starts[batch] + at  # the batches before have two numbers for each cell
        scores = self.numbers[time_at + self.sizes[batch]].view("<f8")
        return self.numbers[time_at] // MINUTE_US, units_of(scores)

    def every_minute_and_unit(self) -> tuple[IntArray, IntArray]:
        """Those of all decisions, in the cells' order."""
        is_score = np.repeat(np.tile([False, True], len(self.sizes)), np.repeat(self.sizes, 2))
        return self.numbers[~is_score] // MINUTE_US, units_of(self.numbers[is_score].view("<f8"))

    def put(self, batch: IntArray, at: IntArray, cells: npt.NDArray[np.int32]) -> None:
        """Give decisions other cells, and write the batches that they are in."""
        self.cells[at] = cells
        content = self.cells.astype("<i4", copy=False).tobytes()
        changed = np.unique(batch)
        starts, ends = self.starts[changed] * 4, (self.starts + self.sizes)[changed] * 4
        ids = self.ids[changed].tolist()
        if is_postgresql():
            # One statement and one value: as 300 statements it took longer than all the rest, as an array of bytea 4 times
            # as long, in the driver.
            driver_sql.run(
                "UPDATE event_cells SET cells = substring(?::bytea FROM new.first FOR new.size)"
                " FROM unnest(?::bigint[], ?::int[], ?::int[]) AS new (id, first, size) WHERE event_cells.batch_id = new.id",
                content,
                ids,
                (starts + 1).tolist(),
                (ends - starts).tolist(),
            )
        else:
            written = [content[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
            driver_sql.run_many(
                "UPDATE event_cells SET cells = ? WHERE batch_id = ?", list(zip(written, ids, strict=True))
            )
