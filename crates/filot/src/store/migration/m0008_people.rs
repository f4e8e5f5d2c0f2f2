//! What BULI2 said where that did not decide a review, and whether its officer has opened the picture.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0008_people"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column at a time: SQLite takes no more in a statement.
        for column in [
            ColumnDef::new("buli2_answer").string_len(10).null().take(),
            ColumnDef::new("seen_at").timestamp_with_time_zone().null().take(),
        ] {
            manager.alter_table(Table::alter().table("reviews").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
