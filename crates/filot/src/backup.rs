//! `filot backup` and `filot restore`: the embedded set-up in one file, taken while the service runs.
//!
//! The file is a tar archive: the database as it was at one moment, every document it refers to, the master key, and at
//! the end `SHA256SUMS` over all of them. Whoever has it has the data: it is written for its owner only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::blobs::{self, Blobs, content_hash};
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::{Keys, sha256};
use crate::serve;
use crate::store::Store;

const DATABASE: &str = "filot.db";
const KEY: &str = "master.key";
const FILES: &str = "files";
const SUMS: &str = "SHA256SUMS";

/// The task under which a backup is noted.
pub(crate) const BACKUP: &str = "backup";

/// Notes that a backup was made by other means, such as `pg_dump`.
///
/// # Errors
/// When the database cannot be reached.
pub fn note(config: &Config) -> anyhow::Result<()> {
    serve::runtime()?.block_on(async {
        Store::connect(&config.service, Clock::default()).await?.note_done(BACKUP).await?;
        Ok(())
    })
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    pub documents: usize,
    /// Documents deleted while the backup was made; they are not in it.
    pub deleted_meanwhile: usize,
}

/// Writes a backup to `out`, which must not exist.
///
/// # Errors
/// When the set-up is not the embedded one, or something cannot be read or written; no half file is left behind.
pub fn backup(config: &Config, out: &Path) -> anyhow::Result<Contents> {
    let service = &config.service;
    if !service.is_embedded() {
        bail!(
            "only the embedded set-up is backed up by this command; use pg_dump and the versions of your bucket, in \
             this order: first the database, then the files"
        );
    }
    if out.exists() {
        bail!("{} exists; name a new file", out.display());
    }
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let work = tempfile::Builder::new().prefix(".filot-backup-").tempdir_in(folder)?;
    let partial = work.path().join("backup.tar");
    let contents = serve::runtime()?.block_on(write(config, work.path(), &partial))?;
    fs::rename(&partial, out).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(contents)
}

async fn write(config: &Config, work: &Path, partial: &Path) -> anyhow::Result<Contents> {
    let service = &config.service;
    let keys = Keys::load(service)?;
    let store = Store::connect(service, Clock::default()).await?;
    let blobs = Blobs::open(service, keys, Clock::default())?;
    // The rows first: every file they refer to was stored before its row.
    let database = work.join(DATABASE);
    store.copy_to(&database).await.context("cannot copy the database")?;
    let copy = Store::open_copy(&database, Clock::default()).await?;
    let mut archive = Archive::create(partial)?;
    let mut gone = Vec::new();
    let mut documents = 0;
    for (key, hash) in copy.blob_keys().await? {
        match blobs.get(&key).await {
            Ok(bytes) if content_hash(&bytes) == hash => {
                archive.add(&format!("{FILES}/{key}"), &bytes)?;
                documents += 1;
            }
            Ok(_) => bail!("the file of a document is damaged; `filot doctor --deep` names it"),
            Err(blobs::Error::NotFound) => gone.push(key),
            Err(error) => return Err(error.into()),
        }
    }
    // Deleted since the copy was made, or lost: the living database knows.
    for (key, _) in store.blob_keys().await? {
        if gone.contains(&key) {
            bail!("the file of a document is missing; `filot doctor --deep` names it");
        }
    }
    copy.forget_documents(&gone).await?;
    copy.close().await?;
    archive.add(DATABASE, &fs::read(&database)?)?;
    let key_file = service.server.data_dir.join(KEY);
    if key_file.is_file() {
        archive.add(KEY, &fs::read(key_file)?)?;
    }
    archive.finish()?;
    store.note_done(BACKUP).await?;
    Ok(Contents { documents, deleted_meanwhile: gone.len() })
}

