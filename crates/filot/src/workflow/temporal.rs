//! Temporal: starts and wakes workflows, and does what they order with the functions that the queue's worker calls.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use filot_temporal::{
    Again, Certificates, Decided, DocumentInput, Engine, HandedOver, Outcome, Pace, Reading, ReviewInput,
    Settings, Steps, Work,
};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::Error;
use crate::app::App;
use crate::config::Service;
use crate::desk::Reason;
use crate::document::{DocumentId, ReviewId, Status, UserId, Verification};
use crate::pipeline::{self, Ended, Stop};
use crate::queue::{Lane, Lease, Queue};
use crate::store::{self, ReviewRoute, ReviewStatus, Ruling};
use crate::worker;

/// Between two tries to tell a workflow of a decision. After the last one it finds out by its own look.
const FIRST_SIGNAL_WAIT: Duration = Duration::from_secs(2);
const LAST_SIGNAL_WAIT: Duration = Duration::from_secs(64);
/// How often the row of an open review is looked at first when no signal comes.
const LOOK: Duration = Duration::from_secs(5 * 60);
/// Before a document that somebody else is reading is looked at again.
const HELD: Duration = Duration::from_secs(1);
/// How long before the end of the grace period unfinished readings are given back.
const GIVE_BACK: Duration = Duration::from_millis(1500);

/// A Temporal server in use.
pub struct Temporal {
    engine: Engine,
    pace: Pace,
    /// After so long without a GPU reader the others are asked.
    gpu_patience: Option<Duration>,
    /// Use the queue when the server cannot be reached.
    fallback: bool,
    /// The latest document was not taken.
    away: AtomicBool,
}

impl Temporal {
    pub(super) fn new(config: &Service) -> Result<Self, filot_temporal::Error> {
        let temporal = &config.temporal;
        let engine = Engine::new(Settings {
            endpoint: temporal.endpoint.clone().unwrap_or_default(),
            namespace: temporal.namespace.clone(),
            api_key: temporal.api_key.as_ref().map(|key| key.expose_secret().to_owned()),
            certificates: Certificates {
                server_ca: temporal.tls_server_ca.clone(),
                client: temporal.tls_client_cert.clone().zip(temporal.tls_client_key.clone()),
            },
            task_queue: temporal.task_queue.clone(),
        })?;
        let worker = &config.worker;
        let pace = Pace {
            lease_ms: worker.lease_s * 1000,
            retry_base_ms: worker.retry_base_ms,
            retry_max_ms: worker.retry_max_ms,
            look_ms: u64::try_from(LOOK.as_millis()).unwrap_or(u64::MAX),
        };
        let gpu = &config.gpu;
        Ok(Self {
            engine,
            pace,
            gpu_patience: gpu.autofallback.then(|| Duration::from_millis(gpu.stuck_timeout_ms)),
            fallback: config.workflow.fallback,
            away: AtomicBool::new(false),
        })
    }

    pub(super) async fn dispatch(
        &self,
        queue: &dyn Queue,
        lane: Lane,
        id: DocumentId,
        account: UserId,
    ) -> Result<bool, Error> {
        let lane_there = match lane {
            Lane::Cpu => filot_temporal::Lane::Cpu,
            Lane::Gpu => {
                let patience_ms = self.gpu_patience.map(|p| u64::try_from(p.as_millis()).unwrap_or(u64::MAX));
                filot_temporal::Lane::Gpu { patience_ms }
            }
        };
        let input = DocumentInput { document_id: id.0, lane: lane_there, pace: self.pace };
        match self.engine.start_document(input).await {
            Ok(new) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    info!("Temporal takes documents again");
                }
                if new {
                    metrics::counter!("filot_temporal_started_total").increment(1);
                }
                Ok(new)
            }
            Err(error) => {
                if !self.away.swap(true, Ordering::Relaxed) {
                    let then =
                        if self.fallback { "the queue carries documents" } else { "documents wait for it" };
                    error!(%error, "Temporal takes no documents: {then}");
                }
                if !self.fallback {
                    metrics::counter!("filot_temporal_refused_total").increment(1);
                    return Err(error.into());
                }
                metrics::counter!("filot_temporal_fallback_total").increment(1);
                warn!(document = %id, %error, "not taken by Temporal, given to the queue");
                Ok(queue.push(lane, id, account, Duration::ZERO).await?)
            }
        }
    }

    pub(super) fn review_opened(&self, review: ReviewId, document: DocumentId) {
        let (engine, pace) = (self.engine.clone(), self.pace);
        tokio::spawn(async move {
            let input = ReviewInput { review_id: review.0, document_id: document.0, pace };
            if let Err(error) = engine.start_review(input).await {
                // The row and its outbox go their way without it.
                warn!(%review, %error, "a review has no workflow");
            }
        });
    }

    pub(super) fn review_decided(&self, review: ReviewId, ruling: Ruling) {
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let mut wait = FIRST_SIGNAL_WAIT;
            while let Err(error) = engine.review_decided(review.0, there(ruling)).await {
                debug!(%review, %error, "a workflow was not told of a decision");
                if wait > LAST_SIGNAL_WAIT {
                    break;
                }
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        });
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        // Connecting goes on when whoever asked has lost patience.
        let engine = self.engine.clone();
        let asked = tokio::spawn(async move { engine.ping().await }).await;
        Ok(asked.unwrap_or(Err(filot_temporal::Error::TimedOut))?)
    }

    pub(super) async fn work(&self, app: App, lane: Lane, stop: CancellationToken) {
        let grace = Duration::from_secs(app.config.service.server.shutdown_grace_s).saturating_sub(GIVE_BACK);
        let stops = Stop { soon: stop.clone(), now: CancellationToken::new() };
        let work = Work {
            in_hand: app.reader_count() as usize + 1,
            steps: std::sync::Arc::new(AppSteps { app, lane, stops: stops.clone() }),
            gpu: lane == Lane::Gpu,
            grace: grace + GIVE_BACK,
        };
        let give_back = async {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
            stops.now.cancel();
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            () = self.engine.work(work, stop.clone()) => {}
            never = give_back => match never {},
        }
    }
}

