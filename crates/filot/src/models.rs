//! Where the networks and the ONNX Runtime library lie, whether they are the ones that this program was made for, and
//! whether anybody else could have put them there.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::Reader;
use crate::keys::hex;

pub(crate) mod trust;

pub use trust::Untrusted;

/// Names and SHA-256 sums of the files, as `sha256sum` writes them: compiled in, since whoever could change the files
/// could change sums that lie beside them. The library has one line for each processor.
const SUMS: &str = include_str!("../models.sums");
/// Name of the ONNX Runtime library inside the folder.
const LIBRARY: &str = "libonnxruntime.so";
/// How to get the folder.
pub const MEND: &str = "make models";

/// A folder of networks that nobody but the running user, the owner of the program and root can change.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    /// Without symbolic links.
    pub path: PathBuf,
}

/// What is wrong with a folder.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("there are no networks in {}; `{MEND}` fetches them", .0.display())]
    Missing(PathBuf),
    #[error("{setting} must be an absolute path, not {}", path.display())]
    Relative { setting: &'static str, path: PathBuf },
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    #[error("{} cannot be read ({source}); `{MEND}` fetches it again", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} is not the file that this program was made for; remove the folder, then `{MEND}`", .0.display())]
    Altered(PathBuf),
}

impl ModelFolder {
    /// Finds the folder that the settings name, or the first of the usual places that has one. The current folder is no
    /// such place: whoever may write there would choose the code that runs.
    ///
    /// # Errors
    /// `Missing`, naming the place where the folder should be; `Relative` and `Untrusted`.
    pub fn find(settings: &Reader) -> Result<Self, ModelError> {
        let places = match &settings.models {
            Some(path) => vec![absolute("reader.models (FILOT_READER_MODELS)", path)?.to_owned()],
            None => usual_places(),
        };
        match places.iter().find(|place| names().all(|name| name == LIBRARY || place.join(name).is_file())) {
            Some(path) => Ok(Self { path: trust::folder(path)? }),
            None => Err(ModelError::Missing(places.into_iter().next().unwrap_or_else(|| "models".into()))),
        }
    }

    /// Finds the ONNX Runtime library: the one that the settings name, which is the operator's own choice, or the folder's.
    ///
    /// # Errors
    /// `Relative`; `Untrusted` where somebody else could change it or what lies beside it.
    pub fn library(&self, settings: &Reader) -> Result<Option<PathBuf>, ModelError> {
        let file = match &settings.library {
            Some(path) => absolute("reader.library (FILOT_READER_LIBRARY)", path)?.to_owned(),
            None => Some(self.path.join(LIBRARY)).filter(|path| path.is_file()).unwrap_or_default(),
        };
        if file.as_os_str().is_empty() {
            return Ok(None);
        }
        let file = trust::file(&file)?;
        // The library loads its providers from beside it.
        let unreadable = |source| ModelError::Unreadable { file: file.clone(), source };
        for entry in file.parent().unwrap_or(Path::new("/")).read_dir().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.file_name().as_encoded_bytes().starts_with(b"libonnxruntime") {
                trust::file(&entry.path())?;
            }
        }
        Ok(Some(file))
    }

    /// Compares every file with its sum. The library may be absent.
    ///
    /// # Errors
    /// The first file that is missing or different.
    pub fn verify(&self) -> Result<(), ModelError> {
        self.verify_against(SUMS)
    }

    fn verify_against(&self, sums: &str) -> Result<(), ModelError> {
        for name in names_in(sums) {
            let file = self.path.join(name);
            if name == LIBRARY && !file.exists() {
                continue;
            }
            trust::file(&file)?;
            let found =
                sha256(&file).map_err(|source| ModelError::Unreadable { file: file.clone(), source })?;
            if !sums.lines().any(|line| line.split_once("  ") == Some((&found, name))) {
                return Err(ModelError::Altered(file));
            }
        }
        Ok(())
    }
}

fn absolute<'a>(setting: &'static str, path: &'a Path) -> Result<&'a Path, ModelError> {
    if path.is_absolute() { Ok(path) } else { Err(ModelError::Relative { setting, path: path.to_owned() }) }
}

