//! `/profile`: what people say of themselves.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::accounts::name;
use super::documents::instant;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::{Json, nullable};
use crate::auth::Caller;
use crate::store::{Profile, ProfileChange, Role, User};

/// A profile.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileView {
    #[schema(value_type = uuid::Uuid)]
    id: String,
    email: Option<String>,
    full_name: Option<String>,
    phone: Option<String>,
    role: Role,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl ProfileView {
    fn of(user: User, profile: Profile) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email,
            full_name: profile.full_name,
            phone: profile.phone,
            role: user.role,
            created_at: instant(user.created_at),
            updated_at: instant(profile.updated_at),
        }
    }
}

/// Fields that are absent stay, null removes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\s]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s])?$")]
    full_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 20, pattern = r"^\+?[0-9](?:[ ()-]?[0-9]){5,14}$", example = "+62 812 0000 0000")]
    phone: Option<Option<String>>,
}

/// My profile
#[utoipa::path(get, path = "/profile", tag = "profile", security(("token" = [])),
    responses((status = 200, body = ProfileView)))]
pub(super) async fn show(State(api): State<Api>, caller: Caller) -> Result<axum::Json<ProfileView>> {
    let (user, profile) =
        tokio::try_join!(api.app.store.user(caller.user), api.app.store.profile(caller.user))?;
    Ok(axum::Json(ProfileView::of(user, profile)))
}

/// Change my profile
#[utoipa::path(put, path = "/profile", tag = "profile", security(("token" = [])), request_body = Change,
    responses((status = 200, body = ProfileView), (status = 422, body = Problem, description = "invalid_field")))]
pub(super) async fn change(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<Change>,
) -> Result<axum::Json<ProfileView>> {
    let change = ProfileChange {
        full_name: body.full_name.map(|value| value.map(name).transpose()).transpose()?,
        phone: body.phone.map(|value| value.map(phone).transpose()).transpose()?,
    };
    let profile = api.app.store.update_profile(caller.user, change).await?;
    let user = api.app.store.user(caller.user).await?;
    Ok(axum::Json(ProfileView::of(user, profile)))
}

fn phone(text: String) -> Result<String> {
    let text = text.trim();
    let (digits, rest) = text.chars().partition::<String, _>(char::is_ascii_digit);
    let fits = (6..=15).contains(&digits.len())
        && text.len() <= 20
        && rest.chars().enumerate().all(|(i, c)| " -()".contains(c) || (c == '+' && i == 0));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(ApiError::new(Code::InvalidField, "phone must be a number such as +62 812 0000 0000."))
    }
}
