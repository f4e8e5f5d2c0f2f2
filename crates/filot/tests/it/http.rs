//! The service as its clients see it.

mod access;
mod codes;
mod documents;
mod killed;
mod operations;
pub(crate) mod server;
mod stack;
