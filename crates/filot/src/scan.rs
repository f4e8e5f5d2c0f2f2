//! `filot scan`: files in, assessments out, in the order of the input.

mod annotate;
mod inputs;
mod output;
mod table;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use filot_cards::assess::Assessment;
use filot_cards::decide::Decision;
use filot_cards::kind::DeclaredType;
use filot_ocr::engine::Timing;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::civil::Date;

use crate::cli::{EXIT_REJECTED, EXIT_REVIEW, EXIT_UNAVAILABLE, EXIT_UNREADABLE};
use crate::reader::{FileError, Read, Reader};
use inputs::Input;
use output::{Printer, Record};

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people
    Table,
    /// One object, or an array of them
    Json,
    /// One object to a line
    Ndjson,
    /// One row to a file, for spreadsheets
    Csv,
}

/// What to scan and how to tell.
pub struct Order {
    pub paths: Vec<PathBuf>,
    pub declared: DeclaredType,
    /// Chosen by the kind of output when none is given.
    pub format: Option<OutputFormat>,
    /// Files at a time.
    pub jobs: usize,
    /// Folder for pictures with everything found drawn on them.
    pub annotate: Option<PathBuf>,
    pub quiet: bool,
    pub colour: bool,
    pub today: Date,
}

/// What came of one file.
enum Outcome {
    Read(Box<Scanned>),
    Failed { code: &'static str, message: String, files_fault: bool },
}

struct Scanned {
    assessment: Assessment,
    page: Option<u32>,
    timing: Timing,
    took: Duration,
}

/// How many files ended how.
#[derive(Default)]
struct Tally {
    approved: usize,
    review: usize,
    rejected: usize,
    unreadable: usize,
    unavailable: usize,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Read(scanned) => match scanned.assessment.decision {
                Decision::AutoApprove => &mut self.approved,
                Decision::NeedsReview => &mut self.review,
                Decision::AutoReject => &mut self.rejected,
            },
            Outcome::Failed { files_fault: true, .. } => &mut self.unreadable,
            Outcome::Failed { files_fault: false, .. } => &mut self.unavailable,
        } += 1;
    }

    /// The exit status; the gravest finding wins.
    fn status(&self) -> u8 {
        match self {
            Self { unavailable: 1.., .. } => EXIT_UNAVAILABLE,
            Self { unreadable: 1.., .. } => EXIT_UNREADABLE,
            Self { rejected: 1.., .. } => EXIT_REJECTED,
            Self { review: 1.., .. } => EXIT_REVIEW,
            _ => 0,
        }
    }
}

