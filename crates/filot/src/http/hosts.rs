//! The desk on a host of its own: where `desk.public_url` names one, the pages of officers are there and nothing else is.
//! A page of the API's host, or of the app, is then of another origin than the desk, whatever is wrong with it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use url::Url;

use super::error::no_such_route;
use crate::config::service::Service;

/// The host of the desk, if it has one.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    desk: Option<String>,
}

impl Hosts {
    pub(super) fn of(config: &Service) -> Self {
        Self { desk: config.desk.public_url.as_deref().and_then(authority) }
    }
}

/// Turns away what is asked for at the wrong host.
pub(super) async fn keep_apart(State(hosts): State<Hosts>, request: Request, next: Next) -> Response<Body> {
    let Some(desk) = &hosts.desk else { return next.run(request).await };
    let path = request.uri().path();
    let at_desk = host(request.headers(), request.uri()).is_some_and(|host| host.eq_ignore_ascii_case(desk));
    let of_desk = path == "/console" || path.starts_with("/console/");
    if at_desk && path == "/" {
        let there = [(header::LOCATION, HeaderValue::from_static("/console"))];
        return (StatusCode::SEE_OTHER, there).into_response();
    }
    // Whoever looks after the service asks by its address, and browsers ask every host for its icon.
    let anywhere = matches!(path, "/health" | "/ready" | "/favicon.ico");
    if at_desk == of_desk || anywhere {
        next.run(request).await
    } else {
        no_such_route(request.uri().clone()).await.into_response()
    }
}

fn host<'a>(headers: &'a HeaderMap, uri: &'a axum::http::Uri) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    named.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

/// Host and port of an address as browsers write them: without the port that goes without saying.
fn authority(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_authority_that_browsers_send() {
        assert_eq!(authority("https://Desk.example/").as_deref(), Some("desk.example"));
        assert_eq!(authority("https://desk.example:443").as_deref(), Some("desk.example"));
        assert_eq!(authority("http://localhost:8443").as_deref(), Some("localhost:8443"));
        assert_eq!(authority("desk"), None);
    }
}
