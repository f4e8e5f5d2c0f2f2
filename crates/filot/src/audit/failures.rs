//! Failed sign-ins in the audit trail: counted, so that whoever tries passwords cannot flood it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use crate::document::UserId;
use crate::store::{Actor, AuditEntry, Store};

/// An account has one entry in so long.
const INTERVAL: SignedDuration = SignedDuration::from_secs(60);
/// Entries written at a time; what is beyond is counted as one.
const ENTRIES: usize = 20;
/// Accounts, and addresses of each, that are told apart.
const APART: usize = 500;

/// Failures of one account, or of all e-mails that have none, since they were last written down.
#[derive(Default)]
struct Count {
    failures: u64,
    addresses: HashSet<IpAddr>,
    written: Option<Timestamp>,
}

/// Counts failed sign-ins of one process until they are written down.
#[derive(Default)]
pub struct FailedSignIns(Mutex<HashMap<Option<UserId>, Count>>);

impl FailedSignIns {
    /// Counts one; `account` is `None` where the e-mail has none. Takes no longer for the one than for the other.
    pub fn count(&self, account: Option<UserId>, from: Option<IpAddr>) {
        metrics::counter!("filot_failed_sign_ins_total").increment(1);
        let mut counts = self.counts();
        let known = counts.len() < APART || counts.contains_key(&account);
        let count = counts.entry(account.filter(|_| known)).or_default();
        count.failures += 1;
        if count.addresses.len() < APART {
            count.addresses.extend(from);
        }
    }

    /// Writes down what was counted. The first failure of an account is written at once, further ones together after a
    /// minute.
    pub async fn write(&self, store: &Store, now: Timestamp) {
        for (account, failures, addresses) in self.take(now) {
            let subject = account.map_or_else(|| "user:unknown".to_owned(), |id| format!("user:{id}"));
            let after = match addresses {
                0 => format!("{failures} times"),
                addresses => format!("{failures} times, from {addresses} addresses"),
            };
            let entry = AuditEntry {
                actor: &Actor::System,
                action: "user.login_failed",
                subject,
                reason: None,
                before: None,
                after: Some(after),
            };
            if let Err(error) = store.audit(entry).await {
                warn!(%error, "failed sign-ins are not in the audit trail");
            }
        }
    }

    /// What is due, at most [`ENTRIES`]: those that failed most often, and the rest as one.
    fn take(&self, now: Timestamp) -> Vec<(Option<UserId>, u64, usize)> {
        let mut counts = self.counts();
        let is_old = |count: &Count| count.written.is_none_or(|at| now.duration_since(at).abs() >= INTERVAL);
        let mut due = Vec::new();
        for (account, count) in counts.iter_mut().filter(|(_, count)| count.failures > 0 && is_old(count)) {
            due.push((*account, std::mem::take(&mut count.failures), count.addresses.len()));
            count.addresses.clear();
            count.written = Some(now);
        }
        counts.retain(|_, count| count.failures > 0 || !is_old(count));
        due.sort_by_key(|(_, failures, _)| std::cmp::Reverse(*failures));
        let rest = due.split_off(due.len().min(ENTRIES));
        if !rest.is_empty() {
            due.push((None, rest.iter().map(|(_, failures, _)| failures).sum(), 0));
        }
        due
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Option<UserId>, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_one_entry_a_minute_and_all_of_them_few() {
        let failed = FailedSignIns::default();
        let start: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let (one, address) = (Some(UserId::new()), "192.0.2.7".parse().ok());
        failed.count(one, address);
        assert_eq!(failed.take(start), [(one, 1, 1)]);
        for _ in 0..1000 {
            failed.count(one, address);
            failed.count(None, None);
        }
        assert_eq!(failed.take(start), [(None, 1000, 0)], "the account's minute is not over");
        assert_eq!(failed.take(start + SignedDuration::from_secs(61)), [(one, 1000, 1)]);
        for _ in 0..10_000 {
            failed.count(Some(UserId::new()), None);
        }
        let entries = failed.take(start + SignedDuration::from_secs(130));
        assert_eq!(entries.len(), ENTRIES + 1);
        assert_eq!(entries.iter().map(|(_, failures, _)| failures).sum::<u64>(), 10_000);
        assert!(failed.counts().len() <= APART + 1);
    }
}
