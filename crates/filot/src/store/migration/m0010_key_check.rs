//! What the keys of a process must answer to open what this database holds sealed.

use sea_orm_migration::prelude::*;

use super::columns::optional_word;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0010_key_check"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut check = optional_word("key_check", 64);
        manager.alter_table(Table::alter().table("installation").add_column(&mut check).to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
