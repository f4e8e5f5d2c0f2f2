//! BULI2, the external reviewers: handing a review over, and telling their answers from forged ones.
//!
//! A review goes out through the outbox: it was written down with the verdict and is sent until it is taken. Nothing here
//! changes a document; BULI2 being down costs waiting, and in the end the review goes to FiLot's own desk.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{StatusCode, redirect};
use secrecy::SecretString;

use crate::config::Service;
use crate::config::exposed;
use crate::document::Document;
use crate::store::Review;

mod breaker;
pub mod signature;
mod wire;

pub use breaker::{Breaker, BreakerState};
pub(crate) use wire::MAX_TICKET;

/// Longest reply that is read, in bytes.
const MAX_REPLY: usize = 64 * 1024;
/// Longest wait that a `Retry-After` is heeded for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Why BULI2 has not taken a review.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Another try may succeed.
    #[error("{what}")]
    Passing {
        what: String,
        /// BULI2 asks not to be asked again before.
        retry_after: Option<Duration>,
    },
    /// It will not take this review, however often it is asked.
    #[error("status {0}")]
    Refused(u16),
}

impl Failure {
    fn passing(what: impl Into<String>) -> Self {
        Self::Passing { what: what.into(), retry_after: None }
    }
}

/// The client. Calls the one address of the configuration and no other.
pub struct Buli2 {
    http: reqwest::Client,
    url: String,
    api_key: Option<SecretString>,
    callback: wire::CallbackUrl,
    /// Whether BULI2 has a way to the files, so that their keys mean something to it.
    shares_files: bool,
    breaker: Mutex<Breaker>,
}

impl Buli2 {
    /// The client of the configuration; `None` when there is no BULI2.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: &Service) -> Result<Option<Self>, reqwest::Error> {
        let b = &config.buli2;
        let Some(base) = &b.api_url else { return Ok(None) };
        let timeout = Duration::from_millis(b.timeout_ms);
        let http = reqwest::Client::builder()
            .connect_timeout(timeout)
            .timeout(timeout)
            // An answer must not lead the client, and the key with it, to another address.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Some(Self {
            http,
            url: format!("{}/internal/reviews", base.trim_end_matches('/')),
            api_key: b.api_key.clone(),
            callback: wire::CallbackUrl::new(config),
            shares_files: config.storage.endpoint.is_some(),
            breaker: Mutex::new(Breaker::new(
                b.breaker_failures,
                Duration::from_millis(b.breaker_cooldown_ms),
            )),
        }))
    }

    /// How many calls may be made at once now, of `wanted`. None while the breaker is open; a single probe when it has
    /// been open long enough. Whoever asks has to make the calls, or [`Buli2::give_back`] the permission.
    pub fn permits(&self, wanted: usize, now: Timestamp) -> usize {
        self.breaker().permits(wanted, now)
    }

    /// No call came of the permission to make some.
    pub fn give_back(&self) {
        self.breaker().give_back();
    }

    /// Whether the breaker is closed, open or trying, and until when it is open.
    pub fn breaker_state(&self, now: Timestamp) -> (BreakerState, Option<Timestamp>) {
        self.breaker().state(now)
    }

    /// Hands a review over and returns its ticket. The same review is always sent under the same idempotency key.
    ///
    /// # Errors
    /// When BULI2 did not take it, or did not say under which ticket.
    pub async fn hand_over(
        &self,
        review: &Review,
        document: &Document,
        now: impl Fn() -> Timestamp,
    ) -> Result<String, Failure> {
        let ended = self.call(review, document).await;
        let healthy = match &ended {
            Ok(_) | Err(Attempt::Answered(_)) => true,
            Err(Attempt::Sick(_)) => false,
        };
        self.breaker().record(healthy, now());
        ended.map_err(|attempt| match attempt {
            Attempt::Answered(failure) | Attempt::Sick(failure) => failure,
        })
    }

    async fn call(&self, review: &Review, document: &Document) -> Result<String, Attempt> {
        let body = wire::request(review, document, &self.callback, self.shares_files);
        let mut request = self
            .http
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", review.id.to_string())
            .body(body);
        if let Some(key) = exposed(&self.api_key) {
            request = request.bearer_auth(key);
        }
        // What went wrong is told in a word: the text of the error may hold the address.
        let mut reply =
            request.send().await.map_err(|error| Attempt::Sick(Failure::passing(word(&error))))?;
        let status = reply.status();
        if !status.is_success() {
            let retry_after = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            return Err(refusal(status, retry_after.and_then(|text| text.parse().ok())));
        }
        let mut text = Vec::new();
        loop {
            match reply.chunk().await {
                Ok(Some(chunk)) if text.len() + chunk.len() <= MAX_REPLY => text.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(Attempt::Answered(Failure::passing("the reply is too long"))),
                Ok(None) => break,
                Err(error) => return Err(Attempt::Sick(Failure::passing(word(&error)))),
            }
        }
        // A ticket is never made up: without one nobody could tell what BULI2 answers about.
        wire::ticket(&text).ok_or_else(|| Attempt::Answered(Failure::passing("the reply names no ticket")))
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that failed, by what it says about BULI2.
enum Attempt {
    /// It is there and answers.
    Answered(Failure),
    /// It is down or broken.
    Sick(Failure),
}

fn word(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() { "no answer in time" } else { "no connection" }
}

fn refusal(status: StatusCode, retry_after_s: Option<u64>) -> Attempt {
    let retry_after = retry_after_s.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    let passing = Failure::Passing { what: format!("status {}", status.as_u16()), retry_after };
    match status.as_u16() {
        500.. => Attempt::Sick(passing),
        // Timed out, in progress, too early, too many.
        408 | 409 | 425 | 429 => Attempt::Answered(passing),
        400..=499 => Attempt::Answered(Failure::Refused(status.as_u16())),
        // A redirection is not followed; whoever set the address may mend it.
        _ => Attempt::Answered(passing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        for status in 300..600_u16 {
            let attempt = refusal(StatusCode::from_u16(status).unwrap(), None);
            let (sick, refused) = match attempt {
                Attempt::Sick(Failure::Passing { .. }) => (true, false),
                Attempt::Answered(Failure::Refused(_)) => (false, true),
                Attempt::Answered(Failure::Passing { .. }) => (false, false),
                Attempt::Sick(Failure::Refused(_)) => panic!("{status}"),
            };
            assert_eq!(sick, status >= 500, "{status}");
            let passing = [408, 409, 425, 429].contains(&status);
            assert_eq!(refused, (400..500).contains(&status) && !passing, "{status}");
        }
    }
}
