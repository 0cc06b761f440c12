//! What the page store promises, without Postgres: a journal in memory stands behind the loader, so that loads can be
//! counted, held and made to fail. Against Postgres itself: `tests/tail/pages.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

mod cuts;
mod flights;
mod hot;
mod rendering;
mod walks;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Limits, Load, Loaded, PAGE_BYTES, PageWriter, Pages, Render, Seqs};
use crate::db::DatabaseError;
use crate::journal::{Cursor, EventHeader, Level, StoredEvent};

/// A small generator, so that a failing run can be repeated from its number.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    pub(crate) fn seq(&mut self, below: i64) -> i64 {
        i64::try_from(self.roll(u64::try_from(below).unwrap())).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, those: &'a [T]) -> &'a T {
        &those[usize::try_from(self.roll(those.len() as u64)).unwrap()]
    }
}

/// A journal in memory. Clones share it.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Inner>);

struct Inner {
    events: Mutex<BTreeMap<i64, StoredEvent>>,
    /// How often `range`, `next_after` and `cuts` were called.
    ranges: AtomicUsize,
    nexts: AtomicUsize,
    cuts: AtomicUsize,
    /// A load takes a permit for its time, so that a test can hold loads back.
    gate: Semaphore,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    trimmed: AtomicI64,
    fails: AtomicBool,
    panics: AtomicBool,
    /// Runs when the next `range` has its answer, before it returns.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Runs when the next `next_after` has its answer, before it returns.
    meanwhile_next: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

pub(crate) fn event(seq: i64) -> StoredEvent {
    StoredEvent {
        seq,
        id: Uuid::from_u128(u128::try_from(seq).unwrap()),
        at: OffsetDateTime::UNIX_EPOCH,
        kind: "note.added".to_owned(),
        level: Level::Info,
        public_safe: false,
        symbol: None,
        trade_id: None,
        subject: None,
        owner: None,
        payload: "{}".to_owned(),
    }
}

pub(crate) fn cursor(seq: i64) -> Cursor {
    Cursor::of(seq, event(seq).id)
}

pub(crate) fn header(seq: i64) -> Option<EventHeader<'static>> {
    Some(event(seq).header().into_owned())
}

pub(crate) fn events(seqs: impl IntoIterator<Item = i64>) -> Vec<StoredEvent> {
    seqs.into_iter().map(event).collect()
}

impl Journal {
    pub(crate) fn new(seqs: impl IntoIterator<Item = i64>) -> Self {
        let inner = Inner {
            events: Mutex::new(seqs.into_iter().map(|seq| (seq, event(seq))).collect()),
            ranges: AtomicUsize::new(0),
            nexts: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            trimmed: AtomicI64::new(0),
            fails: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            meanwhile: Mutex::new(None),
            meanwhile_next: Mutex::new(None),
        };
        Self(Arc::new(inner))
    }

    pub(crate) fn store(&self, seqs: impl IntoIterator<Item = i64>) {
        self.0.events.lock().unwrap().extend(seqs.into_iter().map(|seq| (seq, event(seq))));
    }

    pub(crate) fn put(&self, events: impl IntoIterator<Item = StoredEvent>) {
        self.0.events.lock().unwrap().extend(events.into_iter().map(|event| (event.seq, event)));
    }

    pub(crate) fn trimmed(&self) -> i64 {
        self.0.trimmed.load(Ordering::SeqCst)
    }

    /// Takes the events up to a seq, as retention does.
    pub(crate) fn trim(&self, through: i64) {
        self.0.trimmed.store(through, Ordering::SeqCst);
        self.0.events.lock().unwrap().retain(|seq, _| *seq > through);
    }

    pub(crate) fn clear(&self) {
        self.0.events.lock().unwrap().clear();
    }

    pub(crate) fn between(&self, after: i64, upto: i64) -> Vec<StoredEvent> {
        self.0
            .events
            .lock()
            .unwrap()
            .range(after + 1..=upto.max(after + 1))
            .map(|(_, e)| e.clone())
            .filter(|e| e.seq <= upto)
            .collect()
    }

    pub(crate) fn loads(&self) -> (usize, usize) {
        (self.0.ranges.load(Ordering::SeqCst), self.0.nexts.load(Ordering::SeqCst))
    }

    /// How often `cuts` was called.
    pub(crate) fn cut(&self) -> usize {
        self.0.cuts.load(Ordering::SeqCst)
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.0.most_under_way.load(Ordering::SeqCst)
    }

