//! What whoever runs the service does to accounts: makes them, changes them, takes a lost second factor away. Each change
//! ends all sign-ins of the person and is an entry of the audit trail.

use anyhow::anyhow;

use crate::app::App;
use crate::auth::Auth;
use crate::auth::password::{self, Passwords};
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
    /// The password that was made.
    pub password: Option<String>,
    /// How many sign-ins at the console ended.
    pub ended: u64,
}

/// Makes a local account; `name` is what colleagues see. Without a password one is made and returned.
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
        auth.create(email, &password, name, role, Some(&Actor::Operator)).await?;
        Ok(made)
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
        let password = if order.new_password { Some(keys::random_token(15)?) } else { None };
        let password_hash = match &password {
            Some(password) => {
                password::check(password).map_err(|problem| anyhow!(problem))?;
                let hash = Passwords::new().hash(password).await;
                Some(hash.ok_or_else(|| anyhow!("the password could not be hashed; try again"))?)
            }
            None => None,
        };
        let change = AccountChange { role: order.role, disabled: order.disabled, password_hash };
        let ended = store.change_account(user.id, change, &Actor::Operator, reason).await?;
        Ok(Done { password, ended })
    })
}

/// Takes the second factor of an officer who has lost it away, for `reason`, and ends their sign-ins. Gives how many of
/// those there were at the console.
///
/// # Errors
/// When there is no such account, it has no second factor, or the database cannot be reached.
pub fn reset_second_factor(config: &Config, email: &str, reason: &str) -> anyhow::Result<u64> {
    runtime()?.block_on(async {
        let (store, user) = find(config, email).await?;
        let reset = store.forget_second_factor(user.id, &Actor::Operator, Some(reason)).await?;
        reset.ok_or_else(|| anyhow!("this account has no second factor; it is set up at the next sign-in"))
    })
}

async fn find(config: &Config, email: &str) -> anyhow::Result<(Store, User)> {
    let store = Store::connect(&config.service, Clock::default()).await?;
    let user = store.user_by_email(email).await?.ok_or_else(|| anyhow!("no account has this e-mail"))?;
    Ok((store, user))
}
