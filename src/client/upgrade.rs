//! The HTTP exchange that a WebSocket begins with.
//!
//! hyper makes it and not tungstenite, for three reasons. Tungstenite logs the whole head, with the token, at level `trace`; it does
//! not read the body of a refusal, where the reason stands; and it has no limit on the head.

use std::io;
use std::time::Duration;

use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::endpoint::{Endpoint, Selection, Start};
use super::problem::{retry_after, told};
use super::socket::Socket;
use super::{Error, Told};
use crate::config::Secret;

/// The longest head of an answer, and the most header fields in it.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// The longest body of a refusal that is read.
const MAX_BODY: usize = 16 << 10;
/// The time that the body of a refusal may take once its head is there.
const BODY_LIMIT: Duration = Duration::from_secs(1);

/// A socket after the upgrade, and the bytes that came right behind the answer.
pub(super) type Upgraded = (Box<dyn Socket>, Vec<u8>);

/// The request for an upgrade, and the key that its answer must prove.
pub(super) struct UpgradeRequest {
    request: Request<Empty<Bytes>>,
    key: String,
}

impl UpgradeRequest {
    /// Asks for this part of the stream. The token goes into a header, never into the line of the request.
    pub(super) fn new(
        endpoint: &Endpoint,
        start: &Start,
        selection: &Selection,
        token: Option<&Secret>,
    ) -> Result<Self, Error> {
        let key = generate_key();
        let mut request = Request::get(endpoint.target(start, selection))
            .header(HOST, endpoint.authority())
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key)
            .header(USER_AGENT, concat!("rowcast/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        let request = request.body(Empty::new()).map_err(|_| Error::NotWebSocket("the request cannot be written"))?;
        Ok(Self { request, key })
    }

    /// Sends the request over a socket and reads the answer: an upgrade, or a refusal with its reason.
    pub(super) async fn send(self, socket: Box<dyn Socket>) -> Result<Upgraded, Error> {
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS).max_header_size(MAX_HEAD);
        let (mut sender, connection) = builder.handshake(TokioIo::new(socket)).await.map_err(exchange_error)?;
        let Self { request, key } = self;
        let answer = Box::pin(async move {
            let response = sender.send_request(request).await.map_err(exchange_error)?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(refusal(response).await);
            }
            check_upgrade(&response, &key)?;
            let parts =
                hyper::upgrade::on(response).await.map_err(exchange_error)?.downcast::<TokioIo<Box<dyn Socket>>>();
            let parts = parts.map_err(|_| Error::NotWebSocket("its socket is lost"))?;
            Ok((parts.io.into_inner(), parts.read_buf.to_vec()))
        });
        // The answer comes only while the connection is polled. The connection ends before the answer if it is upgraded or closed.
        match select(answer, connection.with_upgrades()).await {
            Either::Left((answer, _connection)) => answer,
            Either::Right((_ended, answer)) => answer.await,
        }
    }
}

/// The value of the header that a token goes into. A token with a line break would begin another header.
pub(super) fn bearer(token: &Secret) -> Result<HeaderValue, Error> {
    let token = token.expose();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::BadToken);
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn check_upgrade(response: &Response<Incoming>, key: &str) -> Result<(), Error> {
    let header = |name| response.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    if !header(UPGRADE).eq_ignore_ascii_case(b"websocket") {
        return Err(Error::NotWebSocket("it upgraded to something else"));
    }
    if header(SEC_WEBSOCKET_ACCEPT) != derive_accept_key(key.as_bytes()).as_bytes() {
        return Err(Error::NotWebSocket("its accept key is not of this request"));
    }
    Ok(())
}

/// The error that a refusal means. The status alone says enough if the body does not come.
pub(super) async fn refusal(response: Response<Incoming>) -> Error {
    let (status, pause) = (response.status().as_u16(), retry_after(response.headers()));
    let body = tokio::time::timeout(BODY_LIMIT, Limited::new(response.into_body(), MAX_BODY).collect()).await;
    let told = body.ok().and_then(Result::ok).map_or_else(Told::default, |body| told(&body.to_bytes()));
    Error::of_status(status, told, pause)
}

