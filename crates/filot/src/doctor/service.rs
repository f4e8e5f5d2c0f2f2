//! The checks of what the service stands on: database, queue, files, secrets.

use std::time::Duration;

use super::{Finding, State, files};
use crate::app::App;
use crate::blobs::{self, content_hash};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::service::Environment;
use crate::installation;
use crate::serve;

mod standing;

/// How long a part may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How many bad documents to name.
const NAMED: usize = 5;
/// The step that an empty database lacks.
const FIRST_STEP: &str = "m0001_initial";

/// What the configuration names, and with `deep` every document.
pub(super) fn check(config: &Config, deep: bool) -> Vec<Finding> {
    let service = &config.service;
    let data = &service.server.data_dir;
    let mut findings = vec![secrets(config)];
    if service.database.url.is_none() && !data.join("filot.db").exists() {
        let found = format!("{} has none yet; `filot serve` makes it", data.display());
        findings.push(Finding::new("database", State::Ok, found));
        return findings;
    }
    let checks = async {
        // A look changes neither the schema nor the mark of the files.
        let app = match App::connect(config.clone(), serve::no_reader(), Clock::default()).await {
            Ok(app) => app,
            Err(error) => {
                return vec![
                    Finding::new("database", State::Broken, error.to_string())
                        .mend("check DATABASE_URL and that the server runs"),
                ];
            }
        };
        let mut found = vec![database(&app).await, queue(&app).await];
        if found.iter().all(|finding| finding.state != State::Broken) {
            found.extend(standing::check(&app).await);
        }
        found.extend(temporal(&app).await);
        // Without its schema a database cannot say whose the files are.
        match found[0].state {
            State::Broken => found.push(files::reachable(&app).await),
            _ => found.extend([files::belong(&app).await, files::quarantined(&app).await, keys(&app).await]),
        }
        if found.iter().all(|finding| finding.state != State::Broken) {
            found.push(reviews(&app).await);
        }
        if deep && found.iter().all(|finding| finding.state != State::Broken) {
            found.push(every_document(&app).await);
            found.push(files::unknown(&app).await);
        }
        found
    };
    match serve::runtime() {
        Ok(runtime) => findings.extend(runtime.block_on(checks)),
        Err(error) => findings.push(Finding::new("service", State::Broken, error.to_string())),
    }
    findings
}

fn secrets(config: &Config) -> Finding {
    let service = &config.service;
    let production = service.server.environment == Environment::Production;
    let found = match (production, service.auth.jwt_secret.is_some()) {
        // What is missing or weak in production is refused when the settings are read.
        (true, _) => "given by the configuration".to_owned(),
        (false, true) => "given by the configuration, development rules".to_owned(),
        (false, false) => {
            format!(
                "derived from {}: keep it, it opens the data",
                service.server.data_dir.join("master.key").display()
            )
        }
    };
    Finding::new("secrets", State::Ok, found)
}

/// Whether the keys are those that the database was used with.
async fn keys(app: &App) -> Finding {
    let name = "keys";
    match installation::knows_keys(app).await {
        Ok(()) => Finding::new(name, State::Ok, "those that the database was used with"),
        Err(error) => {
            Finding::new(name, State::Broken, error.to_string()).mend("docs/runbook.md, Rotate keys")
        }
    }
}

/// Whether somebody can do what the desk waits for.
async fn reviews(app: &App) -> Finding {
    let name = "reviews";
    match app.store.stuck_reviews().await {
        Ok(0) => Finding::new(name, State::Ok, "none waits for somebody who has no account"),
        Ok(stuck) => {
            let found = format!("{stuck} wait for another officer, and there is none who may decide on them");
            Finding::new(name, State::Note, found)
                .mend("filot create-user --role admin --email you@example.com")
        }
        Err(error) => Finding::new(name, State::Note, error.to_string()),
    }
}

async fn database(app: &App) -> Finding {
    let name = "database";
    let asked = async {
        app.store.ping().await?;
        app.store.pending_migrations().await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(pending)) if pending.is_empty() => {
            Finding::new(name, State::Ok, format!("{}, schema up to date", app.store.kind()))
        }
        Ok(Ok(pending)) => {
            let empty = pending.iter().any(|step| step == FIRST_STEP);
            let what = if empty { "empty" } else { "out of date" };
            let found =
                format!("{}, {what}: {} steps of the schema are missing", app.store.kind(), pending.len());
            let mend = if empty {
                "check DATABASE_URL; if it is right: filot migrate --create"
            } else {
                "filot migrate"
            };
            Finding::new(name, State::Broken, found).mend(mend)
        }
        Ok(Err(error)) => Finding::new(name, State::Broken, error.to_string())
            .mend("check DATABASE_URL and that the server runs"),
        Err(_) => Finding::new(name, State::Broken, "no answer").mend("check that the server runs"),
    }
}

async fn queue(app: &App) -> Finding {
    match tokio::time::timeout(PATIENCE, app.queue.ping()).await {
        Ok(Ok(())) if may_evict(app).await => {
            let found = "redis may throw jobs away when its memory is full; documents are then read late";
            Finding::new("queue", State::Note, found)
                .mend("maxmemory-policy noeviction, in redis.conf or at its host")
        }
        Ok(Ok(())) => Finding::new("queue", State::Ok, app.queue.kind()),
        _ => Finding::new("queue", State::Broken, format!("{} does not answer", app.queue.kind()))
            .mend("check REDIS_URL and that the server runs"),
    }
}

async fn may_evict(app: &App) -> bool {
    matches!(tokio::time::timeout(PATIENCE, app.queue.may_evict()).await, Ok(Ok(true)))
}

/// Only where it is used.
async fn temporal(app: &App) -> Option<Finding> {
    let name = "temporal";
    let error = match app.workflow.ping_temporal().await? {
        Ok(()) => return Some(Finding::new(name, State::Ok, "answers")),
        Err(error) => error.to_string(),
    };
    let (state, then) = match app.config.service.workflow.fallback {
        true => (State::Note, "the queue carries documents"),
        false => (State::Broken, "documents wait for it"),
    };
    let mend = "check TEMPORAL_ENDPOINT, TEMPORAL_NAMESPACE and TEMPORAL_API_KEY";
    Some(Finding::new(name, state, format!("{error}; {then}")).mend(mend))
}

/// Holds every row against its file.
async fn every_document(app: &App) -> Finding {
    let name = "documents";
    let keys = match app.store.blob_keys().await {
        Ok(keys) => keys,
        Err(error) => return Finding::new(name, State::Broken, error.to_string()),
    };
    let (count, mut bad) = (keys.len(), Vec::new());
    for (key, hash) in keys {
        match app.blobs.get(&key).await {
            Ok(bytes) if content_hash(&bytes) == hash => {}
            Ok(_) => bad.push(format!("{key} is damaged")),
            Err(blobs::Error::NotFound) => bad.push(format!("{key} is missing")),
            Err(error) => return Finding::new(name, State::Broken, error.to_string()),
        }
    }
    if bad.is_empty() {
        return Finding::new(name, State::Ok, format!("{count}, each with its file"));
    }
    let mend =
        if app.config.service.is_embedded() { "filot restore FILE" } else { "docs/runbook.md, Restore" };
    let more = bad.len().saturating_sub(NAMED);
    bad.truncate(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Finding::new(name, State::Broken, format!("{}{rest}", bad.join(", "))).mend(mend)
}
