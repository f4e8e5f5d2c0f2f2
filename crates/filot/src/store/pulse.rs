//! How a document stands, in a row small enough to be read often.

use sea_orm::{EntityTrait, QuerySelect};

use super::entity::documents;
use super::rows::natural;
use super::{Error, Result, Store};
use crate::document::{DocumentId, Status, UserId};

/// How a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    pub user_id: UserId,
    pub status: Status,
    /// Counts the changes.
    pub version: u32,
}

impl Pulse {
    /// No reader will touch the document again by itself.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Failed)
    }
}

impl Store {
    /// How a document stands.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn pulse(&self, id: DocumentId) -> Result<Pulse> {
        use documents::Column::{Status, UserId as Account, Version};
        let row: Option<(uuid::Uuid, String, i32)> = documents::Entity::find_by_id(id.0)
            .select_only()
            .columns([Account, Status, Version])
            .into_tuple()
            .one(&self.db)
            .await?;
        let (user, status, version) = row.ok_or(Error::NotFound)?;
        Ok(Pulse { user_id: UserId(user), status: status.parse()?, version: natural(version)? })
    }
}
