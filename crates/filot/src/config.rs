//! Settings. This is the only place that reads the environment.
//!
//! The defaults are `filot.toml` itself, compiled in. Over them come a file, then the environment. Every problem is
//! collected, so that one start shows all of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use filot_cards::decide::Policy;
use filot_ocr::image::{Limits, MemoryBudget};
use serde::Deserialize;
use toml::{Table, Value};

mod deployed;
mod names;
mod rules;
pub mod service;

pub(crate) use service::exposed;
pub use service::{Process, Service};

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../../../filot.toml");

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub reader: Reader,
    pub limits: Limits,
    pub pdf: Pdf,
    pub policy: Policy,
    /// What the service needs beyond a reader.
    pub service: Service,
    /// What reader processes get of the environment: where programs, libraries and GPUs are, and no secret.
    pub child_environment: Vec<(String, String)>,
    /// The environment asks for output without colours (<https://no-color.org>).
    pub no_color: bool,
}

/// How to read.
#[derive(Clone, Debug, Deserialize)]
pub struct Reader {
    pub engine: Engine,
    pub runtime: Runtime,
    #[serde(deserialize_with = "non_empty")]
    pub models: Option<PathBuf>,
    #[serde(deserialize_with = "non_empty")]
    pub library: Option<PathBuf>,
    pub tesseract: PathBuf,
    pub tesseract_time_limit_s: u64,
}

/// Which reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PP-OCRv6 networks
    Native,
    /// The system's Tesseract program
    Tesseract,
}

/// What the native reader's networks run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// ONNX Runtime when its library is there, else rten
    Auto,
    /// ONNX Runtime
    Ort,
    /// ONNX Runtime on an NVIDIA GPU; without one as `auto`, unless `gpu.autofallback` forbids it
    Cuda,
    /// Built in
    Rten,
}

/// Limits of the process that draws PDF pages.
#[derive(Clone, Debug, Deserialize)]
pub struct Pdf {
    pub time_limit_s: u64,
    pub cpu_limit_s: u64,
    pub memory_mb: u64,
}

#[derive(Deserialize)]
struct Files {
    max_mb: usize,
    max_megapixels: u64,
    max_side: u32,
    decoding_memory_mb: u64,
}

#[derive(Deserialize)]
struct Decision {
    auto_approve: u8,
    auto_reject: u8,
    min_confidence: f32,
    min_age: i16,
}

#[derive(Deserialize)]
struct Settings {
    reader: Reader,
    files: Files,
    pdf: Pdf,
    decision: Decision,
}

