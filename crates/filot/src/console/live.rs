//! Telling an open page what happens: that the queue is another, that a review is somebody else's, that the session is
//! about to end. The rows are the truth; signals only say when to look at them, and without any the server looks by
//! itself. A page that hears nothing asks now and then, as it did before.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::SignedDuration;
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::failure::{Failure, Result};
use super::form::Form;
use super::session::{Signed, session_hash};
use super::{Console, language::Language};
use crate::desk;
use crate::document::ReviewId;
use crate::events::{Subscription, Watching};
use crate::store::{Actor, Officer, QueueState, ReviewStatus};

/// How long to wait for a signal before looking all the same: other processes may have none to send.
const LOOK: Duration = Duration::from_secs(3);
/// Signals may come in crowds; one look answers all that come within this time.
const PAUSE: Duration = Duration::from_millis(300);
/// The queue tells ages, so it is sent again after a while though nothing has happened.
const REFRESH: Duration = Duration::from_secs(60);
/// A stream ends after a while; the browser comes again by itself.
const LIFE: Duration = Duration::from_secs(600);
/// A session's end is announced so long before.
const WARNING: SignedDuration = SignedDuration::from_secs(120);

/// One page that listens.
struct Listener {
    console: Console,
    changes: Subscription,
    /// Hash of the session's cookie.
    session: String,
    officer: Officer,
    language: Language,
    /// The review that the page shows; without one it shows the queue.
    review: Option<ReviewId>,
    told: Told,
    ends: Instant,
    next_look: Instant,
    _watching: Watching,
}

/// What the page knows by now.
#[derive(Default)]
struct Told {
    queue: Option<(QueueState, Instant)>,
    lock: Option<Lock>,
    warned: bool,
    over: bool,
}

/// Whose a review is, for the page that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lock {
    /// Whether the page still is what its officer can work on.
    mine: bool,
    version: u32,
    /// What to tell them otherwise.
    pub(super) text: String,
}

pub(super) async fn queue(
    State(console): State<Console>,
    who: Signed,
    headers: HeaderMap,
) -> Result<Response> {
    listen(console, who, &headers, None).await
}

pub(super) async fn review(
    State(console): State<Console>,
    who: Signed,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let id: ReviewId = id.parse().map_err(|_| Failure::NotFound)?;
    desk::review_for(&console.app, who.officer(), id).await?;
    listen(console, who, &headers, Some(id)).await
}

/// The officer has done something on the page, which is all that this says.
pub(super) async fn alive(_: Form) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn listen(
    console: Console,
    who: Signed,
    headers: &HeaderMap,
    review: Option<ReviewId>,
) -> Result<Response> {
    let watching = console.app.watchers.watch(who.officer().id).map_err(|_| Failure::Busy)?;
    let listener = Listener {
        // Listening before looking: a change in between is not missed.
        changes: console.app.changes.subscribe(),
        session: session_hash(headers, &console).ok_or(Failure::SignedOut)?,
        officer: *who.officer(),
        language: who.language,
        review,
        told: Told::default(),
        ends: Instant::now() + LIFE,
        next_look: Instant::now(),
        _watching: watching,
        console,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    // Proxies that collect answers would keep it from the page.
    Ok(([("x-accel-buffering", "no")], Sse::new(events).keep_alive(KeepAlive::default())).into_response())
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        let stop = self.console.stop.clone();
        loop {
            if self.told.over || Instant::now() >= self.ends {
                return None;
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = sleep_until(self.next_look) => {}
            }
            // A database that does not answer is no news; the page asks by itself when the stream ends.
            match self.look().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(_) => return None,
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = self.wait() => {}
            }
        }
    }

    /// Waits for a signal, or for the time to look without one.
    async fn wait(&mut self) {
        if let Ok(None) = timeout_at(Instant::now() + LOOK, self.changes.next()).await {
            self.changes = self.console.app.changes.subscribe();
        }
        self.next_look = Instant::now() + PAUSE;
    }

    /// What the page does not know yet.
    async fn look(&mut self) -> Result<Option<Event>> {
        let (app, now) = (&self.console.app, Instant::now());
        let idle = Duration::from_secs(app.config.service.desk.session_idle_s);
        let Some(session) = app.store.console_session(&self.session, idle, false).await? else {
            self.told.over = true;
            return Ok(Some(Event::default().event("ended").data("-")));
        };
        let left = session.ends_at.duration_since(app.clock.now());
        if (left <= WARNING) != self.told.warned {
            self.told.warned = !self.told.warned;
            let text = if self.told.warned { self.language.words().ending } else { "" };
            return Ok(Event::default().event("ending").json_data(text).ok());
        }
        match self.review {
            Some(id) => {
                let lock = lock(&self.console, &self.officer, self.language, id).await?;
                if self.told.lock.as_ref() == Some(&lock) {
                    return Ok(None);
                }
                let event = Event::default().event("lock").json_data(&lock).ok();
                self.told.lock = Some(lock);
                Ok(event)
            }
            None => {
                let state = app.store.queue_state().await?;
                let known = self.told.queue.replace((state, now));
                match known {
                    // The page was made a moment ago.
                    None => Ok(None),
                    Some((before, at)) if before == state && now < at + REFRESH => {
                        self.told.queue = Some((before, at));
                        Ok(None)
                    }
                    Some(_) => Ok(Some(Event::default().event("queue").data("-"))),
                }
            }
        }
    }
}

/// Whose a review is at this moment.
pub(super) async fn lock(
    console: &Console,
    officer: &Officer,
    language: Language,
    id: ReviewId,
) -> Result<Lock> {
    let app = &console.app;
    let gone = |text: &str| Lock { mine: false, version: 0, text: text.to_owned() };
    let review = match app.store.review(id).await {
        Ok(review) => review,
        Err(crate::store::Error::NotFound) => return Ok(gone(language.words().not_found)),
        Err(error) => return Err(error.into()),
    };
    let lost = async |by: &str| -> Result<Lock> {
        let own = *by == Actor::Officer(officer.id).to_string();
        let text = if own {
            language.words().changed_by_you.to_owned()
        } else {
            language.lost_to(&desk::name_of(app, by).await?)
        };
        Ok(Lock { mine: false, version: review.version, text })
    };
    if review.status != ReviewStatus::Pending {
        return lost(review.reviewer.as_deref().unwrap_or_default()).await;
    }
    let rulings = app.store.rulings_of(id).await?;
    if let Some(ruling) = rulings.iter().find(|ruling| ruling.stage == review.stage) {
        return lost(&Actor::Officer(ruling.reviewer).to_string()).await;
    }
    match review.claimed {
        Some((by, _)) if by == officer.id => {
            Ok(Lock { mine: true, version: review.version, text: String::new() })
        }
        Some((by, until)) if until > app.clock.now() => lost(&Actor::Officer(by).to_string()).await,
        _ => Ok(Lock { version: review.version, ..gone(language.words().changed) }),
    }
}
