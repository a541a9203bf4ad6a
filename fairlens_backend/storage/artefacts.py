"""Files of models, named by the SHA-256 of their content: no caller's text ever becomes a path."""

import errno
import hashlib
import io
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fairlens_backend import config
from fairlens_backend.errors import InvalidInput, NotFound, Unavailable

Source = bytes | str | Path | BinaryIO
"""An artefact as a caller has it: its bytes, its file's path, or a binary stream."""

_PIECE = 1 << 20  # bytes copied at a time
_DRAFT = ".incoming-"
_DRAFT_LIVES_S = 86_400


class Draft:
    """An artefact's copy beside its final place, with the digest of the bytes that were copied."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest

    def put_in_place(self) -> tuple[str, str]:
        """Rename to the digest's name; (file name, digest). A file that is there already is replaced by its equal."""
        name = f"{self.digest}.pkl"
        os.replace(self.path, self.path.with_name(name))
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return name, self.digest


@contextmanager
def draft_of(source: Source | None) -> Iterator[Draft | None]:
    """The artefact copied and flushed to the disk under a random name; what is left of it is removed at the end.

    Raises
    ------
    NotFound : the source is a path where no file is
    Unavailable : the disk is full
    """
    if source is None:
        yield None
        return
    folder = config.current().models_path
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    path = folder / f"{_DRAFT}{secrets.token_hex(16)}"
    try:
        yield Draft(path, _copy(source, path))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(
                "The disk of MODELS_DIR is full; the model was not registered.", retry_after_s=60
            ) from error
        raise
    finally:
        path.unlink(missing_ok=True)


def read(name: str) -> bytes:
    """The content of the file of that name; FileNotFoundError when it is gone."""
    return (config.current().models_path / name).read_bytes()


def _copy(source: Source, path: Path) -> str:
    if isinstance(source, bytes):
        return _copy(io.BytesIO(source), path)
    if isinstance(source, (str, Path)):
        try:
            with open(source, "rb") as file:
                return _copy(file, path)
        except (FileNotFoundError, IsADirectoryError):
            raise NotFound(f"There is no file {str(source)!r} to register.", path=str(source)) from None
    hashed = hashlib.sha256()
    with open(path, "xb") as out:
        while piece := source.read(_PIECE):
            hashed.update(piece)
            out.write(piece)
        if out.tell() == 0:
            raise InvalidInput(
                "The artefact is empty; a model saved by joblib was expected.",
                field="artefact",
                got="0 bytes",
                expected="a model saved by joblib",
            )
        out.flush()
        os.fsync(out.fileno())
    return hashed.hexdigest()


def _sweep(folder: Path) -> None:
    """Remove copies that a crash left behind more than a day ago."""
    for path in folder.glob(f"{_DRAFT}*"):
        try:
            if time.time() - path.stat().st_mtime > _DRAFT_LIVES_S:
                path.unlink()
        except FileNotFoundError:
            continue  # its own process finished it meanwhile
