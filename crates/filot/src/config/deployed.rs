//! What production and staging must not run with. Every broken rule is told at once, each with what to do.
//!
//! Staging holds to the same rules, but for those that `server.relaxed` names.

use std::collections::HashMap;
use std::net::IpAddr;

use secrecy::SecretString;
use url::Url;

use super::service::{Environment, Process, Service, exposed};

/// Secrets shorter than this many characters can be guessed.
const SECRET_LENGTH: usize = 32;
/// A secret with fewer different characters was never drawn at random.
const DISTINCT_CHARACTERS: usize = 10;

/// Words that show a secret was never chosen.
const PLACEHOLDERS: &[&str] =
    &["secret", "changeme", "change-me", "password", "default", "example", "your-", "test"];

/// Groups of rules, as `server.relaxed` spells them.
const GROUPS: &[&str] = &["secrets", "tls", "metrics", "checkpoints"];

pub(super) fn check(config: &Service, problems: &mut Vec<String>) {
    let environment = config.server.environment;
    let relaxed: Vec<&str> = listed(&config.server.relaxed).collect();
    for name in relaxed.iter().filter(|name| !GROUPS.contains(name)) {
        problems.push(format!("server.relaxed does not know {name:?}; it may name {}", GROUPS.join(", ")));
    }
    if environment == Environment::Development {
        return;
    }
    if environment == Environment::Production && !relaxed.is_empty() {
        problems.push("server.relaxed is for staging; remove it, and mend what it was to hide".to_owned());
    }
    let holds = |group| environment == Environment::Production || !relaxed.contains(&group);
    if holds("secrets") {
        secrets(config, environment.as_str(), problems);
    }
    if holds("tls") {
        encrypted(config, environment.as_str(), problems);
    }
    let answers = config.process == Process::Api;
    if holds("metrics") && answers && config.metrics.enabled && config.metrics.token.is_none() {
        problems.push(
            "metrics.token must be set (FILOT_METRICS_TOKEN; `openssl rand -base64 48` makes one), or \
             METRICS_ENABLED=false"
                .to_owned(),
        );
    }
    if holds("checkpoints") && answers && !config.keeps_checkpoints() {
        problems.push(
            "audit.checkpoint_bucket or audit.checkpoint_file must be set (FILOT_AUDIT_CHECKPOINT_BUCKET, \
             FILOT_AUDIT_CHECKPOINT_FILE), to a place that whoever may write to the database cannot reach: without a \
             checkpoint nobody can tell that the end of the audit trail was cut off"
                .to_owned(),
        );
    }
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Everything that only the owner of the installation may know, by its name. A worker answers nobody and so needs no
/// secret of the API's doors.
fn all_secrets(config: &Service) -> Vec<(&'static str, String)> {
    let (a, t) = (&config.auth, &config.temporal);
    let named: [(&'static str, &Option<SecretString>); 11] = [
        ("JWT_SECRET", &a.jwt_secret),
        ("SESSION_SECRET", &a.session_secret),
        ("SERVICE_INTERNAL_KEY", &a.service_internal_key),
        ("BULI2_API_KEY", &config.buli2.api_key),
        ("BULI2_SIGNATURE_SECRET", &config.buli2.signature_secret),
        ("audit.signing_key", &config.audit.signing_key),
        ("metrics.token", &config.metrics.token),
        ("CF_R2_ACCESS_KEY_ID", &config.storage.access_key_id),
        ("CF_R2_SECRET_ACCESS_KEY", &config.storage.secret_access_key),
        ("REDIS_PASSWORD", &config.redis.password),
        ("TEMPORAL_API_KEY", &t.api_key),
    ];
    let mut all: Vec<(&str, String)> =
        named.iter().filter_map(|(name, secret)| Some((*name, exposed(secret)?.to_owned()))).collect();
    let in_urls = [
        ("the password in DATABASE_URL", &config.database.url),
        ("the password in REDIS_URL", &config.redis.url),
        ("the password in mail.smtp_url", &config.mail.smtp_url),
    ];
    for (name, url) in in_urls {
        let password = exposed(url).and_then(|url| Url::parse(url).ok()?.password().map(str::to_owned));
        all.extend(password.map(|password| (name, password)));
    }
    all
}

fn secrets(config: &Service, environment: &str, problems: &mut Vec<String>) {
    let a = &config.auth;
    let demanded: &[(&str, &Option<SecretString>)] = match config.process {
        Process::Api => &[
            ("JWT_SECRET", &a.jwt_secret),
            ("SESSION_SECRET", &a.session_secret),
            ("SERVICE_INTERNAL_KEY", &a.service_internal_key),
        ],
        // It makes the links that ask for another photo.
        Process::Worker => &[("SESSION_SECRET", &a.session_secret)],
        Process::GpuWorker => &[],
    };
    for (name, secret) in demanded {
        if secret.is_none() {
            problems
                .push(format!("{name} must be set in {environment}; `openssl rand -base64 48` makes one"));
        }
    }
    let chosen = [
        ("JWT_SECRET", &a.jwt_secret),
        ("SESSION_SECRET", &a.session_secret),
        ("SERVICE_INTERNAL_KEY", &a.service_internal_key),
        ("BULI2_SIGNATURE_SECRET", &config.buli2.signature_secret),
        ("audit.signing_key", &config.audit.signing_key),
        ("metrics.token", &config.metrics.token),
    ];
    for (name, secret) in chosen {
        if let Some(secret) = exposed(secret) {
            strong(name, secret, environment, problems);
        }
    }
    let mut known: HashMap<String, &str> = HashMap::new();
    for (name, secret) in all_secrets(config) {
        match known.get(&secret) {
            Some(other) => problems.push(format!(
                "{name} must differ from {other}: who learns the one has the other; `openssl rand -base64 48` makes \
                 another"
            )),
            None => {
                known.insert(secret, name);
            }
        }
    }
}

fn strong(name: &str, secret: &str, environment: &str, problems: &mut Vec<String>) {
    let lower = secret.to_ascii_lowercase();
    let distinct = secret.chars().collect::<std::collections::HashSet<_>>().len();
    if secret.len() < SECRET_LENGTH {
        problems.push(format!("{name} must have at least {SECRET_LENGTH} characters in {environment}"));
    } else if distinct < DISTINCT_CHARACTERS || PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        problems.push(format!("{name} looks like a placeholder; `openssl rand -base64 48` makes a real one"));
    }
}

/// What leaves this machine is encrypted, and who answers is known by its certificate.
fn encrypted(config: &Service, environment: &str, problems: &mut Vec<String>) {
    let plain: Vec<&str> = listed(&config.server.plain_hosts).collect();
    let web = [
        ("FILOT_PUBLIC_URL", Some(config.public_url()).filter(|_| config.process == Process::Api)),
        ("desk.public_url", config.desk.public_url.clone()),
        ("STACK_API_URL", config.auth.stack_project_id.as_ref().map(|_| config.auth.stack_api_url.clone())),
        ("BULI2_API_URL", config.buli2.api_url.clone()),
        ("BULI2_CALLBACK_URL", config.buli2.callback_url.clone()),
        ("CF_R2_ENDPOINT", config.storage.endpoint.clone()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", config.traces.endpoint.clone()),
    ];
    let origins = config.server.origins().into_iter().map(|origin| ("FILOT_FRONTEND_ORIGIN", Some(origin)));
    for (name, address) in web.into_iter().chain(origins) {
        let Some(url) = address.and_then(|address| Url::parse(&address).ok()) else { continue };
        if url.scheme() == "http" && !stays_here(&url, &plain) {
            problems.push(format!(
                "{name} must start with https:// in {environment}: what goes there can be read and changed on the way"
            ));
        }
    }
    if let Some(url) = exposed(&config.mail.smtp_url).and_then(|url| Url::parse(url).ok()) {
        let required = url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        if url.scheme() == "smtp" && !required && !stays_here(&url, &plain) {
            problems.push(format!(
                "mail.smtp_url must be smtps://… or smtp://…?tls=required in {environment}: its password, and links that \
                 make accounts, could be read on the way"
            ));
        }
    }
    if let Some(url) = exposed(&config.redis.url).and_then(|url| Url::parse(url).ok()) {
        if url.scheme() == "redis" && !stays_here(&url, &plain) {
            problems.push(format!(
                "REDIS_URL must start with rediss:// in {environment}: its password could be read on the way"
            ));
        }
        if url.fragment() == Some("insecure") {
            problems.push(
                "REDIS_URL must not end in #insecure: nobody would look at the server's certificate"
                    .to_owned(),
            );
        }
    }
    if let Some(url) = exposed(&config.database.url).and_then(|url| Url::parse(url).ok())
        && url.scheme().starts_with("postgres")
        && !stays_here(&url, &plain)
        && !verifies(&url)
    {
        problems.push(format!(
            "DATABASE_URL must end in ?sslmode=verify-full in {environment}, with &sslrootcert=FILE where the \
             server's certificate is of an authority of its own: else anybody on the way can pose as the database"
        ));
    }
    let t = &config.temporal;
    if let Some(endpoint) = config.temporal_endpoint() {
        let secured = t.api_key.is_some() || t.tls_server_ca.is_some() || t.tls_client_cert.is_some();
        let address =
            if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
        let here = Url::parse(&address).is_ok_and(|url| stays_here(&url, &plain));
        if !secured && !endpoint.starts_with("https://") && !here {
            problems.push(format!("TEMPORAL_ENDPOINT must start with https:// in {environment}"));
        }
    }
}

/// Whether the address is of this machine, or of a host that nobody else stands on the way to.
fn stays_here(url: &Url, plain: &[&str]) -> bool {
    // A socket of this machine: postgres:///filot?host=/run/postgresql. Any other host of the query is where it goes.
    let mut elsewhere = url.query_pairs().filter(|(key, _)| key == "host" || key == "hostaddr").peekable();
    let socket = elsewhere.peek().is_some();
    if elsewhere.any(|(_, value)| !value.starts_with('/')) {
        return false;
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return true };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    socket || loopback || bare == "localhost" || bare.ends_with(".localhost") || plain.contains(&bare)
}

fn verifies(url: &Url) -> bool {
    let modes = url.query_pairs().filter(|(key, _)| key == "sslmode" || key == "ssl-mode");
    let modes: Vec<_> = modes.map(|(_, mode)| mode).collect();
    // The last one counts, or the first: all have to say so.
    !modes.is_empty() && modes.iter().all(|mode| mode == "verify-full" || mode == "verify-ca")
}
