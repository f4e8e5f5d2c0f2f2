//! Who reads which document next. The queue wakes and spreads work; the documents' rows are the truth, and losing the
//! whole queue loses nothing.
//!
//! A job is a document's id. Whoever claims it holds a lease for a time, named by a fencing token that only ever grows,
//! also across a loss of the queue: it is the time of the queue's own clock in microseconds.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::document::{DocumentId, Status, UserId, Verification, spelled};

pub mod redis;
pub mod table;

spelled! {
    /// Which kind of reader takes a job.
    Lane {
        Cpu = "cpu",
        Gpu = "gpu",
    }
}

/// The right to work on a document for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub id: DocumentId,
    pub lane: Lane,
    /// Fencing token: greater than that of any earlier lease of this document.
    pub token: i64,
    /// How often the document has been claimed since it was queued, this time included.
    pub attempt: u32,
}

/// What happens with a job that was not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It comes again after the wait.
    Retry(Duration),
    /// It comes again at once, and the claim does not count.
    Release,
    /// It goes to the dead letters, with a stable word that says why.
    Bury(String),
}

/// How much there is to do in a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Depth {
    /// Could be claimed now.
    pub ready: u64,
    /// Waits for its time.
    pub delayed: u64,
    /// Being worked on.
    pub leased: u64,
    /// Given up.
    pub dead: u64,
}

/// Something to wake up for. Signals may get lost or come twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// There may be work in the lane.
    Work(Lane),
    /// A document has changed.
    Changed(Change),
}

/// A change of a document, without personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub document_id: DocumentId,
    pub status: Status,
    pub verification_status: Verification,
    pub generation: u32,
}

/// Why the queue did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the queue is unavailable")]
    Redis(#[from] ::redis::RedisError),
    #[error("the queue is unavailable")]
    Database(#[from] crate::store::Error),
    #[error("the queue did not answer in time")]
    TimedOut,
    /// The queue holds something that is no job.
    #[error("the queue holds an unreadable {0}")]
    Corrupt(&'static str),
}

/// Result of every method.
pub type Result<T> = std::result::Result<T, Error>;

/// A queue of documents with leases.
#[async_trait]
pub trait Queue: Send + Sync {
    /// `table` or `redis`, for health and logs.
    fn kind(&self) -> &'static str;

    /// Whether jobs live in the database of the documents, so that a document and its job are made in one transaction.
    fn in_database(&self) -> bool;

    /// Puts a document of an account in, to be claimed after `delay`. `false` if it is in already, waiting or leased.
    async fn push(&self, lane: Lane, id: DocumentId, account: UserId, delay: Duration) -> Result<bool>;

    /// Takes up to `limit` documents, each for the time of `lease`. Accounts go round: of each the longest waiting, then of
    /// each the next, so that nobody waits for all that somebody else has sent.
    async fn claim(&self, lane: Lane, owner: &str, limit: usize, lease: Duration) -> Result<Vec<Lease>>;

    /// Holds on to a lease for another time. `false` if it is no longer the caller's.
    async fn extend(&self, lease: &Lease, by: Duration) -> Result<bool>;

    /// The work is done. `false` if the lease is no longer the caller's; then nothing changes.
    async fn complete(&self, lease: &Lease) -> Result<bool>;

    /// The work was not done. `false` if the lease is no longer the caller's; then nothing changes.
    async fn fail(&self, lease: &Lease, then: Then) -> Result<bool>;

    /// Takes a document out, whatever is being done with it.
    async fn remove(&self, id: DocumentId) -> Result<()>;

    /// Puts documents whose lease has ended back to the front, and delayed ones whose time has come in line. How many
    /// leases had ended.
    async fn reap(&self) -> Result<u64>;

    /// Moves all jobs of the GPU lane to the CPU lane if no GPU reader has asked for work for `silence`. How many.
    async fn fall_back(&self, silence: Duration) -> Result<u64>;

    /// How much there is to do.
    async fn depth(&self, lane: Lane) -> Result<Depth>;

    /// The documents among the dead letters of a lane and why each is there, the latest first.
    async fn dead(&self, lane: Lane, limit: usize) -> Result<Vec<(DocumentId, String)>>;

    /// Tells everyone who listens, in all processes if the queue reaches them, that a document has changed.
    async fn announce(&self, change: &Change) -> Result<()>;

    /// What is announced from now on.
    fn signals(&self) -> broadcast::Receiver<Signal>;

    /// Whether the queue answers.
    async fn ping(&self) -> Result<()>;

    /// Whether whoever keeps the queue may throw jobs away when memory is short.
    async fn may_evict(&self) -> Result<bool> {
        Ok(false)
    }
}
