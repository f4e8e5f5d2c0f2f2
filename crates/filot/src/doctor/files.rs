//! The checks of the files as a whole: whose they are, and what the search for forgotten ones would do.

use jiff::Timestamp;

use super::service::PATIENCE;
use super::{Finding, State};
use crate::app::App;
use crate::installation::{self, Standing, Why};
use crate::worker::{SweepRules, look_for_forgotten};

const ANSWERS: &str = "check CF_R2_ENDPOINT, CF_R2_BUCKET_NAME and the keys";

/// Whether the file store answers.
pub(super) async fn reachable(app: &App) -> Finding {
    match tokio::time::timeout(PATIENCE, app.blobs.ping()).await {
        Ok(Ok(())) => Finding::new("files", State::Ok, app.blobs.kind()),
        _ => no_answer(app),
    }
}

/// Whether the files are those of the database.
pub(super) async fn belong(app: &App) -> Finding {
    let name = "files";
    let kind = app.blobs.kind();
    let standing = match tokio::time::timeout(PATIENCE, installation::standing(&app.store, &app.blobs)).await
    {
        Ok(standing) => standing,
        Err(_) => return no_answer(app),
    };
    match standing {
        Ok(Standing::Agreed) => Finding::new(name, State::Ok, format!("{kind}, those of this database")),
        Ok(Standing::Quiet { until, why: Why::New }) => {
            let found =
                format!("{kind}, those of this database; none is erased as forgotten before {until:.0}");
            Finding::new(name, State::Ok, found)
        }
        Ok(Standing::Quiet { until, why: Why::Behind }) => {
            let found = format!("{kind}: {}; none is erased as forgotten before {until:.0}", Why::Behind);
            Finding::new(name, State::Note, found).mend("docs/runbook.md, Restore")
        }
        Err(installation::Error::Blobs(crate::blobs::Error::Unavailable(_))) => no_answer(app),
        Err(error) => Finding::new(name, State::Broken, error.to_string()),
    }
}

fn no_answer(app: &App) -> Finding {
    Finding::new("files", State::Broken, format!("{} does not answer", app.blobs.kind())).mend(ANSWERS)
}

/// What the last searches have found without a document, and when it goes.
pub(super) async fn quarantined(app: &App) -> Finding {
    let name = "unknown files";
    let all = match app.store.quarantine_in_all().await {
        Ok(all) => all,
        Err(error) => return Finding::new(name, State::Broken, error.to_string()),
    };
    let Some(since) = all.since else { return Finding::new(name, State::Ok, "none seen") };
    let erased = since.saturating_add(SweepRules::of(app).quarantine).unwrap_or(Timestamp::MAX);
    let found = format!(
        "{} ({} KB) have no document, the first seen so on {since:.0}; it is erased after {erased:.0}",
        all.files,
        all.bytes.div_ceil(1024)
    );
    Finding::new(name, State::Note, found).mend("docs/runbook.md, Files that no document knows")
}

/// What a search would find and do now.
pub(super) async fn unknown(app: &App) -> Finding {
    let name = "search for files";
    let rules = SweepRules::of(app);
    let looked = async {
        let swept = look_for_forgotten(app).await.map_err(|error| error.to_string())?;
        let since = app.clock.now().saturating_sub(rules.quarantine).unwrap_or(Timestamp::MIN);
        let (ripe, _) = app.store.quarantined_since(since, 0).await.map_err(|error| error.to_string())?;
        Ok::<_, String>((swept, ripe))
    };
    let (swept, ripe) = match looked.await {
        Ok(found) => found,
        Err(error) => return Finding::new(name, State::Broken, error),
    };
    let mut found = format!("{} of {} have no document", swept.unknown, swept.seen);
    for (count, what) in [
        (swept.strangers, "are of accounts that this database does not know"),
        (swept.foreign, "are not FiLot's"),
    ] {
        if count > 0 {
            found.push_str(&format!(", {count} {what} and stay"));
        }
    }
    let allowed = rules.allowed(swept.seen as u64);
    match ripe {
        0 if swept.unknown + swept.strangers == 0 => Finding::new(name, State::Ok, found),
        0 => Finding::new(name, State::Note, format!("{found}; none is erased now")),
        ripe if ripe <= allowed => {
            Finding::new(name, State::Note, format!("{found}; {ripe} are erased next"))
        }
        ripe => {
            let found =
                format!("{found}; {ripe} are due, more than the {allowed} that a search may erase: none is");
            Finding::new(name, State::Broken, found).mend(format!("filot files erase-unknown {ripe}"))
        }
    }
}
