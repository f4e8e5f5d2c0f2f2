//! What is not known is not erased: wrong, empty, older and foreign databases, shared buckets, restored backups (R15); and
//! what becomes of files that crashes leave (R10).

use std::collections::BTreeMap;

use bytes::Bytes;
use filot::app::{self, App};
use filot::blobs::{Blobs, Listed, MARK};
use filot::clock::Clock;
use filot::config::Config;
use filot::document::{CardType, DocumentId, UserId};
use filot::installation::{self, Standing, Why};
use filot::selftest::child::upload;
use filot::worker::{SweepError, SweepRules, Swept, sweep_files};
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use sea_orm::{ConnectionTrait, Database};

use crate::program::filot;
use crate::support::app::make_user;
use crate::support::backends::Server;
use crate::support::cards::{Script, card, scripted};
use crate::support::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use crate::support::{Deployment, TestApp};

/// One file store, and databases that are or are not its own.
struct World {
    folder: tempfile::TempDir,
    postgres: Option<Server>,
    s3: Option<S3>,
}

impl World {
    async fn new(postgres: bool, s3: bool) -> Self {
        let s3 = if s3 { Some(S3::start().await) } else { None };
        Self { folder: tempfile::tempdir().unwrap(), postgres: postgres.then(Server::postgres), s3 }
    }

    fn url(&self, database: &str) -> String {
        match &self.postgres {
            Some(server) => format!("{}/{database}", server.url().trim_end_matches("/postgres")),
            None => format!(
                "sqlite://{}?mode=rwc",
                self.folder.path().join(database).with_extension("db").display()
            ),
        }
    }

