//! A snapshot of live tables over HTTP, row by row: its memory does not grow with the tables.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::connector::Connector;
use super::error::Error;
use super::socket::CONNECT_LIMIT;
use super::upgrade::{bearer, refusal};
use crate::config::Secret;
use crate::journal::Cursor;

/// The time until the server begins to answer. It waits for the tables and for writers no longer than 20 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// The time until the next rows come. The server waits for its database no longer than 60 s.
const ROWS_LIMIT: Duration = Duration::from_secs(90);
/// The longest line: a payload of 256 KiB with all that may stand around it fits.
const MAX_LINE: usize = 1 << 20;

/// A row of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The index of its table in the request.
    pub table: usize,
    /// The subject of its events; none in the public view.
    pub subject: Option<String>,
    /// Its payload: JSON.
    pub payload: String,
    /// The line as the server sent it.
    pub json: String,
}

/// A line of the answer.
#[derive(Debug)]
pub(super) enum SnapshotLine {
    /// A row.
    Row(SnapshotRow),
    /// The end: the snapshot is complete, and its events go on after this cursor.
    Complete(Cursor),
}

/// An answer that is being read.
pub(super) struct SnapshotAnswer {
    tables: Vec<String>,
    body: Incoming,
    /// Bytes that were received, and the place up to which they were read.
    received: Vec<u8>,
    read: usize,
    /// The connection lives as long as its sender.
    _sender: SendRequest<Empty<Bytes>>,
}

/// The members of a line.
#[derive(Deserialize)]
struct LineMembers<'a> {
    table: Option<String>,
    subject: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    cursor: Option<String>,
}

impl SnapshotAnswer {
    /// Asks for the rows of these tables, and waits for the beginning of the answer.
    pub(super) async fn open(connector: &Connector, token: Option<Secret>, tables: &[String]) -> Result<Self, Error> {
        let mut request = Request::get(connector.endpoint().snapshot_target(tables))
            .header(HOST, connector.endpoint().authority())
            .header(USER_AGENT, concat!("rowcast/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/x-ndjson");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(&token)?);
        }
        let request = request.body(Empty::new()).map_err(|_| Error::BadFrame("the request".to_owned()))?;
        let dialled = tokio::time::timeout(CONNECT_LIMIT, connector.dial()).await;
        let socket = dialled.map_err(|_| Error::Timeout(CONNECT_LIMIT))??;
        let (mut sender, carrier) = handshake(TokioIo::new(socket)).await.map_err(lost)?;
        // The task ends with the sender, and whoever waits for an answer gets its error.
        tokio::spawn(async move { carrier.await.is_ok() });
        let answered = tokio::time::timeout(ANSWER_LIMIT, sender.send_request(request)).await;
        let response = answered.map_err(|_| Error::Timeout(ANSWER_LIMIT))?.map_err(lost)?;
        if response.status() != hyper::StatusCode::OK {
            return Err(refusal(response).await);
        }
        let (tables, body) = (tables.to_vec(), response.into_body());
        Ok(Self { tables, body, received: Vec::new(), read: 0, _sender: sender })
    }

    /// The next line. No line is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<SnapshotLine, Error> {
        loop {
            let unread = self.received.get(self.read..).unwrap_or_default();
            if let Some(length) = unread.iter().position(|byte| *byte == b'\n') {
                let line = parse(&self.tables, unread.get(..length).unwrap_or_default());
                self.read += length + 1;
                return line;
            }
            if unread.len() > MAX_LINE {
                return Err(Error::BadFrame(format!("a row of more than {MAX_LINE} bytes")));
            }
            self.received.drain(..self.read);
            self.read = 0;
            let frame = tokio::time::timeout(ROWS_LIMIT, self.body.frame()).await;
            match frame.map_err(|_| Error::Silent(ROWS_LIMIT))? {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.received.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(Error::Lost("the snapshot broke off before its end".to_owned())),
            }
        }
    }
}

fn parse(tables: &[String], line: &[u8]) -> Result<SnapshotLine, Error> {
    let bad = || Error::BadFrame("a line of a snapshot is neither a row nor its end".to_owned());
    let text = std::str::from_utf8(line).map_err(|_| bad())?;
    let members: LineMembers<'_> = serde_json::from_str(text).map_err(|_| bad())?;
    if let Some(cursor) = members.cursor {
        return cursor.parse().map(SnapshotLine::Complete).map_err(|_| bad());
    }
    let table = members.table.and_then(|name| tables.iter().position(|table| *table == name)).ok_or_else(bad)?;
    let payload = members.payload.ok_or_else(bad)?.get().to_owned();
    Ok(SnapshotLine::Row(SnapshotRow { table, subject: members.subject, payload, json: text.to_owned() }))
}

/// The error for a lost connection. hyper's own sentence says little, so its source is told.
fn lost(error: hyper::Error) -> Error {
    Error::Lost(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
}

impl fmt::Debug for SnapshotAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotAnswer").field("tables", &self.tables).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A snapshot that is answered with these chunks, after which the connection ends.
    async fn answered(chunks: &[&str]) -> SnapshotAnswer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(socket.read_buf(&mut head).await.unwrap() > 0);
            }
            let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        let connector = Connector::new(endpoint, None).unwrap();
        SnapshotAnswer::open(&connector, None, &["a.b".to_owned()]).await.unwrap()
    }

    #[tokio::test]
    async fn rows_are_whole_however_the_answer_is_cut_and_an_answer_without_its_end_may_be_tried_again() {
        let rows = [r#"{"table":"a.b","pay"#, "load\":{\"n\":1}}\n{\"table\":\"a.b\",\"payload\":{}}\n{\"cur"];
        let mut whole = answered(&[rows[0], rows[1], "sor\":\"7\"}\n"]).await;
        for payload in [r#"{"n":1}"#, "{}"] {
            let line = whole.next().await.unwrap();
            assert!(matches!(&line, SnapshotLine::Row(row) if row.payload == payload), "{line:?}");
        }
        assert!(matches!(whole.next().await, Ok(SnapshotLine::Complete(cursor)) if cursor.seq == 7));
        let mut broken = answered(&rows).await;
        assert!(broken.next().await.is_ok() && broken.next().await.is_ok());
        let error = broken.next().await.unwrap_err();
        assert!(matches!(error, Error::Lost(_)) && error.is_passing(), "{error}");
        let mut endless = answered(&["x".repeat(MAX_LINE + 1).as_str()]).await;
        assert!(matches!(endless.next().await, Err(Error::BadFrame(_))));
    }

    #[test]
    fn a_line_is_a_row_of_a_table_that_was_asked_for_or_the_end() {
        let tables = ["a.b".to_owned(), "c.d".to_owned()];
        let line = r#"{"table":"c.d","subject":"7","payload":{"n": 1.0}}"#;
        let row = SnapshotRow {
            table: 1,
            subject: Some("7".to_owned()),
            payload: r#"{"n": 1.0}"#.to_owned(),
            json: line.to_owned(),
        };
        assert!(matches!(parse(&tables, line.as_bytes()), Ok(SnapshotLine::Row(read)) if read == row));
        let end = parse(&tables, br#"{"cursor":"7.9f3a11c2"}"#).unwrap();
        assert!(matches!(end, SnapshotLine::Complete(cursor) if cursor.seq == 7));
        for wrong in ["", "[]", "{}", r#"{"cursor":"x"}"#, r#"{"table":"x.y","payload":{}}"#, r#"{"table":"a.b"}"#] {
            assert!(matches!(parse(&tables, wrong.as_bytes()), Err(Error::BadFrame(_))), "{wrong}");
        }
    }
}
