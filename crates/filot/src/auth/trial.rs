//! The test account of a trial on a developer's own machine. A code that is printed at start and typed into the page opens
//! it; no link does.

use jiff::SignedDuration;

use super::{Auth, Error, Grant, Result, hash_token};
use crate::document::UserId;
use crate::keys;

/// The purpose of the code in the table of tokens.
const TRIAL: &str = "trial";
/// How long a code can be used.
const TTL: SignedDuration = SignedDuration::from_mins(30);
/// What codes are made of: nothing that looks like something else.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

impl Auth {
    /// A code that signs in as `user` once, such as `K7PQM-2XWRT`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn trial_code(&self, user: UserId) -> Result<String> {
        let letters = keys::random_bytes::<10>()?.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        let code: String = letters.iter().collect();
        self.app
            .store
            .issue_one_time(TRIAL, &hash_token(&code), Some(user), self.app.clock.now() + TTL)
            .await?;
        Ok(format!("{}-{}", &code[..5], &code[5..]))
    }

    /// Signs in with such a code.
    ///
    /// # Errors
    /// `Link`, also wherever this is no trial.
    pub async fn redeem_trial_code(&self, code: &str) -> Result<Grant> {
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
        if !self.app.config.service.is_trial() {
            return Err(Error::Link);
        }
        let found = self.app.store.redeem_one_time(TRIAL, &hash_token(&code.to_ascii_uppercase())).await?;
        let user = found.and_then(|found| found.user_id).ok_or(Error::Link)?;
        let user = self.app.store.user(user).await?;
        if user.disabled { Err(Error::Link) } else { self.grant(user).await }
    }
}
