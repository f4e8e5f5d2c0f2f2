//! Whether anybody but those who choose the program anyway could have put a file where it lies.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{getegid, geteuid};

/// Nobody but the owner may remove or rename what lies in such a folder (`S_ISVTX`).
const STICKY: u32 = 0o1000;

/// A place that somebody else could have written to.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    #[error(
        "{} belongs to user {owner}, who is neither root nor the user or owner of this program; what is loaded from \
         there could be theirs: chown it, or put the files elsewhere",
        path.display()
    )]
    Owner { path: PathBuf, owner: u32 },
    #[error(
        "others may write to {} (mode {mode:o}); what is loaded from there could be theirs: chmod go-w it, or put the \
         files elsewhere",
        path.display()
    )]
    Mode { path: PathBuf, mode: u32 },
    #[error("{} cannot be looked at: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

/// Resolves a folder and holds it and everything above it against the rules.
///
/// # Errors
/// See [`Untrusted`].
pub(crate) fn folder(path: &Path) -> Result<PathBuf, Untrusted> {
    let path = path.canonicalize().map_err(unreadable(path))?;
    for (depth, place) in path.ancestors().enumerate() {
        let found = place.symlink_metadata().map_err(unreadable(place))?;
        // What stands in a sticky folder above and belongs to one of us stays ours; into this folder nobody else may put
        // anything.
        let sticky = depth > 0 && found.mode() & STICKY != 0;
        check(place, &found, sticky)?;
    }
    Ok(path)
}

/// Resolves a file and holds it, its folder and everything above against the rules.
///
/// # Errors
/// See [`Untrusted`].
pub(crate) fn file(path: &Path) -> Result<PathBuf, Untrusted> {
    let path = path.canonicalize().map_err(unreadable(path))?;
    let found = path.symlink_metadata().map_err(unreadable(&path))?;
    check(&path, &found, false)?;
    folder(path.parent().unwrap_or(Path::new("/")))?;
    Ok(path)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Untrusted {
    let path = path.to_owned();
    |source| Untrusted::Unreadable { path, source }
}

fn check(path: &Path, found: &Metadata, sticky: bool) -> Result<(), Untrusted> {
    let owner = found.uid();
    if owner != 0 && owner != geteuid().as_raw() && Some(owner) != program_owner() {
        return Err(Untrusted::Owner { path: path.to_owned(), owner });
    }
    let group = found.gid();
    let own_group = group == 0 || group == getegid().as_raw() || Some(group) == program_group();
    let by_group = found.mode() & 0o020 != 0 && !own_group;
    let by_anybody = found.mode() & 0o002 != 0;
    if (by_group || by_anybody) && !sticky {
        return Err(Untrusted::Mode { path: path.to_owned(), mode: found.mode() & 0o7777 });
    }
    Ok(())
}

/// The group that may replace the program, such as staff below /usr/local on Debian.
fn program_group() -> Option<u32> {
    let folder = std::env::current_exe().ok()?.parent()?.metadata().ok()?;
    (folder.mode() & 0o020 != 0).then(|| folder.gid())
}

/// Who could change the program could change what it loads: as in a checkout that root runs for somebody.
fn program_owner() -> Option<u32> {
    std::env::current_exe().and_then(|program| program.metadata()).ok().map(|found| found.uid())
}
