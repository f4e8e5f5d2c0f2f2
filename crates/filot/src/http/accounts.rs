//! `/auth/*`: accounts and sign-in.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::client::CameFrom;
use super::error::{Code, Problem, Result};
use super::extract::Json;
use crate::auth::{Caller, Grant, Registered};
use crate::http::error::ApiError;
use crate::store::{Kept, Role, User};

/// Longest name, in characters.
pub(super) const MAX_NAME: usize = 200;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Registration {
    #[schema(format = Email, max_length = 254, example = "siti@example.com")]
    email: String,
    #[schema(format = Password, min_length = 10, max_length = 256, pattern = r"^[^\x00]*$")]
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
    #[schema(format = Password, max_length = 256, pattern = r"^[^\x00]*$")]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ForeignToken {
    /// A token of Stack Auth.
    #[schema(pattern = r"^[^\x00]*$")]
    access_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefreshToken {
    #[schema(pattern = r"^[^\x00]*$")]
    refresh_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FirstAdmin {
    /// From the link that is printed at start.
    #[schema(pattern = r"^[^\x00]*$")]
    token: String,
    #[schema(format = Email, max_length = 254)]
    email: String,
    #[schema(format = Password, min_length = 10, max_length = 256, pattern = r"^[^\x00]*$")]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Confirmation {
    /// From the mail.
    #[schema(max_length = 200, pattern = r"^[^\x00]*$")]
    token: String,
    /// The one that was chosen with the registration.
    #[schema(format = Password, max_length = 256, pattern = r"^[^\x00]*$")]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TrialCode {
    /// As it is printed at start.
    #[schema(max_length = 20, example = "K7PQM-2XWRT", pattern = r"^[^\x00]*$")]
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewPassword {
    #[schema(format = Password, max_length = 256, pattern = r"^[^\x00]*$")]
    current_password: String,
    #[schema(format = Password, min_length = 10, max_length = 256, pattern = r"^[^\x00]*$")]
    new_password: String,
}

/// A registration that waits for a mail to be confirmed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mailed {
    #[schema(value_type = String, example = "mail_sent")]
    status: &'static str,
    /// For people.
    detail: &'static str,
}

/// The first admin, signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FirstAdminMade {
    #[serde(flatten)]
    signed_in: SignedIn,
    /// Sets up one-time codes for the review desk; works once, for a day.
    enrolment_url: String,
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

impl From<Grant> for SignedIn {
    fn from(grant: Grant) -> Self {
        Self {
            user: Account::from(&grant.user),
            access_token: grant.access_token,
            refresh_token: grant.refresh_token,
            token_type: "Bearer",
            expires_in: grant.expires_in,
        }
    }
}

impl From<Grant> for axum::Json<SignedIn> {
    fn from(grant: Grant) -> Self {
        Self(grant.into())
    }
}

/// Make an account
///
/// Where addresses are confirmed, the answer is always 202: whether an address has an account is told to the address
/// alone, in the mail.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = Registration,
    responses((status = 201, body = SignedIn), (status = 202, body = Mailed),
        (status = 403, body = Problem, description = "registration_closed"),
        (status = 409, body = Problem, description = "email_taken")))]
pub(super) async fn register(
    State(api): State<Api>,
    CameFrom(from): CameFrom,
    Json(body): Json<Registration>,
) -> Result<Response> {
    let full_name = body.full_name.map(name).transpose()?;
    Ok(match api.auth.register(&body.email, &body.password, full_name, from).await? {
        Registered::SignedIn(grant) => {
            (StatusCode::CREATED, axum::Json(SignedIn::from(*grant))).into_response()
        }
        Registered::Mailed => {
            let detail = "Look into your mail: a link there makes the account, together with your password.";
            (StatusCode::ACCEPTED, axum::Json(Mailed { status: "mail_sent", detail })).into_response()
        }
    })
}

