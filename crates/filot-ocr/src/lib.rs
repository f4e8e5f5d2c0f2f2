//! From a photo to text lines with positions. Knows nothing of KTP or NPWP, of networks or of async.

mod canvas;
pub mod child;
mod contrast;
mod detect;
pub mod engine;
pub mod fallback;
mod geometry;
pub mod image;
mod large_text;
mod layout;
pub mod models;
mod moire;
mod morphology;
pub mod native;
mod outline;
pub mod page;
mod patches;
mod quality;
mod recognize;
mod rectify;
mod rows;
mod runtime;
mod select;
pub mod straightened;
mod strips;
pub mod tesseract;
pub mod training;
