//! The processes of the service: `serve`, `worker`, `migrate`, `create-user`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::App;
use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{Api, door};
use crate::queue::Lane;
use crate::reader::ReaderError;
use crate::readers::Readers;
use crate::selftest::child::refuse_where_verdicts_count;
use crate::store::{Actor, NewUser, Role, Store};
use crate::telemetry::emf::Emf;
use crate::telemetry::gauges;
use crate::worker::run_upkeep;
use crate::workflow::read_documents;
use crate::{sample, telemetry};

/// The account that is made where nothing is at stake: embedded, in development.
const TEST_EMAIL: &str = "test@example.com";
/// How long the database may take to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The drawn cards among which one is to try the service with.
const SAMPLE_SEED: u64 = 7;

/// Runs the API, and a worker in the same process if `worker` and the configuration say so, until the process is told
/// to stop. With `scripted` nothing is read: see [`crate::selftest::cards`].
///
/// # Errors
/// When a part is missing or the address cannot be listened on.
pub fn serve(config: Config, worker: bool, scripted: bool) -> anyhow::Result<()> {
    if scripted {
        refuse_where_verdicts_count(&config)?;
    }
    let _traces = telemetry::start(&config.service)?;
    let emf = cloudwatch(&config);
    let metrics = telemetry::start_metrics(emf.as_ref())?;
    let grace = grace(&config);
    door::raise_open_files();
    in_runtime(grace, async move |stop: CancellationToken| {
        let worker = worker && config.service.worker.embedded;
        let address = format!("{}:{}", config.service.server.host, config.service.server.port);
        let app = build(config, worker, scripted).await?;
        let listener =
            TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
        let api = Api::new(app.clone(), Some(metrics.clone()), stop.clone())?;
        let mut tasks = JoinSet::new();
        tasks.spawn(run_upkeep(app.clone(), stop.clone()));
        if worker {
            tasks.spawn(read_documents(app.clone(), Lane::Cpu, stop.clone()));
        }
        if let Some(emf) = emf {
            tasks.spawn(tell_cloudwatch(app.clone(), emf, stop.clone()));
        }
        let keep = stop.clone();
        tasks.spawn(async move {
            while keep.run_until_cancelled(tokio::time::sleep(Duration::from_secs(5))).await.is_some() {
                metrics.run_upkeep();
            }
        });
        let limits = door::Limits::of(&app.config.service.server);
        tasks.spawn(door::serve(listener, api.router(), limits, stop.clone()));
        info!(%address, worker, reader = app.reader.name(), "ready");
        // Requests are answered by now. That there is nothing to greet with, or nobody to read it, is no reason to stop.
        match welcome(&app, &api.auth).await {
            Ok(welcome) => {
                let _ = io::stdout().write_all(welcome.as_bytes());
                let _ = io::stdout().flush();
            }
            Err(error) => warn!(error = format!("{error:#}"), "no links were made; a restart makes them"),
        }
        stop.cancelled().await;
        finish(tasks, grace).await;
        close(&app).await;
        Ok(())
    })
}

/// Reads documents of a lane until the process is told to stop. With `scripted` nothing is read.
///
/// # Errors
/// When a part is missing.
pub fn work(mut config: Config, lane: Lane, scripted: bool) -> anyhow::Result<()> {
    if scripted {
        refuse_where_verdicts_count(&config)?;
    }
    let _traces = telemetry::start(&config.service)?;
    if lane == Lane::Gpu {
        config.turn_to_gpu();
    }
    let emf = cloudwatch(&config);
    telemetry::start_metrics(emf.as_ref())?;
    let grace = grace(&config);
    in_runtime(grace, async move |stop: CancellationToken| {
        let app = build(config, true, scripted).await?;
        let mut tasks = JoinSet::new();
        if let Some(emf) = emf {
            tasks.spawn(tell_cloudwatch(app.clone(), emf, stop.clone()));
        }
        tasks.spawn(run_upkeep(app.clone(), stop.clone()));
        tasks.spawn(read_documents(app.clone(), lane, stop.clone()));
        info!(%lane, reader = app.reader.name(), "ready");
        stop.cancelled().await;
        finish(tasks, grace).await;
        close(&app).await;
        Ok(())
    })
}

