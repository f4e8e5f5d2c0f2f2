//! What settings must fulfil beyond their type. Each broken rule says how to mend it.

use url::Url;

use super::deployed;
use super::service::{Process, RegistrationMode, Service, WorkflowEngine, exposed};
use crate::telemetry::log_level;
use crate::workflow::TEMPORAL_BUILT_IN;

pub(super) fn check(config: &Service, problems: &mut Vec<String>) {
    ranges(config, problems);
    addresses(config, problems);
    companions(config, problems);
    registration(config, problems);
    temporal(config, TEMPORAL_BUILT_IN, problems);
    log_level(&config.log.level, problems);
    deployed::check(config, problems);
}

fn ranges(config: &Service, problems: &mut Vec<String>) {
    let mut need = |holds: bool, text: &str| {
        if !holds {
            problems.push(text.to_owned());
        }
    };
    need(config.upload.max_bytes >= 1024, "upload.max_bytes must be at least 1024");
    need(
        config.upload.max_bytes <= 20 << 20,
        "upload.max_bytes must be at most 20971520, what the reader takes",
    );
    let s = &config.server;
    need(
        s.connections == 0 || (16..=1_000_000).contains(&s.connections),
        "server.connections must be 0 or lie between 16 and 1000000",
    );
    need(s.connections_per_address >= 1, "server.connections_per_address must be at least 1");
    need((1..=300).contains(&s.header_timeout_s), "server.header_timeout_s must lie between 1 and 300");
    need((1..=3600).contains(&s.idle_timeout_s), "server.idle_timeout_s must lie between 1 and 3600");
    need((1..=300).contains(&s.stall_s), "server.stall_s must lie between 1 and 300");
    need((1..=1024).contains(&s.least_kb_per_s), "server.least_kb_per_s must lie between 1 and 1024");
    need(
        s.body_budget_mb >= 32 && s.body_budget_mb <= 65_536,
        "server.body_budget_mb must lie between 32 and 65536, so that a file of any allowed length fits",
    );
    need(s.streams_per_account >= 1, "server.streams_per_account must be at least 1");
    need(config.database.max_connections >= 2, "database.max_connections must be at least 2");
    let w = &config.worker;
    need((1..=3600).contains(&w.lease_s), "worker.lease_s must lie between 1 and 3600");
    need(w.max_attempts >= 1, "worker.max_attempts must be at least 1");
    need(w.concurrency <= 1024, "worker.concurrency must be at most 1024");
    need(w.poll_ms >= 10, "worker.poll_ms must be at least 10");
    need((1..=3600).contains(&w.read_timeout_s), "worker.read_timeout_s must lie between 1 and 3600");
    need(
        (64..=1 << 20).contains(&w.reader_memory_mb),
        "worker.reader_memory_mb must lie between 64 and 1048576",
    );
    need(w.reaper_interval_ms >= 10, "worker.reaper_interval_ms must be at least 10");
    need(config.gpu.concurrency >= 1, "gpu.concurrency must be at least 1 (OCR_GPU_CONCURRENCY)");
    need((1..=16).contains(&config.gpu.streams), "gpu.streams must lie between 1 and 16");
    let b = &config.buli2;
    need((1..=3600).contains(&b.replay_window_s), "buli2.replay_window_s must lie between 1 and 3600");
    need((10..=120_000).contains(&b.timeout_ms), "buli2.timeout_ms must lie between 10 and 120000");
    need((1..=100).contains(&b.concurrency), "buli2.concurrency must lie between 1 and 100");
    need(
        b.retry_base_ms >= 10 && b.retry_max_ms >= b.retry_base_ms,
        "buli2.retry_base_ms must be at least 10, and buli2.retry_max_ms at least that",
    );
    need(b.breaker_failures >= 1, "buli2.breaker_failures must be at least 1");
    need(b.desk_after_s >= 1, "buli2.desk_after_s must be at least 1");
    need(config.audit.checkpoint_interval_s >= 1, "audit.checkpoint_interval_s must be at least 1");
    need(
        !config.audit.checkpoint_prefix.is_empty()
            && config
                .audit
                .checkpoint_prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
        "audit.checkpoint_prefix must consist of letters, digits, - and _",
    );
    let d = &config.desk;
    need((10..=3600).contains(&d.lease_s), "desk.lease_s must lie between 10 and 3600");
    need(d.undo_s <= 600, "desk.undo_s must be at most 600");
    need((0.0..=1.0).contains(&d.second_look_share), "desk.second_look_share must lie between 0 and 1");
    need(d.soon_s <= d.late_s, "desk.soon_s must not be more than desk.late_s");
    need(
        (60..=86_400).contains(&d.session_idle_s) && d.session_idle_s <= d.session_s,
        "desk.session_idle_s must lie between 60 and 86400, and not above desk.session_s",
    );
    need(d.session_s <= 7 * 86_400, "desk.session_s must be at most a week (604800)");
    need(d.retakes <= 10, "desk.retakes must be at most 10");
    need(
        (60..=30 * 86_400).contains(&d.retake_link_s),
        "desk.retake_link_s must lie between 60 and 2592000, thirty days",
    );
    // What S3 allows for a presigned link.
    let week = 7 * 24 * 3600;
    for (name, seconds) in [
        ("storage.link_expiry_s", config.storage.link_expiry_s),
        ("storage.private_link_expiry_s (R2_PRIVATE_URL_EXPIRY)", config.storage.private_link_expiry_s),
    ] {
        need((1..=week).contains(&seconds), &format!("{name} must lie between 1 and {week}"));
    }
    let s = &config.storage;
    need((1..=365).contains(&s.quarantine_days), "storage.quarantine_days must lie between 1 and 365");
    need((0.0..=10.0).contains(&s.sweep_percent), "storage.sweep_percent must lie between 0 and 10");
    need(s.keep_rejected_days <= 3650, "storage.keep_rejected_days must be at most 3650, ten years");
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    need(
        config.storage.prefix.as_deref().is_none_or(plain),
        "storage.prefix must consist of letters, digits, - and _ (CF_R2_PREFIX)",
    );
    let prefix = &config.redis.prefix;
    need(
        !prefix.is_empty() && plain(prefix),
        "redis.prefix must consist of letters, digits, - and _ (QUEUE_PREFIX)",
    );
}

