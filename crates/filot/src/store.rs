//! The database: one struct over SQLite and PostgreSQL, one method for each fact, one transaction for each method.
//!
//! Documents change only here, and only as [`crate::document::State::apply`] allows: a method loads the row for
//! update, applies the command, and writes the result guarded by the row's version.

use std::path::Path;
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    RuntimeErr, SqlErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::known::KnownReadings;
use crate::clock::Clock;
use crate::config::{Service, exposed};
use crate::document::Illegal;

mod accounts;
mod agreement;
mod audit;
mod callbacks;
mod claims;
mod console_sessions;
mod corrections;
mod desk;
mod documents;
pub(crate) mod entity;
mod escalation;
mod events;
mod idempotency;
mod jobs;
mod known;
mod listing;
mod migration;
mod outbox;
mod reading;
mod retakes;
mod reviews;
mod rows;
mod rulings;
mod schema;
mod second_factors;
mod sessions;
mod snapshot;
mod statistics;

pub use crate::document::{Ruling, Stage};
pub use accounts::{AccountChange, NewUser, Profile, ProfileChange, Role, User};
pub use agreement::Agreement;
pub use audit::{Actor, AuditEntry};
pub use callbacks::{Answer, AnswerKind, Callback, Naming};
pub use claims::Claim;
pub use console_sessions::ConsoleSession;
pub use corrections::{Correction, NewCorrection};
pub use desk::{DeskFilter, Officer, Possession, QueueState, Waiting};
pub use documents::{NewDocument, Usage};
pub use events::{Event, EventKind};
pub use idempotency::{Idempotency, IdempotencyKey};
pub(crate) use jobs::PUSH;
pub use listing::{Cursor, Filter, Summary};
pub use outbox::{Backlog, Effect, EffectKind};
pub use reading::{Begun, Outcome};
pub use retakes::{Replaced, RetakeLink};
pub use reviews::{Review, ReviewRoute, ReviewStatus, Verdict};
pub use rulings::{CarriedOut, NewRuling, Noted, RulingRow, Undone};
pub use second_factors::SecondFactor;
pub use sessions::{OneTime, Rotation, Session};
pub use statistics::{Counted, Handling, Queue as QueueAge, Ruled};

/// A connection that nobody used for so long is asked whether it still lives before it is used again.
const UNUSED: Duration = Duration::from_secs(1);
/// How long a process waits for another one that holds the SQLite file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something did not become a fact.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such row, or not for this user.
    #[error("not found")]
    NotFound,
    /// The state of the document does not allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// Someone else changed the row in between.
    #[error("changed by someone else in the meantime")]
    Conflict,
    /// A value that has to be unique exists already.
    #[error("exists already")]
    Taken,
    /// The database cannot be reached, is overloaded, or refused; trying again later may help.
    #[error("the database is unavailable")]
    Unavailable(#[source] DbErr),
    /// A row holds something that this version does not understand.
    #[error("a row holds an unreadable {0}")]
    Corrupt(&'static str),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Taken,
            // What a row refers to is gone.
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => Self::NotFound,
            _ => Self::Unavailable(error),
        }
    }
}

impl From<crate::document::Unknown> for Error {
    fn from(unknown: crate::document::Unknown) -> Self {
        Self::Corrupt(unknown.0)
    }
}

/// Result of every method.
pub type Result<T> = std::result::Result<T, Error>;

/// The database. A clone shares the pool.
#[derive(Clone)]
pub struct Store {
    db: DatabaseConnection,
    clock: Clock,
    /// Who is asked first for a person's verdict.
    route: ReviewRoute,
    /// SQLite lets one writer in at a time; queueing for it here is fair and costs no busy waiting.
    writer: Option<Arc<Mutex<()>>>,
    known: KnownReadings,
}

/// A transaction that writes. Dropped without [`Write::commit`] it leaves no trace.
struct Write {
    tx: DatabaseTransaction,
    /// What to tell the audit trail when everything else is written.
    entries: SyncMutex<Vec<audit::Pending>>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl std::ops::Deref for Write {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.tx
    }
}