    /// Makes loads wait until [`Self::let_through`].
    pub(crate) fn hold(&self) {
        self.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn let_through(&self, loads: usize) {
        self.0.gate.add_permits(loads);
    }

    pub(crate) fn fail(&self, on: bool) {
        self.0.fails.store(on, Ordering::SeqCst);
    }

    pub(crate) fn panic(&self, on: bool) {
        self.0.panics.store(on, Ordering::SeqCst);
    }

    pub(crate) fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        *self.0.meanwhile.lock().unwrap() = Some(Box::new(happens));
    }

    pub(crate) fn meanwhile_next(&self, happens: impl FnOnce() + Send + 'static) {
        *self.0.meanwhile_next.lock().unwrap() = Some(Box::new(happens));
    }

    async fn begin(&self) -> Result<(), DatabaseError> {
        struct Under<'a>(&'a AtomicUsize);
        impl Drop for Under<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let now = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        let _under = Under(&self.0.under_way);
        self.0.most_under_way.fetch_max(now, Ordering::SeqCst);
        self.0.gate.acquire().await.unwrap().forget();
        assert!(!self.0.panics.load(Ordering::SeqCst), "as the test wants it");
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(DatabaseError::Other("as the test wants it".to_owned()));
        }
        Ok(())
    }
}

/// The last seq of each run of events whose payloads reach these bytes.
fn runs(events: &[StoredEvent], bytes: i64) -> Vec<i64> {
    let (mut cuts, mut sum) = (Vec::new(), 0);
    for event in events {
        sum += i64::try_from(event.payload.len()).unwrap();
        if sum >= bytes {
            cuts.push(event.seq);
            sum = 0;
        }
    }
    cuts
}

impl Load for Journal {
    fn range(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        Box::pin(async move {
            self.0.ranges.fetch_add(1, Ordering::SeqCst);
            self.begin().await?;
            let mut events = self.between(after, upto);
            let cut = runs(&events, bytes).first().copied();
            events.retain(|event| cut.is_none_or(|cut| event.seq <= cut));
            let happens = self.0.meanwhile.lock().unwrap().take();
            if let Some(happens) = happens {
                happens();
            }
            Ok(Loaded { events, reached: cut.unwrap_or(upto), trimmed: self.0.trimmed.load(Ordering::SeqCst) })
        })
    }

    fn cuts(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Vec<i64>, DatabaseError>> {
        Box::pin(async move {
            self.0.cuts.fetch_add(1, Ordering::SeqCst);
            self.begin().await?;
            Ok(runs(&self.between(after, upto), bytes))
        })
    }

    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        Box::pin(async move {
            self.0.nexts.fetch_add(1, Ordering::SeqCst);
            self.begin().await?;
            let mut events = self.between(seq, upto);
            events.truncate(1);
            let happens = self.0.meanwhile_next.lock().unwrap().take();
            if let Some(happens) = happens {
                happens();
            }
            Ok(Loaded { events, reached: upto, trimmed: self.0.trimmed.load(Ordering::SeqCst) })
        })
    }
}

/// Room for everything that a test makes.
pub(crate) const ROOMY: Limits =
    Limits { hot_pages: 64, hot_bytes: 64 << 20, cache_bytes: 64 << 20, loads: 4, page_bytes: PAGE_BYTES };

/// A store over this journal whose head is `head`.
pub(crate) fn store_at(journal: &Journal, head: i64, limits: Limits) -> (Pages<Seqs>, PageWriter<Seqs>) {
    let (pages, mut writer) = Pages::new(journal.clone(), Seqs, limits);
    jump(&mut writer, journal, head);
    (pages, writer)
}

/// Jumps as the tail does.
pub(crate) fn jump<R: Render>(writer: &mut PageWriter<R>, journal: &Journal, head: i64) {
    jump_after(writer, journal, PageWriter::<R>::page_start(head), head);
}

/// Jumps and leaves what lies up to the floor to those who want it.
pub(crate) fn jump_after<R: Render>(writer: &mut PageWriter<R>, journal: &Journal, floor: i64, head: i64) {
    let rows = journal.between(floor, head);
    let newest = journal.between(0, head).last().map(|event| event.header().into_owned());
    writer.jump(floor, rows, head, newest).unwrap();
}

/// Everything after the cursor up to the head at the time of each step, as a session takes it.
pub(crate) async fn walk<R: Render>(pages: &Pages<R>, mut cursor: i64) -> Vec<i64> {
    let mut seen = Vec::new();
    while cursor < pages.position().head {
        let page = pages.page_after(cursor).await.unwrap();
        seen.extend(page.after(cursor).flat_map(|part| part.events()).map(|event| event.seq));
        assert!(page.upto() > cursor, "a step that does not move on: {page:?}");
        cursor = page.upto();
    }
    seen
}
