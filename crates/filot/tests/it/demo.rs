//! `filot demo`, and `filot doctor --deep` on what it left.

use std::fs;
use std::path::Path;

use crate::program::{Ended, filot, finish};

fn in_folder(data: &Path, arguments: &[&str]) -> Ended {
    let mut command = filot();
    command.env("FILOT_DATA_DIR", data).args(arguments);
    finish(command, &[])
}

#[test]
fn documents_of_the_demo_are_read_and_each_has_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ended = in_folder(&data, &["demo", "--count", "6"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let counts: Vec<u32> =
        ended.stdout.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(counts.iter().sum::<u32>(), 6, "{}", ended.stdout);
    assert!(counts.len() > 1, "all ended alike: {}", ended.stdout);

    let whole = in_folder(&data, &["doctor", "--json", "--deep"]);
    assert_eq!(whole.status, 0, "{}", whole.stdout);
    let files = data.join("files");
    // Beside the folders of users lies the mark of the installation.
    let user =
        fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let document = fs::read_dir(user).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&document).unwrap();
    let broken = in_folder(&data, &["doctor", "--json", "--deep"]);
    assert_eq!(broken.status, 69);
    let findings = broken.json();
    let documents = findings.as_array().unwrap().iter().find(|f| f["check"] == "documents").unwrap();
    let found = documents["found"].as_str().unwrap();
    assert!(found.contains("is missing") && found.contains(document.file_name().unwrap().to_str().unwrap()));

    let production = {
        let mut command = filot();
        command.env("FILOT_DATA_DIR", &data).env("NODE_ENV", "production").args(["demo"]);
        finish(command, &[])
    };
    assert_ne!(production.status, 0, "no invented people in production");
}