impl Write {
    /// Appends the entries to the audit trail, then commits. The head of the trail is locked last and held shortest, so
    /// that no transaction ever waits for another row while others wait for the head.
    async fn commit(self) -> Result<()> {
        let entries = self.entries.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        audit::append(&self.tx, entries).await?;
        Ok(self.tx.commit().await?)
    }
}

impl Store {
    /// Connects to the database of the configuration: PostgreSQL, or SQLite in the data folder.
    ///
    /// # Errors
    /// When it cannot be reached or made.
    pub async fn connect(config: &Service, clock: Clock) -> Result<Self> {
        let route = if config.buli2.api_url.is_some() { ReviewRoute::Buli2 } else { ReviewRoute::Desk };
        Ok(Self { route, ..Self::open(config, clock).await? })
    }

    async fn open(config: &Service, clock: Clock) -> Result<Self> {
        match exposed(&config.database.url) {
            Some(url) if url.starts_with("postgres") => {
                Self::postgres(url, config.database.max_connections, clock).await
            }
            Some(url) => Self::sqlite(url.to_owned(), config.database.max_connections, clock).await,
            None => {
                let dir = &config.server.data_dir;
                crate::keys::private_folder(dir).map_err(|error| DbErr::Custom(error.to_string()))?;
                Self::sqlite(sqlite_url(&dir.join("filot.db")), config.database.max_connections, clock).await
            }
        }
    }

    async fn postgres(url: &str, connections: u32, clock: Clock) -> Result<Self> {
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(connections)
            .min_connections(1)
            .connect_timeout(Duration::from_secs(5))
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(Duration::from_secs(300))
            // Under load a connection was in use a moment ago, and asking it each time costs as much as the query.
            .test_before_acquire_if_idle_for(UNUSED)
            .statement_timeout(Duration::from_secs(20))
            .sqlx_logging(false);
        let db = Database::connect(options).await?;
        Ok(Self { db, clock, route: ReviewRoute::Desk, writer: None, known: KnownReadings::new() })
    }

    async fn sqlite(url: String, connections: u32, clock: Clock) -> Result<Self> {
        use sea_orm::sqlx::sqlite::{
            SqliteAutoVacuum, SqliteJournalMode, SqliteSynchronous, SqliteTransactionManager,
        };
        use sea_orm::sqlx::{Connection, Executor};
        use sqlx_core::transaction::TransactionManager;
        let connections = connections.min(8);
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(connections)
            // All from the start, and for good: on a full disk no other can be opened, and what is stored is to be read.
            .min_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire_if_idle_for(UNUSED)
            // SQLite gives a transaction up by itself when the disk fails in the middle of it. The connection then
            // believes for ever that it is in one, and refuses to begin another, until it has given one up itself.
            .map_sqlx_sqlite_before_acquire(|connection, _| {
                Box::pin(async move {
                    if connection.is_in_transaction() {
                        // Fails if there is one after all.
                        let _ = connection.execute("BEGIN").await;
                        SqliteTransactionManager::rollback(connection).await?;
                    }
                    Ok(true)
                })
            })
            .sqlx_logging(false)
            .map_sqlx_sqlite_opts(|options| {
                options
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // An acknowledged upload survives a power cut, not only a killed process.
                    .synchronous(SqliteSynchronous::Full)
                    .auto_vacuum(SqliteAutoVacuum::Incremental)
                    .foreign_keys(true)
                    .busy_timeout(PATIENCE)
            });
        let writer = Some(Arc::default());
        let started = Instant::now();
        let db = loop {
            match Database::connect(options.clone()).await {
                // The first connection of all turns the write-ahead log on, and SQLite lets nobody wait for that.
                Err(error) if is_busy(&error) && started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                connected => break connected?,
            }
        };
        Ok(Self { db, clock, route: ReviewRoute::Desk, writer, known: KnownReadings::new() })
    }

