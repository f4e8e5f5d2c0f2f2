//! The description of the API, made from the code, and a page to try it.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, Info, License, OpenApi, OpenApiBuilder, Ref, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::error::Problem;
use super::{Api, routes};

/// Scripts, styles and pictures from here only; the page's own scripts set styles.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The document (OpenAPI 3.1).
pub fn document() -> OpenApi {
    finished(routes(0).into_openapi())
}

/// What does not come from the routes.
pub(super) fn base() -> OpenApi {
    let mut info = Info::new("FiLot", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("Reads and verifies Indonesian identity cards (KTP) and tax cards (NPWP).".to_owned());
    info.license = Some(License::new("Apache-2.0"));
    let mut components = Components::new();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let bearer = |about: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        SecurityScheme::Http(scheme)
    };
    components.add_security_scheme("token", bearer("An access token of /auth/login, or one of Stack Auth"));
    components.add_security_scheme("service", bearer("SERVICE_INTERNAL_KEY"));
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Adds to every operation the errors that any route can answer.
pub(super) fn finished(mut api: OpenApi) -> OpenApi {
    for (path, item) in &mut api.paths.paths {
        let has_id = path.contains('{');
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            complete(operation, has_id);
        }
    }
    api
}

fn complete(operation: &mut Operation, has_id: bool) {
    let secured = operation.security.is_some();
    let mut statuses =
        vec![("429", "rate_limited"), ("500", "internal"), ("503", "unavailable, busy, timeout")];
    if operation.request_body.is_some() {
        statuses.extend([
            ("400", "The body is not what this route takes"),
            ("413", "body_too_large"),
            ("415", "unsupported_media_type"),
            ("422", "invalid_field"),
        ]);
    }
    if secured {
        statuses.push(("401", "unauthenticated, invalid_token, unknown_user"));
    }
    if has_id {
        statuses.push(("404", "not_found, also for what belongs to others"));
    }
    for (status, description) in statuses {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
            let response = ResponseBuilder::new().description(description);
            response.content("application/problem+json", content).build().into()
        });
    }
    // Where routes name a problem themselves, it has the same media type.
    for response in operation.responses.responses.values_mut() {
        let utoipa::openapi::RefOr::T(response) = response else { continue };
        let reference = utoipa::openapi::RefOr::Ref(Ref::from_schema_name(Problem::name()));
        let is_problem = response.content.get("application/json").is_some_and(|content| {
            matches!(content, utoipa::openapi::RefOr::T(content) if content.schema.as_ref() == Some(&reference))
        });
        if is_problem && let Some(content) = response.content.shift_remove("application/json") {
            response.content.insert("application/problem+json".to_owned(), content);
        }
    }
}

/// `/openapi.json` and `/docs`.
pub(super) fn routes_of(json: String) -> Router<Api> {
    let document =
        axum::routing::get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json) });
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json").try_it_out_enabled(true));
    let page = Router::<Api>::from(page).layer(middleware::from_fn(with_policy));
    Router::new().route("/openapi.json", document).merge(page)
}

async fn with_policy(request: Request, next: Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}
