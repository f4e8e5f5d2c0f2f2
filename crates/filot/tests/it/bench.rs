//! `filot bench`.

use crate::program::{run, samples};

#[test]
fn tables_of_a_folder_name_every_reader() {
    let folder = samples(3, 4);
    let place = folder.path().to_str().unwrap();
    let ended = run(["bench", "--set", place, "--readers", "ort,rten"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for wanted in
        ["NIK / NPWP exact", "| native, ort |", "| native, rten |", "memory MiB", "Genuine but rejected"]
    {
        assert!(ended.stdout.contains(wanted), "{wanted} is missing in:\n{}", ended.stdout);
    }
}

#[test]
fn a_folder_without_truth_is_told() {
    let empty = tempfile::tempdir().unwrap();
    let ended = run(["bench", "--set", empty.path().to_str().unwrap()]);
    assert_eq!(ended.status, 69);
    assert!(ended.stderr.contains("truth"), "{}", ended.stderr);
}
