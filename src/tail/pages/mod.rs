//! The pages of the journal on one node: the one way in which everyone reads, backlog and live alike.
//!
//! A page is the aligned range of [`PAGE_SPAN`] seqs, or a part of it where its payloads reach [`PAGE_BYTES`]; immutable and
//! shared by reference. The newest pages stay in memory (the hot tail, grown by the one [`PageWriter`]); older ones come from
//! Postgres through a bounded cache, each loaded once however many readers ask. Every page is rendered once per view.
//!
//! What holds at any moment, and what the tests shake:
//!
//! 1. The hot tail holds every event in `(floor, head]`. So whatever must be loaded is decided, and a page of it never
//!    changes: nothing in the cache is ever updated, only dropped.
//! 2. The head is published after the pages up to it: who sees a head finds what is below it.
//! 3. A reader at the live edge takes one read lock for the length of a search, and never waits for a load.
//! 4. What was read under one epoch is not kept under the next one, when the database is another.
//! 5. A page never crosses the end of an aligned range, and says itself which seqs it covers. Where a range is cut depends on
//!    how it was read; a reader goes on after the end of the page that it had, so cuts need not be the same for all.
//! 6. No page is heavier than its last event beyond [`PAGE_BYTES`], as payloads are counted; what lies in memory for it is
//!    counted once, with the renderings that it will have.
//!
//! Left to others: which events are decided (`fence`), what a view may show (`view`, through [`Render`]), whether a cursor
//! has expired by retention (`session`: trimmed rows may still stand in a page).

mod cache;
mod hot;
mod load;
mod page;
mod render;
mod replica;
mod search;
mod shared;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub use load::{Load, Loaded, PostgresLoad};
pub use page::{Chunk, Page, Part};
pub use render::{Render, Seqs, View};
pub use replica::{Anchors, ReplicaCounts, ReplicaLoad};
pub use store::Pages;
pub use writer::{HeadMoveError, PageWriter};

use std::sync::Arc;
use std::time::Duration;

use crate::db::DatabaseError;
use crate::journal::EventHeader;

/// How many seqs a page covers: page 0 is 1 to 512.
pub const PAGE_SPAN: i64 = 512;
/// The bytes of payloads with which a page ends: with the event that reaches them. Small enough that every reader can keep the
/// page that it is in, large enough that pages of ordinary events are whole.
pub const PAGE_BYTES: i64 = 512 << 10;
/// The most pages that the hot tail keeps. A reader that lags by less never costs a load.
pub const HOT_PAGES: usize = 64;
/// The most bytes that the hot tail keeps; the page at the head stays, whatever it weighs.
pub const HOT_BYTES: usize = 64 << 20;
/// How many pages are loaded at the same time; the others queue in the order in which they were asked for.
pub const LOADS: usize = 4;
/// How long a load may take once its turn has come, on however slow a link. One that is silent ends long before
/// ([`crate::journal::SILENCE`]).
pub const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// How far this node's stream is decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The safe head: every seq up to here is decided.
    pub head: i64,
    /// The newest event at or below the head, if there is one.
    pub newest: Option<Arc<EventHeader<'static>>>,
    /// The newest seq that retention took, as far as this node knows: by the tail within a second, and with every page that
    /// is loaded. So a reader that takes a page which lacks trimmed events finds that here.
    pub trimmed: i64,
    /// Whether the head is known: not before the tail has found it, and not at the beginning of another history.
    pub known: bool,
    /// Which history this is. It moves when the database turned out to be another one (restored, promoted), and what a
    /// reader knows from before is void: its cursor must be proven again.
    pub epoch: u64,
}

impl Position {
    /// The seq of the newest event at or below the head; 0 if there is none.
    pub fn newest_seq(&self) -> i64 {
        self.newest.as_ref().map_or(0, |newest| newest.seq)
    }
}

/// Why a page could not be had. Nothing of it is remembered: who asks again, tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Postgres did not give it.
    #[error("a page of the journal could not be read: {0}")]
    Load(DatabaseError),
    /// The history became another while the page was read; see [`Position::epoch`].
    #[error("the history of the journal changed while a page of it was read")]
    Reset,
    /// The load ended without an answer; the log says why.
    #[error("the load of a page ended without an answer")]
    Ended,
}

/// How much memory the pages may take, and how many are loaded at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// See [`HOT_PAGES`].
    pub hot_pages: usize,
    /// See [`HOT_BYTES`].
    pub hot_bytes: usize,
    /// The most bytes of older pages.
    pub cache_bytes: u64,
    /// See [`LOADS`].
    pub loads: usize,
    /// See [`PAGE_BYTES`].
    pub page_bytes: i64,
}

impl Limits {
    /// Divides what `ROWCAST_PAGE_CACHE` allows, so that it bounds all pages together: at most half of it is hot.
    pub fn within(page_cache: u64) -> Self {
        let half = usize::try_from(page_cache / 2).unwrap_or(HOT_BYTES);
        let hot_bytes = half.min(HOT_BYTES);
        Self {
            hot_pages: HOT_PAGES,
            hot_bytes,
            cache_bytes: page_cache - hot_bytes as u64,
            loads: LOADS,
            page_bytes: PAGE_BYTES,
        }
    }
}

/// The page of a seq (from 1 on).
const fn index_of(seq: i64) -> i64 {
    (seq - 1).div_euclid(PAGE_SPAN)
}

/// The seq before the first one of a page, that is the last one of the page before it.
const fn start_of(index: i64) -> i64 {
    index.saturating_mul(PAGE_SPAN)
}

/// The last seq of a page.
const fn end_of(index: i64) -> i64 {
    start_of(index).saturating_add(PAGE_SPAN)
}
