//! Processes killed at any moment under load: is anything lost, done twice or stuck?

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::account::{Acknowledged, Findings, account, order, settle};
use super::cards::scripted;
use super::child::Service;
use super::place::Place;
use super::report;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::document::UserId;
use crate::serve;
use crate::store::{NewUser, Role};

/// How long a process lives under load before it is killed, in milliseconds.
const LIFE: std::ops::Range<u64> = 20..400;
/// One process in so many is killed while it starts.
const STARTS_KILLED: u32 = 20;
/// Beyond the lease, how long there may be no progress before something counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// Between two looks at what is to be uploaded next.
const STEP: Duration = Duration::from_millis(2);
/// Longest wait for an acknowledgement when nobody is killed any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug)]
pub struct Order {
    pub documents: u32,
    /// Processes to kill meanwhile.
    pub kills: u32,
    pub seed: u64,
    /// File that gets a row about the run.
    pub report: Option<PathBuf>,
}

/// What a run has shown.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) place: &'static str,
    pub(super) documents: u32,
    pub(super) kills: u32,
    pub(super) seed: u64,
    pub(super) findings: Findings,
    /// Documents acknowledged by processes that were then killed.
    pub(super) survived: usize,
    /// From the last restart until nothing was left to do.
    pub(super) settled: Duration,
    pub(super) took: Duration,
}

/// Uploads documents through processes that are killed at random moments, then counts. Whether everything was as
/// promised.
///
/// # Errors
/// When a part is missing or nothing can be done at all; what is wrong with documents is no error.
pub fn durability(config: &Config, order: &Order) -> anyhow::Result<bool> {
    if order.kills == 0 || order.documents < order.kills {
        bail!("there must be at least one kill, and a document for each");
    }
    let outcome = serve::runtime()?.block_on(async {
        let place = Place::make(config).await?;
        let mut app = None;
        let outcome = run(&place, order, &mut app).await;
        let removed = place.remove(app).await;
        let outcome = outcome?;
        removed?;
        anyhow::Ok(outcome)
    })?;
    io::stdout().lock().write_all(report::table(&outcome).as_bytes())?;
    if let Some(path) = &order.report {
        report::note(path, &outcome).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(outcome.findings.good())
}

async fn run(place: &Place, given: &Order, observer: &mut Option<App>) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let program = std::env::current_exe()?;
    let app = App::with_reader(place.config().clone(), scripted(), Clock::default()).await?;
    let app = observer.insert(app);
    let user = make_user(app).await?;
    let mut acknowledged = Acknowledged::new();
    kill_again_and_again(&program, place, given, user, &mut acknowledged).await?;
    let survived = acknowledged.len();

    // Those that no process acknowledged are sent again, as a client would.
    let restarted = Instant::now();
    let mut service = Service::start(&program, place.environment(), user, None, Stdio::inherit())?;
    if !service.ready().await {
        bail!("the last process did not start");
    }
    for number in (0..given.documents).filter(|number| !acknowledged.contains_key(number)) {
        service.order(order(number));
    }
    while acknowledged.len() < given.documents as usize {
        let ack = service.ack_within(PATIENCE).await.context("uploads are not acknowledged any more")?;
        acknowledged.insert(ack.0, (ack.1, ack.2));
    }
    let lease = place.config().service.worker.lease();
    let calm = settle(app, lease + STUCK_AFTER).await?;
    let settled = restarted.elapsed();
    let mut findings = account(app, &acknowledged).await?;
    if !calm && findings.stuck == 0 {
        findings.stuck = 1;
        findings.described.push("jobs stay in the queue although their documents are at an end".to_owned());
    }
    service.terminate(Duration::from_secs(12)).await;
    Ok(Outcome {
        place: place.description(),
        documents: given.documents,
        kills: given.kills,
        seed: given.seed,
        findings,
        survived,
        settled,
        took: start.elapsed(),
    })
}

async fn kill_again_and_again(
    program: &Path,
    place: &Place,
    given: &Order,
    user: UserId,
    acknowledged: &mut Acknowledged,
) -> anyhow::Result<()> {
    let mut dice = StdRng::seed_from_u64(given.seed);
    let bar = progress(given.kills);
    for life in 0..given.kills {
        let mut service = Service::start(program, place.environment(), user, None, Stdio::inherit())?;
        let lives = Duration::from_millis(dice.random_range(LIFE));
        // The documents of this life: shares that differ by one at most, and sum to all.
        let share =
            |life: u32| (u64::from(given.documents) * u64::from(life) / u64::from(given.kills)) as u32;
        let numbers = share(life)..share(life + 1);
        if dice.random_ratio(1, STARTS_KILLED) {
            numbers.clone().for_each(|number| service.order(order(number)));
            tokio::time::sleep(lives / 8).await;
        } else {
            if !service.ready().await {
                bail!("a process did not start");
            }
            // Spread over the life, so that at its end some uploads are under way, others acknowledged, others read.
            let (born, mut left) = (Instant::now(), numbers.clone());
            loop {
                let lived = born.elapsed().min(lives).as_secs_f64() / lives.as_secs_f64();
                let due = numbers.start + (numbers.len() as f64 * lived) as u32;
                while left.start < due {
                    left.next().into_iter().for_each(|number| service.order(order(number)));
                }
                if born.elapsed() >= lives {
                    break;
                }
                if let Some((number, id, hash)) = service.ack_within(STEP).await {
                    acknowledged.insert(number, (id, hash));
                }
            }
        }
        service.kill();
        // What it had said before it died counts.
        while let Some((number, id, hash)) = service.ack_within(PATIENCE).await {
            acknowledged.insert(number, (id, hash));
        }
        bar.set_message(format!("{} acknowledged", acknowledged.len()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress(kills: u32) -> ProgressBar {
    let bar = ProgressBar::new(kills.into());
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} killed, {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

async fn make_user(app: &App) -> anyhow::Result<UserId> {
    let new = NewUser {
        email: None,
        email_verified: false,
        password_hash: None,
        provider: None,
        role: Role::User,
        full_name: None,
    };
    Ok(app.store.create_user(new).await?.id)
}
