//! An S3 server that verifies signatures, over a folder.

use std::process::Command;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::versioned::Versioned;

pub(crate) const BUCKET: &str = "filot-documents";
/// Where checkpoints of the audit trail go.
pub(crate) const CHECKPOINTS: &str = "filot-checkpoints";
pub(crate) const ACCESS_KEY: &str = "AKIAFILOTTESTS";
pub(crate) const SECRET_KEY: &str = "k9Lr2mVx7Qw4Tz8Yb5Nc1Hd6Jf3Gs0Pa";

/// The server; its port is free again when the test ends.
pub(crate) struct S3 {
    pub(crate) port: u16,
    /// Goes with the server.
    folder: TempDir,
}

impl S3 {
    /// A server with two empty buckets.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("filot-s3-").tempdir().unwrap();
        for bucket in [BUCKET, CHECKPOINTS] {
            std::fs::create_dir(folder.path().join(bucket)).unwrap();
        }
        let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
        Self::serve(files, folder).await
    }

    /// A server for this bucket.
    pub(crate) async fn with_versions(bucket: &Versioned) -> Self {
        Self::serve(bucket.clone(), tempfile::tempdir().unwrap()).await
    }

    /// Another server with what the bucket holds at this moment.
    pub(crate) async fn copy(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("filot-s3-").tempdir().unwrap();
        let copied =
            Command::new("cp").arg("-a").arg(self.folder.path().join(".")).arg(folder.path()).output();
        // Parts of files that are being written may be gone before they are copied; whole files stay.
        let complaints = String::from_utf8(copied.unwrap().stderr).unwrap();
        assert!(complaints.lines().all(|line| line.contains("No such file or directory")), "{complaints}");
        let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
        Self::serve(files, folder).await
    }

    async fn serve(files: impl s3s::S3, folder: TempDir) -> Self {
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { port, folder }
    }
}
