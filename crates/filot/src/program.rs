//! This program, to be started again as a child.

use std::path::{Path, PathBuf};

/// The very file that runs, also when another version has been put in its place since.
const RUNNING: &str = "/proc/self/exe";

/// Path of the program that runs.
pub(crate) fn own() -> PathBuf {
    let running = Path::new(RUNNING);
    if running.exists() {
        return running.to_owned();
    }
    // Without a path to itself the program cannot start its child; then that fails and the rest works.
    std::env::current_exe().unwrap_or_else(|_| "filot".into())
}
