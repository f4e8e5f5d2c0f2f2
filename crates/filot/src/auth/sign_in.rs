//! Passwords: signing in with one, and changing one's own.

use std::net::IpAddr;

use tracing::warn;

use super::attempts::{Attempt, network};
use super::{Auth, Error, Grant, Result, hash_token, password};
use crate::document::UserId;
use crate::store::{Kept, User};

impl Auth {
    /// Signs in with e-mail and password, from an address if that is known. Takes as long for an unknown e-mail as for a
    /// wrong password.
    ///
    /// # Errors
    /// `Credentials`, `TooOften`, `Busy`.
    pub async fn login(&self, email: &str, password: &str, from: Option<IpAddr>) -> Result<Grant> {
        let user = self.authenticate(email, password, from).await?;
        self.note_place(user.id, from).await;
        self.grant(user).await
    }

    /// Whose e-mail and password these are, without signing in.
    ///
    /// # Errors
    /// As [`Auth::login`].
    pub async fn authenticate(&self, email: &str, password: &str, from: Option<IpAddr>) -> Result<User> {
        // Counted also for e-mails without an account: that one has one is not to be learned here.
        let account = hash_token(&email.trim().to_lowercase());
        let user = self.app.store.user_by_email(email).await?;
        let attempt = self.begin(&account, user.as_ref().map(|user| user.id), from).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        match (self.fits(&attempt, password, hash).await, user) {
            (Ok(()), Some(user)) if !user.disabled => Ok(user),
            (Err(Error::Credentials) | Ok(()), user) => {
                self.app.failed_sign_ins.count(user.map(|user| user.id), from);
                Err(Error::Credentials)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Replaces the password of somebody who is signed in and knows the present one; ends all their other sign-ins.
    ///
    /// # Errors
    /// `Credentials`, `NoPassword`, `Weak`, `TooOften`, `Busy`.
    pub async fn change_password(
        &self,
        user: UserId,
        present: &str,
        new: &str,
        keep: Kept,
        from: Option<IpAddr>,
    ) -> Result<()> {
        password::check(new).map_err(Error::Weak)?;
        let old = self.app.store.user(user).await?.password_hash.ok_or(Error::NoPassword)?;
        let attempt = self.begin(&user.to_string(), Some(user), from).await?;
        self.fits(&attempt, present, Some(old.clone())).await?;
        let hash = self.passwords.hash(new).await.ok_or(Error::Busy)?;
        self.app.store.change_password(user, &old, hash, keep).await?;
        self.forget_user(user);
        Ok(())
    }

    /// Notes that somebody has signed in from there, completely. They are not turned away there when others guess.
    pub(crate) async fn note_place(&self, user: UserId, from: Option<IpAddr>) {
        let place = self.place(user, &network(from));
        if let Err(error) = self.app.store.note_place(user, &place).await {
            warn!(%error, "a place of sign-in is not remembered");
        }
    }

    /// Whether `user` has signed in from that network before.
    pub(crate) async fn knows_place(&self, user: UserId, network: &str) -> Result<bool> {
        Ok(self.app.store.knows_place(user, &self.place(user, network)).await?)
    }

    async fn begin(&self, account: &str, user: Option<UserId>, from: Option<IpAddr>) -> Result<Attempt> {
        let network = network(from);
        let is_known = async || match user {
            Some(user) => self.knows_place(user, &network).await,
            None => Ok(false),
        };
        self.attempts.begin(account, &network, is_known).await?.ok_or(Error::TooOften)
    }

    /// Whether a password has this hash; settles the attempt.
    pub(super) async fn fits(&self, attempt: &Attempt, password: &str, hash: Option<String>) -> Result<()> {
        let fits = self.passwords.verify(password, hash).await;
        if fits != Some(false) {
            self.attempts.succeeded(attempt);
        }
        match fits {
            Some(true) => Ok(()),
            Some(false) => Err(Error::Credentials),
            None => Err(Error::Busy),
        }
    }

    /// What stands for a network in the database, where it could be told from no other.
    fn place(&self, user: UserId, network: &str) -> String {
        self.app.keys.sign_link(&["sign-in-place", &user.to_string(), network])
    }
}
