//! R4 for what people and reviewers do: the process dies right before an act is stored for good. Nothing of it may be
//! there, and the same act done again happens once.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use filot::app::App;
use filot::audit::{Verified, verify_trail};
use filot::clock::Clock;
use filot::desk::{self, Reason};
use filot::document::{DocumentId, Resolution, ReviewId, UserId};
use filot::store::{Actor, Callback, Claim, Naming, Noted, Officer, Role, Ruling, Undone, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::support::app::all_events;
use crate::support::buli2::configured;
use crate::support::cards::{Script, card};
use crate::support::desk::{assessed, officer};
use crate::support::{Deployment, TestApp, on_sqlite_and_postgres};

const LEASE: Duration = Duration::from_secs(600);
/// Deaths at each place, on each database.
const DEATHS: u32 = 3;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    Delete,
    Escalate,
    Resolve,
    Callback,
    Note,
    Undo,
    CarryOut,
    Retake,
}

/// The places, and the act that passes each.
pub(crate) const PLACES: &[(&str, Act)] = &[
    ("store.delete.before_commit", Act::Delete),
    ("store.escalate.before_commit", Act::Escalate),
    ("store.resolve.before_commit", Act::Resolve),
    ("store.callback.before_commit", Act::Callback),
    ("store.note.before_commit", Act::Note),
    ("store.undo.before_commit", Act::Undo),
    ("store.carry_out.before_commit", Act::CarryOut),
    ("store.retake.before_commit", Act::Retake),
];

on_sqlite_and_postgres! {
    whatever_dies_before_it_is_stored_is_not_there_and_happens_once
}

/// On what it is done, and by whom; a child is told in its environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Subject {
    act: Act,
    document: DocumentId,
    review: Option<ReviewId>,
    officer: UserId,
    ruling: Option<uuid::Uuid>,
}

impl Subject {
    fn officer(&self) -> Officer {
        Officer { id: self.officer, role: Role::Reviewer }
    }

    fn review(&self) -> ReviewId {
        self.review.expect("an act on a review")
    }

    /// A document in the state in which the act can be done.
    async fn prepare(it: &TestApp, act: Act, number: u32) -> Self {
        let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
        let (document, review) = if matches!(act, Act::Delete | Act::Escalate) {
            let id = it.upload(card(number, Script::Approve, 0)).await.unwrap().id;
            it.finished(id).await;
            (id, None)
        } else {
            let (document, review) = it.review(number, Script::Review).await;
            if act != Act::Callback {
                it.app.store.hand_to_desk(review, "tests").await.unwrap();
            }
            (document, Some(review))
        };
        let mut subject = Self { act, document, review, officer: ani.id, ruling: None };
        let ruling = match act {
            Act::Undo | Act::CarryOut => Some(Ruling::Reject),
            Act::Retake => Some(Ruling::Retake),
            _ => None,
        };
        if act == Act::Note || ruling.is_some() {
            let claimed = it.app.store.claim_review(subject.review(), &ani, LEASE).await.unwrap();
            assert!(matches!(claimed, Claim::Held(_)), "{claimed:?}");
        }
        if let Some(ruling) = ruling {
            subject.ruling = Some(subject.note(&it.app, ruling).await);
        }
        subject
    }

    /// What has to have taken effect before the act, with nobody beside it who would do the act, too.
    async fn ripen(&self, app: &App) {
        if self.act == Act::Retake {
            app.clock.advance(SignedDuration::from_secs(600));
            desk::settle(app).await.unwrap();
        }
    }

    async fn note(&self, app: &App, ruling: Ruling) -> uuid::Uuid {
        let version = app.store.review(self.review()).await.unwrap().version;
        let reason = Reason::of(ruling).next().unwrap();
        match desk::decide(app, &self.officer(), self.review(), version, ruling, reason, None).await.unwrap()
        {
            Noted::Noted(row) => row.id,
            other => panic!("{other:?}"),
        }
    }

