//! What was not done in time, and what is running out: checkpoints, backups, disk.

use jiff::{SignedDuration, Timestamp};

use super::super::{Finding, State};
use crate::app::App;
use crate::audit::{CHECKPOINT, Places, Verified, verify_trail};
use crate::backup::BACKUP;
use crate::telemetry::gauges::standing::{
    backup_interval, checkpoint_interval, disk_used_percent, is_overdue,
};

/// From so much on a disk is nearly full.
const FULL_PERCENT: f64 = 90.0;

pub(super) async fn check(app: &App) -> Vec<Finding> {
    let mut found = vec![trail(app).await, checkpoints(app).await, backups(app).await];
    found.extend(disk(app));
    found
}

async fn trail(app: &App) -> Finding {
    let name = "audit trail";
    match verify_trail(&app.store, &[]).await {
        Ok(Verified::Whole(chain)) => {
            Finding::new(name, State::Ok, format!("{} entries, unbroken", chain.seq()))
        }
        Ok(Verified::Broken(broken)) => {
            Finding::new(name, State::Broken, broken.to_string()).mend("docs/runbook.md, Audit trail")
        }
        Err(error) => Finding::new(name, State::Broken, error.to_string()),
    }
}

async fn checkpoints(app: &App) -> Finding {
    let (name, config) = ("checkpoints", &app.config.service);
    if !config.keeps_checkpoints() {
        return Finding::new(name, State::Note, "none: nobody could tell that the trail's end was cut off")
            .mend("set audit.checkpoint_file or audit.checkpoint_bucket");
    }
    let places = match Places::of(config) {
        Ok(places) => places,
        Err(error) => return Finding::new(name, State::Broken, error.to_string()),
    };
    let now = app.clock.now();
    // A trail in which nothing happens needs no new one; that it was followed is noted.
    let runs = app.store.last_runs().await.unwrap_or_default();
    let followed = !is_overdue(runs.get(CHECKPOINT).copied(), now, checkpoint_interval(config));
    match places.latest_at(&app.keys).await {
        Ok(Some(at)) if followed || !is_overdue(Some(at), now, checkpoint_interval(config)) => {
            Finding::new(name, State::Ok, format!("the last one is {} old", age(at, now)))
        }
        Ok(Some(at)) => Finding::new(name, State::Note, format!("the last one is {} old", age(at, now)))
            .mend("look for \"checkpoint\" in the log of the service, if it runs"),
        Ok(None) => Finding::new(name, State::Note, "none yet with the key of this installation")
            .mend("start the service, or filot audit checkpoint --out FILE"),
        Err(error) => Finding::new(name, State::Broken, error.to_string())
            .mend("check audit.checkpoint_file, audit.checkpoint_bucket and who may write there"),
    }
}

async fn backups(app: &App) -> Finding {
    let name = "backups";
    let Some(interval) = backup_interval(&app.config.service) else {
        return Finding::new(name, State::Ok, "none expected (server.backup_interval_s = 0)");
    };
    let now = app.clock.now();
    let last = match app.store.last_runs().await {
        Ok(runs) => runs.get(BACKUP).copied(),
        Err(error) => return Finding::new(name, State::Broken, error.to_string()),
    };
    let mend = if app.config.service.is_embedded() {
        "filot backup --out FILE"
    } else {
        "docs/runbook.md, Backup; then filot backup --note"
    };
    match last {
        None => Finding::new(name, State::Note, "none was ever noted").mend(mend),
        Some(last) => {
            let found = format!("the last one is {} old", age(last, now));
            if is_overdue(Some(last), now, interval) {
                Finding::new(name, State::Note, found).mend(mend)
            } else {
                Finding::new(name, State::Ok, found)
            }
        }
    }
}

fn disk(app: &App) -> Option<Finding> {
    let used = disk_used_percent(&app.config.service)?;
    let found = format!("{used:.0} % used below {}", app.config.service.server.data_dir.display());
    Some(if used >= FULL_PERCENT {
        Finding::new("disk", State::Note, found).mend("make room; uploads are refused when it is full")
    } else {
        Finding::new("disk", State::Ok, found)
    })
}

fn age(at: Timestamp, now: Timestamp) -> String {
    let age = now.duration_since(at).max(SignedDuration::ZERO);
    match age.as_hours() {
        0 => format!("{} min", age.as_mins()),
        hours @ 1..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}
