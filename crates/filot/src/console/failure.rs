//! What goes wrong on a page, told in the officer's language.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use tracing::error;

use super::language::Language;
use super::page::{Notice, Page, html};
use super::{Console, see_other};
use crate::{auth, blobs, desk, store};

/// Why a page cannot be shown.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Not signed in, or no longer.
    SignedOut,
    /// There is no such thing, or not for this officer.
    NotFound,
    /// A form that this console did not give out.
    Forged,
    /// Somebody else was quicker; by the name they go by.
    Lost {
        to: String,
    },
    /// The officer has to take the review first, or what they saw has changed.
    Changed,
    /// A second look is somebody else's.
    NotYours,
    /// It is about the officer themselves.
    Own,
    /// An approval that nobody else shares.
    Alone,
    /// Too late to undo.
    TooLate,
    /// A value that does not fit.
    Unfit,
    /// The picture cannot be shown.
    NoPicture,
    /// The officer's second factor was sealed with a key that is no more.
    FactorLost,
    /// A link that was used, has expired, or never was one.
    LinkOver,
    /// Too much at the moment.
    Busy,
    Broken,
}

/// Result of the handlers.
pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut => StatusCode::SEE_OTHER,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forged | Self::NotYours | Self::Own => StatusCode::FORBIDDEN,
            Self::Lost { .. } | Self::Changed | Self::TooLate | Self::Alone | Self::FactorLost => {
                StatusCode::CONFLICT
            }
            Self::Unfit | Self::NoPicture => StatusCode::UNPROCESSABLE_ENTITY,
            Self::LinkOver => StatusCode::GONE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn page(&self, console: &Console, language: Language) -> Response<Body> {
        let w = language.words();
        let text = match self {
            Self::SignedOut => return see_other("/console/login"),
            Self::NotFound => w.not_found.to_owned(),
            Self::Forged => w.forged.to_owned(),
            Self::Lost { to } => language.lost_to(to),
            Self::Changed => w.changed.to_owned(),
            Self::NotYours => w.not_yours.to_owned(),
            Self::Own => w.own.to_owned(),
            Self::Alone => w.alone.to_owned(),
            Self::TooLate => w.too_late.to_owned(),
            Self::Unfit => w.unfit.to_owned(),
            Self::NoPicture => w.no_picture.to_owned(),
            Self::FactorLost => w.factor_lost.to_owned(),
            Self::LinkOver => w.link_over.to_owned(),
            Self::Busy => w.busy.to_owned(),
            Self::Broken => w.broken.to_owned(),
        };
        html(self.status(), &Notice { page: Page::plain(console, language), text })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response<Body> {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        match error {
            E::NotFound => Self::NotFound,
            // No page of the desk stores a file.
            E::Illegal(_) | E::Conflict | E::Taken | E::Spent => Self::Changed,
            E::Unstorable => Self::Unfit,
            E::Unavailable(cause) => {
                error!(%cause, "the database is unavailable to the console");
                Self::Busy
            }
            E::Corrupt(_) | E::Kept(_) | E::Empty => {
                error!(%error, "the console met an unreadable row");
                Self::Broken
            }
        }
    }
}

impl From<desk::Error> for Failure {
    fn from(error: desk::Error) -> Self {
        match error {
            desk::Error::Store(error) => error.into(),
            desk::Error::Own => Self::Own,
            desk::Error::Alone => Self::Alone,
            desk::Error::NoSuchField
            | desk::Error::Value(_)
            | desk::Error::Note
            | desk::Error::Reason
            | desk::Error::NoMoreRetakes => Self::Unfit,
        }
    }
}

impl From<blobs::Error> for Failure {
    fn from(error: blobs::Error) -> Self {
        error!(%error, "the console cannot get a file");
        if matches!(error, blobs::Error::Unavailable(_)) { Self::Busy } else { Self::NoPicture }
    }
}

impl From<auth::Error> for Failure {
    fn from(error: auth::Error) -> Self {
        match error {
            auth::Error::Store(error) => error.into(),
            auth::Error::Busy | auth::Error::Issuer => Self::Busy,
            auth::Error::Link => Self::LinkOver,
            _ => Self::SignedOut,
        }
    }
}

impl From<crate::keys::Error> for Failure {
    fn from(error: crate::keys::Error) -> Self {
        error!(%error, "the console has no random bytes");
        Self::Broken
    }
}
