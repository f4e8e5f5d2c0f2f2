//! What each account may have: files and bytes of a day, counted, and its turn in the queue.

use sea_orm_migration::prelude::*;

use super::columns::{big, index, refers, table, uuid};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_shares"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut allowances = table("allowances")
            .col(uuid("user_id"))
            .col(big("day"))
            .col(big("files"))
            .col(big("bytes"))
            .primary_key(Index::create().col("user_id").col("day"))
            .to_owned();
        refers(&mut allowances, "user_id", "users");
        manager.create_table(allowances).await?;
        // One column at a time: SQLite takes no more in a statement.
        for column in [ColumnDef::new("account").uuid().null().take(), big("turn")] {
            manager.alter_table(Table::alter().table("jobs").add_column(column).to_owned()).await?;
        }
        for index in [
            index("allowances_day", "allowances", &["day"], false),
            index("jobs_turn", "jobs", &["lane", "state", "turn", "run_at"], false),
            index("jobs_account", "jobs", &["account", "turn"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
