//! Backups taken while the service works, and what becomes of damaged ones (R12).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use filot::app::App;
use filot::backup::{backup, restore};
use filot::blobs::content_hash;
use filot::clock::Clock;
use filot::config::Config;
use filot::document::DocumentId;
use filot::queue::Lane;
use filot::selftest::account::{order, settle};
use filot::store::Actor;
use filot::worker::upkeep_once;
use filot::workflow::read_documents;
use futures_util::{StreamExt, stream};
use sea_orm::{ConnectionTrait, Database, Statement};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::program::{filot, finish};
use crate::support::cards::{card, scripted};
use crate::support::s3::{ACCESS_KEY, BUCKET, SECRET_KEY};
use crate::support::{Deployment, TestApp};

/// Backups of a run, and uploads from the beginning of each to that of the next.
const BACKUPS: u32 = 20;
const UPLOADS: u32 = 40;
/// Files looked at, at a time.
const AT_ONCE: usize = 16;

/// Runs what has a runtime of its own.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(|| std::thread::spawn(work).join().unwrap()).await.unwrap()
}

fn config_in(data: &Path) -> Config {
    Config::from_parts("", &[("FILOT_DATA_DIR".to_owned(), data.display().to_string())]).unwrap()
}

/// Uploads of every kind, one after the other, of which every fourth is deleted at once, in the middle of whatever backup
/// is being made.
struct Load {
    acknowledged: Arc<Mutex<HashSet<DocumentId>>>,
    /// Uploads that may have been made so far, so that a slow machine does not check thousands.
    allowed: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    uploads: JoinHandle<u32>,
}

impl Load {
    fn start(it: &TestApp) -> Self {
        let (app, user) = (it.app.clone(), it.user);
        let acknowledged: Arc<Mutex<HashSet<DocumentId>>> = Arc::default();
        let (stop, allowed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (known, stopped, limit) = (Arc::clone(&acknowledged), Arc::clone(&stop), Arc::clone(&allowed));
        let uploads = tokio::spawn(async move {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                if number >= limit.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                let (_, script, _) = order(number);
                let new = crate::support::app::upload(user, card(number, script, 1));
                let id = filot::intake::submit(&app, new).await.unwrap().id;
                if number % 4 == 3 {
                    app.store.delete_document(id, &Actor::User(user)).await.unwrap();
                } else {
                    known.lock().unwrap().insert(id);
                }
                number += 1;
            }
            number
        });
        Self { acknowledged, allowed, stop, uploads }
    }

    /// What is acknowledged by now. Uploads go on while the next backup is made.
    fn acknowledged(&self) -> HashSet<DocumentId> {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        self.allowed.fetch_add(UPLOADS, Ordering::Relaxed);
        acknowledged
    }

    async fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.uploads.await.unwrap()
    }
}

/// A copy holds everything that was acknowledged before it was made, nothing in it refers to what is not there, and its
/// audit trail is whole. Gives how many documents it has.
async fn hold_against(before: &HashSet<DocumentId>, environment: &[(String, String)], database: &str) -> u64 {
    // The program itself, as whoever restores asks it.
    let audit = {
        let mut command = filot();
        command.envs(environment.iter().cloned()).args(["audit", "verify"]);
        apart(move || finish(command, b"")).await
    };
    assert_eq!(audit.status, 0, "{}{}", audit.stdout, audit.stderr);
    assert!(audit.stdout.contains("unbroken"), "{}", audit.stdout);
    let config = Config::from_parts("", environment).unwrap();
    let copy = App::with_reader(config, scripted(), Clock::default()).await.unwrap();
    for id in before {
        copy.store.document(*id).await.expect("acknowledged before the backup");
    }
    let keys = copy.store.blob_keys().await.unwrap();
    let looks = keys.iter().map(|(key, hash)| {
        let blobs = &copy.blobs;
        async move {
            let file =
                blobs.get(key).await.unwrap_or_else(|error| panic!("a row without its file {key}: {error}"));
            assert_eq!(&content_hash(&file), hash, "another file under {key}");
        }
    });
    stream::iter(looks).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    drop(copy);
    let database = Database::connect(database).await.unwrap();
    let dangling = database.query_all_raw(dangling(&database)).await.unwrap();
    let of: Vec<String> = dangling.iter().map(|row| row.try_get("", "name").unwrap()).collect();
    assert!(of.is_empty(), "rows that refer to what is not there: {of:?}");
    keys.len() as u64
}

