"""A throw-away PostgreSQL for the tests, started from Debian's own binaries on a free port."""

import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

# A crash of a throw-away server may lose everything; waiting for the disk would cost the suite minutes.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "autovacuum": "off",
}


def binaries() -> Path | None:
    """The folder of the newest installed server, or None."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: int(folder.parent.name)) if folders else None


def why_absent() -> str | None:
    """The reason why no server can be started here, or None when one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and _server_account() is None:
        return "initdb refuses to run as root and this machine has no user named postgres"
    return None


# As users have it, but for the small machine: every commit waits for the disk.
DURABLE = {name: FAST[name] for name in ("listen_addresses", "unix_socket_directories")} | {
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "100",
}


class PostgresServer:
    """A server in a folder of its own, which can be stopped and started again with its data and port.

    Parameters
    ----------
    tmp_dir : where the data folder is made; see `start_postgres`
    durable : whether commits wait for the disk, and a crash loses nothing

    Raises
    ------
    RuntimeError : no server can be started here; the message says why
    """

    def __init__(self, tmp_dir: Path | None = None, *, durable: bool = False) -> None:
        reason, bin_folder = why_absent(), binaries()
        if reason is not None or bin_folder is None:
            raise RuntimeError(reason or "PostgreSQL is not installed")
        self._bin = bin_folder
        account = _server_account() if os.geteuid() == 0 else None
        parent = (
            tmp_dir if tmp_dir is not None and (account is None or _everyone_may_enter(tmp_dir)) else None
        )
        self.folder = Path(tempfile.mkdtemp(prefix="fairlens-pg-", dir=parent))
        self._identity: dict[str, Any] = {}
        if account is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._options = DURABLE if durable else FAST
        initdb = [bin_folder / "initdb", "-D", self.folder / "data", "-U", "fairlens", "-A", "trust"]
        initdb += ["-E", "UTF8", "--no-locale", "-N"]
        made = subprocess.run(
            initdb, cwd=self.folder, capture_output=True, text=True, check=False, **self._identity
        )
        if made.returncode != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise RuntimeError(f"initdb failed: {made.stderr.strip()}")
        for _ in range(3):  # a port that was free may be taken before the server binds it
            self.port = _free_port()
            if self.start():
                return
        text = (self.folder / "server.log").read_text(errors="replace")
        shutil.rmtree(self.folder, ignore_errors=True)
        raise RuntimeError(f"PostgreSQL did not start: {text[-2000:]}")

    @property
    def url(self) -> str:
        """Its address, the same after a new start."""
        return f"postgresql+psycopg://fairlens@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """The process that the others of the server are below."""
        return self._server.pid

    def start(self) -> bool:
        """Start it on its data; whether it accepts sessions."""
        options = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        command = [self._bin / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options]
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._identity,
            )
        return _answers(self._server, self._bin, self.port)

    def halt(self) -> None:
        """Stop it; its data stay."""
        if self._server.poll() is None:
            self._server.send_signal(2)  # SIGINT is PostgreSQL's fast shutdown: open sessions are ended
            try:
                self._server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_postgres(tmp_dir: Path | None = None) -> tuple[str, Callable[[], None]] | str:
    """Start an empty server; returns its address and the function that stops and removes it.

    Parameters
    ----------
    tmp_dir : where the data folder is made. A root process runs the server as the user ``postgres``,
        who cannot look into pytest's private folders: the system's temporary folder is taken then.

    Returns
    -------
    (url, stop), or the reason as a str when no server can be started here
    """
    reason = why_absent()
    if reason is not None:
        return reason
    server = PostgresServer(tmp_dir)
    return server.url, server.remove


class Databases:
    """Databases on a server, made as copies of one that has every table, or of an empty one.

    Making the tables takes 100 ms, copying them 20.
    """

    TEMPLATE = "with_every_table"

    def __init__(self, url: str) -> None:
        self._admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._over: list[str] = []
        self._copies: set[str] = set()
        self._template_made = False
        with self._admin.connect():  # the dialect asks for the version at its first connection
            version = self._admin.dialect.server_version_info or (0,)
        # Files are copied quicker than their pages are logged, on a server that does not wait for its disk.
        self._how = "STRATEGY FILE_COPY" if version >= (15,) else ""

    def _run(self, *statements: str) -> None:
        with self._admin.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def _url(self, name: str) -> str:
        return self._admin.url.set(database=name).render_as_string(hide_password=False)

    def _make_template(self) -> None:
        from fairlens_backend.storage import tables

        self._run(f"CREATE DATABASE {self.TEMPLATE} {self._how}")
        made = create_engine(self._url(self.TEMPLATE), poolclass=NullPool)
        tables.Base.metadata.create_all(made)
        made.dispose()
        self._run(f"ALTER DATABASE {self.TEMPLATE} ALLOW_CONNECTIONS false")
        self._template_made = True

    def has_tables(self, name: str | None) -> bool:
        """Whether a database was made with every table."""
        return name in self._copies

    @contextmanager
    def new(self, *, with_tables: bool) -> Iterator[str]:
        """The address of a database that nobody else uses; it goes when the next two are over."""
        if with_tables and not self._template_made:
            self._make_template()
        name = f"t_{uuid.uuid4().hex}"
        if with_tables:
            self._copies.add(name)
        like = self.TEMPLATE if with_tables else "template1"
        self._run(f"CREATE DATABASE {name} TEMPLATE {like} {self._how}")
        yield self._url(name)
        # The server sleeps 100 ms where sessions of the database have only just ended: by the next tests' end they have.
        self._over.append(name)
        if len(self._over) > 2:
            self._run(f"DROP DATABASE {self._over.pop(0)} WITH (FORCE)")


def _server_account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def _everyone_may_enter(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder.resolve(), *folder.resolve().parents))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: subprocess.Popen[bytes], bin_folder: Path, port: int) -> bool:
    """Whether the server accepts sessions within 30 s; False at once when it ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if server.poll() is not None:
            return False
        ready = subprocess.run(
            [bin_folder / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
        )
        if ready.returncode == 0:
            return True
        time.sleep(0.05)  # a process coming up has no event to wait for
    server.kill()
    server.wait()
    return False
