//! The network files and their character list.

use std::path::Path;

use crate::engine::Error;

/// The networks the native reader needs, as ONNX bytes, and the recognisers' characters.
pub struct Models {
    pub detector: Vec<u8>,
    /// Reads every line; a fifth of the work of `careful_recognizer`.
    pub quick_recognizer: Vec<u8>,
    /// Reads again what the quick one is unsure of.
    pub careful_recognizer: Vec<u8>,
    /// Printable ASCII in class order, without the class for "no character"; the same for both recognisers.
    pub charset: Vec<char>,
}

/// File names inside a model folder.
const DETECTOR: &str = "det-tiny.onnx";
const QUICK_RECOGNIZER: &str = "rec-tiny.onnx";
const CAREFUL_RECOGNIZER: &str = "rec-small.onnx";
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
            quick_recognizer: read(QUICK_RECOGNIZER)?,
            careful_recognizer: read(CAREFUL_RECOGNIZER)?,
            charset: charset.lines().filter_map(|line| line.chars().next()).collect(),
        })
    }
}
