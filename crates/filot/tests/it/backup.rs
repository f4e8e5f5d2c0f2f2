//! Backups taken while the service works, and what becomes of damaged ones (R12).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use filot::backup::{backup, restore};
use filot::config::Config;
use filot::document::DocumentId;
use filot::store::Actor;

use crate::support::cards::{Script, card};
use crate::support::{Deployment, TestApp};

/// Runs what has a runtime of its own.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(|| std::thread::spawn(work).join().unwrap()).await.unwrap()
}

fn config_in(data: &Path) -> Config {
    Config::from_parts("", &[("FILOT_DATA_DIR".to_owned(), data.display().to_string())]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_under_load_hold_what_was_acknowledged_before() {
    let deployment = Deployment::embedded();
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let (app, user) = (it.app.clone(), it.user);
    let acknowledged: Arc<Mutex<HashSet<DocumentId>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let new = crate::support::app::upload(user, card(number, Script::Approve, 1));
                let id = filot::intake::submit(&app, new).await.unwrap().id;
                // Every fourth is deleted at once, in the middle of whatever backup is being made.
                if number % 4 == 3 {
                    app.store.delete_document(id, &Actor::User(user)).await.unwrap();
                } else {
                    acknowledged.lock().unwrap().insert(id);
                }
                number += 1;
            }
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let mut restored_documents = 0;
    for nth in 0..20 {
        let before = acknowledged.lock().unwrap().clone();
        let out = folder.path().join(format!("{nth}.tar"));
        let config = deployment.config();
        let (made, file) = apart(move || (backup(&config, &out).unwrap(), out)).await;
        let data = folder.path().join(format!("restored-{nth}"));
        let config = config_in(&data);
        let documents = apart(move || restore(&config, &file, false).unwrap()).await;
        assert_eq!(documents, made.documents);
        let copy = filot::app::App::with_reader(
            config_in(&data),
            crate::support::cards::scripted(),
            filot::clock::Clock::default(),
        )
        .await
        .unwrap();
        for id in before {
            let document = copy.store.document(id).await.expect("acknowledged before the backup");
            copy.blobs.get(&document.blob_key).await.expect("its file");
        }
        restored_documents = documents;
    }
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert!(restored_documents > 20, "hardly any load: {restored_documents}");
    it.rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_refused_and_changes_nothing() {
    let deployment = Deployment::embedded();
    let it = TestApp::new(&deployment).await;
    for number in 0..5 {
        it.upload(card(number, Script::Approve, 0)).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("whole.tar");
    let (config, path) = (deployment.config(), out.clone());
    apart(move || backup(&config, &path).unwrap()).await;
    let whole = std::fs::read(&out).unwrap();
    let (config, path) = (deployment.config(), out.clone());
    let taken = apart(move || restore(&config, &path, false)).await;
    assert!(taken.unwrap_err().to_string().contains("holds a database"));

    let data = folder.path().join("data");
    let verdict = async |bytes: Vec<u8>| {
        let file: PathBuf = folder.path().join("damaged.tar");
        std::fs::write(&file, bytes).unwrap();
        let config = config_in(&data);
        apart(move || restore(&config, &file, false).is_ok()).await
    };
    // Blocks of a tar file: a bit in each that holds something, and an end that is missing.
    let mut tried = 0;
    for at in (0..whole.len()).step_by(512).filter(|at| whole[*at..].iter().take(100).any(|byte| *byte != 0))
    {
        let mut damaged = whole.clone();
        let hit = at + damaged[at..at + 100].iter().position(|byte| *byte != 0).unwrap();
        damaged[hit] ^= 1;
        assert!(!verdict(damaged).await, "a bit at {hit} went unseen");
        tried += 1;
        if tried == 60 {
            break;
        }
    }
    assert!(tried > 20);
    for length in [0, 512, whole.len() / 2, whole.len() - 1024 - 512] {
        assert!(!verdict(whole[..length].to_vec()).await, "cut at {length}");
    }
    assert!(!data.exists(), "nothing is put in place");
    assert!(verdict(whole).await);
}
