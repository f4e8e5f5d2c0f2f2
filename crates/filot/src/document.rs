//! A document, its statuses, and the only legal ways from one to another.
//!
//! [`State::apply`] is the rule; `Store` loads a row, applies a command and writes the new state under a guard. Nothing
//! here does IO, so the rule can be tried with any number of random command sequences.

use std::fmt;
use std::str::FromStr;

use filot_cards::decide::Decision;
use filot_cards::kind::DeclaredType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

pub mod people;
mod state;

pub use people::{Ruling, Stage};
pub use state::{Command, Illegal, State};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, later ones greater (UUID version 7).
            #[expect(clippy::new_without_default, reason = "each call gives another value")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// Names a document for its whole life.
    DocumentId
);
id!(
    /// Names an account.
    UserId
);
id!(
    /// Names one review of one document.
    ReviewId
);

/// An enum that a text column holds, spelled one way everywhere.
macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As the database and the API spell it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        // By hand: the derived one does not see names that a macro passes on.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some([$($text),+]))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::document::Unknown;

            fn from_str(text: &str) -> std::result::Result<Self, $crate::document::Unknown> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::document::Unknown(stringify!($name))),
                }
            }
        }
    };
}
pub(crate) use spelled;

/// A word that is none of the known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {0}")]
pub struct Unknown(pub &'static str);

spelled! {
    /// How far the reading of a document is.
    Status {
        /// Stored, waiting for a reader.
        Pending = "pending",
        /// A reader has it.
        Processing = "processing",
        /// Read and judged.
        Completed = "completed",
        /// Could not be read; see `failure_code`.
        Failed = "failed",
    }
}

spelled! {
    /// What became of a document.
    Verification {
        /// No verdict yet.
        Pending = "pending",
        AutoApproved = "auto_approved",
        AutoRejected = "auto_rejected",
        /// A person has to decide.
        PendingManualReview = "pending_manual_review",
        ManuallyApproved = "manually_approved",
        ManuallyRejected = "manually_rejected",
    }
}

spelled! {
    /// The card that a customer says they photographed.
    CardType {
        Ktp = "KTP",
        Npwp = "NPWP",
    }
}

spelled! {
    /// A person's verdict.
    Resolution {
        Approved = "approved",
        Rejected = "rejected",
    }
}

impl CardType {
    /// The same for the reader.
    pub fn declared(self) -> DeclaredType {
        match self {
            Self::Ktp => DeclaredType::Ktp,
            Self::Npwp => DeclaredType::Npwp,
        }
    }
}

impl Verification {
    /// Where a machine's decision leads.
    pub fn of(decision: Decision) -> Self {
        match decision {
            Decision::AutoApprove => Self::AutoApproved,
            Decision::NeedsReview => Self::PendingManualReview,
            Decision::AutoReject => Self::AutoRejected,
        }
    }
}

/// A machine's decision as the database and the API spell it.
pub fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::AutoApprove => "auto_approve",
        Decision::NeedsReview => "needs_review",
        Decision::AutoReject => "auto_reject",
    }
}

/// One document as it stands in the database.
#[derive(Clone, Debug)]
pub struct Document {
    pub id: DocumentId,
    pub user_id: UserId,
    pub card_type: CardType,
    /// Key of the file in the blob store, never a URL.
    pub blob_key: String,
    pub status: Status,
    pub verification: Verification,
    /// 0..=100.
    pub score: Option<u8>,
    /// `auto_approve`, `needs_review` or `auto_reject`.
    pub decision: Option<String>,
    /// The assessment as JSON, passed on without being parsed. Holds personal data.
    pub result: Option<Box<RawValue>>,
    /// The plain text of the card. Personal data.
    pub ocr_text: Option<String>,
    /// Ticket of the external reviewer.
    pub ticket_id: Option<String>,
    /// Why the reading failed: a stable code, never personal data.
    pub failure_code: Option<String>,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub content_hash: String,
    pub media_type: String,
    /// Length of the file in bytes.
    pub byte_size: u64,
    /// Name of the reader that read it.
    pub engine: Option<String>,
    /// Milliseconds of reading.
    pub reading_ms: Option<u32>,
    /// Counts the readings asked for: 1 for the upload, one more for each repetition.
    pub generation: u32,
    /// Readings begun and not ended cleanly.
    pub attempts: u32,
    /// Counts the changes of this row; the value of the `ETag`.
    pub version: u32,
    /// The document of the same case whose photo was not good enough.
    pub replaces: Option<DocumentId>,
    /// The document that came for this one.
    pub replaced_by: Option<DocumentId>,
    /// Photos that were taken before in the same case.
    pub retakes: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub processed_at: Option<Timestamp>,
}

impl Document {
    /// No reader will touch it again by itself.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Failed)
    }
}
