//! Takes what the server hands out: workflow tasks and activities.

use std::sync::Arc;
use std::time::Duration;

use temporalio_client::Client;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::activities::Activities;
use crate::document::DocumentWorkflow;
use crate::engine::{Engine, Error};
use crate::review::ReviewWorkflow;
use crate::step::Steps;
use crate::wire::gpu_task_queue;

/// First and longest wait before the server is sought again.
const SEEK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// Workflows that are kept in memory between their tasks; others are replayed.
const CACHED: usize = 500;
/// How long a task may wait for the worker that has its workflow in memory.
const STICKY: Duration = Duration::from_secs(5);
/// Activities that look at reviews, beside those that read.
const LOOKING: usize = 8;

/// What a worker takes.
#[derive(Clone)]
pub struct Work {
    pub steps: Arc<dyn Steps>,
    /// Documents in hand at a time.
    pub in_hand: usize,
    /// The documents of the GPU lane and nothing else.
    pub gpu: bool,
    /// How long activities may go on after the worker was told to stop.
    pub grace: Duration,
}

impl Engine {
    /// Works until `stop`, through outages of the server.
    pub async fn work(&self, work: Work, stop: CancellationToken) {
        let mut wait = SEEK.0;
        while !stop.is_cancelled() {
            let start = std::time::Instant::now();
            match self.work_once(&work, &stop).await {
                Ok(()) => break,
                Err(error) => {
                    warn!(%error, retry_s = wait.as_secs(), "no work from Temporal; seeking it again")
                }
            }
            if start.elapsed() > SEEK.1 {
                wait = SEEK.0;
            }
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            wait = (wait * 2).min(SEEK.1);
        }
    }

    async fn work_once(&self, work: &Work, stop: &CancellationToken) -> Result<(), Error> {
        let client = self.client().await?;
        let options = self.options(work)?;
        let handle = tokio::runtime::Handle::current();
        // Also when nobody waits for this any longer.
        let stop = stop.child_token();
        let _stopping = stop.clone().drop_guard();
        // Workflows are not `Send`: they get a thread to themselves, none that the runtime would wait for when it ends.
        // What activities do runs on the runtime's threads.
        let (ended, end) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("workflows".to_owned()).spawn(move || {
            let _ = ended.send(handle.block_on(run(client, options, stop)));
        });
        thread.map_err(|error| Error::Worker(error.to_string()))?;
        end.await.unwrap_or_else(|_| Err(Error::Worker("its thread panicked".to_owned())))
    }

    fn options(&self, work: &Work) -> Result<WorkerOptions, Error> {
        let queue = &self.settings().task_queue;
        let activities = if work.gpu { work.in_hand } else { work.in_hand + LOOKING };
        let slots = TunerHolder::builder()
            .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(100))
            .activity_task_slot_supplier(FixedSizeSlotSupplier::new(activities))
            .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .build();
        let name = if work.gpu { gpu_task_queue(queue) } else { queue.clone() };
        let options = WorkerOptions::new(name)
            .register_activities(Activities { steps: Arc::clone(&work.steps) })
            .tuner(slots)
            .max_cached_workflows(CACHED)
            // A worker that was killed holds its workflows up for so long.
            .sticky_queue_schedule_to_start_timeout(STICKY)
            .graceful_shutdown_period(work.grace);
        if work.gpu {
            return Ok(options.build());
        }
        let registered = |error: temporalio_sdk::WorkflowRegistrationError| Error::Worker(error.to_string());
        Ok(options
            .register_workflow::<DocumentWorkflow>()
            .and_then(|options| options.register_workflow::<ReviewWorkflow>())
            .map_err(registered)?
            .build())
    }
}

async fn run(client: Client, options: WorkerOptions, stop: CancellationToken) -> Result<(), Error> {
    let ended = |error: &dyn std::error::Error| Error::Worker(error.to_string());
    let runtime = Runtime::from_current_tokio(Default::default()).map_err(|error| ended(&error))?;
    let mut worker = Worker::new(&runtime, client, options).map_err(|error| ended(&error))?;
    info!(task_queue = worker.task_queue(), "workflow worker started");
    let shut_down = worker.shutdown_handle();
    let told = tokio::spawn(async move {
        stop.cancelled().await;
        shut_down();
    });
    let result = worker.run().await.map_err(|error| ended(&error));
    told.abort();
    result
}
