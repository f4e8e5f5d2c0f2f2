#!/usr/bin/env bash
# Builds the image of the API without a daemon, then runs it as a container would: as nobody in particular, without
# capabilities, on a read-only root. Fails when it is too large, answers /health too late, or fails the smoke test,
# embedded or on PostgreSQL, Redis and S3.
#
#   scripts/image-check.sh            needs root (mounts) and buildah, debootstrap, PostgreSQL, Redis
#
# FILOT_PROGRAM and FILOT_MODELS name other places than target/release/filot and models/. BASE_ROOT is a ready Debian
# root to build on; by default one is made with debootstrap, once. MAX_MB and MAX_START_S are the bounds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

max_mb=${MAX_MB:-150}
max_start_s=${MAX_START_S:-1}
moto_version=5.2.5
suite=bookworm
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
program=$(realpath -m "${FILOT_PROGRAM:-$target/release/filot}")
models=$(realpath -m "${FILOT_MODELS:-models}")
base_root=${BASE_ROOT:-$target/tools/rootfs-$suite}

die() { echo "image-check: $*" >&2; exit 1; }
[[ $(id -u) -eq 0 ]] || die "this needs root: it mounts a root file system"
for tool in buildah debootstrap redis-server unshare setpriv chroot python3 curl; do
    command -v "$tool" >/dev/null || die "$tool is missing: apt-get install buildah debootstrap redis-server util-linux curl"
done
postgres_bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
[[ -n $postgres_bin ]] || die "PostgreSQL is missing: scripts/setup-debian.sh"
[[ -x $program ]] || die "$program is not there: cargo build --release --package filot"
[[ -f $models/SHA256SUMS ]] || die "there are no networks in $models: make models"

if [[ ! -e $base_root/etc/debian_version ]]; then
    # The mirror that this machine's own packages come from. $(REPO_URI) is apt's, not the shell's.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -1)
    [[ -n $mirror ]] || die "apt knows no mirror: apt-get update, or set BASE_ROOT to a Debian root"
    mkdir -p "$(dirname "$base_root")"
    # An earlier run that was ended may have left file systems mounted in there.
    umount --quiet --recursive "$base_root.new" 2>/dev/null || true
    rm -rf --one-file-system "$base_root.new"
    debootstrap --variant=minbase "$suite" "$base_root.new" "$mirror" >"$base_root.log" 2>&1 ||
        die "debootstrap failed, see $base_root.log"
    mv "$base_root.new" "$base_root"
fi
# What a Debian image from a registry brings along or fetches is here taken from this machine.
mkdir -p "$base_root/etc/ssl/certs"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$base_root/etc/ssl/certs/ca-certificates.crt"

moto=$target/tools/moto-$moto_version
if [[ ! -x $moto/bin/moto_server ]]; then
    python3 -m venv "$moto"
    "$moto/bin/pip" --quiet install "moto[server]==$moto_version"
fi

