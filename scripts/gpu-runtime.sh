#!/usr/bin/env bash
# Puts the ONNX Runtime with its CUDA provider into a folder: taken out of a package pinned with its hash. CUDA 13 and
# cuDNN 9 themselves come with the base of deploy/Dockerfile.cuda, or from the system.
#
#   scripts/gpu-runtime.sh FOLDER
set -euo pipefail

version=1.31.1
hash=sha256:e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6
python=${PYTHON:-python3}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/filot/gpu-wheels

die() { echo "gpu-runtime: $*" >&2; exit 1; }

folder=${1:-}
[[ -n $folder ]] || die "usage: scripts/gpu-runtime.sh FOLDER"
[[ $(uname -m) == x86_64 ]] || die "there is a pinned package for x86_64 only"
"$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip; on Debian: apt-get install python3-pip"
mkdir -p "$cache" "$folder"
wheel=$cache/onnxruntime_gpu-$version-cp311-cp311-manylinux_2_28_x86_64.whl
if [[ ! -f $wheel ]]; then
    echo "gpu-runtime: downloading the ONNX Runtime for CUDA (256 MB, once)" >&2
fi
requirement=$(mktemp)
trap 'rm -f "$requirement"' EXIT
echo "onnxruntime-gpu==$version --hash=$hash" >"$requirement"
# The libraries are plain files in the wheel, so the wheel of one fixed Python serves every Python here.
"$python" -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --python-version 3.11 \
    --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 --dest "$cache" --requirement "$requirement"
"$python" - "$wheel" "$folder" "$version" <<'PY'
import os, shutil, sys, zipfile
wheel, folder, version = sys.argv[1:]
members = {
    f"onnxruntime/capi/libonnxruntime.so.{version}": "libonnxruntime.so",
    "onnxruntime/capi/libonnxruntime_providers_shared.so": "libonnxruntime_providers_shared.so",
    "onnxruntime/capi/libonnxruntime_providers_cuda.so": "libonnxruntime_providers_cuda.so",
    "onnxruntime/LICENSE": "LICENSE",
    "onnxruntime/ThirdPartyNotices.txt": "ThirdPartyNotices.txt",
}
with zipfile.ZipFile(wheel) as archive:
    for member, name in members.items():
        with archive.open(member) as source, open(os.path.join(folder, name), "wb") as out:
            shutil.copyfileobj(source, out)
PY
