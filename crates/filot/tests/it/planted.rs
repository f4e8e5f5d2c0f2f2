//! A11: code that lies in the current folder, or where others may write, is never run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{filot, finish, models, samples};

/// A stranger's library and program, and the note that they leave when they are run.
struct Planted {
    folder: tempfile::TempDir,
    library: PathBuf,
}

impl Planted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("planted.c"), folder.path().join("planted.so"));
        fs::write(
            &source,
            "#include <stdio.h>\n\
             __attribute__((constructor)) static void run(void) { FILE *f = fopen(NOTE, \"w\"); if (f) fclose(f); }\n",
        )
        .unwrap();
        let note = format!("-DNOTE=\"{}\"", folder.path().join("ran").display());
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", &note, "-o"]).arg(&library).arg(&source);
        assert!(cc.status().expect("`make setup` installs a C compiler").success());
        Self { folder, library }
    }

    /// A folder as `make models` fills it, but for the library, with sums that agree.
    fn folder_of_networks(&self, at: &Path) {
        fs::create_dir_all(at).unwrap();
        for name in ["det-tiny.onnx", "rec-tiny.onnx", "charset.txt"] {
            fs::copy(models().join(name), at.join(name)).unwrap();
        }
        fs::copy(&self.library, at.join("libonnxruntime.so")).unwrap();
        let sums = Command::new("sh")
            .args(["-c", "sha256sum *.onnx *.txt *.so >SHA256SUMS"])
            .current_dir(at)
            .status();
        assert!(sums.unwrap().success());
    }

    fn has_run(&self) -> bool {
        fs::remove_file(self.folder.path().join("ran")).is_ok()
    }

    /// Runs `scan` and `doctor` in a folder; what they said.
    fn run(&self, within: &Path, settings: &[(&str, &Path)], card: &Path) -> String {
        let mut said = String::new();
        for arguments in [vec!["scan", card.to_str().unwrap()], vec!["doctor"]] {
            let mut command = filot();
            command.env_remove("FILOT_READER_MODELS").current_dir(within).args(arguments);
            command.envs(settings.iter().copied()).env("FILOT_DATA_DIR", self.folder.path().join("data"));
            let ended = finish(command, &[]);
            said += &(ended.stdout + &ended.stderr);
        }
        said
    }
}

#[test]
fn a_planted_library_is_never_run() {
    let planted = Planted::new();
    let cards = samples(1, 3);
    let card = fs::read_dir(cards.path()).unwrap().map(|entry| entry.unwrap().path());
    let card = card.into_iter().find(|path| path.extension().is_some_and(|end| end == "jpg")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let own = place.path().join("own");
    planted.folder_of_networks(&own.join("models"));
    fs::copy(&planted.library, own.join("libonnxruntime.so")).unwrap();
    let open = place.path().join("open");
    planted.folder_of_networks(&open);
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let link = place.path().join("link");
    symlink(&open, &link).unwrap();
    let real = models().canonicalize().unwrap();
    let (networks, library) = ("FILOT_READER_MODELS", "FILOT_READER_LIBRARY");

    let relative = Path::new("models/libonnxruntime.so");
    let in_open = open.join("libonnxruntime.so");
    type Case<'a> = (&'a str, Vec<(&'a str, &'a Path)>, &'a str);
    let cases: [Case<'_>; 6] = [
        ("./models", vec![], ""),
        ("reader.models relative", vec![(networks, Path::new("models"))], "must be an absolute path"),
        ("reader.library relative", vec![(networks, &real), (library, relative)], "must be an absolute path"),
        ("a folder that anybody may write", vec![(networks, &open)], "others may write"),
        ("a library there", vec![(networks, &real), (library, &in_open)], "others may write"),
        ("a link to such a folder", vec![(networks, &link)], "others may write"),
    ];
    for (what, settings, reason) in cases {
        let said = planted.run(&own, &settings, &card);
        assert!(!planted.has_run(), "{what}: it was run");
        assert!(said.contains(reason), "{what}: {said}");
    }
    // Sums that lie beside it do not make it the library that was meant.
    let absolute = own.join("models");
    let said = planted.run(place.path(), &[(networks, &absolute)], &card);
    assert!(!planted.has_run() && said.contains("is not the file that this program was made for"), "{said}");

    // The note works: what an operator names by its path, where only they can write, is theirs to choose.
    let chosen = own.join("models/libonnxruntime.so");
    planted.run(place.path(), &[(networks, &real), (library, &chosen)], &card);
    assert!(planted.has_run(), "the check itself does not work");
}

#[test]
fn a_planted_tesseract_is_never_run() {
    let planted = Planted::new();
    let place = planted.folder.path();
    let ran = place.join("ran");
    fs::write(place.join("tesseract"), format!("#!/bin/sh\n: >'{}'\necho tesseract 5\n", ran.display()))
        .unwrap();
    fs::set_permissions(place.join("tesseract"), Permissions::from_mode(0o755)).unwrap();
    let doctor = |path: &str, program: &str| {
        let mut command = filot();
        command.current_dir(place).env("PATH", path).env("FILOT_READER_TESSERACT", program).arg("doctor");
        finish(command, &[])
    };
    for path in [".", "", ":/nowhere", "./:/nowhere", "../:."] {
        doctor(path, "tesseract");
        assert!(!planted.has_run(), "PATH={path:?}");
    }
    assert!(doctor("/usr/bin", "./tesseract").stderr.contains("reader.tesseract"));
    assert!(!planted.has_run());
    doctor(&format!(".:{}", place.display()), "tesseract");
    assert!(planted.has_run(), "an absolute folder of PATH is looked at");
}
