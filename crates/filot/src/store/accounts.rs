//! Accounts and profiles.

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
};
use uuid::Uuid;

use super::audit::{Actor, AuditEntry};
use super::console_sessions::Kept;
use super::entity::{profiles, users};
use super::{Error, Result, Store, Write, from_utc};
use crate::audit::commitment;
use crate::document::{UserId, spelled};

spelled! {
    /// What an account may do.
    Role {
        /// Its own documents.
        User = "user",
        /// Reviews of all documents.
        Reviewer = "reviewer",
        /// Everything.
        Admin = "admin",
    }
}

/// An account to make.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Stored in lower case.
    pub email: Option<String>,
    pub email_verified: bool,
    /// In PHC format.
    pub password_hash: Option<String>,
    /// Identity provider and the subject it knows the person by.
    pub provider: Option<(String, String)>,
    pub role: Role,
    pub full_name: Option<String>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Option<String>,
    pub email_verified: bool,
    pub password_hash: Option<String>,
    pub provider: Option<(String, String)>,
    pub role: Role,
    pub created_at: Timestamp,
    pub disabled: bool,
}

/// What a person says of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub full_name: Option<String>,
    pub phone: Option<String>,
    pub updated_at: Timestamp,
}

/// A change of a profile: `None` leaves a value, `Some(None)` removes it.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    pub full_name: Option<Option<String>>,
    pub phone: Option<Option<String>>,
}

/// What is changed about an account from outside; `None` leaves a value.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    pub role: Option<Role>,
    pub disabled: Option<bool>,
    /// Forget the password; another is set by an enrolment link.
    pub forget_password: bool,
    /// In PHC format.
    pub password_hash: Option<String>,
}

impl Store {
    /// Makes an account and its profile.
    ///
    /// # Errors
    /// `Taken` when the e-mail or the provider's subject has an account.
    pub async fn create_user(&self, new: NewUser) -> Result<User> {
        self.create_user_by(new, None).await
    }

    /// The same for somebody else than the person themselves.
    ///
    /// # Errors
    /// As [`Store::create_user`].
    pub async fn create_user_by(&self, new: NewUser, actor: Option<&Actor>) -> Result<User> {
        let tx = self.begin().await?;
        let user = self.insert_user(&tx, new, actor).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// The same within a transaction.
    pub(super) async fn insert_user(&self, tx: &Write, new: NewUser, actor: Option<&Actor>) -> Result<User> {
        let now = self.now();
        let id = UserId::new();
        let (provider_type, provider_id) = new.provider.unzip();
        let user = users::ActiveModel {
            id: Set(id.0),
            email: Set(new.email.as_deref().map(normal_email)),
            email_verified: Set(new.email_verified),
            password_hash: Set(new.password_hash),
            provider_type: Set(provider_type),
            provider_id: Set(provider_id),
            role: Set(new.role.as_str().to_owned()),
            created_at: Set(now),
            updated_at: Set(now),
            disabled_at: Set(None),
        };
        let user = user.insert(&tx.tx).await?;
        let profile = profiles::ActiveModel {
            id: Set(Uuid::now_v7()),
            user_id: Set(id.0),
            full_name: Set(new.full_name),
            phone: Set(None),
            created_at: Set(now),
            updated_at: Set(now),
        };
        profile.insert(&tx.tx).await?;
        let (own, after) = (Actor::User(id), Some(user.role.clone()));
        let actor = actor.unwrap_or(&own);
        self.write_audit(tx, AuditEntry { after, ..entry(actor, "user.create", id) }).await?;
        user.try_into()
    }

    /// An account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user(&self, id: UserId) -> Result<User> {
        users::Entity::find_by_id(id.0).one(&self.db).await?.ok_or(Error::NotFound)?.try_into()
    }

