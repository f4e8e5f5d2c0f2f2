//! Who is asking: local accounts with own tokens, and Stack Auth.
//!
//! Access tokens live for minutes and name a session; a session that has ended makes them worthless within
//! [`SESSION_CACHE`]. Refresh tokens are random, stored only as hashes, and rotate.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};
use uuid::Uuid;

use crate::app::App;
use crate::document::UserId;
use crate::keys;
use crate::store::{self, Actor, AuditEntry, Role, Rotation, User};

pub(crate) mod attempts;
pub mod enrolment;
pub mod password;
mod registration;
mod sign_in;
pub mod stack;
pub mod token;
mod trial;

pub use registration::Registered;
pub(crate) use registration::confirmation;

pub use attempts::Source;
use attempts::{Allowance, Attempts, Counter};

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
/// Wrong passwords of one account from one network, of all accounts from one network, and of one account in all.
const PAIR: Allowance = Allowance { burst: 10, refill: Duration::from_secs(10) };
const NETWORK: Allowance = Allowance { burst: 60, refill: Duration::from_secs(5) };
const ACCOUNT: Allowance = Allowance { burst: 30, refill: Duration::from_secs(60) };
/// Registrations from one network that found an account, or called for a mail.
const REGISTRATIONS: Allowance = Allowance { burst: 20, refill: Duration::from_secs(30) };
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
    /// The link or the code was used, has expired, or there is an admin already.
    #[error("This link or code is not valid, or no longer. Ask for a new one.")]
    Link,
    #[error("Nobody can make an account here by themselves. Ask whoever runs this service.")]
    Closed,
    #[error("This account has no password: it signs in elsewhere.")]
    NoPassword,
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
    attempts: Attempts,
    registrations: Counter,
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
        Ok(Self {
            tokens,
            passwords: Passwords::new(),
            attempts: Attempts::new(app.clock, PAIR, NETWORK, ACCOUNT),
            registrations: Counter::new(REGISTRATIONS, app.clock),
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
        let stands = self.stands(caller.user, caller.session).await?;
        if let (true, Some(session)) = (stands, caller.session) {
            self.remember(session, *caller);
        }
        Ok(stands)
    }

    /// Looks whether a session is open and its account not disabled.
    async fn stands(&self, user: UserId, session: Option<Uuid>) -> Result<bool> {
        if let Some(session) = session
            && !self.app.store.session_is_open(session).await?
        {
            return Ok(false);
        }
        match self.app.store.user(user).await {
            Ok(user) => Ok(!user.disabled),
            Err(store::Error::NotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
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

    /// Forgets what is remembered of sessions of a user, so that each is looked up again.
    fn forget_user(&self, user: UserId) {
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sessions.retain(|_, (caller, _)| caller.user != user);
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
        // Of one token there is one next, however often it comes within its grace: two copies of it cannot part ways.
        let (next, expires) = (self.app.keys.sign_link(&["refresh", refresh_token]), self.refresh_expiry());
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

    /// Ends all of the caller's sign-ins, in apps and at the console.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn logout_everywhere(&self, caller: &Caller) -> Result<()> {
        self.app.store.end_sessions_of(caller.user, &Actor::User(caller.user)).await?;
        self.forget_user(caller.user);
        Ok(())
    }

    /// Whether the sign-in in which a link was given out still stands.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn still_signed_in(&self, user: UserId, session: Option<Uuid>) -> Result<bool> {
        let known = session.and_then(|session| self.remembered(session));
        if known.is_some_and(|caller| caller.user == user) {
            return Ok(true);
        }
        self.stands(user, session).await
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
