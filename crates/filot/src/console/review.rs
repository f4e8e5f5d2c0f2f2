//! One review: look, correct, decide, undo.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use filot_cards::checks::{Check, Outcome};
use filot_cards::field::FieldKey;
use filot_cards::typed::Expected;

use super::Console;
use super::failure::{Failure, Result};
use super::language::Language;
use super::page::{Page, html};
use super::session::Signed;
use super::viewer::{self, Look, Picture, Pictures, Shown};
use crate::desk::{self, Case, Reason};
use crate::document::{ReviewId, Ruling, Stage};
use crate::retake;
use crate::store::{Actor, AuditEntry, ReviewStatus};

mod field;

use field::{FieldView, href, veiled};

#[derive(Template)]
#[template(path = "review.html")]
struct Review {
    page: Page,
    id: String,
    short: String,
    version: u32,
    card_type: &'static str,
    age: String,
    score: Option<u8>,
    corrected_score: Option<u8>,
    failure: Option<String>,
    /// Why what was asked for did not happen.
    problem: Option<&'static str>,
    /// The officer has to look at the photo first.
    unseen: bool,
    /// Why approving it takes two.
    two_people: Vec<&'static str>,
    findings: Vec<&'static str>,
    fields: Vec<FieldView>,
    opinions: Vec<String>,
    /// That this photo was taken in place of another, and why.
    history: Option<String>,
    decisions: Vec<DecisionView>,
    viewer: ViewerView,
}

struct ViewerView {
    original: PictureView,
    straightened: Option<PictureView>,
    is_original: bool,
    href: String,
    width: f32,
    height: f32,
    shown: Shown,
    contrast: bool,
    reveal: bool,
    // Where the tools lead without a script.
    to_original: String,
    to_straightened: String,
    to_left: String,
    to_right: String,
    to_contrast: String,
    to_whole: String,
    to_reveal: String,
}

struct PictureView {
    /// Of the real one.
    href: String,
    width: f32,
    height: f32,
}

struct DecisionView {
    ruling: &'static str,
    key: &'static str,
    text: &'static str,
    reasons: Vec<ReasonView>,
    /// What was written before, where it comes back.
    note: String,
}

struct ReasonView {
    code: &'static str,
    text: &'static str,
    /// The one that fits what the officer has done; the others stay where they are.
    usual: bool,
}

pub(super) fn parse(id: &str) -> Result<ReviewId> {
    id.parse().map_err(|_| Failure::NotFound)
}

/// What comes back to an officer whose wish was not fulfilled.
#[derive(Default)]
pub(super) struct Returned {
    pub(super) problem: Option<&'static str>,
    pub(super) unseen: bool,
    /// A value that was refused.
    pub(super) value: Option<(FieldKey, String, Expected)>,
    pub(super) note: Option<(Ruling, String)>,
}

pub(super) async fn show(
    State(console): State<Console>,
    who: Signed,
    Path(id): Path<String>,
) -> Result<Response> {
    console.settle().await;
    let look = Look::of(&who.query);
    page(&console, &who, parse(&id)?, look, StatusCode::OK, Returned::default()).await
}

/// The page of a review, if the officer has it before them.
pub(super) async fn page(
    console: &Console,
    who: &Signed,
    id: ReviewId,
    look: Look,
    status: StatusCode,
    returned: Returned,
) -> Result<Response> {
    let review = desk::review_for(&console.app, who.officer(), id).await?;
    if !review.is_held_by(who.officer().id, console.app.clock.now()) {
        return not_held(console, who, id).await;
    }
    let case = desk::look(&console.app, who.officer(), id).await?;
    let (actor, subject) = (&Actor::Officer(who.officer().id), format!("document:{}", case.document.id));
    let action = "review.view";
    let entry = AuditEntry { actor, action, subject, reason: None, before: None, after: None };
    console.app.store.audit(entry).await?;
    let page = Page::of(console, who, format!("/console/reviews/{id}")).await?;
    let opinions = opinions(console, who, &case).await?;
    let history = history(console, who, &case).await?;
    let review = Review { history, opinions, ..view(console, who, page, case, look, returned) };
    Ok(html(status, &review))
}