/// The service; without readers where only the API is wanted.
async fn build(config: Config, reads: bool, scripted: bool) -> anyhow::Result<App> {
    if !reads {
        return Ok(App::with_reader(config, no_reader(), Clock::default()).await?);
    }
    if !scripted {
        return Ok(App::build(config).await?);
    }
    warn!("nothing is read: test pictures say themselves how they end");
    let readers = Readers::start(&config, true).await.map_err(ReaderError::Process)?;
    Ok(App::with_reader(config, readers.into(), Clock::default()).await?)
}

/// What CloudWatch is told, if it is told anything.
fn cloudwatch(config: &Config) -> Option<Emf> {
    let (metrics, server) = (&config.service.metrics, &config.service.server);
    (metrics.enabled && metrics.cloudwatch).then(|| Emf::new(&metrics.namespace, server.environment.as_str()))
}

/// Writes metrics to standard output at the set interval, and once more at the end.
async fn tell_cloudwatch(app: App, emf: Emf, stop: CancellationToken) {
    let every = Duration::from_millis(app.config.service.metrics.flush_interval_ms.max(1000));
    loop {
        let stopping = stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none();
        gauges::look(&app).await;
        // Made ready first: a pipe that nobody empties must not hold up the metrics of others.
        let mut lines = Vec::new();
        let written = emf.flush(app.clock.now().as_millisecond(), &mut lines);
        let wrote = tokio::task::spawn_blocking(move || {
            written.and_then(|()| io::stdout().write_all(&lines)).and_then(|()| io::stdout().flush())
        });
        if !matches!(wrote.await, Ok(Ok(()))) {
            warn!("metrics for CloudWatch could not be written to standard output");
        }
        if stopping {
            return;
        }
    }
}

/// Brings the database's schema up to date and returns the names of the steps that were made. In an empty database only
/// with `create`, or where the configuration allows it.
///
/// # Errors
/// When the database cannot be reached, is empty, or a step fails.
pub fn migrate(config: &Config, create: bool) -> anyhow::Result<Vec<String>> {
    runtime()?.block_on(async {
        let store = Store::connect(&config.service, Clock::default()).await?;
        // Before the first step there is not even a list of steps made.
        let pending = store.pending_migrations().await.unwrap_or_default();
        store.migrate(create || config.service.may_create_schema()).await?;
        store.scrub(true).await?;
        store.close().await?;
        Ok(pending)
    })
}

/// For commands that read no card.
pub(crate) fn no_reader() -> crate::card_reader::CardReader {
    crate::card_reader::CardReader::new("none", |_, _, _| {
        Err(filot_ocr::engine::Error::Unavailable("this command reads no cards".into()).into())
    })
}

fn grace(config: &Config) -> Duration {
    // A second of it is for what runs on blocking threads.
    Duration::from_secs(config.service.server.shutdown_grace_s.max(2) - 1)
}

/// What everything that touches the data runs in.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    leave_no_core_dump();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Runs `work` with a token that is cancelled when the process is told to stop.
pub(crate) fn in_runtime<F: Future<Output = anyhow::Result<()>>>(
    grace: Duration,
    work: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<()> {
    crate::heap::give_back_large_buffers();
    crate::keys::make_files_private();
    let runtime = runtime()?;
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    runtime.spawn(async move {
        asked_to_stop().await;
        info!(grace_s = grace.as_secs(), "stopping");
        signalled.cancel();
    });
    let ended = runtime.block_on(work(stop));
    // A reading may still hold a blocking thread; its document goes back by its lease.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Photos, names and keys are in the memory of this process and of its children: none of it is written to a disk when one
/// of them dies, and no other process of the same user may look into it.
fn leave_no_core_dump() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{Resource, setrlimit};
        let limited =
            setrlimit(Resource::RLIMIT_CORE, 0, 0).and_then(|()| nix::sys::prctl::set_dumpable(false));
        if let Err(error) = limited {
            warn!(%error, "core dumps cannot be switched off: a crash may leave personal data on a disk");
        }
    }
}

