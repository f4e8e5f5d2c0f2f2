//! `filot audit …` and `filot verify-evidence`.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::case::{Case, Heard};
use super::chain::{DELETION, Entry};
use super::checkpoint::Checkpoint;
use super::evidence::Evidence;
use super::keeper::Places;
use super::watch::{self, Verified};
use crate::clock::Clock;
use crate::config::Config;
use crate::document::{Document, DocumentId};
use crate::keys::Keys;
use crate::serve::runtime;
use crate::store::{self, Actor, AuditEntry, Store};

/// How often a case is read anew that changes while it is read.
const TRIES: u32 = 6;

/// How a check ended: what to tell, and whether everything fits.
pub type Finding = Result<String, String>;

/// Follows the trail, and holds it against the checkpoints of a file and of the places of the configuration. Those have to
/// be signed with the key of this installation, or with `public_key`.
///
/// # Errors
/// When the database, the file, or one of those places cannot be read.
pub fn verify(
    config: &Config,
    checkpoint: Option<&Path>,
    public_key: Option<String>,
) -> anyhow::Result<Finding> {
    let keys = Keys::load(&config.service)?;
    let mut trusted = vec![keys.public_key()];
    trusted.extend(public_key);
    let named = match checkpoint {
        None => None,
        Some(path) => {
            Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
        }
    };
    runtime()?.block_on(async {
        let own = Places::of(&config.service)?.read_all().await?;
        let mut known = Vec::new();
        for text in named.iter().chain(&own).filter(|text| named.is_some() || !text.trim().is_empty()) {
            match Checkpoint::read_all(text, &trusted) {
                Ok(some) => known.extend(some),
                Err(unfit) => return Ok(Err(unfit.to_string())),
            }
        }
        let store = Store::connect(&config.service, Clock::default()).await?;
        Ok(match watch::verify_trail(&store, &known).await? {
            Verified::Broken(broken) => Err(broken.to_string()),
            Verified::Whole(chain) if known.is_empty() => Ok(format!(
                "{} entries, unbroken; that none were cut off the end shows only against a checkpoint (--checkpoint)",
                chain.seq()
            )),
            Verified::Whole(chain) => {
                Ok(format!("{} entries, unbroken, as {} checkpoints know them", chain.seq(), known.len()))
            }
        })
    })
}

/// Writes a signed checkpoint to `out`, behind those that stand there, and returns the number of the last entry.
///
/// # Errors
/// When the database cannot be read, the file not written, or the trail is broken: a broken one is not signed.
pub fn checkpoint(config: &Config, out: &Path) -> anyhow::Result<i64> {
    runtime()?.block_on(async {
        let clock = Clock::default();
        let store = Store::connect(&config.service, clock).await?;
        let chain = match watch::verify_trail(&store, &[]).await? {
            Verified::Whole(chain) => chain,
            Verified::Broken(broken) => return Err(anyhow!("not signed: {broken}")),
        };
        let checkpoint = Checkpoint::sign(&chain, clock.now(), &Keys::load(&config.service)?);
        watch::add(out, &checkpoint).with_context(|| format!("cannot write {}", out.display()))?;
        Ok(chain.seq())
    })
}

/// Writes the case of a document to `out` as a signed file. That it was made is an entry of the trail, and the last one
/// in the file.
///
/// # Errors
/// When there is no such document, the database cannot be reached, or the file cannot be written.
pub fn export(config: &Config, id: DocumentId, out: &Path) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let clock = Clock::default();
        let (store, keys) = (Store::connect(&config.service, clock).await?, Keys::load(&config.service)?);
        let evidence = make(&store, &keys, id, clock).await?;
        let mut text = serde_json::to_string(&evidence)?;
        text.push('\n');
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // Personal data: for whoever made it only.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(out).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", out.display()))
    })
}

