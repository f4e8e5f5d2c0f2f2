//! A signed statement of how the audit trail stood at some time, to be kept where the database's owner cannot reach it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::Chain;
use crate::keys::{self, Keys};

const FORMAT: &str = "filot-audit-checkpoint/1";

/// The end of the trail at a time, signed with Ed25519.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoint {
    format: String,
    /// Number of the last entry, 0 for an empty trail.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    #[serde(with = "super::instant")]
    pub at: Timestamp,
    /// Ed25519, URL-safe base64.
    pub public_key: String,
    signature: String,
}

/// Why a checkpoint proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("line {0} is no checkpoint of this version")]
    Form(usize),
    #[error("the signature of the checkpoint of entry {0} is wrong: it was changed, or never signed")]
    Signature(i64),
    #[error(
        "the checkpoint of entry {0} is signed with another key; if the key was changed, name the old one with --public-key"
    )]
    Key(i64),
    #[error("the file holds no checkpoint")]
    Empty,
}

impl Checkpoint {
    /// Signs the end of `chain`.
    pub fn sign(chain: &Chain, at: Timestamp, keys: &Keys) -> Self {
        let mut checkpoint = Self {
            format: FORMAT.to_owned(),
            seq: chain.seq(),
            hash: chain.hash().to_owned(),
            at,
            public_key: keys.public_key(),
            signature: String::new(),
        };
        checkpoint.signature = keys.sign(&checkpoint.message());
        checkpoint
    }

    /// All checkpoints of a file, one to a line, each signed with one of `trusted`.
    ///
    /// # Errors
    /// When a line is no checkpoint, or not signed so.
    pub fn read_all(text: &str, trusted: &[String]) -> Result<Vec<Self>, Unfit> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let all: Vec<Self> =
            lines.map(|(n, line)| Self::read(n + 1, line, trusted)).collect::<Result<_, _>>()?;
        if all.is_empty() { Err(Unfit::Empty) } else { Ok(all) }
    }

    /// The last checkpoint of a file, of which only the end is read; `None` where there is none, or none that is signed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_of(path: &Path) -> std::io::Result<Option<Self>> {
        /// More than the longest line.
        const END: u64 = 4096;
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut end = Vec::new();
        file.take(END).read_to_end(&mut end)?;
        let end = String::from_utf8_lossy(&end);
        let last = end.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.and_then(|line| serde_json::from_str::<Self>(line).ok());
        Ok(last.filter(|last| last.format == FORMAT && last.is_signed()))
    }

    /// Where the trail stood, to be followed from there; `None` if it is not signed with the key of `keys`.
    pub(super) fn start(&self, keys: &Keys) -> Option<Chain> {
        (self.public_key == keys.public_key() && self.is_signed())
            .then(|| Chain::at(self.seq, self.hash.clone()))
    }

    pub(super) fn read(number: usize, line: &str, trusted: &[String]) -> Result<Self, Unfit> {
        let checkpoint: Self = serde_json::from_str(line).map_err(|_| Unfit::Form(number))?;
        if checkpoint.format != FORMAT {
            return Err(Unfit::Form(number));
        }
        if !trusted.contains(&checkpoint.public_key) {
            return Err(Unfit::Key(checkpoint.seq));
        }
        if !checkpoint.is_signed() {
            return Err(Unfit::Signature(checkpoint.seq));
        }
        Ok(checkpoint)
    }

    /// Whether the signature is that of the key it names.
    pub(super) fn is_signed(&self) -> bool {
        keys::is_signed(&self.public_key, &self.message(), &self.signature)
    }

    /// What is signed: format, number, hash and time, each behind its length.
    fn message(&self) -> Vec<u8> {
        let (seq, at) = (self.seq.to_string(), self.at.as_millisecond().to_string());
        keys::framed(&[FORMAT, &seq, &self.hash, &at])
    }
}
