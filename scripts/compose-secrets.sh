#!/usr/bin/env bash
# Writes deploy/compose.env, the secrets of deploy/compose.yaml, readable by its owner only. Never overwrites: the
# documents are readable with these secrets alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

file=${1:-deploy/compose.env}
if [[ -e $file ]]; then
    echo "compose-secrets: $file is there already; it is left as it is" >&2
    exit 1
fi
umask 077
python3 - >"$file" <<'PY'
import secrets
secret = lambda: secrets.token_urlsafe(36)
database, redis, user, password = secret(), secret(), secrets.token_hex(10), secret()
print(f"""\
JWT_SECRET={secret()}
SESSION_SECRET={secret()}
SERVICE_INTERNAL_KEY={secret()}
FILOT_METRICS_TOKEN={secret()}
DATABASE_URL=postgres://filot:{database}@postgres/filot
POSTGRES_PASSWORD={database}
REDIS_URL=redis://redis:6379
REDIS_PASSWORD={redis}
CF_R2_ENDPOINT=http://s3.localhost:9000
CF_R2_REGION=us-east-1
CF_R2_BUCKET_NAME=filot
CF_R2_ACCESS_KEY_ID={user}
CF_R2_SECRET_ACCESS_KEY={password}
MINIO_ROOT_USER={user}
MINIO_ROOT_PASSWORD={password}""")
PY
echo "compose-secrets: wrote $file; keep a copy of it where the backups are"