/// How many files to take on at a time: one single-threaded reader to a core, and no more than there are files.
pub fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Scans and prints; returns the exit status.
///
/// # Errors
/// When results cannot be written. What is wrong with single files is part of the results.
pub fn run(reader: &Reader, order: &Order) -> anyhow::Result<u8> {
    let inputs = inputs::expand(&order.paths);
    if inputs.is_empty() {
        anyhow::bail!(
            "there are no pictures in the folder: .jpg, .jpeg, .png, .webp and .pdf files are looked at"
        );
    }
    let single = order.paths.len() == 1 && !order.paths[0].is_dir();
    let format = order.format.unwrap_or_else(|| match (io::stdout().is_terminal(), single) {
        (true, _) => OutputFormat::Table,
        (false, true) => OutputFormat::Json,
        (false, false) => OutputFormat::Ndjson,
    });
    let pictures = match &order.annotate {
        None => Vec::new(),
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            annotated_names(&inputs, folder)
        }
    };
    let bar = progress(inputs.len(), order.quiet);
    let mut printer = Printer::new(format, single, &inputs, order.colour, io::stdout().lock());
    let mut tally = Tally::default();
    let start = std::time::Instant::now();

    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let printed = thread::scope(|scope| -> anyhow::Result<()> {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..order.jobs.clamp(1, inputs.len()) {
            let (sender, inputs, pictures, next, stop) = (sender.clone(), &inputs, &pictures, &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(index) else { break };
                    let outcome = scan(reader, input, pictures.get(index).map(PathBuf::as_path), order);
                    if sender.send((index, outcome)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (index, outcome) in receiver {
            early.insert(index, outcome);
            bar.inc(1);
            while let Some(outcome) = early.remove(&due) {
                let outcome = outcome.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                tally.count(&outcome);
                let written =
                    bar.suspend(|| printer.print(&inputs[due].name(), reader.engine_name(), &outcome));
                if let Err(error) = written {
                    stop.store(true, Ordering::Relaxed);
                    // Whoever read the results has seen enough.
                    return if error.kind() == io::ErrorKind::BrokenPipe {
                        Ok(())
                    } else {
                        Err(error.into())
                    };
                }
                due += 1;
            }
        }
        Ok(())
    });
    bar.finish_and_clear();
    printed?;
    match printer.finish() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if !order.quiet && inputs.len() > 1 && (format == OutputFormat::Table || io::stderr().is_terminal()) {
        let seconds = start.elapsed().as_secs_f64();
        writeln!(io::stderr(), "{}", summary(&tally, inputs.len(), seconds)).ok();
    }
    Ok(tally.status())
}

/// One file from bytes to assessment. Only a failure to write the annotated picture is an error.
fn scan(reader: &Reader, input: &Input, picture: Option<&Path>, order: &Order) -> anyhow::Result<Outcome> {
    let bytes = match input.load(reader.max_bytes()) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Ok(Outcome::Failed { code: error.code(), message: error.to_string(), files_fault: true });
        }
    };
    let read = match reader.read(&bytes, order.declared, order.today) {
        Ok(read) => read,
        Err(error) => return Ok(error.into()),
    };
    if let Some(path) = picture {
        annotate::draw(&read.photo, &read.frame, &read.assessment)
            .and_then(|drawn| annotate::save(&drawn, path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(read.into())
}

/// The object that `--format ndjson` gives for a file's content.
///
/// # Errors
/// Only when it cannot be written as JSON.
pub(crate) fn record(
    reader: &Reader,
    file: &str,
    bytes: &[u8],
    declared: DeclaredType,
    today: Date,
) -> serde_json::Result<serde_json::Value> {
    let outcome = reader.read(bytes, declared, today).map_or_else(Outcome::from, Outcome::from);
    serde_json::to_value(Record::new(file, reader.engine_name(), &outcome))
}

impl From<Read> for Outcome {
    fn from(Read { assessment, page, timing, took, .. }: Read) -> Self {
        Self::Read(Box::new(Scanned { assessment, page, timing, took }))
    }
}

impl From<FileError> for Outcome {
    fn from(error: FileError) -> Self {
        Self::Failed { code: error.code(), message: error.to_string(), files_fault: error.is_files_fault() }
    }
}

/// A name for every annotated picture: the file's own, numbered where several files share it.
fn annotated_names(inputs: &[Input], folder: &Path) -> Vec<PathBuf> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let stem = |input: &Input| match input {
        Input::File(path) => {
            path.file_stem().map_or("file".into(), |stem| stem.to_string_lossy().into_owned())
        }
        Input::StandardInput => "stdin".to_owned(),
    };
    inputs
        .iter()
        .map(|input| {
            let stem = stem(input);
            let count = taken.entry(stem.clone()).or_default();
            *count += 1;
            let name = if *count == 1 { stem } else { format!("{stem}-{count}") };
            folder.join(format!("{name}.annotated.jpg"))
        })
        .collect()
}

/// A bar on the error output, only where somebody can see it and only for more than a handful of files.
fn progress(files: usize, quiet: bool) -> ProgressBar {
    let target = if quiet || files < 4 { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(files as u64), target);
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} files, {per_sec}, {eta} left");
    // Without a style of its own the bar is only less informative.
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn summary(tally: &Tally, files: usize, seconds: f64) -> String {
    let rate = files as f64 / seconds.max(1e-9);
    let mut parts = vec![
        format!("{} approved", tally.approved),
        format!("{} to review", tally.review),
        format!("{} rejected", tally.rejected),
    ];
    if tally.unreadable > 0 {
        parts.push(format!("{} unreadable", tally.unreadable));
    }
    if tally.unavailable > 0 {
        parts.push(format!("{} not read because the reader failed", tally.unavailable));
    }
    format!("{files} files in {seconds:.1} s ({rate:.1}/s): {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_finding_is_the_exit_status() {
        let status = |approved, review, rejected, unreadable| {
            Tally { approved, review, rejected, unreadable, unavailable: 0 }.status()
        };
        assert_eq!(status(3, 0, 0, 0), 0);
        assert_eq!(status(3, 1, 0, 0), 1);
        assert_eq!(status(3, 1, 1, 0), 2);
        assert_eq!(status(3, 1, 1, 1), 65);
        assert_eq!(Tally { unavailable: 1, unreadable: 1, ..Tally::default() }.status(), 69);
    }

    #[test]
    fn annotated_pictures_never_overwrite_each_other() {
        let inputs = [Input::File("a/x.jpg".into()), Input::File("b/x.png".into()), Input::StandardInput];
        let names = annotated_names(&inputs, Path::new("out"));
        let wanted = ["out/x.annotated.jpg", "out/x-2.annotated.jpg", "out/stdin.annotated.jpg"];
        assert_eq!(names, wanted.map(PathBuf::from));
    }
}