/// Addresses must parse and have a scheme that means something there.
fn addresses(config: &Service, problems: &mut Vec<String>) {
    let web: &[&str] = &["http", "https"];
    let addresses = [
        ("DATABASE_URL", exposed(&config.database.url), &["postgres", "postgresql", "sqlite"][..]),
        ("REDIS_URL", exposed(&config.redis.url), &["redis", "rediss"]),
        ("mail.smtp_url", exposed(&config.mail.smtp_url), &["smtp", "smtps"]),
        ("CF_R2_ENDPOINT", config.storage.endpoint.as_deref(), web),
        ("FILOT_PUBLIC_URL", config.server.public_url.as_deref(), web),
        ("desk.public_url", config.desk.public_url.as_deref(), web),
        ("STACK_API_URL", Some(config.auth.stack_api_url.as_str()), web),
        ("BULI2_API_URL", config.buli2.api_url.as_deref(), web),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", config.traces.endpoint.as_deref(), web),
        ("BULI2_CALLBACK_URL", config.buli2.callback_url.as_deref(), web),
    ];
    let origins = config.server.origins();
    let origins = origins.iter().map(|origin| ("FILOT_FRONTEND_ORIGIN", Some(origin.as_str()), web));
    for (name, address, schemes) in addresses.into_iter().chain(origins) {
        let Some(address) = address else { continue };
        let fits = Url::parse(address).is_ok_and(|url| schemes.contains(&url.scheme()));
        if !fits {
            problems
                .push(format!("{name} must be an address that starts with {}://", schemes.join(":// or ")));
        }
    }
}

