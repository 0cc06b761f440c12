//! How far one reader has read, and what it reads next: a pure state machine. Backlog and live events take the same loop over pages.

use std::ops::Range;
use std::sync::Arc;

use super::event_run::{EventRun, SendBudget};
use super::start_point::{StartPoint, cursor_for};
use crate::journal::{AveragePayload, Batch, Budget, Cursor, EventHeader, Filter, Owners, StoredEvent};
use crate::tail::pages::{Chunk, PAGE_SPAN, Page, Pages, Part, Position, View};
use crate::view::{Frames, Tally, Views};

/// The most that one search through an index returns. A client that does not read makes the server hold that much.
pub(super) const SEARCH: Budget = Budget { rows: 256, bytes: 256 << 10 };
/// A reader that is nearer to the head than this reads pages, whatever its filter: those pages are in memory.
const NEAR_HEAD: i64 = 8 * PAGE_SPAN;
/// Searches serve a filter that passes fewer than one event in this many; pages serve one that passes more.
const SEARCH_BELOW_ONE_IN: i64 = 64;
/// After this many seqs of pages the reader decides whether searches would be quicker.
const DECIDE_AFTER: i64 = 8 * PAGE_SPAN;

/// How far one reader has read, and by which filter.
#[derive(Debug, Clone)]
pub(super) struct ReadState {
    filter: Arc<Filter>,
    view: View,
    /// Everything up to this seq was read.
    read_upto: i64,
    /// The cursor of the newest event up to `read_upto`, with a tag that the reader may know.
    cursor: Cursor,
    epoch: u64,
    tally: Tally,
    /// The reader began after this seq. Another node may have handed it out, so it may lie beyond the head of this node.
    start_seq: i64,
    /// True once the reader was told that the backlog has been sent.
    told_caught_up: bool,
    path: ReadPath,
    /// How large the rows are that searches return.
    average_payload: AveragePayload,
    /// The newest seq that retention took, as the pages know it. The announced position may lag behind.
    trimmed: i64,
    /// True if the pages belong to a newer history already, which is about to be announced.
    superseded: bool,
    /// `read_upto` when the search under way began; none if no search is under way, or its result is to be dropped.
    searched_from: Option<i64>,
}

/// The way by which a reader far behind the head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadPath {
    /// Through pages. Since the path was last chosen, `seqs` were read, and `taken` events of them were for this reader.
    Pages { seqs: i64, taken: i64 },
    /// By searches through an index.
    Index,
}

impl ReadPath {
    const PAGES: Self = Self::Pages { seqs: 0, taken: 0 };

    fn of(filter: &Filter) -> Self {
        if filter.is_narrow() { Self::Index } else { Self::PAGES }
    }
}