/// Why the officer cannot see it, and what they can do about it.
async fn not_held(console: &Console, who: &Signed, id: ReviewId) -> Result<Response> {
    #[derive(Template)]
    #[template(path = "unclaimed.html")]
    struct Unclaimed {
        page: Page,
        id: String,
        text: String,
        can_take: bool,
    }
    let review = console.app.store.review(id).await?;
    let w = who.language.words();
    let now = console.app.clock.now();
    let holder = review.claimed.filter(|(by, until)| *until > now && *by != who.officer().id);
    let (text, can_take) = match (&review.reviewer, holder) {
        (Some(by), _) if review.status != ReviewStatus::Pending => {
            (who.language.lost_to(&desk::name_of(&console.app, by).await?), false)
        }
        (_, Some((by, _))) => (who.language.lost_to(&console.app.store.display_name(by).await?), false),
        _ => (w.not_held.to_owned(), true),
    };
    let page = Page::of(console, who, format!("/console/reviews/{id}")).await?;
    Ok(html(StatusCode::OK, &Unclaimed { page, id: id.to_string(), text, can_take }))
}

/// What the two officers said, in words, for the admin between them.
async fn opinions(console: &Console, who: &Signed, case: &Case) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for ruling in &case.rulings {
        let name = console.app.store.display_name(ruling.reviewer).await?;
        let reason = who.language.sentence(ruling.reason.officer());
        let note = ruling.note.as_ref().map(|note| format!(" “{note}”")).unwrap_or_default();
        out.push(format!("{name}: {} ({reason}).{note}", who.language.ruling(ruling.ruling)));
    }
    if let Some(said) = case.review.buli2_answer.filter(|_| case.review.stage == Stage::Admin) {
        out.push(format!("BULI2: {}.", who.language.ruling(said.into())));
    }
    Ok(out)
}

/// Which photo of the case this is, and why the one before was not good enough.
async fn history(console: &Console, who: &Signed, case: &Case) -> Result<Option<String>> {
    let Some(before) = case.document.replaces else { return Ok(None) };
    let review = console.app.store.review_of_document(before).await?;
    let reason = review.and_then(|review| review.reason?.parse::<Reason>().ok());
    let reason = reason.map(|reason| who.language.sentence(reason.officer()));
    Ok(Some(who.language.retaken(case.document.retakes, reason)))
}

/// What stands against one person's approval, in words. A second officer is not told what BULI2 said.
fn two_people(language: Language, case: &Case) -> Vec<&'static str> {
    let (w, against) = (language.words(), case.against());
    [
        (against.rejected, w.against_rejected),
        (against.unread, w.against_unread),
        (against.failed, w.against_failed),
        (against.unchecked, w.against_unchecked),
        (against.retyped, w.against_retyped),
        (against.buli2 && case.review.stage != Stage::Second, w.against_buli2),
    ]
    .into_iter()
    .filter_map(|(holds, words)| holds.then_some(words))
    .collect()
}

