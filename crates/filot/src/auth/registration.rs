//! Accounts: who may make one, and how an address is shown to be somebody's own.

use std::net::IpAddr;

use jiff::SignedDuration;
use uuid::Uuid;

use super::attempts::network;
use super::stack::Identity;
use super::{Auth, Error, FIRST_ADMIN, Grant, Result, STACK_PROVIDER, hash_token, password, token};
use crate::config::service::Registration;
use crate::keys::{self, Keys};
use crate::store::{self, Actor, NewRegistration, NewUser, Role, User};

/// How long a registration waits for its mail to be confirmed.
const CONFIRM_TTL: SignedDuration = SignedDuration::from_hours(24);
/// Mails to one address within [`MAIL_WINDOW`].
const MAX_MAILS: u64 = 3;
const MAIL_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What came of a registration.
#[derive(Clone, Debug)]
pub enum Registered {
    /// The account is there, and signed in.
    SignedIn(Box<Grant>),
    /// The address is sent a mail: a link that confirms it, or that it has an account. Nobody else learns which.
    Mailed,
}

/// The part of a confirmation link that says which registration it is about, and that this service made it.
pub(crate) fn confirmation(keys: &Keys, registration: Uuid) -> String {
    format!("{registration}.{}", keys.sign_link(&["registration", &registration.to_string()]))
}

impl Auth {
    /// Makes an account, or begins to, as the settings allow.
    ///
    /// # Errors
    /// `Closed`; `Weak` for an unusable e-mail or password; `Taken` where addresses are not confirmed; `TooOften`,
    /// `Busy`.
    pub async fn register(
        &self,
        email: &str,
        password: &str,
        full_name: Option<String>,
        from: Option<IpAddr>,
    ) -> Result<Registered> {
        let registration = self.app.config.service.registration();
        if registration == Registration::Closed {
            return Err(Error::Closed);
        }
        password::check_email(email).map_err(Error::Weak)?;
        password::check(password).map_err(Error::Weak)?;
        let network = network(from);
        if !self.registrations.take(&network) {
            return Err(Error::TooOften);
        }
        if registration == Registration::Verified {
            self.begin_registration(email, password, full_name).await?;
            return Ok(Registered::Mailed);
        }
        let made = self.create(email, password, full_name, Role::User, None).await;
        // Counted are those that asked whether an address has an account.
        if !matches!(made, Err(Error::Taken)) {
            self.registrations.give_back(&network);
        }
        Ok(Registered::SignedIn(Box::new(self.grant(made?).await?)))
    }

    /// Takes as long, and does the same, whether the address has an account or not.
    async fn begin_registration(&self, email: &str, password: &str, full_name: Option<String>) -> Result<()> {
        let password_hash = self.passwords.hash(password).await.ok_or(Error::Busy)?;
        let now = self.app.clock.now();
        let new = NewRegistration {
            email: email.to_owned(),
            password_hash,
            full_name,
            expires_at: now + CONFIRM_TTL,
        };
        Ok(self.app.store.begin_registration(new, MAX_MAILS, now - MAIL_WINDOW).await?)
    }

