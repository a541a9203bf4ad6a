"""Settings of gunicorn, read from the folder it is started in; the command line overrides them.

The application's settings are loaded here, in the master: a wrong one stops the start with one sentence, not with a
stack trace from each worker.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# Two workers on two cores, each with its own BLAS pool, fight for them: 12–31 s became 1–3 s with one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from fairlens_backend.config import load_settings
from fairlens_backend.errors import ConfigurationError

try:
    _settings = load_settings()
    if _settings.production:
        from fairlens_backend import config
        from fairlens_backend.errors import Unavailable
        from fairlens_backend.storage import migrate

        config.use(_settings)
        try:
            _ready = migrate.is_at_head()
        except Unavailable as error:
            sys.exit(f"FairLens: {error.message}")
        if not _ready:
            sys.exit("FairLens: the database's schema is not up to date. Run: make migrate")
except ConfigurationError as error:
    sys.exit(f"FairLens: {error.message}")

bind = f"{_settings.host}:{_settings.port}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 4  # a health check is answered while another thread of the worker reads a large upload
timeout = 120  # seconds; a file of a million rows takes its time
graceful_timeout = 20
worker_tmp_dir = (
    "/dev/shm" if os.path.isdir("/dev/shm") else None
)  # a heartbeat on a busy disk looks like a dead worker
control_socket_disable = True  # gunicorn 27 would open one in the home folder
loglevel = "warning"  # the application writes a line a request, as JSON
