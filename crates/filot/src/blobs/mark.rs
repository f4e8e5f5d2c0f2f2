//! The mark of an installation: one file beside those of its documents. It says whose they are, and how far the audit
//! trail of their database had come, so that a wrong, an empty or an older database is known for what it is.

use jiff::Timestamp;
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Blobs, Error};

/// What the file is called. No key of ours looks like it.
pub const MARK: &str = "filot-installation.json";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The installation whose database knows the files.
    pub installation: Uuid,
    /// The last entry of the audit trail when the mark was written.
    pub audit_seq: i64,
    /// Its hash: a database that lacks this entry is an older one, or one that went another way since.
    pub audit_hash: String,
    #[serde(with = "crate::audit::instant")]
    pub written_at: Timestamp,
}

impl Blobs {
    /// The mark, if the store has one.
    ///
    /// # Errors
    /// `Unavailable`; `Mark` when it cannot be understood.
    pub async fn mark(&self) -> Result<Option<Mark>, Error> {
        match self.get(MARK).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Mark),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a mark into a store that has none. `false` when somebody else was quicker.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn make_mark(&self, mark: &Mark) -> Result<bool, Error> {
        use object_store::Error as E;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.place(MARK), text(mark).into(), options).await {
            Ok(_) => Ok(true),
            Err(E::AlreadyExists { .. } | E::Precondition { .. }) => Ok(false),
            // A store that cannot write under a condition; one that is down refuses the next, too.
            Err(E::NotImplemented { .. } | E::NotSupported { .. } | E::Generic { .. }) => {
                self.write_mark(mark).await.map(|()| true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a mark over the one there is.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn write_mark(&self, mark: &Mark) -> Result<(), Error> {
        self.store.put(&self.place(MARK), text(mark).into()).await?;
        Ok(())
    }
}

fn text(mark: &Mark) -> Vec<u8> {
    // A struct of texts and numbers always has a JSON form.
    serde_json::to_vec_pretty(mark).unwrap_or_default()
}
