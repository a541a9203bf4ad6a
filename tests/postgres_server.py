"""A throw-away PostgreSQL for the tests, started from Debian's own binaries on a free port."""

import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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
    bin_folder = binaries()
    if reason is not None or bin_folder is None:
        return reason or "PostgreSQL is not installed"
    account = _server_account() if os.geteuid() == 0 else None
    parent = tmp_dir if tmp_dir is not None and (account is None or _everyone_may_enter(tmp_dir)) else None
    folder = Path(tempfile.mkdtemp(prefix="fairlens-pg-", dir=parent))
    identity: dict[str, object] = {}
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    data = folder / "data"
    initdb = [
        bin_folder / "initdb",
        "-D",
        data,
        "-U",
        "fairlens",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-locale",
        "-N",
    ]
    made = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False, **identity)  # type: ignore[call-overload]
    if made.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise RuntimeError(f"initdb failed: {made.stderr.strip()}")

    log_path = folder / "server.log"
    for _ in range(3):  # a port that was free may be taken before the server binds it
        port = _free_port()
        options = [part for name, value in FAST.items() for part in ("-c", f"{name}={value}")]
        with log_path.open("ab") as log:
            server = subprocess.Popen(  # type: ignore[call-overload]
                [bin_folder / "postgres", "-D", data, "-p", str(port), *options],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **identity,
            )  # fmt: skip
        if _answers(server, bin_folder, port):
            break
    else:
        text = log_path.read_text(errors="replace")
        shutil.rmtree(folder, ignore_errors=True)
        raise RuntimeError(f"PostgreSQL did not start: {text[-2000:]}")

    def stop() -> None:
        if server.poll() is None:
            server.send_signal(2)  # SIGINT is PostgreSQL's fast shutdown: open sessions are ended
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    return f"postgresql+psycopg://fairlens@127.0.0.1:{port}/postgres", stop


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
