//! Who is asking: local accounts with own tokens, and Stack Auth.
//!
//! Access tokens live for minutes and name a session; a session that has ended makes them worthless within
//! [`SESSION_CACHE`]. Refresh tokens are random, stored only as hashes, and rotate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};
use uuid::Uuid;

use crate::app::App;
use crate::document::UserId;
use crate::keys;
use crate::store::{self, Actor, AuditEntry, NewUser, Role, Rotation, User};

pub mod password;
pub mod stack;
pub mod token;

use password::Passwords;
use stack::{Identity, StackAuth};
use token::{Claims, Tokens};

/// How long an open session is believed to stay open without another look: what a logout on another instance takes to
/// be noticed here.
pub const SESSION_CACHE: Duration = Duration::from_secs(3);
/// Sessions remembered at a time.
const SESSIONS_CACHED: usize = 50_000;
/// How long a used refresh token may come again: an answer that was lost on the way.
const REFRESH_GRACE: Duration = Duration::from_secs(10);
/// Passwords that can be tried with one e-mail: so many at once, and one more each time this has passed.
const ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
const ATTEMPT_EACH: Duration = Duration::from_secs(10);
/// E-mails counted before those are forgotten that nobody has tried for long.
const ACCOUNTS_COUNTED: usize = 20_000;
/// The name of Stack Auth in the accounts.
pub const STACK_PROVIDER: &str = "stack-auth";
/// The purpose of the link for the first admin.
const FIRST_ADMIN: &str = "first-admin";