async fn make(store: &Store, keys: &Keys, id: DocumentId, clock: Clock) -> anyhow::Result<Evidence> {
    let subject = format!("document:{id}");
    let document = match store.document(id).await {
        Ok(document) => Some(document),
        // Of a deleted one the trail still tells.
        Err(store::Error::NotFound) if deletion(store, &subject).await?.is_some() => None,
        Err(error) => return Err(error).with_context(|| format!("no document {id}")),
    };
    let entry = AuditEntry {
        actor: &Actor::Operator,
        action: "document.export",
        subject: subject.clone(),
        reason: None,
        before: None,
        after: None,
    };
    store.audit(entry).await?;
    let documents = match document {
        Some(document) => documents_of_case(store, document).await?,
        None => Vec::new(),
    };
    // Rows and entries are read one after the other. When the same entries stand there before and after, nothing of the
    // case has changed in between.
    let mut known = None;
    for _ in 0..TRIES {
        let (heard, mut subjects) = hear(store, &documents).await?;
        if documents.is_empty() {
            subjects.push(subject.clone());
            let deletion = deletion(store, &subject).await?;
            subjects.extend(deletion.iter().flat_map(Entry::reviews).map(str::to_owned));
        }
        let entries = store.audit_about(subjects).await?;
        if known.as_ref() != Some(&entries) {
            known = Some(entries);
            continue;
        }
        let people = names(store, &entries).await?;
        // The entries first: the head, read after them, reaches at least as far.
        let head = store.audit_head().await?;
        let now = clock.now();
        let case = Case::new(id, &heard, people, entries, Checkpoint::sign(&head, now, keys), now);
        return Ok(Evidence::sign(&case, keys)?);
    }
    Err(anyhow!("the case is changing all the time; try again when it rests"))
}

/// The entry that tells of the deletion of a document.
async fn deletion(store: &Store, subject: &str) -> store::Result<Option<Entry>> {
    let entries = store.audit_about(vec![subject.to_owned()]).await?;
    Ok(entries.into_iter().find(|entry| entry.action == DELETION))
}

/// The documents of a case, from the first photo on.
async fn documents_of_case(store: &Store, asked: Document) -> anyhow::Result<Vec<DocumentId>> {
    let mut ids = VecDeque::from([asked.id]);
    let mut next = asked.replaced_by;
    let mut before = asked.replaces;
    while let Some(id) = before.filter(|id| !ids.contains(id)) {
        ids.push_front(id);
        before = store.document(id).await?.replaces;
    }
    while let Some(id) = next.filter(|id| !ids.contains(id)) {
        ids.push_back(id);
        next = store.document(id).await?.replaced_by;
    }
    Ok(ids.into())
}

/// Everything that was said of these documents, and what the trail calls them and their reviews.
async fn hear(
    store: &Store,
    documents: &[DocumentId],
) -> anyhow::Result<(Vec<(Document, Vec<Heard>)>, Vec<String>)> {
    let (mut heard, mut subjects) = (Vec::new(), Vec::new());
    for &id in documents {
        subjects.push(format!("document:{id}"));
        let mut reviews = Vec::new();
        for review in store.reviews_of_document(id).await? {
            subjects.push(format!("review:{}", review.id));
            let corrections = store.corrections_of(review.id).await?;
            let rulings = store.rulings_of(review.id).await?;
            reviews.push(Heard { review, corrections, rulings });
        }
        heard.push((store.document(id).await?, reviews));
    }
    Ok((heard, subjects))
}

/// What the officers among the actors are called.
async fn names(store: &Store, entries: &[Entry]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for entry in entries {
        let officer = entry.actor.strip_prefix("officer:").and_then(|id| id.parse().ok());
        if let Some(id) = officer.filter(|_| !names.contains_key(&entry.actor)) {
            names.insert(entry.actor.clone(), store.display_name(id).await?);
        }
    }
    Ok(names)
}

/// Checks an evidence file, without database or settings.
///
/// # Errors
/// When a file cannot be read.
pub fn verify_evidence(
    path: &Path,
    public_key: Option<&str>,
    photo: Option<&Path>,
) -> anyhow::Result<Finding> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let photo = photo
        .map(|photo| std::fs::read(photo).with_context(|| format!("cannot read {}", photo.display())))
        .transpose()?;
    Ok(match Evidence::verify(&text, public_key, photo.as_deref()) {
        Ok(proven) if public_key.is_some() => Ok(proven.to_string()),
        Ok(proven) => Ok(format!(
            "{proven}\nThe key was taken from the file: compare it with the one that `filot audit public-key` shows."
        )),
        Err(flaw) => Err(flaw.to_string()),
    })
}

/// The key that others check checkpoints and evidence with.
///
/// # Errors
/// When there are no keys.
pub fn public_key(config: &Config) -> anyhow::Result<String> {
    Ok(Keys::load(&config.service)?.public_key())
}
