# shellcheck shell=bash
# What scripts/deploy-backend.sh and scripts/deploy-ocr-gpu.sh share; sourced by them, with these set:
# kind (api, gpu), repository, family, cluster, service, container, steps (what `all` does), usage.
#
# Environment: AWS_REGION, AWS_ACCOUNT_ID (asked for when not set), IMAGE_TAG (default: git describe), ENVIRONMENT
# (production or staging), DEPLOY_TIMEOUT (seconds until a rollout must have ended), DRY_RUN=1 (as --dry-run).
# AWS credentials come from the usual places of the AWS CLI, never from a command line.

# shellcheck disable=SC2154 # set by the scripts that source this
: "${kind:?}" "${repository:?}" "${family:?}" "${cluster:?}" "${service:?}" "${container:?}" "${steps:?}" "${usage:?}"

name=$(basename "$0")
AWS_REGION=${AWS_REGION:-ap-southeast-2}
export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION AWS_PAGER=''
dry_run=${DRY_RUN:-}
timeout_s=${DEPLOY_TIMEOUT:-900}
poll_s=${DEPLOY_POLL:-10}

die() { echo "$name: $*" >&2; exit 1; }
say() { echo "$name: $*"; }
# change COMMAND…: does it, or with --dry-run says it.
change() {
    if [[ -n $dry_run ]]; then
        printf '%s: would run:' "$name"
        printf ' %q' "$@"
        echo
    else
        "$@"
    fi
}
need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die "$tool is missing; install it first"
    done
}
# aws_text ARGUMENTS…: an answer of AWS as text; what is not there is empty.
aws_text() {
    local text
    text=$(aws --output text "$@") || die "AWS refused: aws $1 $2 (the message stands above). Signed in? Right region ($AWS_REGION)?"
    if [[ $text == None ]]; then text=''; fi
    echo "$text"
}

registry() {
    local account=${AWS_ACCOUNT_ID:-}
    if [[ -z $account ]]; then
        need aws
        account=$(aws_text sts get-caller-identity --query Account) || exit 1
    fi
    [[ $account =~ ^[0-9]{12}$ ]] || die "AWS_ACCOUNT_ID must have 12 digits, not '$account'"
    echo "$account.dkr.ecr.$AWS_REGION.amazonaws.com"
}
tag() {
    local tag=${IMAGE_TAG:-}
    if [[ -z $tag ]]; then
        tag=$(git describe --always --dirty) || die "set IMAGE_TAG: this is no git checkout"
        [[ $tag != *-dirty ]] || die "the checkout has changes that are not committed: commit them, or set IMAGE_TAG yourself"
    fi
    [[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]] || die "IMAGE_TAG '$tag' is no tag"
    echo "$tag"
}
image() {
    local registry tag
    registry=$(registry) || exit 1
    tag=$(tag) || exit 1
    echo "$registry/$repository:$tag"
}
builder() {
    if [[ -n ${BUILDER:-} ]]; then
        echo "$BUILDER"
    elif docker info >/dev/null 2>&1; then
        echo docker
    elif command -v buildah >/dev/null; then
        echo buildah
    else
        die "neither a Docker daemon answers nor is there buildah: start Docker, or apt-get install buildah"
    fi
}

build() {
    local image
    image=$(image) || exit 1
    if [[ -z ${FILOT_PROGRAM:-} ]]; then
        need cargo
        change cargo build --release --locked --package filot ${FEATURES:+--features "$FEATURES"}
    fi
    change scripts/build-image.sh "$kind" "$image"
    [[ -n $dry_run ]] || say "built $image"
}

