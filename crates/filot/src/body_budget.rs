//! The memory that files take while they are received, all together and of one account: taken as they grow, not as they
//! are announced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// One permit.
const STEP: usize = 64 << 10;
/// A file that has grown takes memory in pieces of this size.
const LARGEST_STEP: usize = 1 << 20;
/// How long a file waits for memory, all its waits together.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// One account may take this part of the memory, so that nobody who holds uploads open stops those of others.
const SHARE: usize = 3;

/// The memory. A clone is the same.
#[derive(Clone)]
pub struct BodyBudget(Arc<Memory>);

struct Memory {
    /// In steps.
    all: Arc<Semaphore>,
    share: usize,
    /// What is left to accounts that are sending.
    of: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
}

/// Others are being received, and there is no memory for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many files are being received")]
pub struct Full;

/// A file that is being received.
pub struct Receiving {
    /// Of the account, and of all.
    memory: [Arc<Semaphore>; 2],
    bytes: Vec<u8>,
    held: Option<[OwnedSemaphorePermit; 2]>,
    /// What is left of [`WAIT_TIMEOUT`].
    left: Duration,
}

/// Gives its memory back when the last who reads it is done.
struct Held {
    bytes: Vec<u8>,
    _held: Option<[OwnedSemaphorePermit; 2]>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyBudget {
    /// So much memory, in MB.
    pub fn of(megabytes: usize) -> Self {
        let steps = (megabytes << 20) / STEP;
        let all = Arc::new(Semaphore::new(steps));
        Self(Arc::new(Memory { all, share: steps / SHARE, of: Mutex::default() }))
    }

    /// A file without a byte yet, of an account or of somebody else who is known by an id.
    pub fn receive(&self, account: Uuid) -> Receiving {
        let memory = [self.share_of(account), Arc::clone(&self.0.all)];
        Receiving { memory, bytes: Vec::new(), held: None, left: WAIT_TIMEOUT }
    }

    fn share_of(&self, account: Uuid) -> Arc<Semaphore> {
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = of.get(&account).and_then(Weak::upgrade) {
            return own;
        }
        of.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(self.0.share));
        of.insert(account, Arc::downgrade(&own));
        own
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
            let [own, all] = self.memory.clone();
            // Its own share first: what waits for that must not keep memory from others.
            let more = async {
                let own = own.acquire_many_owned(permits).await?;
                Ok::<_, AcquireError>((own, all.acquire_many_owned(permits).await?))
            };
            // The semaphores are never closed, so only the time can run out.
            let asked = Instant::now();
            let Ok(Ok((own, all))) = timeout(self.left, more).await else { return Err(Full) };
            self.left = self.left.saturating_sub(asked.elapsed());
            match &mut self.held {
                Some([held_own, held_all]) => {
                    held_own.merge(own);
                    held_all.merge(all);
                }
                None => self.held = Some([own, all]),
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

    fn account(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[tokio::test]
    async fn memory_is_taken_as_it_is_needed_and_given_back_with_the_last_reader() {
        let budget = BodyBudget::of(12);
        let left = || budget.0.all.available_permits();
        let all = left();
        let mut file = budget.receive(account(1));
        assert_eq!(left(), all, "nothing has come");
        let mut sent = Vec::new();
        for n in 0..300_u32 {
            let chunk = [n as u8; 10_000];
            sent.extend_from_slice(&chunk);
            file.push(&chunk).await.unwrap();
            assert!((all - left()) * STEP >= file.bytes.capacity());
        }
        let bytes = file.finish();
        let reader = bytes.clone();
        assert_eq!(bytes, sent);
        drop(bytes);
        assert!(left() < all);
        drop(reader);
        assert_eq!(left(), all);
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_for_others_and_not_for_ever() {
        let budget = BodyBudget::of(3);
        let mut first = budget.receive(account(1));
        first.push(&[0; 900 << 10]).await.unwrap();
        let mut second = budget.receive(account(1));
        let (waited, ()) = tokio::join!(second.push(&[0; 200 << 10]), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(first);
        });
        assert_eq!(waited, Ok(()));
        let mut third = budget.receive(account(1));
        assert_eq!(third.push(&[0; 1 << 20]).await, Err(Full));
    }

    #[tokio::test]
    async fn an_account_that_holds_its_share_stops_nobody_else() {
        let budget = BodyBudget::of(3);
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut file = budget.receive(account(1));
            file.push(&[0; 500 << 10]).await.unwrap();
            held.push(file);
        }
        let mut third = budget.receive(account(1));
        third.left = Duration::from_millis(50);
        assert_eq!(third.push(&[0; 500 << 10]).await, Err(Full), "a third of three megabytes");
        drop(third);
        for other in 2..4 {
            let mut file = budget.receive(account(other));
            assert_eq!(file.push(&[0; 900 << 10]).await, Ok(()));
            held.push(file);
        }
        // What is over is forgotten.
        drop(held);
        assert_eq!(budget.receive(account(9)).memory[0].available_permits(), budget.0.share);
        assert_eq!(budget.0.of.lock().unwrap().len(), 1);
    }
}
