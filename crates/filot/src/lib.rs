//! FiLot: reads a photo of an Indonesian identity card (KTP) or tax card (NPWP), says what stands on it, how sure it is,
//! whether the card is consistent, and what to do.

pub mod bench;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod models;
pub mod pdf;
pub mod reader;
pub mod sample;
pub mod scan;
