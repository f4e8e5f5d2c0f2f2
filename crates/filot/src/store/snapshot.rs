//! A copy of a SQLite database as it is at one moment, taken while others write.

use std::path::Path;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::entity::documents;
use super::{Error, Result, Store, sqlite};

impl Store {
    /// Writes a copy to `path`, which must not exist.
    ///
    /// # Errors
    /// When the file cannot be written, or the database is not SQLite.
    pub async fn copy_to(&self, path: &Path) -> Result<()> {
        if self.kind() != "sqlite" {
            return Err(Error::Corrupt("kind of database: only SQLite copies itself"));
        }
        // The only text in SQL that is not a constant: VACUUM takes no parameters. A quote is doubled.
        let quoted = path.display().to_string().replace('\'', "''");
        self.db.execute_unprepared(&format!("VACUUM INTO '{quoted}'")).await?;
        Ok(())
    }

    /// Opens a copy.
    ///
    /// # Errors
    /// When it is not a database.
    pub async fn open_copy(path: &Path, clock: crate::clock::Clock) -> Result<Self> {
        Self::sqlite(sqlite::url_of(path), 1, clock).await
    }

    /// Closes all connections; with SQLite everything then stands in the one file.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn close(self) -> Result<()> {
        if self.writer.is_some() {
            self.db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(self.db.close().await?)
    }

    /// Blob key and SHA-256 (hexadecimal) of every document, in the order of the keys.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn blob_keys(&self) -> Result<Vec<(String, String)>> {
        let columns = [documents::Column::FileUrl, documents::Column::ContentHash];
        let mut keys: Vec<(String, String)> =
            documents::Entity::find().select_only().columns(columns).into_tuple().all(&self.db).await?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// Takes documents out of a copy whose files are gone, with their jobs and stored answers: they were deleted after the
    /// copy was made.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_documents(&self, blob_keys: &[String]) -> Result<()> {
        for key in blob_keys {
            for table in ["jobs", "idempotency"] {
                let of = "document_id IN (SELECT id FROM documents WHERE file_url = $1)";
                self.execute(&format!("DELETE FROM {table} WHERE {of}"), vec![key.as_str().into()]).await?;
            }
            documents::Entity::delete_many()
                .filter(documents::Column::FileUrl.eq(key))
                .exec(&self.db)
                .await?;
        }
        Ok(())
    }
}
