#!/usr/bin/env bash
# A stranger's first minute: the project's files alone, copied to an empty folder, `bash run.sh`, a healthy answer, a clean stop.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
runner=
finish() {
    if [ -n "$runner" ] && kill -0 "$runner" 2>/dev/null; then kill -TERM "$runner"; wait "$runner" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT
fail() { printf 'smoke: %s\n' "$1" >&2; sed 's/^/  | /' "$work/log" >&2 || true; exit 1; }

mkdir "$work/project"
if [ -d .git ]; then
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done \
        | tar --null -T - -cf - | tar -xf - -C "$work/project"
else
    tar --exclude=./.venv --exclude=./instance --exclude=./.env --exclude='./models/*.pkl' -cf - . | tar -xf - -C "$work/project"
fi
port=${SMOKE_PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
answers() { python3 -c 'import sys, urllib.request as u; sys.exit(u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=5).status != 200)' "$1" 2>/dev/null; }

began=$SECONDS
# Nothing of the caller's environment may stand in for what the project must bring itself.
env -u VIRTUAL_ENV -u PYTHONPATH -u DATABASE_URL -u DATA_DIR -u MODELS_DIR -u ENVIRONMENT HOST=127.0.0.1 PORT="$port" \
    bash "$work/project/run.sh" >"$work/log" 2>&1 &
runner=$!
until answers "http://127.0.0.1:$port/api/health"; do
    kill -0 "$runner" 2>/dev/null || fail "run.sh ended before the server answered"
    [ $((SECONDS - began)) -lt 300 ] || fail "no healthy answer after 300 s"
    sleep 0.3
done
healthy=$((SECONDS - began))
answers "http://127.0.0.1:$port/api/health?ready=1" || fail "alive, but not ready"
(cd / && "$work/project/.venv/bin/fairlens" --version >/dev/null) || fail "the command fairlens does not run"

kill -TERM "$runner"
wait "$runner" 2>/dev/null || true
runner=
! answers "http://127.0.0.1:$port/api/health" || fail "the server still answers after run.sh was stopped"
size=$(du -sm "$work/project/.venv" | cut -f1)
echo "smoke: healthy after $healthy s from an empty folder, $size MB installed, stopped cleanly"
