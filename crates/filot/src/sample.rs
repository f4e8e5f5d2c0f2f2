//! `filot sample`: drawn cards of invented people, for trying FiLot without anybody's data.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::Context;
use filot_testkit::Set;

/// File with one line of truth to a picture.
pub const TRUTH: &str = "truth.jsonl";

/// Writes `count` pictures and their truth into `folder`. The same seed gives the same files, whatever the machine.
///
/// # Errors
/// When something cannot be written.
pub fn write(folder: &Path, seed: u64, count: u64, threads: usize) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let set = Set::new(seed);
    let next = AtomicU64::new(0);
    let mut lines = thread::scope(|scope| -> anyhow::Result<Vec<(u64, String)>> {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads.clamp(1, 64) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || sender.send((index, draw(set, index, folder))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        receiver.into_iter().map(|(index, line)| Ok((index, line?))).collect()
    })?;
    lines.sort_unstable();
    let path = folder.join(TRUTH);
    let mut truth =
        BufWriter::new(File::create(&path).with_context(|| format!("cannot write {}", path.display()))?);
    for (_, line) in lines {
        writeln!(truth, "{line}")?;
    }
    Ok(truth.flush()?)
}

/// Draws one picture, writes it and returns its line of truth.
fn draw(set: Set, index: u64, folder: &Path) -> anyhow::Result<String> {
    let sample = set.sample(index);
    let path = folder.join(sample.file_name());
    fs::write(&path, &sample.jpeg).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(serde_json::to_string(&sample.truth)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_files() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(one.path(), 3, 3, 1).unwrap();
        write(two.path(), 3, 3, 3).unwrap();
        for name in ["00000.jpg", "00001.jpg", "00002.jpg", TRUTH] {
            let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
            assert!(read(one.path()) == read(two.path()), "{name}");
        }
        let truth = fs::read_to_string(one.path().join(TRUTH)).unwrap();
        assert_eq!(truth.lines().count(), 3);
    }
}
