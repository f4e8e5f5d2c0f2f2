//! The queue: what waits, how long, and why.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use filot_cards::checks::CheckCode;
use jiff::SignedDuration;

use super::failure::Result;
use super::page::{Page, html};
use super::session::Signed;
use super::{Console, Fields};
use crate::store::{Cursor, DeskFilter, Possession, Stage, Waiting};

/// Reviews on one page.
const PAGE: u64 = 25;

#[derive(Template)]
#[template(path = "queue.html")]
struct Queue {
    page: Page,
    rows: Vec<Row>,
    count: u64,
    /// Reviews that wait for somebody who has no account.
    stuck: u64,
    filtered: bool,
    /// The filter as a query, and the same with the next page's place.
    query: String,
    more: Option<String>,
    card_types: Vec<Choice>,
    possessions: Vec<Choice>,
    ages: Vec<Choice>,
    reasons: Vec<Choice>,
}

struct Row {
    id: String,
    /// The first characters of the document's id.
    short: String,
    card_type: &'static str,
    age: String,
    /// `ok`, `soon` or `late`.
    urgency: &'static str,
    urgency_text: &'static str,
    score: Option<u8>,
    chips: Vec<String>,
    disagreement: bool,
    held_by: Option<String>,
    mine: bool,
}

/// An entry of a list to choose from.
struct Choice {
    value: String,
    text: String,
    chosen: bool,
}

/// The filter that a query, or the hidden fields of a form, asks for.
pub(super) fn filter(console: &Console, query: &Fields) -> DeskFilter {
    let get = |name: &str| query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let desk = &console.app.config.service.desk;
    let since = match get("age") {
        Some("late") => Some(desk.late_s),
        Some("soon") => Some(desk.soon_s),
        _ => None,
    };
    let now = console.app.clock.now();
    let ago = |s: u64| now.checked_sub(SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX))).ok();
    DeskFilter {
        card_type: get("type").and_then(|text| text.parse().ok()),
        reason: get("reason").map(str::to_owned),
        possession: match get("whose") {
            Some("mine") => Some(Possession::Mine),
            Some("free") => Some(Possession::Free),
            _ => None,
        },
        before: since.and_then(ago),
    }
}

/// The part of a query that is the filter.
pub(super) fn filter_query(query: &Fields) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for name in ["type", "whose", "age", "reason"] {
        if let Some(value) = query.get(name).filter(|value| !value.is_empty() && value.len() <= 50) {
            text.append_pair(name, value);
        }
    }
    text.finish()
}

pub(super) async fn show(State(console): State<Console>, who: Signed) -> Result<Response> {
    console.settle().await;
    let (store, officer) = (&console.app.store, who.officer());
    let wanted = filter(&console, &who.query);
    let query = filter_query(&who.query);
    let after = who.query.get("after").and_then(|text| text.parse::<Cursor>().ok());
    let mut waiting = store.waiting_reviews(officer, &wanted, after, PAGE + 1).await?;
    let count = store.count_waiting(officer, &wanted).await?;
    let more = waiting.get(PAGE as usize - 1).filter(|_| waiting.len() > PAGE as usize).map(Waiting::cursor);
    waiting.truncate(PAGE as usize);
    let mut rows = Vec::with_capacity(waiting.len());
    for entry in waiting {
        rows.push(row(&console, &who, entry).await?);
    }
    let language = who.language;
    let w = language.words();
    let chosen = |name: &str| who.query.get(name).cloned().unwrap_or_default();
    let choices = |name: &str, entries: &[(&str, &str)]| {
        let present = chosen(name);
        let choice = |(value, text): &(&str, &str)| Choice {
            value: (*value).to_owned(),
            text: (*text).to_owned(),
            chosen: *value == present,
        };
        entries.iter().map(choice).collect::<Vec<_>>()
    };
    let mut reasons = choices("reason", &[("", w.all)]);
    reasons.extend(CheckCode::all().iter().filter_map(|code| {
        let value = serde_json::to_value(code).ok()?.as_str()?.to_owned();
        let text = language.chip(&value).into_owned();
        Some(Choice { chosen: value == chosen("reason"), value, text })
    }));
    let here = match (query.as_str(), after) {
        ("", None) => "/console".to_owned(),
        (query, None) => format!("/console?{query}"),
        (query, Some(cursor)) => format!("/console?{query}&after={cursor}"),
    };
    let queue = Queue {
        rows,
        count,
        stuck: store.stuck_reviews().await?,
        filtered: !query.is_empty(),
        more: more.map(|cursor| format!("/console?{query}&after={cursor}")),
        query,
        card_types: choices("type", &[("", w.all), ("KTP", "KTP"), ("NPWP", "NPWP")]),
        possessions: choices("whose", &[("", w.all), ("mine", w.mine), ("free", w.free)]),
        ages: choices("age", &[("", w.all), ("soon", w.soon), ("late", w.late)]),
        reasons,
        page: Page::of(&console, &who, here).await?,
    };
    Ok(html(StatusCode::OK, &queue))
}

async fn row(console: &Console, who: &Signed, entry: Waiting) -> Result<Row> {
    let (language, desk) = (who.language, &console.app.config.service.desk);
    let w = language.words();
    let age = console.app.clock.now().duration_since(entry.created_at).as_secs();
    let waited = u64::try_from(age).unwrap_or_default();
    let (urgency, urgency_text) = match waited {
        waited if waited >= desk.late_s => ("late", w.late),
        waited if waited >= desk.soon_s => ("soon", w.soon),
        _ => ("ok", w.in_time),
    };
    let mine = entry.held_by == Some(who.officer().id);
    let held_by = match entry.held_by {
        Some(by) if !mine => Some(console.app.store.display_name(by).await?),
        _ => None,
    };
    let id = entry.document_id.to_string();
    Ok(Row {
        id: entry.id.to_string(),
        // The end of a time-ordered id differs more than its beginning.
        short: id[id.len() - 8..].to_owned(),
        card_type: entry.card_type.as_str(),
        age: language.span(age),
        urgency,
        urgency_text,
        score: entry.score,
        chips: entry.reasons.iter().map(|code| language.chip(code).into_owned()).collect(),
        disagreement: entry.stage == Stage::Admin,
        held_by,
        mine,
    })
}
