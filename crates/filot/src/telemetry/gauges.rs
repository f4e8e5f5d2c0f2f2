//! Numbers that have to be looked up rather than counted: how long the queues are,
//! and what waits for BULI2.

use std::time::Duration;

use crate::app::App;
use crate::buli2::BreakerState;
use crate::queue::{Depth, Lane};
use crate::store::{Backlog, EffectKind};

pub(crate) mod standing;

/// A queue that does not answer within this is unknown.
const PATIENCE: Duration = Duration::from_millis(500);

/// What waits at one moment; `None` where nobody answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    pub cpu: Option<Depth>,
    pub gpu: Option<Depth>,
    /// Reviews on their way to BULI2.
    pub backlog: Option<Backlog>,
}

/// Looks at queues and outbox and sets their gauges. What is unknown keeps its last value.
pub async fn look(app: &App) -> Look {
    let depth = async |lane| tokio::time::timeout(PATIENCE, app.workflow.depth(app, lane)).await.ok()?.ok();
    let backlog =
        async || tokio::time::timeout(PATIENCE, app.store.backlog(EffectKind::Escalate)).await.ok()?.ok();
    let (cpu, gpu, backlog, ()) =
        tokio::join!(depth(Lane::Cpu), depth(Lane::Gpu), backlog(), standing::look(app));
    set_queues(cpu, gpu);
    set_buli2(app, backlog);
    Look { cpu, gpu, backlog }
}

fn set_buli2(app: &App, backlog: Option<Backlog>) {
    if let Some(backlog) = backlog {
        metrics::gauge!("filot_buli2_retry_count").set(backlog.retrying as f64);
        let next = backlog.next_retry.map_or(0, jiff::Timestamp::as_second);
        metrics::gauge!("filot_buli2_next_retry_timestamp_seconds").set(next as f64);
    }
    let Some(buli2) = &app.buli2 else { return };
    let (present, _) = buli2.breaker_state(app.clock.now());
    for state in BreakerState::ALL {
        let is_so = f64::from(u8::from(*state == present));
        metrics::gauge!("filot_buli2_breaker", "state" => state.as_str()).set(is_so);
    }
}

fn set_queues(cpu: Option<Depth>, gpu: Option<Depth>) {
    let (mut total, mut dead) = (Some(0), 0);
    for (lane, depth) in [(Lane::Cpu, cpu), (Lane::Gpu, gpu)] {
        let Some(depth) = depth else {
            total = None;
            continue;
        };
        let states = [
            ("ready", depth.ready),
            ("delayed", depth.delayed),
            ("leased", depth.leased),
            ("dead", depth.dead),
        ];
        for (state, count) in states {
            metrics::gauge!("filot_queue_jobs", "lane" => lane.as_str(), "state" => state).set(count as f64);
        }
        let length = depth.ready + depth.delayed;
        metrics::gauge!("filot_queue_length", "lane" => lane.as_str()).set(length as f64);
        total = total.map(|sum| sum + length);
        dead += depth.dead;
    }
    if let Some(total) = total {
        metrics::gauge!("filot_dead_documents").set(dead as f64);
        metrics::gauge!("filot_queue_length", "lane" => "total").set(total as f64);
    }
    if let Some(gpu) = gpu {
        metrics::gauge!("filot_gpu_active_jobs").set(gpu.leased as f64);
    }
}