fn there(ruling: Ruling) -> filot_temporal::Ruling {
    match ruling {
        Ruling::Approve => filot_temporal::Ruling::Approved,
        Ruling::Reject => filot_temporal::Ruling::Rejected,
        Ruling::Retake => filot_temporal::Ruling::Retake,
    }
}

/// What workflows order.
struct AppSteps {
    app: App,
    lane: Lane,
    stops: Stop,
}

#[async_trait]
impl Steps for AppSteps {
    async fn read(&self, document: Uuid, attempt: u32) -> Result<Reading, Again> {
        let id = DocumentId(document);
        if let Some(reading) = self.end_of(id).await? {
            return Ok(reading);
        }
        let Some(token) = self.app.store.free_token(id).await.map_err(unavailable)? else {
            // Another try of this activity, or the queue's worker, if the queue has the document too.
            return Err(Again { reason: "held", after: Some(HELD) });
        };
        let lease = Lease { id, lane: self.lane, token, attempt };
        let ended = tokio::select! {
            ended = pipeline::process(&self.app, &lease, &self.stops) => ended,
            never = self.hold(&lease) => match never {},
        };
        crate::failpoint::hit("temporal.after_read");
        match ended {
            Ended::Done | Ended::Dead(_) => {
                self.end_of(id).await?.ok_or(Again { reason: "held", after: Some(HELD) })
            }
            Ended::Again { reason } => Err(Again::later(reason)),
            Ended::GivenBack => Err(Again { reason: "stopping", after: Some(HELD) }),
        }
    }

    async fn hand_over(&self, review: Uuid) -> Result<HandedOver, Again> {
        worker::escalate_once(&self.app).await;
        match self.app.store.review(ReviewId(review)).await {
            Ok(row) if row.status != ReviewStatus::Pending || row.route == ReviewRoute::Desk => {
                Ok(HandedOver::Desk)
            }
            Ok(row) => match row.ticket_id {
                Some(ticket) => Ok(HandedOver::Buli2 { ticket }),
                None => Err(Again::later("not_taken")),
            },
            Err(store::Error::NotFound) => Ok(HandedOver::Desk),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn look(&self, review: Uuid) -> Result<Decided, Again> {
        let row = match self.app.store.review(ReviewId(review)).await {
            Ok(row) => row,
            Err(store::Error::NotFound) => return Ok(Decided::Gone),
            Err(error) => return Err(unavailable(error)),
        };
        let asked_again = row.reason.as_deref().and_then(|code| code.parse::<Reason>().ok());
        Ok(match row.status {
            ReviewStatus::Pending => Decided::NotYet,
            ReviewStatus::Approved => Decided::By(filot_temporal::Ruling::Approved),
            ReviewStatus::Rejected if asked_again.is_some_and(|reason| reason.ruling() == Ruling::Retake) => {
                Decided::By(filot_temporal::Ruling::Retake)
            }
            ReviewStatus::Rejected => Decided::By(filot_temporal::Ruling::Rejected),
        })
    }
}

impl AppSteps {
    /// How the document ended, if it has.
    async fn end_of(&self, id: DocumentId) -> Result<Option<Reading>, Again> {
        let document = match self.app.store.document(id).await {
            Ok(document) if document.is_terminal() => document,
            Ok(_) => return Ok(None),
            Err(store::Error::NotFound) => {
                return Ok(Some(Reading { outcome: Outcome::Gone, review_id: None }));
            }
            Err(error) => return Err(unavailable(error)),
        };
        let outcome = match document.verification {
            Verification::AutoApproved => Outcome::Approved,
            Verification::AutoRejected => Outcome::Rejected,
            Verification::Pending => {
                debug_assert_eq!(document.status, Status::Failed);
                Outcome::Failed
            }
            Verification::PendingManualReview
            | Verification::ManuallyApproved
            | Verification::ManuallyRejected => Outcome::NeedsReview,
        };
        let review = match outcome {
            Outcome::NeedsReview => self.app.store.review_of_document(id).await.map_err(unavailable)?,
            _ => None,
        };
        Ok(Some(Reading { outcome, review_id: review.map(|review| review.id.0) }))
    }

    /// Keeps the row's lease alive for as long as a document can be in hand.
    async fn hold(&self, lease: &Lease) -> Infallible {
        let length = self.app.config.service.worker.lease();
        let end = tokio::time::Instant::now() + pipeline::longest(&self.app);
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(length / 3).await;
            if let Err(error) = self.app.store.extend_processing(lease.id, lease.token, length).await {
                warn!(document = %lease.id, %error, "no heartbeat");
            }
        }
        error!(document = %lease.id, "in hand for longer than any work takes: left to others");
        std::future::pending().await
    }
}

fn unavailable(error: store::Error) -> Again {
    warn!(%error, "a step of a workflow comes again");
    Again::later("store_unavailable")
}
