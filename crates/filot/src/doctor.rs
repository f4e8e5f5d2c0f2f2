//! `filot doctor`: is everything there, and if not, which command mends it?

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use filot_cards::kind::DeclaredType;
use filot_cards::region;
use filot_ocr::tesseract::TesseractEngine;
use image::{Rgb, RgbImage};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::card_reader::Request;
use crate::cli::EXIT_UNAVAILABLE;
use crate::clock::Clock;
use crate::config::{Config, Engine, Runtime};
use crate::models::{self, ModelFolder};
use crate::reader::Reader;
use crate::readers::Readers;
use crate::serve;

/// Memory below which one reader does not fit, in MiB.
const LITTLE_MEMORY: u64 = 512;

mod files;
mod service;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works without, but less well.
    Note,
    Broken,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    found: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn new(check: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { check, state, found: found.into(), mend: None }
    }

    fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }
}

/// Runs all checks and prints them; 0 when FiLot can read cards and what the configuration names answers, 69 when not.
/// `deep` also holds every document against its file, which takes as long as reading all files.
pub fn run(config: &Config, json: bool, deep: bool) -> u8 {
    let mut findings = vec![
        models_there(config),
        library_there(config),
        reading(config),
        tesseract(config),
        pdf(config),
        regions(),
        memory(),
        temporary_files(),
        processors(),
    ];
    findings.extend(service::check(config, deep));
    let broken = findings.iter().any(|finding| finding.state == State::Broken);
    // With nobody reading, the status still tells.
    let _ = print(&findings, json, &mut io::stdout().lock());
    if broken { EXIT_UNAVAILABLE } else { 0 }
}

fn print(findings: &[Finding], json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", serde_json::to_string_pretty(findings)?);
    }
    for (i, finding) in findings.iter().enumerate() {
        let state = match finding.state {
            State::Ok => "OK",
            State::Note => "note",
            State::Broken => "BROKEN",
        };
        writeln!(out, "{:2}. {:18} {state:6}  {}", i + 1, finding.check, finding.found)?;
        if let Some(command) = &finding.mend {
            writeln!(out, "{:31}→ {command}", "")?;
        }
    }
    Ok(())
}

/// A missing part is only worth a note when another engine is the chosen one.
fn gravity(config: &Config, needed_by: Engine) -> State {
    if config.reader.engine == needed_by { State::Broken } else { State::Note }
}

fn models_there(config: &Config) -> Finding {
    let name = "networks";
    match ModelFolder::find(&config.reader).and_then(|folder| folder.verify().map(|()| folder)) {
        Ok(folder) => Finding::new(name, State::Ok, format!("{} (sums agree)", folder.path.display())),
        Err(error) => {
            Finding::new(name, gravity(config, Engine::Native), error.to_string()).mend(models::MEND)
        }
    }
}

fn library_there(config: &Config) -> Finding {
    let name = "onnx runtime";
    let Ok(folder) = ModelFolder::find(&config.reader) else {
        return Finding::new(name, State::Note, "not looked for without a folder of networks")
            .mend(models::MEND);
    };
    if config.reader.runtime == Runtime::Rten {
        let found = "not wanted (reader.runtime = \"rten\"): reading takes about twice as long";
        return Finding::new(name, State::Note, found);
    }
    match folder.library(&config.reader) {
        Ok(Some(path)) => Finding::new(name, State::Ok, path.display().to_string()),
        Ok(None) => {
            let state = if config.reader.runtime == Runtime::Ort { State::Broken } else { State::Note };
            Finding::new(name, state, "not there: the built-in runtime reads, about half as fast")
                .mend(models::MEND)
        }
        Err(error) => Finding::new(name, State::Broken, error.to_string()),
    }
}