/// Everything that is wrong with the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings are not usable:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// Reads defaults, then `file` (or the one that `FILOT_CONFIG` names), then the environment of this process.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(file: Option<&Path>) -> Result<Self, Problems> {
        Self::load_for(file, Process::Api)
    }

    /// The same for a process that may do without the secrets of others.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load_for(file: Option<&Path>, process: Process) -> Result<Self, Problems> {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named =
            environment.iter().find(|(key, _)| key == "FILOT_CONFIG").map(|(_, value)| Path::new(value));
        let text = match file.or(named) {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Problems(vec![format!("{} cannot be read: {error}", path.display())]))?,
        };
        Self::from_parts_for(&text, &environment, process)
    }

    /// Settings from a file's text and an environment.
    ///
    /// # Errors
    /// All problems at once.
    pub fn from_parts(text: &str, environment: &[(String, String)]) -> Result<Self, Problems> {
        Self::from_parts_for(text, environment, Process::Api)
    }

    /// The same for a process that may do without the secrets of others.
    ///
    /// # Errors
    /// All problems at once.
    pub fn from_parts_for(
        text: &str,
        environment: &[(String, String)],
        process: Process,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut settings: Table = DEFAULTS.parse().expect("filot.toml is compiled in and tested");
        match text.parse::<Table>() {
            Ok(table) => overlay(&mut settings, table, &mut problems),
            Err(error) => problems.push(error.to_string()),
        }
        overlay_environment(&mut settings, environment, &mut problems);
        names::overlay(&mut settings, environment, &mut problems);
        // What does not fit is still at its default here, so the rules can be held against the rest.
        let service = Value::Table(settings.clone()).try_into::<Service>();
        let service = match service {
            Ok(mut service) => {
                service.process = process;
                rules::check(&service, &mut problems);
                service
            }
            Err(error) => {
                problems.push(error.message().to_owned());
                return Err(Problems(problems));
            }
        };
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let Settings { mut reader, files, pdf, decision } =
            Value::Table(settings).try_into().map_err(|error| Problems(vec![error.to_string()]))?;
        reader.tesseract = found_on_path(reader.tesseract, environment);
        let mut check = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        check((1..=1024).contains(&files.max_mb), "files.max_mb must be between 1 and 1024");
        check(files.max_megapixels >= 1, "files.max_megapixels must be at least 1");
        check(files.decoding_memory_mb >= 16, "files.decoding_memory_mb must be at least 16");
        check(pdf.memory_mb >= 64, "pdf.memory_mb must be at least 64");
        check(pdf.time_limit_s >= 1 && pdf.cpu_limit_s >= 1, "the time limits of [pdf] must be at least 1 s");
        check(reader.tesseract_time_limit_s >= 1, "reader.tesseract_time_limit_s must be at least 1");
        check(
            reader.tesseract.is_absolute() || reader.tesseract.components().count() == 1,
            "reader.tesseract must be a name or an absolute path",
        );
        check(
            decision.auto_reject < decision.auto_approve && decision.auto_approve <= 100,
            "decision.auto_reject must be below decision.auto_approve, and that at most 100",
        );
        check(
            (0.0..=1.0).contains(&decision.min_confidence),
            "decision.min_confidence must be between 0 and 1",
        );
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let memory = files.decoding_memory_mb << 20;
        Ok(Self {
            reader,
            limits: Limits {
                bytes: files.max_mb << 20,
                pixels: files.max_megapixels * 1_000_000,
                side: files.max_side,
                memory,
                budget: MemoryBudget::new(memory),
                ..Limits::default()
            },
            pdf,
            policy: Policy {
                auto_approve: decision.auto_approve,
                auto_reject: decision.auto_reject,
                min_confidence: decision.min_confidence,
                min_age: decision.min_age,
            },
            service,
            child_environment: for_children(environment),
            no_color: environment.iter().any(|(key, value)| key == "NO_COLOR" && !value.is_empty()),
        })
    }

    /// Writes what a reader process needs of these as the text of a settings file. No secret is part of it.
    pub fn for_readers(&self) -> String {
        let Self { reader, limits, pdf, policy, service, .. } = self;
        let path = |path: Option<&PathBuf>| path.map_or_else(String::new, |path| path.display().to_string());
        let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let name = |name: Option<clap::builder::PossibleValue>| {
            Value::String(name.map_or_else(String::new, |name| name.get_name().to_owned()))
        };
        let section = |keys: Vec<(&str, Value)>| {
            Value::Table(keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        let text = Value::String;
        let sections = [
            (
                "reader",
                section(vec![
                    ("engine", name(reader.engine.to_possible_value())),
                    ("runtime", name(reader.runtime.to_possible_value())),
                    ("models", text(path(reader.models.as_ref()))),
                    ("library", text(path(reader.library.as_ref()))),
                    ("tesseract", text(path(Some(&reader.tesseract)))),
                    ("tesseract_time_limit_s", number(reader.tesseract_time_limit_s)),
                ]),
            ),
            (
                "files",
                section(vec![
                    ("max_mb", number((limits.bytes >> 20) as u64)),
                    ("max_megapixels", number(limits.pixels / 1_000_000)),
                    ("max_side", number(limits.side.into())),
                    ("decoding_memory_mb", number(limits.memory >> 20)),
                ]),
            ),
            (
                "pdf",
                section(vec![
                    ("time_limit_s", number(pdf.time_limit_s)),
                    ("cpu_limit_s", number(pdf.cpu_limit_s)),
                    ("memory_mb", number(pdf.memory_mb)),
                ]),
            ),
            (
                "decision",
                section(vec![
                    ("auto_approve", number(policy.auto_approve.into())),
                    ("auto_reject", number(policy.auto_reject.into())),
                    ("min_confidence", Value::Float(policy.min_confidence.into())),
                    ("min_age", Value::Integer(policy.min_age.into())),
                ]),
            ),
            (
                "gpu",
                section(vec![
                    ("streams", number(service.gpu.streams as u64)),
                    ("autofallback", Value::Boolean(service.gpu.autofallback)),
                    ("visible_devices", text(service.gpu.visible_devices.clone())),
                ]),
            ),
        ];
        sections.into_iter().map(|(name, keys)| (name.to_owned(), keys)).collect::<Table>().to_string()
    }

    /// Makes these the settings of a worker on the GPU lane: what `[gpu]` says takes the place of `[worker]`, and the
    /// networks run on the GPU unless something else was asked for.
    pub fn turn_to_gpu(&mut self) {
        let Service { worker, gpu, .. } = &mut self.service;
        worker.concurrency = gpu.concurrency;
        worker.max_attempts = gpu.max_retries;
        worker.reaper_interval_ms = gpu.reaper_interval_ms;
        if self.reader.runtime == Runtime::Auto {
            self.reader.runtime = Runtime::Cuda;
        }
    }
}

impl Reader {
    /// How long one run of Tesseract may take.
    pub fn tesseract_time_limit(&self) -> Duration {
        Duration::from_secs(self.tesseract_time_limit_s)
    }
}

/// Lays the keys of `over` onto `settings`, noting those that do not exist or are of another type.
fn overlay(settings: &mut Table, over: Table, problems: &mut Vec<String>) {
    for (section, keys) in over {
        let Some(known) = settings.get_mut(&section).and_then(Value::as_table_mut) else {
            problems.push(format!("there is no section [{section}]"));
            continue;
        };
        let Value::Table(keys) = keys else {
            problems.push(format!("{section} must be a section"));
            continue;
        };
        for (key, value) in keys {
            set(known, &section, &key, value, problems);
        }
    }
}

fn set(section: &mut Table, name: &str, key: &str, value: Value, problems: &mut Vec<String>) {
    match section.get_mut(key) {
        None => problems.push(format!("there is no setting {name}.{key}")),
        Some(Value::Float(known)) if value.is_integer() => {
            *known = value.as_integer().unwrap_or_default() as f64
        }
        Some(known) if known.same_type(&value) => *known = value,
        Some(known) => problems.push(format!("{name}.{key} must be a {}, not {value}", known.type_str())),
    }
}

/// Copies `FILOT_<SECTION>_<KEY>` into `settings`. Any other variable that begins like that is a slip, unless [`names`]
/// knows it or a cluster sets it.
fn overlay_environment(settings: &mut Table, environment: &[(String, String)], problems: &mut Vec<String>) {
    for (variable, text) in environment {
        let Some(path) = variable.strip_prefix("FILOT_") else { continue };
        if names::is_known(variable) || names::is_service_link(variable, text) {
            continue;
        }
        let path = path.to_ascii_lowercase();
        let (name, key) = path.split_once('_').unwrap_or((&path, ""));
        let Some(section) = settings.get_mut(name).and_then(Value::as_table_mut) else {
            problems.push(format!("{variable}: there is no section {name}"));
            continue;
        };
        let value = match section.get(key) {
            Some(Value::String(_)) | None => Value::String(text.clone()),
            Some(_) => match format!("v = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("v")) {
                Some(value) => value,
                None => Value::String(text.clone()),
            },
        };
        let mut found = Vec::new();
        set(section, name, key, value, &mut found);
        problems.extend(found.into_iter().map(|problem| format!("{variable}: {problem}")));
    }
}

/// What a child that reads strangers' files gets of the environment.
fn for_children(environment: &[(String, String)]) -> Vec<(String, String)> {
    const PASSED: [&str; 9] = [
        "LD_LIBRARY_PATH",
        "TESSDATA_PREFIX",
        "TMPDIR",
        "LANG",
        "LC_ALL",
        "TZ",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES",
    ];
    let mut passed: Vec<_> =
        environment.iter().filter(|(key, _)| PASSED.contains(&key.as_str())).cloned().collect();
    // For a Tesseract behind a wrapper script.
    passed.push(("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()));
    passed
}

/// Where a program of that name lies in an absolute folder of PATH. What depends on the current folder is not looked at:
/// whoever may write there would choose the program that runs.
fn found_on_path(program: PathBuf, environment: &[(String, String)]) -> PathBuf {
    if program.components().count() != 1 || program.is_absolute() {
        return program;
    }
    let path = environment.iter().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value);
    let absolute = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    absolute.map(|folder| folder.join(&program)).find(|file| is_program(file)).unwrap_or(program)
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn non_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

#[cfg(test)]
mod service_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_file_of_defaults_is_complete_and_agrees_with_the_libraries() {
        let config = Config::from_parts("", &[]).unwrap();
        assert_eq!(config.policy, Policy::default());
        let (given, own) = (&config.limits, Limits::default());
        assert_eq!(
            (given.bytes, given.pixels, given.side, given.memory, given.scans, given.working_side),
            (own.bytes, own.pixels, own.side, own.memory, own.scans, own.working_side)
        );
    }

    #[test]
    fn a_reader_process_gets_what_it_needs_and_no_secret() {
        let secret = "kV7q0y2mBz5nXw8rTj1uLd4sHf6gAc9e";
        let vars = environment(&[
            ("JWT_SECRET", secret),
            ("DATABASE_URL", "postgres://u:kV7q0y2mBz5nXw8rTj1uLd4sHf6gAc9e@127.0.0.1/d"),
            ("TESSDATA_PREFIX", "/t"),
            ("LD_LIBRARY_PATH", "/l"),
            ("PATH", "/x:."),
            ("FILOT_READER_MODELS", "/m"),
            ("FILOT_READER_RUNTIME", "rten"),
            ("FILOT_FILES_MAX_MB", "7"),
            ("FILOT_PDF_CPU_LIMIT_S", "5"),
            ("FILOT_DECISION_MIN_CONFIDENCE", "0.7"),
            ("FILOT_GPU_STREAMS", "3"),
        ]);
        let config = Config::from_parts("", &vars).unwrap();
        let text = config.for_readers();
        assert!(!text.contains(secret) && !format!("{:?}", config.child_environment).contains(secret));
        let names: Vec<_> = config.child_environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["TESSDATA_PREFIX", "LD_LIBRARY_PATH", "PATH"]);
        let there = Config::from_parts(&text, &[]).unwrap();
        let compared = |config: &Config| {
            let Limits { bytes, pixels, side, memory, .. } = config.limits;
            let gpu = &config.service.gpu;
            format!(
                "{:?} {:?} {:?} {bytes} {pixels} {side} {memory} {gpu:?}",
                config.reader, config.pdf, config.policy
            )
        };
        assert_eq!(compared(&there), compared(&config));
    }

    #[test]
    fn environment_wins_over_file_wins_over_default() {
        let text = "[decision]\nauto_approve = 90\nmin_confidence = 1\n[reader]\nmodels = \"m\"\n";
        let config = Config::from_parts(
            text,
            &environment(&[
                ("FILOT_DECISION_AUTO_APPROVE", "95"),
                ("FILOT_READER_ENGINE", "tesseract"),
                ("FILOT_FRONTEND_ORIGIN", "https://example.com"),
                ("NO_COLOR", "1"),
            ]),
        )
        .unwrap();
        assert_eq!(config.policy.auto_approve, 95);
        assert_eq!(config.policy.min_confidence, 1.0);
        assert_eq!(config.reader.engine, Engine::Tesseract);
        assert_eq!(config.reader.models, Some(PathBuf::from("m")));
        assert_eq!(config.reader.library, None);
        assert!(config.no_color);
    }

    #[test]
    fn what_a_cluster_tells_of_its_services_is_no_setting() {
        let links = [
            ("FILOT_SERVICE_HOST", "10.0.0.1"),
            ("FILOT_SERVICE_PORT", "80"),
            ("FILOT_PORT", "tcp://10.0.0.1:80"),
            ("FILOT_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("FILOT_SERVER_SERVICE_HOST", "10.0.0.2"),
            ("FILOT_SERVER_SERVICE_PORT_HTTP", "8080"),
            ("FILOT_SERVER_PORT", "tcp://10.0.0.2:8080"),
            ("FILOT_SERVER_PORT_8080_TCP", "tcp://10.0.0.2:8080"),
        ];
        let told = Config::from_parts("", &environment(&links)).unwrap();
        assert_eq!(told.service.server.port, Config::from_parts("", &[]).unwrap().service.server.port);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text =
            "[decision]\nauto_aprove = 90\nauto_reject = \"x\"\n[files]\nmax_mb = 20\n[nothing]\na = 1\n";
        let problems = Config::from_parts(
            text,
            &environment(&[
                ("FILOT_READER_MODEL", "x"),
                ("FILOT_FILES_MAX_MB", "many"),
                ("FILOT_WROKER_LEASE_S", "60"),
                ("FILOT_PORT", "9000"),
            ]),
        )
        .unwrap_err();
        let told = problems.to_string();
        for wanted in [
            "decision.auto_aprove",
            "decision.auto_reject",
            "[nothing]",
            "FILOT_READER_MODEL",
            "FILOT_FILES_MAX_MB",
            "FILOT_WROKER_LEASE_S: there is no section wroker",
            "FILOT_PORT",
        ] {
            assert!(told.contains(wanted), "{wanted} in {told}");
        }
        let problems =
            Config::from_parts("[decision]\nauto_approve = 10\n[pdf]\nmemory_mb = 1\n", &[]).unwrap_err();
        assert_eq!(problems.0.len(), 2, "{problems}");
        assert!(Config::from_parts("[reader]\nengine = \"magic\"\n", &[]).is_err());
        assert!(Config::from_parts("not toml", &[]).is_err());
    }
}
