//! Stack Auth: ES256 tokens, checked with the keys that the issuer publishes.

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
    http: reqwest::Client,
    keys_url: String,
    validation: Validation,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    set: Option<JwkSet>,
    fetched: Option<Instant>,
    asked: Option<Instant>,
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
        let keys_url = format!("{project_url}/.well-known/jwks.json");
        Ok(Self { http, keys_url, validation, keys: Mutex::default() })
    }

    /// Whom a genuine token in force is about.
    ///
    /// # Errors
    /// `Token`; `Issuer` when there are no keys to check it with.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Identity> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Token)?;
        let key = self.key(&header.kid.ok_or(Error::Token)?).await?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation);
        let claims = claims.map_err(|_| Error::Token)?.claims;
        let now = now.as_second();
        let begun = |at: Option<i64>| at.is_none_or(|at| at <= now + token::LEEWAY_S);
        let current = now < claims.exp && begun(claims.iat) && begun(claims.nbf);
        if !current || claims.sub.is_empty() || claims.is_anonymous || claims.is_restricted {
            return Err(Error::Token);
        }
        let Claims { sub: subject, email, email_verified, name, .. } = claims;
        Ok(Identity { subject, email, email_verified, name })
    }

    /// The key with this id. Only one request for keys runs at a time; others wait for it.
    async fn key(&self, id: &str) -> Result<DecodingKey> {
        let mut keys = self.keys.lock().await;
        let age = keys.fetched.map(|at| at.elapsed());
        let known = keys.set.as_ref().is_some_and(|set| set.find(id).is_some());
        let wanted = !known || age.is_none_or(|age| age > FRESH);
        if wanted && keys.asked.is_none_or(|at| at.elapsed() > PAUSE) {
            keys.asked = Some(Instant::now());
            match self.fetch().await {
                Ok(set) => {
                    keys.set = Some(set);
                    keys.fetched = Some(Instant::now());
                }
                Err(error) => warn!(%error, "the keys of Stack Auth cannot be fetched"),
            }
        }
        if keys.fetched.is_none_or(|at| at.elapsed() > STALE) {
            return Err(Error::Issuer);
        }
        let key = keys.set.as_ref().and_then(|set| set.find(id)).ok_or(Error::Token)?;
        match &key.algorithm {
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                DecodingKey::from_jwk(key).map_err(|_| Error::Token)
            }
            _ => Err(Error::Token),
        }
    }

    async fn fetch(&self) -> std::result::Result<JwkSet, Box<dyn std::error::Error + Send + Sync>> {
        let mut answer = self.http.get(&self.keys_url).send().await?.error_for_status()?;
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
