//! Passwords: argon2id, a few at a time, off the async threads.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::keys;

/// Memory in KiB, passes and lanes: OWASP's recommendation for argon2id.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Passwords hashed at a time; each takes 19 MiB and some 20 ms of a core.
const AT_A_TIME: usize = 2;
/// How long someone may wait for their turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters that a password needs and may have.
const LENGTH: (usize, usize) = (10, 256);

/// Hashes and verifies.
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// What a password is compared with when there is no account.
    dummy: Arc<OnceLock<String>>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_A_TIME)), dummy: Arc::default() }
    }

    /// The hash of a password in PHC format; `None` when too many wait or the system gives no random bytes.
    pub(crate) async fn hash(&self, password: &str) -> Option<String> {
        let password = password.to_owned();
        self.in_turn(move || hash(&password)).await.flatten()
    }

    /// Whether `password` has this hash. Without a hash the work is the same and the answer no. `None` when too many
    /// wait.
    pub(super) async fn verify(&self, password: &str, stored: Option<String>) -> Option<bool> {
        let (password, dummy) = (password.to_owned(), Arc::clone(&self.dummy));
        self.in_turn(move || {
            let known = stored.is_some();
            let stored = stored.unwrap_or_else(|| dummy.get_or_init(|| hash("").unwrap_or_default()).clone());
            argon2().verify_password(password.as_bytes(), stored.as_str()).is_ok() && known
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn =
            tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await.ok()?.ok()?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .ok()
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    // The numbers are within the algorithm's limits; the default is the same numbers.
    let params = Params::new(memory, passes, lanes, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> Option<String> {
    let salt = keys::random_bytes::<16>().ok()?;
    let hash: argon2::PasswordHash = argon2().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

/// Whether a password may be used.
pub(crate) fn check(password: &str) -> Result<(), &'static str> {
    match password.chars().count() {
        length if length < LENGTH.0 => Err("The password needs at least 10 characters."),
        length if length > LENGTH.1 => Err("The password may have at most 256 characters."),
        _ => Ok(()),
    }
}

/// Whether a text can be an e-mail address. Only a mail that arrives shows that it is one.
pub(super) fn check_email(email: &str) -> Result<(), &'static str> {
    const WRONG: &str = "This is not an e-mail address.";
    let email = email.trim();
    let (local, domain) = email.rsplit_once('@').ok_or(WRONG)?;
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    let fits = (1..=64).contains(&local.len())
        && email.len() <= 254
        && domain.split('.').count() >= 2
        && domain.split('.').all(|part| !part.is_empty())
        && domain.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.')
        && local.chars().all(|c| plain(c) && c != '@');
    if fits { Ok(()) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only_and_nothing_fits_no_account() {
        let passwords = Passwords::new();
        let stored = passwords.hash("correct horse battery").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(passwords.verify("correct horse battery", Some(stored.clone())).await, Some(true));
        assert_eq!(passwords.verify("correct horse batterz", Some(stored)).await, Some(false));
        assert_eq!(passwords.verify("", None).await, Some(false));
        assert_eq!(passwords.verify("", Some("not a hash".to_owned())).await, Some(false));
    }

    #[test]
    fn passwords_are_measured_in_characters() {
        assert!(check("short").is_err() && check(&"é".repeat(9)).is_err());
        assert!(check(&"é".repeat(10)).is_ok() && check(&"é".repeat(256)).is_ok());
        assert!(check(&"é".repeat(257)).is_err());
    }

    #[test]
    fn emails_need_a_name_and_a_domain() {
        for good in ["a@b.co", " siti+ktp@mail.example.com "] {
            assert_eq!(check_email(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "@b.co", "a@", "a@b", "a b@c.de", "a@b..c", "a\n@b.co", "a@b.c/d", "a@@b.co"] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }
}
