//! Where people have signed in from, registrations that wait for a mail to be confirmed, and no second factor that was
//! offered and never confirmed: whoever saw the password saw it.

use sea_orm_migration::prelude::*;

use super::columns::{index, optional_text, refers, text, time, uuid, word};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0007_sign_in"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut places = Table::create()
            .table("sign_in_places")
            .col(uuid("user_id"))
            .col(word("place", 64))
            .col(time("last_at"))
            .primary_key(Index::create().col("user_id").col("place"))
            .to_owned();
        refers(&mut places, "user_id", "users");
        let registrations = Table::create()
            .table("registrations")
            .col(uuid("id").primary_key())
            .col(text("email"))
            .col(text("password_hash"))
            .col(optional_text("full_name"))
            .col(time("created_at"))
            .col(time("expires_at"))
            .to_owned();
        for table in [places, registrations] {
            manager.create_table(table).await?;
        }
        for index in [
            index("registrations_email", "registrations", &["email", "created_at"], false),
            index("registrations_expiry", "registrations", &["expires_at"], false),
        ] {
            manager.create_index(index).await?;
        }
        let unconfirmed = Query::delete()
            .from_table("second_factors")
            .and_where(Expr::col("confirmed_at").is_null())
            .to_owned();
        manager.execute(unconfirmed).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
