//! The database: one struct over SQLite and PostgreSQL, one method for each fact, one transaction for each method.
//!
//! Documents change only here, and only as [`crate::document::State::apply`] allows: a method loads the row for
//! update, applies the command, and writes the result guarded by the row's version.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
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
mod allowances;
mod audit;
mod callbacks;
mod claims;
mod console_sessions;
mod corrections;
mod deletion;
mod desk;
mod documents;
pub(crate) mod entity;
mod escalation;
mod events;
mod idempotency;
mod installation;
mod jobs;
mod known;
mod listing;
mod migration;
mod outbox;
mod pulse;
mod quarantine;
mod reading;
mod registrations;
mod retakes;
mod reviews;
mod rows;
mod rulings;
mod schema;
mod second_factors;
mod sessions;
mod snapshot;
mod sqlite;
mod statistics;
mod upkeep;

pub use crate::document::{Ruling, Stage};
pub use accounts::{AccountChange, NewUser, Profile, ProfileChange, Role, User};
pub use agreement::Agreement;
pub use allowances::Allowance;
pub use audit::{Actor, AuditEntry};
pub use callbacks::{Answer, AnswerKind, Callback, Naming};
pub use claims::Claim;
pub use console_sessions::{ConsoleSession, Kept};
pub use corrections::{Correction, NewCorrection};
pub use deletion::Evidence;
pub use desk::{DeskFilter, Officer, Possession, QueueState, Waiting};
pub use documents::NewDocument;
pub use events::{Event, EventKind};
pub use idempotency::{DELETED, Idempotency, IdempotencyKey};
pub use installation::{Installation, QUIET};
pub(crate) use jobs::PUSH;
pub use listing::{Cursor, Filter, Summary};
pub use outbox::{Backlog, Effect, EffectKind};
pub use pulse::Pulse;
pub use quarantine::Quarantine;
pub use reading::{Begun, Outcome};
pub use registrations::{NewRegistration, Registration, keeps_address};
pub use retakes::{Replaced, RetakeLink};
pub use reviews::{Review, ReviewRoute, ReviewStatus, Verdict};
pub use rulings::{CarriedOut, NewRuling, Noted, RulingRow, Undone};
pub(crate) use second_factors::ENROLMENT;
pub use second_factors::Enrolment;
pub use sessions::{OneTime, Rotation, Session};
pub use statistics::{Counted, Handling, Queue as QueueAge, Ruled};

