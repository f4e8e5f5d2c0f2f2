//! Settings of the service: what `filot serve` and `filot worker` need beyond a reader.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// All of them. Every section is also one of `filot.toml`.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    pub server: Server,
    pub log: Log,
    pub database: Database,
    pub redis: Redis,
    pub storage: Storage,
    pub upload: Upload,
    pub worker: Worker,
    pub gpu: Gpu,
    pub workflow: Workflow,
    pub auth: Auth,
    pub mail: Mail,
    pub desk: Desk,
    pub buli2: Buli2,
    pub audit: Audit,
    pub temporal: Temporal,
    pub metrics: Metrics,
    pub traces: Traces,
    /// Which process these settings are for; no setting of its own.
    #[serde(skip)]
    pub process: Process,
}

/// A process of the service, by what it needs to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Process {
    /// The API, and every command beside it.
    #[default]
    Api,
    /// `filot worker`: answers nobody, and does everything else.
    Worker,
    /// `filot worker --lane gpu`: reads documents, nothing more.
    GpuWorker,
}

impl Service {
    /// Whether a line about the audit trail is put somewhere from time to time.
    pub fn keeps_checkpoints(&self) -> bool {
        self.audit.checkpoint_file.is_some() || self.audit.checkpoint_bucket.is_some()
    }

    /// Whether all it keeps lies in its own folder: a SQLite file and the documents.
    pub fn is_embedded(&self) -> bool {
        self.database.url.is_none() && self.storage.endpoint.is_none()
    }

    /// Whether an empty database is taken for a new one. Elsewhere than in development it is more likely the wrong one.
    pub fn may_create_schema(&self) -> bool {
        match self.database.create {
            Create::Auto => self.server.environment == Environment::Development,
            Create::True => true,
            Create::False => false,
        }
    }

    /// Where clients reach this server, without a slash at the end.
    pub fn public_url(&self) -> String {
        match &self.server.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}:{}", self.server.host, self.server.port),
        }
    }

    /// Where officers reach the desk, without a slash at the end.
    pub fn desk_url(&self) -> String {
        match &self.desk.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => self.public_url(),
        }
    }

    /// Who may make a local account.
    pub fn registration(&self) -> Registration {
        match self.auth.registration {
            RegistrationMode::Open => Registration::Open,
            RegistrationMode::Verified => Registration::Verified,
            RegistrationMode::Closed => Registration::Closed,
            RegistrationMode::Auto if self.mail.smtp_url.is_some() => Registration::Verified,
            RegistrationMode::Auto if self.server.environment == Environment::Development => {
                Registration::Open
            }
            RegistrationMode::Auto => Registration::Closed,
        }
    }

    /// Whether this is a trial on a developer's own machine: there is a test account, and a code that opens it.
    pub fn is_trial(&self) -> bool {
        let on_postgres = exposed(&self.database.url).is_some_and(|url| url.starts_with("postgres"));
        self.server.environment == Environment::Development && !on_postgres
    }

    /// Where Temporal is, if there is one to be used.
    pub fn temporal_in_use(&self) -> Option<&str> {
        self.temporal_endpoint().filter(|_| self.workflow.engine == WorkflowEngine::Temporal)
    }

    /// Where Temporal is, if that was said and it is not switched off.
    pub fn temporal_endpoint(&self) -> Option<&str> {
        self.temporal.endpoint.as_deref().filter(|_| !self.temporal.disabled)
    }
}

/// How strict to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Development,
    Staging,
    /// Missing, weak and default secrets are errors.
    Production,
}

impl Environment {
    /// Returns whether documents are only played with here: nobody's verdict may come from a scripted reader elsewhere.
    pub fn is_for_play(self) -> bool {
        self == Self::Development
    }

    /// As `NODE_ENV` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub environment: Environment,
    pub host: String,
    pub port: u16,
    pub data_dir: PathBuf,
    #[serde(deserialize_with = "optional")]
    pub public_url: Option<String>,
    pub frontend_origin: String,
    pub trusted_proxies: u8,
    pub plain_hosts: String,
    pub relaxed: String,
    pub backup_interval_s: u64,
    pub request_timeout_s: u64,
    pub shutdown_grace_s: u64,
    pub requests_per_minute: u32,
    pub uploads_per_minute: u32,
    /// 0: as many as open files allow.
    pub connections: usize,
    pub connections_per_address: usize,
    pub header_timeout_s: u64,
    pub idle_timeout_s: u64,
    pub stall_s: u64,
    pub least_kb_per_s: u64,
    pub body_budget_mb: usize,
    pub streams_per_account: usize,
}

impl Server {
    /// The origins from which browsers may call, as browsers write them.
    pub fn origins(&self) -> Vec<String> {
        let origins = self.frontend_origin.split(',').map(|origin| origin.trim().trim_end_matches('/'));
        origins.filter(|origin| !origin.is_empty()).map(str::to_owned).collect()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
    /// Text on a terminal, JSON otherwise.
    Auto,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `None`: SQLite in the data folder. Holds a password, hence a secret.
    #[serde(deserialize_with = "optional_secret")]
    pub url: Option<SecretString>,
    pub max_connections: u32,
    pub migrate: bool,
    pub create: Create,
}

/// Whether a schema may be made in an empty database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Create {
    /// In development, where nothing is at stake.
    Auto,
    True,
    False,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    #[serde(deserialize_with = "optional_secret")]
    pub url: Option<SecretString>,
    #[serde(deserialize_with = "optional_secret")]
    pub password: Option<SecretString>,
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    #[serde(deserialize_with = "optional")]
    pub endpoint: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub bucket: Option<String>,
    #[serde(deserialize_with = "optional")]
    pub prefix: Option<String>,
    #[serde(deserialize_with = "optional_secret")]
    pub access_key_id: Option<SecretString>,
    #[serde(deserialize_with = "optional_secret")]
    pub secret_access_key: Option<SecretString>,
    pub region: String,
    pub link_expiry_s: u64,
    pub private_link_expiry_s: u64,
    pub quarantine_days: u32,
    pub sweep_percent: f64,
    pub keep_rejected_days: u32,
}