/// The next action of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextAction {
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
        let (path, StartPoint { after, cursor, epoch }) = (ReadPath::of(&filter), start);
        let (told_caught_up, trimmed, superseded, searched_from) = (false, 0, false, None);
        let (tally, average_payload) = (Tally::default(), AveragePayload::default());
        Self {
            filter,
            view,
            read_upto: after,
            cursor,
            epoch,
            tally,
            start_seq: after,
            told_caught_up,
            path,
            average_payload,
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

    /// True if everything up to this seq was read.
    pub(super) fn has_passed(&self, seq: i64) -> bool {
        self.read_upto >= seq
    }

    /// True if the reader began beyond the head of this node.
    pub(super) fn is_ahead(&self, position: &Position) -> bool {
        self.start_seq > position.head && position.epoch == self.epoch
    }

    /// Decides the next action, given the announced position.
    pub(super) fn next(&mut self, position: &Position) -> NextAction {
        if position.epoch != self.epoch || !position.known {
            return NextAction::ProveCursor;
        }
        if self.read_upto < position.trimmed.max(self.trimmed) {
            return NextAction::Expired;
        }
        if self.superseded {
            return NextAction::Idle;
        }
        if self.read_upto < position.head {
            if !self.prefers_search(position.head) {
                return NextAction::Page(self.read_upto);
            }
            self.searched_from = Some(self.read_upto);
            return NextAction::Search(self.read_upto, position.clone());
        }
        // A page may have brought the reader beyond the announced head. A reader that began ahead of this node waits until the
        // head has come as far.
        if !self.is_ahead(position) && !std::mem::replace(&mut self.told_caught_up, true) {
            return NextAction::CaughtUp;
        }
        NextAction::Idle
    }

    /// True if the reader searches rather than reads pages.
    fn prefers_search(&self, head: i64) -> bool {
        self.path == ReadPath::Index && head - self.read_upto > NEAR_HEAD && !self.filter.is_empty()
    }

    /// The budget of a search: [`SEARCH`], and no more than may be sent.
    pub(super) fn search_budget(&self, send: SendBudget) -> Budget {
        let Budget { rows, bytes } = SEARCH;
        let smaller = |limit: i64, send: usize| i64::try_from(send).map_or(limit, |send| limit.min(send));
        self.average_payload.fit(Budget { rows: smaller(rows, send.events), bytes: smaller(bytes, send.bytes) })
    }

    /// Goes on from a start point that was proven in the current history.
    pub(super) fn restart_at(&mut self, start: StartPoint) {
        let StartPoint { after, cursor, epoch } = start;
        (self.read_upto, self.start_seq, self.cursor, self.epoch) = (after, after, cursor, epoch);
        (self.trimmed, self.superseded, self.searched_from) = (0, false, None);
    }

    /// Reads by another filter from now on. The result of a search that is under way will be dropped.
    pub(super) fn set_filter(&mut self, filter: Arc<Filter>) {
        self.path = ReadPath::of(&filter);
        self.filter = filter;
        self.average_payload = AveragePayload::default();
        self.searched_from = None;
    }

    /// True if events that were loaded in this epoch may be taken. Asked when they have arrived, since retention may have taken some of
    /// them meanwhile, or the history may have ended. The pages know of both before the announcement.
    fn may_take(&mut self, pages: &Pages<Views>, epoch: u64) -> bool {
        let now = pages.position();
        if now.epoch != self.epoch || epoch != self.epoch {
            self.superseded = now.epoch > self.epoch;
            return false;
        }
        self.trimmed = self.trimmed.max(now.trimmed);
        self.read_upto >= self.trimmed
    }

    /// Renders events in another view from now on. If the event of the cursor is in memory, the tag of the cursor is chosen for the new
    /// view. Otherwise it stays, since the reader was allowed to know it.
    pub(super) fn set_view(&mut self, pages: &Pages<Views>, view: View) {
        self.view = view;
        let Cursor { seq, tag: Some(_) } = self.cursor else { return };
        let page = pages.cached_page_after(seq - 1).filter(|page| page.epoch() == self.epoch);
        if let Some(event) = page.as_ref().and_then(|page| page.newest_upto(seq)).filter(|event| event.seq == seq) {
            self.cursor = cursor_for(pages, self.filter.owners(), &event.header());
        }
    }

    /// Moves to this position. The caller knows that no event up to it is for this reader.
    pub(super) fn skip_to(&mut self, pages: &Pages<Views>, position: &Position) {
        if position.epoch == self.epoch && position.known && position.head > self.read_upto {
            self.read_upto = position.head;
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
        let (from, mut runs) = (self.read_upto, Vec::new());
        if !self.may_take(pages, page.epoch()) {
            return runs;
        }
        let is_through = page.after(from).all(|part| {
            let frames = pages.rendered(part.chunk, self.view);
            self.take_part(&part, &frames, budget, &mut runs)
        });
        if is_through {
            self.read_upto = self.read_upto.max(page.upto());
        }
        if let Some(event) = page.newest_upto(self.read_upto) {
            self.move_cursor_to(pages, &event.header());
        }
        self.choose_path(from, &runs);
        runs
    }

    /// Takes events from one part of a page. Returns true if the reader has read all of the part.
    fn take_part(
        &mut self,
        part: &Part<'_, Views>,
        frames: &Frames,
        budget: &mut SendBudget,
        runs: &mut Vec<EventRun>,
    ) -> bool {
        let all = part.chunk.events();
        let takes_all = self.takes_all(frames);
        let mut next = part.from;
        while next < all.len() {
            if !budget.is_left() {
                return false;
            }
            if takes_all && all.len() - next <= budget.events && frames.weight(next..all.len()) <= budget.bytes {
                self.take_run(part, frames, next..all.len(), budget, runs);
                return true;
            }
            // Takes the next events in a row that are for this reader and fit into the budget, or steps over one that is not.
            let wanted = |event: &StoredEvent| takes_all || self.filter.matches(event);
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
                self.read_upto = event.seq;
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
            self.read_upto = last.seq;
        }
        let run = EventRun { chunk: Arc::clone(part.chunk), frames: frames.clone(), events };
        budget.spend(&run);
        self.tally.add(run.tally());
        runs.push(run);
    }

    /// True if all of these events are surely for this reader, so that none need be looked at.
    fn takes_all(&self, frames: &Frames) -> bool {
        let visible = match self.filter.owners() {
            Owners::Any => true,
            Owners::NobodyOr(_) => frames.is_common(),
            // Some of the events may be hidden from this reader, so each is asked.
            Owners::Nobody | Owners::Only(_) => false,
        };
        visible && self.filter.is_unrestricted()
    }

    /// Takes the result of a search: all matching events up to the position, or as many as the budget of the search allowed. Takes nothing
    /// if the reader has moved since the search began, or reads by another filter.
    pub(super) fn take_search_result(
        &mut self,
        pages: &Pages<Views>,
        batch: Batch,
        position: &Position,
    ) -> Option<EventRun> {
        if self.searched_from.take() != Some(self.read_upto) || !self.may_take(pages, position.epoch) {
            return None;
        }
        self.average_payload.learn(&batch);
        let (from, Batch { events, reached }) = (self.read_upto, batch);
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        match events.last() {
            Some(last) if reached < position.head => {
                self.read_upto = last.seq;
                self.move_cursor_to(pages, &last.header());
                if count * SEARCH_BELOW_ONE_IN > last.seq - from {
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

    /// Chooses the read path far behind the head: an index for a filter that passes few events, pages for one that passes many.
    fn choose_path(&mut self, from: i64, runs: &[EventRun]) {
        let ReadPath::Pages { seqs, taken } = &mut self.path else { return };
        *seqs += self.read_upto - from;
        *taken += runs.iter().map(|run| i64::try_from(run.tally().events).unwrap_or(i64::MAX)).sum::<i64>();
        if *seqs >= DECIDE_AFTER {
            self.path = if *taken * SEARCH_BELOW_ONE_IN < *seqs { ReadPath::Index } else { ReadPath::PAGES };
        }
    }
}
