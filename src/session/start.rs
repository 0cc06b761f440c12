//! Finds the point where a reader begins: after a cursor that belongs to this history, before the oldest event, after the newest, or
//! a number of matching events before the newest.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::announcer::Announcer;
use super::read_error::ReadError;
use super::search::{NewestMatches, Search, SearchWindow};
use super::start_point::{StartPoint, cursor_for};
use crate::db::{DatabaseError, Lane, MisroutedConnections, Requester};
use crate::journal::{self, Cursor, EventHeader, Filter, Owners, read_from};
use crate::tail::pages::Position;
use crate::view::PUBLIC;

/// The most events that `last` goes back.
pub const MAX_LAST: u32 = 10_000;
/// The most events that a request over HTTP answers with.
const EVENTS_PER_REQUEST: u32 = 1000;
/// How long a reader waits while its node does not know its head yet, or has just found another history.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How often a reader of the public view looks whether a node that has just started knows the public taxonomy.
const TAXONOMY_CHECK: Duration = Duration::from_millis(20);

/// The point at which a client asks to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After this event.
    After(Cursor),
    /// Before the oldest event that is kept.
    Earliest,
    /// After the newest event.
    Latest,
    /// Before the newest events that match, this many of them.
    Last(u32),
}

/// A request that does not say where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStart {
    /// The text is not a cursor.
    #[error("cursor must be a seq like 1042, a seq with its tag like 1042.9f3a11c2, earliest or latest")]
    Cursor,
    /// The text is not a number of events.
    #[error("last must be a whole number from 0 to {MAX_LAST}")]
    Last,
    /// The request gives both parameters.
    #[error("cursor and last exclude each other")]
    Both,
}

impl Start {
    /// The number of requests that this start counts as. `last` counts as the pages that the same events take over HTTP.
    pub fn request_cost(self) -> u32 {
        match self {
            Self::Last(n) => n.div_ceil(EVENTS_PER_REQUEST).max(1),
            Self::After(_) | Self::Earliest | Self::Latest => 1,
        }
    }

    /// Reads the parameters `cursor` and `last`. Without either the reader begins after the newest event.
    pub fn parse(cursor: Option<&str>, last: Option<&str>) -> Result<Self, BadStart> {
        match (cursor, last) {
            (Some(_), Some(_)) => Err(BadStart::Both),
            (None, None) | (Some("latest"), None) => Ok(Self::Latest),
            (Some("earliest"), None) => Ok(Self::Earliest),
            (Some(cursor), None) => Cursor::from_str(cursor).map(Self::After).map_err(|_| BadStart::Cursor),
            (None, Some(last)) => {
                let digits = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
                let number = last.parse().ok().filter(|n| digits && *n <= MAX_LAST);
                number.map(Self::Last).ok_or(BadStart::Last)
            }
        }
    }
}

impl Announcer {
    /// Finds the point where a reader begins. The statements count against this requester's share of the database. If the history
    /// ends in the meantime, the result is dropped, even an error, and the point is looked for again.
    pub async fn start_point(
        &self,
        requester: &Requester,
        start: Start,
        filter: &Filter,
    ) -> Result<StartPoint, ReadError> {
        if *filter.owners() == Owners::Nobody {
            self.public_view_is_known().await?;
        }
        let mut position = self.known_position().await?;
        loop {
            let found = self.start_point_in(&position, requester, start, filter).await;
            if self.pages().position().epoch == position.epoch {
                return found;
            }
            position = self.position_where(|now| now.known && now.epoch != position.epoch).await?;
        }
    }

    /// Waits until this node has read the public taxonomy, which takes some milliseconds after its start. A reader that began earlier
    /// would pass over public events without seeing them.
    async fn public_view_is_known(&self) -> Result<(), ReadError> {
        let known = async {
            while !self.pages().renderer().is_known(PUBLIC) {
                tokio::time::sleep(TAXONOMY_CHECK).await;
            }
        };
        let away = |_| ReadError::Unavailable("this node has not read the public taxonomy yet".to_owned());
        tokio::time::timeout(HEAD_LIMIT, known).await.map_err(away)
    }

    /// Finds the point where a reader begins, in the history of this position.
    async fn start_point_in(
        &self,
        position: &Position,
        requester: &Requester,
        start: Start,
        filter: &Filter,
    ) -> Result<StartPoint, ReadError> {
        let epoch = position.epoch;
        let earliest = if position.trimmed > 0 { Cursor::bare(position.trimmed) } else { Cursor::START };
        match start {
            Start::Latest | Start::Last(0) => Ok(self.latest(position, filter)),
            Start::Earliest => Ok(StartPoint { after: position.trimmed, cursor: earliest, epoch }),
            Start::Last(n) => self.start_at_last(n, requester, filter, position).await,
            Start::After(cursor) if cursor.seq < position.trimmed => {
                Err(ReadError::CursorExpired { oldest: self.oldest().await? })
            }
            Start::After(Cursor { seq: 0, tag: Some(_) }) => Err(ReadError::CursorInvalid),
            Start::After(cursor) if cursor.seq == position.trimmed => {
                Ok(StartPoint { after: cursor.seq, cursor: Cursor::bare(cursor.seq), epoch })
            }
            Start::After(cursor) if cursor.seq > position.head => self.start_ahead_of_head(cursor, epoch, filter).await,
            Start::After(cursor) => self.start_after(cursor, position, filter).await,
        }
    }