/// Why someone is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token is no good: forged, expired, of an ended session, for someone else.
    #[error("The access token is invalid or has expired. Sign in again.")]
    Token,
    /// The token is good, but there is no account for it yet.
    #[error("There is no account for this token yet. Send it to POST /auth/verify first.")]
    UnknownUser,
    #[error("The e-mail or the password is wrong.")]
    Credentials,
    #[error("The refresh token is invalid or has expired. Sign in again.")]
    Refresh,
    #[error("There is an account with this e-mail already.")]
    Taken,
    #[error("{0}")]
    Weak(&'static str),
    /// The link was used, has expired, or there is an admin already.
    #[error("This link is no longer valid.")]
    Link,
    /// The keys of the token issuer cannot be had.
    #[error("The sign-in service cannot be reached. Try again soon.")]
    Issuer,
    /// Somebody tries passwords of this account one after the other.
    #[error("Too many attempts with this e-mail. Wait a little and try again.")]
    TooOften,
    /// Too many people sign in at this moment.
    #[error("Too many sign-ins at the moment. Try again in a few seconds.")]
    Busy,
    #[error(transparent)]
    Keys(#[from] keys::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Result of every method.
pub type Result<T> = std::result::Result<T, Error>;

/// Someone who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user: UserId,
    pub role: Role,
    /// The session of an own token; Stack Auth keeps its own.
    pub session: Option<Uuid>,
}

/// What a successful sign-in gives.
#[derive(Clone, Debug)]
pub struct Grant {
    pub user: User,
    pub access_token: String,
    pub refresh_token: String,
    /// Seconds that the access token lives.
    pub expires_in: u64,
}

/// The door.
pub struct Auth {
    app: App,
    tokens: Tokens,
    passwords: Passwords,
    /// Attempts with one e-mail, by its hash, wherever they come from; the HTTP doors count those from one address.
    attempts: DefaultKeyedRateLimiter<String>,
    stack: Option<StackAuth>,
    sessions: Mutex<HashMap<Uuid, (Caller, Instant)>>,
}

impl Auth {
    /// The door of this service.
    ///
    /// # Errors
    /// When the HTTP client for Stack Auth cannot be set up.
    pub fn new(app: App) -> std::result::Result<Self, reqwest::Error> {
        let config = &app.config.service;
        let tokens = Tokens::new(&app.keys.jwt, &config.public_url(), config.auth.access_token_s);
        let stack = match &config.auth.stack_project_id {
            Some(project) => Some(StackAuth::new(&config.auth.stack_api_url, project)?),
            None => None,
        };
        // The period is a constant above zero.
        let quota = Quota::with_period(ATTEMPT_EACH).unwrap_or_else(|| Quota::per_minute(ATTEMPTS));
        Ok(Self {
            tokens,
            passwords: Passwords::new(),
            attempts: RateLimiter::keyed(quota.allow_burst(ATTEMPTS)),
            stack,
            sessions: Mutex::default(),
            app,
        })
    }

    /// Lets in whoever holds a good access token.
    ///
    /// # Errors
    /// `Token`, `UnknownUser`, `Issuer`, or what the database reports.
    pub async fn caller(&self, token: &str) -> Result<Caller> {
        match token::algorithm(token).ok_or(Error::Token)? {
            token::OWN => self.own(token).await,
            token::STACK => {
                let identity = self.identity(token).await?;
                let user = self.app.store.user_by_provider(STACK_PROVIDER, &identity.subject).await?;
                let user = user.ok_or(Error::UnknownUser)?;
                if user.disabled { Err(Error::Token) } else { Ok(caller(&user, None)) }
            }
            _ => Err(Error::Token),
        }
    }

    async fn own(&self, token: &str) -> Result<Caller> {
        let claims = self.tokens.verify(token, self.app.clock.now()).ok_or(Error::Token)?;
        if let Some(caller) = self.remembered(claims.sid) {
            return if caller.user.0 == claims.sub { Ok(caller) } else { Err(Error::Token) };
        }
        if !self.app.store.session_is_open(claims.sid).await? {
            return Err(Error::Token);
        }
        let user = match self.app.store.user(UserId(claims.sub)).await {
            Ok(user) if !user.disabled => user,
            Ok(_) | Err(store::Error::NotFound) => return Err(Error::Token),
            Err(error) => return Err(error.into()),
        };
        let caller = caller(&user, Some(claims.sid));
        self.remember(claims.sid, caller);
        Ok(caller)
    }

    /// Whether someone who was let in would be let in still: the session is open and the account not disabled. Known
    /// within [`SESSION_CACHE`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_current(&self, caller: &Caller) -> Result<bool> {
        if caller.session.is_some_and(|session| self.remembered(session).is_some()) {
            return Ok(true);
        }
        if let Some(session) = caller.session
            && !self.app.store.session_is_open(session).await?
        {
            return Ok(false);
        }
        match self.app.store.user(caller.user).await {
            Ok(user) if !user.disabled => {}
            Ok(_) | Err(store::Error::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if let Some(session) = caller.session {
            self.remember(session, *caller);
        }
        Ok(true)
    }

    fn remembered(&self, session: Uuid) -> Option<Caller> {
        let sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sessions.get(&session).filter(|(_, until)| Instant::now() < *until).map(|(caller, _)| *caller)
    }

    fn remember(&self, session: Uuid, caller: Caller) {
        let now = Instant::now();
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if sessions.len() >= SESSIONS_CACHED {
            sessions.retain(|_, (_, until)| now < *until);
        }
        if sessions.len() < SESSIONS_CACHED {
            sessions.insert(session, (caller, now + SESSION_CACHE));
        }
    }

    fn forget(&self, session: Uuid) {
        self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&session);
    }

    /// Makes an account and signs in.
    ///
    /// # Errors
    /// `Weak` for an unusable e-mail or password, `Taken`, `Busy`.
    pub async fn register(&self, email: &str, password: &str, full_name: Option<String>) -> Result<Grant> {
        let user = self.create(email, password, full_name, Role::User, None).await?;
        self.grant(user).await
    }

    /// Makes a local account, by `actor` if that is not the person themselves.
    ///
    /// # Errors
    /// As [`Auth::register`].
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

    /// Signs in with e-mail and password. Takes as long for an unknown e-mail as for a wrong password.
    ///
    /// # Errors
    /// `Credentials`, `TooOften`, `Busy`.
    pub async fn login(&self, email: &str, password: &str) -> Result<Grant> {
        let user = self.authenticate(email, password).await?;
        self.grant(user).await
    }

    /// Whose e-mail and password these are, without signing in.
    ///
    /// # Errors
    /// As [`Auth::login`].
    pub async fn authenticate(&self, email: &str, password: &str) -> Result<User> {
        // Also of e-mails without an account: that one has one is not to be learned here.
        if self.attempts.check_key(&hash_token(&email.trim().to_lowercase())).is_err() {
            return Err(Error::TooOften);
        }
        if self.attempts.len() > ACCOUNTS_COUNTED {
            self.attempts.retain_recent();
        }
        let user = self.app.store.user_by_email(email).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let fits = self.passwords.verify(password, hash).await.ok_or(Error::Busy)?;
        match user {
            Some(user) if fits && !user.disabled => Ok(user),
            user => {
                self.app.failed_sign_ins.count(user.map(|user| user.id), None);
                Err(Error::Credentials)
            }
        }
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

    async fn identity(&self, token: &str) -> Result<Identity> {
        let stack = self.stack.as_ref().ok_or(Error::Token)?;
        stack.verify(token, self.app.clock.now()).await
    }

    /// Exchanges a refresh token for new tokens. One that was used before ends the session: someone has a copy.
    ///
    /// # Errors
    /// `Refresh`.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Grant> {
        let (next, expires) = (keys::random_token(32)?, self.refresh_expiry());
        let rotation = self
            .app
            .store
            .rotate_session(&hash_token(refresh_token), &hash_token(&next), REFRESH_GRACE, expires)
            .await?;
        match rotation {
            Rotation::Rotated(session) => {
                let user = self.app.store.user(session.user_id).await?;
                if user.disabled { Err(Error::Refresh) } else { self.tokens_for(user, session.id, next) }
            }
            Rotation::Reused(session) => {
                self.forget(session.id);
                warn!(user = %session.user_id, "a refresh token came a second time; its session is over");
                Err(Error::Refresh)
            }
            Rotation::Unknown => Err(Error::Refresh),
        }
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        if let Some(session) = caller.session {
            self.app.store.revoke_session(session).await?;
            self.forget(session);
        }
        Ok(())
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
    /// `Link`, and those of [`Auth::register`].
    pub async fn become_admin(&self, token: &str, email: &str, password: &str) -> Result<Grant> {
        password::check_email(email).map_err(Error::Weak)?;
        password::check(password).map_err(Error::Weak)?;
        if self.app.store.count_admins().await? > 0 {
            return Err(Error::Link);
        }
        let token = self.app.store.redeem_one_time(FIRST_ADMIN, &hash_token(token)).await?;
        token.ok_or(Error::Link)?;
        let user = self.create(email, password, None, Role::Admin, None).await?;
        self.grant(user).await
    }

    /// Starts a session for `user`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn grant(&self, user: User) -> Result<Grant> {
        let refresh = keys::random_token(32)?;
        let expires = self.refresh_expiry();
        let session = self.app.store.create_session(user.id, &hash_token(&refresh), expires).await?;
        let actor = Actor::User(user.id);
        let subject = format!("user:{}", user.id);
        let entry = AuditEntry {
            actor: &actor,
            action: "user.login",
            subject,
            reason: None,
            before: None,
            after: None,
        };
        self.app.store.audit(entry).await?;
        info!(user = %user.id, "signed in");
        self.tokens_for(user, session.id, refresh)
    }

    fn tokens_for(&self, user: User, session: Uuid, refresh_token: String) -> Result<Grant> {
        let now = self.app.clock.now();
        let access_token = self.tokens.issue(user.id, session, now).ok_or(keys::Error::Random)?;
        Ok(Grant { user, access_token, refresh_token, expires_in: self.tokens.lifetime() })
    }

    fn refresh_expiry(&self) -> Timestamp {
        let seconds = i64::try_from(self.app.config.service.auth.refresh_token_s).unwrap_or(i64::MAX);
        self.app.clock.now().saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    }
}

fn caller(user: &User, session: Option<Uuid>) -> Caller {
    Caller { user: user.id, role: user.role, session }
}

/// Tokens are random enough for a plain hash.
pub(crate) fn hash_token(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

impl Claims {
    /// Whether the token's time has come and is not over.
    fn is_current(&self, now: Timestamp) -> bool {
        self.iat <= now.as_second() + token::LEEWAY_S && now.as_second() < self.exp
    }
}
