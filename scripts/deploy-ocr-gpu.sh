#!/usr/bin/env bash
# Builds the image of the GPU worker, brings it to AWS and rolls it out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage='usage: scripts/deploy-ocr-gpu.sh [--dry-run] build|push|register|update|all|rollback [REVISION]|status|help

  build     the program and its image, with the ONNX Runtime for CUDA
  push      the image to ECR
  register  a revision of the task definition with this image
  update    rolls the newest revision out and waits; a failed rollout is an error
  all       build, push, register, update
  rollback  to the revision before the one that runs, or to REVISION

Settings and what to do when something fails: docs/runbook.md'
case ${ENVIRONMENT:-production} in
    production) prefix=filot ;;
    staging) prefix=filot-staging ;;
    *) echo "deploy-ocr-gpu.sh: ENVIRONMENT must be production or staging" >&2; exit 64 ;;
esac
# The names are those of deploy/terraform.
# shellcheck disable=SC2034 # used by ecs.sh
{
    kind=gpu repository=$prefix-ocr-gpu-worker family=$prefix-ocr-gpu-worker container=gpu-worker
    cluster=$prefix-ocr-gpu-cluster service=$prefix-ocr-gpu-service
    steps="build push register update"
}
# shellcheck source=scripts/ecs.sh
source scripts/ecs.sh
main "$@"
