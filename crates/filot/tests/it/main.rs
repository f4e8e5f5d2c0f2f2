//! The service against real databases, queues and file stores. One binary, so that all of it links once.
//!
//! PostgreSQL and Redis are the system's programs, started for each test that needs them on free loopback ports and
//! stopped with it; S3 is an own server in the test's process. A missing program fails the test.

mod support;

mod blobs;
mod durability;
mod flow;
mod http;
mod queue;
mod store;
