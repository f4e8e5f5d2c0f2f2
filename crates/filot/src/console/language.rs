//! Which language the pages speak: what the officer chose, else what their browser asks for, else Bahasa Indonesia.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use filot_cards::checks::Sentence;
use filot_cards::field::FieldKey;

use super::form::OpenForm;
use super::session::cookie;
use super::words::{self, Words};
use super::{Console, see_other};
use crate::store::Ruling;

/// The cookie of the choice, where it can be `Secure` and where it cannot.
const COOKIE: &str = "__Host-filot-language";
const PLAIN_COOKIE: &str = "filot-language";

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Indonesian,
    English,
}

impl Language {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, COOKIE).or_else(|| cookie(headers, PLAIN_COOKIE)).and_then(Self::named);
        let wished = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let wished = wished.and_then(|wished| wished.split(',').find_map(|part| Self::named(part.trim())));
        chosen.or(wished).unwrap_or(Self::Indonesian)
    }

    /// The language that a tag such as `en-GB;q=0.8` begins with.
    pub(super) fn named(tag: &str) -> Option<Self> {
        match tag.split([';', '-', '_']).next()?.to_ascii_lowercase().as_str() {
            "id" | "in" => Some(Self::Indonesian),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// The tag, as HTML writes it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Indonesian => "id",
            Self::English => "en",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Indonesian => Self::English,
            Self::English => Self::Indonesian,
        }
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::Indonesian => &words::INDONESIAN,
            Self::English => &words::ENGLISH,
        }
    }

    fn pick<T>(self, (id, en): (T, T)) -> T {
        match self {
            Self::Indonesian => id,
            Self::English => en,
        }
    }

    pub(super) fn sentence(self, sentence: Sentence) -> &'static str {
        self.pick((sentence.id, sentence.en))
    }

    pub(super) fn field(self, key: FieldKey) -> &'static str {
        self.pick(words::field(key))
    }

    /// The short name of a check or a failure.
    pub(super) fn chip(self, code: &str) -> Cow<'static, str> {
        match words::CHIPS.iter().find(|chip| chip.0 == code) {
            Some((_, id, en)) => self.pick((*id, *en)).into(),
            None => code.to_lowercase().replace('_', " ").into(),
        }
    }

    pub(super) fn ruling(self, ruling: Ruling) -> &'static str {
        let w = self.words();
        match ruling {
            Ruling::Approve => w.approve,
            Ruling::Reject => w.reject,
            Ruling::Retake => w.retake,
        }
    }

    pub(super) fn lost_to(self, name: &str) -> String {
        match self {
            Self::Indonesian => {
                format!("{name} lebih cepat: dokumen ini sudah diambil atau diputuskan olehnya.")
            }
            Self::English => format!("{name} was quicker: they have taken this document or decided on it."),
        }
    }

    /// Which photo of a case this is, and what was wrong with the one before.
    pub(super) fn retaken(self, number: u32, reason: Option<&str>) -> String {
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        match self {
            Self::Indonesian => format!("Foto ulang ke-{number}; foto sebelumnya diminta ulang{reason}."),
            Self::English => {
                format!("Retake no. {number}; the photo before was asked to be retaken{reason}.")
            }
        }
    }

    /// A time span, roughly.
    pub(super) fn span(self, seconds: i64) -> String {
        let minutes = seconds.max(0) / 60;
        let (m, h, d) = self.pick((("mnt", "j", "hr"), ("min", "h", "d")));
        match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
            (0, 0, minutes) => format!("{minutes} {m}"),
            (0, hours, minutes) => format!("{hours} {h} {minutes} {m}"),
            (days, hours, _) => format!("{days} {d} {hours} {h}"),
        }
    }
}

/// Keeps the choice for a year, and goes back to where it was made.
pub(super) async fn choose(State(console): State<Console>, OpenForm(_, form): OpenForm) -> Response {
    let language = form.get("to").and_then(|tag| Language::named(tag)).unwrap_or(Language::Indonesian);
    let back = form.get("back").map(String::as_str).filter(|back| is_local(back)).unwrap_or("/console");
    let mut response = see_other(back);
    let (name, secure) = if console.is_secure() { (COOKIE, "; Secure") } else { (PLAIN_COOKIE, "") };
    let text = format!("{name}={}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}", language.tag());
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// A place within the console, not one that a link from elsewhere smuggled in.
fn is_local(path: &str) -> bool {
    (path == "/console" || path.starts_with("/console/") || path.starts_with("/console?"))
        && path.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookie: Option<&str>, accept: Option<&str>) -> Language {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = cookie {
            headers.insert(header::COOKIE, format!("a=b; {COOKIE}={cookie}").parse().unwrap());
        }
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
        }
        Language::of(&headers)
    }

    #[test]
    fn the_choice_comes_before_the_browser() {
        assert_eq!(of(None, None), Language::Indonesian);
        assert_eq!(of(None, Some("fr, en-GB;q=0.8, id;q=0.5")), Language::English);
        assert_eq!(of(None, Some("id-ID,id;q=0.9,en;q=0.8")), Language::Indonesian);
        assert_eq!(of(Some("id"), Some("en")), Language::Indonesian);
        assert_eq!(of(Some("xx"), Some("en")), Language::English);
    }

    #[test]
    fn one_goes_back_to_the_console_only() {
        assert!(["/console", "/console?reason=GLARE", "/console/help"].iter().all(|path| is_local(path)));
        for path in
            ["//evil.example", "/consolex", "https://evil.example/console", "/console/\\evil", "/console/\n"]
        {
            assert!(!is_local(path), "{path:?}");
        }
    }

    #[test]
    fn spans_are_rough() {
        assert_eq!(Language::English.span(59), "0 min");
        assert_eq!(Language::English.span(3 * 3600 + 300), "3 h 5 min");
        assert_eq!(Language::Indonesian.span(50 * 3600), "2 hr 2 j");
    }
}
