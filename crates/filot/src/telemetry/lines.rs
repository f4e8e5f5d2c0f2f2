//! How an event becomes a line of the log: JSON, or text for people. What a line may hold is decided here, field by field.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::pii::{redact, without_values};

/// The fields whose text is shown, redacted. None of them is ever a name, a number of a card, or what somebody wrote; the
/// text of any other field, also of the libraries below, stays out.
const TEXTS: &[&str] = &[
    "actor",
    "address",
    "attempt",
    "code",
    "document",
    "effect",
    "ended",
    "entry",
    "event",
    "installation",
    "kind",
    "lane",
    "message",
    "method",
    "outcome",
    "owner",
    "peer",
    "place",
    "reader",
    "reason",
    "registration",
    "request",
    "review",
    "route",
    "ruling",
    "stage",
    "state",
    "status",
    "task",
    "task_queue",
    "until",
    "user",
    "what",
    "why",
    "worker",
];

/// Texts of errors: shown redacted, and without the values that they quote.
const ERRORS: &[&str] = &["cause", "error", "failed"];

/// Numbers below this cannot be somebody's.
const SMALL: u64 = 10_000_000;
/// Fields that count or measure something, and may be larger.
const MEASURES: &[&str] = &["bytes", "count", "entry", "erased", "free", "ms", "seen", "size"];

/// Takes the place of what is not shown.
const WITHHELD: &str = "[withheld]";

/// Fields of an event or a span, as they may be shown.
#[derive(Default)]
struct Shown(Map<String, Value>);

impl Shown {
    fn text(&mut self, field: &Field, text: &str) {
        let shown = match field.name() {
            name if ERRORS.contains(&name) => redact(&without_values(text)),
            name if TEXTS.contains(&name) => redact(text),
            _ => WITHHELD.to_owned(),
        };
        self.0.insert(field.name().to_owned(), Value::String(shown));
    }

    fn number(&mut self, field: &Field, size: u64, value: Value) {
        let small = size < SMALL || MEASURES.contains(&field.name());
        let value = if small { value } else { Value::String(WITHHELD.to_owned()) };
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Shown {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, &value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value.unsigned_abs(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value.abs() as u64, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

/// Writes lines.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub(super) json: bool,
}

/// Keeps the fields of a span as JSON.
impl<'writer> FormatFields<'writer> for Lines {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut shown = Shown::default();
        fields.record(&mut shown);
        write!(writer, "{}", Value::Object(shown.0))
    }
}

impl<S> FormatEvent<S, Self> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Self>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let at = crate::clock::Clock::default().now();
        let (level, target) = (event.metadata().level(), event.metadata().target());
        let mut shown = Shown::default();
        event.record(&mut shown);
        let mut span = Map::new();
        if let Some(current) = context.lookup_current() {
            if let Some(fields) = current.extensions().get::<FormattedFields<Self>>() {
                // Several when some were recorded later.
                let parts = serde_json::Deserializer::from_str(fields).into_iter::<Map<String, Value>>();
                span.extend(parts.flatten().flatten());
            }
            span.insert("name".to_owned(), current.name().into());
        }
        if self.json {
            let mut line = Map::new();
            line.insert("timestamp".to_owned(), at.to_string().into());
            line.insert("level".to_owned(), level.as_str().into());
            line.append(&mut shown.0);
            line.insert("target".to_owned(), target.into());
            if !span.is_empty() {
                line.insert("span".to_owned(), span.into());
            }
            return writeln!(writer, "{}", Value::Object(line));
        }
        write!(writer, "{at} {level:>5} ")?;
        span.remove("name");
        for (key, value) in &span {
            write!(writer, "{key}={} ", bare(value))?;
        }
        write!(writer, "{target}:")?;
        if let Some(message) = shown.0.remove("message") {
            write!(writer, " {}", bare(&message))?;
        }
        for (key, value) in &shown.0 {
            write!(writer, " {key}={}", bare(value))?;
        }
        writeln!(writer)
    }
}

/// A value without quotation marks, in one line.
fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = Lines { json };
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(lines)
            .event_format(lines)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_shows_the_fields_of_the_list_and_nothing_else() {
        let line = logged(true, || {
            let _inside = tracing::info_span!("request", request = "3171234567890123").entered();
            tracing::info!(
                document = "01a20679-695d-7667-b5a5-9649bb766fe9",
                ms = 12_345_678_u64,
                attempt = 3,
                name = "Budi Santoso",
                nik = 3_171_234_567_890_123_u64,
                error = "string \"Budi\" at budi@example.com",
                "document finished, call 081234567890"
            );
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["message"], "document finished, call [number]");
        assert_eq!(line["document"], "01a20679-695d-7667-b5a5-9649bb766fe9");
        assert_eq!((&line["ms"], &line["attempt"]), (&12_345_678.into(), &3.into()));
        assert_eq!((&line["name"], &line["nik"]), (&WITHHELD.into(), &WITHHELD.into()));
        assert_eq!(line["error"], "string \"…\" at [e-mail]");
        assert_eq!(line["span"]["request"], "[number]");
        assert_eq!((&line["level"], &line["span"]["name"]), (&"INFO".into(), &"request".into()));
    }

    #[test]
    fn text_for_people_is_one_line_an_event() {
        let text = logged(false, || tracing::warn!(error = "first\nsecond", "it failed"));
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(" WARN ") && text.ends_with("it failed error=first\\nsecond\n"), "{text}");
    }
}
