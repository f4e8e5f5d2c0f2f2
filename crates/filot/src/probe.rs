//! `filot health`: asks a running service how it is. The image has neither a shell nor curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longest answer that is read, in bytes; the status stands in front.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// What the service answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Asks `path` of the service that listens on `host:port`, within `patience`.
///
/// # Errors
/// When nobody answers in time, or what answers does not speak HTTP.
pub fn ask(host: &str, port: u16, path: &str, patience: Duration) -> io::Result<Answer> {
    let address = reachable(host, port)?;
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// The address to ask. Who listens on all addresses is asked on the loopback one.
fn reachable(host: &str, port: u16) -> io::Result<SocketAddr> {
    let address = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")))?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}

/// Status and body of an answer that ends with its connection.
fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with `text`.
    fn server(text: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(text.as_bytes());
        });
        port
    }

    #[test]
    fn status_and_body_are_read() {
        let port = server("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}");
        let answer = ask("0.0.0.0", port, "/ready", Duration::from_secs(2)).unwrap();
        assert_eq!(answer, Answer { status: 503, body: "{}".to_owned() });
    }

    #[test]
    fn what_is_not_http_or_not_there_is_an_error() {
        let patience = Duration::from_secs(2);
        assert!(ask("127.0.0.1", server("SSH-2.0\r\n\r\n"), "/health", patience).is_err());
        assert!(ask("127.0.0.1", server(""), "/health", patience).is_err());
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(ask("127.0.0.1", nobody, "/health", patience).is_err());
    }

    #[test]
    fn a_silent_server_costs_the_patience_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(ask("127.0.0.1", port, "/health", Duration::from_millis(50)).is_err());
    }
}
