//! What a bucket with versioning does: a PUT adds a version, a plain DELETE only hides what there is, and only a DELETE
//! of each version makes it go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};

#[derive(Clone)]
struct Version {
    id: String,
    /// `None`: what a plain DELETE leaves.
    bytes: Option<Bytes>,
    at: std::time::SystemTime,
}

/// A bucket. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Versioned {
    files: Arc<Mutex<BTreeMap<String, Vec<Version>>>>,
    /// Names versions, and knows nothing else of them.
    in_name_only: bool,
}

impl Versioned {
    /// A bucket that names versions and keeps none.
    pub(crate) fn in_name_only() -> Self {
        Self { in_name_only: true, ..Self::default() }
    }

    /// Every version of every file, hidden ones too.
    pub(crate) fn everything(&self) -> Vec<(String, Bytes)> {
        let files = self.files.lock().unwrap();
        let versions =
            files.iter().flat_map(|(key, versions)| versions.iter().map(move |version| (key, version)));
        versions.filter_map(|(key, version)| Some((key.clone(), version.bytes.clone()?))).collect()
    }

    fn present(&self, key: &str) -> S3Result<Version> {
        let files = self.files.lock().unwrap();
        let last =
            files.get(key).and_then(|versions| versions.last()).filter(|version| version.bytes.is_some());
        last.cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }

    fn add(&self, key: &str, bytes: Option<Bytes>) -> String {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let version = Version { id: id.clone(), bytes, at: std::time::SystemTime::now() };
        self.files.lock().unwrap().entry(key.to_owned()).or_default().push(version);
        id
    }

    fn remove(&self, key: &str, version: Option<&str>) -> S3Result<()> {
        match version {
            None if self.in_name_only => drop(self.files.lock().unwrap().remove(key)),
            Some(_) if self.in_name_only => return Err(s3_error!(NotImplemented)),
            None => drop(self.add(key, None)),
            Some(id) => {
                let mut files = self.files.lock().unwrap();
                if let Some(versions) = files.get_mut(key) {
                    versions.retain(|version| version.id != id);
                }
            }
        }
        Ok(())
    }
}

fn length(version: &Version) -> Option<i64> {
    version.bytes.as_ref().map(|bytes| bytes.len() as i64)
}

fn tag(version: &Version) -> Option<ETag> {
    Some(ETag::Strong(version.id.clone()))
}

#[async_trait::async_trait]
impl S3 for Versioned {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        if input.if_none_match.is_some() && self.present(&input.key).is_ok() {
            return Err(s3_error!(PreconditionFailed));
        }
        let mut bytes = BytesMut::new();
        let mut body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|_| s3_error!(IncompleteBody))?);
        }
        let id = self.add(&input.key, Some(bytes.freeze()));
        let e_tag = Some(ETag::Strong(id.clone()));
        Ok(S3Response::new(PutObjectOutput { version_id: Some(id), e_tag, ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let version = self.present(&req.input.key)?;
        Ok(S3Response::new(GetObjectOutput {
            content_length: length(&version),
            e_tag: tag(&version),
            last_modified: Some(Timestamp::from(version.at)),
            version_id: Some(version.id.clone()),
            body: version.bytes.map(|bytes| StreamingBlob::from(Body::from(bytes))),
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let version = self.present(&req.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: length(&version),
            e_tag: tag(&version),
            last_modified: Some(Timestamp::from(version.at)),
            version_id: Some(version.id),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.remove(&req.input.key, req.input.version_id.as_deref())?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut deleted = Vec::new();
        for object in req.input.delete.objects {
            self.remove(&object.key, object.version_id.as_deref())?;
            deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let files = self.files.lock().unwrap();
        let listed =
            files.iter().filter(|(key, _)| key.starts_with(&prefix)).filter_map(|(key, versions)| {
                let version = versions.last().filter(|version| version.bytes.is_some())?;
                Some(Object {
                    key: Some(key.clone()),
                    size: length(version),
                    e_tag: tag(version),
                    last_modified: Some(Timestamp::from(version.at)),
                    ..Default::default()
                })
            });
        let contents: Vec<Object> = listed.collect();
        let key_count = Some(contents.len() as i32);
        let output = ListObjectsV2Output {
            contents: Some(contents),
            key_count,
            is_truncated: Some(false),
            name: Some(req.input.bucket),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }
}