    /// Brings the schema up to date. All steps together are one transaction under a lock, so processes that start
    /// together do not collide, and one that is killed leaves the schema as it was.
    ///
    /// # Errors
    /// When a step fails; the schema is then unchanged.
    pub async fn migrate(&self) -> Result<()> {
        self.migrate_up_to(usize::MAX).await
    }

    /// The same for the first `steps` steps only: the schema of an earlier release.
    ///
    /// # Errors
    /// When a step fails; the schema is then unchanged.
    pub async fn migrate_up_to(&self, steps: usize) -> Result<()> {
        let tx = self.begin().await?;
        if self.backend() == DbBackend::Postgres {
            // The number names the lock, nothing more. With SQLite the transaction itself is one.
            tx.execute_unprepared("SELECT pg_advisory_xact_lock(4608501)").await?;
        }
        crate::failpoint::hit("store.migrate.after_lock");
        let all = migration::Migrator::migrations().len();
        let made = all - migration::Migrator::get_pending_migrations(&tx.tx).await?.len();
        for _ in made..steps.min(all) {
            migration::Migrator::up(&tx.tx, Some(1)).await?;
            crate::failpoint::hit("store.migrate.after_step");
        }
        crate::failpoint::hit("store.migrate.before_commit");
        tx.commit().await
    }

    /// Names of the steps that [`Store::migrate`] would still make.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pending_migrations(&self) -> Result<Vec<String>> {
        let pending = migration::Migrator::get_pending_migrations_read_only(&self.db).await?;
        Ok(pending.iter().map(|step| step.name().to_owned()).collect())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        self.db.query_one_raw(Statement::from_string(self.backend(), "SELECT 1")).await?;
        Ok(())
    }

    /// `sqlite` or `postgres`, for health and logs.
    pub fn kind(&self) -> &'static str {
        if self.backend() == DbBackend::Postgres { "postgres" } else { "sqlite" }
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    /// With SQLite, the right to write; others wait for it to be dropped.
    async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.writer {
            Some(writer) => Some(Arc::clone(writer).lock_owned().await),
            None => None,
        }
    }

    /// Starts a transaction that writes; with SQLite after waiting for its turn.
    async fn begin(&self) -> Result<Write> {
        let turn = self.turn().await;
        let tx = self
            .db
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await?;
        Ok(Write { tx, entries: SyncMutex::default(), _turn: turn })
    }

    /// Runs one writing statement, which is a transaction of its own; `$1`, `$2` … stand for the values in both
    /// databases.
    pub(crate) async fn execute(&self, sql: &str, values: Vec<sea_orm::Value>) -> Result<u64> {
        let _turn = self.turn().await;
        let done = self.db.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
        Ok(done.rows_affected())
    }

    /// Runs one writing statement that gives rows back.
    pub(crate) async fn execute_returning(
        &self,
        sql: &str,
        values: Vec<sea_orm::Value>,
    ) -> Result<Vec<sea_orm::QueryResult>> {
        let _turn = self.turn().await;
        Ok(self.db.query_all_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?)
    }

    /// Runs one reading statement.
    pub(crate) async fn query(
        &self,
        sql: &str,
        values: Vec<sea_orm::Value>,
    ) -> Result<Vec<sea_orm::QueryResult>> {
        Ok(self.db.query_all_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?)
    }

    fn now(&self) -> DateTimeUtc {
        to_utc(self.clock.now())
    }
}

/// Whether another process holds the SQLite file at the moment (`SQLITE_BUSY`).
fn is_busy(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // The lower eight bits are the error, the others only its kind.
    code.is_some_and(|code| code & 0xFF == 5)
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}?mode=rwc", path.display())
}

/// Into the type of the database layer.
fn to_utc(at: Timestamp) -> DateTimeUtc {
    DateTimeUtc::from_timestamp_millis(at.as_millisecond()).unwrap_or(DateTimeUtc::MAX_UTC)
}

/// Out of the type of the database layer.
fn from_utc(at: DateTimeUtc) -> Timestamp {
    Timestamp::from_millisecond(at.timestamp_millis()).unwrap_or(Timestamp::MAX)
}
