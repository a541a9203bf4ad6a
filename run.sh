#!/usr/bin/env bash
# FairLens on a fresh machine, in one command: installs, migrates, trains the demo model, serves.
# Settings come from the environment or from .env (see .env.example). Ctrl-C stops everything.
set -euo pipefail
cd "$(dirname "$0")"

fail() { printf 'FairLens: %s\n' "$1" >&2; exit 1; }
say() { printf 'FairLens: %s\n' "$1"; }

if [ "$#" -gt 0 ]; then
    echo "usage: bash run.sh    (PORT=8080 bash run.sh for another port; the settings are in .env.example)"
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi

started=$SECONDS
bash tools/install.sh runtime .venv
python=.venv/bin/python
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # one BLAS thread a worker: more of them fight for the same cores

# One interpreter reads all that the rest needs; a wrong setting ends here with its sentence.
settings=$("$python" - <<'PYTHON'
import os, shlex, socket, sys
sys.path.insert(0, "")
from fairlens_backend import config
from fairlens_backend.errors import ConfigurationError
try:
    settings = config.load_settings()
except ConfigurationError as error:
    sys.exit(f"FairLens: {error.message}")
try:
    with socket.create_server((settings.host, settings.port)):
        pass
except OSError as error:
    sys.exit(f"FairLens: port {settings.port} of {settings.host} cannot be used ({os.strerror(error.errno or 0)}). "
             f"Stop what holds it, or choose another: PORT={settings.port + 1} bash run.sh")
reach = "127.0.0.1" if settings.host in ("0.0.0.0", "") else settings.host
secrets_file = settings.data_path / config.SECRETS_FILE
values = {
    "address": f"http://{reach}:{settings.port}",
    "environment": settings.environment,
    "admin": settings.admin_username,
    "data": str(settings.data_path),
    "secrets_file": str(secrets_file) if secrets_file.exists() and not settings.production else "",
    "database": settings.sqlalchemy_url.split("://")[0].split("+")[0],
}
print("\n".join(f"{name}={shlex.quote(text)}" for name, text in values.items()))
PYTHON
) || exit 1
eval "$settings"

say "bringing the database ($database) to the newest schema"
output=$("$python" -m alembic upgrade head 2>&1) || {
    printf '%s\n' "$output" >&2
    fail "the migration failed; the lines above say why (a database that cannot be reached, or a schema newer than this code)"
}

# The database says whether the demo model is there: a file alone may belong to another database.
registered=$("$python" - <<'PYTHON'
import sys
sys.path.insert(0, "")
from fairlens_backend import model_registry
from fairlens_backend.errors import FairLensError, NotFound
try:
    model_registry.get_model("loan_model", "v1", tenant="default")
except NotFound:
    print("no")
except FairLensError as error:
    sys.exit(f"FairLens: {error.message}")
else:
    print("yes")
PYTHON
) || exit 1
if [ "$registered" = no ]; then
    say "training the demo model"
    "$python" fairlens_backend/model_train.py --samples 5000 || fail "the demo model could not be trained; the lines above say why"
fi

server=
stop() {
    trap - INT TERM HUP EXIT
    if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
        say "stopping"
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
}
trap 'stop; exit 130' INT
trap 'stop; exit 143' TERM HUP
trap stop EXIT

"$python" -m gunicorn "fairlens_backend.app:create_app()" &
server=$!

"$python" - "$address/api/health" "$server" <<'PYTHON' &
import os, sys, time, urllib.request
url, server = sys.argv[1], int(sys.argv[2])
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # a proxy cannot reach this machine's loopback
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        os.kill(server, 0)
        with open_url(url, timeout=5) as answer:
            sys.exit(0 if answer.status == 200 else 1)
    except ProcessLookupError:
        sys.exit(1)
    except OSError:
        time.sleep(0.1)
sys.exit(f"FairLens: {url} did not answer within 60 s")
PYTHON
# In the background, so that a signal that comes meanwhile is heard at once.
wait $! || fail "the server did not start; the lines above say why"

cat <<TEXT

FairLens is running ($environment) at $address, after $((SECONDS - started)) s
  API document    $address/openapi.json
  health          $address/api/health?ready=1
  data            $data ($database)
TEXT
if [ -n "$secrets_file" ] && [ -z "${ADMIN_PASSWORD:-}" ]; then
    # The password is shown as a command that reads it, so that it stands in no terminal history and no log.
    cat <<TEXT
  log in          as $admin; the password was made for you and is in $secrets_file:
    password=\$(sed -n 's/^ADMIN_PASSWORD=//p' '$secrets_file')
    curl -s $address/api/login -H 'Content-Type: application/json' -d "{\"username\": \"$admin\", \"password\": \"\$password\"}"
TEXT
else
    echo "  log in          POST $address/api/login as $admin, with your ADMIN_PASSWORD"
fi
echo "  stop            Ctrl-C (or: kill $$)"
echo

wait "$server" && status=0 || status=$?
server=
[ "$status" -ne 0 ] || { say "the server was stopped"; exit 0; }
fail "the server ended by itself (status $status); the lines above say why"
