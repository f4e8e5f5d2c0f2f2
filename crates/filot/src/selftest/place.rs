//! Where a self-test takes place: within the database, queue and file store of the configuration, in a schema, under a
//! prefix and in a folder of its own, all gone afterwards. Nothing of the installation's own data is touched, and none of
//! its neighbours (reviewers, identity provider) is called: a child gets only the settings that stand here.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use futures_util::TryStreamExt;
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, exposed};
use crate::queue::redis;
use crate::store::Store;

/// Settings under which a test need not wait for what takes long by design.
const QUICK: &[(&str, &str)] = &[
    ("FILOT_WORKER_LEASE_S", "2"),
    ("FILOT_WORKER_POLL_MS", "50"),
    ("FILOT_WORKER_REAPER_INTERVAL_MS", "100"),
    ("FILOT_WORKER_RETRY_BASE_MS", "50"),
    ("FILOT_WORKER_RETRY_MAX_MS", "500"),
    ("FILOT_WORKER_CONCURRENCY", "2"),
    // Kills hit some documents more often than a poisonous one is tried; here all are innocent.
    ("FILOT_WORKER_MAX_ATTEMPTS", "100000"),
    ("FILOT_UPLOAD_FILES_PER_DAY", "0"),
    ("FILOT_UPLOAD_BYTES_PER_DAY", "0"),
];

/// The place.
pub(super) struct Place {
    folder: PathBuf,
    /// Whether the data folder itself was made for this.
    alone: bool,
    /// The schema, and the configuration that reaches the database it is in.
    schema: Option<(String, Config)>,
    environment: Vec<(String, String)>,
    config: Config,
}

impl Place {
    /// Makes it in what `config` names.
    pub(super) async fn make(config: &Config) -> anyhow::Result<Self> {
        let id = Uuid::new_v4().simple().to_string()[..12].to_owned();
        let service = &config.service;
        let alone = !service.server.data_dir.exists();
        let folder = service.server.data_dir.join(format!("selftest-{id}"));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        let mut environment: Vec<(String, String)> =
            QUICK.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
        set("FILOT_DATA_DIR", &folder.display().to_string());
        let mut schema = None;
        if let Some(url) = exposed(&service.database.url).filter(|url| url.starts_with("postgres")) {
            let name = format!("filot_selftest_{id}");
            let mut own = Url::parse(url).map_err(|_| anyhow!("DATABASE_URL is not an address"))?;
            own.query_pairs_mut().append_pair("options", &format!("-c search_path={name}"));
            set("DATABASE_URL", own.as_str());
            set("DATABASE_MAX_CONNECTIONS", "8");
            schema = Some((name, config.clone()));
        }
        if let Some(url) = exposed(&service.redis.url) {
            set("REDIS_URL", url);
            set("QUEUE_PREFIX", &format!("{}-selftest-{id}", service.redis.prefix));
            if let Some(password) = exposed(&service.redis.password) {
                set("REDIS_PASSWORD", password);
            }
        }
        let storage = &service.storage;
        if let Some(endpoint) = &storage.endpoint {
            let secret = |text: &Option<SecretString>| {
                text.as_ref().map(|text| text.expose_secret().to_owned()).unwrap_or_default()
            };
            let above = storage.prefix.as_ref().map(|prefix| format!("{prefix}-")).unwrap_or_default();
            set("CF_R2_ENDPOINT", endpoint);
            set("CF_R2_BUCKET_NAME", storage.bucket.as_deref().unwrap_or_default());
            set("CF_R2_PREFIX", &format!("{above}selftest-{id}"));
            set("CF_R2_REGION", &storage.region);
            set("CF_R2_ACCESS_KEY_ID", &secret(&storage.access_key_id));
            set("CF_R2_SECRET_ACCESS_KEY", &secret(&storage.secret_access_key));
        }
        let own = Config::from_parts("", &environment)?;
        let place = Self { folder, alone, schema, environment, config: own };
        if let Err(error) = place.make_schema().await {
            let _ = std::fs::remove_dir_all(&place.folder);
            return Err(error);
        }
        Ok(place)
    }

    async fn make_schema(&self) -> anyhow::Result<()> {
        let Some((name, outer)) = &self.schema else { return Ok(()) };
        let store = Store::connect(&outer.service, Clock::default()).await?;
        store.make_schema(name).await.with_context(|| {
            format!("the schema {name} cannot be made: the account needs CREATE on the database")
        })?;
        Ok(store.close().await?)
    }

    /// The environment of a process that works here, and all of it.
    pub(super) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The same as settings.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// What it is made of.
    pub(super) fn description(&self) -> &'static str {
        let s = &self.config.service;
        match (self.schema.is_some(), s.redis.url.is_some(), s.storage.endpoint.is_some()) {
            (false, false, false) => "SQLite, folder",
            (false, false, true) => "SQLite, S3",
            (false, true, false) => "SQLite, Redis, folder",
            (false, true, true) => "SQLite, Redis, S3",
            (true, false, false) => "PostgreSQL, folder",
            (true, false, true) => "PostgreSQL, S3",
            (true, true, false) => "PostgreSQL, Redis, folder",
            (true, true, true) => "PostgreSQL, Redis, S3",
        }
    }

    /// Removes everything. All of it is tried; the first failure is told.
    pub(super) async fn remove(self, app: Option<App>) -> anyhow::Result<()> {
        let files = match &app {
            Some(app) if self.config.service.storage.endpoint.is_some() => erase_files(app).await,
            _ => Ok(()),
        };
        drop(app);
        let redis = match self.config.service.redis.url {
            Some(_) => redis::erase_all(&self.config.service.redis).await.map_err(anyhow::Error::from),
            None => Ok(()),
        };
        let schema = self.drop_schema().await;
        let folder = std::fs::remove_dir_all(&self.folder).map_err(anyhow::Error::from);
        if self.alone {
            // Succeeds only when nothing else came into it.
            let _ = self.folder.parent().map(std::fs::remove_dir);
        }
        files.and(redis).and(schema).and(folder).context("something of the self-test is left behind")
    }

    async fn drop_schema(&self) -> anyhow::Result<()> {
        let Some((name, outer)) = &self.schema else { return Ok(()) };
        let store = Store::connect(&outer.service, Clock::default()).await?;
        store.drop_schema(name).await?;
        Ok(store.close().await?)
    }
}

async fn erase_files(app: &App) -> anyhow::Result<()> {
    let tomorrow = app.clock.now() + SignedDuration::from_hours(24);
    let keys: Vec<String> = app.blobs.older_than(tomorrow).try_collect().await?;
    for key in keys {
        app.blobs.erase(&key).await?;
    }
    app.blobs.erase(crate::blobs::MARK).await?;
    Ok(())
}
