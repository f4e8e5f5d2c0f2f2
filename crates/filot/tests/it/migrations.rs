//! R11: the schema of every release becomes that of this one, with 10,000 rows in it, whoever is killed meanwhile.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use filot::audit::{Verified, verify_trail};
use filot::clock::Clock;
use filot::config::Config;
use filot::document::{DocumentId, Status, UserId};
use filot::store::Store;
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use uuid::Uuid;

use crate::support::TestApp;
use crate::support::backends::Server;
use crate::support::cards::{Script, card, scripted};

const ROWS: u64 = 10_000;
/// Kills for each schema, evenly over the time that a migration takes.
const KILLS: u32 = 20;
/// The named places of a migration, at each of which a process dies.
pub(crate) const PLACES: [&str; 3] =
    ["store.migrate.after_lock", "store.migrate.after_step", "store.migrate.before_commit"];
/// Databases that are copies of each other.
enum Databases {
    Folder(tempfile::TempDir),
    Server(Box<Server>, tempfile::TempDir),
}

/// One of them.
struct Copy {
    environment: Vec<(String, String)>,
}

impl Databases {
    fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) | Self::Server(_, folder) => folder.path(),
        }
    }

    /// The database with this name.
    fn named(&self, name: &str) -> Copy {
        let url = match self {
            Self::Folder(folder) => {
                format!("sqlite://{}?mode=rwc", folder.path().join(name).with_extension("db").display())
            }
            Self::Server(server, _) => {
                format!("{}/{name}", server.url().trim_end_matches("/postgres"))
            }
        };
        let data = self.folder().join("data");
        let environment = [("FILOT_DATA_DIR", data.display().to_string()), ("DATABASE_URL", url)];
        Copy { environment: environment.map(|(name, value)| (name.to_owned(), value)).to_vec() }
    }

    /// An exact copy of `of`, which nobody uses, in place of the one there was. Empty without `of`.
    async fn copy(&self, of: Option<&str>, name: &str) -> Copy {
        match self {
            Self::Folder(folder) => {
                let file = |name: &str| folder.path().join(name).with_extension("db");
                for leftover in ["db", "db-wal", "db-shm"] {
                    let _ = std::fs::remove_file(file(name).with_extension(leftover));
                }
                if let Some(of) = of {
                    std::fs::copy(file(of), file(name)).unwrap();
                }
            }
            Self::Server(server, _) => {
                let db = Database::connect(server.url()).await.unwrap();
                db.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
                let template = of.unwrap_or("template0");
                let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
                db.execute_unprepared(&sql).await.unwrap();
                db.close().await.unwrap();
            }
        }
        self.named(name)
    }
}

impl Copy {
    fn config(&self) -> Config {
        Config::from_parts("", &self.environment).unwrap()
    }

    async fn store(&self) -> Store {
        Store::connect(&self.config().service, Clock::default()).await.unwrap()
    }

