"""Folders that only their owner may read, and locks that end with their process."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import tempfile
from pathlib import Path


def default_spool_dir(endpoint: str, tenant_id: str | None, model_id: str) -> Path:
    """A folder per server, tenant and model under the user's cache, or under the temporary folder.

    The API key is no part of the name: a spool must outlive the rotation of its key.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", model_id)[:40]
    digest = hashlib.sha256(f"{endpoint}\n{tenant_id}\n{model_id}".encode()).hexdigest()[:12]
    cache = _user_cache()
    if cache is not None:
        return cache / "fairlens" / f"{name}-{digest}"
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"fairlens-{owner}-{name}-{digest}"


def _user_cache() -> Path | None:
    if sys.platform == "win32":
        found = os.environ.get("LOCALAPPDATA") or ""
    elif sys.platform == "darwin":
        found = os.path.expanduser("~/Library/Caches")
    else:
        found = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(found):
        return None
    nearest = Path(found)
    while not nearest.exists():
        nearest = nearest.parent
    return Path(found) if os.access(nearest, os.W_OK) else None


def private_folder(folder: Path, checked: bool) -> None:
    """Make the folder for its owner alone: spooled events hold what the model saw.

    Raises
    ------
    OSError
        It cannot be made; or, `checked`, it is a link or another user's, as somebody may have put into a shared
        /tmp. A folder that the caller named may be either.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not checked:
        return
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{folder} is no folder of its own")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")


class FileLock:
    """An exclusive lock that the system releases when its process ends, however it ends.

    flock and not POSIX locks: two clients of one process must exclude each other too.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self) -> bool:
        """Without waiting; false when somebody holds it."""
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(self._fd, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Release it; in a forked child only the child's copy goes, the parent's lock stays."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
