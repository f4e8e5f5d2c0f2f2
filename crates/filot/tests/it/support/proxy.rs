//! A TCP proxy that can fail in the ways networks and servers do.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the proxy treats connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass,
    /// Closes every connection at once.
    Refuse,
    /// Takes connections and never answers.
    Hang,
    /// Answers every request with status 500.
    Http500,
}

/// A proxy in front of a local port.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// A proxy that passes everything on to `target`.
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let modes = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, target, modes.subscribe()));
            }
        });
        Self { port, mode }
    }

    /// Changes the treatment; connections under the old one are cut.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn serve(mut client: TcpStream, target: u16, mut modes: watch::Receiver<Mode>) {
    let mode = *modes.borrow_and_update();
    let treat = async {
        match mode {
            Mode::Pass => {
                if let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            }
            Mode::Refuse => {}
            Mode::Hang => tokio::time::sleep(Duration::from_secs(3600)).await,
            Mode::Http500 => {
                let mut some = [0; 4096];
                let _ = client.read(&mut some).await;
                let answer =
                    b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = client.write_all(answer).await;
                let _ = client.shutdown().await;
            }
        }
    };
    tokio::select! {
        () = treat => {}
        _ = modes.changed() => {}
    }
}
