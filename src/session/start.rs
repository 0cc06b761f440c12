//! Where a reader begins: at a cursor that this history holds, or at one of the two ends, or a few events back.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::live::Live;
use super::search::{Found, Search, Window};
use crate::db::{Lane, Requester, Strangers, Trouble};
use crate::journal::{self, Cursor, EventHeader, Filter, Owners, read_from};
use crate::tail::pages::{PageError, Pages, Position};
use crate::view::Views;

/// The most events that `last` goes back.
pub const MAX_LAST: u32 = 10_000;
/// The most events that a request over HTTP answers with.
const EVENTS_A_REQUEST: u32 = 1000;
/// How long a reader waits for a node that does not know its head yet, or has just found another history.
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

/// A text that is no beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStart {
    /// Not a cursor.
    #[error("cursor must be a seq like 1042, a seq with its tag like 1042.9f3a11c2, earliest or latest")]
    Cursor,
    /// Not a number of events.
    #[error("last must be a whole number from 0 to {MAX_LAST}")]
    Last,
    /// Two beginnings.
    #[error("cursor and last exclude each other")]
    Both,
}

impl Start {
    /// As how many requests it counts: a beginning far back stands for as many pages over HTTP.
    pub fn pages(self) -> u32 {
        match self {
            Self::Last(n) => n.div_ceil(EVENTS_A_REQUEST).max(1),
            Self::After(_) | Self::Earliest | Self::Latest => 1,
        }
    }

    /// From the two parameters that say it; none means the newest event.
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

/// A place that this history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Everything up to here is behind the reader.
    pub at: i64,
    /// The newest event at or below that.
    pub cursor: Cursor,
    /// The history.
    pub epoch: u64,
}

/// The cursor of an event as it is sent to a reader who may see the events of these owners. Of the id of an event that the reader
/// may not see it tells nothing. A filter that leaves an event out does not hide the event.
pub(super) fn cursor_for(pages: &Pages<Views>, owners: &Owners, event: &EventHeader<'_>) -> Cursor {
    let public = *owners == Owners::Nobody;
    if owners.include(event.owner.as_deref()) && (!public || pages.renderer().public_shows(event)) {
        Cursor::of(event.seq, event.id)
    } else {
        Cursor::of_hidden(event.seq, event.id)
    }
}

/// Why a reader cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Events after the cursor were trimmed.
    #[error("events after this cursor were trimmed; the oldest that is kept is {oldest}")]
    Expired {
        /// The seq of the oldest event that is kept.
        oldest: i64,
    },
    /// Beyond everything, or of another history.
    #[error("the cursor is ahead of the stream or belongs to another history of it")]
    Invalid,
    /// The journal cannot be asked now.
    #[error("the journal cannot be read at this moment: {0}")]
    Unavailable(String),
    /// Too many wait for the database, or this requester waits too often.
    #[error("too many requests wait for the database")]
    Busy,
}

impl From<PageError> for Refused {
    fn from(error: PageError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Busy(_) => Self::Busy,
            trouble => Self::Unavailable(trouble.to_string()),
        }
    }
}

impl Live {
    /// Finds the place of a beginning. If the history becomes another meanwhile, whatever was found is void, a refusal too,
    /// and it is looked for anew.
    pub async fn place(&self, start: Start, filter: &Filter) -> Result<Place, Refused> {
        self.place_for(&Requester::SERVER, start, filter).await
    }

    /// Finds the place of a beginning, as [`Self::place`] does, on the share of a requester.
    pub async fn place_for(&self, requester: &Requester, start: Start, filter: &Filter) -> Result<Place, Refused> {
        let mut position = self.known().await?;
        loop {
            let found = self.place_in(&position, requester, start, filter).await;
            if self.pages().position().epoch == position.epoch {
                return found;
            }
            position = self.told(|now| now.known && now.epoch != position.epoch).await?;
        }
    }

    async fn place_in(
        &self,
        position: &Position,
        requester: &Requester,
        start: Start,
        filter: &Filter,
    ) -> Result<Place, Refused> {
        let epoch = position.epoch;
        let before_all = if position.trimmed > 0 { Cursor::bare(position.trimmed) } else { Cursor::START };
        match start {
            Start::Latest | Start::Last(0) => Ok(self.end(position, filter)),
            Start::Earliest => Ok(Place { at: position.trimmed, cursor: before_all, epoch }),
            Start::Last(n) => self.last(n, requester, filter, position).await,
            Start::After(cursor) if cursor.seq < position.trimmed => {
                Err(Refused::Expired { oldest: self.oldest().await? })
            }
            Start::After(Cursor { seq: 0, tag: Some(_) }) => Err(Refused::Invalid),
            Start::After(cursor) if cursor.seq == position.trimmed => {
                Ok(Place { at: cursor.seq, cursor: Cursor::bare(cursor.seq), epoch })
            }
            Start::After(cursor) if cursor.seq > position.head => self.ahead(cursor, epoch, filter).await,
            Start::After(cursor) => self.after(cursor, position, filter).await,
        }
    }

