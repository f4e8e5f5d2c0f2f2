#!/bin/sh
# Runs inside the first stage of the Dockerfile: copies what the given programs and libraries are linked with, and what
# the C library and TLS look up at run time, into a root of its own. Everything else of the base stays behind.
#
#   collect-libraries.sh ROOT FILE...
set -eu

root=$1
shift
mkdir -p "$root/etc" "$root/tmp" "$root/var/lib/filot"

for file in "$@"; do
    if ldd "$file" | grep 'not found'; then
        echo "collect-libraries: $file needs a library that the base does not have" >&2
        exit 1
    fi
    # Lines are "name => /path (address)", or "/path (address)" for the loader.
    ldd "$file" | sed -n 's/.*=> *\(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p'
done | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
done

# TLS to PostgreSQL, Redis, R2, Stack Auth and BULI2 is checked against these.
mkdir -p "$root/etc/ssl/certs"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo 'filot:x:10001:10001:FiLot:/var/lib/filot:/nonexistent' >"$root/etc/passwd"
echo 'filot:x:10001:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
chmod 1777 "$root/tmp"
chown 10001:10001 "$root/var/lib/filot"
chmod 700 "$root/var/lib/filot"
