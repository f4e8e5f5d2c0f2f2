//! Passwords: signing in with one, and changing one's own.

use std::net::IpAddr;

use tracing::warn;

use super::attempts::{Attempt, Attempts, Source, network};
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
        let from = from.into();
        let user = self.authenticate(email, password, &from).await?;
        self.note_source(user.id, &from).await;
        self.grant(user).await
    }

    /// Whose e-mail and password these are, without signing in.
    ///
    /// # Errors
    /// As [`Auth::login`].
    pub async fn authenticate(&self, email: &str, password: &str, from: &Source) -> Result<User> {
        // Counted also for e-mails without an account: that one has one is not to be learned here.
        let account = hash_token(&email.trim().to_lowercase());
        let user = self.app.store.user_by_email(email).await?;
        let attempt = self.begin(&self.attempts, &account, user.as_ref().map(|user| user.id), from).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        match (self.fits(&attempt, password, hash).await, user) {
            (Ok(()), Some(user)) if !user.disabled => Ok(user),
            (Err(Error::Credentials) | Ok(()), user) => {
                self.app.failed_sign_ins.count(user.map(|user| user.id), from.address);
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
        from: &Source,
    ) -> Result<()> {
        password::check(new).map_err(Error::Weak)?;
        let old = self.app.store.user(user).await?.password_hash.ok_or(Error::NoPassword)?;
        let attempt = self.begin(&self.attempts, &user.to_string(), Some(user), from).await?;
        self.fits(&attempt, present, Some(old.clone())).await?;
        let hash = self.passwords.hash(new).await.ok_or(Error::Busy)?;
        self.app.store.change_password(user, &old, hash, keep).await?;
        self.forget_user(user);
        Ok(())
    }

    /// Notes that somebody has signed in from there, completely. They are not turned away there when others guess.
    pub(crate) async fn note_source(&self, user: UserId, from: &Source) {
        for place in [Some(network(from.address)), from.device.as_deref().map(mark_of)].into_iter().flatten()
        {
            if let Err(error) = self.app.store.note_place(user, &self.place(user, &place)).await {
                warn!(%error, "a place of sign-in is not remembered");
            }
        }
    }

    /// Allows an attempt at an account, which is `user`'s if there is one, as `attempts` counts them.
    ///
    /// # Errors
    /// `TooOften`.
    pub(crate) async fn begin(
        &self,
        attempts: &Attempts,
        account: &str,
        user: Option<UserId>,
        from: &Source,
    ) -> Result<Attempt> {
        let knows = async |place: &str| -> Result<bool> {
            // Asked also where there is no account, which takes as long.
            let id = user.unwrap_or(UserId(uuid::Uuid::nil()));
            let known = self.app.store.knows_place(id, &self.place(id, place)).await?;
            Ok(known && user.is_some())
        };
        if let Some(mark) = from.device.as_deref().map(mark_of)
            && knows(&mark).await?
        {
            return attempts.begin_on(account, &mark).ok_or(Error::TooOften);
        }
        let network = network(from.address);
        attempts.begin(account, &network, async || knows(&network).await).await?.ok_or(Error::TooOften)
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

    /// What stands for a network or a device in the database, where it could be told from no other.
    fn place(&self, user: UserId, place: &str) -> String {
        self.app.keys.sign_link(&["sign-in-place", &user.to_string(), place])
    }
}

/// A device as a place, which no network's name can be taken for.
fn mark_of(device: &str) -> String {
    format!("device {}", hash_token(device))
}