    /// A process that brings the schema up to date.
    fn migrate(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_filot"));
        command.arg("migrate").env_clear().envs(self.environment.iter().cloned());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A process that dies at the `nth` passage of a place in its migration.
    fn die_at(&self, failpoint: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_filot"));
        command.args(["selftest", "child", &Uuid::nil().to_string(), "--failpoint", failpoint]);
        command.env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{failpoint}: {status}");
    }

    async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.environment[1].1.clone());
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.unwrap()
    }

    /// Puts 10,000 documents into the first schema, with events and audit entries, and reviews of a quarter.
    async fn fill(&self, user: UserId) {
        let db = self.connect().await;
        let postgres = db.get_database_backend() == DbBackend::Postgres;
        let (id, json) = match postgres {
            true => ("CAST(lpad(to_hex(n), 32, '0') AS uuid)", "CAST('{\"number\":1}' AS jsonb)"),
            false => ("unhex(printf('%032x', n))", "'{\"number\":1}'"),
        };
        let count = |rows: u64| {
            format!(
                "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {rows}) SELECT "
            )
        };
        let (all, quarter) = (count(ROWS), count(ROWS / 4));
        let at = DateTimeUtc::from_timestamp_millis(1_790_000_000_000).unwrap();
        let statements = [
            format!(
                "INSERT INTO documents (id, user_id, type, file_url, status, verification_status, ai_score, \
                 ai_decision, result_json, ocr_text, created_at, updated_at, processed_at, content_hash, media_type, \
                 byte_size, lane) {all} {id}, $1, 'KTP', 'file-' || n, 'completed', 'auto_approved', 95, \
                 'auto_approve', {json}, 'a line', $2, $2, $2, 'hash-' || n, 'image/png', n, 'cpu' FROM t"
            ),
            format!(
                "INSERT INTO events (id, document_id, user_id, verdict_of, kind, status, verification_status, at) \
                 {all} {id}, {id}, $1, 1, 'document.completed', 'completed', 'auto_approved', $2 FROM t"
            ),
            format!(
                "INSERT INTO audit (at, actor, action, subject) {all} $1, 'system', 'document.verdict', \
                 'document:' || n FROM t"
            ),
            format!(
                "INSERT INTO reviews (id, document_id, user_id, status, created_at, updated_at) \
                 {quarter} {id}, {id}, $1, 'open', $2, $2 FROM t"
            ),
        ];
        for sql in statements {
            // The user, where there is one, and the time.
            let values: Vec<sea_orm::Value> =
                if sql.contains("$2") { vec![user.0.into(), at.into()] } else { vec![at.into()] };
            let statement = Statement::from_sql_and_values(db.get_database_backend(), &sql, values);
            db.execute_raw(statement).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
        }
        db.close().await.unwrap();
    }

    /// What must not change: rows of each table, and sums over them.
    async fn content(&self) -> Vec<i64> {
        let db = self.connect().await;
        let mut content = Vec::new();
        for sql in [
            "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM documents WHERE status = 'completed' AND ai_score = 95",
            "SELECT CAST(SUM(byte_size) AS BIGINT) AS n FROM documents",
            "SELECT CAST(COUNT(DISTINCT file_url || content_hash) AS BIGINT) AS n FROM documents",
            "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM events WHERE verdict_of = 1",
            "SELECT CAST(COUNT(DISTINCT subject) AS BIGINT) AS n FROM audit",
            "SELECT CAST(COUNT(DISTINCT document_id) AS BIGINT) AS n FROM reviews WHERE status = 'open'",
            "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM users",
        ] {
            let statement = Statement::from_string(db.get_database_backend(), sql);
            let row = db.query_one_raw(statement).await.unwrap().unwrap();
            content.push(row.try_get("", "n").unwrap());
        }
        db.close().await.unwrap();
        content
    }

    async fn pending(&self) -> Vec<String> {
        let store = self.store().await;
        let pending = store.pending_migrations().await.unwrap();
        store.close().await.unwrap();
        pending
    }
}