impl Storage {
    /// How long a file is seen without a document before it is erased.
    pub fn quarantine(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.quarantine_days))
    }

    /// How long a rejected document stays, whatever its owner wants.
    pub fn keep_rejected(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.keep_rejected_days))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    pub max_bytes: usize,
    pub files_per_day: u64,
    pub bytes_per_day: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    pub embedded: bool,
    pub concurrency: usize,
    pub lease_s: u64,
    pub max_attempts: u32,
    pub retry_base_ms: u64,
    pub retry_max_ms: u64,
    pub poll_ms: u64,
    pub reaper_interval_ms: u64,
    pub read_timeout_s: u64,
    pub reader_memory_mb: u64,
}

impl Worker {
    /// How long a lease lasts without a heartbeat.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s)
    }

    /// Documents to read at a time.
    pub fn readers(&self) -> usize {
        match self.concurrency {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    pub enabled: bool,
    pub concurrency: usize,
    pub streams: usize,
    pub max_retries: u32,
    pub autofallback: bool,
    pub poll_interval_ms: u64,
    pub stuck_timeout_ms: u64,
    pub reaper_interval_ms: u64,
    pub lock_ttl_s: u64,
    pub visible_devices: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    pub engine: WorkflowEngine,
    pub fallback: bool,
}

/// What carries a document from upload to verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowEngine {
    #[serde(alias = "redis")]
    Queue,
    Temporal,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub registration: RegistrationMode,
    #[serde(deserialize_with = "optional_secret")]
    pub jwt_secret: Option<SecretString>,
    #[serde(deserialize_with = "optional_secret")]
    pub session_secret: Option<SecretString>,
    #[serde(deserialize_with = "optional_secret")]
    pub service_internal_key: Option<SecretString>,
    pub access_token_s: u64,
    pub refresh_token_s: u64,
    #[serde(deserialize_with = "optional")]
    pub stack_project_id: Option<String>,
    pub stack_api_url: String,
}

/// Who may make a local account, as it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationMode {
    /// `verified` where mail is set up, else `open` in development and `closed` elsewhere.
    Auto,
    Open,
    Verified,
    Closed,
}

/// Who may make a local account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Everybody, for any address that has no account yet.
    Open,
    /// Whoever gets a mail that is sent to the address.
    Verified,
    /// Nobody but whoever runs the service.
    Closed,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `None`: no mail is sent. Holds a password, hence a secret.
    #[serde(deserialize_with = "optional_secret")]
    pub smtp_url: Option<SecretString>,
    #[serde(deserialize_with = "optional")]
    pub from: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desk {
    #[serde(deserialize_with = "optional")]
    pub public_url: Option<String>,
    pub lease_s: u64,
    pub undo_s: u64,
    pub second_look_share: f64,
    pub soon_s: u64,
    pub late_s: u64,
    pub session_idle_s: u64,
    pub session_s: u64,
    pub retakes: u32,
    pub retake_link_s: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buli2 {
    #[serde(deserialize_with = "optional")]
    pub api_url: Option<String>,
    #[serde(deserialize_with = "optional_secret")]
    pub api_key: Option<SecretString>,
    #[serde(deserialize_with = "optional")]
    pub callback_url: Option<String>,
    #[serde(deserialize_with = "optional_secret")]
    pub signature_secret: Option<SecretString>,
    pub replay_window_s: u64,
    pub legacy_signature: bool,
    pub timeout_ms: u64,
    pub concurrency: usize,
    pub retry_base_ms: u64,
    pub retry_max_ms: u64,
    pub breaker_failures: u32,
    pub breaker_cooldown_ms: u64,
    pub desk_after_s: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    #[serde(deserialize_with = "optional_secret")]
    pub signing_key: Option<SecretString>,
    #[serde(deserialize_with = "optional")]
    pub checkpoint_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional")]
    pub checkpoint_bucket: Option<String>,
    pub checkpoint_prefix: String,
    pub checkpoint_interval_s: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temporal {
    pub disabled: bool,
    #[serde(deserialize_with = "optional")]
    pub endpoint: Option<String>,
    pub namespace: String,
    #[serde(deserialize_with = "optional_secret")]
    pub api_key: Option<SecretString>,
    #[serde(deserialize_with = "optional")]
    pub tls_server_ca: Option<PathBuf>,
    #[serde(deserialize_with = "optional")]
    pub tls_client_cert: Option<PathBuf>,
    #[serde(deserialize_with = "optional")]
    pub tls_client_key: Option<PathBuf>,
    pub task_queue: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub enabled: bool,
    #[serde(deserialize_with = "optional_secret")]
    pub token: Option<SecretString>,
    pub namespace: String,
    pub cloudwatch: bool,
    pub flush_interval_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// `None`: none are sent.
    #[serde(deserialize_with = "optional")]
    pub endpoint: Option<String>,
    pub service_name: String,
}

fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| T::from(text)))
}

fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    optional(deserializer)
}

/// The text of a secret that is set.
pub(crate) fn exposed(secret: &Option<SecretString>) -> Option<&str> {
    secret.as_ref().map(|secret| secret.expose_secret())
}
