//! Photos that are taken again: which document replaces which, and the links that ask for it. How long officers have a
//! review before them, and what the dashboard counts by.

use sea_orm_migration::prelude::*;

use super::columns::index;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_retake"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let uuid = |name: &'static str| ColumnDef::new(name).uuid().null().take();
        // One column at a time: SQLite takes no more in a statement.
        for (table, column) in [
            ("documents", uuid("replaces")),
            ("documents", uuid("replaced_by")),
            ("documents", ColumnDef::new("retakes").integer().not_null().default(0).take()),
            ("one_time_tokens", uuid("document_id")),
            ("reviews", ColumnDef::new("claimed_at").timestamp_with_time_zone().null().take()),
            ("rulings", ColumnDef::new("handling_ms").big_integer().null().take()),
        ] {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        for index in [
            // What makes two successors of one document impossible, whatever else goes wrong.
            index("documents_replaces", "documents", &["replaces"], true),
            index("one_time_tokens_document", "one_time_tokens", &["document_id"], false),
            index("events_counted", "events", &["at", "kind", "verification_status"], false),
            index("reviews_decided", "reviews", &["decided_at", "reason", "decision"], false),
            index("rulings_by_stage", "rulings", &["stage", "carried_out_at", "review_id", "ruling"], false),
            index("rulings_noted", "rulings", &["noted_at", "reviewer", "handling_ms"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