fn finish(child: Child) {
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// The databases `released1`, `released2` … , each as a release left it; the names of all steps, and what is in each
/// database.
async fn released(databases: &Databases) -> (Vec<String>, Vec<i64>) {
    let origin = databases.copy(None, "released1").await;
    let store = origin.store().await;
    let all = store.pending_migrations().await.unwrap();
    store.migrate_up_to(1).await.unwrap();
    store.close().await.unwrap();
    // The account's own table has not changed since.
    let user = UserId::new();
    let db = origin.connect().await;
    let at = DateTimeUtc::from_timestamp_millis(1_790_000_000_000).unwrap();
    let values: Vec<sea_orm::Value> = vec![user.0.into(), at.into()];
    let sql = "INSERT INTO users (id, role, created_at, updated_at) VALUES ($1, 'user', $2, $2)";
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.unwrap();
    db.close().await.unwrap();
    origin.fill(user).await;
    let content = origin.content().await;
    assert_eq!((content[0], content[5]), (ROWS as i64, ROWS as i64 / 4));
    for steps in 2..all.len() {
        let copy = databases.copy(Some("released1"), &format!("released{steps}")).await;
        let store = copy.store().await;
        store.migrate_up_to(steps).await.unwrap();
        store.close().await.unwrap();
    }
    (all, content)
}

/// The schema is either the old one or the new one, and every row is there.
async fn whole(copy: &Copy, left: &[String], content: &[i64]) -> bool {
    let pending = copy.pending().await;
    assert!(pending.is_empty() || pending == left, "half migrated: {pending:?}");
    assert_eq!(copy.content().await, content);
    pending.is_empty()
}

async fn killed_in_mid_migration(databases: Databases) {
    let (all, content) = released(&databases).await;
    for steps in 1..all.len() {
        let left = &all[steps..];
        let from = format!("released{steps}");
        // Named places first: these are in the middle for sure.
        let copy = databases.copy(Some(&from), "work").await;
        let [after_lock, after_step, before_commit] = PLACES;
        copy.die_at(&format!("{after_lock}:1"));
        for step in 1..=left.len() {
            copy.die_at(&format!("{after_step}:{step}"));
        }
        copy.die_at(&format!("{before_commit}:1"));
        assert!(!whole(&copy, left, &content).await);
        let start = Instant::now();
        finish(copy.migrate());
        let takes = start.elapsed();
        assert!(whole(&copy, left, &content).await);

        let mut copy = databases.copy(Some(&from), "work").await;
        let mut before_the_end = 0;
        for kill in 1..=KILLS {
            let mut child = copy.migrate();
            std::thread::sleep(takes * kill / (KILLS + 1));
            let _ = child.kill();
            let _ = child.wait();
            if whole(&copy, left, &content).await {
                copy = databases.copy(Some(&from), "work").await;
            } else {
                before_the_end += 1;
            }
        }
        println!("from {}: {takes:?}, {before_the_end} of {KILLS} killed before the end", all[steps - 1]);
        assert!(before_the_end >= KILLS / 4, "the kills came too late");

        // Processes that start together do not get in each other's way.
        let starting: Vec<Child> = (0..4).map(|_| copy.migrate()).collect();
        starting.into_iter().for_each(finish);
        assert!(whole(&copy, left, &content).await);
    }
    works(&databases.named("work")).await;
}

/// What was upgraded is a service like any other.
async fn works(copy: &Copy) {
    let app = filot::app::App::with_reader(copy.config(), scripted(), Clock::default()).await.unwrap();
    let mut it = TestApp::on(app).await;
    let old = it.document(DocumentId(Uuid::from_u128(ROWS.into()))).await;
    assert_eq!((old.status, old.score, old.byte_size, old.retakes), (Status::Completed, Some(95), ROWS, 0));
    let trail = verify_trail(&it.app.store, &[]).await.unwrap();
    assert!(matches!(&trail, Verified::Whole(chain) if chain.seq() > ROWS as i64), "{trail:?}");
    it.work();
    let id = it.upload(card(1, Script::Approve, 0)).await.unwrap().id;
    assert_eq!(it.finished(id).await.status, Status::Completed);
    it.rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_migration_sqlite() {
    killed_in_mid_migration(Databases::Folder(tempfile::tempdir().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_migration_postgres() {
    let server = Box::new(Server::postgres());
    killed_in_mid_migration(Databases::Server(server, tempfile::tempdir().unwrap())).await;
}

/// Where the schemas of released steps lie, one file for each step.
fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema")
}

/// The schema after each step.
async fn schemas() -> Vec<(String, String)> {
    let databases = Databases::Folder(tempfile::tempdir().unwrap());
    let store = databases.copy(None, "fresh").await.store().await;
    let all = store.pending_migrations().await.unwrap();
    store.close().await.unwrap();
    let mut schemas = Vec::new();
    for (before, name) in all.into_iter().enumerate() {
        let copy = databases.copy(None, "fresh").await;
        let store = copy.store().await;
        store.migrate_up_to(before + 1).await.unwrap();
        store.close().await.unwrap();
        let db = copy.connect().await;
        let sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name";
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        db.close().await.unwrap();
        let lines = rows.iter().map(|row| row.try_get::<String>("", "sql").unwrap() + ";\n");
        schemas.push((name, lines.collect()));
    }
    schemas
}

/// A step that was released never changes: its schema is the one that was frozen with the release.
#[tokio::test]
async fn released_steps_never_change() {
    let mut released = 0;
    for (name, schema) in schemas().await {
        if let Ok(known) = std::fs::read_to_string(frozen().join(&name).with_extension("sql")) {
            assert_eq!(schema, known, "{name} was released and has changed; add a step instead");
            released += 1;
        }
    }
    assert!(released >= 4, "the schemas of released steps are missing");
}

/// For a release: freezes the schemas of the steps that are new in it.
#[tokio::test]
#[ignore = "for a release: writes files into the checkout"]
async fn freeze() {
    std::fs::create_dir_all(frozen()).unwrap();
    for (name, schema) in schemas().await {
        let file = frozen().join(&name).with_extension("sql");
        if !file.exists() {
            std::fs::write(file, schema).unwrap();
        }
    }
}
