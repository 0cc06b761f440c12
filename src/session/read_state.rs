//! How far one reader has read, and what it reads next: a pure state machine. Backlog and live events take the same loop over pages.

use std::ops::Range;
use std::sync::Arc;

use super::event_run::{EventRun, SendBudget};
use super::start_point::{StartPoint, cursor_for};
use crate::journal::{Batch, Budget, Cursor, EventHeader, Filter, Owners, StoredEvent, Typical};
use crate::tail::pages::{Chunk, PAGE_SPAN, Page, Pages, Part, Position, View};
use crate::view::{Frames, Tally, Views};

/// The most that one search through an index returns. A client that does not read makes the server hold that much.
pub(super) const SEARCH: Budget = Budget { rows: 256, bytes: 256 << 10 };
/// A reader that is nearer to the head than this reads pages, whatever its filter: those pages are in memory.
const NEAR: i64 = 8 * PAGE_SPAN;
/// Searches serve a filter that passes fewer than one event in this many; pages serve one that passes more.
const THIN: i64 = 64;
/// After this many seqs of pages the reader decides whether searches would be quicker.
const DECIDE_AFTER: i64 = 8 * PAGE_SPAN;

/// What one reader has read, and by which filter.
#[derive(Debug, Clone)]
pub(super) struct ReadState {
    filter: Arc<Filter>,
    view: View,
    /// Everything up to this seq was read.
    at: i64,
    /// The newest event up to `at`, with a tag that the reader may know.
    cursor: Cursor,
    epoch: u64,
    tally: Tally,
    /// The seq that the reader began at. The head of this node may not have come there yet.
    began: i64,
    /// Whether the reader was told that the backlog has been sent.
    caught_up: bool,
    path: ReadPath,
    /// How large the rows are that searches return.
    typical: Typical,
    /// The newest seq that retention took, as the pages know it. The announced position may lag behind.
    trimmed: i64,
    /// Whether the pages belong to a newer history already, which is about to be announced.
    superseded: bool,
    /// The seq after which the search under way looks.
    searched_from: Option<i64>,
}

/// How a reader far behind the head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadPath {
    /// Through pages. Counts the seqs read since the last decision, and the events of them that were for this reader.
    Pages { read: i64, taken: i64 },
    /// By searches through an index.
    Index,
}

impl ReadPath {
    const PAGES: Self = Self::Pages { read: 0, taken: 0 };

    fn of(filter: &Filter) -> Self {
        if filter.is_narrow() { Self::Index } else { Self::PAGES }
    }
}

/// What the reader does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the page after this seq.
    Page(i64),
    /// Search for matching events after this seq and up to this position.
    Search(i64, Position),
    /// Say that the backlog has been sent. Returned once.
    CaughtUp,
    /// Wait until the head moves.
    Idle,
    /// Give up: events after the cursor were trimmed.
    Expired,
    /// Prove the cursor again: the history is another one.
    ProveCursor,
}

impl ReadState {
    /// A reader at its start point.
    pub(super) fn new(start: StartPoint, filter: Arc<Filter>, view: View) -> Self {
        let (path, StartPoint { at, cursor, epoch }) = (ReadPath::of(&filter), start);
        let (caught_up, trimmed, superseded, searched_from) = (false, 0, false, None);
        let (tally, typical) = (Tally::default(), Typical::default());
        let began = at;
        Self {
            filter,
            view,
            at,
            cursor,
            epoch,
            tally,
            began,
            caught_up,
            path,
            typical,
            trimmed,
            superseded,
            searched_from,
        }
    }

    /// The cursor of the newest event that the reader has passed.
    pub(super) fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The history that the reader is in.
    #[cfg(test)]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many events and bytes the reader was sent.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// The filter by which the reader reads.
    pub(super) fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// Whether the reader has passed this seq.
    pub(super) fn has_passed(&self, seq: i64) -> bool {
        self.at >= seq
    }

    /// Whether the reader began at a seq that this node has not decided yet.
    pub(super) fn is_ahead(&self, position: &Position) -> bool {
        self.began > position.head && position.epoch == self.epoch
    }

