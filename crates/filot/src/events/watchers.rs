//! How many may watch at a time: each keeps a connection, and looks at the database now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::document::UserId;

/// Those who watch.
pub struct Watchers {
    /// In all, and of one account.
    limits: (usize, usize),
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    of: HashMap<UserId, usize>,
}

/// Someone who watches, until it is dropped.
pub struct Watching {
    watchers: Arc<Watchers>,
    account: UserId,
}

/// Why nobody else may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// The account watches as much as it may.
    Account,
    /// All accounts together do.
    Service,
}

impl Watchers {
    /// At most `all` at a time, and `each` of one account.
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { limits: (all, each), open: Mutex::default() })
    }

    /// Lets an account watch one thing more.
    ///
    /// # Errors
    /// When there are too many.
    pub fn watch(self: &Arc<Self>, account: UserId) -> Result<Watching, Crowded> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.of.get(&account).copied().unwrap_or(0);
        if own >= self.limits.1 {
            return Err(Crowded::Account);
        }
        if open.all >= self.limits.0 {
            return Err(Crowded::Service);
        }
        open.all += 1;
        open.of.insert(account, own + 1);
        Ok(Watching { watchers: Arc::clone(self), account })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut open = self.watchers.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        let left = open.of.get(&self.account).map_or(0, |own| own - 1);
        if left == 0 {
            open.of.remove(&self.account);
        } else {
            open.of.insert(self.account, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_takes_no_more_than_its_share() {
        let watchers = Watchers::new(3, 2);
        let (one, other, third) = (UserId::new(), UserId::new(), UserId::new());
        let _first = watchers.watch(one).unwrap();
        let second = watchers.watch(one).unwrap();
        assert_eq!(watchers.watch(one).err(), Some(Crowded::Account));
        let _others = watchers.watch(other).unwrap();
        assert_eq!(watchers.watch(third).err(), Some(Crowded::Service));
        drop(second);
        assert!(watchers.watch(third).is_ok());
    }
}