/// The error that a failure of the exchange means.
fn exchange_error(error: hyper::Error) -> Error {
    if error.is_parse_too_large() {
        return Error::NotWebSocket("the head of its answer is too long");
    }
    if error.is_parse() {
        return Error::NotWebSocket("it does not speak HTTP");
    }
    if error.is_incomplete_message() {
        return Error::Connect(io::ErrorKind::UnexpectedEof.into());
    }
    // hyper's own sentence says little; its source says more.
    let source = std::error::Error::source(&error);
    let kind =
        source.and_then(|source| source.downcast_ref::<io::Error>()).map_or(io::ErrorKind::Other, io::Error::kind);
    Error::Connect(io::Error::new(kind, source.map_or_else(|| error.to_string(), ToString::to_string)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn request(token: &str) -> Result<UpgradeRequest, Error> {
        let endpoint = "https://rowcast.example".parse().unwrap();
        UpgradeRequest::new(&endpoint, &Start::Last(3), &Selection::default(), Some(&Secret::new(token)))
    }

    /// The result of an upgrade whose request is answered so, on a connection that then ends or stays open.
    async fn answered(answer: &str, ends: bool) -> Result<Upgraded, Error> {
        let request = request("t").unwrap();
        let answer = answer.replace("{accept}", &derive_accept_key(request.key.as_bytes()));
        let (client, mut server) = tokio::io::duplex(1 << 16);
        let serve = async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(server.read_buf(&mut head).await.unwrap() > 0);
            }
            server.write_all(answer.as_bytes()).await.unwrap();
            (!ends).then_some(server)
        };
        let (_server, result) = tokio::join!(serve, request.send(Box::new(client)));
        result
    }

    #[test]
    fn the_token_stands_in_a_header_and_nowhere_else() {
        let request = request("a.b-c_d").unwrap().request;
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!((request.uri().to_string().as_str(), header(HOST)), ("/ws?last=3", Some("rowcast.example")));
        assert_eq!(header(AUTHORIZATION), Some("Bearer a.b-c_d"));
        assert!(!format!("{request:?}").contains("a.b-c_d"));
        for token in ["", "a b", "a\r\nx: y", "ü"] {
            assert!(matches!(self::request(token), Err(Error::BadToken)), "{token:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_an_upgrade_or_a_refusal_with_its_reason() {
        let upgrade = "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: ";
        let (_socket, rest) = answered(&format!("{upgrade}{{accept}}\r\n\r\nrest"), false).await.unwrap();
        assert_eq!(rest, b"rest");
        for (answer, expected) in [
            (format!("{upgrade}x\r\n\r\n"), "this is no WebSocket server: its accept key is not of this request"),
            ("HTTP/1.1 101 X\r\n\r\n".to_owned(), "this is no WebSocket server: it upgraded to something else"),
            ("SSH-2.0-x\r\n".to_owned(), "this is no WebSocket server: it does not speak HTTP"),
            (
                format!("HTTP/1.1 200 X\r\nx: {}", "y".repeat(MAX_HEAD)),
                "this is no WebSocket server: the head of its answer is too long",
            ),
            (
                format!("HTTP/1.1 200 X\r\n{}\r\n", "x: y\r\n".repeat(MAX_HEADERS + 1)),
                "this is no WebSocket server: the head of its answer is too long",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned(), "refused with status 200 (no reason given)"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi".to_owned(), "refused with status 200 (no reason given)"),
            (
                format!("HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n{{\"code\":\"c\"}}{}", " ".repeat(20_000)),
                "refused with status 200 (no reason given)",
            ),
            (
                "HTTP/1.1 401 X\r\ncontent-length: 42\r\n\r\n{\"code\":\"unauthorized\",\"detail\":\"No.  \"  }"
                    .to_owned(),
                "not authorized (unauthorized: No.  )",
            ),
            (
                "HTTP/1.1 410 X\r\ncontent-length: 12\r\n\r\n{\"oldest\":7}".to_owned(),
                "the cursor has expired: the oldest event that is kept is seq 7",
            ),
        ] {
            assert_eq!(answered(&answer, false).await.err().unwrap().to_string(), expected);
        }
        let limited = answered("HTTP/1.1 429 X\r\nRetry-After: 7\r\n\r\n", false).await.err().unwrap();
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_its_answer_may_be_tried_again() {
        for answer in ["", "HTTP/1.1 101 X\r\nUpgr"] {
            let error = answered(answer, true).await.err().unwrap();
            assert!(matches!(&error, Error::Connect(why) if why.kind() == io::ErrorKind::UnexpectedEof), "{error}");
        }
    }
}
