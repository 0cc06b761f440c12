//! One reader's way along the journal, as a pure state machine: backlog and live are the same loop over pages.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::start::{Place, cursor_for};
use crate::journal::{Batch, Budget, Cursor, EventHeader, Filter, Owners, StoredEvent, Typical};
use crate::tail::pages::{Chunk, PAGE_SPAN, Page, Pages, Part, Position, View};
use crate::view::{Frames, Tally, Views};

/// The most that one search through an index brings: what a reader holds that does not take it.
pub(super) const SEARCH: Budget = Budget { rows: 256, bytes: 256 << 10 };
/// A reader that is nearer to the head than this takes pages whatever it looks for: they are in memory.
const NEAR: i64 = 8 * PAGE_SPAN;
/// A filter that passes fewer events than one in this many is worth a search; one that passes more is not.
const THIN: i64 = 64;
/// After how many seqs of pages, or of searches, it is judged whether the other way is better.
const JUDGED: i64 = 8 * PAGE_SPAN;

/// Where a reader is, what it looks for, and what it was sent.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    filter: Arc<Filter>,
    view: View,
    /// Everything up to here was taken.
    at: i64,
    /// The newest event at or below that, as the reader may know it.
    cursor: Cursor,
    epoch: u64,
    tally: Tally,
    /// Where it began. The head of this node may not have come there yet.
    began: i64,
    /// Whether the end of the backlog was told.
    live: bool,
    way: Way,
    /// What searches bring.
    typical: Typical,
    /// The newest seq that retention took, as the pages know it; what is announced may lag.
    trimmed: i64,
    /// Whether the pages are of another history already, which is announced in a moment.
    superseded: bool,
    /// After which seq it was told to search, until the answer is there.
    asked: Option<i64>,
}

/// How a reader far behind goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through pages: how many seqs since it began so, and how many events of them were for this reader.
    Pages { walked: i64, taken: i64 },
    /// Through an index.
    Index,
}

impl Way {
    fn of(filter: &Filter) -> Self {
        if filter.is_narrow() { Self::Index } else { Self::Pages { walked: 0, taken: 0 } }
    }
}

/// What a reader does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Take the page after this seq.
    Page(i64),
    /// Look for what the filter wants after this seq and up to this position.
    Search(i64, Position),
    /// Say that the backlog has been sent. Once.
    Live,
    /// Nothing, until the head moves.
    Rest,
    /// Events after the cursor are gone.
    Expired,
    /// The history has become another: the cursor must be proven again.
    Prove,
}

/// A run of events for one reader, shared with all others who take them.
#[derive(Debug, Clone)]
pub struct Run {
    chunk: Arc<Chunk<Views>>,
    frames: Frames,
    events: Range<usize>,
}

impl Run {
    /// The messages, as they stand on the wire of a WebSocket.
    pub fn messages(&self) -> Bytes {
        self.frames.messages(self.events.clone())
    }

    /// Each event's cursor and object.
    pub fn each(&self) -> impl Iterator<Item = (Cursor, Bytes)> {
        self.events.clone().filter_map(|index| {
            let event = self.chunk.events().get(index)?;
            Some((Cursor::of(event.seq, event.id), self.frames.object(index)?))
        })
    }

    /// How many events they are.
    pub fn count(&self) -> usize {
        usize::try_from(self.tally().events).unwrap_or(usize::MAX)
    }

    fn tally(&self) -> Tally {
        self.frames.tally(self.events.clone())
    }
}

/// How much may be taken at once: at least one event goes, whatever it weighs.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Events.
    pub events: usize,
    /// Bytes of messages.
    pub bytes: usize,
}

impl Room {
    fn is_left(self) -> bool {
        self.events > 0 && self.bytes > 0
    }

    fn take(&mut self, run: &Run) {
        self.events = self.events.saturating_sub(run.count());
        self.bytes = self.bytes.saturating_sub(run.frames.weight(run.events.clone()));
    }
}

impl Walk {
    /// A reader at a place.
    pub(super) fn new(place: Place, filter: Arc<Filter>, view: View) -> Self {
        let (way, tally, Place { at, cursor, epoch }) = (Way::of(&filter), Tally::default(), place);
        let (live, trimmed, superseded, asked) = (false, 0, false, None);
        let typical = Typical::default();
        Self { filter, view, at, cursor, epoch, tally, began: at, live, way, typical, trimmed, superseded, asked }
    }

