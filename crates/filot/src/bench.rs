//! `filot bench`: accuracy and speed of the readers on pictures whose truth is known.
//!
//! Every reader runs in a process of its own, one picture at a time, so that CPU time and memory are its alone.

mod curve;
pub mod gpu;
mod reader;
mod report;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use filot_testkit::accuracy::{Report, truths};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::config::{Engine, Runtime};
use crate::sample;

pub use reader::run as run_reader;

/// Name of the hidden subcommand of the child, followed by engine, runtime and folder.
pub const SUBCOMMAND: &str = "bench-reader";

/// The day that the drawn cards take for today, so that ages and dates come out the same every time.
pub(crate) const DAY: Date = Date::constant(2026, 1, 1);

/// What to measure.
pub struct Order {
    /// Pictures with a `truth.jsonl`; drawn ones when there is none.
    pub set: Option<PathBuf>,
    pub count: u64,
    pub seed: u64,
    pub readers: Vec<Contender>,
    /// Where the tables go; standard output when there is none.
    pub report: Option<PathBuf>,
    /// Settings file, handed on to the children.
    pub config: Option<PathBuf>,
}

/// A reader that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Contender {
    /// The native reader on ONNX Runtime
    Ort,
    /// The native reader on the built-in runtime
    Rten,
    Tesseract,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Ort => "native, ort",
            Self::Rten => "native, rten",
            Self::Tesseract => "Tesseract",
        }
    }

    pub fn engine(self) -> Engine {
        if self == Self::Tesseract { Engine::Tesseract } else { Engine::Native }
    }

    pub fn runtime(self) -> Runtime {
        if self == Self::Rten { Runtime::Rten } else { Runtime::Ort }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Ort => "ort",
            Self::Rten => "rten",
            Self::Tesseract => "tesseract",
        }
    }
}

/// A line that the child writes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Line {
    /// One picture: the object that `filot scan` gives, and the CPU time of this process and its children.
    Picture { file: String, cpu_ms: f64, record: serde_json::Value },
    /// The last line.
    Peak { mib: u64 },
}

/// What one reader did.
pub(crate) struct Measured {
    pub(crate) reader: Contender,
    pub(crate) accuracy: Report,
    /// CPU milliseconds per picture, sorted.
    pub(crate) cpu_ms: Vec<f64>,
    /// Milliseconds per picture and stage, in the order of `report::STAGES`, then what is left of the whole.
    pub(crate) stages: Vec<Vec<f64>>,
    /// Photos that were searched by edges and text.
    pub(crate) searched: usize,
    pub(crate) peak_mib: u64,
}

/// Measures and writes the tables.
///
/// # Errors
/// When the pictures or a reader are not to be had, or the tables cannot be written.
pub fn run(order: &Order) -> anyhow::Result<()> {
    let drawn = match &order.set {
        Some(_) => None,
        None => {
            let folder = tempfile::tempdir()?;
            sample::write(folder.path(), order.seed, order.count, crate::scan::default_jobs())?;
            Some(folder)
        }
    };
    let folder = match (&order.set, &drawn) {
        (Some(folder), _) => folder.as_path(),
        (None, Some(folder)) => folder.path(),
        (None, None) => anyhow::bail!("no pictures"),
    };
    let mut measured = Vec::new();
    for &reader in &order.readers {
        measured.push(measure(reader, folder, order.config.as_deref())?);
    }
    let text = report::write(order, &measured);
    match &order.report {
        Some(path) => {
            let write = |path: &Path, text: &str| {
                std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
            };
            let curves = measured.first().map(|first| first.accuracy.attacks.curves()).unwrap_or_default();
            if !curves.is_empty() {
                let picture = path.with_file_name(report::CURVES);
                std::fs::create_dir_all(picture.parent().unwrap_or(Path::new(".")))?;
                write(&picture, &curve::draw(&curves))?;
            }
            write(path, &text)
        }
        None => Ok(std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?),
    }
}

/// Runs one reader over the folder in a child process.
fn measure(reader: Contender, folder: &Path, config: Option<&Path>) -> anyhow::Result<Measured> {
    let truths = truths(folder).with_context(|| format!("no truth in {}", folder.display()))?;
    let bar = ProgressBar::new(truths.len() as u64).with_message(reader.name());
    let style = ProgressStyle::with_template("{msg:14} {bar:32} {pos}/{len}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));

    let mut command = Command::new(std::env::current_exe()?);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.args([SUBCOMMAND, reader.argument()]).arg(folder).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let output = child.stdout.take().context("the child has no output")?;

    let mut measured = Measured {
        reader,
        accuracy: Report::default(),
        cpu_ms: Vec::new(),
        stages: Vec::new(),
        searched: 0,
        peak_mib: 0,
    };
    let mut truths = truths.iter();
    for line in BufReader::new(output).lines() {
        match serde_json::from_str(&line?)? {
            Line::Peak { mib } => measured.peak_mib = mib,
            Line::Picture { file, cpu_ms, record } => {
                let truth =
                    truths.next().filter(|truth| truth.file == file).context("pictures out of order")?;
                measured.accuracy.add(truth, &record);
                measured.cpu_ms.push(cpu_ms);
                let milliseconds = |value: &serde_json::Value| value.as_f64().unwrap_or(0.0);
                let mut stages = report::STAGES.map(|(key, _)| milliseconds(&record["timing"][key])).to_vec();
                stages.push(milliseconds(&record["ms"]) - stages.iter().sum::<f64>());
                measured.stages.push(stages);
                measured.searched += usize::from(record["timing"]["searched"] == true);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    let status = child.wait()?;
    anyhow::ensure!(status.success() && truths.next().is_none(), "{} ended with {status}", reader.name());
    measured.cpu_ms.sort_by(f64::total_cmp);
    Ok(measured)
}