/// Confirm the e-mail address of a registration
///
/// Takes what was mailed to the address, and the password that was chosen; the mail alone opens nothing.
#[utoipa::path(post, path = "/auth/confirm", tag = "auth", request_body = Confirmation,
    responses((status = 201, body = SignedIn), (status = 401, body = Problem, description = "wrong_credentials"),
        (status = 403, body = Problem, description = "link_invalid"),
        (status = 409, body = Problem, description = "email_taken")))]
pub(super) async fn confirm(
    State(api): State<Api>,
    CameFrom(from): CameFrom,
    Json(body): Json<Confirmation>,
) -> Result<(StatusCode, axum::Json<SignedIn>)> {
    let grant = api.auth.confirm(&body.token, &body.password, from).await?;
    Ok((StatusCode::CREATED, grant.into()))
}

/// Sign in with e-mail and password
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Credentials,
    responses((status = 200, body = SignedIn), (status = 401, body = Problem, description = "wrong_credentials")))]
pub(super) async fn login(
    State(api): State<Api>,
    CameFrom(from): CameFrom,
    Json(body): Json<Credentials>,
) -> Result<axum::Json<SignedIn>> {
    Ok(api.auth.login(&body.email, &body.password, from).await?.into())
}

/// Sign in to the test account of a trial
///
/// With the code that `filot serve` prints in development on its own SQLite file. Works once, for half an hour.
#[utoipa::path(post, path = "/auth/trial", tag = "auth", request_body = TrialCode,
    responses((status = 200, body = SignedIn), (status = 403, body = Problem, description = "link_invalid")))]
pub(super) async fn trial(
    State(api): State<Api>,
    Json(body): Json<TrialCode>,
) -> Result<axum::Json<SignedIn>> {
    Ok(api.auth.redeem_trial_code(&body.code).await?.into())
}

/// Change my password
///
/// Ends all my other sign-ins.
#[utoipa::path(post, path = "/auth/password", tag = "auth", security(("token" = [])), request_body = NewPassword,
    responses((status = 204, description = "The new password counts from now on."),
        (status = 401, body = Problem, description = "wrong_credentials, unauthenticated, invalid_token, unknown_user"),
        (status = 409, body = Problem, description = "conflict: the account has no password")))]
pub(super) async fn password(
    State(api): State<Api>,
    caller: Caller,
    CameFrom(from): CameFrom,
    Json(body): Json<NewPassword>,
) -> Result<StatusCode> {
    let keep = caller.session.map_or(Kept::None, Kept::App);
    api.auth
        .change_password(caller.user, &body.current_password, &body.new_password, keep, &from.into())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End all my sign-ins
///
/// In every app and at the review desk, this one too.
#[utoipa::path(delete, path = "/auth/sessions", tag = "auth", security(("token" = [])),
    responses((status = 204, description = "All sessions are over, with all their tokens.")))]
pub(super) async fn end_sessions(State(api): State<Api>, caller: Caller) -> Result<StatusCode> {
    api.auth.logout_everywhere(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
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

/// Make the first admin, with the token of the link printed at start
///
/// The link itself leads to a form that does the same and sets up one-time codes as well.
#[utoipa::path(post, path = "/auth/first-admin", tag = "auth", request_body = FirstAdmin,
    responses((status = 201, body = FirstAdminMade), (status = 403, body = Problem, description = "link_invalid"),
        (status = 409, body = Problem, description = "email_taken")))]
pub(super) async fn first_admin(
    State(api): State<Api>,
    Json(body): Json<FirstAdmin>,
) -> Result<(StatusCode, axum::Json<FirstAdminMade>)> {
    let grant = api.auth.become_admin(&body.token, &body.email, &body.password).await?;
    let enrolment_url = api.auth.enrolment_link(grant.user.id).await?;
    Ok((StatusCode::CREATED, axum::Json(FirstAdminMade { signed_in: grant.into(), enrolment_url })))
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
