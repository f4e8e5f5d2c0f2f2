#!/usr/bin/env bash
# Puts axe-core, which the browser tests look for barriers with, into axe/ (git-ignored): one package, pinned and
# held against its hash. Does nothing when it is there.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$scripts/../axe
version=4.14.1
package=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5

die() { echo "axe: $*" >&2; exit 1; }

[[ -f $folder/.version && $(cat "$folder/.version") == "$package" && -f $folder/axe.min.js ]] && exit 0
command -v npm >/dev/null || die "npm is missing; on Debian: apt-get install npm (or: make setup)"

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
(cd "$new" && npm pack "axe-core@$version" --silent --ignore-scripts >/dev/null) || die "axe-core cannot be fetched"
echo "$package  $new/axe-core-$version.tgz" | sha512sum --check --status || die "axe-core is not the pinned package"
tar -xzf "$new/axe-core-$version.tgz" -C "$new" package/axe.min.js package/LICENSE
rm -rf "$folder"
mkdir -p "$folder"
mv "$new/package/axe.min.js" "$new/package/LICENSE" "$folder/"
echo "$package" >"$folder/.version"
echo "axe: ready" >&2