push() {
    local image registry builder password
    image=$(image) || exit 1
    registry=${image%%/*}
    need aws
    if [[ -n $dry_run ]]; then
        say "would push $image"
        return
    fi
    builder=$(builder) || exit 1
    # The password of the registry goes through a pipe, not through a command line.
    password=$(aws ecr get-login-password) || die "no password for $registry: is this role allowed ecr:GetAuthorizationToken?"
    "$builder" login --username AWS --password-stdin "$registry" <<<"$password" >/dev/null || die "cannot sign in to $registry"
    "$builder" push "$image" || die "cannot push $image. If the tag exists already: tags cannot be overwritten, choose another IMAGE_TAG"
    say "pushed $image"
}

# A new revision of the task definition: the newest one, with this image. Terraform makes the first.
register() {
    local image file revision
    image=$(image) || exit 1
    need aws python3
    file=$(mktemp)
    # shellcheck disable=SC2064 # the file of this call
    trap "rm -f '$file'" RETURN
    aws ecs describe-task-definition --task-definition "$family" --output json >"$file.now" ||
        { rm -f "$file.now"; die "there is no task definition $family in $AWS_REGION: terraform apply makes it (docs/runbook.md)"; }
    python3 - "$file.now" "$file" "$container" "$image" <<'PY'
import json, sys
source, target, container, image = sys.argv[1:]
task = json.load(open(source))["taskDefinition"]
# What ECS adds to its answer is not accepted back.
for key in ("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
            "registeredBy", "deregisteredAt"):
    task.pop(key, None)
task = {key: value for key, value in task.items() if value not in (None, [], {})}
found = [own for own in task["containerDefinitions"] if own["name"] == container]
if len(found) != 1:
    sys.exit(f"the task definition has no container {container}")
found[0]["image"] = image
json.dump(task, open(target, "w"))
PY
    rm -f "$file.now"
    if [[ -n $dry_run ]]; then
        say "would register $family with $image"
        return
    fi
    revision=$(aws_text ecs register-task-definition --cli-input-json "file://$file" --query taskDefinition.revision) || exit 1
    say "registered $family:$revision with $image"
}

newest() { aws_text ecs describe-task-definition --task-definition "$family" --query taskDefinition.taskDefinitionArn; }
running() { aws_text ecs describe-services --cluster "$cluster" --services "$service" --query 'services[0].taskDefinition'; }

# Every secret that the task names must have a value, or ECS starts nothing and tells little.
check_secrets() {
    local wanted arn versions
    wanted=$(aws_text ecs describe-task-definition --task-definition "$1" \
        --query 'taskDefinition.containerDefinitions[].secrets[].valueFrom') || exit 1
    for arn in $wanted; do
        # shellcheck disable=SC2016 # the backticks are JMESPath's
        versions=$(aws_text secretsmanager describe-secret --secret-id "$arn" --query 'keys(VersionIdsToStages || `{}`)') || exit 1
        [[ -n $versions ]] || die "the secret $arn has no value yet: see 'AWS: the first time' in docs/runbook.md"
    done
}

# roll_out TASK_DEFINITION: and waits until it is done. The circuit breaker of ECS goes back by itself when new tasks do
# not become healthy; that is an error here.
roll_out() {
    local target=$1 begun=$SECONDS state current seen=''
    [[ -n $dry_run ]] || check_secrets "$target"
    change aws ecs update-service --cluster "$cluster" --service "$service" --task-definition "$target" --output json >/dev/null ||
        die "cannot update $service: does it exist? terraform apply makes it (docs/runbook.md)"
    if [[ -n $dry_run ]]; then
        say "would roll out ${target##*/} to $service"
        return
    fi
    say "rolling out ${target##*/} to $service"
    while :; do
        # shellcheck disable=SC2016 # the backticks are JMESPath's
        read -r current state < <(aws_text ecs describe-services --cluster "$cluster" --services "$service" \
            --query 'services[0].deployments[?status==`PRIMARY`].[taskDefinition,rolloutState] | [0]')
        if [[ $current == "$target" ]]; then seen=1; fi
        # Right after the update an answer may still be the one from before.
        if [[ $state == FAILED && $current == "$target" ]] || { [[ $current != "$target" ]] && [[ -n $seen || $((SECONDS - begun)) -gt 30 ]]; }; then
            aws_text ecs describe-services --cluster "$cluster" --services "$service" --query 'services[0].events[:5].message' >&2
            die "the rollout failed and $service runs ${current##*/} again; the log of the tasks tells why (docs/runbook.md, 'A rollout fails')"
        fi
        [[ $current == "$target" && $state == COMPLETED ]] && break
        ((SECONDS - begun < timeout_s)) || die "the rollout has not ended after $timeout_s s; look at it, or go back: $name rollback"
        sleep "$poll_s"
    done
    say "$service runs ${target##*/}"
}

