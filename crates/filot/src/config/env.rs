//! The environment: which variable holds which setting. Nothing else in the product reads it.

use toml::{Table, Value};

use super::merge::wanted;

/// Variable, section, setting. Where one setting has several variables, the first that is set counts.
pub(super) const VARIABLES: &[(&str, &str, &str)] = &[
    ("NODE_ENV", "server", "environment"),
    ("HOST", "server", "host"),
    ("PORT", "server", "port"),
    ("FILOT_DATA_DIR", "server", "data_dir"),
    ("FILOT_PUBLIC_URL", "server", "public_url"),
    ("FILOT_FRONTEND_ORIGIN", "server", "frontend_origin"),
    ("FILOT_TRUSTED_PROXIES", "server", "trusted_proxies"),
    ("FILOT_REQUEST_TIMEOUT_S", "server", "request_timeout_s"),
    ("FILOT_SHUTDOWN_GRACE_S", "server", "shutdown_grace_s"),
    ("FILOT_REQUESTS_PER_MINUTE", "server", "requests_per_minute"),
    ("FILOT_UPLOADS_PER_MINUTE", "server", "uploads_per_minute"),
    ("LOG_LEVEL", "log", "level"),
    ("LOG_FORMAT", "log", "format"),
    ("DATABASE_URL", "database", "url"),
    ("DATABASE_MAX_CONNECTIONS", "database", "max_connections"),
    ("DATABASE_MIGRATE", "database", "migrate"),
    ("REDIS_URL", "redis", "url"),
    ("REDIS_PASSWORD", "redis", "password"),
    ("QUEUE_PREFIX", "redis", "prefix"),
    ("CF_R2_ENDPOINT", "storage", "endpoint"),
    ("CF_R2_BUCKET_NAME", "storage", "bucket"),
    ("CF_R2_ACCESS_KEY_ID", "storage", "access_key_id"),
    ("CF_R2_SECRET_ACCESS_KEY", "storage", "secret_access_key"),
    ("CF_R2_REGION", "storage", "region"),
    ("FILOT_LINK_EXPIRY_S", "storage", "link_expiry_s"),
    ("R2_PRIVATE_URL_EXPIRY", "storage", "private_link_expiry_s"),
    ("FILOT_MAX_UPLOAD_BYTES", "upload", "max_bytes"),
    ("FILOT_UPLOAD_FILES_PER_DAY", "upload", "files_per_day"),
    ("FILOT_UPLOAD_BYTES_PER_DAY", "upload", "bytes_per_day"),
    ("FILOT_WORKER", "worker", "embedded"),
    ("FILOT_WORKER_CONCURRENCY", "worker", "concurrency"),
    ("FILOT_LEASE_S", "worker", "lease_s"),
    ("FILOT_MAX_ATTEMPTS", "worker", "max_attempts"),
    ("FILOT_RETRY_BASE_MS", "worker", "retry_base_ms"),
    ("FILOT_RETRY_MAX_MS", "worker", "retry_max_ms"),
    ("FILOT_POLL_MS", "worker", "poll_ms"),
    ("FILOT_REAPER_INTERVAL_MS", "worker", "reaper_interval_ms"),
    ("FILOT_READ_TIMEOUT_S", "worker", "read_timeout_s"),
    ("OCR_GPU_ENABLED", "gpu", "enabled"),
    ("OCR_GPU_CONCURRENCY", "gpu", "concurrency"),
    ("OCR_GPU_MAX_RETRIES", "gpu", "max_retries"),
    ("OCR_GPU_AUTOFALLBACK", "gpu", "autofallback"),
    ("OCR_GPU_POLL_INTERVAL", "gpu", "poll_interval_ms"),
    ("OCR_GPU_STUCK_TIMEOUT", "gpu", "stuck_timeout_ms"),
    ("OCR_GPU_REAPER_INTERVAL", "gpu", "reaper_interval_ms"),
    ("OCR_GPU_LOCK_TTL", "gpu", "lock_ttl_s"),
    ("FILOT_READER", "ocr", "reader"),
    ("FILOT_MODELS", "ocr", "models_dir"),
    ("OCR_ENGINE", "ocr", "workflow"),
    ("QUEUE_ENGINE", "ocr", "workflow"),
    ("OCR_AUTOFALLBACK", "ocr", "workflow_fallback"),
    ("AI_SCORE_THRESHOLD_AUTO_APPROVE", "verification", "auto_approve"),
    ("AI_SCORE_THRESHOLD_AUTO_REJECT", "verification", "auto_reject"),
    ("FILOT_MIN_CONFIDENCE", "verification", "min_confidence"),
    ("FILOT_MIN_AGE", "verification", "min_age"),
    ("JWT_SECRET", "auth", "jwt_secret"),
    ("SESSION_SECRET", "auth", "session_secret"),
    ("SERVICE_INTERNAL_KEY", "auth", "service_internal_key"),
    ("FILOT_ACCESS_TOKEN_S", "auth", "access_token_s"),
    ("FILOT_REFRESH_TOKEN_S", "auth", "refresh_token_s"),
    ("STACK_PROJECT_ID", "auth", "stack_project_id"),
    ("STACK_SECRET_SERVER_KEY", "auth", "stack_secret_server_key"),
    ("STACK_PUBLISHABLE_CLIENT_KEY", "auth", "stack_publishable_client_key"),
    ("STACK_API_URL", "auth", "stack_api_url"),
    ("BULI2_API_URL", "buli2", "api_url"),
    ("BULI2_API_KEY", "buli2", "api_key"),
    ("BULI2_CALLBACK_URL", "buli2", "callback_url"),
    ("BULI2_SIGNATURE_SECRET", "buli2", "signature_secret"),
    ("BULI2_HMAC_SECRET", "buli2", "signature_secret"),
    ("TEMPORAL_DISABLED", "temporal", "disabled"),
    ("TEMPORAL_ENDPOINT", "temporal", "endpoint"),
    ("TEMPORAL_ADDRESS", "temporal", "endpoint"),
    ("TEMPORAL_NAMESPACE", "temporal", "namespace"),
    ("TEMPORAL_API_KEY", "temporal", "api_key"),
    ("TEMPORAL_TASK_QUEUE", "temporal", "task_queue"),
    ("METRICS_ENABLED", "metrics", "enabled"),
    ("FILOT_METRICS_TOKEN", "metrics", "token"),
    ("METRICS_NAMESPACE", "metrics", "namespace"),
    ("CLOUDWATCH_ENABLED", "metrics", "cloudwatch"),
    ("METRICS_FLUSH_INTERVAL_MS", "metrics", "flush_interval_ms"),
];

/// A variable of the process, if it is set and readable.
#[expect(clippy::disallowed_methods, reason = "this is the place where the environment is read")]
pub(super) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Copies the variables that are set, and not empty, into `settings`.
pub(super) fn overlay(
    settings: &mut Table,
    env: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
) {
    let mut done = Vec::new();
    for &(name, section, key) in VARIABLES {
        let Some(text) = env(name).filter(|text| !text.is_empty()) else { continue };
        if done.contains(&(section, key)) {
            continue;
        }
        done.push((section, key));
        let slot = settings.get_mut(section).and_then(Value::as_table_mut).and_then(|t| t.get_mut(key));
        let Some(slot) = slot else { continue };
        match parse(slot, text.trim()) {
            Some(value) => *slot = value,
            // The value itself stays out of the message: it may be a secret in the wrong place.
            None => problems.push(format!("{name} must be {}", wanted(slot).replace(" in quotes", ""))),
        }
    }
}

fn parse(slot: &Value, text: &str) -> Option<Value> {
    match slot {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(Value::Boolean(true)),
            "false" | "0" | "no" | "off" => Some(Value::Boolean(false)),
            _ => None,
        },
        _ => None,
    }
}
