//! Numbers that have to be looked up rather than counted: how long the queues are.

use std::time::Duration;

use crate::app::App;
use crate::queue::{Depth, Lane};

/// A queue that does not answer within this is unknown.
const PATIENCE: Duration = Duration::from_millis(500);

/// The queues at one moment; `None` where one does not answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Depths {
    pub cpu: Option<Depth>,
    pub gpu: Option<Depth>,
}

/// Looks at the queues and sets their gauges. What is unknown keeps its last value.
pub async fn look(app: &App) -> Depths {
    let depth = async |lane| tokio::time::timeout(PATIENCE, app.queue.depth(lane)).await.ok()?.ok();
    let depths = Depths { cpu: depth(Lane::Cpu).await, gpu: depth(Lane::Gpu).await };
    let mut total = Some(0);
    for (lane, depth) in [(Lane::Cpu, depths.cpu), (Lane::Gpu, depths.gpu)] {
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
    }
    if let Some(total) = total {
        metrics::gauge!("filot_queue_length", "lane" => "total").set(total as f64);
    }
    if let Some(gpu) = depths.gpu {
        metrics::gauge!("filot_gpu_active_jobs").set(gpu.leased as f64);
    }
    depths
}
