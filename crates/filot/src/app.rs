//! Everything that runs in one process, put together once and handed around.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::audit::FailedSignIns;
use crate::blobs::{self, Blobs};
use crate::body_budget::BodyBudget;
use crate::buli2::Buli2;
use crate::card_reader::CardReader;
use crate::clock::Clock;
use crate::config::Config;
use crate::decoded::DecodedPhotos;
use crate::events::{Changes, Watchers};
use crate::http::door;
use crate::installation;
use crate::keys::{self, Keys};
use crate::mail::{self, Mailer};
use crate::queue::redis::RedisQueue;
use crate::queue::table::TableQueue;
use crate::queue::{self, Lane, Queue};
use crate::reader::ReaderError;
use crate::readers::Readers;
use crate::store::{self, Store};
use crate::workflow::{self, Workflow};

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Keys(#[from] keys::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    #[error(transparent)]
    Installation(#[from] installation::Error),
    /// Steps of the schema are missing, and are not to be made at a start.
    #[error("{0} steps of the database's schema are missing: run `filot migrate`")]
    Schema(usize),
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error("the HTTP client for BULI2 cannot be set up")]
    Buli2(#[from] reqwest::Error),
    #[error(transparent)]
    Mail(#[from] mail::Error),
    #[error(transparent)]
    Reader(#[from] ReaderError),
    #[error(transparent)]
    Workflow(#[from] workflow::Error),
}

/// The service. A clone is the same service.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// Its parts.
pub struct Parts {
    pub config: Config,
    pub clock: Clock,
    pub keys: Keys,
    pub store: Store,
    pub blobs: Blobs,
    pub queue: Arc<dyn Queue>,
    /// What carries documents to their readers.
    pub workflow: Workflow,
    pub changes: Changes,
    /// Those who wait for changes.
    pub watchers: Arc<Watchers>,
    /// What files take while they are received.
    pub bodies: BodyBudget,
    /// The external reviewers, if there are any.
    pub buli2: Option<Buli2>,
    /// What sends mail, if there is a mail server.
    pub mailer: Option<Mailer>,
    pub reader: CardReader,
    /// One permit for each document that may be read at a time.
    pub readers: Arc<Semaphore>,
    /// One permit for each upload that may be decoded at a time.
    pub decoders: Arc<Semaphore>,
    /// Failed sign-ins that are not in the audit trail yet.
    pub failed_sign_ins: FailedSignIns,
    /// What uploads decoded and readers have not come for yet.
    pub decoded: DecodedPhotos,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Connects to everything that the configuration names, and starts the readers.
    ///
    /// # Errors
    /// When a part is missing; the text says which and why.
    pub async fn build(config: Config) -> Result<Self, Error> {
        let readers = Readers::start(&config, false).await.map_err(ReaderError::Process)?;
        Self::with_reader(config, readers.into(), Clock::default()).await
    }

    /// The same with a given reader and clock.
    ///
    /// # Errors
    /// When a part is missing, or database and file store do not belong together.
    pub async fn with_reader(config: Config, reader: CardReader, clock: Clock) -> Result<Self, Error> {
        let app = Self::connect(config, reader, clock).await?;
        let service = &app.config.service;
        if service.database.migrate {
            app.store.migrate(service.may_create_schema()).await?;
        } else {
            let missing = app.store.pending_migrations().await?.len();
            if missing > 0 {
                return Err(Error::Schema(missing));
            }
        }
        installation::agree_at_start(&app).await?;
        installation::agree_on_keys(&app).await?;
        app.store.scrub(false).await?;
        Ok(app)
    }

    /// Connects to everything and changes nothing: neither schema nor mark.
    ///
    /// # Errors
    /// When a part is missing.
    pub async fn connect(config: Config, reader: CardReader, clock: Clock) -> Result<Self, Error> {
        let service = &config.service;
        let keys = Keys::load(service)?;
        let store = Store::connect(service, clock).await?;
        let blobs = Blobs::open(service, keys.clone(), clock)?;
        let queue: Arc<dyn Queue> = if service.redis.url.is_some() {
            Arc::new(RedisQueue::connect(&service.redis, Duration::from_secs(service.gpu.lock_ttl_s))?)
        } else {
            Arc::new(TableQueue::new(store.clone()))
        };
        let workflow = Workflow::new(service)?;
        let buli2 = Buli2::new(service)?;
        let mailer = Mailer::new(service)?;
        let cores = service.worker.readers();
        Ok(Self(Arc::new(Parts {
            clock,
            keys,
            store,
            blobs,
            changes: Changes::new(Arc::clone(&queue)),
            // Half of the connections are for those who want to know something now.
            watchers: Watchers::new(
                door::connections(&service.server) / 2,
                service.server.streams_per_account,
            ),
            bodies: BodyBudget::of(service.server.body_budget_mb),
            queue,
            workflow,
            buli2,
            mailer,
            reader,
            readers: Arc::new(Semaphore::new(cores)),
            decoders: Arc::new(Semaphore::new(cores.max(2))),
            failed_sign_ins: FailedSignIns::default(),
            decoded: DecodedPhotos::default(),
            config,
        })))
    }

    /// Whether the job of a document is made in the transaction of its row.
    pub fn makes_jobs_with_rows(&self) -> bool {
        self.workflow.makes_jobs_with_rows(&*self.queue)
    }

    /// How many documents may be read at a time.
    pub fn reader_count(&self) -> u32 {
        u32::try_from(self.config.service.worker.readers()).unwrap_or(1)
    }

    /// The lane for new documents.
    pub fn lane(&self) -> Lane {
        if self.config.service.gpu.enabled { Lane::Gpu } else { Lane::Cpu }
    }
}
