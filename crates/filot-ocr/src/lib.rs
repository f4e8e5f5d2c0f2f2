//! From a photo to text lines with positions. Knows nothing of KTP or NPWP, of networks or of async.

mod canvas;
pub mod child;
mod detect;
pub mod engine;
mod geometry;
pub mod image;
mod layout;
pub mod models;
pub mod native;
pub mod page;
mod recognize;
mod rectify;
mod runtime;
pub mod tesseract;
