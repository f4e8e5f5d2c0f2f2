//! Which installation a database belongs to: one row.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "installation")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    pub uuid: Uuid,
    pub created_at: DateTimeUtc,
    /// Until then no file is taken to be forgotten.
    pub quiet_until: Option<DateTimeUtc>,
    /// Hash of the audit entry that the file store knows and this database does not.
    pub unknown_head: Option<String>,
    /// When what was deleted before `secure_delete` was on was overwritten.
    pub scrubbed_at: Option<DateTimeUtc>,
    /// What the keys answer that sealed what this database holds; nothing before the first start with keys.
    pub key_check: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
