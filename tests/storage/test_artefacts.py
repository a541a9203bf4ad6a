"""Files of models, named by their digest."""

import hashlib
import io
import os

import pytest

from fairlens_backend import config
from fairlens_backend.errors import InvalidInput, Unavailable
from fairlens_backend.storage import artefacts

pytestmark = pytest.mark.usefixtures("settings")


def files() -> list[str]:
    folder = config.current().models_path
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_draft_in_place_has_its_digest_for_a_name_and_one_not_put_there_vanishes() -> None:
    """The digest is SHA-256 of the content; equal content put twice is one file."""
    digest = hashlib.sha256(b"content").hexdigest()
    for put in (False, True, True):
        with artefacts.draft_of(b"content") as draft:
            assert draft is not None
            if put:
                assert draft.put_in_place() == (f"{digest}.pkl", digest)
        assert files() == ([f"{digest}.pkl"] if put else [])
    assert artefacts.read(f"{digest}.pkl") == b"content"


def test_a_full_disk_is_unavailable_and_leaves_no_draft() -> None:
    """ENOSPC becomes Unavailable with a time to come back."""

    class Full(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="disk of MODELS_DIR is full"), artefacts.draft_of(Full()):
        pass
    assert files() == []


def test_a_stream_is_copied_in_pieces() -> None:
    """No read asks for more than a megabyte, whatever the size of the upload."""
    asked: list[int] = []

    class Spy(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(-1 if size is None else size)
            return super().read(size)

    with artefacts.draft_of(Spy(b"a" * 3_000_000)) as draft:
        assert draft is not None and draft.digest == hashlib.sha256(b"a" * 3_000_000).hexdigest()
    assert min(asked) > 0 and max(asked) <= 1 << 20


def test_a_draft_left_by_a_crash_is_swept_after_a_day() -> None:
    """A young one may belong to a registration under way and stays."""
    folder = config.current().models_path
    folder.mkdir(parents=True)
    for name, modified in ((".incoming-old", 1_000_000.0), (".incoming-young", None)):
        (folder / name).write_bytes(b"half")
        if modified:
            os.utime(folder / name, (modified, modified))
    with artefacts.draft_of(b"x"):
        pass
    assert files() == [".incoming-young"]


def test_an_empty_artefact_is_refused() -> None:
    """Nothing is no model; it would only be noticed at the first evaluation."""
    with pytest.raises(InvalidInput, match="artefact is empty"), artefacts.draft_of(b""):
        pass
