//! Requests to the HTTP interface: JSON out, JSON in, over one connection that is kept and made anew when it breaks.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::problem::{retry_after, told};
use super::socket::CONNECT_LIMIT;
use super::{Connector, Error, Tokens};

/// The time that an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer: a page of a list is far below it.
const MAX_ANSWER: usize = 16 << 20;

/// A client of one server.
pub struct Api {
    connector: Connector,
    tokens: Tokens,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Api {
    /// A client of this server, with these tokens. It connects with the first request.
    pub fn new(connector: Connector, tokens: Tokens) -> Self {
        Self { connector, tokens, sender: None }
    }

    /// Sends one request and returns the JSON of its answer. An answer without a status of 2xx is an error.
    pub async fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let asked = tokio::time::timeout(CONNECT_LIMIT + ANSWER_LIMIT, self.ask(method, path, body)).await;
        let answer = asked.unwrap_or(Err(Error::Timeout(CONNECT_LIMIT + ANSWER_LIMIT)));
        if answer.as_ref().is_err_and(Error::is_passing) {
            self.sender = None;
        }
        answer
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let request = self.request(method, path, body)?;
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        sender.ready().await.map_err(lost_connection)?;
        let response = sender.send_request(request).await.map_err(lost_connection)?;
        let status = response.status().as_u16();
        let pause = retry_after(response.headers());
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Error::Lost(error.to_string()))?.to_bytes();
        // Read to its end, the answer leaves the connection for the next request.
        self.sender = Some(sender);
        if (200..300).contains(&status) {
            return Ok(serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null));
        }
        Err(Error::of_status(status, told(&body), pause))
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, Error> {
        let text = body.map(Value::to_string);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.connector.endpoint().authority())
            .header(USER_AGENT, concat!("rowcast/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = self.tokens.get() {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| Error::BadToken)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if text.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let malformed = |_| Error::NotWebSocket("the request cannot be written");
        request.body(Full::new(Bytes::from(text.unwrap_or_default()))).map_err(malformed)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let dialled = tokio::time::timeout(CONNECT_LIMIT, self.connector.dial()).await;
        let socket = dialled.map_err(|_| Error::Timeout(CONNECT_LIMIT))??;
        let (sender, carrier) = handshake(TokioIo::new(socket)).await.map_err(lost_connection)?;
        // The task ends with the sender, and whoever waits for an answer gets its error.
        tokio::spawn(async move { carrier.await.is_ok() });
        Ok(sender)
    }
}

/// The error for a lost connection. hyper's own sentence says little, so its source is told.
fn lost_connection(error: hyper::Error) -> Error {
    let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    Error::Lost(why)
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("connector", &self.connector).finish_non_exhaustive()
    }
}
