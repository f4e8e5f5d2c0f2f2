//! Entries and how each is tied to the one before.

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::hex;

/// What stands for the hash before the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// First part of what is hashed; another form of entries gets another.
const FORM: &[u8] = b"filot-audit/1";

/// What an entry tells. No personal data in any part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// In whole milliseconds.
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub reason: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// One entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Position, from 1 without gaps.
    pub seq: i64,
    #[serde(with = "super::instant")]
    pub at: Timestamp,
    /// Who, as [`crate::store::Actor`] spells it.
    pub actor: String,
    /// A word with a dot, such as `review.resolve`.
    pub action: String,
    /// What it is about: `document:…`, `user:…`.
    pub subject: String,
    pub reason: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    /// [`Entry::hash`] of the entry before, [`GENESIS`] for the first.
    pub prev_hash: String,
    /// [`Entry::digest`], as it was when the entry was written.
    pub hash: String,
}

/// The action of an entry that tells of the deletion of a document.
pub(crate) const DELETION: &str = "document.delete";

impl Entry {
    /// What the trail calls the reviews that went with a document, if this is the entry of its deletion.
    pub(crate) fn reviews(&self) -> impl Iterator<Item = &str> {
        let of_deletion = (self.action == DELETION).then_some(self.after.as_deref()).flatten();
        of_deletion.unwrap_or_default().split_whitespace().filter(|word| word.starts_with("review:"))
    }

    /// SHA-256 over everything but `hash`, lower-case hexadecimal. The parts are, each behind its length in bytes as
    /// 64 bits big-endian: the name of the form, `prev_hash`, `seq` and the milliseconds since 1970 as decimal text,
    /// `actor`, `action`, `subject`; then `reason`, `before`, `after`, each behind a byte 1, or a byte 0 alone if absent.
    /// So no two entries have the same bytes.
    pub fn digest(&self) -> String {
        let mut context = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(FORM);
        part(self.prev_hash.as_bytes());
        part(self.seq.to_string().as_bytes());
        part(self.at.as_millisecond().to_string().as_bytes());
        part(self.actor.as_bytes());
        part(self.action.as_bytes());
        part(self.subject.as_bytes());
        for optional in [&self.reason, &self.before, &self.after] {
            match optional {
                None => context.update(&[0]),
                Some(text) => {
                    context.update(&[1]);
                    context.update(&(text.len() as u64).to_be_bytes());
                    context.update(text.as_bytes());
                }
            }
        }
        hex(context.finish().as_ref())
    }
}

/// How a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("entry {expected} is missing: {found} stands in its place")]
    Missing { expected: i64, found: i64 },
    #[error("entry {0} was changed after it was written")]
    Altered(i64),
    #[error("entry {0} does not follow from the one before it")]
    Unlinked(i64),
    #[error("the trail ends at entry {last}, but was written up to {head}: its end was cut off or added to")]
    Cut { last: i64, head: i64 },
    #[error("the last entry is not the one that was written last")]
    Head,
    #[error("the checkpoint knows entries up to {checkpoint}, the trail ends at {last}: its end was cut off")]
    BehindCheckpoint { checkpoint: i64, last: i64 },
    #[error("entry {0} is not the one that the checkpoint knows: the trail was written anew")]
    OtherThanCheckpoint(i64),
}

/// The end of a chain, followed or built entry by entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    seq: i64,
    hash: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS.to_owned() }
    }
}

impl Chain {
    /// A chain that ends with the entry `seq` whose hash is `hash`.
    pub fn at(seq: i64, hash: String) -> Self {
        Self { seq, hash }
    }

    /// Number of the last entry, 0 when there is none.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Hash of the last entry.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Makes the next entry.
    pub fn append(&mut self, content: Content) -> Entry {
        let Content { at, actor, action, subject, reason, before, after } = content;
        let seq = self.seq + 1;
        let prev_hash = std::mem::take(&mut self.hash);
        let mut entry =
            Entry { seq, at, actor, action, subject, reason, before, after, prev_hash, hash: String::new() };
        entry.hash = entry.digest();
        *self = Self { seq, hash: entry.hash.clone() };
        entry
    }

    /// Goes on to `entry`.
    ///
    /// # Errors
    /// When it is not the one that belongs there, as it was written.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Broken> {
        if entry.seq != self.seq + 1 {
            return Err(Broken::Missing { expected: self.seq + 1, found: entry.seq });
        }
        if entry.digest() != entry.hash {
            return Err(Broken::Altered(entry.seq));
        }
        if entry.prev_hash != self.hash {
            return Err(Broken::Unlinked(entry.seq));
        }
        *self = Self { seq: entry.seq, hash: entry.hash.clone() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(n: i64) -> Content {
        Content {
            at: Timestamp::from_millisecond(1_790_000_000_000 + n).unwrap(),
            actor: "system".to_owned(),
            action: "document.verdict".to_owned(),
            subject: format!("document:{n}"),
            reason: None,
            before: Some("a".to_owned()),
            after: None,
        }
    }

    #[test]
    fn a_chain_is_followed_as_it_was_built() {
        let mut built = Chain::default();
        let entries: Vec<Entry> = (0..50).map(|n| built.append(content(n))).collect();
        let mut followed = Chain::default();
        entries.iter().for_each(|entry| followed.follow(entry).unwrap());
        assert_eq!((followed.seq(), &followed), (50, &built));
    }

    #[test]
    fn every_part_of_an_entry_counts() {
        let entry = Chain::default().append(content(1));
        let changes: [fn(&mut Entry); 9] = [
            |e| e.seq = 2,
            |e| e.at = Timestamp::from_millisecond(e.at.as_millisecond() + 1).unwrap(),
            |e| e.actor.push('x'),
            |e| e.action.push('x'),
            |e| e.subject.push('x'),
            |e| e.reason = Some(String::new()),
            |e| e.before = None,
            |e| e.after = e.before.take(),
            |e| e.prev_hash.replace_range(..1, "1"),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut changed = entry.clone();
            change(&mut changed);
            assert_ne!(changed.digest(), entry.hash, "change {n}");
        }
        // What moves from one part to the next is a change, too.
        let mut moved = entry.clone();
        moved.actor = "syste".to_owned();
        moved.action.insert(0, 'm');
        assert_ne!(moved.digest(), entry.hash);
    }

    #[test]
    fn an_entry_has_the_same_hash_in_every_release() {
        let entry = Chain::default().append(content(1));
        // Computed by another program from the description of `digest`.
        assert_eq!(entry.hash, "0d7c5c42abbe70fe44214b2bb653835cd907b5b4286d835cc700bfd25c391ba8");
    }
}
