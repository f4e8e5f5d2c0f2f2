//! The service as its clients see it.

mod access;
mod documents;
mod operations;
pub(crate) mod server;
mod stack;
