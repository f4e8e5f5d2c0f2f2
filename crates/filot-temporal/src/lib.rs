//! Carries documents through reading and review as Temporal workflows.
//!
//! What a step really does stands behind [`Steps`]; this crate says in which order, how often and how long. It knows
//! neither database nor cards, so the arrow goes from the program to it, and a workflow can be replayed alone.
//!
//! Temporal keeps what workflows, activities and signals are given as plain JSON. Only ids, words of closed lists and
//! times go there; nothing that stands on a card does.

mod activities;
mod document;
mod engine;
mod review;
mod step;
mod wire;
mod worker;

pub use document::DocumentWorkflow;
pub use engine::{Certificates, Engine, Error, Settings};
pub use review::ReviewWorkflow;
pub use step::{Again, Steps};
pub use wire::{
    Decided, DocumentInput, DocumentOutput, HandedOver, Lane, Outcome, Pace, Reading, ReviewInput,
    ReviewOutput, Ruling, Stage, StageView, document_workflow_id, review_workflow_id,
};
pub use worker::Work;
