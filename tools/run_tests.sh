#!/usr/bin/env bash
# The suite: on SQLite with coverage by floor, then on a real PostgreSQL. Ends with pytest's own closing lines.
#   tools/run_tests.sh all|sqlite|postgres        PYTEST_JOBS=4 for more processes, VENV for another environment
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1:-all}
python=${VENV:-.venv}/bin/python
jobs=${PYTEST_JOBS:-2}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# The suite starts Python some hundred times: compiling the same modules each time is most of a second of CPU a start.
unset PYTHONDONTWRITEBYTECODE
work=$(mktemp -d)
memory=
# Databases sync at every commit: with their files in memory the suite takes two thirds of the time.
if [ -z "${TMPDIR:-}" ] && [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 6000000 ] 2>/dev/null; then
    memory=$(mktemp -d -p /dev/shm fairlens-tests.XXXXXX)
    chmod 755 "$memory" # PostgreSQL runs as another user
    export TMPDIR=$memory
fi
trap 'rm -rf "$work" ${memory:+"$memory"}' EXIT
failed=0
closing=()

run() { # NAME OUTPUT COMMAND…: shows the run as it goes and keeps its closing line
    local name=$1 output=$2
    shift 2
    echo "== the suite on $name"
    "$@" 2>&1 | tee "$output" || failed=1
    closing+=("$name: $(grep -E '(passed|failed|error|no tests ran).* in [0-9.]+' "$output" | tail -n 1 || true)")
}

if [ "$which" != sqlite ]; then
    absent=$("$python" -c 'import sys; sys.path.insert(0, "."); from tests.postgres_server import why_absent; print(why_absent() or "")')
    if [ -n "$absent" ]; then
        echo "== the suite on PostgreSQL is skipped: $absent"
        [ "$which" = all ] || exit 1
    else
        # The doors above the database, files that were exported from it, and what drives servers of its own for long are run
        # once, below; so is every other test that asks for no database (tests/conftest.py).
        once=(core oracles simulations tools report_rendering channels commands blueprints verifier test_docs.py test_house.py test_packaging.py
            test_cli.py test_compose.py test_library.py test_large_input.py test_bundle_file.py
            test_independent_verifier.py test_numeric_audit.py test_outbound_http.py test_audit_rendering.py
            test_timestamp_authority.py test_uploaded_files.py test_model_train.py test_keys_live.py test_webhooks.py
            test_api_shape.py test_bad_input.py test_ledger_witness.py test_alert_text.py test_app.py test_auth.py
            test_sdk_end_to_end.py)
        run PostgreSQL "$work/postgres" env FAIRLENS_TEST_DATABASE=postgres \
            "$python" -m pytest -q -n "$jobs" --dist loadfile -p no:cacheprovider tests "${once[@]/#/--ignore=tests/}"
    fi
fi

if [ "$which" != postgres ]; then
    rm -f .coverage .coverage.*
    # Tests that go one way a thousand times are marked `no_cover`: traced they take a third longer and cover no line more.
    run SQLite "$work/sqlite" \
        "$python" -m pytest -q -n "$jobs" --dist loadfile --cov --cov-report=
    "$python" -m coverage json -q -o coverage.json && "$python" tools/coverage_by_floor.py coverage.json || failed=1
fi

echo
printf '%s\n' "${closing[@]}"
exit $failed
