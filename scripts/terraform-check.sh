#!/usr/bin/env bash
# Proves the Terraform code: format, validate, apply to an AWS double on this machine, a second plan without changes,
# and that the program accepts the settings that the tasks get. Touches nothing outside this machine.
#
# Needs terraform and its AWS provider on the disk, and fails loudly without: TERRAFORM_PLUGINS names the folder that
# holds registry.terraform.io/hashicorp/aws/… FILOT_PROGRAM names another program than target/release/filot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

moto_version=5.2.5
awscli_version=1.46.3
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
program=$(realpath -m "${FILOT_PROGRAM:-$target/release/filot}")

die() { printf '\nterraform-check: NOT CHECKED: %s\n' "$*" >&2; exit 1; }
command -v terraform >/dev/null || die "terraform is not installed. Nothing about deploy/terraform was proven."
plugins=${TERRAFORM_PLUGINS:-}
if [[ -z $plugins ]]; then
    for folder in "$HOME/.terraform.d/plugins" /usr/share/terraform/plugins /usr/local/share/terraform/plugins /opt/*/; do
        if [[ -d ${folder%/}/registry.terraform.io/hashicorp/aws ]]; then plugins=${folder%/}; break; fi
    done
fi
[[ -n $plugins ]] ||
    die "no AWS provider on the disk. Put one into a folder as 'terraform providers mirror' does and name it in TERRAFORM_PLUGINS."
[[ -x $program ]] || die "$program is not there (it must accept the tasks' settings): cargo build --release --package filot"

moto=$target/tools/moto-$moto_version
if [[ ! -x $moto/bin/moto_server || ! -x $moto/bin/aws ]]; then
    mkdir -p "$target/tools"
    python3 -m venv "$moto"
    "$moto/bin/pip" --quiet install "moto[server]==$moto_version" "awscli==$awscli_version"
fi

# A configuration of the user's own (mirrors, tokens) has no part in this.
unset TF_CLI_CONFIG_FILE
export CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 AWS_EC2_METADATA_DISABLED=true
terraform fmt -check -diff -recursive deploy/terraform || die "the format is off. Run: terraform fmt -recursive deploy/terraform"

work=$(mktemp -d)
server=
# shellcheck disable=SC2329 # the trap calls it
cleanup() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
double=http://127.0.0.1:$port
# Services count as running, as if their tasks had started.
MOTO_IAM_LOAD_MANAGED_POLICIES=true MOTO_ECS_SERVICE_RUNNING=2 "$moto/bin/python" scripts/aws_double.py --host 127.0.0.1 --port "$port" >"$work/moto.log" 2>&1 &
server=$!
since=$SECONDS
until curl --silent --output /dev/null "$double/moto-api/"; do
    kill -0 "$server" 2>/dev/null || { cat "$work/moto.log" >&2; die "the AWS double does not start"; }
    ((SECONDS - since < 120)) || die "the AWS double does not answer"
    sleep 0.2
done

mkdir "$work/deploy"
cp deploy/alarms.json "$work/deploy/"
cp -r deploy/terraform "$work/deploy/terraform"
repo=$PWD
cd "$work/deploy/terraform"
rm -rf .terraform ./*.tfstate* backend.tf terraform.tfvars
# Every service of the provider that is used here goes to the double; a forgotten one would fail for lack of credentials.
cat >check_override.tf <<HCL
provider "aws" {
  access_key                  = "double"
  secret_key                  = "double"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = false
  max_retries                 = 2
  endpoints {
$(for service in applicationautoscaling autoscaling cloudwatch cloudwatchlogs ec2 ecr ecs elbv2 iam kms secretsmanager sns ssm sts; do
    echo "    $service = \"$double\""
done)
  }
}
HCL

terraform init -input=false -no-color -plugin-dir="$plugins" >"$work/init.log" 2>&1 || { cat "$work/init.log" >&2; die "terraform init failed"; }
terraform validate -no-color

export AWS_ENDPOINT_URL=$double AWS_ACCESS_KEY_ID=double AWS_SECRET_ACCESS_KEY=double AWS_REGION=ap-southeast-2 \
    AWS_DEFAULT_REGION=ap-southeast-2 AWS_ACCOUNT_ID=123456789012 IMAGE_TAG=next DEPLOY_POLL=1 DEPLOY_TIMEOUT=20
PATH=$moto/bin:$PATH
# The certificate and the network that operators bring along.
certificate=$(aws acm request-certificate --domain-name api.example.com --query CertificateArn --output text)
network() {
    python3 - "$double" <<'PY'
import sys, urllib.parse, urllib.request, re
def call(**parameters):
    body = urllib.parse.urlencode({"Version": "2016-11-15", **parameters}).encode()
    request = urllib.request.Request(sys.argv[1], body, {
        "Authorization": "AWS4-HMAC-SHA256 Credential=double/20260101/ap-southeast-2/ec2/aws4_request, SignedHeaders=host, Signature=0"})
    return urllib.request.urlopen(request).read().decode()
vpc = re.search(r"<vpcId>(.*?)</vpcId>", call(Action="CreateVpc", CidrBlock="10.0.0.0/16"))[1]
subnets = [re.search(r"<subnetId>(.*?)</subnetId>", call(
    Action="CreateSubnet", VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone="ap-southeast-2" + "ab"[n % 2]))[1]
    for n in range(4)]
print(vpc, *subnets)
PY
}
read -r vpc public1 public2 private1 private2 < <(network)

# apply NAME: with the variables of $work/NAME.tfvars.json, then a second plan, which must be empty.
failed=0
apply() {
    local name=$1 count status
    timeout 400 terraform apply -auto-approve -input=false -no-color -var-file "$work/$name.tfvars.json" >"$work/$name.log" 2>&1 ||
        { tail -40 "$work/$name.log" >&2; echo "terraform-check: FAILED: $name: apply" >&2; exit 1; }
    status=0
    terraform plan -detailed-exitcode -input=false -no-color -var-file "$work/$name.tfvars.json" >"$work/$name-again.log" 2>&1 || status=$?
    count=$(terraform state list | grep -vc '^data\.')
    case $status in
        0) echo "terraform-check: $name: $count resources applied, a second plan changes nothing" ;;
        *) cat "$work/$name-again.log" >&2; failed=1; echo "terraform-check: FAILED: $name: the second plan is not empty" >&2 ;;
    esac
}
# The tasks' own environment, with something in the place of each secret, must be settings that the program accepts.
settings() {
    terraform show -json >"$work/state.json"
    python3 - "$work/state.json" "$program" "$1" <<'PY' || failed=1
import json, secrets, subprocess, sys
state, program, name = sys.argv[1:]
resources = json.load(open(state))["values"]["root_module"]["resources"]
text = json.dumps(resources)
tasks = [r["values"] for r in resources if r["type"] == "aws_ecs_task_definition"]
assert tasks, "no task definition"
for task in tasks:
    container = json.loads(task["container_definitions"])[0]
    environment = {pair["name"]: pair["value"] for pair in container["environment"]}
    addresses = {"DATABASE_URL": "postgres://filot:{}@db.internal/filot?sslmode=verify-full", "REDIS_URL": "rediss://:{}@redis.internal:6379"}
    for secret in container["secrets"]:
        value = addresses.get(secret["name"], "{}").format(secrets.token_urlsafe(36))
        environment[secret["name"]] = value
    gpu = "gpu" in container["command"]
    kept = {"JWT_SECRET", "SERVICE_INTERNAL_KEY", "SESSION_SECRET", "FILOT_METRICS_TOKEN", "FILOT_AUDIT_SIGNING_KEY",
            "BULI2_API_KEY", "BULI2_SIGNATURE_SECRET"}
    known = kept & environment.keys()
    assert not gpu or not known, f"the GPU worker is given {known}"
    process = "gpu-worker" if gpu else "api"
    run = subprocess.run([program, "check-settings", "--for", process], env=environment, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"terraform-check: FAILED: {name}: the program refuses the settings of {task['family']}:\n{run.stderr}")
    print(f"terraform-check: {name}: {task['family']}: the program accepts its {len(environment)} settings "
          f"({len(container['secrets'])} from Secrets Manager)")
values = [r for r in resources if r["type"] == "aws_secretsmanager_secret_version"]
assert not values, "a secret's value is in the state"
alarms = [r["values"] for r in resources if r["type"] == "aws_cloudwatch_metric_alarm"]
print(f"terraform-check: {name}: {len(alarms)} alarms, of them {sum('filot.' in json.dumps(a) for a in alarms)} on metrics of FiLot")
PY
}

cat >"$work/full.tfvars.json" <<JSON
{
  "vpc_id": "$vpc", "public_subnet_ids": ["$public1", "$public2"], "private_subnet_ids": ["$private1", "$private2"],
  "certificate_arn": "$certificate",
  "public_url": "https://api.example.com", "r2_endpoint": "https://0.r2.cloudflarestorage.com", "r2_bucket": "documents", "checkpoint_bucket": "checkpoints",
  "egress": {"postgresql": {"port": 5432, "cidrs": ["10.0.0.0/16"]}, "redis": {"port": 6379, "cidrs": ["10.0.0.0/16", "10.1.0.0/16"]}},
  "redis_password": true, "buli2_api_url": "https://buli2.example.com", "stack_project_id": "00000000-0000-0000-0000-000000000000",
  "temporal": {"endpoint": "https://temporal.example.com:7233", "namespace": "filot"},
  "api_image_tag": "check", "gpu_image_tag": "check", "alarm_emails": ["oncall@example.com"],
  "access_log_bucket": "logs", "gpu_ami": "ami-12c6146b", "deletion_protection": false
}
JSON
apply full
settings full

# The deployment scripts on the same double: refused while secrets have no value; a new revision, a rollout, back again.
deployment() {
    local script=$1 cluster=$2 service=$3 out
    # shellcheck disable=SC2015 # either of the two is a failure
    "$repo/scripts/$script" register && "$repo/scripts/$script" update && "$repo/scripts/$script" rollback || return 1
    out=$(aws ecs describe-services --cluster "$cluster" --services "$service" --query 'services[0].taskDefinition' --output text)
    [[ $out == *:1 ]] || { echo "$script rollback: ${out##*/} runs"; return 1; }
    if "$repo/scripts/$script" rollback; then echo "$script rolls back from the first revision"; return 1; fi
}
if out=$("$repo/scripts/deploy-backend.sh" update 2>&1) || [[ $out != *"has no value yet"* ]]; then
    failed=1
    echo "terraform-check: FAILED: a rollout without the values of secrets is not refused: $out" >&2
