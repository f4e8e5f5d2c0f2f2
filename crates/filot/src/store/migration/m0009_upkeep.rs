//! When what is done from time to time was done last, by whichever process.

use sea_orm_migration::prelude::*;

use super::columns::{table, time, word};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0009_upkeep"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let upkeep = table("upkeep").col(word("task", 50).primary_key()).col(time("last_run")).to_owned();
        manager.create_table(upkeep).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
