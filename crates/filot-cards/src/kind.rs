//! Which card is it?

use serde::Serialize;

/// What the customer says the photo shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeclaredType {
    Ktp,
    Npwp,
    /// Nothing declared: find out.
    #[default]
    Auto,
}

/// What the photo shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum DocumentType {
    #[serde(rename = "KTP")]
    Ktp,
    #[serde(rename = "NPWP")]
    Npwp,
    #[serde(rename = "OTHER")]
    Other,
}