/// The names of the files.
fn names() -> impl Iterator<Item = &'static str> {
    names_in(SUMS)
}

fn names_in(sums: &str) -> impl Iterator<Item = &str> {
    sums.lines().filter_map(|line| Some(line.split_once("  ")?.1))
}

fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Ok(program) = std::env::current_exe() {
        // Installed beside the program, or built in target/release of a checkout.
        places.extend(program.ancestors().skip(1).take(3).map(|folder| folder.join("models")));
    }
    places.extend(["/usr/local/share/filot/models", "/usr/share/filot/models"].map(PathBuf::from));
    places
}

/// SHA-256 of a file in lower-case hexadecimal.
fn sha256(file: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(file)?;
    let mut block = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut file, &mut block)? {
            0 => break,
            length => hasher.update(&block[..length]),
        }
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, ModelFolder, String) {
        let dir = tempfile::tempdir().unwrap();
        let mut sums = String::new();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
            sums += &format!("{}  {name}\n", sha256(&dir.path().join(name)).unwrap());
        }
        let path = dir.path().to_owned();
        (dir, ModelFolder { path }, sums)
    }

    #[test]
    fn sums_are_those_of_the_standard() {
        let (dir, ..) = folder(&[("abc", "abc")]);
        assert_eq!(
            sha256(&dir.path().join("abc")).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_changed_or_missing_network_is_found() {
        let (dir, models, sums) = folder(&[("a.onnx", "network"), (LIBRARY, "library")]);
        models.verify_against(&sums).unwrap();
        let other_processors = format!("{sums}{}  {LIBRARY}\n", "0".repeat(64));
        models.verify_against(&other_processors).unwrap();
        std::fs::remove_file(dir.path().join(LIBRARY)).unwrap();
        models.verify_against(&sums).unwrap();
        std::fs::write(dir.path().join("a.onnx"), "netwerk").unwrap();
        // Sums that lie beside the files prove nothing.
        let own = format!("{}  a.onnx\n", sha256(&dir.path().join("a.onnx")).unwrap());
        std::fs::write(dir.path().join("SHA256SUMS"), own).unwrap();
        let altered = models.verify_against(&sums);
        assert!(matches!(altered, Err(ModelError::Altered(file)) if file.ends_with("a.onnx")));
        std::fs::remove_file(dir.path().join("a.onnx")).unwrap();
        assert!(models.verify_against(&sums).is_err());
    }

    #[test]
    fn what_others_may_write_and_what_depends_on_the_current_folder_is_refused() {
        let mut settings = crate::config::Config::load(None).unwrap().reader;
        settings.library = Some("libonnxruntime.so".into());
        let (dir, models, _) = folder(&[(LIBRARY, "library")]);
        assert!(matches!(models.library(&settings), Err(ModelError::Relative { .. })));
        settings.models = Some("models".into());
        assert!(matches!(ModelFolder::find(&settings), Err(ModelError::Relative { .. })));

        let file = dir.path().join(LIBRARY);
        settings.library = Some(file.clone());
        assert!(models.library(&settings).is_ok());
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let refused = || matches!(models.library(&settings), Err(ModelError::Untrusted(_)));
        for bad in [0o666, 0o646] {
            mode(&file, bad);
            assert!(refused(), "{bad:o}");
        }
        mode(&file, 0o644);
        // A bit that keeps others from removing the file does not keep them from adding what is loaded with it.
        for bad in [0o777, 0o1777] {
            mode(dir.path(), bad);
            assert!(refused(), "{bad:o}");
        }
        mode(dir.path(), 0o755);
        assert!(!refused());

        // By another name it is the same folder.
        let link = tempfile::tempdir().unwrap();
        symlink(dir.path(), link.path().join("models")).unwrap();
        settings.library = Some(link.path().join("models").join(LIBRARY));
        assert_eq!(models.library(&settings).unwrap(), Some(dir.path().join(LIBRARY)));
        mode(dir.path(), 0o777);
        assert!(matches!(models.library(&settings), Err(ModelError::Untrusted(_))));
        mode(dir.path(), 0o755);
    }
}
