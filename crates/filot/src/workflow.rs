//! What carries a document from its row to its verdict: the queue alone, or Temporal, with the queue for what Temporal
//! does not take. The row is the truth for both, and its fencing token lets one of them record the verdict, so a document
//! that both have is only read twice.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Service;
use crate::document::{DocumentId, ReviewId, UserId};
use crate::queue::{self, Depth, Lane, Queue};
use crate::store::Ruling;
use crate::worker::Worker;

#[cfg(feature = "temporal")]
mod temporal;

/// Whether this program can talk to Temporal.
pub const TEMPORAL_BUILT_IN: bool = cfg!(feature = "temporal");

/// Why a document was not handed on. It waits in its row, and upkeep tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[cfg(feature = "temporal")]
    #[error(transparent)]
    Temporal(#[from] filot_temporal::Error),
}

/// The one in use.
pub enum Workflow {
    Queue,
    #[cfg(feature = "temporal")]
    Temporal(temporal::Temporal),
}

impl Workflow {
    /// The one that the configuration asks for. Connects to nothing yet.
    ///
    /// # Errors
    /// When Temporal's endpoint is no address.
    pub fn new(config: &Service) -> Result<Self, Error> {
        if config.temporal_in_use().is_some() {
            #[cfg(feature = "temporal")]
            return Ok(Self::Temporal(temporal::Temporal::new(config)?));
        } else if config.temporal.endpoint.is_some() && !config.temporal.disabled {
            tracing::warn!(
                "TEMPORAL_ENDPOINT is set but OCR_ENGINE is not temporal: the queue carries documents"
            );
        } else if config.workflow.engine == crate::config::service::WorkflowEngine::Temporal {
            tracing::warn!(
                "OCR_ENGINE is temporal, but Temporal is not configured: the queue carries documents"
            );
        }
        Ok(Self::Queue)
    }

    /// Whether the job of a document is to be made in the transaction of its row.
    pub fn makes_jobs_with_rows(&self, queue: &dyn Queue) -> bool {
        match self {
            Self::Queue => queue.in_database(),
            #[cfg(feature = "temporal")]
            Self::Temporal(_) => false,
        }
    }

    /// Hands a stored document on to be read. `false` if it was handed on before and has not ended.
    ///
    /// # Errors
    /// When nobody takes it now.
    pub async fn dispatch(
        &self,
        queue: &dyn Queue,
        lane: Lane,
        id: DocumentId,
        account: UserId,
    ) -> Result<bool, Error> {
        match self {
            Self::Queue => Ok(queue.push(lane, id, account, Duration::ZERO).await?),
            #[cfg(feature = "temporal")]
            Self::Temporal(temporal) => temporal.dispatch(queue, lane, id, account).await,
        }
    }

    /// How much there is to read in a lane: what autoscaling goes by.
    ///
    /// # Errors
    /// When queue or database does not answer.
    pub async fn depth(&self, app: &App, lane: Lane) -> Result<Depth, Error> {
        let queued = app.queue.depth(lane).await?;
        match self {
            Self::Queue => Ok(queued),
            #[cfg(feature = "temporal")]
            Self::Temporal(_) => {
                let (ready, leased) = app.store.count_unread(lane).await.map_err(queue::Error::from)?;
                Ok(Depth { ready, leased, delayed: 0, dead: queued.dead })
            }
        }
    }

    /// Says that a person's verdict was asked for by somebody else than a reader.
    pub fn review_opened(&self, review: ReviewId, document: DocumentId) {
        match self {
            Self::Queue => _ = (review, document),
            #[cfg(feature = "temporal")]
            Self::Temporal(temporal) => temporal.review_opened(review, document),
        }
    }

    /// Says that the row of a review is decided.
    pub fn review_decided(&self, review: ReviewId, ruling: Ruling) {
        match self {
            Self::Queue => _ = (review, ruling),
            #[cfg(feature = "temporal")]
            Self::Temporal(temporal) => temporal.review_decided(review, ruling),
        }
    }

    /// Whether Temporal answers; `None` when it is not used.
    pub async fn ping_temporal(&self) -> Option<Result<(), Error>> {
        match self {
            Self::Queue => None,
            #[cfg(feature = "temporal")]
            Self::Temporal(temporal) => Some(temporal.ping().await),
        }
    }

    async fn work(app: &App, lane: Lane, stop: CancellationToken) {
        match &app.workflow {
            Self::Queue => _ = (lane, stop),
            #[cfg(feature = "temporal")]
            Self::Temporal(temporal) => temporal.work(app.clone(), lane, stop).await,
        }
    }
}

/// Reads documents of a lane until `stop`, whoever hands them out. With Temporal the queue is worked on as well: it has
/// what Temporal did not take.
pub async fn read_documents(app: App, lane: Lane, stop: CancellationToken) {
    app.decoded.open();
    let queue = Worker::new(app.clone(), lane).run(stop.clone());
    tokio::join!(queue, Workflow::work(&app, lane, stop));
    app.decoded.close();
}
