//! `filot doctor`.

use crate::program::{filot, finish, run};

#[test]
fn everything_is_there() {
    let ended = run(["doctor", "--json"]);
    let findings = ended.json();
    let broken: Vec<_> =
        findings.as_array().unwrap().iter().filter(|finding| finding["state"] != "ok").collect();
    // In a development checkout all parts are needed: the tests below use them.
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(ended.status, 0);
    assert!(run(["doctor"]).stdout.starts_with(" 1. networks"));
}

#[test]
fn what_is_missing_comes_with_its_remedy() {
    let empty = tempfile::tempdir().unwrap();
    let mut command = filot();
    command.env("FILOT_READER_MODELS", empty.path()).args(["doctor", "--json"]);
    let ended = finish(command, &[]);
    assert_eq!(ended.status, 69);
    let findings = ended.json();
    let networks = &findings.as_array().unwrap()[0];
    assert_eq!((&networks["state"], &networks["mend"]), (&"broken".into(), &"make models".into()));
}

/// Operators copy `prod.env.template`, which is written from `filot.toml`.
#[test]
fn the_template_for_production_is_what_the_settings_say() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let check = std::process::Command::new("python3")
        .args(["scripts/prod_env_template.py", "--check"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
