//! Account administration from the command line: accounts are made and changed, a lost second factor is taken away. Each
//! change ends all sign-ins of the person and is an entry of the audit trail. Officers are given a link by which they set
//! up password and codes themselves.

use anyhow::anyhow;

use crate::app::App;
use crate::auth::password::{self, Passwords};
use crate::auth::{Auth, enrolment};
use crate::clock::Clock;
use crate::config::Config;
use crate::keys;
use crate::serve::{no_reader, runtime};
use crate::store::{AccountChange, Actor, Role, Store, User};

/// What to change about an account.
#[derive(Debug, Default)]
pub struct Order {
    pub role: Option<Role>,
    /// Lock the person out, or let them in again.
    pub disabled: Option<bool>,
    /// Make a password in place of theirs.
    pub new_password: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    /// What the person needs to sign in: the password that was made, or an officer's enrolment link.
    pub credential: Option<String>,
    /// How many sign-ins at the console ended.
    pub ended: u64,
}

/// Makes a local account; `name` is what colleagues see. Returns what the person needs: an enrolment link for an officer,
/// the password that was made for a customer who is given none.
///
/// # Errors
/// When the e-mail or password cannot be used, or the database cannot be reached.
pub fn create(
    config: Config,
    email: &str,
    role: Role,
    name: Option<String>,
    password: Option<String>,
) -> anyhow::Result<Option<String>> {
    runtime()?.block_on(async {
        let app = App::with_reader(config, no_reader(), Clock::default()).await?;
        let auth = Auth::new(app.clone())?;
        let (password, made) = match password {
            Some(password) => (password, None),
            None => {
                let made = keys::random_token(15)?;
                (made.clone(), Some(made))
            }
        };
        if app.store.user_by_email(email).await?.is_some() {
            return Err(anyhow!("there is an account with this e-mail already; see filot change-user"));
        }
        let user = auth.create(email, &password, name, role, Some(&Actor::Operator)).await?;
        // Nobody else is to know an officer's password, so what was made for them is not told.
        Ok(if role == Role::User { made } else { Some(auth.enrolment_link(user.id).await?) })
    })
}

/// Changes an account, for `reason`.
///
/// # Errors
/// When there is no such account, nothing is to be changed, or the database cannot be reached.
pub fn change(config: &Config, email: &str, order: &Order, reason: &str) -> anyhow::Result<Done> {
    if order.role.is_none() && order.disabled.is_none() && !order.new_password {
        return Err(anyhow!("nothing to change: give --role, --disable, --enable or --new-password"));
    }
    runtime()?.block_on(async {
        let (store, user) = find(config, email).await?;
        let is_officer = order.role.unwrap_or(user.role) != Role::User;
        let password = if order.new_password && !is_officer { Some(keys::random_token(15)?) } else { None };
        let password_hash = match &password {
            Some(password) => {
                password::check(password).map_err(|problem| anyhow!(problem))?;
                let hash = Passwords::new().hash(password).await;
                Some(hash.ok_or_else(|| anyhow!("the password could not be hashed; try again"))?)
            }
            None => None,
        };
        let change = AccountChange {
            role: order.role,
            disabled: order.disabled,
            forget_password: order.new_password && is_officer,
            password_hash,
        };
        let ended = store.change_account(user.id, change, &Actor::Operator, reason).await?;
        let needs_link = is_officer && (order.new_password || store.second_factor(user.id).await?.is_none());
        let is_open = !order.disabled.unwrap_or(user.disabled);
        let link = if needs_link && is_open { Some(link(&store, config, &user).await?) } else { None };
        Ok(Done { credential: password.or(link), ended })
    })
}

/// Takes the second factor of an officer who has lost it away, for `reason`, ends their sign-ins, and makes a link by which
/// they set up another.
///
/// # Errors
/// When there is no such account, it is no officer's, or the database cannot be reached.
pub fn reset_second_factor(config: &Config, email: &str, reason: &str) -> anyhow::Result<Done> {
    runtime()?.block_on(async {
        let (store, user) = find(config, email).await?;
        if user.role == Role::User {
            return Err(anyhow!("customers have no second factor; filot change-user --role makes officers"));
        }
        let ended = store.forget_second_factor(user.id, &Actor::Operator, Some(reason)).await?;
        Ok(Done { credential: Some(link(&store, config, &user).await?), ended })
    })
}

async fn link(store: &Store, config: &Config, user: &User) -> anyhow::Result<String> {
    Ok(enrolment::issue(store, &config.service, user.id, Clock::default().now()).await?)
}

async fn find(config: &Config, email: &str) -> anyhow::Result<(Store, User)> {
    let store = Store::connect(&config.service, Clock::default()).await?;
    let user = store.user_by_email(email).await?.ok_or_else(|| anyhow!("no account has this e-mail"))?;
    Ok((store, user))
}
