//! What all pages share.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use tracing::error;

use super::Console;
use super::failure::{Failure, Result};
use super::language::Language;
use super::session::Signed;
use super::words::Words;

/// The frame around a page.
pub(super) struct Page {
    pub(super) language: Language,
    pub(super) w: &'static Words,
    /// Version of style and scripts.
    pub(super) assets: String,
    /// Of whoever is signed in.
    pub(super) name: Option<String>,
    pub(super) token: String,
    pub(super) undo: Option<Undo>,
    /// This page, to come back to.
    pub(super) here: String,
    /// Personal data shown without blur.
    pub(super) reveal: bool,
}

/// A decision that can be undone.
pub(super) struct Undo {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) seconds: i64,
}

impl Page {
    /// For whoever is not signed in.
    pub(super) fn plain(console: &Console, language: Language) -> Self {
        Self {
            language,
            w: language.words(),
            assets: console.assets.version.clone(),
            name: None,
            token: String::new(),
            undo: None,
            here: "/console".to_owned(),
            reveal: false,
        }
    }

    pub(super) async fn of(console: &Console, who: &Signed, here: String) -> Result<Self> {
        let language = who.language;
        let undo = console.app.store.undoable_ruling(who.officer()).await?.map(|ruling| {
            let left = ruling.effective_at.duration_since(console.app.clock.now());
            let reason = language.sentence(ruling.reason.officer());
            Undo {
                id: ruling.id.to_string(),
                text: format!("{}: {} ({reason}).", language.words().noted, language.ruling(ruling.ruling)),
                seconds: left.as_secs().max(1),
            }
        });
        Ok(Self {
            name: Some(who.name.clone()),
            token: who.token(console),
            undo,
            here,
            ..Self::plain(console, language)
        })
    }

    /// Whether this is the page at `path`, whatever its query.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.here.split('?').next() == Some(path)
    }

    pub(super) fn other(&self) -> Language {
        self.language.other()
    }
}

/// A sentence and the way back.
#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct Notice {
    pub(super) page: Page,
    pub(super) text: String,
}

#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    page: Page,
}

pub(super) async fn help(
    State(console): State<Console>,
    headers: HeaderMap,
    who: std::result::Result<Signed, Failure>,
) -> Result<Response<Body>> {
    let page = match who {
        Ok(who) => Page::of(&console, &who, "/console/help".to_owned()).await?,
        Err(_) => Page { here: "/console/help".to_owned(), ..Page::plain(&console, Language::of(&headers)) },
    };
    Ok(html(StatusCode::OK, &Help { page }))
}

/// A finished page.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response<Body> {
    match page.render() {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (status, kind, text).into_response()
        }
        Err(error) => {
            error!(%error, "a page cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
