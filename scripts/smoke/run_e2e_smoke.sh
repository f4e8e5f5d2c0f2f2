#!/usr/bin/env bash
# Holds a running FiLot against what it promises, from outside: health, sign-in, upload, verdict, download, who may see
# what, metrics, deletion. Takes seconds, never longer than SMOKE_TIMEOUT for the verdict.
#
#   scripts/smoke/run_e2e_smoke.sh BASE_URL [PHOTO.jpg]
#
# Without a photo an invented KTP is drawn (`filot sample`), which must be approved, with the number that was drawn.
# Exit status: 0 everything holds, 1 something does not, 64 wrong usage.
#
#   SMOKE_EMAIL, SMOKE_PASSWORD  sign in to this account; by default a new one is made (smoke-…@example.com)
#   METRICS_TOKEN                then /metrics is read with it, and must be refused without
#   SMOKE_TIMEOUT                seconds to wait for the verdict (default 90)
#   SMOKE_EXPECT                 the decision that PHOTO must get, such as needs_review
#   FILOT_PROGRAM                the program that draws (default: target/release/filot, then filot of the PATH)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() { echo "usage: scripts/smoke/run_e2e_smoke.sh BASE_URL [PHOTO.jpg]" >&2; exit 64; }
[[ $# -ge 1 && $# -le 2 && $1 == http*://* ]] || usage
base=${1%/} photo=${2:-}
patience=${SMOKE_TIMEOUT:-90}
[[ $patience =~ ^[0-9]+$ ]] || { echo "smoke: SMOKE_TIMEOUT must be a number of seconds" >&2; exit 64; }
for tool in curl python3 sha256sum; do
    command -v "$tool" >/dev/null || { echo "smoke: $tool is missing" >&2; exit 64; }
done

# Tokens and passwords lie in files here, for this user only: command lines are readable by everyone.
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

good() { passed=$((passed + 1)); echo "  ok      $*"; }
bad() { failed=$((failed + 1)); echo "  FAILED  $*"; }
finish() {
    echo "smoke: $passed passed, $failed failed at $base"
    exit "$((failed > 0))"
}
fatal() { bad "$*"; finish; }

# ask METHOD PATH [curl options]: the status on standard output, the body in $work/body. 000 when nobody answers.
ask() {
    local method=$1 path=$2
    shift 2
    curl --silent --max-time 40 --request "$method" --output "$work/body" --write-out '%{http_code}' \
        "$@" "$base$path" || true
}
# expect WHAT STATUS GOT
expect() {
    if [[ $3 == "$2" ]]; then good "$1"; else bad "$1: status $3, not $2: $(head -c 300 "$work/body" 2>/dev/null)"; fi
}
# field FILE KEY…: a value of a JSON file; empty when it is not there.
field() {
    python3 -c '
import json, sys
try:
    value = json.load(open(sys.argv[1]))
    for key in sys.argv[2:]:
        value = value[key]
except (KeyError, TypeError, ValueError, OSError):
    value = None
print("" if value is None else str(value).lower() if isinstance(value, bool) else value)' "$@"
}
# credentials EMAIL: a body for /auth/* on standard output; the password comes from $work/password.
credentials() {
    python3 -c 'import json, sys; print(json.dumps({"email": sys.argv[1], "password": open(sys.argv[2]).read()}))' \
        "$1" "$work/password"
}
# sign_in ROUTE EMAIL NAME: the token goes into the header file $work/NAME.
sign_in() {
    local status
    status=$(credentials "$2" | ask POST "$1" --header 'Content-Type: application/json' --data-binary @-)
    [[ $status == 200 || $status == 201 ]] || fatal "sign in ($1): status $status: $(head -c 300 "$work/body")"
    echo "Authorization: Bearer $(field "$work/body" accessToken)" >"$work/$3"
}

if [[ -z $photo ]]; then
    program=${FILOT_PROGRAM:-${CARGO_TARGET_DIR:-$here/target}/release/filot}
    [[ -x $program ]] || program=$(command -v filot) ||
        { echo "smoke: no program to draw a card with: name a photo, or set FILOT_PROGRAM" >&2; exit 64; }
    "$program" sample --count 12 --seed 7 --out "$work/sample" >/dev/null
    # A KTP in good light, about which nothing is wrong.
    python3 - "$work/sample" >"$work/drawn" <<'PY'
import json, os, sys
cards = [json.loads(line) for line in open(os.path.join(sys.argv[1], "truth.jsonl"))]
fits = [card for card in cards if card["declared"] == "ktp" and card["expect"] == "approve"]
fits.sort(key=lambda card: (card["tier"] != "clean", card["tier"] != "normal"))
print(fits[0]["file"], fits[0]["fields"]["nik"])
PY
    read -r name nik <"$work/drawn"
    photo=$work/sample/$name
    expected=${SMOKE_EXPECT:-auto_approve}
else
    [[ -f $photo ]] || { echo "smoke: there is no file $photo" >&2; exit 64; }
    nik='' expected=${SMOKE_EXPECT:-}
fi

echo "smoke: $base"
status=$(ask GET /health)
[[ $status == 200 ]] || fatal "/health: status $status; does the service run, and does this machine reach it?"
if [[ $(field "$work/body" ok) == true ]]; then
    good "/health: everything works"
else
    bad "/health is degraded: $(head -c 400 "$work/body")"
fi
expect "/ready" 200 "$(ask GET /ready)"

if [[ -n ${METRICS_TOKEN:-} ]]; then
    echo "Authorization: Bearer $METRICS_TOKEN" >"$work/metrics-token"
    expect "/metrics is closed without its token" 403 "$(ask GET /metrics)"
    expect "/metrics opens with it" 200 "$(ask GET /metrics --header "@$work/metrics-token")"
    if grep -q '^filot_queue_jobs' "$work/body"; then good "/metrics tells the depth of the queue"; else bad "/metrics has no filot_queue_jobs"; fi
else
    status=$(ask GET /metrics)
    case $status,$base in
        403,*) good "/metrics is closed" ;;
        200,http://127.*|200,http://localhost*|200,http://\[::1\]*) good "/metrics is open to this host" ;;
        *) bad "/metrics answers $status to a stranger: set FILOT_METRICS_TOKEN" ;;
    esac