    /// Does it.
    async fn perform(&self, app: &App) {
        let store = &app.store;
        let verdict = |reviewer: Actor| Verdict {
            resolution: Resolution::Rejected,
            notes: None,
            reviewer,
            expected_version: None,
        };
        match self.act {
            Act::Delete => drop(store.delete_document(self.document, &Actor::System).await.unwrap()),
            Act::Escalate => drop(store.escalate(self.document, &Actor::System).await.unwrap()),
            Act::Resolve => {
                let verdict = verdict(Actor::Officer(self.officer));
                drop(store.resolve_review(self.review(), verdict).await.unwrap());
            }
            Act::Callback => {
                let callback = Callback {
                    event_id: format!("event-{}", self.document),
                    body_hash: "0".repeat(64),
                    naming: Naming { review: self.review, ..Naming::default() },
                    verdict: verdict(Actor::Service("buli2".to_owned())),
                    fresh: true,
                };
                assert!(store.take_callback(callback).await.unwrap().changed.is_some());
            }
            Act::Note => drop(self.note(app, Ruling::Reject).await),
            Act::Undo => {
                let undone = store.undo_ruling(self.ruling.unwrap(), &self.officer(), LEASE).await.unwrap();
                assert!(matches!(undone, Undone::Open(_)), "{undone:?}");
            }
            Act::CarryOut => {
                app.clock.advance(SignedDuration::from_secs(600));
                desk::settle(app).await.unwrap();
            }
            Act::Retake => {
                let expires = app.clock.now() + SignedDuration::from_hours(24);
                let token_hash = format!("hash-{}", self.document);
                store.issue_retake(self.document, self.review(), &token_hash, expires).await.unwrap();
            }
        }
    }

    /// How everything stands that the act may change.
    async fn standing(&self, app: &App) -> String {
        let store = &app.store;
        let document =
            store.document(self.document).await.ok().map(|document| {
                (document.version, document.status, document.verification, document.ticket_id)
            });
        let mut reviews = Vec::new();
        for review in store.reviews_of_document(self.document).await.unwrap() {
            let rulings = store.rulings_of(review.id).await.unwrap();
            reviews.push((review.id, review.version, review.status, review.claimed, rulings));
        }
        let link = store.retake_link(self.document).await.unwrap().is_some();
        let events = all_events(app).await.len();
        let Verified::Whole(chain) = verify_trail(store, &[]).await.unwrap() else {
            panic!("the audit trail is broken");
        };
        format!("{document:?} {reviews:?} {link} {events} {}", chain.seq())
    }
}

async fn whatever_dies_before_it_is_stored_is_not_there_and_happens_once(deployment: Deployment) {
    // Reviews go to BULI2, which is not there, and from it to the desk where the act is an officer's.
    let deployment = configured(deployment, 9);
    let deployment = deployment.with("FILOT_DESK_SECOND_LOOK_SHARE", "0").with("FILOT_DESK_UNDO_S", "60");
    let clock = Clock::by_hand(Timestamp::now());
    let mut it = TestApp::on(deployment.app_with(assessed(), clock).await).await;
    // Reads what is uploaded; nothing else goes on beside the act.
    let mut number = 0;
    for (place, act) in PLACES {
        for _ in 0..DEATHS {
            number += 1;
            it.work();
            let subject = Subject::prepare(&it, *act, number).await;
            it.rest().await;
            subject.ripen(&it.app).await;
            let before = subject.standing(&it.app).await;
            let mut child = Command::new("setpriv");
            child.args(["--pdeathsig", "KILL"]).arg(std::env::current_exe().unwrap());
            child.args(["--exact", "durability::acts::acts_and_dies", "--ignored", "--test-threads", "1"]);
            child.envs(deployment.environment());
            child.env("CHILD_PLACE", place).env("CHILD_SUBJECT", serde_json::to_string(&subject).unwrap());
            child.env("CHILD_NOW", it.app.clock.now().to_string());
            let ended =
                child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
            let ended = ended.unwrap();
            assert_eq!(ended.status.signal(), Some(6), "{place}: {}", String::from_utf8_lossy(&ended.stderr));
            assert_eq!(subject.standing(&it.app).await, before, "{place}: something of it is there");
            subject.perform(&it.app).await;
            let after = subject.standing(&it.app).await;
            assert_ne!(after, before, "{place}: it cannot be done again");
        }
    }
    println!("{} acts, each died {DEATHS} times", PLACES.len());
}

/// The process that dies: not a test of its own.
#[test]
#[ignore = "run by another test as a process to be killed"]
#[expect(clippy::disallowed_methods, reason = "a child learns from its parent through the environment")]
fn acts_and_dies() {
    let Ok(subject) = std::env::var("CHILD_SUBJECT") else { return };
    let subject: Subject = serde_json::from_str(&subject).unwrap();
    let now: Timestamp = std::env::var("CHILD_NOW").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = filot::config::Config::load(None).unwrap();
        let app = App::with_reader(config, assessed(), Clock::by_hand(now)).await.unwrap();
        filot::failpoint::arm(&std::env::var("CHILD_PLACE").unwrap(), 1);
        subject.perform(&app).await;
        panic!("still alive");
    });
}
