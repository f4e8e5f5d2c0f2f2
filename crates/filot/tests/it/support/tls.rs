//! A door with TLS before a Temporal server: it asks for a certificate and a key, as Temporal Cloud does, and passes on what
//! shows both.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, client, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

type Called = Arc<Mutex<BTreeSet<String>>>;

/// The door; its port is free again when the test ends.
pub(crate) struct TlsDoor {
    pub(crate) port: u16,
    folder: TempDir,
    /// The paths of what was called with the right key.
    called: Called,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name` and its key.
fn signed(name: &str, issuer: &Issuer) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    (params.signed_by(&key, issuer).unwrap(), key)
}

impl TlsDoor {
    /// A door to the server on `port` for whoever has the certificate and `key`.
    pub(crate) async fn before(port: u16, key: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("filot-tls-").tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        let ours = issuer();
        write("ca.pem", ours.pem());
        write("another-ca.pem", issuer().pem());
        let (client, client_key) = signed("filot", &ours);
        write("client.pem", client.pem());
        write("client.key", client_key.serialize_pem());

        let (certificate, server_key) = signed("localhost", &ours);
        let mut roots = RootCertStore::empty();
        roots.add(ours.der().clone()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der())),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Self { port: listener.local_addr().unwrap().port(), folder, called: Arc::default() };
        let (called, acceptor) = (Arc::clone(&door.called), TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, acceptor.clone(), port, key, Arc::clone(&called)));
            }
        });
        door
    }

    /// The path of `ca.pem`, `another-ca.pem`, `client.pem` or `client.key`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What was called, by the last part of its path.
    pub(crate) fn called(&self, method: &str) -> bool {
        self.called.lock().unwrap().iter().any(|path| path.ends_with(method))
    }
}

/// One connection: whoever has no certificate is refused before anything else.
async fn serve(socket: TcpStream, acceptor: TlsAcceptor, port: u16, key: &'static str, called: Called) {
    let Ok(socket) = acceptor.accept(socket).await else { return };
    let Ok(behind) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let http = client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = http.handshake(TokioIo::new(behind)).await.unwrap();
    tokio::spawn(connection);
    let service = service_fn(move |request| pass_on(request, sender.clone(), port, key, Arc::clone(&called)));
    let http = server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = http.serve_connection(TokioIo::new(socket), service).await;
}

/// What has the key goes to the server behind; the rest is told what gRPC calls "unauthenticated", with a status in the
/// headers and no body.
async fn pass_on(
    request: Request<Incoming>,
    mut sender: SendRequest<Incoming>,
    port: u16,
    key: &str,
    called: Called,
) -> hyper::Result<Response<Either<Incoming, Empty<Bytes>>>> {
    let shown = request.headers().get("authorization");
    if shown.is_none_or(|shown| shown != format!("Bearer {key}").as_str()) {
        let answer = Response::builder()
            .status(StatusCode::OK)
            .header("content-type", "application/grpc")
            .header("grpc-status", "16");
        return Ok(answer.body(Either::Right(Empty::new())).unwrap());
    }
    called.lock().unwrap().insert(request.uri().path().to_owned());
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().as_str();
    head.uri = format!("http://127.0.0.1:{port}{path}").parse::<Uri>().unwrap();
    Ok(sender.send_request(Request::from_parts(head, body)).await?.map(Either::Left))
}
