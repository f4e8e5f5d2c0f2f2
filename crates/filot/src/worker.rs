//! Claims documents and has them read: concurrency, heartbeats, retries, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::app::App;
use crate::pipeline::{self, Stop};
use crate::queue::{Lane, Lease, Signal};

mod escalation;
mod sweep;
mod upkeep;

pub use escalation::escalate_once;
pub use sweep::{Error as SweepError, Rules as SweepRules, Swept, look_for_forgotten, sweep_files};
pub use upkeep::{run_upkeep, upkeep_once};

/// How long before the end of the grace period unfinished readings are given back.
const GIVE_BACK: Duration = Duration::from_millis(1500);

/// Takes documents from one lane.
pub struct Worker {
    app: App,
    lane: Lane,
    owner: String,
    /// Documents in hand at a time: those being read and one more, whose file is fetched meanwhile.
    in_hand: usize,
}

impl Worker {
    /// A worker for `lane` with the concurrency of the configuration.
    pub fn new(app: App, lane: Lane) -> Self {
        let owner = format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple());
        let in_hand = app.reader_count() as usize + 1;
        Self { app, lane, owner, in_hand }
    }

    /// Works until `stop`. Then nothing new is begun, readings under way may end within the grace period, and what is
    /// not done by then is given back without counting against the document.
    pub async fn run(self, stop: CancellationToken) {
        info!(lane = %self.lane, owner = self.owner, in_hand = self.in_hand, "worker started");
        let worker = Arc::new(self);
        let stops = Stop { soon: stop.clone(), now: CancellationToken::new() };
        let free = Arc::new(Semaphore::new(worker.in_hand));
        let mut signals = worker.app.queue.signals();
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            while tasks.try_join_next().is_some() {}
            let Ok(first) = Arc::clone(&free).acquire_owned().await else { break };
            if stop.is_cancelled() {
                break;
            }
            if !worker.app.reader.can_read().await {
                // Whoever else can read takes them.
                drop(first);
                worker.rest(&mut signals, &stop).await;
                continue;
            }
            let leases = worker.claim(1 + free.available_permits()).await;
            if leases.is_empty() {
                drop(first);
                worker.rest(&mut signals, &stop).await;
                continue;
            }
            crate::failpoint::hit("worker.after_claim");
            let mut permits = vec![first];
            while permits.len() < leases.len() {
                let Ok(permit) = Arc::clone(&free).acquire_owned().await else { break };
                permits.push(permit);
            }
            for (lease, permit) in leases.into_iter().zip(permits) {
                let (worker, stops) = (Arc::clone(&worker), stops.clone());
                tasks.spawn(async move { worker.work(lease, permit, stops).await });
            }
        }
        worker.wind_up(tasks, &stops).await;
    }

    async fn claim(&self, limit: usize) -> Vec<Lease> {
        let claimed = self.app.queue.claim(self.lane, &self.owner, limit, self.lease()).await;
        claimed.unwrap_or_else(|error| {
            warn!(%error, "cannot claim");
            Vec::new()
        })
    }

    fn lease(&self) -> Duration {
        self.app.config.service.worker.lease()
    }

    /// Until there may be work.
    async fn rest(&self, signals: &mut broadcast::Receiver<Signal>, stop: &CancellationToken) {
        let poll = match self.lane {
            Lane::Cpu => self.app.config.service.worker.poll_ms,
            Lane::Gpu => self.app.config.service.gpu.poll_interval_ms,
        };
        let end = Instant::now() + Duration::from_millis(poll);
        loop {
            let signal = tokio::select! {
                () = stop.cancelled() => return,
                signal = tokio::time::timeout_at(end, signals.recv()) => signal,
            };
            match signal {
                Ok(Ok(Signal::Work(lane))) if lane != self.lane => {}
                Ok(Ok(Signal::Changed(_))) => {}
                // Work, missed signals, or time to look.
                _ => return,
            }
        }
    }

    /// One document, with a heartbeat, to the end of its job.
    async fn work(&self, lease: Lease, permit: OwnedSemaphorePermit, stops: Stop) {
        let ended = tokio::select! {
            ended = pipeline::process(&self.app, &lease, &stops) => ended,
            never = self.heartbeat(&lease) => match never {},
        };
        let config = &self.app.config.service.worker;
        let wait = backoff(config.retry_base_ms, config.retry_max_ms, lease.attempt);
        if let pipeline::Ended::Again { reason } = &ended {
            debug!(document = %lease.id, reason, wait_ms = wait.as_millis(), "again later");
        }
        crate::failpoint::hit("worker.before_complete");
        let told = match ended.then(wait) {
            None => self.app.queue.complete(&lease).await,
            Some(then) => self.app.queue.fail(&lease, then).await,
        };
        crate::failpoint::hit("worker.after_complete");
        if let Err(error) = told {
            // The lease ends by itself, and whoever claims the document next finds it finished.
            warn!(document = %lease.id, %error, "the queue was not told");
        }
        drop(permit);
    }

    /// Keeps a lease alive for as long as a document can be in hand; after that nothing does, and the lease ends, so that
    /// others read what hangs here. A lease that is lost changes nothing here: the guard of the row decides whose result counts.
    async fn heartbeat(&self, lease: &Lease) -> std::convert::Infallible {
        let end = Instant::now() + pipeline::longest(&self.app);
        while Instant::now() < end {
            sleep(self.lease() / 3).await;
            match self.app.queue.extend(lease, self.lease()).await {
                Ok(true) => {}
                Ok(false) => debug!(document = %lease.id, "the lease is someone else's"),
                Err(error) => warn!(document = %lease.id, %error, "no heartbeat"),
            }
            if let Err(error) = self.app.store.extend_processing(lease.id, lease.token, self.lease()).await {
                warn!(document = %lease.id, %error, "no heartbeat");
            }
        }
        error!(document = %lease.id, "in hand for longer than any work takes: left to others");
        std::future::pending().await
    }

    async fn wind_up(&self, mut tasks: JoinSet<()>, stops: &Stop) {
        let grace = Duration::from_secs(self.app.config.service.server.shutdown_grace_s);
        let open = tasks.len();
        let all_done = async { while tasks.join_next().await.is_some() {} };
        if timeout(grace.saturating_sub(GIVE_BACK), all_done).await.is_err() {
            stops.now.cancel();
            let rest = async { while tasks.join_next().await.is_some() {} };
            let _ = timeout(GIVE_BACK, rest).await;
        }
        info!(lane = %self.lane, open, left = tasks.len(), "worker stopped");
    }
}

/// How long to wait before the next try: the base, three times that, and so on, with up to a quarter more or less, so
/// that what failed together does not come back together.
fn backoff(base_ms: u64, max_ms: u64, attempt: u32) -> Duration {
    let factor = 3_u64.saturating_pow(attempt.saturating_sub(1).min(20));
    let wait = base_ms.saturating_mul(factor).min(max_ms);
    let spread = wait / 4;
    let random = uuid::Uuid::new_v4().as_u128() as u64;
    Duration::from_millis(wait - spread + random % (2 * spread + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_triple_up_to_the_longest() {
        let config = crate::config::Config::load(None).unwrap().service.worker;
        for (attempt, middle) in [(1, 3000), (2, 9000), (3, 27_000), (4, 81_000), (5, 120_000), (90, 120_000)]
        {
            for _ in 0..100 {
                let wait = backoff(config.retry_base_ms, config.retry_max_ms, attempt).as_millis();
                assert!((middle * 3 / 4..=middle * 5 / 4).contains(&wait), "{attempt}: {wait}");
            }
        }
    }
}