/// Settings that are only useful together.
fn companions(config: &Service, problems: &mut Vec<String>) {
    let s = &config.storage;
    let checkpoints = &config.audit.checkpoint_bucket;
    if checkpoints.is_some() && *checkpoints == s.bucket {
        problems.push(
            "audit.checkpoint_bucket must be another one than CF_R2_BUCKET_NAME: what lies there is swept"
                .to_owned(),
        );
    }
    let mut together = |first: (&str, bool), others: &[(&str, bool)]| {
        if first.1 {
            for (name, set) in others {
                if !set {
                    problems.push(format!("{name} must be set when {} is", first.0));
                }
            }
        }
    };
    together(
        ("CF_R2_ENDPOINT", s.endpoint.is_some()),
        &[
            ("CF_R2_BUCKET_NAME", s.bucket.is_some()),
            ("CF_R2_ACCESS_KEY_ID", s.access_key_id.is_some()),
            ("CF_R2_SECRET_ACCESS_KEY", s.secret_access_key.is_some()),
        ],
    );
    together(("CF_R2_BUCKET_NAME", s.bucket.is_some()), &[("CF_R2_ENDPOINT", s.endpoint.is_some())]);
    let process = config.process;
    together(
        // A GPU worker only has to know that there is one.
        ("BULI2_API_URL", config.buli2.api_url.is_some() && process != Process::GpuWorker),
        &[
            ("BULI2_API_KEY", config.buli2.api_key.is_some()),
            // Without it nobody could tell a real callback from a forged one. They come to the API.
            ("BULI2_SIGNATURE_SECRET", config.buli2.signature_secret.is_some() || process != Process::Api),
        ],
    );
    let (smtp, from) = (config.mail.smtp_url.is_some(), config.mail.from.is_some());
    together(("mail.smtp_url", smtp), &[("mail.from", from)]);
    together(
        ("audit.checkpoint_bucket", config.audit.checkpoint_bucket.is_some()),
        &[("CF_R2_ENDPOINT", s.endpoint.is_some())],
    );
    together(
        ("REDIS_PASSWORD", config.redis.password.is_some()),
        &[("REDIS_URL", config.redis.url.is_some())],
    );
}

fn registration(config: &Service, problems: &mut Vec<String>) {
    if config.auth.registration == RegistrationMode::Verified && config.mail.smtp_url.is_none() {
        problems.push("auth.registration is \"verified\", so mail.smtp_url must be set".to_owned());
    }
    let sender = config.mail.from.as_deref().map(str::parse::<lettre::message::Mailbox>);
    if matches!(sender, Some(Err(_))) {
        problems.push("mail.from must be an e-mail address, or a name and one in <>".to_owned());
    }
}

/// Temporal is either used, switched off, or fallen back from with a warning; never left out without a word.
pub(super) fn temporal(config: &Service, built_in: bool, problems: &mut Vec<String>) {
    let t = &config.temporal;
    let wanted = config.workflow.engine == WorkflowEngine::Temporal;
    if !built_in && !t.disabled && (wanted || t.endpoint.is_some()) {
        let what = if t.endpoint.is_some() { "TEMPORAL_ENDPOINT is set" } else { "OCR_ENGINE is temporal" };
        problems.push(format!(
            "{what}, but this program was built without Temporal: build it with `--features temporal`, or set \
             TEMPORAL_DISABLED=true"
        ));
        return;
    }
    if wanted && config.temporal_endpoint().is_none() && !config.workflow.fallback {
        problems.push(
            "OCR_ENGINE is temporal and OCR_AUTOFALLBACK is false, so TEMPORAL_ENDPOINT must be set and \
             TEMPORAL_DISABLED not"
                .to_owned(),
        );
    }
    if config.temporal_endpoint().is_some_and(|endpoint| endpoint.starts_with("http://")) {
        let secured = [
            ("TEMPORAL_API_KEY", t.api_key.is_some()),
            ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", t.tls_server_ca.is_some()),
            ("TEMPORAL_TLS_CLIENT_CERT_PATH", t.tls_client_cert.is_some()),
        ];
        for (name, _) in secured.iter().filter(|(_, set)| *set) {
            problems.push(format!("{name} needs TLS: TEMPORAL_ENDPOINT must not start with http://"));
        }
    }
    if t.tls_client_cert.is_some() != t.tls_client_key.is_some() {
        problems.push(
            "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH must be set together".to_owned(),
        );
    }
    if config.temporal_endpoint().is_some() && (t.namespace.is_empty() || t.task_queue.is_empty()) {
        problems.push("TEMPORAL_NAMESPACE and TEMPORAL_TASK_QUEUE must not be empty".to_owned());
    }
}
