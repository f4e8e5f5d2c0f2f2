//! `/auth/*`: accounts and sign-in.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::error::{Code, Problem, Result};
use super::extract::Json;
use crate::auth::{Caller, Grant};
use crate::http::error::ApiError;
use crate::store::{Role, User};

/// Longest name, in characters.
pub(super) const MAX_NAME: usize = 200;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Registration {
    #[schema(format = Email, max_length = 254, example = "siti@example.com")]
    email: String,
    #[schema(format = Password, min_length = 10, max_length = 256)]
    password: String,
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\s]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s])?$"
    )]
    full_name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Credentials {
    #[schema(format = Email, max_length = 254, example = "siti@example.com")]
    email: String,
    #[schema(format = Password, max_length = 256)]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ForeignToken {
    /// A token of Stack Auth.
    access_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefreshToken {
    refresh_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FirstAdmin {
    /// From the link that is printed at start.
    token: String,
    #[schema(format = Email, max_length = 254)]
    email: String,
    #[schema(format = Password, min_length = 10, max_length = 256)]
    password: String,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    #[schema(value_type = uuid::Uuid)]
    id: String,
    email: Option<String>,
    email_verified: bool,
    role: Role,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.clone(),
            email_verified: user.email_verified,
            role: user.role,
            created_at: super::documents::instant(user.created_at),
        }
    }
}

/// A successful sign-in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedIn {
    user: Account,
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// For `POST /auth/refresh`, once.
    refresh_token: String,
    #[schema(value_type = String, example = "Bearer")]
    token_type: &'static str,
    /// Seconds that the access token lives.
    expires_in: u64,
}

impl From<Grant> for axum::Json<SignedIn> {
    fn from(grant: Grant) -> Self {
        Self(SignedIn {
            user: Account::from(&grant.user),
            access_token: grant.access_token,
            refresh_token: grant.refresh_token,
            token_type: "Bearer",
            expires_in: grant.expires_in,
        })
    }
}

/// Make an account
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = Registration,
    responses((status = 201, body = SignedIn), (status = 409, body = Problem, description = "email_taken")))]
pub(super) async fn register(
    State(api): State<Api>,
    Json(body): Json<Registration>,
) -> Result<(StatusCode, axum::Json<SignedIn>)> {
    let full_name = body.full_name.map(name).transpose()?;
    let grant = api.auth.register(&body.email, &body.password, full_name).await?;
    Ok((StatusCode::CREATED, grant.into()))
}

/// Sign in with e-mail and password
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Credentials,
    responses((status = 200, body = SignedIn), (status = 401, body = Problem, description = "wrong_credentials")))]
pub(super) async fn login(
    State(api): State<Api>,
    Json(body): Json<Credentials>,
) -> Result<axum::Json<SignedIn>> {
    Ok(api.auth.login(&body.email, &body.password).await?.into())
}

/// Exchange a Stack Auth token for tokens of this service
///
/// The account is made at the first time.
#[utoipa::path(post, path = "/auth/verify", tag = "auth", request_body = ForeignToken,
    responses((status = 200, body = SignedIn), (status = 401, body = Problem, description = "invalid_token")))]
pub(super) async fn verify(
    State(api): State<Api>,
    Json(body): Json<ForeignToken>,
) -> Result<axum::Json<SignedIn>> {
    Ok(api.auth.verify(&body.access_token).await?.into())
}

/// Exchange a refresh token for new tokens
///
/// Each works once. One that comes a second time ends its session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshToken,
    responses((status = 200, body = SignedIn), (status = 401, body = Problem, description = "invalid_refresh_token")))]
pub(super) async fn refresh(
    State(api): State<Api>,
    Json(body): Json<RefreshToken>,
) -> Result<axum::Json<SignedIn>> {
    Ok(api.auth.refresh(&body.refresh_token).await?.into())
}

/// End the session of the access token
#[utoipa::path(post, path = "/auth/logout", tag = "auth", security(("token" = [])),
    responses((status = 204, description = "The session is over, with all its tokens.")))]
pub(super) async fn logout(State(api): State<Api>, caller: Caller) -> Result<StatusCode> {
    api.auth.logout(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who am I
#[utoipa::path(get, path = "/auth/me", tag = "auth", security(("token" = [])),
    responses((status = 200, body = Account)))]
pub(super) async fn me(State(api): State<Api>, caller: Caller) -> Result<axum::Json<Account>> {
    let user = api.app.store.user(caller.user).await?;
    Ok(axum::Json(Account::from(&user)))
}

/// Make the first admin, with the link printed at start
#[utoipa::path(post, path = "/auth/first-admin", tag = "auth", request_body = FirstAdmin,
    responses((status = 201, body = SignedIn), (status = 403, body = Problem, description = "link_invalid"),
        (status = 409, body = Problem, description = "email_taken")))]
pub(super) async fn first_admin(
    State(api): State<Api>,
    Json(body): Json<FirstAdmin>,
) -> Result<(StatusCode, axum::Json<SignedIn>)> {
    let grant = api.auth.become_admin(&body.token, &body.email, &body.password).await?;
    Ok((StatusCode::CREATED, grant.into()))
}

/// A person's name without blanks around it.
pub(super) fn name(text: String) -> Result<String> {
    let text = text.trim();
    let fits = (1..=MAX_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(ApiError::new(Code::InvalidField, "fullName must have 1 to 200 characters on one line."))
    }
}