    /// The account with this e-mail, in whatever case it is written.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        let row =
            users::Entity::find().filter(users::Column::Email.eq(normal_email(email))).one(&self.db).await?;
        row.map(User::try_from).transpose()
    }

    /// The account that an identity provider knows by `subject`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn user_by_provider(&self, provider: &str, subject: &str) -> Result<Option<User>> {
        let row = users::Entity::find()
            .filter(users::Column::ProviderType.eq(provider))
            .filter(users::Column::ProviderId.eq(subject))
            .one(&self.db)
            .await?;
        row.map(User::try_from).transpose()
    }

    /// Ties an account to an identity provider. The caller has made sure that the provider verified the e-mail.
    ///
    /// # Errors
    /// `Conflict` when the account is tied already, `Taken` when the subject has another account.
    pub async fn link_provider(&self, id: UserId, provider: &str, subject: &str) -> Result<User> {
        let change = users::ActiveModel {
            provider_type: Set(Some(provider.to_owned())),
            provider_id: Set(Some(subject.to_owned())),
            email_verified: Set(true),
            ..Default::default()
        };
        self.change_user(id, "user.link", &Actor::User(id), change, users::Column::ProviderId.is_null()).await
    }

    /// Replaces the password that the person has by another, both as hashes in PHC format, and ends all their sign-ins
    /// but the one in which they do so.
    ///
    /// # Errors
    /// `Conflict` when the password is no longer `old`.
    pub async fn change_password(&self, id: UserId, old: &str, new: String, keep: Kept) -> Result<()> {
        let tx = self.begin().await?;
        let changed = users::Entity::update_many()
            .set(users::ActiveModel {
                password_hash: Set(Some(new)),
                updated_at: Set(self.now()),
                ..Default::default()
            })
            .filter(users::Column::Id.eq(id.0))
            .filter(users::Column::PasswordHash.eq(old))
            .exec(&tx.tx)
            .await?;
        if changed.rows_affected != 1 {
            return Err(Error::Conflict);
        }
        let actor = Actor::User(id);
        self.end_sessions(&tx, id, &actor, keep).await?;
        self.write_audit(&tx, entry(&actor, "user.password", id)).await?;
        tx.commit().await
    }

    /// Sets what the account may do.
    ///
    /// # Errors
    /// `Conflict` when there is no such account.
    pub async fn set_role(&self, id: UserId, role: Role, actor: &Actor) -> Result<User> {
        let change = users::ActiveModel { role: Set(role.as_str().to_owned()), ..Default::default() };
        self.change_user(id, "user.role", actor, change, users::Column::Id.is_not_null()).await
    }

    /// Changes an account for `reason` and ends all its sign-ins. Gives how many of those there were at the console.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn change_account(
        &self,
        id: UserId,
        change: AccountChange,
        actor: &Actor,
        reason: &str,
    ) -> Result<u64> {
        let tx = self.begin().await?;
        let before = users::Entity::find_by_id(id.0).lock_exclusive().one(&tx.tx).await?;
        let before = before.ok_or(Error::NotFound)?;
        let AccountChange { role, disabled, forget_password, password_hash } = change;
        let new_password = password_hash.is_some() || forget_password;
        let mut row = users::ActiveModel { id: Set(id.0), updated_at: Set(self.now()), ..Default::default() };
        if let Some(role) = role {
            row.role = Set(role.as_str().to_owned());
        }
        if let Some(disabled) = disabled {
            row.disabled_at = Set(disabled.then(|| self.now()));
        }
        if new_password {
            row.password_hash = Set(password_hash);
        }
        let after = row.update(&tx.tx).await?;
        let ended = self.end_sessions(&tx, id, actor, Kept::None).await?;
        let look = |row: &users::Model| {
            format!("{} {}", row.role, if row.disabled_at.is_some() { "disabled" } else { "open" })
        };
        let password = if new_password { ", new password" } else { "" };
        let told = Some(format!("{}{password}, {ended} sessions ended", look(&after)));
        let entry = AuditEntry {
            actor,
            action: "user.change",
            subject: format!("user:{id}"),
            reason: Some(reason),
            before: Some(look(&before)),
            after: told,
        };
        self.write_audit(&tx, entry).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn change_user(
        &self,
        id: UserId,
        action: &'static str,
        actor: &Actor,
        change: users::ActiveModel,
        only_if: sea_orm::sea_query::Expr,
    ) -> Result<User> {
        let tx = self.begin().await?;
        let change = users::ActiveModel { updated_at: Set(self.now()), ..change };
        let changed = users::Entity::update_many()
            .set(change)
            .filter(users::Column::Id.eq(id.0))
            .filter(only_if)
            .exec_with_returning(&tx.tx)
            .await?;
        let user = changed.into_iter().next().ok_or(Error::Conflict)?;
        self.write_audit(&tx, entry(actor, action, id)).await?;
        tx.commit().await?;
        user.try_into()
    }

    /// How many admins there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_admins(&self) -> Result<u64> {
        Ok(users::Entity::find().filter(users::Column::Role.eq(Role::Admin.as_str())).count(&self.db).await?)
    }

    /// The profile of an account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn profile(&self, user: UserId) -> Result<Profile> {
        let row = profiles::Entity::find().filter(profiles::Column::UserId.eq(user.0)).one(&self.db).await?;
        Ok(row.ok_or(Error::NotFound)?.into())
    }

    /// Changes the profile of an account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn update_profile(&self, user: UserId, change: ProfileChange) -> Result<Profile> {
        let tx = self.begin().await?;
        let mut row = profiles::ActiveModel { updated_at: Set(self.now()), ..Default::default() };
        let mut changed = Vec::new();
        if let Some(full_name) = change.full_name {
            row.full_name = Set(full_name);
            changed.push("fullName");
        }
        if let Some(phone) = change.phone {
            row.phone = Set(phone);
            changed.push("phone");
        }
        let rows = profiles::Entity::update_many()
            .set(row)
            .filter(profiles::Column::UserId.eq(user.0))
            .exec_with_returning(&tx.tx)
            .await?;
        let row = rows.into_iter().next().ok_or(Error::NotFound)?;
        // The name is what evidence files show of officers. Its hash binds the entry to it without giving it away.
        let look = |field: &&str| match (*field, &row.full_name) {
            ("fullName", Some(name)) => format!("fullName {}", commitment(row.id, "fullName", name)),
            (field, _) => field.to_owned(),
        };
        let after = Some(changed.iter().map(look).collect::<Vec<_>>().join(", "));
        let actor = &Actor::User(user);
        self.write_audit(&tx, AuditEntry { after, ..entry(actor, "profile.change", user) }).await?;
        tx.commit().await?;
        Ok(row.into())
    }
}

/// E-mail addresses are compared without regard to case and surrounding blanks.
pub(super) fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

fn entry<'a>(actor: &'a Actor, action: &'a str, user: UserId) -> AuditEntry<'a> {
    AuditEntry { actor, action, subject: format!("user:{user}"), reason: None, before: None, after: None }
}

impl TryFrom<users::Model> for User {
    type Error = Error;

    fn try_from(row: users::Model) -> Result<Self> {
        Ok(Self {
            id: UserId(row.id),
            email: row.email,
            email_verified: row.email_verified,
            password_hash: row.password_hash,
            provider: row.provider_type.zip(row.provider_id),
            role: row.role.parse()?,
            created_at: from_utc(row.created_at),
            disabled: row.disabled_at.is_some(),
        })
    }
}

impl From<profiles::Model> for Profile {
    fn from(row: profiles::Model) -> Self {
        Self { full_name: row.full_name, phone: row.phone, updated_at: from_utc(row.updated_at) }
    }
}
