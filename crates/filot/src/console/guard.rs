//! Which requests of browsers the desk answers: those that its own pages make, and those of a person who goes there.
//!
//! An app at `app.example` and the desk at `api.example` are the same site: cookies that are `SameSite=Strict` go along
//! with what the app's scripts ask for. So the desk looks at what browsers say of a request (Fetch Metadata,
//! <https://www.w3.org/TR/fetch-metadata/>), also of those that only read.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::Console;
use super::failure::Failure;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A page, or a form's answer: people come to it also from elsewhere.
    Page,
    /// Pictures and live streams: only the desk's own pages use them.
    Part,
}

pub(super) async fn pages(State(console): State<Console>, request: Request, next: Next) -> Response {
    guard(&console, Target::Page, request, next).await
}

pub(super) async fn parts(State(console): State<Console>, request: Request, next: Next) -> Response {
    guard(&console, Target::Part, request, next).await
}

async fn guard(console: &Console, target: Target, request: Request, next: Next) -> Response {
    let desk = console.app.config.service.desk_url();
    if is_admissible(&desk, target, request.method(), request.headers()) {
        next.run(request).await
    } else {
        Failure::Forged.into_response()
    }
}

/// Whether the desk at the address `desk` answers such a request. Every browser of today says where a request comes from,
/// if the desk is reached by HTTPS; what says nothing is no browser, or one that sends the origin along with forms.
fn is_admissible(desk: &str, target: Target, method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN.as_str());
    if origin.is_some_and(|origin| !is_own(desk, origin, text(header::HOST.as_str()))) {
        return false;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let goes_there = text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
    match text("sec-fetch-site") {
        // A script reads pages only as the desk's own one does, which names itself.
        Some("same-origin" | "none") if reads && target == Target::Page => {
            text("sec-fetch-dest").is_none_or(|dest| dest == "document") || headers.contains_key("hx-request")
        }
        Some("same-origin" | "none") => true,
        Some(_) => reads && target == Target::Page && goes_there,
        None => reads || origin.is_some(),
    }
}

/// Whether an origin is that of the desk, by the host that the browser asked or by the settings.
fn is_own(desk: &str, origin: &str, host: Option<&str>) -> bool {
    let by_host = origin.split_once("://").map(|(_, authority)| authority);
    let by_settings = Url::parse(desk).is_ok_and(|url| url.origin().ascii_serialization() == origin);
    by_settings || (by_host.is_some() && by_host == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(target: Target, method: Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        is_admissible("https://desk.example", target, &method, &headers)
    }

    const HOST: (&str, &str) = ("host", "desk.example");

    #[test]
    fn only_forms_of_this_server_count() {
        let posts = |pairs: &[(&'static str, &'static str)]| admits(Target::Page, Method::POST, pairs);
        assert!(posts(&[("sec-fetch-site", "same-origin")]));
        assert!(posts(&[("origin", "https://desk.example"), HOST]));
        assert!(posts(&[("origin", "https://desk.example"), ("host", "10.0.0.7:8080")]), "behind a proxy");
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "https://desk.example"), HOST],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example"), HOST],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            &[("origin", "https://evil.example"), HOST],
            &[("origin", "null"), HOST],
            &[HOST],
            &[],
        ] {
            assert!(!posts(foreign), "{foreign:?}");
        }
    }

    #[test]
    fn pages_are_read_by_people_and_parts_by_the_desks_own_pages() {
        let person = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let script = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
        let frame = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        let picture = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        for (how, site, page, part) in [
            (&person, "none", true, true),
            (&person, "same-origin", true, true),
            (&person, "same-site", true, false),
            (&person, "cross-site", true, false),
            (&script, "same-origin", false, true),
            (&script, "same-site", false, false),
            (&script, "cross-site", false, false),
            (&frame, "same-origin", false, true),
            (&frame, "same-site", false, false),
            (&picture, "same-origin", false, true),
            (&picture, "same-site", false, false),
            (&picture, "cross-site", false, false),
        ] {
            let pairs = [&how[..], &[("sec-fetch-site", site)]].concat();
            assert_eq!(admits(Target::Page, Method::GET, &pairs), page, "{pairs:?}");
            assert_eq!(admits(Target::Part, Method::GET, &pairs), part, "{pairs:?}");
        }
        let own = [&script[..], &[("sec-fetch-site", "same-origin"), ("hx-request", "true")]].concat();
        assert!(admits(Target::Page, Method::GET, &own), "the desk's own script names itself");
        let foreign = [&script[..], &[("sec-fetch-site", "same-site"), ("hx-request", "true")]].concat();
        assert!(!admits(Target::Page, Method::GET, &foreign));
        // Not a browser, or one of long ago: what it reads is nobody's cookie; a foreign origin shows itself.
        assert!(admits(Target::Page, Method::GET, &[HOST]));
        assert!(!admits(Target::Part, Method::GET, &[("origin", "https://app.example"), HOST]));
    }
}
