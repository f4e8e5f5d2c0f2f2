//! The child: reads every picture of a folder with one reader and writes what it took.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use filot_cards::kind::DeclaredType;
use filot_testkit::CardType;
use filot_testkit::accuracy::truths;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::{DAY, Line};
use crate::config::Config;
use crate::reader::Reader;
use crate::scan;

/// Reads the folder and writes one line per picture to standard output.
///
/// # Errors
/// When the reader cannot be loaded or a picture not be opened.
pub fn run(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let reader = Reader::load(config, 1)?;
    let mut out = io::stdout().lock();
    let truths = truths(folder)?;
    // The first picture pays for memory that later ones find ready: read it once before counting.
    if let Some(truth) = truths.first() {
        let _ = reader.read(&load(folder, &truth.file)?, DeclaredType::Auto, DAY);
    }
    for truth in truths {
        let bytes = load(folder, &truth.file)?;
        let declared = match truth.declared {
            CardType::Ktp => DeclaredType::Ktp,
            CardType::Npwp => DeclaredType::Npwp,
            CardType::Other => DeclaredType::Auto,
        };
        let before = cpu_ms()?;
        let record = scan::record(&reader, &truth.file, &bytes, declared, DAY)?;
        let cpu_ms = cpu_ms()? - before;
        serde_json::to_writer(&mut out, &Line::Picture { file: truth.file, cpu_ms, record })?;
        writeln!(out)?;
        out.flush()?;
    }
    // Kilobytes on Linux.
    let mib = getrusage(UsageWho::RUSAGE_SELF)?.max_rss() as u64 / 1024;
    serde_json::to_writer(&mut out, &Line::Peak { mib })?;
    Ok(writeln!(out)?)
}

fn load(folder: &Path, file: &str) -> anyhow::Result<Vec<u8>> {
    let path = folder.join(file);
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// CPU time of this process and of the children it has waited for.
pub(super) fn cpu_ms() -> anyhow::Result<f64> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        sum += usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    }
    Ok(sum as f64 / 1000.0)
}