/// Reads an empty picture with the chosen engine in a process of its own, as the service does: the proof that everything it
/// needs works together.
fn reading(config: &Config) -> Finding {
    let name = "reading";
    let mut png = Vec::new();
    let blank = RgbImage::from_pixel(320, 200, Rgb([230; 3]));
    if let Err(error) = blank.write_to(&mut io::Cursor::new(&mut png), image::ImageFormat::Png) {
        return Finding::new(name, State::Broken, error.to_string());
    }
    let mut config = config.clone();
    config.service.worker.concurrency = 1;
    let read = serve::runtime().map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            let readers = Readers::start(&config, false).await?;
            let permit =
                Arc::new(Semaphore::new(1)).acquire_owned().await.map_err(|error| error.to_string())?;
            let (declared, today) = (DeclaredType::Auto, Clock::default().today());
            let request = Request { bytes: png.into(), decoded: None, declared, today };
            let start = Instant::now();
            let read = readers.read(request, Arc::new(permit)).await;
            Ok((readers, read, start.elapsed().as_millis()))
        })
    });
    match read {
        Ok((readers, Ok(_), milliseconds)) => {
            let mut found = format!(
                "{} in a process of its own ({milliseconds} ms for an empty picture)",
                readers.name()
            );
            for note in readers.notes() {
                found += &format!("; {note}");
            }
            Finding::new(name, if readers.notes().is_empty() { State::Ok } else { State::Note }, found)
        }
        Ok((_, Err(failure), _)) => Finding::new(name, State::Broken, failure.code),
        Err(reason) => Finding::new(name, State::Broken, reason),
    }
}

fn tesseract(config: &Config) -> Finding {
    let name = "tesseract";
    match TesseractEngine::find(&config.reader.tesseract, Duration::from_secs(10)) {
        Ok(engine) => Finding::new(name, State::Ok, format!("{} with ind and eng", engine.version())),
        Err(error) => Finding::new(name, gravity(config, Engine::Tesseract), error.to_string())
            .mend("scripts/setup-debian.sh"),
    }
}

/// Draws a page in the child process.
fn pdf(config: &Config) -> Finding {
    let name = "pdf pages";
    let page = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n\
        3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 243 153]>>endobj\ntrailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n";
    match Reader::pdf_renderer(config).page(page, 0, &config.limits) {
        Ok(page) => Finding::new(
            name,
            State::Ok,
            format!("drawn in a child process, {} x {}", page.photo.width, page.photo.height),
        ),
        Err(error) => Finding::new(name, State::Note, error.to_string()),
    }
}

fn regions() -> Finding {
    // A code has several spellings of its name, one after the other.
    let count = |digits| {
        let mut codes: Vec<_> = region::names("", digits).map(|name| name.code).collect();
        codes.dedup();
        codes.len()
    };
    let (provinces, regencies, districts) = (count(2), count(4), count(6));
    let found = format!(
        "{provinces} provinces, {regencies} regencies, {districts} districts, retired codes included"
    );
    Finding::new("region table", if districts > 7_000 { State::Ok } else { State::Broken }, found)
}

fn memory() -> Finding {
    let name = "memory";
    // Only Linux tells in this way; elsewhere nothing is claimed.
    let Some(available) = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mib_available(&text))
    else {
        return Finding::new(name, State::Note, "not known on this system");
    };
    let state = if available < LITTLE_MEMORY { State::Note } else { State::Ok };
    Finding::new(name, state, format!("{available} MiB available; one reader uses up to 400 MiB"))
}

fn mib_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

fn temporary_files() -> Finding {
    let name = "temporary files";
    let folder = std::env::temp_dir();
    let probe = folder.join(format!("filot-doctor-{}", std::process::id()));
    let written = fs::write(&probe, b"x").and_then(|()| fs::remove_file(&probe));
    match written {
        Ok(()) => Finding::new(name, State::Ok, format!("{} is writable", folder.display())),
        Err(error) => Finding::new(name, State::Note, format!("{}: {error}", folder.display())),
    }
}

fn processors() -> Finding {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    Finding::new("processors", State::Ok, format!("{cores}, so {cores} cards are read at a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_a_number_and_broken_ones_a_command() {
        let findings = [
            Finding::new("a", State::Ok, "fine"),
            Finding::new("b", State::Broken, "gone").mend("make models"),
        ];
        let mut text = Vec::new();
        print(&findings, false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains(" 1. a ") && text.contains(" 2. b ") && text.contains("→ make models"),
            "{text}"
        );
        let mut json = Vec::new();
        print(&findings, true, &mut json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json[1]["mend"], "make models");
        assert_eq!(json[0]["state"], "ok");
    }

    #[test]
    fn available_memory_is_read() {
        assert_eq!(mib_available("MemTotal: 9 kB\nMemAvailable:   2048000 kB\n"), Some(2000));
        assert_eq!(mib_available(""), None);
    }
}
