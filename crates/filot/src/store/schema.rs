//! Schemas of their own in a PostgreSQL database that others use, for rehearsals that leave nothing behind.

use sea_orm::{ConnectionTrait, DbBackend};

use super::{Error, Result, Store};

impl Store {
    /// Makes an empty schema.
    ///
    /// # Errors
    /// When the name is not a plain one, the database is not PostgreSQL, or the account may not make schemas.
    pub async fn make_schema(&self, name: &str) -> Result<()> {
        self.on_schema("CREATE SCHEMA", name, "").await
    }

    /// Removes a schema with everything in it. One that is not there is no error.
    ///
    /// # Errors
    /// As for [`Store::make_schema`].
    pub async fn drop_schema(&self, name: &str) -> Result<()> {
        self.on_schema("DROP SCHEMA IF EXISTS", name, " CASCADE").await
    }

    async fn on_schema(&self, verb: &str, name: &str, end: &str) -> Result<()> {
        // A name cannot be a parameter of such a statement, so it has to be one that needs no quoting.
        let plain = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if self.backend() != DbBackend::Postgres || !plain {
            return Err(Error::Corrupt("schema"));
        }
        self.db.execute_unprepared(&format!("{verb} {name}{end}")).await?;
        Ok(())
    }
}
