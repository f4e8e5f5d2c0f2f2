#!/usr/bin/env bash
# Measures the service on this machine and writes docs/load.md: answers per second of GET /documents/{id} on PostgreSQL,
# time to acknowledge an upload, time from upload to verdict, memory, start. Needs wrk and PostgreSQL (scripts/setup-debian.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v wrk >/dev/null || {
    echo "load: wrk is missing: sudo apt-get install --no-install-recommends wrk" >&2
    exit 1
}
exec python3 scripts/load.py "${CARGO_TARGET_DIR:-target}/release/filot" "${1:-docs/load.md}"
