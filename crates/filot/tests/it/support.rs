//! What the tests stand on.

pub(crate) mod alarm;
pub(crate) mod app;
pub(crate) mod backends;
pub(crate) mod browser;
pub(crate) mod buli2;
pub(crate) mod child;
pub(crate) mod collector;
pub(crate) mod desk;
pub(crate) mod desk_server;
pub(crate) mod disk;
pub(crate) mod proxy;
pub(crate) mod s3;
pub(crate) mod serve;
pub(crate) mod smtp;
#[cfg(feature = "temporal")]
pub(crate) mod temporal;
#[cfg(feature = "temporal")]
pub(crate) mod tls;
pub(crate) mod versioned;

pub(crate) use app::{Deployment, TestApp};
pub(crate) use filot::selftest::cards;

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

/// Makes of each function, which takes a [`Deployment`], a test on SQLite and one on PostgreSQL.
macro_rules! on_sqlite_and_postgres {
    ($($name:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::Deployment::embedded()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::Deployment::postgres()).await;
            })+
        }
    };
}

pub(crate) use on_sqlite_and_postgres;
