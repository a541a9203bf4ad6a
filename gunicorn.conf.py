"""Settings of gunicorn, read from the folder it is started in; the command line overrides them.

The application's settings are loaded here, in the master: a wrong one stops the start with one sentence, not with a
stack trace from each worker.
"""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
# Two workers on two cores, each with its own BLAS pool, fight for them: 12–31 s became 1–3 s with one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No module is imported under its name: gunicorn takes every name here for one of its settings, `config` is one.
from fairlens_backend.config import load_settings, metrics_folder, use, worker_processes
from fairlens_backend.errors import ConfigurationError

try:
    _settings = load_settings()
    workers = worker_processes()
    from fairlens_backend.storage import redis_link

    use(_settings)
    redis_link.check()
    if _settings.production:
        from fairlens_backend.errors import Unavailable
        from fairlens_backend.storage import migrate

        try:
            _ready = migrate.is_at_head()
        except Unavailable as error:
            sys.exit(f"FairLens: {error.message}")
        if not _ready:
            sys.exit("FairLens: the database's schema is not up to date. Run: make migrate")
except ConfigurationError as error:
    sys.exit(f"FairLens: {error.message}")

_given = metrics_folder()
# Set before any worker imports prometheus_client, which looks once. A reload reads this file again and finds it set: it stays.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _folder = _given or tempfile.mkdtemp(prefix="fairlens-metrics-")
_OURS = "FAIRLENS_METRICS_FOLDER"
if not _given:
    os.environ[_OURS] = _folder


def on_starting(server: Any) -> None:
    """What a server before this one counted is not this one's."""
    os.makedirs(_folder, exist_ok=True)
    for path in Path(_folder).glob("*.db"):
        path.unlink(missing_ok=True)


def post_worker_init(worker: Any) -> None:
    """What was made at the start stays for good, so the collector need not look through it again and again.

    A batch of 500 events makes some thousand objects, and none of them in cycles: with Python's own thresholds the collector
    took a quarter of the server's time (25.7 µs of CPU an event became 17.9).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def child_exit(server: Any, worker: Any) -> None:
    """A worker that ended counts no more; what it counted stays in the sums."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """A folder that was made here goes with the server."""
    if os.environ.get(_OURS) == _folder:
        shutil.rmtree(_folder, ignore_errors=True)


bind = f"{_settings.host}:{_settings.port}"
worker_class = "gthread"
threads = 4  # a health check is answered while another thread of the worker reads a large upload
timeout = 120  # seconds; a file of a million rows takes its time
graceful_timeout = 20
worker_tmp_dir = (
    "/dev/shm" if os.path.isdir("/dev/shm") else None
)  # a heartbeat on a busy disk looks like a dead worker
control_socket_disable = True  # gunicorn 27 would open one in the home folder
loglevel = "warning"  # the application writes a line a request, as JSON