/// Asks for rows that refer to a row which is not there. PostgreSQL checks the keys of its schema itself when a dump is
/// put back; those of SQLite are checked here, and on both what no key guards: reviews and requests of documents.
fn dangling(database: &sea_orm::DatabaseConnection) -> Statement {
    let of = |table: &str| {
        format!(
            "SELECT '{table}' AS name FROM {table} t LEFT JOIN documents d ON d.id = t.document_id \
             WHERE t.document_id IS NOT NULL AND d.id IS NULL"
        )
    };
    let mut parts = vec![of("reviews"), of("idempotency"), of("jobs")];
    if database.get_database_backend() == sea_orm::DbBackend::Sqlite {
        parts.push("SELECT \"table\" AS name FROM pragma_foreign_key_check".to_owned());
    }
    Statement::from_string(database.get_database_backend(), parts.join(" UNION ALL "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_under_load_hold_what_was_acknowledged_before() {
    let deployment = Deployment::embedded();
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let load = Load::start(&it);
    let folder = tempfile::tempdir().unwrap();
    let mut documents = 0;
    for nth in 0..BACKUPS {
        let before = load.acknowledged();
        let out = folder.path().join(format!("{nth}.tar"));
        let config = deployment.config();
        let (made, file) = apart(move || (backup(&config, &out).unwrap(), out)).await;
        let data = folder.path().join(format!("restored-{nth}"));
        let config = config_in(&data);
        let restored = apart(move || restore(&config, &file, false).unwrap()).await;
        assert_eq!(restored, made.documents);
        let environment = [("FILOT_DATA_DIR".to_owned(), data.display().to_string())];
        let database = format!("sqlite://{}", data.join("filot.db").display());
        documents = hold_against(&before, &environment, &database).await;
        assert_eq!(documents, restored as u64);
    }
    assert!(load.end().await > documents as u32 && documents > 20, "hardly any load: {documents}");
    it.rest().await;
    // Whoever goes on with the last copy comes to the end of everything in it.
    let mut environment = deployment.environment();
    environment[0].1 = folder.path().join(format!("restored-{}", BACKUPS - 1)).display().to_string();
    goes_on(Config::from_parts("", &environment).unwrap()).await;
}

/// A worker on a copy finds its way: nothing stays stuck.
async fn goes_on(config: Config) {
    let app = App::with_reader(config, scripted(), Clock::default()).await.unwrap();
    let mut copy = TestApp::on(app).await;
    copy.work();
    assert!(settle(&copy.app, Duration::from_secs(60)).await.unwrap(), "stuck");
    copy.rest().await;
}

/// PostgreSQL and a bucket as `docs/runbook.md` says: the dump first, then the files, of which none is gone for as long
/// as the dump is kept. That the bucket keeps them is played by erasing none between the dump and the copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dumps_and_buckets_under_load_hold_what_was_acknowledged_before() {
    let deployment = Deployment::full().await;
    let it = TestApp::new(&deployment).await;
    let stop = CancellationToken::new();
    let readers = tokio::spawn(read_documents(it.app.clone(), Lane::Cpu, stop.clone()));
    let load = Load::start(&it);
    let folder = tempfile::tempdir().unwrap();
    let postgres = deployment.postgres.as_ref().unwrap();
    let (mut documents, mut last) = (0, None);
    for nth in 0..BACKUPS {
        upkeep_once(&it.app).await;
        let before = load.acknowledged();
        let (dump, name) = (folder.path().join(format!("{nth}.dump")), format!("filot_restored_{nth}"));
        let file = dump.display().to_string();
        postgres.command("pg_dump", &["--format=custom", &format!("--file={file}"), "postgres"]);
        let bucket = deployment.s3.as_ref().unwrap().copy().await;
        postgres.command("createdb", &[&name]);
        let into = format!("--dbname={name}");
        postgres.command("pg_restore", &[&into, "--no-owner", "--exit-on-error", &file]);
        let url = format!("{}/{name}", postgres.url().trim_end_matches("/postgres"));
        let environment = [
            ("FILOT_DATA_DIR", deployment.data_dir().display().to_string()),
            ("DATABASE_URL", url.clone()),
            ("DATABASE_MAX_CONNECTIONS", "4".to_owned()),
            ("CF_R2_ENDPOINT", format!("http://127.0.0.1:{}", bucket.port)),
            ("CF_R2_BUCKET_NAME", BUCKET.to_owned()),
            ("CF_R2_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("CF_R2_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        documents = hold_against(&before, &environment, &url).await;
        last = Some((environment, bucket));
    }
    assert!(load.end().await > documents as u32 && documents > 20, "hardly any load: {documents}");
    stop.cancel();
    readers.await.unwrap();
    let (environment, _bucket) = last.unwrap();
    let quick = deployment.settings.iter().cloned();
    goes_on(Config::from_parts("", &environment.into_iter().chain(quick).collect::<Vec<_>>()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_refused_and_changes_nothing() {
    let deployment = Deployment::embedded();
    let it = TestApp::new(&deployment).await;
    for number in 0..5 {
        it.upload(card(number, order(number).1, 0)).await.unwrap();
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