    /// The position of the stream, as soon as this node knows it.
    pub async fn known_position(&self) -> Result<Position, ReadError> {
        self.position_where(|position| position.known).await
    }

    /// Waits for an announced position for which this holds; the current one may do.
    async fn position_where(&self, holds: impl FnMut(&Position) -> bool) -> Result<Position, ReadError> {
        let mut position = self.subscribe();
        match tokio::time::timeout(HEAD_LIMIT, position.wait_for(holds)).await {
            Ok(Ok(position)) => Ok(position.clone()),
            _ => Err(ReadError::Unavailable("this node does not follow the journal yet".to_owned())),
        }
    }

    /// The start point at the head. If retention took everything up to the head, the cursor is the newest trimmed seq, since an older
    /// cursor would have expired.
    fn latest(&self, position: &Position, filter: &Filter) -> StartPoint {
        let Position { head, trimmed, epoch, .. } = *position;
        let cursor = match &position.newest {
            Some(newest) if newest.seq >= trimmed => cursor_for(self.pages(), filter.owners(), newest),
            _ => Cursor::bare(trimmed),
        };
        StartPoint { after: head.max(trimmed), cursor, epoch }
    }

    /// Checks a cursor up to the head. The page that holds its event decides, so that many clients cost one query.
    async fn start_after(&self, cursor: Cursor, position: &Position, filter: &Filter) -> Result<StartPoint, ReadError> {
        let page = self.pages().page_after(cursor.seq - 1).await?;
        let epoch = page.epoch();
        let event = page.events().find(|event| event.seq >= cursor.seq).filter(|event| event.seq == cursor.seq);
        let proven = match event {
            Some(event) if cursor.agrees_with(event.id) => cursor_for(self.pages(), filter.owners(), &event.header()),
            // The event is gone, so its tag cannot be checked. `ReadState` finds out whether events after it are gone too.
            _ if self.pages().position().trimmed >= cursor.seq => Cursor::bare(cursor.seq),
            _ if cursor.tag.is_some() => return Err(ReadError::CursorInvalid),
            _ => self.cursor_before(cursor.seq, position, filter).await,
        };
        Ok(StartPoint { after: cursor.seq, cursor: proven, epoch })
    }

    /// The cursor of the newest event before a seq that has no event; the bare seq where the database cannot be asked.
    async fn cursor_before(&self, seq: i64, position: &Position, filter: &Filter) -> Cursor {
        self.newest_cursor(seq, position.trimmed, filter).await.unwrap_or(Cursor::bare(seq))
    }

    /// Checks a cursor beyond the head of this node, which another node may have handed out.
    async fn start_ahead_of_head(&self, cursor: Cursor, epoch: u64, filter: &Filter) -> Result<StartPoint, ReadError> {
        let (followed, mut misrouted) = (self.pages().journal().known()?, MisroutedConnections::default());
        let found = loop {
            let look = async |client: &mut Client| {
                let client = &*client;
                read_from(client, &followed, 0, journal::beyond_head(client, cursor.seq)).await
            };
            let found = self.database().run_proven(Lane::Read, &Requester::SERVER, &mut misrouted, look).await?;
            if let Some(found) = found.transpose().map_err(DatabaseError::from)? {
                break found;
            }
        };
        let proven = match (cursor.tag, found.event) {
            (None, _) => (cursor.seq <= found.drawn).then_some(cursor),
            (Some(_), event) => event
                .filter(|event| cursor.agrees_with(event.id))
                .map(|event| cursor_for(self.pages(), filter.owners(), &event)),
        };
        proven.map(|cursor| StartPoint { after: cursor.seq, cursor, epoch }).ok_or(ReadError::CursorInvalid)
    }

    /// The start point before the newest `n` matching events.
    async fn start_at_last(
        &self,
        n: u32,
        requester: &Requester,
        filter: &Filter,
        position: &Position,
    ) -> Result<StartPoint, ReadError> {
        let search_filter = Arc::new(filter.clone());
        let search = Search { requester: requester.clone(), filter: search_filter, window: SearchWindow::default() };
        let Some(NewestMatches { after, trimmed }) = search.backward(self, n, position).await? else {
            return Ok(self.latest(position, filter));
        };
        let cursor =
            if after < trimmed { Cursor::bare(trimmed) } else { self.newest_cursor(after, trimmed, filter).await? };
        Ok(StartPoint { after: after.max(trimmed), cursor, epoch: position.epoch })
    }

    /// The cursor of the newest event up to a seq; the bare trimmed seq if there is no such event.
    async fn newest_cursor(&self, seq: i64, trimmed: i64, filter: &Filter) -> Result<Cursor, ReadError> {
        let (followed, mut misrouted) = (self.pages().journal().known()?, MisroutedConnections::default());
        loop {
            let look = async |client: &mut Client| {
                let client = &*client;
                read_from(client, &followed, seq, journal::newest(client, trimmed, seq)).await
            };
            let newest = self.database().run_proven(Lane::Read, &Requester::SERVER, &mut misrouted, look).await?;
            if let Some(newest) = newest.transpose().map_err(DatabaseError::from)? {
                let cursor = |event: EventHeader<'_>| cursor_for(self.pages(), filter.owners(), &event);
                return Ok(newest.map_or(Cursor::bare(trimmed), cursor));
            }
        }
    }
}