fn view(
    console: &Console,
    who: &Signed,
    mut page: Page,
    case: Case,
    look: Look,
    returned: Returned,
) -> Review {
    let language = who.language;
    page.reveal = look.reveal;
    let id = case.review.id.to_string();
    let pictures = Pictures::of(case.place.as_ref());
    let checks = match (&case.corrected, &case.recorded) {
        (Some(assessment), _) => assessment.checks.clone(),
        (None, Some(recorded)) => recorded.with_sentences(),
        (None, None) => Vec::new(),
    };
    let wanting = |check: &&Check| check.outcome != Outcome::Pass;
    let general = |check: &&Check| check.fields.is_empty();
    let findings =
        checks.iter().filter(wanting).filter(general).map(|check| language.sentence(check.officer));
    let mut fields: Vec<FieldView> = case
        .recorded
        .as_ref()
        .map(desk::fields_of)
        .unwrap_or_default()
        .iter()
        .map(|key| field::view(language, *key, &case, &checks, &pictures, &id, &look))
        .collect();
    // What needs a look comes first; otherwise the card's own order.
    let rank = |field: &FieldView| match field.class {
        "failed" => 0,
        "weak" => 1,
        _ => 2,
    };
    if let Some((key, value, expected)) = returned.value
        && let Some(field) = fields.iter_mut().find(|field| field.key == key.as_str())
    {
        field.value = value;
        field.refused = Some(language.sentence(expected.sentence()));
    }
    fields
        .sort_by_key(|field| (rank(field), if rank(field) == 2 { 0 } else { field.confidence.unwrap_or(0) }));
    let age = console.app.clock.now().duration_since(case.review.created_at).as_secs();
    let document = case.document.id.to_string();
    Review {
        short: document[document.len() - 8..].to_owned(),
        version: case.review.version,
        card_type: case.document.card_type.as_str(),
        age: language.span(age),
        score: case.document.score,
        corrected_score: case.corrected.as_ref().map(|assessment| assessment.score),
        failure: case.document.failure_code.as_deref().map(|code| language.chip(code).into_owned()),
        decisions: decisions(
            language,
            retake::attempts_left(&console.app, &case.document) > 0,
            fields.iter().any(|field| field.before.is_some()),
            returned.note,
        ),
        problem: returned.problem,
        unseen: returned.unseen,
        two_people: two_people(language, &case),
        findings: findings.collect(),
        fields,
        opinions: Vec::new(),
        history: None,
        viewer: viewer_view(&case, &pictures, &look, &id),
        id,
        page,
    }
}

fn viewer_view(case: &Case, pictures: &Pictures, look: &Look, id: &str) -> ViewerView {
    let is_original = look.original || pictures.straightened.is_none();
    let picture = pictures.straightened.as_ref().filter(|_| !is_original).unwrap_or(&pictures.original);
    let zoomed = look.field.as_deref().and_then(FieldKey::from_name);
    let zoomed = zoomed.and_then(|key| case.recorded.as_ref()?.fields.get(&key));
    let region = zoomed.and_then(|field| {
        let (original, straightened) = pictures.places(&field.quad);
        if is_original { original } else { straightened }
    });
    let with = |change: &dyn Fn(&mut Look)| {
        let mut look = look.clone();
        change(&mut look);
        look.query()
    };
    let seen = |picture: &Picture| PictureView {
        href: href(id, picture),
        width: picture.width,
        height: picture.height,
    };
    ViewerView {
        original: seen(&pictures.original),
        straightened: pictures.straightened.as_ref().map(seen),
        is_original,
        href: veiled(id, picture, look),
        width: picture.width,
        height: picture.height,
        shown: viewer::shown(picture, region, look.turn),
        contrast: look.contrast,
        reveal: look.reveal,
        to_original: with(&|look| look.original = true),
        to_straightened: with(&|look| look.original = false),
        to_left: with(&|look| look.turn = (look.turn + 270) % 360),
        to_right: with(&|look| look.turn = (look.turn + 90) % 360),
        to_contrast: with(&|look| look.contrast = !look.contrast),
        to_whole: with(&|look| look.field = None),
        to_reveal: with(&|look| look.reveal = !look.reveal),
    }
}

fn decisions(
    language: Language,
    can_retake: bool,
    corrected: bool,
    note: Option<(Ruling, String)>,
) -> Vec<DecisionView> {
    let view = |reason: Reason| ReasonView {
        code: reason.as_str(),
        text: language.sentence(reason.officer()),
        usual: corrected && reason == Reason::DataCorrected,
    };
    let reasons = |ruling| Reason::of(ruling).map(view).collect();
    [(Ruling::Approve, "A"), (Ruling::Reject, "R"), (Ruling::Retake, "T")]
        .into_iter()
        .filter(|(ruling, _)| can_retake || *ruling != Ruling::Retake)
        .map(|(ruling, key)| DecisionView {
            ruling: ruling.as_str(),
            key,
            text: language.ruling(ruling),
            reasons: reasons(ruling),
            note: note.iter().find(|(of, _)| *of == ruling).map(|(_, text)| text.clone()).unwrap_or_default(),
        })
        .collect()
}
