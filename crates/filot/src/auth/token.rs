//! Own access tokens: JWT with HS256.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::document::UserId;

/// The one algorithm of own tokens.
pub(super) const OWN: Algorithm = Algorithm::HS256;
/// The one algorithm of Stack Auth.
pub(super) const STACK: Algorithm = Algorithm::ES256;
/// Seconds by which clocks may differ.
pub(super) const LEEWAY_S: i64 = 30;
/// Whom own tokens are for.
const AUDIENCE: &str = "filot-api";
/// Longer tokens are not looked at.
const MAX_LENGTH: usize = 4096;

/// What an own token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The account.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// The token itself.
    pub jti: Uuid,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
}

/// Issues and verifies own tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    issuer: String,
    lifetime: u64,
}

impl Tokens {
    /// `issuer` is the address of this service, `lifetime` is in seconds.
    pub fn new(secret: &SecretString, issuer: &str, lifetime: u64) -> Self {
        let secret = secret.expose_secret().as_bytes();
        let mut validation = strict(OWN);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        Self {
            encoding: EncodingKey::from_secret(secret)
                .expect("the settings and the key file refuse empty secrets"),
            decoding: DecodingKey::from_secret(secret)
                .expect("the settings and the key file refuse empty secrets"),
            validation,
            issuer: issuer.to_owned(),
            lifetime,
        }
    }

    /// Seconds that a token lives.
    pub fn lifetime(&self) -> u64 {
        self.lifetime
    }

    /// A token for a session; `None` when it cannot be written, which does not happen with claims that are plain text.
    pub fn issue(&self, user: UserId, session: Uuid, now: Timestamp) -> Option<String> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user.0,
            sid: session,
            jti: Uuid::new_v4(),
            iat: now.as_second(),
            exp: now.as_second() + i64::try_from(self.lifetime).unwrap_or(i64::MAX / 2),
        };
        jsonwebtoken::encode(&Header::new(OWN), &claims, &self.encoding).ok()
    }

    /// What a genuine token says at a time when it is in force.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        claims.is_current(now).then_some(claims)
    }
}

/// The algorithm that a token names; `None` for what is no token, or names none that is known.
pub(super) fn algorithm(token: &str) -> Option<Algorithm> {
    let token = Some(token).filter(|token| token.len() <= MAX_LENGTH)?;
    jsonwebtoken::decode_header(token).ok().map(|header| header.alg)
}

/// Rules under which all of issuer, audience, subject and expiry must be there. Times are compared by the caller, with
/// the clock of the product.
pub(super) fn strict(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false;
    validation
}
