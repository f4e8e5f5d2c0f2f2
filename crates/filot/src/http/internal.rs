//! `/internal/ocr/queue`: for neighbouring services that hold the service key.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::error::{Problem, Result};
use super::extract::Neighbour;
use crate::queue::{Depth, Lane};

/// Jobs of a lane.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LaneView {
    /// Could be read now.
    ready: u64,
    /// Wait for their time.
    delayed: u64,
    /// Being read.
    processing: u64,
    /// Given up.
    dead: u64,
}

impl From<Depth> for LaneView {
    fn from(depth: Depth) -> Self {
        Self { ready: depth.ready, delayed: depth.delayed, processing: depth.leased, dead: depth.dead }
    }
}

/// The state of the queue.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueView {
    /// `redis` or `table`.
    #[schema(value_type = String)]
    kind: &'static str,
    cpu: LaneView,
    gpu: LaneView,
}

/// The state of the queue
#[utoipa::path(post, path = "/internal/ocr/queue", tag = "internal", security(("service" = [])),
    responses((status = 200, body = QueueView), (status = 503, body = Problem)))]
pub(super) async fn queue(State(api): State<Api>, _: Neighbour) -> Result<axum::Json<QueueView>> {
    let queue = &api.app.queue;
    let (cpu, gpu) = tokio::try_join!(queue.depth(Lane::Cpu), queue.depth(Lane::Gpu))?;
    Ok(axum::Json(QueueView { kind: queue.kind(), cpu: cpu.into(), gpu: gpu.into() }))
}
