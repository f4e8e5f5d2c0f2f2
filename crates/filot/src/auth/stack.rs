//! Stack Auth: ES256 tokens, checked with the keys that the issuer publishes.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;
use tracing::warn;

use super::{Error, Result, token};

/// Keys older than this are fetched again.
const FRESH: Duration = Duration::from_secs(600);
/// The issuer is not asked more often than this, whatever key ids tokens name.
const PAUSE: Duration = Duration::from_secs(5);
/// Keys that could not be fetched again are used up to this age.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Longest answer with keys, in bytes.
const MAX_KEYS_LENGTH: usize = 256 * 1024;

/// A person as Stack Auth knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub subject: String,
    pub email: Option<String>,
    pub email_verified: bool,
    pub name: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    is_anonymous: bool,
    #[serde(default)]
    is_restricted: bool,
    exp: i64,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
}

/// Verifies tokens of one project.
pub struct StackAuth {
    validation: Validation,
    keys: Arc<Keys>,
}

/// The issuer's keys. Reading them never waits for the issuer.
struct Keys {
    http: reqwest::Client,
    url: String,
    known: RwLock<Known>,
    /// When the issuer last answered, or did not. Held while it is asked: one request at a time.
    asked: Mutex<Option<Instant>>,
}

#[derive(Clone, Default)]
struct Known {
    set: Option<Arc<JwkSet>>,
    fetched: Option<Instant>,
}

impl StackAuth {
    /// The project `project` at the API `api`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(api: &str, project: &str) -> std::result::Result<Self, reqwest::Error> {
        let api = api.trim_end_matches('/');
        let project_url = format!("{api}/api/v1/projects/{project}");
        let mut validation = token::strict(token::STACK);
        // Older tokens name the bare host.
        validation.set_issuer(&[project_url.as_str(), api]);
        // Tokens of anonymous and restricted people are for `<project>:anon` and `<project>:restricted`.
        validation.set_audience(&[project]);
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = format!("{project_url}/.well-known/jwks.json");
        let keys = Keys { http, url, known: RwLock::default(), asked: Mutex::default() };
        Ok(Self { validation, keys: Arc::new(keys) })
    }

    /// Whom a genuine token in force is about.
    ///
    /// # Errors
    /// `Token`; `Issuer` when there are no keys to check it with.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Identity> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Token)?;
        let key = self.keys.find(&header.kid.ok_or(Error::Token)?).await?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation);
        let claims = claims.map_err(|_| Error::Token)?.claims;
        let now = now.as_second();
        let begun = |at: Option<i64>| at.is_none_or(|at| at <= now + token::LEEWAY_S);
        let current = now < claims.exp && begun(claims.iat) && begun(claims.nbf);
        if !current || claims.sub.is_empty() || claims.is_anonymous || claims.is_restricted {
            return Err(Error::Token);
        }
        let Claims { sub: subject, email, email_verified, name, .. } = claims;
        if [Some(&subject), email.as_ref(), name.as_ref()]
            .into_iter()
            .flatten()
            .any(|text| text.contains('\0'))
        {
            return Err(Error::Token);
        }
        Ok(Identity { subject, email, email_verified, name })
    }
}

impl Keys {
    /// The key with this id. One that is known is given out at once, and looked for again beside that when it is no
    /// longer fresh; only for one that is not known the issuer is waited for.
    async fn find(self: &Arc<Self>, id: &str) -> Result<DecodingKey> {
        let mut known = self.known();
        if !known.is_usable() || !known.has(id) {
            self.refresh().await;
            known = self.known();
        } else if known.age().is_none_or(|age| age > FRESH)
            && self.asked.try_lock().is_ok_and(|at| is_due(*at))
        {
            let keys = Arc::clone(self);
            tokio::spawn(async move { keys.refresh().await });
        }
        if !known.is_usable() {
            return Err(Error::Issuer);
        }
        let key = known.set.as_ref().and_then(|set| set.find(id)).ok_or(Error::Token)?;
        match &key.algorithm {
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                DecodingKey::from_jwk(key).map_err(|_| Error::Token)
            }
            _ => Err(Error::Token),
        }
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the issuer, unless it was asked a moment ago. Whoever comes while it is being asked waits for that.
    async fn refresh(&self) {
        let mut asked = self.asked.lock().await;
        if !is_due(*asked) {
            return;
        }
        let answer = self.fetch().await;
        *asked = Some(Instant::now());
        match answer {
            Ok(set) => {
                let known = Known { set: Some(Arc::new(set)), fetched: Some(Instant::now()) };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
            }
            Err(error) => warn!(%error, "the keys of Stack Auth cannot be fetched"),
        }
    }

    async fn fetch(&self) -> std::result::Result<JwkSet, Box<dyn std::error::Error + Send + Sync>> {
        let mut answer = self.http.get(&self.url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_KEYS_LENGTH {
                return Err("the answer is too long".into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Whether the issuer, last asked then, may be asked again.
fn is_due(asked: Option<Instant>) -> bool {
    asked.is_none_or(|at| at.elapsed() > PAUSE)
}

impl Known {
    fn age(&self) -> Option<Duration> {
        self.fetched.map(|at| at.elapsed())
    }

    fn is_usable(&self) -> bool {
        self.age().is_some_and(|age| age <= STALE)
    }

    fn has(&self, id: &str) -> bool {
        self.set.as_ref().is_some_and(|set| set.find(id).is_some())
    }
}
