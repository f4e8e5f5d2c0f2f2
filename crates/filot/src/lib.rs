//! FiLot: reads Indonesian identity and tax cards, and everything around that.
//!
//! Uploads come in through [`intake`], are read by [`worker`] through [`pipeline`], and every fact stands in
//! [`store`]. The HTTP API and the console are doors to the same functions.

pub mod clock;
pub mod config;
pub mod document;
pub mod failpoint;
pub mod keys;
pub mod queue;
pub mod store;
