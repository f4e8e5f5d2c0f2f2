//! Where the networks and the ONNX Runtime library lie, and whether they are the ones `make models` put there.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::Reader;
use crate::keys::hex;

/// Names and SHA-256 sums of the folder's files, as `sha256sum` writes them.
const MANIFEST: &str = "SHA256SUMS";
/// Name of the ONNX Runtime library inside the folder.
const LIBRARY: &str = "libonnxruntime.so";
/// How to get the folder.
pub const MEND: &str = "make models";

/// A folder of networks.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    pub path: PathBuf,
}

/// What is wrong with a folder.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("there are no networks in {}; `{MEND}` fetches them", .0.display())]
    Missing(PathBuf),
    #[error("{} cannot be read ({source}); `{MEND}` fetches it again", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} is not the file that was fetched; remove the folder, then `{MEND}`", .0.display())]
    Altered(PathBuf),
}

impl ModelFolder {
    /// The folder that the settings name, or the first of the usual places that has one.
    ///
    /// # Errors
    /// `Missing`, naming the place where the folder should be.
    pub fn find(settings: &Reader) -> Result<Self, ModelError> {
        let places = match &settings.models {
            Some(path) => vec![path.clone()],
            None => usual_places(),
        };
        match places.iter().find(|place| place.join(MANIFEST).is_file()) {
            Some(path) => Ok(Self { path: path.clone() }),
            None => Err(ModelError::Missing(places.into_iter().next().unwrap_or_else(|| "models".into()))),
        }
    }

    /// The ONNX Runtime library: the one that the settings name, or the folder's own.
    pub fn library(&self, settings: &Reader) -> Option<PathBuf> {
        settings.library.clone().or_else(|| Some(self.path.join(LIBRARY)).filter(|path| path.is_file()))
    }

    /// Compares every file with the sum noted when it was fetched. The library may be absent.
    ///
    /// # Errors
    /// The first file that is missing or different.
    pub fn verify(&self) -> Result<(), ModelError> {
        let manifest = self.path.join(MANIFEST);
        let unreadable = |file: PathBuf| move |source| ModelError::Unreadable { file, source };
        let text = std::fs::read_to_string(&manifest).map_err(unreadable(manifest.clone()))?;
        for line in text.lines() {
            let Some((sum, name)) = line.split_once("  ") else {
                return Err(ModelError::Altered(manifest));
            };
            let file = self.path.join(name);
            if name == LIBRARY && !file.exists() {
                continue;
            }
            if sha256(&file).map_err(unreadable(file.clone()))? != sum {
                return Err(ModelError::Altered(file));
            }
        }
        Ok(())
    }
}

fn usual_places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("models")];
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
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, ModelFolder) {
        let dir = tempfile::tempdir().unwrap();
        let mut manifest = String::new();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
            manifest += &format!("{}  {name}\n", sha256(&dir.path().join(name)).unwrap());
        }
        std::fs::write(dir.path().join(MANIFEST), manifest).unwrap();
        let path = dir.path().to_owned();
        (dir, ModelFolder { path })
    }

    #[test]
    fn sums_are_those_of_the_standard() {
        let (dir, _) = folder(&[("abc", "abc")]);
        assert_eq!(
            sha256(&dir.path().join("abc")).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_changed_or_missing_network_is_found() {
        let (dir, models) = folder(&[("a.onnx", "network"), (LIBRARY, "library")]);
        models.verify().unwrap();
        std::fs::remove_file(dir.path().join(LIBRARY)).unwrap();
        models.verify().unwrap();
        std::fs::write(dir.path().join("a.onnx"), "netwerk").unwrap();
        assert!(matches!(models.verify(), Err(ModelError::Altered(file)) if file.ends_with("a.onnx")));
        std::fs::remove_file(dir.path().join("a.onnx")).unwrap();
        assert!(matches!(models.verify(), Err(ModelError::Unreadable { .. })));
    }
}