/// Checks a backup, and unpacks it into the data folder unless `verify_only`. The folder must hold no database.
///
/// # Errors
/// When the file is not a whole backup, or the folder is in use. Nothing is changed then.
pub fn restore(config: &Config, file: &Path, verify_only: bool) -> anyhow::Result<usize> {
    let data = &config.service.server.data_dir;
    if !verify_only && data.join(DATABASE).exists() {
        bail!(
            "{} holds a database; restore into another folder (FILOT_DATA_DIR) or move it away",
            data.display()
        );
    }
    let place = if verify_only { std::env::temp_dir() } else { beside(data)? };
    let work = tempfile::Builder::new().prefix(".filot-restore-").tempdir_in(place)?;
    let documents =
        unpack(file, work.path()).with_context(|| format!("{} is no whole backup", file.display()))?;
    check_references(work.path())?;
    if verify_only {
        return Ok(documents);
    }
    keep_quiet(work.path())?;
    crate::keys::private_folder(data)?;
    put_files(&work.path().join(FILES), &data.join(FILES))?;
    // The database last: without it the folder is one to restore into.
    for name in [KEY, DATABASE] {
        let from = work.path().join(name);
        if from.exists() {
            put(&from, &data.join(name))?;
        }
    }
    Ok(documents)
}

/// Puts what lies in `from` beside what lies in `to`. Of two files of one name that differ, both stay: the one that was
/// there under a name with `.before-restore` behind it.
fn put_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    crate::keys::private_folder(to)?;
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry?;
        let place = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&place)?;
            continue;
        }
        if place.is_file() {
            if sha256(&fs::read(&place)?) == sha256(&fs::read(entry.path())?) {
                continue;
            }
            let mut aside = place.clone().into_os_string();
            aside.push(".before-restore");
            fs::rename(&place, aside)?;
        }
        put(entry.path(), &place)?;
    }
    Ok(())
}

fn put(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot put {} in place", to.display()))
}

/// Has the restored database take no file to be forgotten for a day: files that came after the backup are in the folder,
/// and not in it.
fn keep_quiet(folder: &Path) -> anyhow::Result<()> {
    serve::runtime()?.block_on(async {
        let store = Store::open_copy(&folder.join(DATABASE), Clock::default()).await?;
        // A database of a former version is given a day of quiet when its schema is brought up to date.
        if store.pending_migrations().await?.is_empty() {
            store.keep_quiet(None).await?;
        }
        Ok(store.close().await?)
    })
}

/// The folder in which `data` lies, so that moving things there is one step.
fn beside(data: &Path) -> anyhow::Result<PathBuf> {
    let parent = std::path::absolute(data)?;
    let parent = parent.parent().ok_or_else(|| anyhow!("the data folder cannot be the root"))?.to_owned();
    fs::create_dir_all(&parent)?;
    Ok(parent)
}

/// Unpacks into `folder` and compares every file with its sum. The number of documents.
fn unpack(file: &Path, folder: &Path) -> anyhow::Result<usize> {
    let mut found = BTreeMap::new();
    let mut sums = None;
    let mut archive = tar::Archive::new(io::BufReader::new(File::open(file)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || !entry.header().entry_type().is_file() {
            bail!("it holds something that no backup holds");
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let name = path.to_string_lossy().into_owned();
        if name == SUMS {
            sums = Some(String::from_utf8(bytes)?);
            continue;
        }
        found.insert(name, sha256(&bytes));
        let to = folder.join(&path);
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        owner_only(&to)?.write_all(&bytes)?;
    }
    let sums = sums.ok_or_else(|| anyhow!("its end is missing"))?;
    if sums != listed(&found) {
        bail!("a file in it is damaged");
    }
    Ok(found.keys().filter(|name| name.starts_with(FILES)).count())
}

/// Every document of the restored database has its file.
fn check_references(folder: &Path) -> anyhow::Result<()> {
    serve::runtime()?.block_on(async {
        let store = Store::open_copy(&folder.join(DATABASE), Clock::default()).await?;
        for (key, _) in store.blob_keys().await? {
            if !folder.join(FILES).join(&key).is_file() {
                bail!("a document has no file");
            }
        }
        Ok(store.close().await?)
    })
}

struct Archive {
    tar: tar::Builder<BufWriter<File>>,
    sums: BTreeMap<String, String>,
}

impl Archive {
    fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { tar: tar::Builder::new(BufWriter::new(owner_only(path)?)), sums: BTreeMap::new() })
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.sums.insert(name.to_owned(), sha256(bytes));
        self.append(name, bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        Ok(self.tar.append_data(&mut header, name, bytes)?)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let sums = listed(&self.sums);
        self.append(SUMS, sums.as_bytes())?;
        let file = self.tar.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(file.sync_all()?)
    }
}

/// The list of sums, as `sha256sum --check` takes it.
fn listed(sums: &BTreeMap<String, String>) -> String {
    sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect()
}

fn owner_only(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
