//! The `filot` program from outside, and the service against real databases, queues and file stores. One binary, so that
//! all of it links once.
//!
//! PostgreSQL and Redis are the system's programs, started for each test that needs them on free loopback ports and
//! stopped with it; S3 is an own server in the test's process. A missing program fails the test.
#![expect(clippy::unwrap_used, reason = "in helpers of tests a panic is the way to fail")]
#![expect(
    clippy::print_stdout,
    reason = "tests tell what they measured, and processes talk to their parents"
)]

mod support;

mod alarms;
mod audit;
mod backup;
mod bench;
mod blobs;
mod bombs;
mod browser;
mod buli2;
mod callback;
mod console;
mod dashboard;
mod demo;
mod desk;
mod disk;
mod doctor;
mod door;
mod durability;
mod enrolment;
mod erase;
mod erased;
mod evidence;
mod flow;
mod fuzz_api;
mod gpu;
mod health;
mod http;
mod inside;
mod keys;
mod live;
mod locks;
mod malformed;
mod memory;
mod migrations;
mod origins;
mod pages;
mod pdf;
mod people;
mod planted;
mod privacy;
mod program;
mod queue;
mod readers;
mod retake;
mod scan;
mod selftest;
mod shares;
mod standing;
mod store;
#[cfg(feature = "temporal")]
mod temporal;
mod traces;
