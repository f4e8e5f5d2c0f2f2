//! Runs the program and reads what it says.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Deployment;

/// Day that tests take for today.
pub(crate) const TODAY: &str = "2026-11-23";

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The lines of an ndjson run.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }
}

/// The program with the networks of the checkout and nothing else of the environment that it would heed.
pub(crate) fn filot() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_filot"));
    command.env("FILOT_READER_MODELS", models()).env_remove("FILOT_CONFIG").env_remove("NO_COLOR");
    command.args(["--today", TODAY]);
    command
}

/// Runs the program on a deployment, or on none.
pub(crate) fn filot_on(deployment: Option<&Deployment>, arguments: &[&str]) -> Ended {
    let mut command = filot();
    if let Some(deployment) = deployment {
        command.envs(deployment.environment());
    }
    command.args(arguments);
    finish(command, b"")
}

pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    run_with(&[], arguments)
}

/// Runs with something on the standard input.
pub(crate) fn run_with<S: AsRef<OsStr>>(input: &[u8], arguments: impl IntoIterator<Item = S>) -> Ended {
    let mut command = filot();
    command.args(arguments);
    finish(command, input)
}

pub(crate) fn finish(mut command: Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that does not read its input closes the pipe.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What a watched run was seen to do.
pub(crate) struct Watched {
    pub(crate) status: i32,
    pub(crate) records: Vec<Value>,
    /// Most processor time that passed between two results, of the program and of children that have ended.
    pub(crate) longest_work: Duration,
    /// Processor time of the process and of its children.
    pub(crate) work: Duration,
    /// Longest time without a result.
    pub(crate) longest_wait: Duration,
    /// Most memory the process ever held, in MiB.
    pub(crate) peak_mib: u64,
}

/// Runs `scan --format ndjson` over a folder and watches time and memory.
pub(crate) fn watch(folder: &Path, jobs: usize) -> Watched {
    let mut command = filot();
    command.args(["scan", "--quiet", "--format", "ndjson", "--jobs", &jobs.to_string()]).arg(folder);
    // Its share of the processor ends a page, not the clock, which comes first on a busy machine.
    command.env("FILOT_PDF_TIME_LIMIT_S", "60");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let mut records = Vec::new();
    let (mut longest_work, mut longest_wait, mut peak_mib) = (Duration::ZERO, Duration::ZERO, 0);
    let (mut last, mut worked) = (Instant::now(), Duration::ZERO);
    let stat_file = format!("/proc/{}/stat", child.id());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        records.push(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")));
        let work = processor_time(&stat_file).unwrap_or(worked);
        // The first result also waits for the networks to load.
        if records.len() > 1 {
            longest_wait = longest_wait.max(last.elapsed());
            longest_work = longest_work.max(work.saturating_sub(worked));
        }
        (last, worked) = (Instant::now(), work);
        peak_mib = peak_mib.max(peak(&status_file).unwrap_or(0));
    }
    let work = work_at_end(child.id());
    let status = child.wait().unwrap().code().unwrap_or(-1);
    Watched { status, records, longest_work, work, longest_wait, peak_mib }
}

/// Waits for the end of a child that nobody has waited for yet. What it used of the processor stands there until somebody
/// does.
fn work_at_end(process: u32) -> Duration {
    let stat_file = format!("/proc/{process}/stat");
    loop {
        let text = std::fs::read_to_string(&stat_file).unwrap();
        // The name in brackets may hold anything; behind it stands the state.
        if text[text.rfind(')').unwrap() + 1..].trim_start().starts_with('Z') {
            return processor_time(&stat_file).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Processor time that a process has had, and its ended children: fields 14 to 17 of `/proc/PID/stat`, in hundredths of a
/// second.
pub(crate) fn processor_time(stat_file: &str) -> Option<Duration> {
    let text = std::fs::read_to_string(stat_file).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

fn peak(status_file: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status_file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

/// Writes `count` drawn cards of a seed into a new folder.
pub(crate) fn samples(count: u32, seed: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (count, seed) = (count.to_string(), seed.to_string());
    let out = folder.path().to_str().unwrap();
    let ended = run(["sample", "--count", &count, "--seed", &seed, "--out", out]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    folder
}
