#!/usr/bin/env bash
# Holds the served API against its own description with schemathesis: all checks, as a signed-in user and as a
# neighbouring service. With --install it only puts the tool in place: pinned, each package held against its hash.
#
#   CASES=N   generated cases to an operation (default 1000: some 21,000 in all)
#   FILOT=…   the program (default: the release build)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lock=scripts/schemathesis.lock
python=${PYTHON:-python3}
filot=${FILOT:-${CARGO_TARGET_DIR:-target}/release/filot}
tools=${CARGO_TARGET_DIR:-target}/tools/schemathesis
cases=${CASES:-1000}
stamp=$(cat "$lock" <("$python" --version; uname -m) | sha256sum | cut -d' ' -f1)

die() { echo "schemathesis: $*" >&2; exit 1; }

if [[ ! -f $tools/.stamp || $(cat "$tools/.stamp") != "$stamp" ]]; then
    rm -rf "$tools"
    mkdir -p "$(dirname "$tools")"
    "$python" -m venv "$tools" || die "$python cannot make an environment; on Debian: apt-get install python3-venv"
    "$tools/bin/pip" --quiet --disable-pip-version-check install --only-binary=:all: --require-hashes \
        --requirement "$lock" || die "the packages cannot be fetched"
    echo "$stamp" >"$tools/.stamp"
fi
[[ ${1:-} == --install ]] && exit 0
[[ -x $filot ]] || die "$filot is not there: cargo build --release"

work=$(mktemp -d)
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
base=http://127.0.0.1:$port
service_key=$("$python" -c 'import secrets; print(secrets.token_urlsafe(32))')
PORT=$port FILOT_DATA_DIR=$work/data SERVICE_INTERNAL_KEY=$service_key FILOT_SERVER_REQUESTS_PER_MINUTE=100000000 \
    FILOT_SERVER_UPLOADS_PER_MINUTE=100000000 FILOT_UPLOAD_FILES_PER_DAY=0 FILOT_UPLOAD_BYTES_PER_DAY=0 \
    FILOT_AUTH_ACCESS_TOKEN_S=86400 "$filot" serve >"$work/out" 2>"$work/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 300); do
    curl --silent --fail --output /dev/null "$base/ready" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; die "the service does not start"; }
    sleep 0.2
done
token=$(curl --silent --fail "$base/auth/register" --json '{"email":"fuzz@example.com","password":"a long enough one"}' |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["accessToken"])') || die "nobody can register"

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
faults=$(grep --max-count=5 '"status":5' "$work/log" || true)
if [[ -n $faults ]]; then
    echo "schemathesis: answers with a status of 500 and more in the log:" >&2
    echo "$faults" >&2
    status=1
fi
exit $status
