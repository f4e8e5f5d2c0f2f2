//! Names of settings that operators of FiLot know from elsewhere, beside `FILOT_<SECTION>_<KEY>`.

use toml::{Table, Value};

/// Variable, section, setting. Where one setting has several variables, the first that is set counts.
pub(super) const VARIABLES: &[(&str, &str, &str)] = &[
    ("NODE_ENV", "server", "environment"),
    ("HOST", "server", "host"),
    ("PORT", "server", "port"),
    ("FILOT_DATA_DIR", "server", "data_dir"),
    ("FILOT_PUBLIC_URL", "server", "public_url"),
    ("FILOT_FRONTEND_ORIGIN", "server", "frontend_origin"),
    ("LOG_LEVEL", "log", "level"),
    ("LOG_FORMAT", "log", "format"),
    ("DATABASE_URL", "database", "url"),
    ("DATABASE_MAX_CONNECTIONS", "database", "max_connections"),
    ("DATABASE_MIGRATE", "database", "migrate"),
    ("DATABASE_CREATE", "database", "create"),
    ("REDIS_URL", "redis", "url"),
    ("REDIS_PASSWORD", "redis", "password"),
    ("QUEUE_PREFIX", "redis", "prefix"),
    ("CF_R2_ENDPOINT", "storage", "endpoint"),
    ("CF_R2_BUCKET_NAME", "storage", "bucket"),
    ("CF_R2_PREFIX", "storage", "prefix"),
    ("CF_R2_ACCESS_KEY_ID", "storage", "access_key_id"),
    ("CF_R2_SECRET_ACCESS_KEY", "storage", "secret_access_key"),
    ("CF_R2_REGION", "storage", "region"),
    ("R2_PRIVATE_URL_EXPIRY", "storage", "private_link_expiry_s"),
    ("OCR_GPU_ENABLED", "gpu", "enabled"),
    ("OCR_GPU_CONCURRENCY", "gpu", "concurrency"),
    ("OCR_GPU_MAX_RETRIES", "gpu", "max_retries"),
    ("OCR_GPU_AUTOFALLBACK", "gpu", "autofallback"),
    ("OCR_GPU_POLL_INTERVAL", "gpu", "poll_interval_ms"),
    ("OCR_GPU_STUCK_TIMEOUT", "gpu", "stuck_timeout_ms"),
    ("OCR_GPU_REAPER_INTERVAL", "gpu", "reaper_interval_ms"),
    ("OCR_GPU_LOCK_TTL", "gpu", "lock_ttl_s"),
    ("NVIDIA_VISIBLE_DEVICES", "gpu", "visible_devices"),
    ("OCR_ENGINE", "workflow", "engine"),
    ("QUEUE_ENGINE", "workflow", "engine"),
    ("OCR_AUTOFALLBACK", "workflow", "fallback"),
    ("AI_SCORE_THRESHOLD_AUTO_APPROVE", "decision", "auto_approve"),
    ("AI_SCORE_THRESHOLD_AUTO_REJECT", "decision", "auto_reject"),
    ("JWT_SECRET", "auth", "jwt_secret"),
    ("SESSION_SECRET", "auth", "session_secret"),
    ("SERVICE_INTERNAL_KEY", "auth", "service_internal_key"),
    ("STACK_PROJECT_ID", "auth", "stack_project_id"),
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
    ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "temporal", "tls_server_ca"),
    ("TEMPORAL_TLS_CLIENT_CERT_PATH", "temporal", "tls_client_cert"),
    ("TEMPORAL_TLS_CLIENT_KEY_PATH", "temporal", "tls_client_key"),
    ("TEMPORAL_TASK_QUEUE", "temporal", "task_queue"),
    ("METRICS_ENABLED", "metrics", "enabled"),
    ("METRICS_NAMESPACE", "metrics", "namespace"),
    ("CLOUDWATCH_ENABLED", "metrics", "cloudwatch"),
    ("METRICS_FLUSH_INTERVAL_MS", "metrics", "flush_interval_ms"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "traces", "endpoint"),
    ("OTEL_SERVICE_NAME", "traces", "service_name"),
];

/// Variables that the program or its scripts read elsewhere.
const OTHERS: [&str; 4] = ["FILOT_CONFIG", "FILOT_IMAGE", "FILOT_MODELS", "FILOT_PROGRAM"];

/// Returns whether a variable that begins with `FILOT_` is known under that name.
pub(super) fn is_known(variable: &str) -> bool {
    OTHERS.contains(&variable) || VARIABLES.iter().any(|(known, ..)| *known == variable)
}

/// Returns whether Kubernetes sets the variable, to tell of a service of its own whose name begins with `filot`.
pub(super) fn is_service_link(variable: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let tells_port = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| variable.contains(protocol));
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || variable.ends_with("_PORT") && is_address
        || variable.contains("_PORT_") && tells_port
}

/// Copies the variables that are set, and not empty, into `settings`.
pub(super) fn overlay(settings: &mut Table, environment: &[(String, String)], problems: &mut Vec<String>) {
    let mut done = Vec::new();
    for &(name, section, key) in VARIABLES {
        let found = environment.iter().find(|(variable, text)| variable == name && !text.is_empty());
        let Some((_, text)) = found.filter(|_| !done.contains(&(section, key))) else { continue };
        done.push((section, key));
        let slot = settings.get_mut(section).and_then(Value::as_table_mut).and_then(|t| t.get_mut(key));
        let Some(slot) = slot else { continue };
        match parse(slot, text.trim()) {
            Ok(value) => *slot = value,
            // The value itself stays out of the message: it may be a secret in the wrong place.
            Err(wanted) => problems.push(format!("{name} must be {wanted}")),
        }
    }
}

/// The text as a value of the same type as `slot`, or what it should be.
fn parse(slot: &Value, text: &str) -> Result<Value, &'static str> {
    match slot {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().map(Value::Integer).map_err(|_| "a whole number"),
        Value::Float(_) => text.parse().map(Value::Float).map_err(|_| "a number"),
        Value::Boolean(_) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Value::Boolean(true)),
            "false" | "0" | "no" | "off" => Ok(Value::Boolean(false)),
            _ => Err("true or false"),
        },
        _ => Err("set in the file"),
    }
}
