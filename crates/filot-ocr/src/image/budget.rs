//! A bound on the memory of all decodings together.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Memory that the decodings of a process share. A clone shares the same budget.
///
/// A decoding waits until its share is free. One that needs more than the whole budget runs alone.
#[derive(Clone)]
pub struct MemoryBudget {
    state: Arc<State>,
}

struct State {
    total: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    pub fn new(total: u64) -> Self {
        Self { state: Arc::new(State { total, used: Mutex::new(0), freed: Condvar::new() }) }
    }

    /// Waits for `bytes` and holds them until the returned value is dropped.
    pub(super) fn reserve(&self, bytes: u64) -> Reserved {
        let bytes = bytes.min(self.state.total);
        // The number stays right whatever panics elsewhere, so a poisoned lock is as good as any.
        let mut used = self.state.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used + bytes > self.state.total {
            used = self.state.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        drop(used);
        Reserved { state: Arc::clone(&self.state), bytes }
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget").field("total", &self.state.total).finish_non_exhaustive()
    }
}

/// A share of a [`MemoryBudget`].
pub(super) struct Reserved {
    state: Arc<State>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        *self.state.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.state.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn never_gives_out_more_than_it_has() {
        let budget = MemoryBudget::new(100);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for share in [30, 60, 90, 500] {
                let (budget, now, most) = (budget.clone(), &now, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let reserved = budget.reserve(share);
                        let sum = now.fetch_add(reserved.bytes, Ordering::SeqCst) + reserved.bytes;
                        most.fetch_max(sum, Ordering::SeqCst);
                        now.fetch_sub(reserved.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 100);
        assert_eq!(*budget.state.used.lock().unwrap(), 0);
    }
}
