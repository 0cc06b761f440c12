//! The HTTP exchange that a WebSocket begins with.
//!
//! Written here and not left to tungstenite for three reasons: that one writes the whole head, with the token, to the log
//! at level `trace`; it does not read the body of a refusal, where the reason stands; and it has no limit on the head.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::endpoint::{Endpoint, Selection, Start};
use super::{Error, Told};
use crate::config::Secret;

/// The longest head of an answer.
const MAX_HEAD: usize = 16 << 10;
/// The longest body of a refusal that is read.
const MAX_BODY: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How long the body of a refusal may take, when its head is there.
const BODY_LIMIT: Duration = Duration::from_secs(1);
/// A server may ask for a longer pause; nobody should have to believe it.
const MOST_RETRY_AFTER: u64 = 600;

/// The request.
pub(super) struct Head {
    text: Secret,
    key: String,
}

/// What an answer begins with.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    /// Where the body begins.
    length: usize,
    accept: Option<String>,
    upgrades: bool,
    content_length: usize,
    retry_after: Option<Duration>,
}

/// A problem document, as far as it is of use.
#[derive(Deserialize)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
    oldest: Option<i64>,
}

impl Head {
    /// Asks for this part of the stream. The token goes into a header, never into the line of the request.
    pub(super) fn new(
        endpoint: &Endpoint,
        start: &Start,
        selection: &Selection,
        token: Option<&Secret>,
    ) -> Result<Self, Error> {
        let key = generate_key();
        let authorization = match token.map(Secret::expose) {
            None => String::new(),
            Some(token) if !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) => {
                format!("authorization: Bearer {token}\r\n")
            }
            // A line break would begin another header.
            Some(_) => return Err(Error::BadToken),
        };
        let text = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: {key}\r\nuser-agent: rowcast/{}\r\n{authorization}\r\n",
            endpoint.target(start, selection),
            endpoint.authority(),
            env!("CARGO_PKG_VERSION"),
        );
        Ok(Self { text: Secret::new(text), key })
    }

    /// Sends it and reads the answer; what came after the answer is handed back.
    pub(super) async fn exchange(&self, socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Vec<u8>, Error> {
        socket.write_all(self.text.expose().as_bytes()).await.map_err(Error::Connect)?;
        socket.flush().await.map_err(Error::Connect)?;
        let mut bytes = Vec::with_capacity(1 << 10);
        let answer = loop {
            if let Some(answer) = parse(&bytes)? {
                break answer;
            }
            if bytes.len() > MAX_HEAD {
                return Err(Error::NotWebSocket("the head of its answer is too long"));
            }
            if socket.read_buf(&mut bytes).await.map_err(Error::Connect)? == 0 {
                return Err(Error::Connect(std::io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let mut rest = bytes.split_off(answer.length.min(bytes.len()));
        if answer.status == 101 {
            self.check(&answer)?;
            return Ok(rest);
        }
        // The status alone says enough if the body does not come.
        let _unread = tokio::time::timeout(BODY_LIMIT, body(socket, &mut rest, answer.content_length)).await;
        let told = serde_json::from_slice::<Problem>(&rest).map_or_else(
            |_| Told::default(),
            |problem| Told { code: problem.code, message: problem.detail, oldest: problem.oldest },
        );
        Err(Error::of_status(answer.status, told, answer.retry_after))
    }

    fn check(&self, answer: &Answer) -> Result<(), Error> {
        if !answer.upgrades {
            return Err(Error::NotWebSocket("it upgraded to something else"));
        }
        if answer.accept.as_deref() != Some(derive_accept_key(self.key.as_bytes()).as_str()) {
            return Err(Error::NotWebSocket("its accept key is not of this request"));
        }
        Ok(())
    }
}

async fn body(socket: &mut (impl AsyncRead + Unpin), rest: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
    while rest.len() < length.min(MAX_BODY) {
        if socket.read_buf(rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// The answer, once its head is whole.
fn parse(bytes: &[u8]) -> Result<Option<Answer>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Error::NotWebSocket("it does not speak HTTP")),
    };
    let mut answer = Answer { status: response.code.unwrap_or(0), length, ..Answer::default() };
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        match header.name.to_ascii_lowercase().as_str() {
            "upgrade" => answer.upgrades = value.eq_ignore_ascii_case("websocket"),
            "sec-websocket-accept" => answer.accept = Some(value.to_owned()),
            "content-length" => answer.content_length = value.parse().unwrap_or(0),
            "retry-after" => {
                let seconds = value.parse::<u64>().ok();
                answer.retry_after = seconds.map(|seconds| Duration::from_secs(seconds.min(MOST_RETRY_AFTER)));
            }
            _ => {}
        }
    }
    Ok(Some(answer))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    fn head(token: &str) -> Result<Head, Error> {
        let endpoint = "https://rowcast.example".parse().unwrap();
        Head::new(&endpoint, &Start::Last(3), &Selection::default(), Some(&Secret::new(token)))
    }

    #[test]
    fn the_token_stands_in_a_header_and_nowhere_else() {
        let head = head("a.b-c_d").unwrap();
        let text = head.text.expose();
        assert!(text.starts_with("GET /ws?last=3 HTTP/1.1\r\nhost: rowcast.example\r\n"), "{text}");
        assert!(text.ends_with("\r\nauthorization: Bearer a.b-c_d\r\n\r\n") && text.matches("a.b-c_d").count() == 1);
        for token in ["", "a b", "a\r\nx: y", "ü"] {
            assert!(matches!(self::head(token), Err(Error::BadToken)), "{token:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_an_upgrade_or_a_refusal_with_its_reason() {
        let head = head("t").unwrap();
        let upgrade = |accept: &str| {
            format!(
                "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\nrest"
            )
        };
        let (mut client, mut server) = tokio::io::duplex(1 << 16);
        server.write_all(upgrade(&derive_accept_key(head.key.as_bytes())).as_bytes()).await.unwrap();
        assert_eq!(head.exchange(&mut client).await.unwrap(), b"rest");
        for (answer, expected) in [
            (upgrade("x"), "this is no WebSocket server: its accept key is not of this request"),
            ("HTTP/1.1 101 X\r\n\r\n".to_owned(), "this is no WebSocket server: it upgraded to something else"),
            ("SSH-2.0-x\r\n".to_owned(), "this is no WebSocket server: it does not speak HTTP"),
            (
                format!("HTTP/1.1 200 X\r\nx: {}", "y".repeat(MAX_HEAD)),
                "this is no WebSocket server: the head of its answer is too long",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned(), "refused with status 200 (no reason given)"),
            (
                "HTTP/1.1 401 X\r\ncontent-length: 41\r\n\r\n{\"code\":\"unauthorized\",\"detail\":\"No.  \"  }"
                    .to_owned(),
                "not authorized (unauthorized: No.  )",
            ),
            (
                "HTTP/1.1 410 X\r\ncontent-length: 12\r\n\r\n{\"oldest\":7}".to_owned(),
                "the cursor has expired: the oldest event that is kept is seq 7",
            ),
        ] {
            let (mut client, mut server) = tokio::io::duplex(1 << 16);
            server.write_all(answer.as_bytes()).await.unwrap();
            assert_eq!(head.exchange(&mut client).await.unwrap_err().to_string(), expected);
        }
        let (mut client, mut server) = tokio::io::duplex(1 << 16);
        server.write_all(b"HTTP/1.1 429 X\r\nRetry-After: 7\r\n\r\n").await.unwrap();
        assert_eq!(head.exchange(&mut client).await.unwrap_err().retry_after(), Some(Duration::from_secs(7)));
    }
}
