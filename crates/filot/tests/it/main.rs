//! The `filot` program from outside.
#![expect(clippy::unwrap_used, reason = "in helpers of tests a panic is the way to fail")]

mod bench;
mod bombs;
mod doctor;
mod malformed;
mod pdf;
mod program;
mod scan;
