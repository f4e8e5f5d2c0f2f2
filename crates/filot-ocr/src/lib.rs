//! From a photo to text lines with positions. Knows nothing of KTP or NPWP, of networks or of async.

mod canvas;
pub mod engine;
pub mod image;
pub mod page;
