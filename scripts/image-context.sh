#!/usr/bin/env bash
# Fills a folder with what an image is built from: the program without debug information, the networks, the scripts
# that run inside the build.
#
#   scripts/image-context.sh api|gpu FOLDER
#
# FILOT_PROGRAM and FILOT_MODELS name other places than target/release/filot and models/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "image-context: $*" >&2; exit 1; }

kind=${1:-} folder=${2:-}
[[ $kind == api || $kind == gpu ]] && [[ -n $folder ]] || die "usage: scripts/image-context.sh api|gpu FOLDER"
program=${FILOT_PROGRAM:-${CARGO_TARGET_DIR:-target}/release/filot}
models=${FILOT_MODELS:-models}
[[ -x $program ]] || die "$program is not there: cargo build --release --package filot"
[[ -f $models/SHA256SUMS ]] || die "there are no networks in $models: make models"
command -v strip >/dev/null || die "strip is missing: apt-get install binutils"

rm -rf "$folder"
mkdir -p "$folder"
strip --strip-debug -o "$folder/filot" "$program"
cp -r "$models" "$folder/models"
cp deploy/collect-libraries.sh "$folder/"
if [[ $kind == gpu ]]; then
    # Here the library of the CPU would only take space.
    rm -f "$folder/models/libonnxruntime.so"
    scripts/gpu-runtime.sh "$folder/cuda"
fi
(cd "$folder/models" && sha256sum --check --quiet --ignore-missing SHA256SUMS)
# Whoever builds may have a strict umask; the image's user must be able to read.
chmod -R go+rX "$folder"
