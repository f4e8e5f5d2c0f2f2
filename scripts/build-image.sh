#!/usr/bin/env bash
# Builds an image with Docker, or with buildah where there is no Docker daemon.
#
#   scripts/build-image.sh api|gpu NAME:TAG
#
# BASE names another base image than the Dockerfile's. BUILDER is docker or buildah; by default whichever works.
# Under buildah, BUILDAH_OPTIONS holds its global options, such as "--storage-driver vfs".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "build-image: $*" >&2; exit 1; }

kind=${1:-} image=${2:-}
case $kind in
    api) file=deploy/Dockerfile ;;
    gpu) file=deploy/Dockerfile.cuda ;;
    *) die "usage: scripts/build-image.sh api|gpu NAME:TAG" ;;
esac
[[ -n $image ]] || die "usage: scripts/build-image.sh api|gpu NAME:TAG"

builder=${BUILDER:-}
if [[ -z $builder ]]; then
    if docker info >/dev/null 2>&1; then
        builder=docker
    elif command -v buildah >/dev/null; then
        builder=buildah
    else
        die "neither a Docker daemon answers nor is there buildah: start Docker, or apt-get install buildah"
    fi
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
scripts/image-context.sh "$kind" "$context/files"
arguments=(--file "$file" --tag "$image" --build-arg "VERSION=${VERSION:-$(git describe --always --dirty 2>/dev/null || echo unknown)}")
[[ -z ${BASE:-} ]] || arguments+=(--build-arg "BASE=$BASE")
case $builder in
    docker) docker build "${arguments[@]}" "$context/files" ;;
    buildah)
        read -ra options <<<"${BUILDAH_OPTIONS:-}"
        # The format of Docker is the one that keeps HEALTHCHECK.
        buildah "${options[@]}" build --format docker --isolation "${BUILDAH_ISOLATION:-chroot}" "${arguments[@]}" \
            "$context/files"
        ;;
    *) die "BUILDER must be docker or buildah, not $builder" ;;
esac
