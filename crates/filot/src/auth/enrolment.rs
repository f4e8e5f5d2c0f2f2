//! Enrolment links: officers set up their password and their codes with a link that works once. There is no first password
//! that somebody else has seen, and a secret that was not confirmed is stored nowhere.

use jiff::{SignedDuration, Timestamp};

use super::{Auth, Error, FIRST_ADMIN, Result, hash_token, password};
use crate::config::Service;
use crate::document::UserId;
use crate::keys;
use crate::store::{ENROLMENT, Enrolment, Store, User};

/// How long a link can be used.
const TTL: SignedDuration = SignedDuration::from_hours(24);

/// Whom a link is for.
#[derive(Clone, Debug)]
pub(crate) enum Invited {
    Officer(Box<User>),
    /// Whoever starts the service first; they choose their e-mail.
    FirstAdmin,
}

/// Makes a link by which `user` sets up password and codes; former ones of theirs end.
///
/// # Errors
/// When the database does not answer.
pub async fn issue(store: &Store, config: &Service, user: UserId, now: Timestamp) -> Result<String> {
    let token = keys::random_token(32)?;
    store.issue_enrolment(user, &hash_token(&token), now + TTL).await?;
    Ok(link(config, &token))
}

fn link(config: &Service, token: &str) -> String {
    format!("{}/console/enrol/{token}", config.desk_url())
}

impl Auth {
    /// A link that makes the first admin; `None` when there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_admin_link(&self) -> Result<Option<String>> {
        let token = self.first_admin_token().await?;
        Ok(token.map(|token| link(&self.app.config.service, &token)))
    }

    /// A link by which somebody sets up password and codes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn enrolment_link(&self, user: UserId) -> Result<String> {
        issue(&self.app.store, &self.app.config.service, user, self.app.clock.now()).await
    }

    /// Whom a link is for, as long as it works.
    ///
    /// # Errors
    /// `Link`, or what the database reports.
    pub(crate) async fn invited(&self, token: &str) -> Result<Invited> {
        let (store, hash) = (&self.app.store, hash_token(token));
        if let Some(found) = store.peek_one_time(ENROLMENT, &hash).await? {
            let user = store.user(found.user_id.ok_or(Error::Link)?).await?;
            return if user.disabled { Err(Error::Link) } else { Ok(Invited::Officer(Box::new(user))) };
        }
        let first = store.peek_one_time(FIRST_ADMIN, &hash).await?.is_some();
        if first && store.count_admins().await? == 0 { Ok(Invited::FirstAdmin) } else { Err(Error::Link) }
    }

    /// Sets up password and codes with a link, which is used by that. `seal` seals the secret of the codes for a user;
    /// `step` is that of the code they have shown.
    ///
    /// # Errors
    /// `Link`, `Weak`, `Taken`, `Busy`.
    pub(crate) async fn enrol(
        &self,
        token: &str,
        (email, password): (&str, &str),
        seal: impl Fn(UserId) -> std::result::Result<Vec<u8>, keys::Error>,
        step: i64,
    ) -> Result<UserId> {
        password::check(password).map_err(Error::Weak)?;
        match self.invited(token).await? {
            Invited::Officer(user) => {
                let password_hash = self.passwords.hash(password).await.ok_or(Error::Busy)?;
                let new = Enrolment { password_hash, secret: seal(user.id)?, step };
                self.app.store.enrol(&hash_token(token), user.id, new).await.map_err(
                    |error| match error {
                        crate::store::Error::Conflict => Error::Link,
                        error => error.into(),
                    },
                )?;
                self.forget_user(user.id);
                Ok(user.id)
            }
            Invited::FirstAdmin => {
                let user = self.make_first_admin(token, email, password).await?;
                self.app.store.set_second_factor(user.id, seal(user.id)?, step).await?;
                Ok(user.id)
            }
        }
    }
}