fi
expect "documents are closed to strangers" 401 "$(ask GET /documents)"

run=$(python3 -c 'import secrets; print(secrets.token_hex(8))')
if [[ -n ${SMOKE_EMAIL:-} ]]; then
    [[ -n ${SMOKE_PASSWORD:-} ]] || { echo "smoke: SMOKE_PASSWORD must be set when SMOKE_EMAIL is" >&2; exit 64; }
    printf '%s' "$SMOKE_PASSWORD" >"$work/password"
    sign_in /auth/login "$SMOKE_EMAIL" owner
else
    python3 -c 'import secrets; print(secrets.token_urlsafe(24), end="")' >"$work/password"
    sign_in /auth/register "smoke-$run@example.com" owner
fi
expect "signed in" 200 "$(ask GET /auth/me --header "@$work/owner")"

upload=(--header "@$work/owner" --header "Idempotency-Key: smoke-$run" --form type=KTP --form "file=@$photo")
started=$(date +%s)
status=$(ask POST /documents/upload --header 'Prefer: wait=20' "${upload[@]}")
[[ $status == 200 || $status == 202 ]] || fatal "upload: status $status: $(head -c 300 "$work/body")"
id=$(field "$work/body" documentId)
[[ -n $id ]] || fatal "upload: no documentId"
good "uploaded"
while :; do
    [[ $(ask GET "/documents/$id" --header "@$work/owner") == 200 ]] || fatal "the document cannot be read back"
    state=$(field "$work/body" status)
    [[ $state == completed || $state == failed ]] && break
    if (($(date +%s) - started > patience)); then
        bad "no verdict within $patience s (status $state): does a worker run on this lane?"
        break
    fi
    sleep 0.5
done
cp "$work/body" "$work/document"
if [[ $state == completed ]]; then
    decision=$(field "$work/document" aiDecision)
    if [[ -z $expected || $decision == "$expected" ]]; then
        good "verdict: $decision, score $(field "$work/document" aiScore), read in $(field "$work/document" readingMs) ms"
    else
        bad "verdict: $decision, not $expected"
    fi
    if [[ -n $nik ]]; then
        if [[ $(field "$work/document" result fields nik value) == "$nik" ]]; then good "the number is read as drawn"; else bad "the number is not read as drawn"; fi
    fi
    expect "the verdict by its own route" 200 "$(ask GET "/verification/status/$id" --header "@$work/owner")"
elif [[ $state == failed ]]; then
    bad "the document failed: $(field "$work/document" error)"
fi

status=$(ask POST /documents/upload "${upload[@]}")
if [[ $status == 20? && $(field "$work/body" documentId) == "$id" ]]; then good "the same request again makes no second document"; else bad "the same request again: status $status"; fi

status=$(ask GET "/documents/$id/download" --header "@$work/owner")
link=$(field "$work/body" url)
if [[ $status == 200 && -n $link ]] && curl --silent --fail --max-time 40 --output "$work/file" "$link" &&
    half=$(($(stat --format %s "$photo") / 2)) &&
    # What the camera wrote beside the picture stands at the beginning and is not kept.
    [[ $(tail --bytes "$half" "$work/file" | sha256sum) == "$(tail --bytes "$half" "$photo" | sha256sum)" ]]; then
    good "the picture comes back byte for byte"
else
    bad "the file does not come back by its link (status $status): is FILOT_PUBLIC_URL or CF_R2_ENDPOINT reachable from here?"
fi

if [[ -z ${SMOKE_EMAIL:-} ]]; then
    sign_in /auth/register "smoke-$run-other@example.com" other
    expect "another account does not see it" 404 "$(ask GET "/documents/$id" --header "@$work/other")"
fi
expect "deleted" 204 "$(ask DELETE "/documents/$id" --header "@$work/owner")"
expect "gone after that" 404 "$(ask GET "/documents/$id" --header "@$work/owner")"
expect "signed out" 204 "$(ask POST /auth/logout --header "@$work/owner")"
expect "the token is worth nothing after that" 401 "$(ask GET /auth/me --header "@$work/owner")"
finish
