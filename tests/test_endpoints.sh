#!/usr/bin/env bash
# The first surface from outside, one line a check: bash tests/test_endpoints.sh
# Asks BASE_URL, or the server on port 5050; when none answers there, one of its own in a temporary folder, stopped at the end.
# The password of a running server comes from ADMIN_PASSWORD, .env or its DATA_DIR/secrets.env.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${VENV:-.venv}/bin/python
[ -x "$python" ] || python=python3
work=$(mktemp -d)
server= token= auditor=
base=${BASE_URL:-http://127.0.0.1:${PORT:-5050}}
base=${base%/}
checks=0

finish() {
    status=$?
    trap - EXIT
    # The account that this made leaves with it.
    if [ -n "$auditor" ]; then request DELETE "/api/admin/users/$auditor" "$token" >/dev/null || true; fi
    if [ -n "$server" ]; then
        if kill -0 "$server" 2>/dev/null; then kill -TERM "$server"; fi
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() {
    printf 'FAIL  %s\n' "$1" >&2
    if [ -f "$work/answer" ]; then sed 's/^/      | /' "$work/answer" | cut -c1-1000 >&2; fi
    if [ -n "$server" ]; then tail -n 5 "$work/log" | sed 's/^/      > /' >&2; fi
    exit 1
}

request() { # METHOD PATH TOKEN [BODY]: the answer's body into $work/answer, its status printed
    local arguments=(-s --noproxy '*' -m 120 -o "$work/answer" -w '%{http_code}' -X "$1" -H 'Accept: application/json')
    # Token and body through files: arguments are seen by every user of the machine.
    printf 'Authorization: Bearer %s\n' "$3" >"$work/header"
    if [ -n "$3" ]; then arguments+=(-H "@$work/header"); fi
    if [ "$#" -gt 3 ]; then
        printf '%s' "$4" >"$work/body"
        arguments+=(-H 'Content-Type: application/json' --data-binary "@$work/body")
    fi
    curl "${arguments[@]}" "$base$2" || printf 000
}

holds() { # CONDITION: on `data`, `error` and `message` of the answer; the envelope is always looked at
    "$python" - "$work/answer" "$1" <<'PYTHON'
import json, sys
def refuse(constant): raise ValueError(f"{constant} is no JSON")
with open(sys.argv[1], encoding="utf-8") as file:
    answer = json.load(file, parse_constant=refuse)
names = {"status", "data", "message", "error", "request_id", "timestamp"}
whole = set(answer) == names and (answer["status"] == "success") == (answer["error"] is None)
sys.exit(not (whole and eval(sys.argv[2], {}, answer)))
PYTHON
}

check() { # NAME EXPECTED_STATUS CONDITION METHOD PATH TOKEN [BODY]
    local name=$1 expected=$2 condition=$3 status
    shift 3
    status=$(request "$@")
    [ "$status" = "$expected" ] || fail "$name: $1 $2 answered $status, $expected was expected"
    holds "$condition" || fail "$name: the answer of $1 $2 is not as expected: $condition"
    checks=$((checks + 1))
    printf 'ok    %-34s %s %s\n' "$name" "$1" "$2"
}

value() { "$python" -c 'import json, sys; print(eval(sys.argv[2], {}, json.load(open(sys.argv[1]))))' "$work/answer" "$1"; }
alive() { [ "$(request GET /api/health '')" = 200 ] && holds 'data["alive"]' 2>/dev/null; }

setting() { # NAME: of the environment, .env, or the secrets that development made
    local found=${!1:-} file
    for file in .env "${DATA_DIR:-instance}/secrets.env"; do
        if [ -z "$found" ] && [ -f "$file" ]; then found=$(sed -n "s/^$1=//p" "$file" | tail -n 1); fi
    done
    printf '%s' "$found"
}

start_own() {
    local port
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    base=http://127.0.0.1:$port
    ADMIN_PASSWORD=$("$python" -c 'import secrets; print(secrets.token_urlsafe(18))')
    ADMIN_USERNAME=admin
    export ADMIN_PASSWORD ADMIN_USERNAME
    export ENVIRONMENT=development DATABASE_URL='' DATA_DIR="$work/data" MODELS_DIR="$work/models" WEBHOOK_URL='' KEY_PROVIDER=environment
    export HOST=127.0.0.1 PORT="$port" LOG_LEVEL=warning OMP_NUM_THREADS=1
    printf 'start of a server of its own on %s\n' "$base"
    "$python" fairlens_backend/model_train.py --samples 1000 >"$work/log" 2>&1 || { server=none; fail 'the demo model could not be trained'; }
    "$python" fairlens_backend/app.py >"$work/log" 2>&1 &
    server=$!
    local began=$SECONDS
    until alive; do
        kill -0 "$server" 2>/dev/null || fail 'the server ended before it answered'
        [ $((SECONDS - began)) -lt 60 ] || fail 'no answer after 60 s'
        sleep 0.2
    done
}

if ! alive; then
    [ -z "${BASE_URL:-}" ] || fail "no FairLens answers at BASE_URL=$BASE_URL"
    start_own
fi
admin=$(setting ADMIN_USERNAME)
password=$(setting ADMIN_PASSWORD)
[ -n "$password" ] || fail "the password of $base is not known here; set ADMIN_PASSWORD"
json() { "$python" -c 'import json, sys; a = sys.argv[1:]; print(json.dumps(dict(zip(a[::2], a[1::2]))))' "$@"; }

check 'health' 200 'data["alive"]' GET /api/health ''
check 'readiness' 200 'data["ready"]' GET '/api/health?ready=1' ''
check 'no token' 401 'error["code"] == "not_authenticated"' GET /api/models ''
check 'login as admin' 200 'data["role"] == "admin" and data["expires_in"] > 0' POST /api/login '' "$(json username "${admin:-admin}" password "$password")"
token=$(value 'data["access_token"]')
refresh=$(value 'data["refresh_token"]')
check 'refresh token as access token' 401 'error["code"] == "not_authenticated"' GET /api/models "$refresh"
check 'models' 200 'isinstance(data["items"], list)' GET /api/models "$token"
check 'evaluate_model demo' 200 'data["record_id"] and data["predictions_count"] == 1000 and len(data["predictions"]) == 100 and data["alert"]' \
    POST /api/evaluate_model "$token" '{"model_name": "loan_model", "n_samples": 1000, "drift_level": 0.8, "mode": "demo", "seed": 1}'
record=$(value 'data["record_id"]')
check 'evaluate_model with nothing' 422 'error["details"]["field"] == "n_samples"' POST /api/evaluate_model "$token" '{"n_samples": 0}'
check 'fairness_trend' 200 'data["n_checks"] >= 1 and data["values"][-1]["value"] is not None' GET '/api/fairness_trend?window=10&metric=dir&model=loan_model' "$token"
check 'monitor_fairness fair' 200 'not data["alert"]' GET '/api/monitor_fairness?scenario=fair&n_samples=1000' ''
check 'monitor_fairness drifted' 200 'data["alert"] and data["dir"] < 0.8' GET '/api/monitor_fairness?scenario=drifted&n_samples=1000' ''
name=endpoints-$("$python" -c 'import secrets; print(secrets.token_hex(6))')
secret=$("$python" -c 'import secrets; print(secrets.token_urlsafe(18))')
check 'make an auditor' 201 'data["role"] == "auditor"' POST /api/admin/users "$token" "$(json username "$name" password "$secret" role auditor)"
auditor=$name
check 'login as auditor' 200 'data["role"] == "auditor"' POST /api/login '' "$(json username "$auditor" password "$secret")"
reader=$(value 'data["access_token"]')
check 'audit_history as auditor' 200 "data['items'][0]['record_id'] == '$record'" GET '/api/audit_history?limit=1&model=loan_model' "$reader"
check 'verify_alert as auditor' 200 'data["valid"] or data["pending"]' GET "/api/verify_alert/$record" "$reader"
check 'alert text as auditor' 200 'len(data["text"]) > 20' GET "/api/alerts/$record/text" "$reader"
check 'auditor is no administrator' 403 'error["code"] == "not_allowed"' GET /api/admin/users "$reader"
check 'unknown address' 404 'error["code"] == "not_found"' GET /api/nowhere ''
printf '%s checks passed at %s\n' "$checks" "$base"
