//! Which installation a database belongs to, and the files that no document knows.

use sea_orm_migration::prelude::*;

use super::columns::{big, index, optional_time, optional_word, table, time, uuid, word};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0005_installation"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One row, which is made with the last of the steps.
        let installation = table("installation")
            .col(ColumnDef::new("id").integer().not_null().primary_key())
            .col(uuid("uuid"))
            .col(time("created_at"))
            .col(optional_time("quiet_until"))
            .col(optional_word("unknown_head", 64))
            .col(optional_time("scrubbed_at"))
            .to_owned();
        let quarantine = table("quarantine")
            .col(word("key", 255).primary_key())
            .col(big("byte_size"))
            .col(time("first_seen_at"))
            .col(time("last_seen_at"))
            .to_owned();
        for table in [installation, quarantine] {
            manager.create_table(table).await?;
        }
        for index in [
            index("quarantine_first_seen", "quarantine", &["first_seen_at"], false),
            index("quarantine_last_seen", "quarantine", &["last_seen_at"], false),
            index("idempotency_document", "idempotency", &["document_id"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
