//! A pace that has to be kept: so many bytes in each while that is spent waiting for the other side.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::service::Server;

/// How much has to come on while one waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    within: Duration,
    least: u64,
}

impl Pace {
    /// The pace of the configuration.
    pub(crate) fn of(server: &Server) -> Self {
        let least = server.least_kb_per_s.saturating_mul(1024).saturating_mul(server.stall_s);
        Self { within: Duration::from_secs(server.stall_s), least }
    }
}

/// Watches over a pace. Time in which nobody waits for the other side does not count.
pub(crate) struct Watch {
    pace: Pace,
    /// Bytes since the count began, and what was waited for them.
    moved: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Watch {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, moved: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Bytes have come, or gone.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes as u64);
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
    }

    /// None can come or go at the moment. Ready when that has been too slow.
    pub(crate) fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Self { pace, waited, waiting, .. } = self;
            let (_, end) = waiting.get_or_insert_with(|| {
                let now = Instant::now();
                (now, Box::pin(sleep_until(now + pace.within.saturating_sub(*waited))))
            });
            ready!(end.as_mut().poll(cx));
            if self.moved < self.pace.least {
                return Poll::Ready(());
            }
            (self.moved, self.waited, self.waiting) = (0, Duration::ZERO, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{sleep, timeout};

    use super::*;

    const WITHIN: Duration = Duration::from_millis(200);
    const MOMENT: Duration = Duration::from_millis(10);

    fn watch() -> Watch {
        Watch::new(Pace { within: WITHIN, least: 100 })
    }

    async fn too_slow(watch: &mut Watch) -> Duration {
        let start = Instant::now();
        poll_fn(|cx| watch.poll_slow(cx)).await;
        start.elapsed()
    }

    #[tokio::test]
    async fn what_stands_still_is_too_slow_after_its_time_and_not_before() {
        let mut watch = watch();
        watch.moved(99);
        assert!(too_slow(&mut watch).await >= WITHIN);
        let mut eager = self::watch();
        eager.moved(1_000_000);
        assert!(too_slow(&mut eager).await >= 2 * WITHIN, "who sends much and then nothing gains one while");
    }

    #[tokio::test]
    async fn drops_do_not_keep_the_pace() {
        let mut watch = watch();
        for _ in 0..100 {
            if timeout(MOMENT, poll_fn(|cx| watch.poll_slow(cx))).await.is_ok() {
                return;
            }
            watch.moved(1);
        }
        panic!("kept by a byte now and then");
    }

    #[tokio::test]
    async fn own_delays_do_not_break_the_pace() {
        let mut watch = watch();
        for _ in 0..8 {
            assert!(timeout(MOMENT, poll_fn(|cx| watch.poll_slow(cx))).await.is_err());
            watch.moved(1);
            // Nobody waits for the other side meanwhile.
            sleep(WITHIN / 2).await;
        }
    }
}
