//! The dashboard: how much comes in, how much of it needs people, how long they take, and how BULI2 and the audit trail
//! are. Numbers and words only, nothing of any customer.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::Console;
use super::failure::Result;
use super::language::Language;
use super::page::{Page, html};
use super::session::Signed;
use crate::audit::Checkpoint;
use crate::desk::Reason;
use crate::document::{UserId, Verification};
use crate::store::{Counted, EventKind, Handling, QueueAge, Role, Ruled, Ruling};
use crate::telemetry::gauges;

mod chart;
mod history;
mod words;

use chart::Caption;
pub(super) use history::History;
use words::Words;

/// Days that can be looked at.
const RANGES: [i16; 3] = [7, 30, 90];

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    page: Page,
    d: &'static Words,
    ranges: Vec<(i16, bool)>,
    /// Large numbers on top: what, how much.
    tiles: Vec<(&'static str, String)>,
    figures: Vec<Figure>,
    reasons: Vec<ReasonRow>,
    reasons_table: Table,
    officers: Vec<OfficerRow>,
    agreement: Table,
    kappa: String,
    /// How many second looks it is about, and of which days.
    second_looks: String,
    buli2: Vec<(&'static str, String)>,
    audit: Vec<(&'static str, String)>,
}

/// A chart, what its colours mean, and the numbers behind it.
struct Figure {
    title: &'static str,
    svg: String,
    /// Class of the colour, and its meaning.
    legend: Vec<(&'static str, &'static str)>,
    table: Table,
}

struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

struct ReasonRow {
    name: String,
    ruling: &'static str,
    total: u64,
    svg: String,
}

struct OfficerRow {
    name: String,
    count: u64,
    median: String,
    p95: String,
}

/// The days that are looked at.
struct Range {
    days: i16,
    /// Starts of the days, and the end of the last, in the time of western Indonesia.
    bounds: Vec<Timestamp>,
    labels: Vec<String>,
}

impl Range {
    fn of(wish: Option<&str>, today: Date) -> Self {
        let wish = wish.and_then(|text| text.parse().ok());
        let days = wish.filter(|days| RANGES.contains(days)).unwrap_or(RANGES[1]);
        let first = today.saturating_sub(i64::from(days - 1).days());
        let zone = Offset::constant(7);
        let day = |at: i16| first.saturating_add(i64::from(at).days());
        let start = |at| zone.to_timestamp(day(at).at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX);
        Self {
            days,
            bounds: (0..=days).map(start).collect(),
            labels: (0..days).map(|at| day(at).strftime("%d-%m").to_string()).collect(),
        }
    }

    fn len(&self) -> usize {
        self.labels.len()
    }
}

pub(super) async fn show(State(console): State<Console>, who: Signed) -> Result<Response> {
    console.settle().await;
    let (app, language) = (&console.app, who.language);
    let d = words::of(language);
    let range = Range::of(who.query.get("days").map(String::as_str), app.clock.today());
    let now = app.clock.now();
    let ago = |seconds: u64| {
        let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        now.checked_sub(span).unwrap_or(Timestamp::MIN)
    };
    let desk = &app.config.service.desk;
    let ((events, decisions), queue, handling, agreement) = tokio::try_join!(
        console.history.count(&app.store, &range.bounds, now),
        app.store.queue_age([ago(desk.soon_s), ago(desk.late_s)]),
        app.store.handling(range.bounds[0]),
        app.store.agreement(range.bounds[0]),
    )?;

    let throughput = Throughput::of(&events, range.len());
    let kappa = agreement.kappa().map_or_else(|| d.none.to_owned(), |kappa| format!("{kappa:.2}"));
    let age = |since: Option<Timestamp>| {
        since.map_or_else(|| "–".to_owned(), |at| language.span(now.duration_since(at).as_secs()))
    };
    let tiles = vec![
        (d.waiting, queue.count.to_string()),
        (d.age_p50, age(queue.p50)),
        (d.age_p95, age(queue.p95)),
        (d.automatic, throughput.automatic().map_or_else(|| "–".to_owned(), |share| format!("{share:.0} %"))),
        (d.read, throughput.total().to_string()),
        (d.decided, decisions.iter().map(|ruled| ruled.count).sum::<u64>().to_string()),
    ];
    let (reasons, reasons_table) = reasons(language, d, &range, &decisions);
    let dashboard = Dashboard {
        d,
        ranges: RANGES.map(|days| (days, days == range.days)).into(),
        tiles,
        figures: vec![
            throughput.figure(d, &range),
            throughput.share(d, &range),
            waiting(language, d, &queue, &age),
        ],
        reasons,
        reasons_table,
        officers: officers(&console, &who, d, &handling).await?,
        agreement: Table {
            head: std::iter::once(d.first_second.to_owned())
                .chain(Ruling::ALL.iter().map(|ruling| language.ruling(*ruling).to_owned()))
                .collect(),
            rows: Ruling::ALL
                .iter()
                .map(|first| {
                    let said = |second: &Ruling| agreement.pairs.get(&(first.as_str(), second.as_str()));
                    std::iter::once(language.ruling(*first).to_owned())
                        .chain(
                            Ruling::ALL.iter().map(|second| said(second).copied().unwrap_or(0).to_string()),
                        )
                        .collect()
                })
                .collect(),
        },
        kappa,
        second_looks: d.second_looks(range.days, agreement.count()),
        buli2: buli2(&console, language, d, &queue, now).await,
        audit: audit(&console, language, d, now).await?,
        page: Page::of(&console, &who, format!("/console/dashboard?days={}", range.days)).await?,
    };
    Ok(html(StatusCode::OK, &dashboard))
}

/// What became of readings, day by day.
struct Throughput {
    /// Approved and rejected by the machine, left to a person, given up.
    parts: [Vec<u64>; 4],
}

impl Throughput {
    fn of(events: &[Counted], days: usize) -> Self {
        let mut parts = [vec![0; days], vec![0; days], vec![0; days], vec![0; days]];
        for event in events {
            let part = match (event.kind, event.verification) {
                (EventKind::Completed, Verification::AutoApproved) => 0,
                (EventKind::Completed, Verification::AutoRejected) => 1,
                (EventKind::Completed, Verification::PendingManualReview) => 2,
                (EventKind::Failed, _) => 3,
                _ => continue,
            };
            parts[part][event.span] += event.count;
        }
        Self { parts }
    }

    fn total(&self) -> u64 {
        self.parts.iter().flatten().sum()
    }

    fn share_of(counts: [u64; 3]) -> Option<f64> {
        let [approved, rejected, people] = counts;
        let all = approved + rejected + people;
        (all > 0).then(|| (approved + rejected) as f64 / all as f64 * 100.0)
    }

    /// Percent of what was read that needed nobody.
    fn automatic(&self) -> Option<f64> {
        Self::share_of([0, 1, 2].map(|part: usize| self.parts[part].iter().sum()))
    }

    fn figure(&self, d: &'static Words, range: &Range) -> Figure {
        let names = [d.approved, d.rejected, d.people, d.failed];
        let description = d.described(d.throughput, range.days, self.total());
        let caption = Caption { id: "throughput", title: d.throughput, description: &description };
        let rows = range.labels.iter().enumerate().map(|(day, label)| {
            let values = self.parts.iter().map(|part| part[day].to_string());
            std::iter::once(label.clone()).chain(values).collect()
        });
        Figure {
            title: d.throughput,
            svg: chart::stacked(&caption, &range.labels, &self.parts),
            legend: ["s0", "s1", "s2", "s3"].into_iter().zip(names).collect(),
            table: Table { head: d.head(d.day, &names), rows: rows.collect() },
        }
    }

    fn share(&self, d: &'static Words, range: &Range) -> Figure {
        let shares: Vec<Option<f64>> = (0..range.len())
            .map(|day| Self::share_of([0, 1, 2].map(|part: usize| self.parts[part][day])))
            .collect();
        let text = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{share:.0} %"));
        let description = format!("{}: {}.", d.automatic_long, text(self.automatic()));
        let caption = Caption { id: "automatic", title: d.automatic, description: &description };
        let rows = range.labels.iter().zip(&shares).map(|(label, share)| vec![label.clone(), text(*share)]);
        Figure {
            title: d.automatic,
            svg: chart::share(&caption, &range.labels, &shares),
            legend: Vec::new(),
            table: Table { head: d.head(d.day, &[d.automatic]), rows: rows.collect() },
        }
    }
}

/// How long those wait that wait now.
fn waiting(
    language: Language,
    d: &'static Words,
    queue: &QueueAge,
    age: &dyn Fn(Option<Timestamp>) -> String,
) -> Figure {
    let w = language.words();
    let [soon, late] = queue.before;
    let bars = [
        ("ok", w.in_time, queue.count.saturating_sub(soon)),
        ("soon", w.soon, soon.saturating_sub(late)),
        ("late", w.late, late),
    ];
    let description = format!(
        "{}: {}. {}: {}. {}: {}.",
        d.age_p50,
        age(queue.p50),
        d.age_p95,
        age(queue.p95),
        d.oldest,
        age(queue.oldest)
    );
    let caption = Caption { id: "waiting", title: d.queue_age, description: &description };
    let mut rows: Vec<Vec<String>> =
        bars.iter().map(|(_, name, count)| vec![(*name).to_owned(), count.to_string()]).collect();
    rows.push(vec![d.age_p50.to_owned(), age(queue.p50)]);
    rows.push(vec![d.age_p95.to_owned(), age(queue.p95)]);
    rows.push(vec![d.oldest.to_owned(), age(queue.oldest)]);
    Figure {
        title: d.queue_age,
        svg: chart::lying(&caption, &bars),
        legend: Vec::new(),
        table: Table { head: d.head(w.age, &[d.number]), rows },
    }
}

/// Decisions by reason, the most frequent first.
fn reasons(
    language: Language,
    d: &'static Words,
    range: &Range,
    decisions: &[Ruled],
) -> (Vec<ReasonRow>, Table) {
    let mut by_reason: Vec<(Option<Reason>, Vec<u64>)> = Vec::new();
    for ruled in decisions {
        // Codes of earlier versions count with those that have none.
        let reason = ruled.reason.as_deref().and_then(|code| code.parse().ok());
        let at = by_reason.iter().position(|(known, _)| *known == reason).unwrap_or_else(|| {
            by_reason.push((reason, vec![0; range.len()]));
            by_reason.len() - 1
        });
        by_reason[at].1[ruled.span] += ruled.count;
    }
    by_reason.sort_by_key(|(_, days)| std::cmp::Reverse(days.iter().sum::<u64>()));
    let top = by_reason.iter().flat_map(|(_, days)| days).copied().max().unwrap_or_default();
    let name = |reason: &Option<Reason>| match reason {
        Some(reason) => language.sentence(reason.officer()).to_owned(),
        None => d.external.to_owned(),
    };
    let rows = by_reason
        .iter()
        .map(|(reason, days)| {
            let (name, total) = (name(reason), days.iter().sum());
            ReasonRow {
                svg: chart::small(&d.described(&name, range.days, total), days, top),
                ruling: reason.map_or("–", |reason| language.ruling(reason.ruling())),
                name,
                total,
            }
        })
        .collect();
    let table = Table {
        head: std::iter::once(d.day.to_owned()).chain(by_reason.iter().map(|(r, _)| name(r))).collect(),
        rows: range
            .labels
            .iter()
            .enumerate()
            .map(|(day, label)| {
                let values = by_reason.iter().map(|(_, days)| days[day].to_string());
                std::iter::once(label.clone()).chain(values).collect()
            })
            .collect(),
    };
    (rows, table)
}

/// How long officers take. Admins see each by name; others see themselves, and all together.
async fn officers(
    console: &Console,
    who: &Signed,
    d: &'static Words,
    handling: &[Handling],
) -> Result<Vec<OfficerRow>> {
    let own: UserId = who.officer().id;
    let all = who.officer().role == Role::Admin;
    let mut rows = Vec::new();
    for entry in handling {
        let name = match entry.officer {
            None => d.everybody.to_owned(),
            Some(id) if id == own => d.you.to_owned(),
            Some(id) if all => console.app.store.display_name(id).await?,
            Some(_) => continue,
        };
        let time = |ms: i64| {
            let seconds = ms / 1000;
            format!("{}:{:02}", seconds / 60, seconds % 60)
        };
        rows.push(OfficerRow {
            name,
            count: entry.count,
            median: time(entry.median_ms),
            p95: time(entry.p95_ms),
        });
    }
    Ok(rows)
}

/// How the way to BULI2 is.
async fn buli2(
    console: &Console,
    language: Language,
    d: &'static Words,
    queue: &QueueAge,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let look = gauges::look(&console.app).await;
    let lane = |depth: Option<crate::queue::Depth>| {
        depth.map_or_else(|| d.unknown.to_owned(), |depth| (depth.ready + depth.delayed).to_string())
    };
    let mut rows = vec![(d.unread, lane(look.cpu))];
    if console.app.config.service.gpu.enabled {
        rows.push((d.unread_gpu, lane(look.gpu)));
    }
    let Some(client) = &console.app.buli2 else {
        rows.push((d.buli2, d.no_buli2.to_owned()));
        return rows;
    };
    let (state, until) = client.breaker_state(now);
    let until = until.map(|at| format!(" ({})", clock(at))).unwrap_or_default();
    rows.push((d.breaker, format!("{}{until}", d.breaker_state(state))));
    rows.push((d.with_buli2, queue.external.to_string()));
    let Some(backlog) = look.backlog else {
        rows.push((d.unsent, d.unknown.to_owned()));
        return rows;
    };
    rows.push((d.unsent, backlog.new.to_string()));
    rows.push((d.retrying, backlog.retrying.to_string()));
    let next = backlog.next_retry.map_or_else(
        || "–".to_owned(),
        |at| format!("{} ({})", clock(at), language.span(at.duration_since(now).as_secs())),
    );
    rows.push((d.next_retry, next));
    rows
}

/// How far the audit trail is, and when its end was last put on record.
async fn audit(
    console: &Console,
    language: Language,
    d: &'static Words,
    now: Timestamp,
) -> Result<Vec<(&'static str, String)>> {
    let head = console.app.store.audit_head().await?.seq();
    let mut rows = vec![(d.entries, head.to_string())];
    let Some(path) = console.app.config.service.audit.checkpoint_file.clone() else {
        rows.push((d.checkpoint, d.no_checkpoints.to_owned()));
        return Ok(rows);
    };
    let last = tokio::task::spawn_blocking(move || Checkpoint::last_of(&path)).await;
    match last {
        Ok(Ok(Some(last))) => {
            let age = language.span(now.duration_since(last.at).as_secs());
            rows.push((d.checkpoint, format!("{} ({age})", clock(last.at))));
            rows.push((d.since, (head - last.seq).max(0).to_string()));
        }
        Ok(Ok(None)) => rows.push((d.checkpoint, d.no_checkpoint_yet.to_owned())),
        Ok(Err(_)) | Err(_) => rows.push((d.checkpoint, d.no_checkpoint_file.to_owned())),
    }
    Ok(rows)
}

/// A moment in the time of western Indonesia.
fn clock(at: Timestamp) -> String {
    Offset::constant(7).to_datetime(at).strftime("%d-%m %H:%M WIB").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_whole_days_of_western_indonesia_up_to_today() {
        let today = jiff::civil::date(2026, 3, 1);
        for (wish, days) in
            [(None, 30), (Some("7"), 7), (Some("90"), 90), (Some("4000"), 30), (Some("x"), 30)]
        {
            let range = Range::of(wish, today);
            assert_eq!((range.days, range.bounds.len()), (days, range.len() + 1), "{wish:?}");
        }
        let range = Range::of(Some("7"), today);
        assert_eq!(range.labels.first().map(String::as_str), Some("23-02"));
        assert_eq!(range.labels.last().map(String::as_str), Some("01-03"));
        assert_eq!(range.bounds[0].to_string(), "2026-02-22T17:00:00Z");
        assert_eq!(range.bounds[7].to_string(), "2026-03-01T17:00:00Z");
    }
}
