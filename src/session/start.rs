//! Finds the point where a reader begins: after a cursor that belongs to this history, before the oldest event, after the newest, or
//! a number of matching events before the newest.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::announcer::Announcer;
use super::refused::Refused;
use super::search::{Found, Search, Window};
use super::start_point::{StartPoint, cursor_for};
use crate::db::{DatabaseError, Lane, Requester, Strangers};
use crate::journal::{self, Cursor, EventHeader, Filter, read_from};
use crate::tail::pages::Position;

/// The most events that `last` goes back.
pub const MAX_LAST: u32 = 10_000;
/// The most events that a request over HTTP answers with.
const EVENTS_A_REQUEST: u32 = 1000;
/// How long a reader waits while its node does not know its head yet, or has just found another history.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// Where a client asks to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After this event.
    After(Cursor),
    /// Before the oldest event that is kept.
    Earliest,
    /// After the newest event.
    Latest,
    /// With the newest so many that match.
    Last(u32),
}

/// The request does not say where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStart {
    /// The text is not a cursor.
    #[error("cursor must be a seq like 1042, a seq with its tag like 1042.9f3a11c2, earliest or latest")]
    Cursor,
    /// The text is not a number of events.
    #[error("last must be a whole number from 0 to {MAX_LAST}")]
    Last,
    /// The request says both.
    #[error("cursor and last exclude each other")]
    Both,
}