/// A connection that nobody used for so long is asked whether it still lives before it is used again.
const UNUSED: Duration = Duration::from_secs(1);

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
    /// The account has stored all that it may in a day.
    #[error("the daily limit of the account is reached")]
    Spent,
    /// A value that has to be unique exists already.
    #[error("exists already")]
    Taken,
    /// A text that the database cannot store, such as one with U+0000 in PostgreSQL. The doors refuse them before.
    #[error("a text that cannot be stored")]
    Unstorable,
    /// The database cannot be reached, is overloaded, or refused; trying again later may help.
    #[error("the database is unavailable")]
    Unavailable(#[source] DbErr),
    /// The document has to stay for now.
    #[error("the document is kept as evidence")]
    Kept(Evidence),
    /// There is no schema, and none may be made.
    #[error(
        "the database is empty. If it is the right one and new, make its schema with `filot migrate --create` \
         (DATABASE_CREATE=true does the same at every start); if not, mend DATABASE_URL"
    )]
    Empty,
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
            _ if is_unstorable(&error) => Self::Unstorable,
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
    /// What an account may store in a day.
    allowance: Allowance,
    /// SQLite lets one writer in at a time; queueing for it here is fair and costs no busy waiting.
    writer: Option<Arc<Mutex<()>>>,
    known: KnownReadings,
    /// Something was deleted, and may still be read in files of the database.
    deleted: Arc<AtomicBool>,
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
        let allowance = Allowance { files: config.upload.files_per_day, bytes: config.upload.bytes_per_day };
        Ok(Self { route, allowance, ..Self::open(config, clock).await? })
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
                Self::sqlite(sqlite::url_of(&dir.join("filot.db")), config.database.max_connections, clock)
                    .await
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
        // Its processes run on several machines. What they lease to each other they have to read off one clock.
        let clock = clock.correctable();
        let store = Self::over(db, clock);
        store.follow_clock().await?;
        Ok(store)
    }

    async fn sqlite(url: String, connections: u32, clock: Clock) -> Result<Self> {
        sqlite::keep_private(&url).map_err(|error| DbErr::Custom(error.to_string()))?;
        let db = sqlite::connect(url, connections).await?;
        Ok(Self { writer: Some(Arc::default()), ..Self::over(db, clock) })
    }

    fn over(db: DatabaseConnection, clock: Clock) -> Self {
        let known = KnownReadings::new();
        // The log of a process that was killed still holds what it deleted.
        let unclear = db.get_database_backend() == DbBackend::Sqlite;
        Self {
            db,
            clock,
            route: ReviewRoute::Desk,
            allowance: Allowance::default(),
            writer: None,
            known,
            deleted: Arc::new(AtomicBool::new(unclear)),
        }
    }

    /// Brings the schema up to date. All steps together are one transaction under a lock, so processes that start
    /// together do not collide, and one that is killed leaves the schema as it was.
    ///
    /// # Errors
    /// When a step fails; `Empty` when there is no schema at all, unless it may be made (`create`). The schema is then
    /// unchanged.
    pub async fn migrate(&self, create: bool) -> Result<()> {
        self.make_steps(usize::MAX, create).await
    }

    /// The same for the first `steps` steps only: the schema of an earlier release.
    ///
    /// # Errors
    /// When a step fails; the schema is then unchanged.
    pub async fn migrate_up_to(&self, steps: usize) -> Result<()> {
        self.make_steps(steps, true).await
    }

    async fn make_steps(&self, steps: usize, create: bool) -> Result<()> {
        let tx = self.begin().await?;
        if self.backend() == DbBackend::Postgres {
            // The number names the lock, nothing more. With SQLite the transaction itself is one.
            tx.execute_unprepared("SELECT pg_advisory_xact_lock(4608501)").await?;
        }
        crate::failpoint::hit("store.migrate.after_lock");
        let all = migration::Migrator::migrations().len();
        let made = all - migration::Migrator::get_pending_migrations(&tx.tx).await?.len();
        if made == 0 && !create {
            return Err(Error::Empty);
        }
        for _ in made..steps.min(all) {
            migration::Migrator::up(&tx.tx, Some(1)).await?;
            crate::failpoint::hit("store.migrate.after_step");
        }
        if steps >= all {
            self.make_installation(&tx, made == 0).await?;
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

    /// Puts the clock of this store right by that of the database, so that leases end at one time for all processes. The
    /// processes of one SQLite file share the clock of their machine.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn follow_clock(&self) -> Result<()> {
        /// An answer that took longer says too little.
        const PROMPT: SignedDuration = SignedDuration::from_secs(1);
        if !self.clock.is_correctable() {
            return Ok(());
        }
        let asked = self.clock.now();
        let sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
        let rows = self.query(sql, Vec::new()).await?;
        let took = self.clock.now().duration_since(asked);
        if let Some(row) = rows.first()
            && took < PROMPT
        {
            let theirs = SignedDuration::from_millis(row.try_get("", "now")?);
            self.clock.correct(theirs - asked.as_duration() - took / 2);
        }
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

    /// The time by the clock of this process.
    pub(crate) fn now_at(&self) -> Timestamp {
        self.clock.now()
    }

    fn now(&self) -> DateTimeUtc {
        to_utc(self.clock.now())
    }
}

/// Whether PostgreSQL found a text with U+0000 in it (`character_not_in_repertoire`, `untranslatable_character`).
fn is_unstorable(error: &DbErr) -> bool {
    matches!(code_of(error).as_deref(), Some("22021" | "22P05"))
}

/// The code that the database itself gave to an error.
fn code_of(error: &DbErr) -> Option<String> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error().and_then(|error| Some(error.code()?.into_owned()))
}

/// Into the type of the database layer.
fn to_utc(at: Timestamp) -> DateTimeUtc {
    DateTimeUtc::from_timestamp_millis(at.as_millisecond()).unwrap_or(DateTimeUtc::MAX_UTC)
}

/// Out of the type of the database layer.
fn from_utc(at: DateTimeUtc) -> Timestamp {
    Timestamp::from_millisecond(at.timestamp_millis()).unwrap_or(Timestamp::MAX)
}
