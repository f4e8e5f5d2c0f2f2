//! The memory that files take while they are received, all together: taken as they grow, not as they are announced.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// One permit.
const STEP: usize = 64 << 10;
/// A file that has grown takes memory in pieces of this size.
const LARGEST_STEP: usize = 1 << 20;
/// How long a file waits for memory, all its waits together.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The memory. A clone is the same.
#[derive(Clone)]
pub struct BodyBudget(Arc<Semaphore>);

/// Others are being received, and there is no memory for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many files are being received")]
pub struct Full;

/// A file that is being received.
pub struct Receiving {
    budget: BodyBudget,
    bytes: Vec<u8>,
    held: Option<OwnedSemaphorePermit>,
    /// What is left of [`WAIT_TIMEOUT`].
    left: Duration,
}

/// Gives its memory back when the last who reads it is done.
struct Held {
    bytes: Vec<u8>,
    _held: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyBudget {
    /// So much memory, in MB.
    pub fn of(megabytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((megabytes << 20) / STEP)))
    }

    /// A file without a byte yet.
    pub fn receive(&self) -> Receiving {
        Receiving { budget: self.clone(), bytes: Vec::new(), held: None, left: WAIT_TIMEOUT }
    }
}

impl Receiving {
    /// Bytes received by now.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none has come.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what has come, after waiting for memory if need be.
    ///
    /// # Errors
    /// When there is none for some seconds.
    pub async fn push(&mut self, chunk: &[u8]) -> Result<(), Full> {
        let (taken, wanted) = (self.bytes.capacity(), self.bytes.len() + chunk.len());
        if wanted > taken {
            let steps = (wanted - taken).max(self.bytes.len().min(LARGEST_STEP)).div_ceil(STEP);
            let permits = u32::try_from(steps).map_err(|_| Full)?;
            let more = Arc::clone(&self.budget.0).acquire_many_owned(permits);
            // The semaphore is never closed, so only the time can run out.
            let asked = Instant::now();
            let Ok(Ok(more)) = timeout(self.left, more).await else { return Err(Full) };
            self.left = self.left.saturating_sub(asked.elapsed());
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
            self.bytes.reserve_exact(taken + steps * STEP - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The whole file.
    pub fn finish(self) -> Bytes {
        let Self { bytes, held, .. } = self;
        Bytes::from_owner(Held { bytes, _held: held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_taken_as_it_is_needed_and_given_back_with_the_last_reader() {
        let budget = BodyBudget::of(4);
        let all = budget.0.available_permits();
        let mut file = budget.receive();
        assert_eq!(budget.0.available_permits(), all, "nothing has come");
        let mut sent = Vec::new();
        for n in 0..300_u32 {
            let chunk = [n as u8; 10_000];
            sent.extend_from_slice(&chunk);
            file.push(&chunk).await.unwrap();
            assert!((all - budget.0.available_permits()) * STEP >= file.bytes.capacity());
        }
        let bytes = file.finish();
        let reader = bytes.clone();
        assert_eq!(bytes, sent);
        drop(bytes);
        assert!(budget.0.available_permits() < all);
        drop(reader);
        assert_eq!(budget.0.available_permits(), all);
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_for_others_and_not_for_ever() {
        let budget = BodyBudget::of(1);
        let mut first = budget.receive();
        first.push(&[0; 900 << 10]).await.unwrap();
        let mut second = budget.receive();
        let (waited, ()) = tokio::join!(second.push(&[0; 200 << 10]), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(first);
        });
        assert_eq!(waited, Ok(()));
        let mut third = budget.receive();
        assert_eq!(third.push(&[0; 1 << 20]).await, Err(Full));
    }
}