impl Start {
    /// How many requests this start counts as. `last` counts as the pages that the same events take over HTTP.
    pub fn pages(self) -> u32 {
        match self {
            Self::Last(n) => n.div_ceil(EVENTS_A_REQUEST).max(1),
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
    /// Finds the point where a reader begins. The statements count against this requester's share. If the history ends in the
    /// meantime, the result is void, a refusal too, and the search begins anew.
    pub async fn start_point(
        &self,
        requester: &Requester,
        start: Start,
        filter: &Filter,
    ) -> Result<StartPoint, Refused> {
        let mut position = self.known_position().await?;
        loop {
            let found = self.start_point_in(&position, requester, start, filter).await;
            if self.pages().position().epoch == position.epoch {
                return found;
            }
            position = self.position_where(|now| now.known && now.epoch != position.epoch).await?;
        }
    }

    async fn start_point_in(
        &self,
        position: &Position,
        requester: &Requester,
        start: Start,
        filter: &Filter,
    ) -> Result<StartPoint, Refused> {
        let epoch = position.epoch;
        let before_all = if position.trimmed > 0 { Cursor::bare(position.trimmed) } else { Cursor::START };
        match start {
            Start::Latest | Start::Last(0) => Ok(self.end(position, filter)),
            Start::Earliest => Ok(StartPoint { at: position.trimmed, cursor: before_all, epoch }),
            Start::Last(n) => self.last(n, requester, filter, position).await,
            Start::After(cursor) if cursor.seq < position.trimmed => {
                Err(Refused::Expired { oldest: self.oldest().await? })
            }
            Start::After(Cursor { seq: 0, tag: Some(_) }) => Err(Refused::Invalid),
            Start::After(cursor) if cursor.seq == position.trimmed => {
                Ok(StartPoint { at: cursor.seq, cursor: Cursor::bare(cursor.seq), epoch })
            }
            Start::After(cursor) if cursor.seq > position.head => self.ahead(cursor, epoch, filter).await,
            Start::After(cursor) => self.after(cursor, position, filter).await,
        }
    }

    /// The position of the stream, as soon as this node knows it.
    pub async fn known_position(&self) -> Result<Position, Refused> {
        self.position_where(|position| position.known).await
    }

    /// The current or next announced position for which this holds.
    async fn position_where(&self, holds: impl FnMut(&Position) -> bool) -> Result<Position, Refused> {
        let mut position = self.subscribe();
        match tokio::time::timeout(HEAD_LIMIT, position.wait_for(holds)).await {
            Ok(Ok(position)) => Ok(position.clone()),
            _ => Err(Refused::Unavailable("this node does not follow the journal yet".to_owned())),
        }
    }

    /// The end of what is decided. Where retention took all of it, the cursor is that of the trim, since an older one would have
    /// expired.
    fn end(&self, position: &Position, filter: &Filter) -> StartPoint {
        let Position { head, trimmed, epoch, .. } = *position;
        let cursor = match &position.newest {
            Some(newest) if newest.seq >= trimmed => cursor_for(self.pages(), filter.owners(), newest),
            _ => Cursor::bare(trimmed),
        };
        StartPoint { at: head.max(trimmed), cursor, epoch }
    }

    /// Checks a cursor within what is decided, by the page that holds its event: clients do not each ask the database.
    async fn after(&self, cursor: Cursor, position: &Position, filter: &Filter) -> Result<StartPoint, Refused> {
        let page = self.pages().page_after(cursor.seq - 1).await?;
        let epoch = page.epoch();
        let event = page.events().find(|event| event.seq >= cursor.seq).filter(|event| event.seq == cursor.seq);
        let proven = match event {
            Some(event) if cursor.agrees_with(event.id) => cursor_for(self.pages(), filter.owners(), &event.header()),
            // The event is gone, so its tag cannot be checked. `ReadState` finds out whether events after it are gone too.
            _ if self.pages().position().trimmed >= cursor.seq => Cursor::bare(cursor.seq),
            _ if cursor.tag.is_some() => return Err(Refused::Invalid),
            _ => self.before(cursor.seq, position, filter).await,
        };
        Ok(StartPoint { at: cursor.seq, cursor: proven, epoch })
    }

    /// The cursor of the newest event before a seq that has no event; the bare seq where the database cannot be asked.
    async fn before(&self, seq: i64, position: &Position, filter: &Filter) -> Cursor {
        self.tagged(seq, position.trimmed, filter).await.unwrap_or(Cursor::bare(seq))
    }

    /// Checks a cursor beyond this node's head, which another node may have handed out.
    async fn ahead(&self, cursor: Cursor, epoch: u64, filter: &Filter) -> Result<StartPoint, Refused> {
        let (followed, mut strangers) = (self.pages().journal().known()?, Strangers::default());
        let found = loop {
            let look = async |client: &mut Client| {
                let client = &*client;
                read_from(client, &followed, 0, journal::beyond(client, cursor.seq)).await
            };
            let found = self.database().run_proven(Lane::Read, &Requester::SERVER, &mut strangers, look).await?;
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
        proven.map(|cursor| StartPoint { at: cursor.seq, cursor, epoch }).ok_or(Refused::Invalid)
    }

    async fn last(
        &self,
        n: u32,
        requester: &Requester,
        filter: &Filter,
        position: &Position,
    ) -> Result<StartPoint, Refused> {
        let (requester, wanted) = (requester.clone(), Arc::new(filter.clone()));
        let search = Search { requester, filter: wanted, window: Window::default() };
        let Some(Found { before, gone }) = search.back(self, n, position).await? else {
            return Ok(self.end(position, filter));
        };
        let at = before.max(gone);
        let cursor = if before < gone { Cursor::bare(gone) } else { self.tagged(at, gone, filter).await? };
        Ok(StartPoint { at, cursor, epoch: position.epoch })
    }

    /// The cursor of the newest event up to a seq, or of the trim where there is none.
    async fn tagged(&self, seq: i64, trimmed: i64, filter: &Filter) -> Result<Cursor, Refused> {
        let (followed, mut strangers) = (self.pages().journal().known()?, Strangers::default());
        loop {
            let look = async |client: &mut Client| {
                let client = &*client;
                read_from(client, &followed, seq, journal::newest(client, trimmed, seq)).await
            };
            let newest = self.database().run_proven(Lane::Read, &Requester::SERVER, &mut strangers, look).await?;
            if let Some(newest) = newest.transpose().map_err(DatabaseError::from)? {
                let cursor = |event: EventHeader<'_>| cursor_for(self.pages(), filter.owners(), &event);
                return Ok(newest.map_or(Cursor::bare(trimmed), cursor));
            }
        }
    }
}
