//! The `filot` program from outside.

mod bench;
mod bombs;
mod doctor;
mod malformed;
mod pdf;
mod program;
mod scan;
