//! Erasing in a bucket that keeps versions: there a plain DELETE only hides a file.

use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use reqwest::StatusCode;
use reqwest::redirect::Policy;

use super::Error;

/// Versions of one file that are erased in one go. It is written once; a retried upload makes a second.
const MAX_VERSIONS: usize = 100;
/// Life of the address that one version is erased by.
const SIGNATURE_LIFE: Duration = Duration::from_secs(60);
/// Longest wait for the store's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Erases single versions: what [`object_store::ObjectStore`] has no word for.
#[derive(Clone)]
pub(super) struct Versions {
    http: reqwest::Client,
}

impl Versions {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { http })
    }

    /// Erases every version of a file that can be seen, the present one first. One that is not there is no error.
    pub(super) async fn erase(&self, s3: &AmazonS3, key: &Key) -> Result<(), Error> {
        for _ in 0..MAX_VERSIONS {
            let version = match s3.head(key).await {
                Ok(found) => found.version,
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let erased = match version {
                Some(version) => self.erase_one(s3, key, version).await?,
                None => false,
            };
            if !erased {
                // The bucket keeps none.
                return match s3.delete(key).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                };
            }
        }
        Err(Error::Versions)
    }

    /// Erases one version. `false` when the store names versions and lets nobody speak of them, as R2 does.
    async fn erase_one(&self, s3: &AmazonS3, key: &Key, version: String) -> Result<bool, Error> {
        let options = SignedUrlOptions::default().with_query([("versionId", version)]);
        let url = s3.signed_url_opts(Method::DELETE, key, SIGNATURE_LIFE, &options).await?;
        // The address holds a signature, so it stands in no error.
        let answer =
            self.http.delete(url).send().await.map_err(|error| Error::Version(error.without_url()))?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(true),
            StatusCode::NOT_IMPLEMENTED | StatusCode::BAD_REQUEST => Ok(false),
            status => Err(Error::Refused(status.as_u16())),
        }
    }
}