    /// The newest event that it is past: what to come back with.
    pub(super) fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The history that it is in.
    #[cfg(test)]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What it was sent.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// What it looks for.
    pub(super) fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// Whether everything up to this seq is behind it.
    pub(super) fn is_past(&self, seq: i64) -> bool {
        self.at >= seq
    }

    /// Whether it began beyond what this node has decided.
    pub(super) fn is_ahead(&self, position: &Position) -> bool {
        self.began > position.head && position.epoch == self.epoch
    }

    /// What to do, the stream being decided up to this position.
    pub(super) fn next(&mut self, position: &Position) -> Next {
        if position.epoch != self.epoch || !position.known {
            return Next::Prove;
        }
        if self.at < position.trimmed.max(self.trimmed) {
            return Next::Expired;
        }
        if self.superseded {
            return Next::Rest;
        }
        if self.at < position.head {
            if !self.searches(position.head) {
                return Next::Page(self.at);
            }
            self.asked = Some(self.at);
            return Next::Search(self.at, position.clone());
        }
        // A page may have taken it beyond what is announced; but one that began ahead of this node waits for the head to
        // come to where it is.
        if !self.is_ahead(position) && !std::mem::replace(&mut self.live, true) {
            return Next::Live;
        }
        Next::Rest
    }

    /// What its reader may not see counts as much as what it does not ask for.
    fn searches(&self, head: i64) -> bool {
        self.way == Way::Index && head - self.at > NEAR && !self.filter.is_empty()
    }

    /// How much a search is to bring for which there is this room.
    pub(super) fn search_budget(&self, room: Room) -> Budget {
        let Budget { rows, bytes } = SEARCH;
        let least = |limit: i64, room: usize| i64::try_from(room).map_or(limit, |room| limit.min(room));
        self.typical.fit(Budget { rows: least(rows, room.events), bytes: least(bytes, room.bytes) })
    }

    /// Its cursor was proven in the history that there is now.
    pub(super) fn proven(&mut self, place: Place) {
        let Place { at, cursor, epoch } = place;
        (self.at, self.began, self.cursor, self.epoch) = (at, at, cursor, epoch);
        (self.trimmed, self.superseded, self.asked) = (0, false, None);
    }

    /// From here on it looks for this. The answer to a search that is under way is no longer what it looks for.
    pub(super) fn refilter(&mut self, filter: Arc<Filter>) {
        self.way = Way::of(&filter);
        self.filter = filter;
        self.typical = Typical::default();
        self.asked = None;
    }

    /// Whether what was read under this epoch may be taken. Asked when it is there: meanwhile more may have been trimmed,
    /// so that it lacks events, or the history may be another. Both stand in the pages before they are announced.
    fn may_take(&mut self, pages: &Pages<Views>, epoch: u64) -> bool {
        let now = pages.position();
        if now.epoch != self.epoch || epoch != self.epoch {
            self.superseded = now.epoch > self.epoch;
            return false;
        }
        self.trimmed = self.trimmed.max(now.trimmed);
        self.at >= self.trimmed
    }

    /// From here on its reader sees this view, by the filter that it has now. The tag of the cursor follows if the event is at hand;
    /// if not, it stays one that the reader was allowed to know until now.
    pub(super) fn see(&mut self, pages: &Pages<Views>, view: View) {
        self.view = view;
        let Cursor { seq, tag: Some(_) } = self.cursor else { return };
        let page = pages.at_hand(seq - 1).filter(|page| page.epoch() == self.epoch);
        if let Some(event) = page.as_ref().and_then(|page| page.newest_upto(seq)).filter(|event| event.seq == seq) {
            self.cursor = cursor_for(pages, self.filter.owners(), &event.header());
        }
    }

    /// Nothing up to this position is for this reader: what the node knows of those who wait (`live`).
    pub(super) fn pass(&mut self, pages: &Pages<Views>, position: &Position) {
        if position.epoch == self.epoch && position.known && position.head > self.at {
            self.at = position.head;
            if let Some(newest) = &position.newest {
                self.stand_on(pages, newest);
            }
        }
    }

    /// The cursor moves on to this event.
    fn stand_on(&mut self, pages: &Pages<Views>, event: &EventHeader<'_>) {
        if event.seq > self.cursor.seq {
            self.cursor = cursor_for(pages, self.filter.owners(), event);
        }
    }

