//! The service on a deployment of its own.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use filot::app::App;
use filot::card_reader::CardReader;
use filot::clock::Clock;
use filot::config::Config;
use filot::document::{Document, DocumentId, UserId};
use filot::intake;
use filot::queue::Lane;
use filot::selftest::cards::scripted;
pub(crate) use filot::selftest::child::upload;
use filot::store::{Event, NewUser, Role};
use filot::worker::run_upkeep;
use filot::workflow::read_documents;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backends::Server;
use super::eventually;
use super::proxy::Proxy;
use super::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};

/// Everything outside of the process that a service uses.
pub(crate) struct Deployment {
    pub(crate) folder: TempDir,
    pub(crate) postgres: Option<Server>,
    pub(crate) redis: Option<Server>,
    pub(crate) s3: Option<S3>,
    /// In front of PostgreSQL, Redis and S3.
    pub(crate) proxies: Option<[Proxy; 3]>,
    /// Settings over those that follow from the above, as environment variables.
    pub(crate) settings: Vec<(String, String)>,
}

impl Deployment {
    /// Nothing but a folder.
    pub(crate) fn embedded() -> Self {
        let folder = tempfile::Builder::new().prefix("filot-it-").tempdir().unwrap();
        Self { folder, postgres: None, redis: None, s3: None, proxies: None, settings: quick() }
    }

    /// PostgreSQL, Redis and S3, each behind a proxy.
    pub(crate) async fn full() -> Self {
        let (postgres, redis, s3) = (Server::postgres(), Server::redis(), S3::start().await);
        let proxies = [Proxy::to(postgres.port).await, Proxy::to(redis.port).await, Proxy::to(s3.port).await];
        Self {
            postgres: Some(postgres),
            redis: Some(redis),
            s3: Some(s3),
            proxies: Some(proxies),
            ..Self::embedded()
        }
    }

    /// PostgreSQL alone: files in a folder, the queue as a table.
    pub(crate) fn postgres() -> Self {
        Self { postgres: Some(Server::postgres()), ..Self::embedded() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The environment that makes a process use this deployment.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let mut vars = vec![("FILOT_DATA_DIR".to_owned(), self.data_dir().display().to_string())];
        let mut set = |name: &str, value: String| vars.push((name.to_owned(), value));
        let port = |which: usize, own: u16| self.proxies.as_ref().map_or(own, |proxies| proxies[which].port);
        if let Some(postgres) = &self.postgres {
            set("DATABASE_URL", postgres.url_at(port(0, postgres.port)));
        }
        if let Some(redis) = &self.redis {
            set("REDIS_URL", redis.url_at(port(1, redis.port)));
        }
        if let Some(s3) = &self.s3 {
            set("CF_R2_ENDPOINT", format!("http://127.0.0.1:{}", port(2, s3.port)));
            set("CF_R2_BUCKET_NAME", BUCKET.to_owned());
            set("CF_R2_ACCESS_KEY_ID", ACCESS_KEY.to_owned());
            set("CF_R2_SECRET_ACCESS_KEY", SECRET_KEY.to_owned());
        }
        vars.extend(self.settings.iter().cloned());
        vars
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The settings of a process that uses this deployment.
    pub(crate) fn config(&self) -> Config {
        Config::from_parts("", &self.environment()).unwrap()
    }

    /// A service on it, with a reader that obeys scripted documents; nothing is read until a worker is started.
    pub(crate) async fn app(&self) -> App {
        self.app_with(scripted(), Clock::default()).await
    }

    pub(crate) async fn app_with(&self, reader: CardReader, clock: Clock) -> App {
        App::with_reader(self.config(), reader, clock).await.unwrap()
    }
}

/// Settings under which tests need not wait.
fn quick() -> Vec<(String, String)> {
    [
        ("FILOT_WORKER_LEASE_S", "2"),
        ("FILOT_WORKER_POLL_MS", "50"),
        ("FILOT_WORKER_REAPER_INTERVAL_MS", "100"),
        ("FILOT_WORKER_RETRY_BASE_MS", "50"),
        ("FILOT_WORKER_RETRY_MAX_MS", "500"),
        ("FILOT_WORKER_CONCURRENCY", "2"),
        ("FILOT_UPLOAD_FILES_PER_DAY", "0"),
        ("FILOT_UPLOAD_BYTES_PER_DAY", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A service with a user, and a worker if one is started.
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) user: UserId,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl TestApp {
    pub(crate) async fn new(deployment: &Deployment) -> Self {
        Self::on(deployment.app().await).await
    }

    pub(crate) async fn on(app: App) -> Self {
        let user = make_user(&app).await;
        Self { app, user, stop: CancellationToken::new(), running: Vec::new() }
    }

    /// Starts a worker and the upkeep.
    pub(crate) fn work(&mut self) {
        let readers = read_documents(self.app.clone(), Lane::Cpu, self.stop.clone());
        self.running.push(tokio::spawn(readers));
        self.running.push(tokio::spawn(run_upkeep(self.app.clone(), self.stop.clone())));
    }

    /// Stops what was started, in good order.
    pub(crate) async fn rest(&mut self) {
        self.stop.cancel();
        for task in self.running.drain(..) {
            task.await.unwrap();
        }
        self.stop = CancellationToken::new();
    }

    pub(crate) async fn upload(&self, bytes: Bytes) -> Result<Document, intake::Error> {
        intake::submit(&self.app, upload(self.user, bytes)).await
    }

    pub(crate) async fn document(&self, id: DocumentId) -> Document {
        self.app.store.document(id).await.unwrap()
    }

    /// Waits for the end of the reading.
    pub(crate) async fn finished(&self, id: DocumentId) -> Document {
        let patience = Duration::from_secs(20);
        let document = self.app.changes.wait_terminal(&self.app.store, id, patience).await.unwrap();
        assert!(document.is_terminal(), "{} is still {}", id, document.status);
        document
    }

    /// Waits until the queue is empty.
    pub(crate) async fn idle(&self) {
        eventually("an empty queue", Duration::from_secs(180), || async {
            let depth = self.app.queue.depth(Lane::Cpu).await.unwrap();
            depth.ready + depth.delayed + depth.leased == 0
        })
        .await;
    }
}

pub(crate) async fn make_user(app: &App) -> UserId {
    let new = NewUser {
        email: Some(format!("{}@example.com", uuid::Uuid::now_v7())),
        email_verified: true,
        password_hash: None,
        provider: None,
        role: Role::User,
        full_name: None,
    };
    app.store.create_user(new).await.unwrap().id
}

/// Everything that ever happened, in order.
pub(crate) async fn all_events(app: &App) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let more = app.store.events_after(all.last().map_or(0, |event| event.seq), 1000).await.unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}
