//! How the service and its reader processes talk: frames on the standard input and output of the process.
//!
//! A frame is the length of its head (`u32`), the length of its body (`u64`), both little-endian, the head as JSON, and the
//! body. What comes from a reader is held against bounds and closed lists: it has handled a stranger's file.

use std::io::{self, Read, Write};

use filot_cards::decide::Decision;
use filot_cards::kind::DeclaredType;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::card_reader::Blame;

/// Longest head in bytes: settings, or what a reading came to.
const MAX_HEAD: u32 = 256 << 10;
/// Longest body of an answer in bytes: result and text of a page full of print take a hundredth of it.
const MAX_ANSWER: u64 = 32 << 20;
/// Bytes before head and body.
const PREFIX: usize = 12;

/// The first frame to a reader.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    /// What it needs of the settings, as a settings file: no secrets.
    pub(super) settings: String,
    /// Readings at a time.
    pub(super) threads: usize,
    /// Believe what the pixels of a test picture say.
    pub(super) scripted: bool,
}

/// A file to read. The body is the file, then the pixels of its picture if that was decoded before.
#[derive(Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) id: u64,
    pub(super) declared: DeclaredType,
    /// YYYY-MM-DD.
    pub(super) today: String,
    /// Bytes of the file.
    pub(super) file: usize,
    pub(super) photo: Option<PhotoHead>,
}

/// What a decoded picture is beside its pixels.
#[derive(Serialize, Deserialize)]
pub(super) struct PhotoHead {
    /// Columns and rows of the pixels.
    pub(super) size: (u32, u32),
    pub(super) reduction: f32,
    /// Of the full-size picture.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fine_step: f32,
    /// Microseconds that decoding took.
    pub(super) took_us: u64,
}

/// What a reader says.
#[derive(Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub(super) enum Answer {
    /// It can read.
    Ready {
        /// Name of the reader.
        name: String,
        /// What somebody should know.
        notes: Vec<String>,
        /// It was to read on a GPU and reads on the CPU.
        without_gpu: bool,
    },
    /// It cannot, and ends.
    Unable {
        reason: String,
    },
    /// The body is the result, then the text.
    Read {
        id: u64,
        decision: Decision,
        score: u8,
        /// Bytes of the result.
        result: usize,
        /// Readings so far in which the GPU failed and the CPU took over.
        fell_back: u64,
    },
    Failed {
        id: u64,
        code: String,
        blame: Blame,
        fell_back: u64,
    },
}

fn prefix(head: &[u8], body: u64) -> io::Result<[u8; PREFIX]> {
    let length = u32::try_from(head.len()).ok().filter(|length| *length <= MAX_HEAD);
    let length = length.ok_or_else(|| invalid("a head that is too long"))?;
    let mut prefix = [0; PREFIX];
    prefix[..4].copy_from_slice(&length.to_le_bytes());
    prefix[4..].copy_from_slice(&body.to_le_bytes());
    Ok(prefix)
}

fn lengths(prefix: [u8; PREFIX]) -> io::Result<(usize, u64)> {
    let [a, b, c, d, body @ ..] = prefix;
    let head = u32::from_le_bytes([a, b, c, d]);
    if head > MAX_HEAD {
        return Err(invalid("a head that is too long"));
    }
    Ok((head as usize, u64::from_le_bytes(body)))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn total(body: &[&[u8]]) -> u64 {
    body.iter().map(|part| part.len() as u64).sum()
}

/// Writes a frame, from the service.
pub(super) async fn send(
    out: &mut (impl AsyncWrite + Unpin),
    head: &impl Serialize,
    body: &[&[u8]],
) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let mut first = prefix(&head, total(body))?.to_vec();
    first.extend_from_slice(&head);
    out.write_all(&first).await?;
    for part in body {
        out.write_all(part).await?;
    }
    out.flush().await
}

/// Reads an answer, in the service.
pub(super) async fn receive(input: &mut (impl AsyncRead + Unpin)) -> io::Result<(Answer, Vec<u8>)> {
    let mut prefix = [0; PREFIX];
    input.read_exact(&mut prefix).await?;
    let (head, body) = lengths(prefix)?;
    if body > MAX_ANSWER {
        return Err(invalid("an answer that is too long"));
    }
    let mut head = vec![0; head];
    input.read_exact(&mut head).await?;
    let answer = serde_json::from_slice(&head)?;
    let mut rest = Vec::new();
    input.take(body).read_to_end(&mut rest).await?;
    if rest.len() as u64 == body { Ok((answer, rest)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Writes a frame, from a reader.
pub(super) fn write(out: &mut impl Write, head: &impl Serialize, body: &[&[u8]]) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    out.write_all(&prefix(&head, total(body))?)?;
    out.write_all(&head)?;
    body.iter().try_for_each(|part| out.write_all(part))?;
    out.flush()
}

/// Reads the head of a frame, in a reader, and says how long the body is. `None` at the end of the input.
pub(super) fn read_head<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<(T, u64)>> {
    let mut prefix = [0; PREFIX];
    match input.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let (head, body) = lengths(prefix)?;
    let mut text = vec![0; head];
    input.read_exact(&mut text)?;
    Ok(Some((serde_json::from_slice(&text)?, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_one_side_writes_the_other_reads() {
        let mut sent = Vec::new();
        let start = Start { settings: "[reader]\n".into(), threads: 2, scripted: false };
        send(&mut sent, &start, &[b"ab", b"", b"c"]).await.unwrap();
        let mut input = &sent[..];
        let (got, body) = read_head::<Start>(&mut input).unwrap().unwrap();
        assert_eq!((got.settings, got.threads, body, input), (start.settings, 2, 3, &b"abc"[..]));
        assert!(read_head::<Start>(&mut &b""[..]).unwrap().is_none());

        let mut written = Vec::new();
        let answer = Answer::Failed { id: 7, code: "file_corrupt".into(), blame: Blame::File, fell_back: 0 };
        write(&mut written, &answer, &[]).unwrap();
        let (Answer::Failed { id, code, .. }, rest) = receive(&mut &written[..]).await.unwrap() else {
            panic!("another answer")
        };
        assert_eq!((id, code.as_str(), rest.len()), (7, "file_corrupt", 0));
    }

    #[tokio::test]
    async fn nonsense_and_excess_are_refused_without_being_kept() {
        for nonsense in [
            &b"Segmentation fault (core dumped)"[..],
            &[0xff; 64],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'],
            &[2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, b'{', b'}'],
            &[9, 0, 0, 0],
        ] {
            assert!(receive(&mut &nonsense[..]).await.is_err());
        }
    }
}
