#!/usr/bin/env bash
# Writes deploy/compose-secrets/*.env, the secrets of deploy/compose.yaml, one file for each container and readable by their
# owner only. Never overwrites: the documents are readable with these secrets alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-deploy/compose-secrets}
if [[ -e $folder ]]; then
    echo "compose-secrets: $folder is there already; it is left as it is" >&2
    exit 1
fi
umask 077
mkdir -p "$folder"
python3 - "$folder" <<'PY'
import pathlib
import secrets
import sys

folder = pathlib.Path(sys.argv[1])


def secret():
    return secrets.token_urlsafe(36)


database, redis, session, files = secret(), secret(), secret(), secret()
user = secrets.token_hex(10)
shared = {
    "DATABASE_URL": f"postgres://filot:{database}@postgres/filot",
    "REDIS_PASSWORD": redis,
    "CF_R2_ACCESS_KEY_ID": user,
    "CF_R2_SECRET_ACCESS_KEY": files,
    # A worker makes the links that ask for another photo.
    "SESSION_SECRET": session,
}
containers = {
    "api": {
        **shared,
        "JWT_SECRET": secret(),
        "SERVICE_INTERNAL_KEY": secret(),
        "FILOT_METRICS_TOKEN": secret(),
        "FILOT_AUDIT_SIGNING_KEY": secret(),
    },
    "worker": shared,
    "postgres": {"POSTGRES_PASSWORD": database},
    "redis": {"REDIS_PASSWORD": redis},
    "s3": {"MINIO_ROOT_USER": secrets.token_hex(10), "MINIO_ROOT_PASSWORD": secret()},
    "s3-user": {"CF_R2_ACCESS_KEY_ID": user, "CF_R2_SECRET_ACCESS_KEY": files},
}
for name, values in containers.items():
    (folder / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in values.items()))
PY
echo "compose-secrets: wrote $folder; keep a copy of it where the backups are"