    /// Makes the account of a registration and signs in: with what was mailed to the address, and the password that was
    /// chosen. Whoever gets the mail without having asked for it does not know that one.
    ///
    /// # Errors
    /// `Link`, `Credentials`, `Taken`, `TooOften`, `Busy`.
    pub async fn confirm(
        &self,
        confirmation_token: &str,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<Grant> {
        let (id, signature) = confirmation_token.split_once('.').ok_or(Error::Link)?;
        let id: Uuid = id.parse().map_err(|_| Error::Link)?;
        if !self.app.keys.verify_link(&["registration", &id.to_string()], signature) {
            return Err(Error::Link);
        }
        let registration = self.app.store.registration(id).await?.ok_or(Error::Link)?;
        let unknown = async || Ok::<_, Error>(false);
        let attempt = self.attempts.begin(&id.to_string(), &network(from), unknown).await?;
        let attempt = attempt.ok_or(Error::TooOften)?;
        self.fits(&attempt, password, Some(registration.password_hash)).await?;
        let user = self.app.store.confirm_registration(id).await.map_err(|error| match error {
            store::Error::NotFound => Error::Link,
            store::Error::Taken => Error::Taken,
            error => error.into(),
        })?;
        self.note_source(user.id, &from.into()).await;
        self.grant(user).await
    }

    /// Makes a local account, by `actor` if that is not the person themselves.
    ///
    /// # Errors
    /// `Weak` for an unusable e-mail or password, `Taken`, `Busy`.
    pub async fn create(
        &self,
        email: &str,
        password: &str,
        full_name: Option<String>,
        role: Role,
        actor: Option<&Actor>,
    ) -> Result<User> {
        password::check_email(email).map_err(Error::Weak)?;
        password::check(password).map_err(Error::Weak)?;
        let hash = self.passwords.hash(password).await.ok_or(Error::Busy)?;
        let new = NewUser {
            email: Some(email.to_owned()),
            email_verified: false,
            password_hash: Some(hash),
            provider: None,
            role,
            full_name,
        };
        match self.app.store.create_user_by(new, actor).await {
            Err(store::Error::Taken) => Err(Error::Taken),
            other => Ok(other?),
        }
    }

    /// A token for the link that makes the first admin; `None` when there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_admin_token(&self) -> Result<Option<String>> {
        if self.app.store.count_admins().await? > 0 {
            return Ok(None);
        }
        let token = keys::random_token(32)?;
        let expires = self.app.clock.now() + SignedDuration::from_hours(24);
        self.app.store.issue_one_time(FIRST_ADMIN, &hash_token(&token), None, expires).await?;
        Ok(Some(token))
    }

    /// Makes the first admin with such a token.
    ///
    /// # Errors
    /// `Link`, `Weak`, `Taken`, `Busy`.
    pub async fn become_admin(&self, token: &str, email: &str, password: &str) -> Result<Grant> {
        let user = self.make_first_admin(token, email, password).await?;
        self.grant(user).await
    }

    /// The same without signing in. What the person can mend does not use up the link.
    pub(super) async fn make_first_admin(&self, token: &str, email: &str, password: &str) -> Result<User> {
        password::check_email(email).map_err(Error::Weak)?;
        password::check(password).map_err(Error::Weak)?;
        let store = &self.app.store;
        if store.count_admins().await? > 0 {
            return Err(Error::Link);
        }
        store.peek_one_time(FIRST_ADMIN, &hash_token(token)).await?.ok_or(Error::Link)?;
        if store.user_by_email(email).await?.is_some() {
            return Err(Error::Taken);
        }
        store.redeem_one_time(FIRST_ADMIN, &hash_token(token)).await?.ok_or(Error::Link)?;
        self.create(email, password, None, Role::Admin, None).await
    }

    /// Exchanges a Stack Auth token for own tokens; the account is made at the first time. An account with the same
    /// e-mail is linked only when both sides have verified that e-mail.
    ///
    /// # Errors
    /// `Token`, `Issuer`.
    pub async fn verify(&self, token: &str) -> Result<Grant> {
        let identity = match token::algorithm(token) {
            Some(token::STACK) => self.identity(token).await?,
            _ => return Err(Error::Token),
        };
        let user = match self.app.store.user_by_provider(STACK_PROVIDER, &identity.subject).await? {
            Some(user) => user,
            None => self.adopt(identity).await?,
        };
        if user.disabled { Err(Error::Token) } else { self.grant(user).await }
    }

    async fn adopt(&self, identity: Identity) -> Result<User> {
        let store = &self.app.store;
        let mut email = identity.email.filter(|_| identity.email_verified);
        if let Some(address) = &email
            && let Some(user) = store.user_by_email(address).await?
        {
            if user.email_verified && user.provider.is_none() {
                return Ok(store.link_provider(user.id, STACK_PROVIDER, &identity.subject).await?);
            }
            // Someone has claimed this e-mail without proof. They keep their account, this one goes without e-mail.
            email = None;
        }
        let new = NewUser {
            email_verified: email.is_some(),
            email,
            password_hash: None,
            provider: Some((STACK_PROVIDER.to_owned(), identity.subject.clone())),
            role: Role::User,
            full_name: identity.name,
        };
        match store.create_user(new).await {
            // Two first requests of one person at the same time.
            Err(store::Error::Taken) => {
                store.user_by_provider(STACK_PROVIDER, &identity.subject).await?.ok_or(Error::Taken)
            }
            other => Ok(other?),
        }
    }
}
