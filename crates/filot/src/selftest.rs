//! `filot selftest`: the promises of this service, held against what it does on this disk and this database. The reader
//! is a scripted one, so that the time goes into what is tested: upload, queue, database, files.

pub mod account;
pub mod cards;
pub mod child;
mod durability;
pub mod person;
mod place;
mod report;

pub use durability::{Order, durability};
