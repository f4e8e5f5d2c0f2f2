//! A mail server that keeps what it is sent, and refuses or hangs when it is told to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    /// Says that it has no time (421).
    Busy,
    /// Knows no recipient (550).
    Refuses,
}

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Mail {
    /// What the link in it brings.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        let rest = self.text.split("#confirm=").nth(1).unwrap_or_else(|| panic!("no link in {}", self.text));
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

#[derive(Clone)]
pub(crate) struct Smtp {
    pub(crate) port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    manner: Arc<Mutex<Manner>>,
}

impl Smtp {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let it = Self { port, mails: Arc::default(), manner: Arc::new(Mutex::new(Manner::Takes)) };
        let server = it.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        it
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// What has arrived for an address, in order.
    pub(crate) fn mails_to(&self, address: &str) -> Vec<Mail> {
        let mails = self.mails.lock().unwrap();
        mails.iter().filter(|mail| mail.to == address).cloned().collect()
    }

    async fn talk(&self, stream: TcpStream) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let manner = *self.manner.lock().unwrap();
        let mut say = async |text: &str| write.write_all(format!("{text}\r\n").as_bytes()).await.ok();
        if manner == Manner::Busy {
            return say("421 no time").await;
        }
        say("220 mail.example").await?;
        let mut to = String::new();
        while let Some(line) = lines.next_line().await.ok()? {
            let upper = line.to_ascii_uppercase();
            if upper.starts_with("EHLO") {
                say("250 mail.example").await?;
            } else if upper.starts_with("RCPT TO:") {
                if manner == Manner::Refuses {
                    say("550 nobody of that name").await?;
                    continue;
                }
                to = line.split(['<', '>']).nth(1)?.to_owned();
                say("250 ok").await?;
            } else if upper == "DATA" {
                say("354 go on").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    text.push('\n');
                }
                if text.contains("quoted-printable") {
                    text = text.replace("=\n", "").replace("=3D", "=");
                }
                self.mails.lock().unwrap().push(Mail { to: to.clone(), text });
                say("250 taken").await?;
            } else if upper == "QUIT" {
                return say("221 bye").await;
            } else {
                say("250 ok").await?;
            }
        }
        None
    }
}