    /// Where the stream stands, as soon as this node knows.
    pub async fn known(&self) -> Result<Position, Refused> {
        self.told(|position| position.known).await
    }

    /// The first position to be announced, from now on, of which this holds.
    async fn told(&self, holds: impl FnMut(&Position) -> bool) -> Result<Position, Refused> {
        let mut position = self.subscribe();
        match tokio::time::timeout(HEAD_LIMIT, position.wait_for(holds)).await {
            Ok(Ok(position)) => Ok(position.clone()),
            _ => Err(Refused::Unavailable("this node does not follow the journal yet".to_owned())),
        }
    }

    /// Behind everything that is decided. Where all of it was trimmed the cursor is that of the trim: with an older one
    /// nobody could come back.
    fn end(&self, position: &Position, filter: &Filter) -> Place {
        let Position { head, trimmed, epoch, .. } = *position;
        let cursor = match &position.newest {
            Some(newest) if newest.seq >= trimmed => cursor_for(self.pages(), filter.owners(), newest),
            _ => Cursor::bare(trimmed),
        };
        Place { at: head.max(trimmed), cursor, epoch }
    }

    /// A cursor within what is decided. The page that holds it proves it: nobody asks the database for a cursor of his own.
    async fn after(&self, cursor: Cursor, position: &Position, filter: &Filter) -> Result<Place, Refused> {
        let page = self.pages().page_after(cursor.seq - 1).await?;
        let epoch = page.epoch();
        let event = page.events().find(|event| event.seq >= cursor.seq).filter(|event| event.seq == cursor.seq);
        let proven = match event {
            Some(event) if cursor.agrees_with(event.id) => cursor_for(self.pages(), filter.owners(), &event.header()),
            // A trimmed event's tag is not checked, and what comes after it is the state machine's to look at.
            _ if self.pages().position().trimmed >= cursor.seq => Cursor::bare(cursor.seq),
            _ if cursor.tag.is_some() => return Err(Refused::Invalid),
            _ => self.before(cursor.seq, position, filter).await,
        };
        Ok(Place { at: cursor.seq, cursor: proven, epoch })
    }

    /// The newest event before a seq that is none. If the database cannot be asked, the seq itself will do.
    async fn before(&self, seq: i64, position: &Position, filter: &Filter) -> Cursor {
        self.tagged(seq, position.trimmed, filter).await.unwrap_or(Cursor::bare(seq))
    }

    /// A cursor that another node may have handed out before this one decides it.
    async fn ahead(&self, cursor: Cursor, epoch: u64, filter: &Filter) -> Result<Place, Refused> {
        let (followed, mut strangers) = (self.pages().journal().known()?, Strangers::default());
        let found = loop {
            let look = async |client: &mut Client| {
                let client = &*client;
                read_from(client, &followed, 0, journal::beyond(client, cursor.seq)).await
            };
            let found = self.database().run_proven(Lane::Read, &Requester::SERVER, &mut strangers, look).await?;
            if let Some(found) = found.transpose().map_err(Trouble::from)? {
                break found;
            }
        };
        let proven = match (cursor.tag, found.event) {
            (None, _) => (cursor.seq <= found.drawn).then_some(cursor),
            (Some(_), event) => event
                .filter(|event| cursor.agrees_with(event.id))
                .map(|event| cursor_for(self.pages(), filter.owners(), &event)),
        };
        proven.map(|cursor| Place { at: cursor.seq, cursor, epoch }).ok_or(Refused::Invalid)
    }

    async fn last(
        &self,
        n: u32,
        requester: &Requester,
        filter: &Filter,
        position: &Position,
    ) -> Result<Place, Refused> {
        let (requester, wanted) = (requester.clone(), Arc::new(filter.clone()));
        let search = Search { requester, filter: wanted, window: Window::default() };
        let Some(Found { before, gone }) = search.back(self, n, position).await? else {
            return Ok(self.end(position, filter));
        };
        let at = before.max(gone);
        let cursor = if before < gone { Cursor::bare(gone) } else { self.tagged(at, gone, filter).await? };
        Ok(Place { at, cursor, epoch: position.epoch })
    }

    /// The newest event up to a seq and after what was trimmed; else the end of that.
    async fn tagged(&self, seq: i64, trimmed: i64, filter: &Filter) -> Result<Cursor, Refused> {
        let (followed, mut strangers) = (self.pages().journal().known()?, Strangers::default());
        loop {
            let look = async |client: &mut Client| {
                let client = &*client;
                read_from(client, &followed, seq, journal::newest(client, trimmed, seq)).await
            };
            let newest = self.database().run_proven(Lane::Read, &Requester::SERVER, &mut strangers, look).await?;
            if let Some(newest) = newest.transpose().map_err(Trouble::from)? {
                let cursor = |event: EventHeader<'_>| cursor_for(self.pages(), filter.owners(), &event);
                return Ok(newest.map_or(Cursor::bare(trimmed), cursor));
            }
        }
    }
}
