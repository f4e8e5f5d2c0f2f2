//! What the program does when a workflow asks.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::wire::{Decided, HandedOver, Reading};

/// The work that workflows order. A trait, because the program that does it depends on this crate, not the other way
/// round. Each step may run twice, also at the same time; the second run changes nothing.
#[async_trait]
pub trait Steps: Send + Sync + 'static {
    /// Has the document read, to the end that its row records. `attempt` counts from 1.
    async fn read(&self, document: Uuid, attempt: u32) -> Result<Reading, Again>;

    /// Hands the review to whoever decides, if that has not been done.
    async fn hand_over(&self, review: Uuid) -> Result<HandedOver, Again>;

    /// What the review's row says.
    async fn look(&self, review: Uuid) -> Result<Decided, Again>;
}

/// Not done; try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// A stable word that says why. Stands in the history, so never personal data.
    pub reason: &'static str,
    /// When, if not as the policy says.
    pub after: Option<Duration>,
}

impl Again {
    /// As the policy says.
    pub fn later(reason: &'static str) -> Self {
        Self { reason, after: None }
    }
}
