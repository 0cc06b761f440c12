//! Live tables from the other side: a snapshot of the rows, then the stream from its cursor, and another snapshot when that cursor is of
//! no use any more.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::api::Api;
use super::backoff::Backoff;
use super::connector::Connector;
use super::endpoint::{Selection, Start};
use super::error::Error;
use super::fold::LiveTable;
use super::snapshot::{SnapshotAnswer, SnapshotLine, SnapshotRow};
use super::stream::{Item, Options, Stream, Tokens};
use crate::journal::Cursor;

/// An item of live tables.
#[derive(Debug)]
pub enum LiveItem {
    /// A snapshot begins, of these tables in the order in which they were asked for. What was read before counts no more.
    Begun(Vec<LiveTable>),
    /// A row of the snapshot.
    Row(SnapshotRow),
    /// The snapshot is complete. Events follow, from this cursor.
    Complete(Cursor),
    /// The stream of the events behind the snapshot. Types of other tables may be among them.
    Stream(Item),
    /// There is no snapshot at this moment, or it broke off; the next try comes by itself.
    Waiting {
        /// The reason.
        why: Error,
        /// The wait before the next try.
        retry_in: Duration,
    },
    /// The stream cannot go on from its cursor, for this reason. Another snapshot follows.
    Outdated(Error),
}

enum State {
    /// The next snapshot is asked for at this moment, or at once.
    Waiting(Option<Instant>),
    Asking(BoxFuture<'static, Result<(Vec<LiveTable>, SnapshotAnswer), Error>>),
    Reading(SnapshotAnswer),
    Following(Box<Stream>),
    /// A final error was returned.
    Ended,
}

/// Follows some published tables: their rows, and their events.
pub struct LiveTables {
    connector: Connector,
    tokens: Tokens,
    names: Vec<String>,
    /// The tables of the newest snapshot.
    tables: Vec<LiveTable>,
    /// True if it comes back after a loss; if not, a loss is an error.
    reconnect: bool,
    state: State,
    backoff: Backoff,
    cursor: Option<Cursor>,
}

impl LiveTables {
    /// Follows the tables of these names, as `GET /v1/tables` has them. It connects when it is first asked for something.
    pub fn new(connector: Connector, tokens: Tokens, names: Vec<String>, reconnect: bool) -> Self {
        let (state, backoff) = (State::Waiting(None), Backoff::default());
        Self { connector, tokens, names, tables: Vec::new(), reconnect, state, backoff, cursor: None }
    }

    /// The cursor up to which everything was returned; `None` before the first snapshot is complete.
    pub fn cursor(&self) -> Option<Cursor> {
        match &self.state {
            State::Following(stream) => stream.cursor().or(self.cursor),
            _ => self.cursor,
        }
    }

    /// The next item. An error is final. No item is lost if the future is dropped.
    pub async fn next(&mut self) -> Result<LiveItem, Error> {
        loop {
            match &mut self.state {
                State::Ended => return Err(Error::Ended),
                State::Waiting(until) => {
                    if let Some(until) = *until {
                        sleep_until(until).await;
                    }
                    let (connector, tokens, names) = (self.connector.clone(), self.tokens.clone(), self.names.clone());
                    self.state = State::Asking(Box::pin(ask(connector, tokens, names)));
                }
                State::Asking(answer) => match answer.await {
                    Ok((tables, answer)) => {
                        self.state = State::Reading(answer);
                        self.tables.clone_from(&tables);
                        return Ok(LiveItem::Begun(tables));
                    }
                    Err(error) => return self.wait(error),
                },
                State::Reading(answer) => match answer.next().await {
                    Ok(SnapshotLine::Row(row)) => return Ok(LiveItem::Row(row)),
                    Ok(SnapshotLine::Complete(cursor)) => {
                        self.follow(cursor);
                        return Ok(LiveItem::Complete(cursor));
                    }
                    Err(error) => return self.wait(error),
                },
                State::Following(stream) => match stream.next().await {
                    Ok(item) => {
                        if matches!(item, Item::Live(_)) {
                            self.backoff.reset();
                        }
                        return Ok(LiveItem::Stream(item));
                    }
                    Err(why @ (Error::CursorExpired { .. } | Error::CursorInvalid(_))) => {
                        self.cursor = stream.cursor().or(self.cursor);
                        // A pause, so that a server that refuses each new cursor is not asked without end.
                        self.state = State::Waiting(Some(Instant::now() + self.backoff.wait()));
                        return Ok(LiveItem::Outdated(why));
                    }
                    Err(error) => {
                        self.cursor = stream.cursor().or(self.cursor);
                        self.state = State::Ended;
                        return Err(error);
                    }
                },
            }
        }
    }

    /// Ends the session, if there is one, with a clean close.
    pub async fn close(self) {
        if let State::Following(stream) = self.state {
            stream.close().await;
        }
    }

    /// Follows the events of the tables from a cursor on.
    fn follow(&mut self, cursor: Cursor) {
        let mut types: Vec<String> = self.tables.iter().map(|table| format!("{}.*", table.prefix)).collect();
        types.sort_unstable();
        types.dedup();
        let selection = Selection { types: Some(types.join(",")), ..Selection::default() };
        let (start, tokens) = (Start::After(cursor), self.tokens.clone());
        let options = Options { start, selection, tokens, reconnect: self.reconnect };
        self.cursor = Some(cursor);
        self.state = State::Following(Box::new(Stream::new(self.connector.clone(), options)));
    }

    /// Waits before the next snapshot is asked for, if that may help.
    fn wait(&mut self, why: Error) -> Result<LiveItem, Error> {
        if !self.reconnect || !why.is_passing() {
            self.state = State::Ended;
            return Err(why);
        }
        let retry_in = self.backoff.wait() + why.retry_after().unwrap_or_default();
        self.state = State::Waiting(Some(Instant::now() + retry_in));
        Ok(LiveItem::Waiting { why, retry_in })
    }
}

/// Asks for a snapshot, and then what its tables are: so that a table that was published a moment ago is known.
async fn ask(
    connector: Connector,
    tokens: Tokens,
    names: Vec<String>,
) -> Result<(Vec<LiveTable>, SnapshotAnswer), Error> {
    let answer = SnapshotAnswer::open(&connector, tokens.get(), &names).await?;
    let mut described = Api::new(connector, tokens).send("GET", "/v1/tables", None).await?;
    let bad = |_| Error::BadFrame("GET /v1/tables does not tell what names the rows".to_owned());
    let described = described.get_mut("tables").map(Value::take).unwrap_or_default();
    let all: Vec<LiveTable> = serde_json::from_value(described).map_err(bad)?;
    let find = |name: &String| {
        let found = all.iter().find(|table| table.table == *name && table.key.is_some()).cloned();
        found.ok_or_else(|| Error::Lost(format!("{name} was published anew just now")))
    };
    let tables = names.iter().map(find).collect::<Result<_, _>>()?;
    Ok((tables, answer))
}

impl fmt::Debug for LiveTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTables").field("names", &self.names).finish_non_exhaustive()
    }
}