fi
for secret in $(terraform output -json secrets | python3 -c 'import json, sys; print(*json.load(sys.stdin))'); do
    aws secretsmanager put-secret-value --secret-id "$secret" --secret-string "the value of $secret" >/dev/null
done
for target in "deploy-backend.sh filot-backend-cluster filot-backend-service" "deploy-ocr-gpu.sh filot-ocr-gpu-cluster filot-ocr-gpu-service"; do
    read -ra words <<<"$target"
    if deployment "${words[@]}" >"$work/deployment.log" 2>&1; then
        echo "terraform-check: ${words[0]}: register, update, rollback on the double"
    else
        failed=1
        cat "$work/deployment.log" >&2
        echo "terraform-check: FAILED: ${words[0]}" >&2
    fi
done
# The same installation with what can be left out left out.
python3 - "$work/full.tfvars.json" >"$work/small.tfvars.json" <<'PY'
import json, sys
full = json.load(open(sys.argv[1]))
for name in ("redis_password", "buli2_api_url", "stack_project_id", "temporal", "access_log_bucket", "alarm_emails"):
    del full[name]
print(json.dumps(full | {"gpu_enabled": False}))
PY
apply small
settings small
terraform destroy -auto-approve -input=false -no-color -var-file "$work/small.tfvars.json" >"$work/destroy.log" 2>&1 ||
    { tail -30 "$work/destroy.log" >&2; failed=1; echo "terraform-check: FAILED: destroy" >&2; }
exit "$failed"
