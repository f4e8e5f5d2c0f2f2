//! `filot files …`: what an operator does to the files as a whole.

use uuid::Uuid;

use crate::app::App;
use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::Keys;
use crate::serve::{no_reader, runtime};
use crate::store::{Actor, Store};
use crate::worker::{SweepRules, Swept, sweep_files};

/// Has the database of the configuration take over the files that lie where the configuration says. Returns the id of the
/// installation.
///
/// # Errors
/// When database or file store do not answer.
pub fn adopt_files(config: &Config) -> anyhow::Result<Uuid> {
    runtime()?.block_on(async {
        let clock = Clock::default();
        let store = Store::connect(&config.service, clock).await?;
        let blobs = Blobs::open(&config.service, Keys::load(&config.service)?, clock)?;
        let id = super::adopt(&store, &blobs).await?;
        store.close().await?;
        Ok(id)
    })
}

/// Has the database of the configuration go on with the keys of the configuration. Returns the id of the installation.
///
/// # Errors
/// When the database does not answer, or the process is not given the keys.
pub fn adopt_keys(config: &Config) -> anyhow::Result<Uuid> {
    runtime()?.block_on(async {
        let store = Store::connect(&config.service, Clock::default()).await?;
        let own = store.installation().await?;
        let check = Keys::load(&config.service)?.check(own.id);
        let check = check.ok_or_else(|| anyhow::anyhow!("SESSION_SECRET is not given"))?;
        store.adopt_keys(&check, super::entry(&own, &Actor::Operator, "keys.adopt")).await?;
        store.close().await?;
        Ok(own.id)
    })
}

/// Erases the files that have been without a document for the time of the configuration, of which there must be no more
/// than `at_most`.
///
/// # Errors
/// When database and file store do not belong together or do not answer.
pub fn erase_unknown_files(config: Config, at_most: u64) -> anyhow::Result<Swept> {
    runtime()?.block_on(async {
        let app = App::with_reader(config, no_reader(), Clock::default()).await?;
        let rules = SweepRules { at_most: Some(at_most), ..SweepRules::of(&app) };
        Ok(sweep_files(&app, &rules).await?)
    })
}
