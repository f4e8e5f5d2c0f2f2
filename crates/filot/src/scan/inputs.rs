//! From arguments to files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use filot_ocr::image::ImageError;
use walkdir::WalkDir;

/// Endings that files inside a folder must have to be looked at. A file named directly may be called anything.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "pdf"];

/// One file to scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    File(PathBuf),
    StandardInput,
}

/// Why a file gave no bytes.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("There is no file of this name.")]
    NotFound,
    #[error("The file cannot be opened: {0}.")]
    Unreadable(io::ErrorKind),
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl LoadError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "file_not_found",
            Self::Unreadable(_) => "file_unreadable",
            Self::Image(error) => error.code(),
        }
    }
}

/// All files that the arguments name: folders are walked in name order, hidden files and links to folders left out.
/// What does not exist stays in the list, so that it is reported in its place.
pub(super) fn expand(arguments: &[PathBuf]) -> Vec<Input> {
    let mut inputs = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            inputs.push(Input::StandardInput);
        } else if argument.is_dir() {
            let walk = WalkDir::new(argument).sort_by_file_name().into_iter();
            let visible = walk.filter_entry(|entry| {
                entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
            });
            // A folder that may not be entered is left out like a hidden one.
            let files = visible.flatten().filter(|entry| entry.file_type().is_file());
            inputs.extend(
                files.map(|entry| entry.into_path()).filter(|path| has_ending(path)).map(Input::File),
            );
        } else {
            inputs.push(Input::File(argument.clone()));
        }
    }
    inputs
}

fn has_ending(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

impl Input {
    /// The name under which the file appears in results.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::StandardInput => "-".to_owned(),
        }
    }

    /// The content, of which no more than `limit` bytes and one are ever in memory.
    pub(super) fn load(&self, limit: usize) -> Result<Vec<u8>, LoadError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LoadError::NotFound,
            kind => LoadError::Unreadable(kind),
        };
        let mut bytes = Vec::new();
        let most = limit as u64 + 1;
        match self {
            Self::StandardInput => io::stdin().lock().take(most).read_to_end(&mut bytes),
            Self::File(path) => {
                let file = File::open(path).map_err(failed)?;
                let length = file.metadata().map_err(failed)?.len();
                if length > limit as u64 {
                    return Err(ImageError::TooLarge { bytes: length as usize, limit }.into());
                }
                bytes.reserve_exact(length as usize);
                file.take(most).read_to_end(&mut bytes)
            }
        }
        .map_err(failed)?;
        if bytes.len() > limit {
            return Err(ImageError::TooLarge { bytes: bytes.len(), limit }.into());
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order_and_names_kept_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("b")).unwrap();
        std::fs::create_dir(at(".hidden")).unwrap();
        for name in ["b/2.JPG", "b/1.png", "a.pdf", "c.txt", "truth.jsonl", ".x.jpg", ".hidden/y.jpg"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let found = expand(&[at("missing.jpg"), dir.path().into(), "-".into(), at("c.txt")]);
        let wanted = [at("missing.jpg"), at("a.pdf"), at("b/1.png"), at("b/2.JPG")].map(Input::File);
        assert_eq!(found[..4], wanted);
        assert_eq!(found[4..], [Input::StandardInput, Input::File(at("c.txt"))]);
    }

    #[test]
    fn loading_stops_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jpg");
        std::fs::write(&path, [7; 100]).unwrap();
        let load = |limit| Input::File(path.clone()).load(limit);
        assert_eq!(load(100).unwrap().len(), 100);
        assert_eq!(load(99).unwrap_err().code(), "file_too_large");
        assert_eq!(Input::File(dir.path().join("y")).load(9).unwrap_err().code(), "file_not_found");
        // A file without a length of its own.
        assert_eq!(Input::File("/dev/zero".into()).load(1000).unwrap_err().code(), "file_too_large");
    }
}
