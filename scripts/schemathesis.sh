#!/usr/bin/env bash
# Holds the served API against its own description with schemathesis: all checks, as a signed-in user and as a
# neighbouring service. CASES=N sets the generated cases to an operation (default 1000: some 21,000 in all).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=4.32.5
filot=${CARGO_TARGET_DIR:-target}/release/filot
tools=${CARGO_TARGET_DIR:-target}/tools/schemathesis-$version
cases=${CASES:-1000}

if [[ ! -x $filot ]]; then
    echo "schemathesis: $filot is not there: cargo build --release" >&2
    exit 1
fi
if [[ ! -x $tools/bin/st ]]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" --quiet install "schemathesis==$version"
fi

work=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
base=http://127.0.0.1:$port
service_key=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')
PORT=$port FILOT_DATA_DIR=$work/data SERVICE_INTERNAL_KEY=$service_key FILOT_SERVER_REQUESTS_PER_MINUTE=100000000 \
    FILOT_SERVER_UPLOADS_PER_MINUTE=100000000 FILOT_UPLOAD_FILES_PER_DAY=0 FILOT_UPLOAD_BYTES_PER_DAY=0 \
    FILOT_AUTH_ACCESS_TOKEN_S=86400 "$filot" serve >"$work/out" 2>"$work/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    curl --silent --fail --output /dev/null "$base/ready" && break
    sleep 0.2
done
token=$(curl --silent --fail "$base/auth/register" --json '{"email":"fuzz@example.com","password":"a long enough one"}' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["accessToken"])')

run() {
    "$tools/bin/st" run "$base/openapi.json" --checks all --phases examples,coverage,fuzzing --continue-on-failure \
        --max-examples "$cases" --seed 20261123 --request-timeout 40 --no-color "$@"
}
status=0
# Who logs out is no longer signed in, so that route comes by itself.
run --header "Authorization: Bearer $token" --exclude-path-regex '^/(internal/|documents/upload|auth/logout)' || status=1
# Which bytes are a picture cannot be said in a description, so what fits it may still be refused here.
run --header "Authorization: Bearer $token" --include-path /documents/upload \
    --exclude-checks positive_data_acceptance || status=1
run --header "Authorization: Bearer $service_key" --include-path-regex '^/internal/' || status=1
run --header "Authorization: Bearer $token" --include-path /auth/logout || status=1
if grep -c '"status":5' "$work/log" >/dev/null; then
    echo "schemathesis: answers with a status of 500 and more in the log:" >&2
    grep '"status":5' "$work/log" | head -5 >&2
    status=1
fi
exit $status
