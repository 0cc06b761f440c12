//! Whatever happens, what a reader is sent is what its filter passes of the journal, in order, once each. A run is
//! repeated from the number that its failure names.

mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;

use self::reader::{Reader, Work};
use super::{any_event, any_filter, any_owners, node, start_point};
use crate::journal::{Batch, Cursor, Filter, Owners, StoredEvent};
use crate::session::read_state::{Next, ReadState};
use crate::session::{Announcer, Refused, Start, StartPoint};
use crate::tail::pages::tests::{Dice, Journal, ROOMY, jump};
use crate::tail::pages::{Limits, PAGE_BYTES, PAGE_SPAN, PageWriter};
use crate::view::{PRIVATE, Tally, Views};

/// A node, its journal, and those who read.
struct World {
    dice: Dice,
    journal: Journal,
    announcer: Arc<Announcer>,
    writer: PageWriter<Views>,
    /// All that this history ever held, the trimmed too.
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
            let reader = world.reader().await;
            world.readers.push(reader);
        }
        world
    }

    /// A few events, or thousands, or a burnt range.
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
        // As the tail does it: rows, then what was trimmed, then the head.
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

    /// Retention takes what is decided, as a node hears later.
    fn trim(&mut self, head: i64) {
        let upto = self.dice.seq(head + 1);
        let last = self.all.range(..=upto).next_back().map_or(0, |(seq, _)| *seq);
        if last > self.journal.trimmed() {
            self.journal.trim(last);
        }
    }

    /// A failover that loses the newest, or a restore of something else.
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

    fn begin(&self, place: StartPoint, filter: Arc<Filter>, before: Option<Reader>) -> Reader {
        let interest = self.announcer.interest(&filter);
        let state = ReadState::new(place, filter, PRIVATE);
        let last = place.cursor.seq;
        let tally = Tally::default();
        let (work, rests, told_live) = (None, false, false);
        let (since, taken, checked, right) = match before {
            Some(before) => (before.since, before.taken, before.checked, before.right),
            None => (last, Vec::new(), last, 0),
        };
        let as_another = None;
        Reader { state, interest, work, rests, since, taken, checked, right, tally, told_live, last, as_another }
    }

    /// Somebody who begins somewhere.
    async fn reader(&mut self) -> Reader {
        let filter = Arc::new(any_filter(&mut self.dice));
        let position = self.announcer.position();
        let decided: Vec<Cursor> =
            self.all.range(..=position.head).map(|(seq, event)| Cursor::of(*seq, event.id)).collect();
        let undecided = self.all.range(position.head + 1..).next().map(|(_, event)| cursor_for(&filter, event));
        let start = match self.dice.roll(6) {
            0 => Start::Earliest,
            1 => Start::Latest,
            2 if undecided.is_some() && position.known => {
                // Another node was ahead, and the database has said that the event exists.
                let cursor = undecided.unwrap();
                return self.begin(StartPoint { at: cursor.seq, cursor, epoch: position.epoch }, filter, None);
            }
            _ if decided.is_empty() => Start::After(Cursor::START),
            _ => {
                let cursor = *self.dice.pick(&decided);
                Start::After(if self.dice.roll(2) == 0 { cursor } else { Cursor::bare(cursor.seq) })
            }
        };
        match start_point(&self.announcer, start, &filter).await {
            Ok(place) => self.begin(place, filter, None),
            Err(Refused::Expired { oldest }) => {
                assert!(matches!(start, Start::After(cursor) if cursor.seq < self.journal.trimmed()));
                self.check_oldest(oldest);
                let place = start_point(&self.announcer, Start::Latest, &filter).await;
                self.begin(place.unwrap(), filter, None)
            }
            // A node that does not know its head: whoever waits for it has another epoch than any.
            Err(_) => self.begin(StartPoint { at: 0, cursor: Cursor::START, epoch: u64::MAX }, filter, None),
        }
    }

    fn check_oldest(&self, oldest: i64) {
        let (position, trimmed) = (self.announcer.pages().position(), self.journal.trimmed());
        if position.known && position.head > trimmed {
            let kept = self.all.range(trimmed + 1..=position.head).next();
            // The node may not know yet how much was taken.
            assert!(oldest <= kept.map_or(position.head + 1, |(seq, _)| *seq), "{oldest}, {position:?}");
        }
    }

    async fn read(&mut self, number: usize) {
        let mut reader = self.readers.swap_remove(number);
        match self.dice.roll(40) {
            // The connection is lost, and it comes back with what it has.
            0..=2 => reader = self.resume(reader).await,
            3 => reader = self.reader().await,
            4 => {
                // Its role becomes another.
                let filter = Filter::clone(reader.state.filter()).seen_by(any_owners(&mut self.dice));
                reader.as_another = Some(reader.state.cursor());
                reader.state.refilter(Arc::new(filter));
                reader.state.see(self.announcer.pages(), PRIVATE);
                reader.interest = self.announcer.interest(reader.state.filter());
                reader.anew(reader.last);
                reader.rests = false;
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
            // Without its tag nobody can say of which history it was.
            Ok(place) if cursor.tag.is_none() && place.epoch != reader.state.epoch() => self.begin(place, filter, None),
            Ok(place) => self.begin(place, filter, Some(reader)),
            Err(refused) => self.refused(reader, cursor, refused).await,
        }
    }

    /// A refusal must be right; then it begins anew.
    async fn refused(&mut self, reader: Reader, cursor: Cursor, refused: Refused) -> Reader {
        let held = self.all.get(&cursor.seq).is_some_and(|event| cursor.agrees_with(event.id));
        match refused {
            Refused::Expired { oldest } => {
                assert!(cursor.seq < self.journal.trimmed(), "{cursor} is not expired");
                self.check_oldest(oldest);
                self.reader().await
            }
            Refused::Invalid => {
                assert!(!held, "{cursor} was refused and is there");
                self.reader().await
            }
            // Beyond the head, or no head: the same again later.
            Refused::Unavailable(_) | Refused::Busy if self.dice.roll(4) > 0 => reader,
            Refused::Unavailable(_) | Refused::Busy => self.reader().await,
        }
    }

    /// One step of its way, as the doors take it.
    async fn advance(&mut self, mut reader: Reader) -> Reader {
        if let Some(work) = reader.work.take() {
            let announcer = Arc::clone(&self.announcer);
            reader.done(&announcer, work, &mut self.dice);
            self.check(&mut reader);
            return reader;
        }
        if reader.rests {
            if reader.interest.woken().now_or_never().is_none() {
                return reader;
            }
            reader.rests = false;
        }
        let position = reader.interest.look(&mut reader.state);
        match reader.state.next(&position) {
            Next::Page(after) => {
                // A history that ends meanwhile is nothing to take.
                reader.work = self.announcer.pages().page_after(after).await.ok().map(Work::Page);
            }
            Next::Search(after, position) => {
                let limit = 1 + self.dice.seq(60);
                let wants = |event: &StoredEvent| reader.state.filter().matches(event);
                let found = self.journal.between(after, position.head).into_iter().filter(wants);
                let events: Vec<_> = found.take(usize::try_from(limit).unwrap()).collect();
                let is_cut = events.len() == usize::try_from(limit).unwrap();
                let reached = events.last().filter(|_| is_cut).map_or(position.head, |last| last.seq);
                if after < self.journal.trimmed() {
                    return self.reader().await;
                }
                reader.work = Some(Work::Found(Batch { events, reached }, position));
            }
            Next::CaughtUp => {
                assert!(!std::mem::replace(&mut reader.told_live, true), "the backlog ended twice");
                assert!(position.head <= reader.state.cursor().seq || reader.state.has_passed(position.head));
            }
            Next::Idle => reader.rests = true,
            Next::Expired => {
                let trimmed = if reader.state.epoch() == self.history { self.journal.trimmed() } else { i64::MAX };
                assert!(
                    reader.last < trimmed,
                    "expired at {} of {trimmed}: {:?} {position:?}",
                    reader.last,
                    reader.state
                );
                return self.reader().await;
            }
            Next::ProveCursor => {
                let cursor = reader.state.cursor();
                match start_point(&self.announcer, Start::After(cursor), reader.state.filter()).await {
                    Ok(place) => {
                        if cursor.tag.is_none() {
                            reader.anew(place.cursor.seq);
                        }
                        reader.last = place.cursor.seq;
                        reader.state.restart_at(place);
                    }
                    Err(refused) => return self.refused(reader, cursor, refused).await,
                }
            }
        }
        self.check(&mut reader);
        reader
    }

    /// What it was sent is what there is of its filter up to its cursor, which names an event and never goes back.
    fn check(&self, reader: &mut Reader) {
        let cursor = reader.state.cursor();
        assert!(cursor.seq >= reader.last, "{cursor} after {}", reader.last);
        reader.last = cursor.seq;
        assert_eq!(reader.state.tally(), reader.tally);
        if self.announcer.pages().position().epoch != self.history || reader.state.epoch() != self.history {
            return;
        }
        let event = self.all.get(&cursor.seq);
        let right = event.is_none_or(|event| cursor == cursor_for(reader.state.filter(), event));
        // The event need not be at hand when a role changes.
        let kept = reader.as_another == Some(cursor);
        assert!(right || kept || cursor.tag.is_none(), "{cursor} for {:?}", reader.state.filter().owners());
        let floor = cursor.seq == 0 || self.journal.trimmed() >= cursor.seq || cursor.tag.is_none();
        assert!(event.is_some() || floor, "{cursor} names nothing");
        let since = self.all.range(reader.checked.max(reader.since) + 1..).take_while(|(seq, _)| **seq <= cursor.seq);
        for (seq, _) in since.filter(|(_, event)| reader.state.filter().matches(event)) {
            let taken = reader.taken.get(reader.right);
            assert_eq!(taken, Some(seq), "from {} by {:?}, {:?}", reader.since, reader.state, self.announcer.pages());
            reader.right += 1;
        }
        reader.checked = reader.checked.max(cursor.seq);
        assert_eq!(reader.taken.get(reader.right), None, "up to {cursor} by {:?}", reader.state.filter());
    }

    /// All becomes quiet, and everyone comes to the head.
    async fn settle(&mut self) {
        self.writer.trim(self.journal.trimmed());
        let head = self.announcer.pages().position().head;
        self.writer.advance(self.journal.between(head, self.drawn), self.drawn).unwrap();
        self.announce();
        for mut reader in std::mem::take(&mut self.readers) {
            for round in 0.. {
                assert!(round < 20_000, "it does not come to rest: {:?}", reader.state);
                let rested = reader.rests;
                reader = self.advance(reader).await;
                if reader.rests && rested {
                    break;
                }
            }
            // Whoever sleeps is taken along at the next heartbeat.
            reader.interest.look(&mut reader.state);
            let done = reader.told_live && reader.state.has_passed(self.drawn);
            assert!(done, "it has not come to the head {}: {:?}", self.drawn, reader.state);
            let rest = self.all.range(reader.last + 1..).find(|(_, event)| reader.state.filter().matches(event));
            assert_eq!(rest, None, "{:?}", reader.state);
        }
        assert_eq!(self.announcer.interests(), 0);
    }
}

/// The cursor of an event as the reader with this filter is to be sent it. No type is listed, so the public sees nothing.
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
async fn what_a_reader_is_sent_is_what_its_filter_passes() {
    let seeds = std::env::var("ROWCAST_WALK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    for seed in 0..seeds {
        let ended = std::panic::AssertUnwindSafe(run(seed)).catch_unwind().await;
        if let Err(panic) = ended {
            let why = panic.downcast_ref::<String>().map_or("see above", String::as_str);
            panic!("the run of seed {seed}: {why}");
        }
    }
}