    /// What the reader does next when the stream is decided up to this position.
    pub(super) fn next(&mut self, position: &Position) -> Next {
        if position.epoch != self.epoch || !position.known {
            return Next::ProveCursor;
        }
        if self.at < position.trimmed.max(self.trimmed) {
            return Next::Expired;
        }
        if self.superseded {
            return Next::Idle;
        }
        if self.at < position.head {
            if !self.prefers_search(position.head) {
                return Next::Page(self.at);
            }
            self.searched_from = Some(self.at);
            return Next::Search(self.at, position.clone());
        }
        // A page may have brought the reader beyond the announced head. A reader that began ahead of this node waits until the
        // head has come as far.
        if !self.is_ahead(position) && !std::mem::replace(&mut self.caught_up, true) {
            return Next::CaughtUp;
        }
        Next::Idle
    }

    /// Whether to search rather than to read pages. Events that the reader may not see count like those that it did not ask for.
    fn prefers_search(&self, head: i64) -> bool {
        self.path == ReadPath::Index && head - self.at > NEAR && !self.filter.is_empty()
    }

    /// How much a search may return when this much may be sent.
    pub(super) fn search_budget(&self, send: SendBudget) -> Budget {
        let Budget { rows, bytes } = SEARCH;
        let least = |limit: i64, most: usize| i64::try_from(most).map_or(limit, |most| limit.min(most));
        self.typical.fit(Budget { rows: least(rows, send.events), bytes: least(bytes, send.bytes) })
    }

    /// Goes on from a cursor that was proven in the history that there is now.
    pub(super) fn restart_at(&mut self, start: StartPoint) {
        let StartPoint { at, cursor, epoch } = start;
        (self.at, self.began, self.cursor, self.epoch) = (at, at, cursor, epoch);
        (self.trimmed, self.superseded, self.searched_from) = (0, false, None);
    }

    /// Reads by another filter from now on. The result of a search that is under way will be dropped.
    pub(super) fn refilter(&mut self, filter: Arc<Filter>) {
        self.path = ReadPath::of(&filter);
        self.filter = filter;
        self.typical = Typical::default();
        self.searched_from = None;
    }

    /// Whether events that were loaded in this epoch may be taken. Checked when they have arrived: in the meantime retention may have
    /// taken some of them, or the history may have ended. The pages know of both before they are announced.
    fn may_take(&mut self, pages: &Pages<Views>, epoch: u64) -> bool {
        let now = pages.position();
        if now.epoch != self.epoch || epoch != self.epoch {
            self.superseded = now.epoch > self.epoch;
            return false;
        }
        self.trimmed = self.trimmed.max(now.trimmed);
        self.at >= self.trimmed
    }

    /// Shows the reader another view from now on. The tag of the cursor is chosen anew where its event is in memory; elsewhere it stays,
    /// since the reader was allowed to know it.
    pub(super) fn see(&mut self, pages: &Pages<Views>, view: View) {
        self.view = view;
        let Cursor { seq, tag: Some(_) } = self.cursor else { return };
        let page = pages.cached_page_after(seq - 1).filter(|page| page.epoch() == self.epoch);
        if let Some(event) = page.as_ref().and_then(|page| page.newest_upto(seq)).filter(|event| event.seq == seq) {
            self.cursor = cursor_for(pages, self.filter.owners(), &event.header());
        }
    }

    /// Moves to this position. The caller knows that no event up to it is for this reader.
    pub(super) fn skip_to(&mut self, pages: &Pages<Views>, position: &Position) {
        if position.epoch == self.epoch && position.known && position.head > self.at {
            self.at = position.head;
            if let Some(newest) = &position.newest {
                self.move_cursor_to(pages, newest);
            }
        }
    }

    /// Moves the cursor to this event, if it is a newer one.
    fn move_cursor_to(&mut self, pages: &Pages<Views>, event: &EventHeader<'_>) {
        if event.seq > self.cursor.seq {
            self.cursor = cursor_for(pages, self.filter.owners(), event);
        }
    }