    /// Takes what is for this reader out of a page, as far as there is room, and moves on. Nothing, if the page turns out to
    /// lack what was trimmed, or to be of another history: then [`Self::next`] says so.
    pub(super) fn take(&mut self, pages: &Pages<Views>, page: &Page<Views>, room: &mut Room) -> Vec<Run> {
        let (from, mut runs) = (self.at, Vec::new());
        if !self.may_take(pages, page.epoch()) {
            return runs;
        }
        let is_through = page.after(from).all(|part| {
            let frames = pages.rendered(part.chunk, self.view);
            self.take_part(&part, &frames, room, &mut runs)
        });
        if is_through {
            self.at = self.at.max(page.upto());
        }
        if let Some(event) = page.newest_upto(self.at) {
            self.stand_on(pages, &event.header());
        }
        self.judge(from, &runs);
        runs
    }

    /// Whether all of a part was taken.
    fn take_part(&mut self, part: &Part<'_, Views>, frames: &Frames, room: &mut Room, runs: &mut Vec<Run>) -> bool {
        let all = part.chunk.events();
        let whole = self.passes_whole(frames);
        let mut next = part.from;
        while next < all.len() {
            if !room.is_left() {
                return false;
            }
            if whole && all.len() - next <= room.events && frames.weight(next..all.len()) <= room.bytes {
                self.take_run(part, frames, next..all.len(), room, runs);
                return true;
            }
            // As many in a row as are for this reader and fit; then past those that are not.
            let wanted = |event: &StoredEvent| whole || self.filter.matches(event);
            let from = next;
            let (mut events, mut bytes) = (0, 0);
            while let Some(event) = all.get(next)
                && events < room.events
                && bytes < room.bytes
                && wanted(event)
            {
                let weight = frames.weight(next..next + 1);
                events += usize::from(weight > 0);
                bytes += weight;
                next += 1;
            }
            if next > from {
                self.take_run(part, frames, from..next, room, runs);
            } else if let Some(event) = all.get(next) {
                self.at = event.seq;
                next += 1;
            }
        }
        true
    }

    fn take_run(
        &mut self,
        part: &Part<'_, Views>,
        frames: &Frames,
        events: Range<usize>,
        room: &mut Room,
        runs: &mut Vec<Run>,
    ) {
        if let Some(last) = part.chunk.events().get(events.end - 1) {
            self.at = last.seq;
        }
        let run = Run { chunk: Arc::clone(part.chunk), frames: frames.clone(), events };
        room.take(&run);
        self.tally.add(run.tally());
        runs.push(run);
    }

    /// Whether every event of these is for this reader, without a look at each.
    fn passes_whole(&self, frames: &Frames) -> bool {
        let visible = match self.filter.owners() {
            Owners::Any => true,
            Owners::NobodyOr(_) => frames.is_common(),
            // What everybody may see is asked of each event, though its view hides the rest too.
            Owners::Nobody | Owners::Only(_) => false,
        };
        visible && self.filter.asks_nothing()
    }

    /// Takes what a search has found: all that the filter wants up to the position, or as much of it as the budget was.
    /// Nothing, if the reader is no longer where it asked from, or looks for something else by now.
    pub(super) fn found(&mut self, pages: &Pages<Views>, batch: Batch, position: &Position) -> Option<Run> {
        if self.asked.take() != Some(self.at) || !self.may_take(pages, position.epoch) {
            return None;
        }
        self.typical.learn(&batch);
        let (from, Batch { events, reached }) = (self.at, batch);
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        match events.last() {
            Some(last) if reached < position.head => {
                self.at = last.seq;
                self.stand_on(pages, &last.header());
                if count * THIN > last.seq - from {
                    self.way = Way::Pages { walked: 0, taken: 0 };
                }
            }
            _ => self.pass(pages, position),
        }
        if events.is_empty() {
            return None;
        }
        let chunk = Arc::new(Chunk::new(events));
        let frames = pages.rendered(&chunk, self.view);
        let run = Run { events: 0..frames.len(), frames, chunk };
        self.tally.add(run.tally());
        Some(run)
    }

    /// Far behind, a filter that passes little is served by its index, and one that passes much by the pages.
    fn judge(&mut self, from: i64, runs: &[Run]) {
        let Way::Pages { walked, taken } = &mut self.way else { return };
        *walked += self.at - from;
        *taken += runs.iter().map(|run| i64::try_from(run.tally().events).unwrap_or(i64::MAX)).sum::<i64>();
        if *walked >= JUDGED {
            self.way = if *taken * THIN < *walked { Way::Index } else { Way::Pages { walked: 0, taken: 0 } };
        }
    }
}