update() {
    local target
    need aws
    target=$(newest) || exit 1
    [[ -n $target ]] || die "there is no task definition $family"
    roll_out "$target"
}

# rollback [REVISION]: to that revision, or to the one before what runs.
rollback() {
    local current target revision=${1:-}
    need aws
    current=$(running) || exit 1
    [[ -n $current ]] || die "there is no service $service in $cluster"
    if [[ -n $revision ]]; then
        [[ $revision =~ ^[0-9]+$ ]] || die "a revision is a number, not '$revision'"
        target=$(aws_text ecs describe-task-definition --task-definition "$family:$revision" --query taskDefinition.taskDefinitionArn) || exit 1
    else
        target=$(aws_text ecs list-task-definitions --family-prefix "$family" --status ACTIVE --sort DESC --query 'taskDefinitionArns[]' |
            tr '\t' '\n' | awk -v current="$current" -F: '
                BEGIN { split(current, own, ":"); limit = own[length(own)] + 0 }
                $0 != "" && $NF + 0 < limit { print; exit }')
        [[ -n $target ]] || die "there is no revision before ${current##*/}; name one: $name rollback REVISION"
    fi
    say "back from ${current##*/} to ${target##*/}"
    roll_out "$target"
}

# One task that runs `filot migrate` (the first time, with CREATE_SCHEMA=1, `filot migrate --create`) with the newest task definition, where the service runs.
migrate() {
    local file target task code begun=$SECONDS state words='"migrate"'
    [[ -z ${CREATE_SCHEMA:-} ]] || words='"migrate","--create"'
    need aws python3
    target=$(newest) || exit 1
    if [[ -n $dry_run ]]; then
        say "would run 'filot migrate' as a task of ${target##*/}"
        return
    fi
    check_secrets "$target"
    file=$(mktemp)
    # shellcheck disable=SC2064
    trap "rm -f '$file'" RETURN
    aws ecs describe-services --cluster "$cluster" --services "$service" --query 'services[0].networkConfiguration' --output json >"$file"
    task=$(aws_text ecs run-task --cluster "$cluster" --task-definition "$target" --launch-type FARGATE \
        --network-configuration "file://$file" --started-by "$name" \
        --overrides "{\"containerOverrides\":[{\"name\":\"$container\",\"command\":[$words]}]}" \
        --query 'tasks[0].taskArn') || exit 1
    [[ -n $task ]] || die "ECS did not start the task; see the service's events"
    say "migrating (${task##*/})"
    while :; do
        state=$(aws_text ecs describe-tasks --cluster "$cluster" --tasks "$task" --query 'tasks[0].lastStatus') || exit 1
        [[ $state == STOPPED ]] && break
        ((SECONDS - begun < timeout_s)) || die "'filot migrate' has not ended after $timeout_s s; its log: aws logs tail /ecs/$repository"
        sleep "$poll_s"
    done
    code=$(aws_text ecs describe-tasks --cluster "$cluster" --tasks "$task" --query 'tasks[0].containers[0].exitCode') || exit 1
    [[ $code == 0 ]] || die "'filot migrate' ended with ${code:-no status}; nothing was rolled out. Its log: aws logs tail /ecs/$repository"
    say "the schema is up to date"
}

status() {
    need aws
    aws ecs describe-services --cluster "$cluster" --services "$service" --output table \
        --query 'services[0].{running:runningCount,wanted:desiredCount,task:taskDefinition,state:deployments[0].rolloutState}'
}

main() {
    local command=${1:-}
    shift || true
    while [[ ${1:-} == --dry-run || $command == --dry-run ]]; do
        dry_run=1
        if [[ $command == --dry-run ]]; then command=${1:-}; fi
        shift || true
    done
    [[ $# -eq 0 || $command == rollback ]] || { echo "$usage" >&2; exit 64; }
    case $command in
        help) echo "$usage" ;;
        all) for step in $steps; do "$step"; done ;;
        migrate)
            [[ " $steps " == *" migrate "* ]] || die "the schema is the API's business: scripts/deploy-backend.sh migrate"
            migrate
            ;;
        build | push | register | update | rollback | status) "$command" "$@" ;;
        *) echo "$usage" >&2; exit 64 ;;
    esac
}
