//! The network files and their character list.

use std::path::Path;

use crate::engine::Error;

/// The networks the native reader needs, as ONNX bytes, and the recogniser's characters.
pub struct Models {
    pub detector: Vec<u8>,
    pub recognizer: Vec<u8>,
    /// Printable ASCII in class order, without the class for "no character".
    pub charset: Vec<char>,
}

/// File names inside a model folder.
const DETECTOR: &str = "det-tiny.onnx";
const RECOGNIZER: &str = "rec-tiny.onnx";
const CHARSET: &str = "charset.txt";

impl Models {
    /// Reads the folder that `make models` fills.
    pub fn from_dir(dir: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            std::fs::read(dir.join(name)).map_err(|error| {
                Error::Unavailable(format!(
                    "the model file {} cannot be read ({error}); `make models` fetches the models",
                    dir.join(name).display()
                ))
            })
        };
        let charset = String::from_utf8_lossy(&read(CHARSET)?).into_owned();
        Ok(Self {
            detector: read(DETECTOR)?,
            recognizer: read(RECOGNIZER)?,
            charset: charset.lines().filter_map(|line| line.chars().next()).collect(),
        })
    }
}
