//! The first schema: accounts, documents, reviews, events, and what the queue in the database needs.

use sea_orm_migration::prelude::*;

use super::columns::{
    big, count, index, optional_text, optional_time, optional_word, refers, table, text, time, uuid, word,
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in accounts().into_iter().chain(documents()).chain(effects()).chain(queue()) {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn accounts() -> Vec<TableCreateStatement> {
    let users = table("users")
        .col(uuid("id").primary_key())
        .col(optional_word("email", 255).unique_key())
        .col(ColumnDef::new("email_verified").boolean().not_null().default(false))
        .col(optional_text("password_hash"))
        .col(optional_word("provider_type", 50))
        .col(optional_word("provider_id", 255))
        .col(word("role", 50))
        .col(time("created_at"))
        .col(time("updated_at"))
        .col(optional_time("disabled_at"))
        .to_owned();
    let mut profiles = table("profiles")
        .col(uuid("id").primary_key())
        .col(uuid("user_id").unique_key())
        .col(optional_word("full_name", 255))
        .col(optional_word("phone", 20))
        .col(time("created_at"))
        .col(time("updated_at"))
        .to_owned();
    refers(&mut profiles, "user_id", "users");
    let mut sessions = table("sessions")
        .col(uuid("id").primary_key())
        .col(uuid("user_id"))
        .col(time("created_at"))
        .col(time("expires_at"))
        .col(optional_time("revoked_at"))
        .col(time("last_used_at"))
        .to_owned();
    refers(&mut sessions, "user_id", "users");
    let mut refresh = table("refresh_tokens")
        .col(word("token_hash", 64).primary_key())
        .col(uuid("session_id"))
        .col(time("created_at"))
        .col(optional_time("used_at"))
        .to_owned();
    refers(&mut refresh, "session_id", "sessions");
    let mut one_time = table("one_time_tokens")
        .col(word("token_hash", 64).primary_key())
        .col(word("purpose", 50))
        .col(ColumnDef::new("user_id").uuid().null())
        .col(time("created_at"))
        .col(time("expires_at"))
        .col(optional_time("used_at"))
        .to_owned();
    refers(&mut one_time, "user_id", "users");
    vec![users, profiles, sessions, refresh, one_time]
}

fn documents() -> Vec<TableCreateStatement> {
    let mut documents = table("documents")
        .col(uuid("id").primary_key())
        .col(uuid("user_id"))
        .col(word("type", 50))
        .col(text("file_url"))
        .col(word("status", 50))
        .col(word("verification_status", 50))
        .col(ColumnDef::new("ai_score").integer().null())
        .col(optional_word("ai_decision", 50))
        .col(ColumnDef::new("result_json").json_binary().null())
        .col(optional_text("ocr_text"))
        .col(optional_word("buli2_ticket_id", 255))
        .col(time("created_at"))
        .col(optional_time("processed_at"))
        .col(time("updated_at"))
        .col(word("content_hash", 64))
        .col(word("media_type", 50))
        .col(big("byte_size"))
        .col(word("lane", 10))
        .col(count("generation", 1))
        .col(count("version", 1))
        .col(count("attempts", 0))
        .col(big("fence"))
        .col(optional_time("lease_until"))
        .col(optional_word("failure_code", 50))
        .col(optional_word("engine", 50))
        .col(ColumnDef::new("reading_ms").integer().null())
        .to_owned();
    refers(&mut documents, "user_id", "users");
    let mut reviews = table("reviews")
        .col(uuid("id").primary_key())
        .col(uuid("document_id"))
        .col(uuid("user_id"))
        .col(count("generation", 1))
        .col(word("status", 50))
        .col(optional_word("decision", 50))
        .col(optional_text("notes"))
        .col(optional_word("reviewer", 255))
        .col(optional_word("ticket_id", 255))
        .col(count("version", 1))
        .col(time("created_at"))
        .col(time("updated_at"))
        .col(optional_time("decided_at"))
        .to_owned();
    refers(&mut reviews, "document_id", "documents");
    vec![documents, reviews]
}

/// Traces and outgoing effects. They refer to documents without a foreign key: they outlive them.
fn effects() -> Vec<TableCreateStatement> {
    let seq = || ColumnDef::new("seq").big_integer().not_null().auto_increment().primary_key().take();
    let audit = table("audit")
        .col(seq())
        .col(time("at"))
        .col(word("actor", 255))
        .col(word("action", 50))
        .col(word("subject", 255))
        .col(optional_text("reason"))
        .col(optional_text("before"))
        .col(optional_text("after"))
        .to_owned();
    let events = table("events")
        .col(seq())
        .col(uuid("id").unique_key())
        .col(uuid("document_id"))
        .col(uuid("user_id"))
        .col(count("generation", 1))
        .col(ColumnDef::new("verdict_of").integer().null())
        .col(word("kind", 50))
        .col(word("status", 50))
        .col(word("verification_status", 50))
        .col(time("at"))
        .to_owned();
    let outbox = table("outbox")
        .col(uuid("id").primary_key())
        .col(word("kind", 50))
        .col(word("subject", 255))
        .col(count("attempts", 0))
        .col(time("due_at"))
        .col(time("created_at"))
        .col(optional_time("done_at"))
        .col(optional_text("last_error"))
        .to_owned();
    let mut idempotency = table("idempotency")
        .col(uuid("user_id"))
        .col(word("route", 100))
        .col(word("key", 255))
        .col(word("request_hash", 64))
        .col(ColumnDef::new("document_id").uuid().null())
        .col(ColumnDef::new("status").integer().null())
        .col(ColumnDef::new("body").blob().null())
        .col(optional_time("locked_until"))
        .col(time("created_at"))
        .col(time("expires_at"))
        .primary_key(Index::create().col("user_id").col("route").col("key"))
        .to_owned();
    refers(&mut idempotency, "user_id", "users");
    vec![audit, events, outbox, idempotency]
}

/// Times in these tables are microseconds since 1970 by the clock of the database, as leases are compared there.
fn queue() -> Vec<TableCreateStatement> {
    let jobs = table("jobs")
        .col(uuid("document_id").primary_key())
        .col(word("lane", 10))
        .col(word("state", 10))
        .col(big("queued_at"))
        .col(big("run_at"))
        .col(big("lease_until"))
        .col(big("token"))
        .col(count("attempts", 0))
        .col(optional_word("owner", 255))
        .col(optional_word("reason", 255))
        .to_owned();
    let lanes = table("lanes").col(word("lane", 10).primary_key()).col(big("seen_at")).to_owned();
    vec![jobs, lanes]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("users_provider", "users", &["provider_type", "provider_id"], true),
        index("sessions_user", "sessions", &["user_id"], false),
        index("refresh_tokens_session", "refresh_tokens", &["session_id"], false),
        index("documents_user", "documents", &["user_id", "created_at", "id"], false),
        index("documents_status", "documents", &["status", "updated_at"], false),
        index("documents_file", "documents", &["file_url"], true),
        index("reviews_document", "reviews", &["document_id", "generation"], true),
        index("reviews_status", "reviews", &["status", "created_at"], false),
        index("events_verdict", "events", &["document_id", "verdict_of"], true),
        index("audit_subject", "audit", &["subject"], false),
        index("outbox_subject", "outbox", &["kind", "subject"], true),
        index("outbox_due", "outbox", &["done_at", "due_at"], false),
        index("idempotency_expiry", "idempotency", &["expires_at"], false),
        index("jobs_due", "jobs", &["lane", "state", "run_at"], false),
    ]
}
