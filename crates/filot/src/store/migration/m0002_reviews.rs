//! Reviews that go to external reviewers, what those answer, and the chain of the audit trail.

use sea_orm::{ConnectionTrait, Statement};
use sea_orm_migration::prelude::*;

use super::columns::index;
use crate::audit::{self, Chain, Entry};

/// Entries that are linked in one step.
const STEP: i64 = 1000;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_reviews"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let hash = |name: &'static str| ColumnDef::new(name).string_len(64).not_null().default("").take();
        let route = ColumnDef::new("route").string_len(10).not_null().default("desk").take();
        for (table, column) in [("reviews", route), ("audit", hash("prev_hash")), ("audit", hash("hash"))] {
            manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
        }
        manager.create_table(head()).await?;
        manager.create_table(callback_events()).await?;
        for index in [
            index("reviews_route", "reviews", &["route", "status", "created_at"], false),
            index("reviews_ticket", "reviews", &["ticket_id"], false),
            index("callback_events_received", "callback_events", &["received_at"], false),
        ] {
            manager.create_index(index).await?;
        }
        link(manager.get_connection()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn head() -> TableCreateStatement {
    Table::create()
        .table("audit_head")
        .col(ColumnDef::new("id").integer().not_null().primary_key())
        .col(ColumnDef::new("seq").big_integer().not_null())
        .col(ColumnDef::new("hash").string_len(64).not_null())
        .take()
}

fn callback_events() -> TableCreateStatement {
    Table::create()
        .table("callback_events")
        .col(ColumnDef::new("event_id").string_len(255).not_null().primary_key())
        .col(ColumnDef::new("body_hash").string_len(64).not_null())
        .col(ColumnDef::new("outcome").string_len(20).not_null())
        .col(ColumnDef::new("review_id").uuid().null())
        .col(ColumnDef::new("document_id").uuid().null())
        .col(ColumnDef::new("decision").string_len(50).null())
        .col(ColumnDef::new("received_at").timestamp_with_time_zone().not_null())
        .take()
}

/// Makes a chain of the entries there are, and sets its head. Numbers may have gaps from transactions that were given
/// up, so they are counted anew.
async fn link(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let statement = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let mut chain = Chain::default();
    let mut after = 0_i64;
    loop {
        let read = "SELECT seq, at, actor, action, subject, reason, before, after FROM audit \
                    WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = db.query_all_raw(statement(read, vec![after.into(), STEP.into()])).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            after = row.try_get("", "seq")?;
            let at: sea_orm::prelude::DateTimeUtc = row.try_get("", "at")?;
            let entry = chain.append(audit::Content {
                at: jiff::Timestamp::from_millisecond(at.timestamp_millis())
                    .map_err(|error| DbErr::Custom(error.to_string()))?,
                actor: row.try_get("", "actor")?,
                action: row.try_get("", "action")?,
                subject: row.try_get("", "subject")?,
                reason: row.try_get("", "reason")?,
                before: row.try_get("", "before")?,
                after: row.try_get("", "after")?,
            });
            let Entry { seq, prev_hash, hash, .. } = entry;
            let write = "UPDATE audit SET seq = $1, prev_hash = $2, hash = $3 WHERE seq = $4";
            let values = vec![seq.into(), prev_hash.into(), hash.into(), after.into()];
            db.execute_raw(statement(write, values)).await?;
        }
    }
    let values = vec![chain.seq().into(), chain.hash().into()];
    db.execute_raw(statement("INSERT INTO audit_head (id, seq, hash) VALUES (1, $1, $2)", values)).await?;
    Ok(())
}
