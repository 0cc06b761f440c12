//! A random test: whatever happens, a reader is sent the events that its filter passes, in order, once each. A failure names the
//! seed with which the run can be repeated.

mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;

use self::reader::{Load, Reader};
use super::{any_event, any_filter, any_owners, node, start_point};
use crate::journal::{Batch, Cursor, Filter, Owners, StoredEvent};
use crate::session::read_state::NextAction;
use crate::session::{Announcer, ReadError, Start, StartPoint};
use crate::tail::pages::tests::{Dice, Journal, ROOMY, jump};
use crate::tail::pages::{Limits, PAGE_BYTES, PAGE_SPAN, PageWriter};
use crate::view::{PRIVATE, Views};

/// A node, its journal, and its readers.
struct World {
    dice: Dice,
    journal: Journal,
    announcer: Arc<Announcer>,
    writer: PageWriter<Views>,
    /// All events of this history, also the trimmed ones.
    all: BTreeMap<i64, StoredEvent>,
    history: u64,
    drawn: i64,
    readers: Vec<Reader>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let journal = Journal::new([]);
        let limits = Limits {
            hot_pages: *dice.pick(&[1, 2, 5, 64]),
            cache_bytes: *dice.pick(&[500_000, 64 << 20, 64 << 20, 64 << 20]),
            page_bytes: *dice.pick(&[2000, PAGE_BYTES, PAGE_BYTES, PAGE_BYTES]),
            ..ROOMY
        };
        let (announcer, writer) = node(&journal, limits);
        let (all, readers) = (BTreeMap::new(), Vec::new());
        let mut world = Self { dice, journal, announcer, writer, all, history: 0, drawn: 0, readers };
        world.draw();
        world.jump(world.drawn);
        world.announce();
        for _ in 0..4 {
            let reader = world.new_reader().await;
            world.readers.push(reader);
        }
        world
    }

    /// Commits a few events, or thousands, or leaves a range of seqs without events.
    fn draw(&mut self) {
        let count = match self.dice.roll(12) {
            0 => 1000 + self.dice.seq(2000),
            1 => PAGE_SPAN - self.drawn % PAGE_SPAN,
            2 => {
                self.drawn += self.dice.seq(12_000);
                1
            }
            _ => self.dice.seq(60),
        };
        let keep_of_ten = 1 + self.dice.roll(10);
        for _ in 0..count {
            self.drawn += 1;
            if self.dice.roll(10) < keep_of_ten {
                let event = any_event(self.drawn, self.history, &mut self.dice);
                self.journal.put([event.clone()]);
                self.all.insert(self.drawn, event);
            }
        }
    }

    fn jump(&mut self, head: i64) {
        // In the order of the tail: first the trimmed seq, then the head.
        self.writer.trim(self.journal.trimmed());
        jump(&mut self.writer, &self.journal, head);
    }

    fn announce(&mut self) {
        self.announcer.announce(self.announcer.pages().position());
    }

    async fn step(&mut self) {
        let head = self.announcer.pages().position().head;
        match self.dice.roll(30) {
            0..=3 => self.draw(),
            4..=7 => {
                let to = head + self.dice.seq(self.drawn - head + 1);
                self.writer.advance(self.journal.between(head, to), to).unwrap();
            }
            8 => {
                let to = head + self.dice.seq(self.drawn - head + 1);
                self.jump(to);
            }
            9..=12 => self.announce(),
            13 if self.dice.roll(3) == 0 => self.trim(head),
            14 => self.writer.trim(self.journal.trimmed()),
            15 if self.dice.roll(8) == 0 => self.replace_history(),
            _ => {
                let number = usize::try_from(self.dice.roll(4)).unwrap();
                self.read(number).await;
            }
        }
    }

    /// Trims the journal up to a random seq below the head. The node learns of it later.
    fn trim(&mut self, head: i64) {
        let upto = self.dice.seq(head + 1);
        let last = self.all.range(..=upto).next_back().map_or(0, |(seq, _)| *seq);
        if last > self.journal.trimmed() {
            self.journal.trim(last);
        }
    }

    /// Begins another history: a failover that loses the newest events, or a restore that has none.
    fn replace_history(&mut self) {
        self.history += 1;
        let kept = if self.dice.roll(2) == 0 { self.dice.seq(self.drawn + 1) } else { 0 };
        self.all.retain(|seq, _| *seq <= kept);
        let trimmed = self.journal.trimmed().min(self.all.keys().next_back().copied().unwrap_or(0));
        self.journal.clear();
        self.journal.trim(trimmed);
        self.journal.put(self.all.range(trimmed + 1..).map(|(_, event)| event.clone()));
        self.drawn = kept;
        self.writer.reset();
        self.writer.trim(trimmed);
        if self.dice.roll(2) == 0 {
            self.announce();
        }
        self.draw();
        if self.dice.roll(2) == 0 {
            self.jump(self.drawn);
        }
    }

    fn begin(&self, start: StartPoint, filter: Arc<Filter>, before: Option<Reader>) -> Reader {
        Reader::begin(&self.announcer, start, filter, before)
    }

    /// A new reader, with a random filter and a random start.
    async fn new_reader(&mut self) -> Reader {
        let filter = Arc::new(any_filter(&mut self.dice));
        let position = self.announcer.announced_position();
        let decided: Vec<Cursor> =
            self.all.range(..=position.head).map(|(seq, event)| Cursor::of(*seq, event.id)).collect();
        let undecided = self.all.range(position.head + 1..).next().map(|(_, event)| cursor_for(&filter, event));
        let start = match self.dice.roll(6) {
            0 => Start::Earliest,
            1 => Start::Latest,
            2 if undecided.is_some() && position.known => {
                // As if another node had been ahead, and the database had confirmed the event.
                let cursor = undecided.unwrap();
                return self.begin(StartPoint { after: cursor.seq, cursor, epoch: position.epoch }, filter, None);
            }
            _ if decided.is_empty() => Start::After(Cursor::START),
            _ => {
                let cursor = *self.dice.pick(&decided);
                Start::After(if self.dice.roll(2) == 0 { cursor } else { Cursor::bare(cursor.seq) })
            }
        };
        match start_point(&self.announcer, start, &filter).await {
            Ok(start) => self.begin(start, filter, None),
            Err(ReadError::CursorExpired { oldest }) => {
                assert!(matches!(start, Start::After(cursor) if cursor.seq < self.journal.trimmed()));
                self.check_oldest(oldest);
                let start = start_point(&self.announcer, Start::Latest, &filter).await;
                self.begin(start.unwrap(), filter, None)
            }
            // The node does not know its head. The reader gets an epoch that no history has, so that it proves its cursor first.
            Err(_) => self.begin(StartPoint { after: 0, cursor: Cursor::START, epoch: u64::MAX }, filter, None),
        }
    }

    fn check_oldest(&self, oldest: i64) {
        let (position, trimmed) = (self.announcer.pages().position(), self.journal.trimmed());
        if position.known && position.head > trimmed {
            let kept = self.all.range(trimmed + 1..=position.head).next();
            // The node may not know yet how much was trimmed.
            assert!(oldest <= kept.map_or(position.head + 1, |(seq, _)| *seq), "{oldest}, {position:?}");
        }
    }

    async fn read(&mut self, number: usize) {
        let mut reader = self.readers.swap_remove(number);
        match self.dice.roll(40) {
            // The connection is lost, and the client comes back with its cursor.
            0..=2 => reader = self.resume(reader).await,
            3 => reader = self.new_reader().await,
            4 => {
                // The role of the reader changes.
                let filter = Filter::clone(reader.state.filter()).seen_by(any_owners(&mut self.dice));
                reader.cursor_at_role_change = Some(reader.state.cursor());
                reader.state.set_filter(Arc::new(filter));
                reader.state.set_view(self.announcer.pages(), PRIVATE);
                reader.registration = self.announcer.register(reader.state.filter());
                reader.restart_record(reader.last_seq);
                reader.is_idle = false;
            }
            _ => {
                let steps = 1 + self.dice.roll(8);
                for _ in 0..steps {
                    reader = self.advance(reader).await;
                }
            }
        }
        self.readers.push(reader);
    }

    async fn resume(&mut self, reader: Reader) -> Reader {
        let cursor = reader.state.cursor();
        let cursor = if self.dice.roll(2) == 0 { cursor } else { Cursor::bare(cursor.seq) };
        let filter = Arc::clone(reader.state.filter());
        match start_point(&self.announcer, Start::After(cursor), &filter).await {
            // A cursor without a tag does not tell which history it belongs to, so the record begins anew.
            Ok(start) if cursor.tag.is_none() && start.epoch != reader.state.epoch() => self.begin(start, filter, None),
            Ok(start) => self.begin(start, filter, Some(reader)),
            Err(error) => self.handle_error(reader, cursor, error).await,
        }
    }

    /// Checks that an error is right. Then the reader is replaced by a new one.
    async fn handle_error(&mut self, reader: Reader, cursor: Cursor, error: ReadError) -> Reader {
        let held = self.all.get(&cursor.seq).is_some_and(|event| cursor.agrees_with(event.id));
        match error {
            ReadError::CursorExpired { oldest } => {
                assert!(cursor.seq < self.journal.trimmed(), "{cursor} is not expired");
                self.check_oldest(oldest);
                self.new_reader().await
            }
            ReadError::CursorInvalid => {
                assert!(!held, "{cursor} was refused and is there");
                self.new_reader().await
            }
            // The cursor is beyond the head, or the head is not known: the reader mostly tries again later.
            ReadError::Unavailable(_) | ReadError::Busy if self.dice.roll(4) > 0 => reader,
            ReadError::Unavailable(_) | ReadError::Busy => self.new_reader().await,
        }
    }

    /// One step of a reader, as `StreamReader` takes it.
    async fn advance(&mut self, mut reader: Reader) -> Reader {
        if let Some(load) = reader.load.take() {
            let announcer = Arc::clone(&self.announcer);
            reader.take_load(&announcer, load, &mut self.dice);
            self.check(&mut reader);
            return reader;
        }
        if reader.is_idle {
            if reader.registration.wait().now_or_never().is_none() {
                return reader;
            }
            reader.is_idle = false;
        }
        let position = reader.registration.look(&mut reader.state);
        match reader.state.next(&position) {
            NextAction::Page(after) => {
                // If the history ends meanwhile, there is nothing to take.
                reader.load = self.announcer.pages().page_after(after).await.ok().map(Load::Page);
            }
            NextAction::Search(after, position) => {
                let limit = 1 + self.dice.seq(60);
                let wants = |event: &StoredEvent| reader.state.filter().matches(event);
                let found = self.journal.between(after, position.head).into_iter().filter(wants);
                let events: Vec<_> = found.take(usize::try_from(limit).unwrap()).collect();
                let is_cut = events.len() == usize::try_from(limit).unwrap();
                let reached = events.last().filter(|_| is_cut).map_or(position.head, |last| last.seq);
                if after < self.journal.trimmed() {
                    return self.new_reader().await;
                }
                reader.load = Some(Load::SearchResult(Batch { events, reached }, position));
            }
            NextAction::CaughtUp => {
                assert!(!std::mem::replace(&mut reader.told_caught_up, true), "the backlog ended twice");
                assert!(position.head <= reader.state.cursor().seq || reader.state.has_passed(position.head));
            }
            NextAction::Idle => reader.is_idle = true,
            NextAction::Expired => {
                let trimmed = if reader.state.epoch() == self.history { self.journal.trimmed() } else { i64::MAX };
                assert!(
                    reader.last_seq < trimmed,
                    "expired at {} of {trimmed}: {:?} {position:?}",
                    reader.last_seq,
                    reader.state
                );
                return self.new_reader().await;
            }
            NextAction::ProveCursor => {
                let cursor = reader.state.cursor();
                match start_point(&self.announcer, Start::After(cursor), reader.state.filter()).await {
                    Ok(start) => {
                        if cursor.tag.is_none() {
                            reader.restart_record(start.cursor.seq);
                        }
                        reader.last_seq = start.cursor.seq;
                        reader.state.restart_at(start);
                    }
                    Err(error) => return self.handle_error(reader, cursor, error).await,
                }
            }
        }
        self.check(&mut reader);
        reader
    }

    /// Checks that the reader was sent all events up to its cursor that its filter passes, and that the cursor names an event and has
    /// not gone back.
    fn check(&self, reader: &mut Reader) {
        let cursor = reader.state.cursor();
        assert!(cursor.seq >= reader.last_seq, "{cursor} after {}", reader.last_seq);
        reader.last_seq = cursor.seq;
        assert_eq!(reader.state.tally(), reader.tally);
        if self.announcer.pages().position().epoch != self.history || reader.state.epoch() != self.history {
            return;
        }
        let event = self.all.get(&cursor.seq);
        let right = event.is_none_or(|event| cursor == cursor_for(reader.state.filter(), event));
        // When the role changes, the cursor keeps its tag if the event is not in memory.
        let kept = reader.cursor_at_role_change == Some(cursor);
        assert!(right || kept || cursor.tag.is_none(), "{cursor} for {:?}", reader.state.filter().owners());
        let needs_no_event = cursor.seq == 0 || self.journal.trimmed() >= cursor.seq || cursor.tag.is_none();
        assert!(event.is_some() || needs_no_event, "{cursor} names nothing");
        let new = self
            .all
            .range(reader.checked_upto.max(reader.record_after) + 1..)
            .take_while(|(seq, _)| **seq <= cursor.seq);
        for (seq, _) in new.filter(|(_, event)| reader.state.filter().matches(event)) {
            let sent = reader.sent.get(reader.sent_checked);
            assert_eq!(
                sent,
                Some(seq),
                "from {} by {:?}, {:?}",
                reader.record_after,
                reader.state,
                self.announcer.pages()
            );
            reader.sent_checked += 1;
        }
        reader.checked_upto = reader.checked_upto.max(cursor.seq);
        assert_eq!(reader.sent.get(reader.sent_checked), None, "up to {cursor} by {:?}", reader.state.filter());
    }

    /// Decides and announces everything, and lets every reader come to the head.
    async fn settle(&mut self) {
        self.writer.trim(self.journal.trimmed());
        let head = self.announcer.pages().position().head;
        self.writer.advance(self.journal.between(head, self.drawn), self.drawn).unwrap();
        self.announce();
        for mut reader in std::mem::take(&mut self.readers) {
            for round in 0.. {
                assert!(round < 20_000, "the reader does not come to rest: {:?}", reader.state);
                let was_idle = reader.is_idle;
                reader = self.advance(reader).await;
                if reader.is_idle && was_idle {
                    break;
                }
            }
            // A heartbeat moves a reader that waits to the head.
            reader.registration.look(&mut reader.state);
            let done = reader.told_caught_up && reader.state.has_passed(self.drawn);
            assert!(done, "the reader has not come to the head {}: {:?}", self.drawn, reader.state);
            let missed = self.all.range(reader.last_seq + 1..).find(|(_, event)| reader.state.filter().matches(event));
            assert_eq!(missed, None, "{:?}", reader.state);
        }
        assert_eq!(self.announcer.registered_readers(), 0);
    }
}

/// The cursor of an event for the reader with this filter. No type is public, so a reader from the public sees no event.
fn cursor_for(filter: &Filter, event: &StoredEvent) -> Cursor {
    let owners = filter.owners();
    let visible = *owners != Owners::Nobody && owners.include(event.owner.as_deref());
    if visible { Cursor::of(event.seq, event.id) } else { Cursor::of_hidden(event.seq, event.id) }
}

async fn run(seed: u64) {
    let mut world = World::new(seed).await;
    for _ in 0..200 {
        world.step().await;
    }
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_sent_the_events_that_its_filter_passes() {
    let seeds = std::env::var("ROWCAST_WALK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    for seed in 0..seeds {
        let ended = std::panic::AssertUnwindSafe(run(seed)).catch_unwind().await;
        if let Err(panic) = ended {
            let why = panic.downcast_ref::<String>().map_or("see above", String::as_str);
            panic!("the run of seed {seed}: {why}");
        }
    }
}