    /// Settings of a service on a database, with its files at the place of that name.
    fn environment(&self, database: &str, place: &str) -> Vec<(String, String)> {
        let mut vars = vec![
            ("DATABASE_URL".to_owned(), self.url(database)),
            (
                "FILOT_DATA_DIR".to_owned(),
                self.folder.path().join(format!("data-{place}")).display().to_string(),
            ),
            // Databases change places here, and are not to be refused for the place's keys.
            ("SESSION_SECRET".to_owned(), "one secret for all of these places, 32 letters".to_owned()),
        ];
        if let Some(s3) = &self.s3 {
            let settings = [
                ("CF_R2_ENDPOINT", format!("http://127.0.0.1:{}", s3.port)),
                ("CF_R2_BUCKET_NAME", BUCKET.to_owned()),
                ("CF_R2_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
                ("CF_R2_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
                ("CF_R2_PREFIX", if place == "home" { String::new() } else { place.to_owned() }),
            ];
            vars.extend(settings.map(|(name, value)| (name.to_owned(), value)));
        }
        vars
    }

    fn config(&self, database: &str, place: &str) -> Config {
        Config::from_parts("", &self.environment(database, place)).unwrap()
    }

    async fn start(&self, database: &str, place: &str, clock: Clock) -> Result<App, app::Error> {
        App::with_reader(self.config(database, place), scripted(), clock).await
    }

    /// An empty database.
    async fn make(&self, database: &str) {
        if let Some(server) = &self.postgres {
            execute(&server.url(), &format!("CREATE DATABASE {database}")).await;
        }
    }

    /// A copy of a database that nobody uses.
    async fn copy(&self, of: &str, database: &str) {
        match &self.postgres {
            Some(server) => {
                execute(&server.url(), &format!("CREATE DATABASE {database} TEMPLATE {of}")).await
            }
            None => {
                let file = |name: &str| self.folder.path().join(name).with_extension("db");
                std::fs::copy(file(of), file(database)).unwrap();
            }
        }
    }

    /// Every file at the place called home, with its content.
    async fn files(&self) -> BTreeMap<String, Bytes> {
        let app = App::connect(self.config("home", "home"), scripted(), Clock::default()).await.unwrap();
        let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
        let mut files = BTreeMap::new();
        for key in app.blobs.older_than(tomorrow).try_collect::<Vec<_>>().await.unwrap() {
            files.insert(key.clone(), app.blobs.get(&key).await.unwrap());
        }
        for foreign in ["exports/report.csv", "health"] {
            files.insert(foreign.to_owned(), app.blobs.get(foreign).await.unwrap_or_default());
        }
        app.store.clone().close().await.unwrap();
        files
    }

    /// What `filot doctor` says of the files.
    fn doctor(&self, database: &str, place: &str) -> String {
        let mut command = filot();
        command.envs(self.environment(database, place)).args(["doctor", "--json"]);
        let ended = crate::program::finish(command, b"");
        let found: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
        found
            .into_iter()
            .filter(|f| f["check"] == "files")
            .map(|f| format!("{}: {}", f["state"], f["found"]))
            .collect()
    }
}

async fn execute(url: &str, sql: &str) {
    let db = Database::connect(url).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

/// A clock that is past the time in which files may belong to uploads under way.
fn later() -> Clock {
    Clock::by_hand(Timestamp::now() + SignedDuration::from_hours(2))
}

async fn store_files(app: &App, user: UserId, count: u32) {
    for number in 0..count {
        filot::intake::submit(app, upload(user, card(number, Script::Approve, 0))).await.unwrap();
    }
}

/// A search every hour for a day.
async fn a_day_of_searches(app: &App, clock: Clock, rules: &SweepRules) -> Vec<Result<Swept, SweepError>> {
    let mut all = Vec::new();
    for _ in 0..25 {
        all.push(sweep_files(app, rules).await);
        clock.advance(SignedDuration::from_mins(58));
    }
    all
}

/// Starts the service on `database` and expects to be refused, and that nobody erases anything from there either.
async fn refused(world: &World, database: &str, why: &str) {
    let Err(error) = world.start(database, "home", later()).await else { panic!("{database}: it started") };
    let told = error.to_string();
    for wanted in [why, "CF_R2_PREFIX", "filot files adopt"] {
        assert!(told.contains(wanted), "{database}: {told}");
    }
    let clock = later();
    // A process that was running when the settings went wrong.
    let app = App::connect(world.config(database, "home"), scripted(), clock).await.unwrap();
    for rules in [SweepRules::of(&app), SweepRules::AT_ONCE] {
        let searches = a_day_of_searches(&app, clock, &rules).await;
        assert!(searches.iter().all(Result::is_err), "{database}: {searches:?}");
    }
    app.store.clone().close().await.unwrap();
    assert!(world.doctor(database, "home").starts_with("\"broken\""), "{}", world.doctor(database, "home"));
}

/// Two dozen ways to meet files that are not the database's own: none is lost, and the operator is told.
async fn nothing_is_lost(world: World) {
    for database in ["home", "other", "empty"] {
        world.make(database).await;
    }
    let home = world.start("home", "home", Clock::default()).await.unwrap();
    let user = make_user(&home).await;
    store_files(&home, user, 4).await;
    home.blobs.put("exports/report.csv", "theirs".into(), "text/csv").await.unwrap();
    home.store.clone().close().await.unwrap();
    world.copy("home", "older").await;
    // The database goes on, with an account that the copy does not know.
    let home = world.start("home", "home", Clock::default()).await.unwrap();
    let newer = make_user(&home).await;
    store_files(&home, user, 3).await;
    store_files(&home, newer, 3).await;
    installation::note_progress(&home).await.unwrap();
    home.store.clone().close().await.unwrap();
    // Another installation with documents of its own, at another place.
    let other = world.start("other", "elsewhere", Clock::default()).await.unwrap();
    let stranger = make_user(&other).await;
    store_files(&other, stranger, 2).await;
    other.store.clone().close().await.unwrap();
    let before = world.files().await;
    assert_eq!(before.len(), 12);

    // A wrong and an empty database.
    refused(&world, "other", "another installation").await;
    let empty = App::connect(world.config("empty", "home"), scripted(), Clock::default()).await.unwrap();
    empty.store.migrate(true).await.unwrap();
    empty.store.clone().close().await.unwrap();
    refused(&world, "empty", "another installation").await;
    assert_eq!(world.files().await, before);

    // The same where no mark tells: files of a former version.
    let home = App::connect(world.config("home", "home"), scripted(), Clock::default()).await.unwrap();
    let mark = home.blobs.get(MARK).await.unwrap();
    home.blobs.erase(MARK).await.unwrap();
    refused(&world, "other", "none of the files").await;
    refused(&world, "empty", "accounts that this database").await;
    // Whose they are adopts them without a word.
    world.start("home", "home", Clock::default()).await.unwrap().store.clone().close().await.unwrap();
    assert!(home.blobs.mark().await.unwrap().is_some());
    home.blobs.put(MARK, mark, "application/json").await.unwrap();
    home.store.clone().close().await.unwrap();
    assert_eq!(world.files().await, before);

    an_older_one_waits(&world, &before).await;

    // A neighbour under a prefix, or in a folder beside: neither erases what the other has.
    let clock = later();
    for (database, place) in [("home", "home"), ("other", "elsewhere")] {
        let app = world.start(database, place, clock).await.unwrap();
        for search in a_day_of_searches(&app, clock, &SweepRules::of(&app)).await {
            let search = search.unwrap();
            let theirs = if place == "home" && world.s3.is_some() {
                3
            } else if place == "home" {
                1
            } else {
                0
            };
            assert_eq!((search.unknown, search.erased), (0, 0), "{search:?}");
            assert!(search.foreign >= theirs, "{search:?}");
        }
        app.store.clone().close().await.unwrap();
    }
    assert_eq!(world.files().await, before);

    // Knowingly, they can be taken over; even then nothing goes for a day.
    let other = App::connect(world.config("other", "home"), scripted(), later()).await.unwrap();
    installation::adopt(&other.store, &other.blobs).await.unwrap();
    other.store.clone().close().await.unwrap();
    let clock = later();
    let other = world.start("other", "home", clock).await.unwrap();
    for search in a_day_of_searches(&other, clock, &SweepRules::of(&other)).await {
        assert_eq!((search.as_ref().unwrap().strangers, search.unwrap().erased), (10, 0));
    }
    assert_eq!(world.files().await, before);
}

/// A database that was set back to an earlier time: it serves, tells, and takes no file to be forgotten for a day; those of
/// accounts that it does not know stay for good.
async fn an_older_one_waits(world: &World, before: &BTreeMap<String, Bytes>) {
    let clock = later();
    let older = world.start("older", "home", clock).await.unwrap();
    let standing = installation::standing(&older.store, &older.blobs).await.unwrap();
    assert!(matches!(standing, Standing::Quiet { why: Why::Behind, .. }), "{standing:?}");
    let told = world.doctor("older", "home");
    assert!(told.contains("does not: it was set back"), "{told}");
    for search in a_day_of_searches(&older, clock, &SweepRules::of(&older)).await {
        let search = search.unwrap();
        assert_eq!((search.unknown, search.strangers, search.erased), (3, 3, 0), "{search:?}");
    }
    // The database that is ahead goes on with the same files: the day begins anew.
    let home = world.start("home", "home", Clock::default()).await.unwrap();
    make_user(&home).await;
    installation::note_progress(&home).await.unwrap();
    home.store.clone().close().await.unwrap();
    let standing = installation::agree(&older.store, &older.blobs).await.unwrap();
    assert!(
        matches!(standing, Standing::Quiet { why: Why::Behind, until } if until > clock.now()),
        "{standing:?}"
    );
    for search in a_day_of_searches(&older, clock, &SweepRules::of(&older)).await {
        assert_eq!(search.unwrap().erased, 0);
    }
    older.store.clone().close().await.unwrap();
    assert_eq!(&world.files().await, before);
}

/// Two databases of one installation on the same files: while both live, neither erases what the other has stored, though
/// one of them has nothing to write for longer than a quarantine; when one is gone, the other goes on alone.
async fn a_copy_goes_on_beside(world: World) {
    let first_day = later();
    world.make("home").await;
    let home = world.start("home", "home", first_day).await.unwrap();
    let user = make_user(&home).await;
    store_files(&home, user, 2).await;
    installation::note_progress(&home).await.unwrap();
    home.store.clone().close().await.unwrap();
    world.copy("home", "copy").await;

    // The copy has come no further; then the home stores more, and is idle from there.
    let clock = Clock::by_hand(first_day.now() + SignedDuration::from_hours(30));
    let home = world.start("home", "home", clock).await.unwrap();
    let copy = world.start("copy", "home", clock).await.unwrap();
    store_files(&home, user, 3).await;
    let before = world.files().await;
    let (mut most, mut erased) = (0, 0);
    for _ in 0..12 * 24 {
        clock.advance(SignedDuration::from_hours(1));
        for app in [&copy, &home] {
            installation::note_progress(app).await.unwrap();
            let swept = sweep_files(app, &SweepRules::of(app)).await.unwrap();
            most = most.max(swept.unknown);
            erased += swept.erased;
        }
    }
    assert_eq!((most, erased), (3, 0));
    assert_eq!(world.files().await, before);
    let told = world.doctor("copy", "home");
    assert!(told.contains("or a copy of it goes on"), "{told}");

    // The quarantine begins when the home has been silent for a day, and no earlier.
    home.store.clone().close().await.unwrap();
    let mut hours = 0;
    while erased == 0 && hours < 30 * 24 {
        clock.advance(SignedDuration::from_hours(1));
        hours += 1;
        installation::note_progress(&copy).await.unwrap();
        erased += sweep_files(&copy, &SweepRules::of(&copy)).await.unwrap().erased;
    }
    assert!((8 * 24 - 2..9 * 24).contains(&hours), "{hours}");
    assert_eq!(erased, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_goes_on_beside_sqlite() {
    a_copy_goes_on_beside(World::new(false, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_goes_on_beside_postgres() {
    a_copy_goes_on_beside(World::new(true, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_sqlite_and_folder() {
    nothing_is_lost(World::new(false, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_sqlite_and_s3() {
    nothing_is_lost(World::new(false, true).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_postgres_and_folder() {
    nothing_is_lost(World::new(true, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_postgres_and_s3() {
    nothing_is_lost(World::new(true, true).await).await;
}

/// A service whose files are old enough to be searched.
async fn searched(deployment: &Deployment) -> (TestApp, Clock) {
    let clock = later();
    (TestApp::on(deployment.app_with(scripted(), clock).await).await, clock)
}

/// A file without a document, as a crash between file and row leaves it.
async fn leave(it: &TestApp, owner: UserId) -> String {
    let key = Blobs::key(owner, CardType::Ktp, DocumentId::new(), "image/png");
    it.app.blobs.put(&key, "left".into(), "image/png").await.unwrap();
    key
}

crate::support::on_sqlite_and_postgres! {
    a_file_is_erased_when_nothing_has_known_it_for_long
    many_unknown_files_are_told_and_stay
}

async fn a_file_is_erased_when_nothing_has_known_it_for_long(deployment: Deployment) {
    let (it, clock) = searched(&deployment).await;
    let kept = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    let (gone, stranger) = (leave(&it, it.user).await, leave(&it, UserId::new()).await);
    let rules = SweepRules::of(&it.app);
    let search = async || sweep_files(&it.app, &rules).await.unwrap();
    // On its first day a database takes nothing to be forgotten, and no clock begins.
    assert_eq!(search().await, Swept { seen: 3, unknown: 1, strangers: 1, ..Swept::default() });
    assert_eq!(it.app.store.quarantine_in_all().await.unwrap().files, 0);
    clock.advance(SignedDuration::from_hours(25));
    assert_eq!(search().await.erased, 0);
    let all = it.app.store.quarantine_in_all().await.unwrap();
    assert_eq!((all.files, all.bytes, all.since), (1, 4, Some(clock.now())));
    clock.advance(SignedDuration::from_hours(24 * 7 - 1));
    assert_eq!(search().await.erased, 0);
    assert!(it.app.blobs.has(&gone).await.unwrap());
    clock.advance(SignedDuration::from_hours(2));
    assert_eq!(search().await.erased, 1);
    assert!(!it.app.blobs.has(&gone).await.unwrap());
    assert_eq!(it.app.store.quarantine_in_all().await.unwrap().files, 0);
    assert!(it.app.blobs.has(&kept.blob_key).await.unwrap());
    // Whatever the rules: what is of an unknown account is not ours.
    sweep_files(&it.app, &SweepRules::AT_ONCE).await.unwrap();
    assert!(it.app.blobs.has(&stranger).await.unwrap());

    // A file that gets its document in time is forgotten by the search, not by us.
    let late = leave(&it, it.user).await;
    clock.advance(SignedDuration::from_hours(2));
    search().await;
    let db = Database::connect(database_url(&deployment)).await.unwrap();
    let sql = format!("UPDATE documents SET file_url = '{late}' WHERE file_url = '{}'", kept.blob_key);
    db.execute_unprepared(&sql).await.unwrap();
    clock.advance(SignedDuration::from_hours(24 * 8));
    search().await;
    assert!(it.app.blobs.has(&late).await.unwrap() && it.app.blobs.has(&kept.blob_key).await.unwrap());
}

fn database_url(deployment: &Deployment) -> String {
    match &deployment.postgres {
        Some(server) => server.url(),
        None => format!("sqlite://{}", deployment.data_dir().join("filot.db").display()),
    }
}

async fn many_unknown_files_are_told_and_stay(deployment: Deployment) {
    let (it, clock) = searched(&deployment).await;
    for number in 0..30 {
        it.upload(card(number, Script::Approve, 0)).await.unwrap();
    }
    for _ in 0..25 {
        leave(&it, it.user).await;
    }
    let rules = SweepRules::of(&it.app);
    clock.advance(SignedDuration::from_hours(25));
    sweep_files(&it.app, &rules).await.unwrap();
    clock.advance(SignedDuration::from_hours(24 * 8));
    let search = sweep_files(&it.app, &rules).await.unwrap();
    assert_eq!((search.seen, search.unknown, search.withheld, search.erased), (55, 25, 25, 0));
    // The operator knows of them, and says how many.
    let fewer = SweepRules { at_most: Some(24), ..rules };
    assert_eq!(sweep_files(&it.app, &fewer).await.unwrap().erased, 0);
    let known = SweepRules { at_most: Some(25), ..rules };
    assert_eq!(sweep_files(&it.app, &known).await.unwrap().erased, 25);
    let left: Vec<Listed> = it.app.blobs.list(clock.now()).try_collect().await.unwrap();
    assert_eq!(left.len(), 30);
}

/// The share of a round is bounded from below and from above.
#[tokio::test]
async fn a_round_may_erase_a_share() {
    let deployment = Deployment::embedded();
    let rules = SweepRules::of(&deployment.app().await);
    assert_eq!([0, 100, 5_000, 90_000, 10_000_000].map(|seen| rules.allowed(seen)), [20, 20, 50, 900, 1000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_gets_no_schema_unless_told() {
    for deployment in [Deployment::embedded(), Deployment::postgres()] {
        let deployment = deployment.with("DATABASE_CREATE", "false");
        let refused = App::with_reader(deployment.config(), scripted(), Clock::default()).await;
        let Err(error) = refused else { panic!("a schema was made") };
        assert!(error.to_string().contains("filot migrate --create"), "{error}");
        let mut command = filot();
        command.envs(deployment.environment()).arg("migrate");
        assert_eq!(crate::program::finish(command, b"").status, 69);
        let mut command = filot();
        command.envs(deployment.environment()).args(["migrate", "--create"]);
        let made = crate::program::finish(command, b"");
        assert_eq!(made.status, 0, "{}", made.stderr);
        // From then on it is as ever.
        deployment.app().await;
    }
}
