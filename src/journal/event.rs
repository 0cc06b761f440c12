//! One event as it stands in the table. It does not serialize: only what `view` has made of it can reach a client.

use std::borrow::Cow;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::Timestamp;

/// How much an event matters, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A detail for finding an error.
    Debug,
    /// A normal event.
    Info,
    /// An event that somebody should look at some time.
    Warn,
    /// An event that somebody should look at now.
    Error,
    /// An emergency.
    Critical,
}

impl Level {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical];

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// The level of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the order of the stream.
    pub seq: i64,
    /// Its identity, by which a cursor proves its history.
    pub id: Uuid,
    /// The time of the insert by the database's clock; a time that cannot be written in four digits of a year is moved to the
    /// nearest one that can.
    pub at: OffsetDateTime,
    /// Dotted lower-case words.
    pub kind: String,
    /// How much it matters.
    pub level: Level,
    /// Whether its writer allows it in public views.
    pub public_safe: bool,
    /// What it is about, for a trading system.
    pub symbol: Option<String>,
    /// Which trade it belongs to.
    pub trade_id: Option<Uuid>,
    /// What it is about: a row's key, a conversation.
    pub subject: Option<String>,
    /// The owner, who alone may see it beside admins. An event without one is for all who may read the journal.
    pub owner: Option<String>,
    /// A JSON object, as text.
    pub payload: String,
}

/// The columns of an event that decide who may see it, and of which its cursors are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHeader<'a> {
    /// Its place in the order of the stream.
    pub seq: i64,
    /// Its identity.
    pub id: Uuid,
    /// Its type.
    pub kind: Cow<'a, str>,
    /// Whether its writer allows it in public views.
    pub public_safe: bool,
    /// The owner, who alone may see it beside admins. An event without one is for all who may read the journal.
    pub owner: Option<Cow<'a, str>>,
}

impl EventHeader<'_> {
    /// The columns that [`Self::from_row`] reads, in its order.
    pub const COLUMNS: &'static str = "seq, id, type, public_safe, owner";

    /// Reads a row of [`Self::COLUMNS`].
    pub fn from_row(row: &Row) -> Result<EventHeader<'static>, tokio_postgres::Error> {
        Ok(EventHeader {
            seq: row.try_get(0)?,
            id: row.try_get(1)?,
            kind: Cow::Owned(row.try_get(2)?),
            public_safe: row.try_get(3)?,
            owner: row.try_get::<_, Option<String>>(4)?.map(Cow::Owned),
        })
    }

    /// A header that borrows nothing from the event.
    pub fn into_owned(self) -> EventHeader<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let Self { seq, id, kind, public_safe, owner } = self;
        EventHeader { seq, id, kind: owned(kind), public_safe, owner: owner.map(owned) }
    }
}

impl StoredEvent {
    /// The columns that [`Self::from_row`] reads, in its order. A statement must cast the payload to text.
    pub const COLUMNS: &str = "seq, id, at, type, level, public_safe, symbol, trade_id, subject, owner, payload";

    /// Reads a row of [`Self::COLUMNS`].
    pub fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            seq: row.try_get(0)?,
            id: row.try_get(1)?,
            at: row.try_get::<_, Timestamp>(2)?.shown(),
            kind: row.try_get(3)?,
            // The table's check allows these five words alone.
            level: Level::parse(row.try_get(4)?).unwrap_or(Level::Critical),
            public_safe: row.try_get(5)?,
            symbol: row.try_get(6)?,
            trade_id: row.try_get(7)?,
            subject: row.try_get(8)?,
            owner: row.try_get(9)?,
            payload: row.try_get(10)?,
        })
    }

    /// The header of the event, which borrows from it.
    pub fn header(&self) -> EventHeader<'_> {
        EventHeader {
            seq: self.seq,
            id: self.id,
            kind: Cow::Borrowed(&self.kind),
            public_safe: self.public_safe,
            owner: self.owner.as_deref().map(Cow::Borrowed),
        }
    }

    /// The bytes that the event takes in memory, roughly, for caches that count bytes.
    pub fn weight(&self) -> usize {
        let texts = [&self.symbol, &self.subject, &self.owner].into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + self.kind.len() + texts + self.payload.len()
    }
}
