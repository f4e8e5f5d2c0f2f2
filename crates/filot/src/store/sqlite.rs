//! What SQLite needs: how its file is opened, and that what was deleted is nowhere in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
    SqliteTransactionManager,
};
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, Row};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, RuntimeErr};
use sqlx_core::transaction::TransactionManager;
use tracing::{info, warn};

use super::{Result, Store, UNUSED};

/// How long a process waits for another one that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long writers wait while the log is being emptied and somebody still reads in it, a backup for instance.
const READERS_TIMEOUT: Duration = Duration::from_millis(100);
/// Has PostgreSQL give up the deleted rows of tables that hold personal data.
const VACUUM: &str = "VACUUM documents, reviews, rulings, corrections, idempotency, outbox, one_time_tokens, registrations, jobs";
/// A database larger than this is not written anew at a start, where people wait for the service.
const MAX_SCRUB_AT_START: u64 = 1 << 30;

/// Connects to the file, which is made if it is not there.
pub(super) async fn connect(url: String, connections: u32) -> Result<DatabaseConnection> {
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
                // What is deleted is overwritten, not only forgotten.
                .pragma("secure_delete", "ON")
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
        });
    let started = Instant::now();
    loop {
        match Database::connect(options.clone()).await {
            // The first connection of all turns the write-ahead log on, and SQLite lets nobody wait for that.
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            connected => break Ok(connected?),
        }
    }
}

pub(super) fn url_of(path: &Path) -> String {
    format!("sqlite://{}?mode=rwc", path.display())
}

/// Makes the file readable by its owner only, whatever the rights of new files are here. SQLite gives its log and its
/// index the rights of the file.
pub(super) fn keep_private(url: &str) -> std::io::Result<()> {
    let options: SqliteConnectOptions = match url.parse() {
        Ok(options) => options,
        // Connecting says better what is wrong with it.
        Err(_) => return Ok(()),
    };
    let file = options.get_filename();
    if file.as_os_str().is_empty() || file == Path::new(":memory:") {
        return Ok(());
    }
    let mut names = vec![file.to_owned()];
    for end in ["-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        names.push(name.into());
    }
    if !names[0].exists() && names[0].parent().is_none_or(Path::exists) {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&names[0])?;
    }
    #[cfg(unix)]
    for name in names.iter().filter(|name| name.exists()) {
        crate::keys::only_for_owner(name, 0o600)?;
    }
    Ok(())
}

/// Notes when it is dropped that something was deleted: also when whoever asked for the deletion goes away while it is being
/// committed.
pub(super) struct Deleting<'a>(&'a AtomicBool);

impl Drop for Deleting<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn unavailable(error: sqlx_core::Error) -> super::Error {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))).into()
}

/// Lets a connection wait at most `timeout` for others.
async fn wait_at_most(connection: &mut SqliteConnection, timeout: Duration) -> Result<()> {
    let sql = format!("PRAGMA busy_timeout = {}", timeout.as_millis());
    connection.execute(AssertSqlSafe(sql)).await.map(|_| ()).map_err(unavailable)
}

impl Store {
    /// Has the files of the database cleared soon after the end of the scope; see [`Store::clear_deleted`].
    pub(super) fn deleting(&self) -> Deleting<'_> {
        Deleting(&self.deleted)
    }

    /// Empties SQLite's log into the database, so that nothing that was deleted is left in it. Returns `false` when
    /// somebody reads at the moment, who keeps part of it.
    ///
    /// # Errors
    /// When the database does not answer.
    async fn empty_log(&self) -> Result<bool> {
        let _turn = self.turn().await;
        let mut connection = self.db.get_sqlite_connection_pool().acquire().await.map_err(unavailable)?;
        wait_at_most(&mut connection, READERS_TIMEOUT).await?;
        let row = connection.fetch_one("PRAGMA wal_checkpoint(TRUNCATE)").await;
        wait_at_most(&mut connection, BUSY_TIMEOUT).await?;
        let busy: i32 = row.and_then(|row| row.try_get("busy")).map_err(unavailable)?;
        Ok(busy == 0)
    }

    async fn vacuum(&self) -> Result<()> {
        let mut connection = self.db.get_postgres_connection_pool().acquire().await.map_err(unavailable)?;
        // A large table takes longer than any other statement may.
        connection.execute("SET statement_timeout = 0").await.map_err(unavailable)?;
        let done = connection.execute(VACUUM).await;
        connection.execute("RESET statement_timeout").await.map_err(unavailable)?;
        done.map(|_| ()).map_err(unavailable)
    }

    /// Clears what was deleted since the last time, or by a process that is gone, from the files of the database: has
    /// PostgreSQL give up the rows; SQLite overwrites them at once, so only its log is emptied.
    ///
    /// # Errors
    /// When the database does not answer; the next call tries again.
    pub async fn clear_deleted(&self) -> Result<()> {
        if !self.deleted.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let cleared = match self.backend() {
            DbBackend::Sqlite => self.empty_log().await,
            _ => self.vacuum().await.map(|()| true),
        };
        if !matches!(cleared, Ok(true)) {
            self.deleted.store(true, Ordering::Relaxed);
        }
        cleared.map(|_| ())
    }

    /// Returns how long to wait between two calls of [`Store::clear_deleted`]: emptying a log costs little.
    pub fn clearing_interval(&self) -> Duration {
        Duration::from_secs(if self.backend() == DbBackend::Sqlite { 3 } else { 60 })
    }

    /// Overwrites once what former versions deleted without overwriting it: SQLite writes the whole database anew, all
    /// or nothing. A start does it, where that is quick; of a `large` database the operator does it, by `filot migrate`.
    ///
    /// # Errors
    /// When the database does not answer. That it could not be done is told in the log, and tried at the next start.
    pub async fn scrub(&self, large: bool) -> Result<()> {
        if self.backend() != DbBackend::Sqlite || self.installation().await?.scrubbed {
            return Ok(());
        }
        let bytes = self.byte_size().await?;
        let is_large = bytes > MAX_SCRUB_AT_START;
        if large && !is_large {
            return Ok(());
        }
        if is_large && !large {
            warn!(
                megabytes = bytes >> 20,
                "what was deleted by former versions is still in the database file; stop the service and run \
                 `filot migrate` once, which writes it anew"
            );
            return Ok(());
        }
        let started = Instant::now();
        let turn = self.turn().await;
        if let Err(error) = self.db.execute_unprepared("VACUUM").await {
            warn!(%error, "the database cannot be written anew now; the next start tries again");
            return Ok(());
        }
        drop(turn);
        self.empty_log().await?;
        self.note_scrubbed().await?;
        info!(
            megabytes = bytes >> 20,
            seconds = started.elapsed().as_secs(),
            "the database was written anew: nothing that was deleted is left in it"
        );
        Ok(())
    }

    async fn byte_size(&self) -> Result<u64> {
        let sql = "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()";
        let rows = self.query(sql, Vec::new()).await?;
        let bytes = rows.first().map(|row| row.try_get::<i64>("", "bytes")).transpose()?;
        Ok(bytes.unwrap_or_default().unsigned_abs())
    }
}

/// Whether another process holds the file at the moment (`SQLITE_BUSY`).
fn is_busy(error: &DbErr) -> bool {
    let code = super::code_of(error).and_then(|code| code.parse::<u32>().ok());
    // The lower eight bits are the error, the others only its kind.
    code.is_some_and(|code| code & 0xFF == 5)
}
