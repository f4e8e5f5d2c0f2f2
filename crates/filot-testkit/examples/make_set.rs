//! Writes drawn pictures and their `truth.jsonl` into a folder.
//!
//! `cargo run --release -p filot-testkit --example make_set -- --seed 1 --count 200 OUT_DIR`

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use filot_testkit::Set;

struct Options {
    seed: u64,
    first: u64,
    count: u64,
    folder: PathBuf,
}

fn options() -> Result<Options, String> {
    let (mut seed, mut first, mut count, mut folder) = (1, 0, 100, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            value.parse::<u64>().map_err(|error| format!("{word} {value}: {error}"))
        };
        match word.as_str() {
            "--seed" => seed = number()?,
            "--first" => first = number()?,
            "--count" => count = number()?,
            _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
            _ => folder = Some(PathBuf::from(word)),
        }
    }
    let folder = folder.ok_or("usage: make_set [--seed N] [--first N] [--count M] OUT_DIR")?;
    Ok(Options { seed, first, count, folder })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { seed, first, count, folder } = options()?;
    fs::create_dir_all(&folder)?;
    let mut truth = std::io::BufWriter::new(fs::File::create(folder.join("truth.jsonl"))?);
    let set = Set::new(seed);
    for index in first..first + count {
        let sample = set.sample(index);
        fs::write(folder.join(sample.file_name()), &sample.jpeg)?;
        serde_json::to_writer(&mut truth, &sample.truth)?;
        truth.write_all(b"\n")?;
    }
    truth.flush()?;
    Ok(())
}
