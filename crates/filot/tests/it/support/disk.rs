//! A disk that gets full, or read-only, at a chosen write, for one process. It is made of a little C library that is
//! preloaded into the process and stands before its writes, so that no test needs the right to mount anything.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What writes fail with, as on Linux.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub(crate) enum Fault {
    Full = 28,
    ReadOnly = 30,
    Damaged = 5,
}

/// The disk below a folder.
pub(crate) struct Disk {
    library: PathBuf,
    control: PathBuf,
    folder: PathBuf,
}

impl Disk {
    /// A disk that is well, from `folder` on.
    pub(crate) fn below(folder: &Path) -> Self {
        let library = compile();
        let control = library.with_extension("control");
        std::fs::write(&control, [0; 32]).unwrap();
        Self { library, control, folder: folder.to_owned() }
    }

    /// The environment that puts a process on this disk.
    pub(crate) fn environment(&self) -> [(&str, &str); 3] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("DISK_CONTROL", self.control.to_str().unwrap()),
            ("DISK_FOLDER", self.folder.to_str().unwrap()),
        ]
    }

    /// From now on `passes` writes pass, and all after them fail.
    pub(crate) fn fail(&self, fault: Fault, passes: u64) {
        self.set(1, passes as i64);
        self.set(2, 0);
        self.set(3, 0);
        self.set(0, fault as i64);
    }

    /// It tells that no room is left, although writes still pass.
    pub(crate) fn fill(&self) {
        self.fail(Fault::Full, i64::MAX as u64);
    }

    /// The disk is well again.
    pub(crate) fn mend(&self) {
        self.set(0, 0);
    }

    /// Writes that were tried since the fault was set.
    pub(crate) fn writes(&self) -> u64 {
        self.get(2)
    }

    /// Writes that failed since.
    pub(crate) fn refused(&self) -> u64 {
        self.get(3)
    }

    fn set(&self, at: u64, value: i64) {
        let file = std::fs::File::options().write(true).open(&self.control).unwrap();
        file.write_all_at(&value.to_ne_bytes(), at * 8).unwrap();
    }

    fn get(&self, at: u64) -> u64 {
        let (file, mut bytes) = (std::fs::File::open(&self.control).unwrap(), [0; 8]);
        file.read_exact_at(&mut bytes, at * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }
}

/// The library, compiled anew for each test process under a name of its own.
fn compile() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/full_disk.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("full_disk-{}.so", uuid::Uuid::new_v4().simple()));
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .status()
        .expect("`make setup` installs a C compiler");
    assert!(status.success(), "the disk does not compile");
    library
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.library);
        let _ = std::fs::remove_file(&self.control);
    }
}