async fn asked_to_stop() {
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            warn!(%error, "cannot listen for interrupts");
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// Waits for all tasks, at most `grace`; those that are left are dropped.
async fn finish(mut tasks: JoinSet<()>, grace: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all).await.is_err() {
        warn!(left = tasks.len(), "stopped with work unfinished; it is taken up again");
    }
}

/// Leaves the database in good order: with SQLite all of it stands in the one file then, and nothing that was deleted.
async fn close(app: &App) {
    match tokio::time::timeout(CLOSE_TIMEOUT, app.store.clone().close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the database was not closed in good order; the next start mends it"),
        Err(_) => warn!("the database was not closed in time; the next start mends it"),
    }
}

/// What to tell whoever started the service.
async fn welcome(app: &App, auth: &Auth) -> anyhow::Result<String> {
    let config = &app.config.service;
    let url = config.public_url();
    let mut lines = vec![String::new(), "FiLot is ready.".to_owned(), String::new()];
    let mut page = format!("{url}/");
    let mut test = Vec::new();
    if config.is_trial() {
        let user = test_user(app).await?;
        // Tokens of earlier starts lie in terminals and shell histories.
        app.store.revoke_sessions_of(user.id).await?;
        let grant = auth.grant(user).await?;
        page = format!("{url}/      one-time code {}", auth.trial_code(grant.user.id).await?);
        test.push(format!("Test token    {}", grant.access_token));
        if let Some(card) = sample_card(config.server.data_dir.join("sample")).await {
            test.push(String::new());
            test.push("Try it:".to_owned());
            test.push(format!(
                "  curl -sS '{url}/documents/upload' -H 'Authorization: Bearer {}' -H 'Prefer: wait=20' \
                 -F type=KTP -F 'file=@{}'",
                grant.access_token,
                card.display()
            ));
        }
    }
    lines.push(format!("Page          {page}"));
    lines.push(format!("API           {url}"));
    lines.push(format!("Description   {url}/docs"));
    lines.push(format!("Review desk   {}/console", config.desk_url()));
    if let Some(link) = auth.first_admin_link().await? {
        lines.push(format!("First admin   {link}"));
    }
    lines.append(&mut test);
    lines.push(String::new());
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// The test account. It has no password: only the tokens that are printed open it.
pub(crate) async fn test_user(app: &App) -> anyhow::Result<crate::store::User> {
    if let Some(user) = app.store.user_by_email(TEST_EMAIL).await? {
        if user.password_hash.is_some() || user.role != Role::User {
            return Err(anyhow!(
                "{TEST_EMAIL} has been turned into a real account; remove it or set NODE_ENV"
            ));
        }
        return Ok(user);
    }
    let new = NewUser {
        email: Some(TEST_EMAIL.to_owned()),
        email_verified: false,
        password_hash: None,
        provider: None,
        role: Role::User,
        full_name: Some("Test account".to_owned()),
    };
    let user = app.store.create_user(new).await?;
    info!(actor = %Actor::System, user = %user.id, "test account made");
    Ok(user)
}

/// A drawn KTP in `folder`; the cards are drawn if they are not there.
async fn sample_card(folder: PathBuf) -> Option<PathBuf> {
    tokio::task::spawn_blocking(move || {
        if ktp_of(&folder).is_none() {
            sample::write(&folder, SAMPLE_SEED, 8, 1).ok()?;
        }
        ktp_of(&folder)
    })
    .await
    .ok()
    .flatten()
}

/// The first of the drawn cards that is a good KTP.
fn ktp_of(folder: &Path) -> Option<PathBuf> {
    let truth = std::fs::read_to_string(folder.join("truth.jsonl")).ok()?;
    let cards = truth.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let is_good = |card: &serde_json::Value| {
        let expected = card["expect"].as_str().unwrap_or_default();
        card["declared"] == "ktp" && expected == "approve"
    };
    let name = cards.into_iter().find(is_good)?["file"].as_str()?.to_owned();
    let path = std::path::absolute(folder.join(name)).ok()?;
    path.is_file().then_some(path)
}
