//! The service as its clients see it.

mod access;
mod codes;
mod documents;
mod killed;
mod operations;
mod registration;
mod repeated;
mod routes;
pub(crate) mod server;
mod sign_in;
mod stack;
mod stateful;
