#!/usr/bin/env bash
# Builds the image of the API, brings it to AWS and rolls it out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage='usage: scripts/deploy-backend.sh [--dry-run] build|push|register|migrate|update|all|rollback [REVISION]|status|help

  build     the program and its image
  push      the image to ECR
  register  a revision of the task definition with this image
  migrate   the schema, by one task of the newest revision
  update    rolls the newest revision out and waits; a failed rollout is an error
  all       build, push, register, migrate, update
  rollback  to the revision before the one that runs, or to REVISION

Settings and what to do when something fails: docs/runbook.md'
case ${ENVIRONMENT:-production} in
    production) prefix=filot ;;
    staging) prefix=filot-staging ;;
    *) echo "deploy-backend.sh: ENVIRONMENT must be production or staging" >&2; exit 64 ;;
esac
# The names are those of deploy/terraform.
# shellcheck disable=SC2034 # used by ecs.sh
{
    kind=api repository=$prefix-backend family=$prefix-backend-task container=api
    cluster=$prefix-backend-cluster service=$prefix-backend-service
    steps="build push register migrate update"
}
# shellcheck source=scripts/ecs.sh
source scripts/ecs.sh
main "$@"
