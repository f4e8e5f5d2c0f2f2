//! What the tests stand on.

pub(crate) mod app;
pub(crate) mod backends;
pub(crate) mod buli2;
pub(crate) mod cards;
pub(crate) mod child;
pub(crate) mod proxy;
pub(crate) mod s3;
pub(crate) mod serve;

pub(crate) use app::{Deployment, TestApp};

use std::time::{Duration, Instant};

/// Asks again and again until the answer is yes.
///
/// # Panics
/// When it is still no after `patience`.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> F,
) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < patience, "{what}: still not after {patience:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
