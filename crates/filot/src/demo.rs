//! `filot demo`: drawn documents of all kinds, uploaded and read, so that nothing one looks at first is empty.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use filot_testkit::{CardType as Drawn, Set};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;
use crate::config::service::Environment;
use crate::document::{CardType, DocumentId, Status, UserId};
use crate::intake::{self, Upload};
use crate::queue::Lane;
use crate::serve;
use crate::worker::{Worker, run_upkeep};

/// Longest wait for one document; a broken reader shall not keep the command waiting for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// Uploads `count` drawn cards as the test account and waits until all are read. Works beside a running service, which
/// then takes part in the reading.
///
/// # Errors
/// In production; when a part is missing; when a document is not read in time.
pub fn run(config: Config, count: u64, seed: u64) -> anyhow::Result<()> {
    if config.service.server.environment == Environment::Production {
        bail!("invented documents have no place in production; unset NODE_ENV, or use another database");
    }
    serve::runtime()?.block_on(async {
        let app = App::build(config).await?;
        let user = serve::test_user(&app).await?.id;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(run_upkeep(app.clone(), stop.clone()));
        tasks.spawn(Worker::new(app.clone(), Lane::Cpu).run(stop.clone()));
        let outcomes = upload_and_wait(&app, user, count, seed).await;
        stop.cancel();
        while tasks.join_next().await.is_some() {}
        report(&outcomes?)
    })
}

async fn upload_and_wait(
    app: &App,
    user: UserId,
    count: u64,
    seed: u64,
) -> anyhow::Result<BTreeMap<String, u32>> {
    let bar = ProgressBar::new(count);
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} read, {eta} left") {
        bar.set_style(style);
    }
    let mut documents: Vec<DocumentId> = Vec::new();
    for index in 0..count {
        let sample = tokio::task::spawn_blocking(move || Set::new(seed).sample(index)).await?;
        let card_type = match sample.truth.declared {
            Drawn::Npwp => CardType::Npwp,
            // Whoever sends something else says that it is a KTP.
            Drawn::Ktp | Drawn::Other => CardType::Ktp,
        };
        let bytes = sample.jpeg.into();
        let upload = Upload { user, card_type, media_type: None, bytes, idempotency: None };
        documents.push(intake::submit(app, upload).await.context("a drawn card was not accepted")?.id);
    }
    let mut outcomes = BTreeMap::new();
    for id in documents {
        let document = app.changes.wait_terminal(&app.store, id, PATIENCE).await?;
        let outcome = match document.status {
            Status::Completed => document.verification.as_str(),
            Status::Failed => "failed",
            Status::Pending | Status::Processing => {
                bail!("{id} was not read within {} s", PATIENCE.as_secs())
            }
        };
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(outcomes)
}

fn report(outcomes: &BTreeMap<String, u32>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for (outcome, count) in outcomes {
        writeln!(out, "{count:5}  {outcome}")?;
    }
    writeln!(
        out,
        "\nThey belong to the test account. See them: filot serve prints a link to the page that signs it in."
    )?;
    Ok(())
}