work=$(mktemp -d "$target/image-check.XXXXXX")
# PostgreSQL runs as its own user, who may not be let into the folder of the build.
database=$(mktemp -d)
chmod 755 "$work"
pids=()
store=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    if [[ ${#store[@]} -gt 0 ]]; then "${store[@]}" umount --all >/dev/null 2>&1 || true; fi
    rm -rf "$work" "$database"
}
trap cleanup EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
secret() { python3 -c 'import secrets; print(secrets.token_urlsafe(36))'; }
failed=0
measured() { echo "image-check: $*"; }
wrong() { failed=1; echo "image-check: FAILED: $*" >&2; }

# A store of its own, so that nothing of this machine's is touched.
store=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
base=$("${store[@]}" from scratch)
tar --create --directory "$base_root" --one-file-system --exclude ./proc --exclude ./sys --exclude ./dev --exclude ./var/cache . >"$work/base.tar"
"${store[@]}" add --quiet "$base" "$work/base.tar" / >/dev/null
"${store[@]}" commit --quiet --rm "$base" localhost/filot-base >/dev/null
rm "$work/base.tar"
started=$(date +%s)
BUILDER=buildah BUILDAH_OPTIONS="${store[*]:1}" BASE=localhost/filot-base FILOT_PROGRAM=$program FILOT_MODELS=$models \
    scripts/build-image.sh api localhost/filot:check >"$work/build.log" 2>&1 ||
    { cat "$work/build.log" >&2; die "the image does not build"; }
measured "built in $(($(date +%s) - started)) s on $(cat "$base_root/etc/debian_version") without a daemon"

container=$("${store[@]}" from localhost/filot:check)
root=$("${store[@]}" mount "$container")
bytes=$(du --summarize --apparent-size --block-size=1 "$root" | cut -f1)
packed=$(tar --create --directory "$root" . | gzip -6 | wc -c)
measured "size $((bytes / 1000000)) MB unpacked, $((packed / 1000000)) MB compressed; $(find "$root" -type f | wc -l) files"
((bytes <= max_mb * 1000000)) || wrong "the image has more than $max_mb MB"
"${store[@]}" inspect --type image localhost/filot:check >"$work/inspect.json"
python3 - "$work/inspect.json" <<'PY' || wrong "the image's settings are not as they should be"
import json, sys
config = json.load(open(sys.argv[1]))["Docker"]["config"]
wanted = {"User": "10001:10001", "Entrypoint": ["/usr/local/bin/filot"], "Cmd": ["serve"]}
for key, value in wanted.items():
    if config.get(key) != value:
        sys.exit(f"{key} is {config.get(key)}, not {value}")
if config.get("Healthcheck", {}).get("Test") != ["CMD", "/usr/local/bin/filot", "health"]:
    sys.exit(f"Healthcheck is {config.get('Healthcheck')}")
PY
if [[ -e $root/bin/sh || -e $root/usr/bin/apt ]]; then wrong "there is a shell or a package manager in the image"; fi
if find "$root" -xdev -perm /6000 -type f | grep .; then wrong "there are setuid files in the image"; fi
# The mount points that a container runtime makes.
mkdir -p "$root"/{proc,dev,etc}
touch "$root/dev/null" "$root/etc/hosts" "$root/etc/resolv.conf"

# contained DATA COMMAND…: as a container runtime would run the image. DATA is tmpfs (a volume) or none (read-only).
# The settings come from the environment file $work/env.
contained() {
    local data=$1
    shift
    # $$ of the inner shell is the process that becomes the program.
    # shellcheck disable=SC2016
    exec unshare --mount --propagation private bash -c '
        set -euo pipefail
        root=$1 data=$2 settings=$3
        shift 3
        mount --bind "$root" "$root"
        mount --bind /dev/null "$root/dev/null"
        mount --bind /etc/hosts "$root/etc/hosts"
        mount -t proc -o ro proc "$root/proc"
        mount -o remount,ro,bind "$root"
        mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "$root/tmp"
        if [[ $data == tmpfs ]]; then mount -t tmpfs -o uid=10001,gid=10001,mode=700 tmpfs "$root/var/lib/filot"; fi
        mapfile -t settings <"$settings"
        exec env -i "${settings[@]}" "$(command -v setpriv)" --no-new-privs \
            "$(command -v chroot)" --userspec=10001:10001 --groups= "$root" "$@"
    ' contained "$root" "$data" "$work/env" "$@"
}
# settings NAME=VALUE…: the image's own environment, and over it what an operator sets.
settings() {
    python3 - "$work/inspect.json" "$@" >"$work/env" <<'PY'
import json, sys
own = json.load(open(sys.argv[1]))["Docker"]["config"]["Env"]
merged = dict(pair.split("=", 1) for pair in [*own, *sys.argv[2:]])
print("\n".join(f"{name}={value}" for name, value in merged.items()))
PY
}
# start NAME DATA [OPTIONS]: runs the image's command, waits for /health, and looks at the process. Sets service. The
# bound is on the best of three starts: a busy machine makes single ones late, a slow program all of them.
start() {
    local name=$1 data=$2 begun now uid caps cpu took try
    shift 2
    for try in 1 2 3; do
        begun=$EPOCHREALTIME
        contained "$data" /usr/local/bin/filot serve "$@" >"$work/$name.out" 2>"$work/$name.log" &
        service=$!
        pids+=("$service")
        until [[ $(curl --silent --max-time 2 --output /dev/null --write-out '%{http_code}' "$base_url/health") == 200 ]]; do
            kill -0 "$service" 2>/dev/null || { cat "$work/$name.log" >&2; die "$name: the service ended by itself"; }
            now=$EPOCHREALTIME
            ((${now%.*} - ${begun%.*} < 30)) || die "$name: no /health within 30 s"
            sleep 0.005
        done
        now=$EPOCHREALTIME
        took=$(python3 -c "print(f'{$now - $begun:.2f}')")
        # Fields 14 and 15 of stat, in hundredths of a second: what the start costs, whatever else the machine does.
        cpu=$(awk '{ print ($14 + $15) / 100 }' "/proc/$service/stat")
        measured "$name: /health answered $took s after the start, $cpu s of CPU; load average $(cut -d' ' -f1 /proc/loadavg) on $(nproc) cores"
        if python3 -c "import sys; sys.exit($took > $max_start_s)"; then break; fi
        if ((try == 3)); then
            wrong "$name: never within $max_start_s s"
        else
            kill -TERM "$service"
            wait "$service" || true
        fi
    done
    uid=$(awk '/^Uid:/ { print $2 $3 $4 $5 }' "/proc/$service/status")
    caps=$(awk '/^Cap(Prm|Eff|Amb|Inh):/ { print $2 }' "/proc/$service/status" | sort -u)
    [[ $uid == 10001100011000110001 ]] || wrong "$name: the process runs as $uid"
    [[ $caps == 0000000000000000 ]] || wrong "$name: the process has capabilities: $caps"
    measured "$name: as uid 10001, no capabilities, read-only root; memory $(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$service/status") MiB"
}
# stop NAME: as an orchestrator stops it.
stop() {
    local begun=$SECONDS
    kill -TERM "$service"
    wait "$service" || wrong "$1: exit status $? after SIGTERM"
    measured "$1: stopped $((SECONDS - begun)) s after SIGTERM"
}
check() {
    local name=$1
    (contained none /usr/local/bin/filot health >"$work/probe" 2>&1) || wrong "$name: the health check of the image fails: $(cat "$work/probe")"
    FILOT_PROGRAM=$program METRICS_TOKEN=$metrics_token scripts/smoke/run_e2e_smoke.sh "$base_url" || wrong "$name: the smoke test fails"
}
metrics_token=$(secret)

# 1. Without secrets the image must refuse to start, and say what is missing.
settings HOST=127.0.0.1
status=0
(contained none /usr/local/bin/filot serve) >"$work/refused" 2>&1 || status=$?
if [[ $status -eq 64 ]] && grep -q JWT_SECRET "$work/refused" && grep -q SERVICE_INTERNAL_KEY "$work/refused"; then
    measured "without secrets: refused with status 64, naming them"
else
    wrong "without secrets: status $status: $(head -5 "$work/refused")"
fi

# 2. The root is read-only indeed, and /tmp is writable.
settings NODE_ENV=development HOST=127.0.0.1
if (contained none /usr/local/bin/filot sample --count 1 --out /usr/local/x) >/dev/null 2>&1; then wrong "the root is writable"; fi
(contained none /usr/local/bin/filot sample --count 1 --out /tmp/x) >/dev/null 2>&1 || wrong "/tmp is not writable"

# 3. Embedded: SQLite, files and key on a volume.
port=$(free_port)
base_url=http://127.0.0.1:$port
settings NODE_ENV=development HOST=127.0.0.1 "PORT=$port" "FILOT_METRICS_TOKEN=$metrics_token"
start embedded tmpfs
check embedded
stop embedded

# 4. Production: PostgreSQL, Redis, S3, API and worker apart, no volume but /tmp.
chown postgres "$database"
as_postgres=(setpriv --reuid postgres --regid postgres --clear-groups)
"${as_postgres[@]}" "$postgres_bin/initdb" -D "$database/data" -A trust -U filot --no-sync >/dev/null
database_port=$(free_port)
"${as_postgres[@]}" "$postgres_bin/postgres" -D "$database/data" -p "$database_port" -c listen_addresses=127.0.0.1 \
    -k "$database" >"$work/postgres.log" 2>&1 &
pids+=($!)
redis_port=$(free_port)
redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --dir "$work" >"$work/redis.log" 2>&1 &
pids+=($!)
s3_port=$(free_port)
"$moto/bin/moto_server" --host 127.0.0.1 --port "$s3_port" >"$work/s3.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
    "$postgres_bin/pg_isready" --quiet --host 127.0.0.1 --port "$database_port" &&
        curl --silent --output /dev/null "http://127.0.0.1:$s3_port/" && break
    sleep 0.1
done
curl --silent --fail --output /dev/null --request PUT "http://127.0.0.1:$s3_port/{filot,filot-checkpoints}" || die "the S3 double makes no bucket"
port=$(free_port)
base_url=http://127.0.0.1:$port
settings HOST=127.0.0.1 "PORT=$port" "FILOT_PUBLIC_URL=$base_url" "JWT_SECRET=$(secret)" "SESSION_SECRET=$(secret)" \
    "SERVICE_INTERNAL_KEY=$(secret)" "FILOT_METRICS_TOKEN=$metrics_token" \
    FILOT_AUDIT_CHECKPOINT_BUCKET=filot-checkpoints FILOT_AUTH_REGISTRATION=open \
    "DATABASE_URL=postgres://filot@127.0.0.1:$database_port/postgres" "REDIS_URL=redis://127.0.0.1:$redis_port" \
    "CF_R2_ENDPOINT=http://127.0.0.1:$s3_port" CF_R2_BUCKET_NAME=filot "CF_R2_ACCESS_KEY_ID=$(secret)" \
    "CF_R2_SECRET_ACCESS_KEY=$(secret)" CF_R2_REGION=us-east-1
# As a deployment does it: the schema first.
(contained none /usr/local/bin/filot migrate --create) >"$work/migrate" 2>&1 || wrong "filot migrate: $(cat "$work/migrate")"
start production none --no-worker
contained none /usr/local/bin/filot worker --lane cpu >"$work/worker.out" 2>"$work/worker.log" &
worker=$!
pids+=("$worker")
check production
kill -TERM "$worker"
wait "$worker" || wrong "production: the worker's exit status is $? after SIGTERM"
stop production
if grep -c '"level":"ERROR"' "$work"/*.log >/dev/null 2>&1; then grep -h '"level":"ERROR"' "$work"/*.log | head -5; wrong "there are errors in the log"; fi

if [[ $failed -eq 0 ]]; then measured "all checks passed"; else die "not all checks passed"; fi
