"""CSV files as people upload them, read in pieces: gzip, byte order marks, encodings, duplicate headers, torn lines."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal

import pandas as pd

from fairlens_backend.errors import InvalidInput, MalformedInput, TooLarge, UnsupportedMedia

PIECE_VALUES = 500_000  # values parsed at a time: rows times columns
MAX_EXPANSION = 10  # times MAX_UPLOAD_BYTES that a compressed file may unfold to
GZIP_MAGIC = b"\x1f\x8b"
DAMAGED_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
BINARY_MAGIC = {
    b"PK\x03\x04": "a ZIP or Excel file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
ENCODINGS = {"utf-8": "utf-8-sig", "utf-16": "utf-16", "latin-1": "latin-1", "cp1252": "cp1252"}


class CsvFile:
    """A CSV file with a header, read column by name and piece by piece.

    Parameters
    ----------
    stream : binary, seekable; gzip is recognised by its first bytes
    encoding : utf-8 (with or without a byte order mark), utf-16, latin-1 or cp1252
    delimiter : one of , ; tab |
    max_bytes : size that the file may have once it is decompressed

    Raises
    ------
    UnsupportedMedia : the bytes are those of another kind of file
    MalformedInput : the header cannot be read
    """

    def __init__(
        self, stream: IO[bytes], *, encoding: str = "utf-8", delimiter: str = ",", max_bytes: int
    ) -> None:
        self._stream = stream
        self._encoding = encoding
        self._delimiter = delimiter
        self._max_bytes = max_bytes
        first = stream.read(4)
        stream.seek(0)
        self._gzipped = first.startswith(GZIP_MAGIC)
        kind = next((name for magic, name in BINARY_MAGIC.items() if first.startswith(magic)), None)
        if kind is not None:
            raise UnsupportedMedia(
                f"The part 'file' is {kind}; a CSV file, gzip allowed, was expected.",
                field="file",
                got=kind,
                expected="CSV",
            )
        if self._gzipped:
            self._check_unfolded_size()
        # Two lines: when the first row of values is longer than the header, the parser would drop what is too much.
        header = next(self._pieces(header=None, nrows=2, dtype=str), None)
        if header is None or header.empty:
            raise MalformedInput(
                "The file is empty; a header and rows were expected.",
                field="file",
                expected="CSV with a header",
            )
        self.header: list[str] = [
            "" if pd.isna(name) else str(name).strip() for name in header.iloc[0].tolist()
        ]

    def require(self, columns: Sequence[str]) -> list[int]:
        """The places of these columns.

        Raises
        ------
        InvalidInput : a column is not in the header, or stands in it twice
        """
        for name in columns:
            times = self.header.count(name)
            if times == 0:
                there = [column for column in self.header if column][:60]
                raise InvalidInput(
                    f"The file has no column {name!r}; there are {there}.",
                    field="columns",
                    got=name,
                    expected=str(there),
                )
            if times > 1:
                raise InvalidInput(
                    f"Column {name!r} stands {times} times in the file's header; once was expected.",
                    field="columns",
                    got=f"{name!r} {times} times",
                    expected="a header that names it once",
                )
        return [self.header.index(name) for name in columns]

    def texts(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Pieces of these columns, every value as text, empty where there is none."""
        return self._read(columns, dtype=str)

    def values(self, columns: Sequence[str], missing_values: Sequence[Any] = ()) -> Iterator[pd.DataFrame]:
        """Pieces of these columns, numbers as numbers; empty text and `missing_values` are missing."""
        return self._read(columns, dtype=None, na_values=["", *map(str, missing_values)])

    def _check_unfolded_size(self) -> None:
        # Unfolding is fifty times as fast as parsing: without this a file of 2 MB holds a thread for minutes, to be refused then.
        source = _Bounded(gzip.GzipFile(fileobj=self._stream), self._max_bytes)
        piece = bytearray(1 << 20)
        try:
            while source.readinto(piece):
                pass
        except DAMAGED_GZIP as error:
            raise _damaged_gzip() from error
        finally:
            self._stream.seek(0)

    def _read(self, columns: Sequence[str], **options: Any) -> Iterator[pd.DataFrame]:
        places = self.require(columns)
        rows = max(1000, PIECE_VALUES // len(self.header))
        # All columns are parsed and the others thrown away: asked for some columns only, the parser would not
        # notice a line with too many values, whose values stand in the wrong columns.
        for piece in self._pieces(header=0, index_col=False, chunksize=rows, **options):
            chosen = piece.iloc[:, places]
            chosen.columns = pd.Index(columns)
            yield chosen

    def _pieces(
        self, *, header: int | None, nrows: int | None = None, chunksize: int | None = None, **options: Any
    ) -> Iterator[pd.DataFrame]:
        self._stream.seek(0)
        source: Any = _Bounded(
            gzip.GzipFile(fileobj=self._stream) if self._gzipped else self._stream, self._max_bytes
        )
        options = {"keep_default_na": False, "na_values": [], **options}
        try:
            text = io.TextIOWrapper(
                io.BufferedReader(source, 1 << 20), encoding=ENCODINGS[self._encoding], newline=""
            )
            frames: Any = pd.read_csv(
                text,
                sep=self._delimiter,
                header=header,
                nrows=nrows,
                chunksize=chunksize,
                engine="c",
                low_memory=False,
                **options,
            )
            yield from [frames] if isinstance(frames, pd.DataFrame) else frames
        except UnicodeDecodeError as error:
            raise MalformedInput(
                f"The file is not {self._encoding} (byte 0x{error.object[error.start]:02x} cannot be read); save it as UTF-8 "
                'or name its encoding, for example "encoding": "latin-1".',
                field="encoding",
                got=f"byte 0x{error.object[error.start]:02x}",
                expected=self._encoding,
            ) from error
        except UnicodeError as error:
            raise MalformedInput(
                f"The file is not {self._encoding}.", field="encoding", expected=self._encoding
            ) from error
        except pd.errors.EmptyDataError:
            return
        except pd.errors.ParserError as error:
            raise MalformedInput(
                f"The file is not a CSV table: {_safe(error)}.",
                field="file",
                expected="the same columns in every line",
            ) from error
        except DAMAGED_GZIP as error:
            raise _damaged_gzip() from error


class _Bounded(io.RawIOBase):
    """Reads on until a bound, so that a small compressed file cannot fill the memory or the clock."""

    def __init__(self, source: Any, max_bytes: int) -> None:
        self._source = source
        self._left = max_bytes
        self._max = max_bytes

    def readable(self) -> Literal[True]:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the source, as far as the bound allows."""
        piece = self._source.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge(
                f"The file unfolds to more than {self._max} bytes, {MAX_EXPANSION} times MAX_UPLOAD_BYTES.",
                field="file",
            )
        buffer[: len(piece)] = piece
        return len(piece)


def _damaged_gzip() -> MalformedInput:
    return MalformedInput(
        "The file's gzip compression is damaged or cut short.", field="file", expected="a whole gzip file"
    )


def _safe(error: Exception) -> str:
    """What the parser says without the data it quotes: the counts and the line."""
    said = str(error).replace("Error tokenizing data. C error: ", "").strip()
    return said.rstrip(".") if said.startswith("Expected") else "its quotes or line ends do not match"
