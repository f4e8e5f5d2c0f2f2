//! The alarms on how the installation stands: what was not done, what is running out, what somebody tries.

use filot::selftest::cards::Script;

use super::{Scene, Watch};
use crate::support::Deployment;
use crate::support::backends::Server;
use crate::support::buli2::{FakeBuli2, Faults, configured};
use crate::support::disk::Disk;

/// The alarms on how the installation stands, each with its metric, in the order in which they are rung here.
pub(super) const STANDING: [(&str, &str); 9] = [
    ("backup-overdue", "filot.backup_overdue"),
    ("unauthorized-burst", "filot.unauthorized_count"),
    ("buli2-forged-callbacks", "filot.buli2.forged_count"),
    ("redis-may-evict", "filot.queue_may_evict"),
    ("reviews-overdue", "filot.reviews_overdue"),
    ("disk-nearly-full", "filot.disk_used_percent"),
    ("dead-documents", "filot.dead_documents"),
    ("checkpoint-overdue", "filot.checkpoint_overdue"),
    ("audit-broken", "filot.audit_broken"),
];

/// What was not done, is running out, or is being tried by somebody: each brought about in a running service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_on_how_the_installation_stands_ring_and_fall_silent() {
    let buli2 = FakeBuli2::start(9).await;
    let deployment = Deployment { redis: Some(Server::redis()), ..Deployment::embedded() };
    let redis = deployment.redis.as_ref().unwrap().port;
    let deployment = configured(deployment, buli2.port);
    let disk = Disk::below(deployment.folder.path());
    let checkpoints = deployment.folder.path().join("elsewhere");
    std::fs::create_dir(&checkpoints).unwrap();
    let file = checkpoints.join("checkpoints.jsonl").display().to_string();
    let key = "t8Fj2Lw5Kq9Xr3Mz7Vb1Nc6Dy4Hs0Gp_";
    let mut more = disk.environment().to_vec();
    more.extend([
        ("OCR_GPU_ENABLED", "false"),
        ("SERVICE_INTERNAL_KEY", key),
        ("FILOT_AUDIT_CHECKPOINT_FILE", &*file),
        ("FILOT_AUDIT_CHECKPOINT_INTERVAL_S", "1"),
        ("FILOT_SERVER_BACKUP_INTERVAL_S", "600"),
        ("FILOT_DESK_SOON_S", "1"),
        ("FILOT_DESK_LATE_S", "1"),
        ("FILOT_WORKER_MAX_ATTEMPTS", "1"),
    ]);
    let mut scene = Scene::start(&deployment, &["--scripted"], &more).await;
    let watch = Watch::new(vec![scene.serve.stdout.clone()]);
    let silent = |ringing: &[String]| ringing.is_empty();
    let mut rung = Vec::new();
    let mut ring = async |name: &'static str, watch: &Watch| {
        watch.until(name, |ringing| ringing.iter().any(|own| own == name)).await;
        assert_eq!(watch.ringing(), [name], "nothing else");
        rung.push(name);
    };

    // Nobody has ever made a backup.
    ring("backup-overdue", &watch).await;
    let mut command = crate::program::filot();
    command.env("FILOT_DATA_DIR", &scene.data).args(["backup", "--note"]);
    assert!(command.status().unwrap().success());
    watch.until("silence", silent).await;

    // Somebody tries tokens.
    for _ in 0..310 {
        let request = scene.http.get(format!("{}/profile", scene.serve.address)).bearer_auth("x").send();
        assert_eq!(request.await.unwrap().status().as_u16(), 401);
    }
    ring("unauthorized-burst", &watch).await;
    watch.until("silence", silent).await;

    // Somebody has the service key and no signature secret. Each is 401 as well, but they are few.
    for n in 0..8 {
        let request = scene.http.post(format!("{}/internal/reviews", scene.serve.address));
        let request = request.bearer_auth(key).header("Content-Type", "application/json");
        let request = request.header("X-Filot-Timestamp", jiff::Timestamp::now().as_second().to_string());
        let request = request.header("X-Filot-Event-Id", format!("event-{n}"));
        let request = request.header("X-Filot-Signature", "0".repeat(64)).body("{}");
        assert_eq!(request.send().await.unwrap().status().as_u16(), 401);
    }
    ring("buli2-forged-callbacks", &watch).await;
    watch.until("silence", silent).await;

    // Redis is set up as a cache.
    let policy = |policy: &'static str| {
        let port = redis.to_string();
        let args = ["-p", &port, "CONFIG", "SET", "maxmemory-policy", policy];
        assert!(std::process::Command::new("redis-cli").args(args).status().unwrap().success());
    };
    policy("allkeys-lru");
    ring("redis-may-evict", &watch).await;
    policy("noeviction");
    watch.until("silence", silent).await;

    // BULI2 refuses, and nobody sits at the desk.
    buli2.set(Faults { only: Some(404), ..Faults::default() });
    scene.upload_many(1, Script::Review, 0).await;
    ring("reviews-overdue", &watch).await;
    let db = filot_database(&scene.data).await;
    sql(&db, "UPDATE reviews SET status = 'approved'").await;
    watch.until("silence", silent).await;

    // The disk fills up. Nothing is written meanwhile.
    disk.fill();
    ring("disk-nearly-full", &watch).await;
    disk.mend();
    watch.until("silence", silent).await;

    // A document that its reader process died over.
    scene.upload_many(1, Script::Aborts, 0).await;
    ring("dead-documents", &watch).await;
    policy("noeviction");
    let port = redis.to_string();
    let args = ["-p", &port, "FLUSHALL"];
    assert!(std::process::Command::new("redis-cli").args(args).status().unwrap().success());
    watch.until("silence", silent).await;

    // Checkpoints have nowhere to go.
    let away = checkpoints.with_extension("away");
    std::fs::rename(&checkpoints, &away).unwrap();
    scene.upload_many(1, Script::Approve, 0).await;
    ring("checkpoint-overdue", &watch).await;
    std::fs::rename(&away, &checkpoints).unwrap();
    watch.until("silence", silent).await;

    // Somebody has cut entries off the trail's end.
    sql(&db, "UPDATE audit_head SET seq = seq + 1").await;
    watch.until("audit-broken", |ringing| ringing.iter().any(|own| own == "audit-broken")).await;
    rung.push("audit-broken");
    scene.serve.kill();
    assert_eq!(rung, STANDING.map(|(name, _)| name));
}

async fn filot_database(data: &std::path::Path) -> sea_orm::DatabaseConnection {
    let url = format!("sqlite://{}", data.join("filot.db").display());
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = sea_orm::Database::connect(options).await.unwrap();
    sql(&db, "PRAGMA busy_timeout = 10000").await;
    db
}

async fn sql(db: &sea_orm::DatabaseConnection, sql: &str) {
    sea_orm::ConnectionTrait::execute_unprepared(db, sql).await.unwrap();
}