    /// Takes the events of a page that are for this reader, as far as the budget allows, and advances. Takes nothing from a page that
    /// lacks trimmed events or belongs to another history; [`Self::next`] then says what to do.
    pub(super) fn take(&mut self, pages: &Pages<Views>, page: &Page<Views>, budget: &mut SendBudget) -> Vec<EventRun> {
        let (from, mut runs) = (self.at, Vec::new());
        if !self.may_take(pages, page.epoch()) {
            return runs;
        }
        let is_through = page.after(from).all(|part| {
            let frames = pages.rendered(part.chunk, self.view);
            self.take_part(&part, &frames, budget, &mut runs)
        });
        if is_through {
            self.at = self.at.max(page.upto());
        }
        if let Some(event) = page.newest_upto(self.at) {
            self.move_cursor_to(pages, &event.header());
        }
        self.choose_path(from, &runs);
        runs
    }

    /// Takes from one part of a page. Returns whether the reader is through with it.
    fn take_part(
        &mut self,
        part: &Part<'_, Views>,
        frames: &Frames,
        budget: &mut SendBudget,
        runs: &mut Vec<EventRun>,
    ) -> bool {
        let all = part.chunk.events();
        let whole = self.passes_all(frames);
        let mut next = part.from;
        while next < all.len() {
            if !budget.is_left() {
                return false;
            }
            if whole && all.len() - next <= budget.events && frames.weight(next..all.len()) <= budget.bytes {
                self.take_run(part, frames, next..all.len(), budget, runs);
                return true;
            }
            // Takes the next events in a row that are for this reader and fit into the budget, or steps over one that is not.
            let wanted = |event: &StoredEvent| whole || self.filter.matches(event);
            let from = next;
            let (mut events, mut bytes) = (0, 0);
            while let Some(event) = all.get(next)
                && events < budget.events
                && bytes < budget.bytes
                && wanted(event)
            {
                let weight = frames.weight(next..next + 1);
                events += usize::from(weight > 0);
                bytes += weight;
                next += 1;
            }
            if next > from {
                self.take_run(part, frames, from..next, budget, runs);
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
        budget: &mut SendBudget,
        runs: &mut Vec<EventRun>,
    ) {
        if let Some(last) = part.chunk.events().get(events.end - 1) {
            self.at = last.seq;
        }
        let run = EventRun { chunk: Arc::clone(part.chunk), frames: frames.clone(), events };
        budget.take(&run);
        self.tally.add(run.tally());
        runs.push(run);
    }

    /// Whether all of these events are surely for this reader, so that none need be looked at.
    fn passes_all(&self, frames: &Frames) -> bool {
        let visible = match self.filter.owners() {
            Owners::Any => true,
            Owners::NobodyOr(_) => frames.is_common(),
            // Each event says whether it is public. The view hides the others as well, as a second defence.
            Owners::Nobody | Owners::Only(_) => false,
        };
        visible && self.filter.is_unrestricted()
    }

    /// Takes the result of a search: all matching events up to the position, or as many as the search's budget allowed. Takes nothing if
    /// the reader has moved since it began the search, or reads by another filter.
    pub(super) fn take_found(&mut self, pages: &Pages<Views>, batch: Batch, position: &Position) -> Option<EventRun> {
        if self.searched_from.take() != Some(self.at) || !self.may_take(pages, position.epoch) {
            return None;
        }
        self.typical.learn(&batch);
        let (from, Batch { events, reached }) = (self.at, batch);
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        match events.last() {
            Some(last) if reached < position.head => {
                self.at = last.seq;
                self.move_cursor_to(pages, &last.header());
                if count * THIN > last.seq - from {
                    self.path = ReadPath::PAGES;
                }
            }
            _ => self.skip_to(pages, position),
        }
        if events.is_empty() {
            return None;
        }
        let chunk = Arc::new(Chunk::new(events));
        let frames = pages.rendered(&chunk, self.view);
        let run = EventRun { events: 0..frames.len(), frames, chunk };
        self.tally.add(run.tally());
        Some(run)
    }

    /// Decides how to read on, far behind the head: by an index for a filter that passes little, through pages for one that passes much.
    fn choose_path(&mut self, from: i64, runs: &[EventRun]) {
        let ReadPath::Pages { read, taken } = &mut self.path else { return };
        *read += self.at - from;
        *taken += runs.iter().map(|run| i64::try_from(run.tally().events).unwrap_or(i64::MAX)).sum::<i64>();
        if *read >= DECIDE_AFTER {
            self.path = if *taken * THIN < *read { ReadPath::Index } else { ReadPath::PAGES };
        }
    }
}
