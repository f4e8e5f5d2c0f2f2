//! Waking those who wait for a document. The row is the truth; a signal only says when to look at it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, timeout_at};

use crate::document::{Document, DocumentId};
use crate::queue::{Change, Queue, Signal};
use crate::store::{self, Pulse, Store};

mod watchers;

pub use watchers::{Crowded, Watchers, Watching};

/// How often to look at the row when no signal comes: signals may get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Changes of documents as they happen, in this process and, through Redis, in others.
#[derive(Clone)]
pub struct Changes {
    queue: Arc<dyn Queue>,
}

/// A subscription to changes.
pub struct Subscription(Receiver<Signal>);

impl Subscription {
    /// The next change. `None` says that some were missed, or that there will be no more: look at the rows.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            match self.0.recv().await {
                Ok(Signal::Changed(change)) => return Some(change),
                Ok(Signal::Work(_)) => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
            }
        }
    }
}

impl Changes {
    /// The changes that `queue` carries.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue }
    }

    /// Everything from now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.queue.signals())
    }

    /// Tells everyone about the state of `document`. That it fails costs those who wait a second, nothing more.
    pub async fn announce(&self, document: &Document) {
        let change = Change {
            document_id: document.id,
            status: document.status,
            verification_status: document.verification,
            generation: document.generation,
        };
        crate::failpoint::hit("changes.before_announce");
        if let Err(error) = self.queue.announce(&change).await {
            tracing::debug!(%error, "a change was not announced");
        }
    }

    /// Waits until `done` holds for the document, at most `patience`, and tells how it stands then.
    ///
    /// # Errors
    /// `NotFound` when there is no such document (any more); whatever else the database reports.
    pub async fn wait(
        &self,
        store: &Store,
        id: DocumentId,
        patience: Duration,
        done: impl Fn(&Pulse) -> bool,
    ) -> store::Result<Pulse> {
        let end = Instant::now() + patience;
        // Listening before looking: a change in between is not missed.
        let mut changes = self.subscribe();
        loop {
            let pulse = store.pulse(id).await?;
            let now = Instant::now();
            if done(&pulse) || now >= end {
                return Ok(pulse);
            }
            let until = end.min(now + LOOK_AGAIN);
            loop {
                match timeout_at(until, changes.next()).await {
                    Ok(Some(change)) if change.document_id != id => {}
                    Ok(Some(_)) | Err(_) => break,
                    Ok(None) => {
                        changes = self.subscribe();
                        break;
                    }
                }
            }
        }
    }

    /// Waits for the end of the reading, and returns the document as it is then.
    ///
    /// # Errors
    /// As [`Changes::wait`].
    pub async fn wait_terminal(
        &self,
        store: &Store,
        id: DocumentId,
        patience: Duration,
    ) -> store::Result<Document> {
        self.wait(store, id, patience, Pulse::is_terminal).await?;
        store.document(id).await
    }
}
