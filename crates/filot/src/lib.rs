//! FiLot: reads a photo of an Indonesian identity card (KTP) or tax card (NPWP), says what stands on it, how sure it is,
//! whether the card is consistent, and what to do.

pub mod app;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod bench;
pub mod blobs;
pub mod buli2;
pub mod card_reader;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod demo;
pub mod desk;
pub mod doctor;
pub mod document;
pub mod events;
pub mod failpoint;
pub mod http;
pub mod intake;
pub mod keys;
pub mod models;
pub mod pdf;
pub mod pii;
pub mod pipeline;
pub mod probe;
pub mod queue;
pub mod reader;
pub mod retake;
pub mod sample;
pub mod scan;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod worker;
