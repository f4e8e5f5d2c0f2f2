//! R7: the disk gets full at any write, is read-only, is damaged; the database is locked. Answers stay clean, nothing is
//! corrupt, and the service goes on as soon as it can, without a restart.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use filot::clock::Clock;
use filot::config::Config;
use filot::selftest::account::{Acknowledged, account, order, settle};
use reqwest::Client;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};

use crate::http::server::{PASSWORD, form};
use crate::support::cards::{card, scripted};
use crate::support::disk::{Disk, Fault};
use crate::support::eventually;
use crate::support::serve::Serve;

/// Successive writes at which the disk gets full.
const POSITIONS: u64 = 200;
/// How soon uploads are accepted again once the disk is well.
const RECOVERED: Duration = Duration::from_secs(10);
/// A bound against hanging, with room for a busy machine.
const HEALTHY: Duration = Duration::from_secs(2);

/// The service on a disk that fails.
struct Rig {
    _folder: tempfile::TempDir,
    data: PathBuf,
    disk: Disk,
    serve: Serve,
    http: Client,
    access: String,
    acknowledged: Acknowledged,
    next: u32,
    refused: u32,
}

impl Rig {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        // The service's own log lies on it, too.
        let disk = Disk::below(folder.path());
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().unwrap();
        let mut settings = disk.environment().to_vec();
        settings.extend([
            ("FILOT_WORKER_LEASE_S", "2"),
            ("FILOT_WORKER_POLL_MS", "50"),
            ("FILOT_WORKER_REAPER_INTERVAL_MS", "100"),
            ("FILOT_WORKER_RETRY_BASE_MS", "50"),
            ("FILOT_WORKER_RETRY_MAX_MS", "500"),
            ("FILOT_WORKER_CONCURRENCY", "2"),
            ("FILOT_SERVER_REQUEST_TIMEOUT_S", "5"),
        ]);
        let serve = Serve::start(&data, &http, &["--scripted"], &settings).await;
        let account = json!({ "email": "disk@example.com", "password": PASSWORD });
        let access = serve.post(&http, "/auth/register", account).await;
        let access = access["accessToken"].as_str().unwrap().to_owned();
        let acknowledged = Acknowledged::new();
        Self { _folder: folder, data, disk, serve, http, access, acknowledged, next: 0, refused: 0 }
    }

    /// Uploads one more document. Whether it was accepted; whatever else is answered has to be clean.
    async fn upload(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        let (_, script, millis) = order(number);
        let bytes = card(number, script, millis);
        let request = self
            .http
            .post(format!("{}/documents/upload", self.serve.address))
            .bearer_auth(&self.access)
            .multipart(form(&bytes, "KTP"));
        let answer = request.send().await.expect("the server closes no connection");
        let status = answer.status().as_u16();
        let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let body: Value = answer.json().await.unwrap();
        if status == 202 {
            let id = body["documentId"].as_str().unwrap().parse().unwrap();
            let hash = filot::blobs::content_hash(&bytes);
            self.acknowledged.insert(number, (id, hash));
            return true;
        }
        assert_eq!((status, media_type.as_str()), (503, "application/problem+json"), "{body}");
        assert!(matches!(body["code"].as_str(), Some("unavailable" | "timeout")), "{body}");
        for inside in ["disk", "SQL", "sql", "/", "os error"] {
            assert!(!body["detail"].as_str().unwrap().contains(inside), "{body}");
        }
        self.refused += 1;
        false
    }

    /// It lives, and what is stored can be looked at.
    async fn is_healthy(&self) {
        for path in ["/health", "/documents"] {
            let start = Instant::now();
            let request = self.http.get(format!("{}{path}", self.serve.address)).bearer_auth(&self.access);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200, "{path}");
            assert!(start.elapsed() < HEALTHY, "{path}: {:?}", start.elapsed());
        }
    }

    /// Uploads until one is accepted; how long that took.
    async fn recovers(&mut self) -> Duration {
        let start = Instant::now();
        while !self.upload().await {
            assert!(start.elapsed() < RECOVERED, "the disk is well, and nothing is accepted");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        start.elapsed()
    }

    /// Everything is read to its end, by the process that has seen it all; then nothing is corrupt and nothing lost.
    async fn all_is_well(mut self) {
        let config = |data: &Path| {
            let settings = [("FILOT_DATA_DIR".to_owned(), data.display().to_string())];
            Config::from_parts("", &settings).unwrap()
        };
        let app =
            filot::app::App::with_reader(config(&self.data), scripted(), Clock::default()).await.unwrap();
        assert!(settle(&app, Duration::from_secs(60)).await.unwrap(), "stuck");
        let findings = account(&app, &self.acknowledged).await.unwrap();
        assert!(findings.good(), "{findings:#?}");
        println!(
            "{} accepted, {} refused, {} files without a row swept",
            findings.acknowledged, self.refused, findings.swept
        );
        assert!(self.serve.terminate(Duration::from_secs(15)).await, "it did not end by itself");
        let url = format!("sqlite://{}", self.data.join("filot.db").display());
        let db = Database::connect(url).await.unwrap();
        let check = async |pragma: &str| {
            let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, pragma)).await.unwrap();
            rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(check("PRAGMA integrity_check").await, ["ok"]);
        assert!(check("PRAGMA foreign_key_check").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_gets_full_at_any_write() {
    let mut rig = Rig::start().await;
    let (mut reached, mut most, mut slowest) = (0, 0, Duration::ZERO);
    for position in 0..POSITIONS {
        rig.disk.fail(Fault::Full, position);
        // Uploads, and the worker reading what was accepted, until one write fails.
        let start = Instant::now();
        while rig.disk.refused() == 0 && start.elapsed() < Duration::from_secs(5) {
            rig.upload().await;
        }
        assert!(rig.disk.refused() > 0, "only {} writes in five seconds", rig.disk.writes());
        reached += u64::from(rig.disk.refused() > 0);
        // One whose every write fails.
        let accepted = rig.upload().await;
        assert!(!accepted, "accepted on a full disk");
        rig.is_healthy().await;
        most = most.max(rig.disk.refused());
        rig.disk.mend();
        slowest = slowest.max(rig.recovers().await);
    }
    assert_eq!(reached, POSITIONS);
    println!(
        "{POSITIONS} positions, up to {most} writes refused at one, accepted again after {slowest:?} at most"
    );
    assert!(u64::from(rig.refused) >= POSITIONS);
    rig.all_is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_is_read_only_or_damaged_for_a_while() {
    let mut rig = Rig::start().await;
    for fault in [Fault::ReadOnly, Fault::Damaged] {
        assert!(rig.upload().await);
        rig.disk.fail(fault, 0);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            assert!(!rig.upload().await, "accepted on a disk that takes nothing");
            rig.is_healthy().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        rig.disk.mend();
        println!("{fault:?}: accepted again after {:?}", rig.recovers().await);
    }
    rig.all_is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_holds_the_database() {
    let mut rig = Rig::start().await;
    assert!(rig.upload().await);
    let url = format!("sqlite://{}", rig.data.join("filot.db").display());
    let holder = Database::connect(url).await.unwrap();
    eventually("the lock", Duration::from_secs(20), || async {
        holder.execute_unprepared("BEGIN IMMEDIATE").await.is_ok()
    })
    .await;
    // Longer than SQLite waits for a lock, and than a request may take.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(14) {
        assert!(!rig.upload().await, "accepted while nobody can write");
        rig.is_healthy().await;
    }
    holder.execute_unprepared("ROLLBACK").await.unwrap();
    println!("accepted again after {:?}", rig.recovers().await);
    rig.all_is_well().await;
}
