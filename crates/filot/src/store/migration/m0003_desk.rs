//! The review desk: who has a review before them, what they said, and how they signed in.

use sea_orm_migration::prelude::*;

use super::columns::{index, optional_time, refers, time, uuid, word};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_desk"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column at a time: SQLite takes no more in a statement.
        for column in [
            ColumnDef::new("claimed_by").uuid().null().take(),
            ColumnDef::new("claimed_until").timestamp_with_time_zone().null().take(),
            ColumnDef::new("stage").string_len(10).not_null().default("first").take(),
            ColumnDef::new("reasons").text().null().take(),
            ColumnDef::new("reason").string_len(50).null().take(),
        ] {
            manager.alter_table(Table::alter().table("reviews").add_column(column).to_owned()).await?;
        }
        for table in [rulings(), corrections(), console_sessions(), second_factors()] {
            manager.create_table(table).await?;
        }
        for index in [
            // What makes two rulings at one stage impossible, whatever else goes wrong.
            index("rulings_stage", "rulings", &["review_id", "stage"], true),
            index("rulings_due", "rulings", &["carried_out_at", "effective_at"], false),
            index("rulings_reviewer", "rulings", &["reviewer", "effective_at"], false),
            index("corrections_review", "corrections", &["review_id", "at"], false),
            index("console_sessions_user", "console_sessions", &["user_id"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn rulings() -> TableCreateStatement {
    let mut table = Table::create()
        .table("rulings")
        .col(uuid("id").primary_key())
        .col(uuid("review_id"))
        .col(word("stage", 10))
        .col(word("ruling", 10))
        .col(word("reason", 50))
        .col(ColumnDef::new("note").text().null())
        .col(uuid("reviewer"))
        .col(ColumnDef::new("second_look").boolean().not_null().default(false))
        .col(time("noted_at"))
        .col(time("effective_at"))
        .col(optional_time("carried_out_at"))
        .to_owned();
    refers(&mut table, "review_id", "reviews");
    table
}

fn corrections() -> TableCreateStatement {
    let mut table = Table::create()
        .table("corrections")
        .col(uuid("id").primary_key())
        .col(uuid("review_id"))
        .col(word("field", 50))
        .col(ColumnDef::new("old_value").text().null())
        .col(ColumnDef::new("new_value").text().not_null())
        .col(uuid("reviewer"))
        .col(time("at"))
        .to_owned();
    refers(&mut table, "review_id", "reviews");
    table
}

fn console_sessions() -> TableCreateStatement {
    let mut table = Table::create()
        .table("console_sessions")
        .col(uuid("id").primary_key())
        .col(word("token_hash", 64).unique_key())
        .col(uuid("user_id"))
        .col(time("created_at"))
        .col(time("last_seen_at"))
        .col(time("expires_at"))
        .col(optional_time("ended_at"))
        .to_owned();
    refers(&mut table, "user_id", "users");
    table
}

fn second_factors() -> TableCreateStatement {
    let mut table = Table::create()
        .table("second_factors")
        .col(uuid("user_id").primary_key())
        .col(ColumnDef::new("secret").blob().not_null())
        .col(optional_time("confirmed_at"))
        .col(ColumnDef::new("last_step").big_integer().not_null().default(0))
        .col(time("created_at"))
        .to_owned();
    refers(&mut table, "user_id", "users");
    table
}
