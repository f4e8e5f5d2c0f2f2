//! How the installation stands: what was not done in time, and what is running out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::sys::statvfs::statvfs;

use crate::app::App;
use crate::audit::CHECKPOINT;
use crate::backup::BACKUP;
use crate::config::Service;

/// What does not answer within this is unknown.
const QUERY_TIMEOUT: Duration = Duration::from_millis(500);

/// Sets the gauges. What is unknown keeps its last value.
pub(super) async fn look(app: &App) {
    let config = &app.config.service;
    let now = app.clock.now();
    let late = i64::try_from(config.desk.late_s).unwrap_or(i64::MAX / 2);
    let overdue = app.store.count_overdue(now - SignedDuration::from_secs(late));
    let (runs, overdue, evicts) = tokio::join!(
        tokio::time::timeout(QUERY_TIMEOUT, app.store.last_runs()),
        tokio::time::timeout(QUERY_TIMEOUT, overdue),
        tokio::time::timeout(QUERY_TIMEOUT, app.queue.may_evict()),
    );
    if let Ok(Ok(runs)) = runs {
        if config.keeps_checkpoints() {
            let overdue = is_overdue(runs.get(CHECKPOINT).copied(), now, checkpoint_interval(config));
            metrics::gauge!("filot_checkpoint_overdue").set(f64::from(u8::from(overdue)));
        }
        let overdue = backup_interval(config)
            .is_some_and(|interval| is_overdue(runs.get(BACKUP).copied(), now, interval));
        metrics::gauge!("filot_backup_overdue").set(f64::from(u8::from(overdue)));
    }
    if let Ok(Ok(count)) = overdue {
        metrics::gauge!("filot_reviews_overdue").set(count as f64);
    }
    if let Ok(Ok(evicts)) = evicts {
        metrics::gauge!("filot_queue_may_evict").set(f64::from(u8::from(evicts)));
    }
    if let Some(used) = disk_used_percent(config) {
        metrics::gauge!("filot_disk_used_percent").set(used);
    }
}

/// Whether what has to be done every `interval` was not.
pub(crate) fn is_overdue(last: Option<Timestamp>, now: Timestamp, interval: SignedDuration) -> bool {
    last.is_none_or(|last| now.duration_since(last) > interval)
}

/// Without a checkpoint for so long something is wrong: two intervals, and time to follow the trail.
pub(crate) fn checkpoint_interval(config: &Service) -> SignedDuration {
    let every = i64::try_from(config.audit.checkpoint_interval_s).unwrap_or(i64::MAX / 4);
    SignedDuration::from_secs(every * 2 + every.min(60))
}

/// Without a backup for so long something is wrong; `None` where none is expected.
pub(crate) fn backup_interval(config: &Service) -> Option<SignedDuration> {
    let every = i64::try_from(config.server.backup_interval_s).unwrap_or(i64::MAX);
    (every > 0).then(|| SignedDuration::from_secs(every))
}

/// How full the disk of the data folder is, for those who are not root; `None` where there is no folder.
pub(crate) fn disk_used_percent(config: &Service) -> Option<f64> {
    let disk = statvfs(&config.server.data_dir).ok()?;
    // As `df` counts: what is kept for root is neither used nor free.
    let used = disk.blocks().saturating_sub(disk.blocks_free()) as f64;
    let all = used + disk.blocks_available() as f64;
    (all > 0.0).then(|| 100.0 * used / all)
}
