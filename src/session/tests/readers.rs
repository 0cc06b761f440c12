//! Tests of `StreamReader`: however a transport drives it and stops waiting for it, the reader is sent the events that its filter
//! passes: all of them, in order, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{any_event, any_filter, any_owners, filter, node, start_point};
use crate::journal::{Cursor, Filter, StoredEvent};
use crate::session::{Announcer, EventRun, MAX_RETRY_DELAY, ReadError, SendBudget, Start, Step, StreamReader};
use crate::tail::pages::tests::{Dice, Journal, ROOMY, cursor, event, jump};
use crate::tail::pages::{Limits, PAGE_SPAN, PageWriter};
use crate::view::{PRIVATE, Tally, Views};

const BUDGET: SendBudget = SendBudget { events: 4096, bytes: 256 << 10 };

/// A node that has these events, and has announced them.
fn announced_node(seqs: std::ops::RangeInclusive<i64>, limits: Limits) -> (Journal, Arc<Announcer>, PageWriter<Views>) {
    let head = *seqs.end();
    let journal = Journal::new(seqs);
    let (announcer, mut writer) = node(&journal, limits);
    jump(&mut writer, &journal, head);
    announcer.announce(announcer.pages().position());
    (journal, announcer, writer)
}

/// The limits of a node that keeps only the newest page.
const FORGETFUL: Limits = Limits { hot_pages: 1, ..ROOMY };

async fn stream_reader(announcer: &Arc<Announcer>, start: Start, filter: Arc<Filter>) -> StreamReader {
    StreamReader::new(announcer, start_point(announcer, start, &filter).await.unwrap(), filter, PRIVATE)
}

fn seqs(runs: &[EventRun]) -> Vec<i64> {
    runs.iter().flat_map(EventRun::objects).map(|(cursor, _)| cursor.seq).collect()
}

/// Steps until the reader is idle. Returns the seqs that it was sent.
async fn read_to_head(stream_reader: &mut StreamReader) -> Vec<i64> {
    let mut taken = Vec::new();
    loop {
        match stream_reader.step(BUDGET) {
            Step::Advanced(runs) => taken.extend(seqs(&runs)),
            Step::CaughtUp => {}
            Step::Idle(position) => {
                assert!(
                    stream_reader.has_passed(position.head),
                    "the reader is idle before the head: {stream_reader:?}"
                );
                return taken;
            }
            Step::Loading => stream_reader.ready().await,
            other => panic!("{other:?}"),
        }
    }
}

/// A reader that is driven like a transport drives it: its wait may be dropped, it may be asked to look, and its rights may change.
struct DrivenReader {
    stream_reader: StreamReader,
    filter: Filter,
    /// The seqs that the reader was sent after `record_after`, where it began or its rights changed.
    record_after: i64,
    sent: Vec<i64>,
    tally: Tally,
    told_caught_up: u32,
}

impl DrivenReader {
    /// Does one random action.
    fn drive(&mut self, dice: &mut Dice, all: &BTreeMap<i64, StoredEvent>) {
        match dice.roll(12) {
            0 => {
                let before = self.stream_reader.cursor().seq;
                let position = self.stream_reader.look();
                assert!(self.stream_reader.cursor().seq >= before && position.known);
            }
            1 => {
                // The record so far is checked before the rights of the reader change.
                self.check(all, self.stream_reader.cursor().seq);
                let owners = any_owners(dice);
                self.filter = self.filter.clone().seen_by(owners.clone());
                self.stream_reader.see_as(owners, PRIVATE);
                (self.record_after, self.sent) = (self.stream_reader.cursor().seq, Vec::new());
            }
            2..5 => {
                // A transport that is woken by something else drops the wait.
                let _either_way = self.stream_reader.ready().now_or_never();
            }
            _ => {
                let budget = SendBudget { events: *dice.pick(&[1, 3, 4096]), bytes: *dice.pick(&[1, 3000, 256 << 10]) };
                match self.stream_reader.step(budget) {
                    Step::Advanced(runs) => self.record(&runs),
                    Step::CaughtUp => self.told_caught_up += 1,
                    Step::Idle(position) => assert!(self.stream_reader.has_passed(position.head)),
                    Step::Loading => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(self.stream_reader.tally(), self.tally);
    }

    fn record(&mut self, runs: &[EventRun]) {
        for seq in seqs(runs) {
            self.sent.push(seq);
            self.tally.add(Tally::of(seq));
        }
        assert_eq!(runs.iter().map(EventRun::count).sum::<usize>(), seqs(runs).len());
    }

    /// Checks that the reader was sent all events up to this seq that its filter passes.
    fn check(&self, all: &BTreeMap<i64, StoredEvent>, upto: i64) {
        let since = all.range(self.record_after + 1..=upto.max(self.record_after + 1)).filter(|(seq, _)| **seq <= upto);
        let expected: Vec<i64> = since.filter(|(_, event)| self.filter.matches(event)).map(|(seq, _)| *seq).collect();
        assert_eq!(self.sent, expected, "from {} to {upto} by {:?}", self.record_after, self.stream_reader);
    }
}

async fn run(seed: u64) {
    let mut dice = Dice(seed);
    let journal = Journal::new([]);
    let limits = Limits { hot_pages: *dice.pick(&[1, 2, 64]), ..ROOMY };
    let (announcer, mut writer) = node(&journal, limits);
    let mut all = BTreeMap::new();
    let mut drawn = 0;
    // So few events that no reader searches an index: there is no database behind this journal.
    let mut driven = Vec::new();
    for round in 0..400 {
        if (round == 0 || dice.roll(4) == 0) && drawn < 7 * PAGE_SPAN {
            let mut new = Vec::new();
            for seq in drawn + 1..=drawn + 1 + dice.seq(60) {
                drawn = seq;
                if dice.roll(5) > 0 {
                    new.push(any_event(seq, 0, &mut dice));
                }
            }
            journal.put(new.iter().cloned());
            all.extend(new.iter().map(|event| (event.seq, event.clone())));
            writer.advance(new, drawn).unwrap();
            announcer.announce(announcer.pages().position());
        }
        if driven.len() < 6 {
            let filter = any_filter(&mut dice);
            let start = if dice.roll(2) == 0 { Start::Earliest } else { Start::Latest };
            let stream_reader = stream_reader(&announcer, start, Arc::new(filter.clone())).await;
            let record_after = if start == Start::Earliest { 0 } else { announcer.announced_position().head };
            driven.push(DrivenReader {
                stream_reader,
                filter,
                record_after,
                sent: Vec::new(),
                tally: Tally::default(),
                told_caught_up: 0,
            });
        }
        for reader in &mut driven {
            reader.drive(&mut dice, &all);
        }
        tokio::task::yield_now().await;
    }
    for reader in &mut driven {
        loop {
            match reader.stream_reader.step(BUDGET) {
                Step::Advanced(runs) => reader.record(&runs),
                Step::CaughtUp => reader.told_caught_up += 1,
                Step::Idle(_) => break,
                Step::Loading => reader.stream_reader.ready().await,
                other => panic!("{other:?}"),
            }
        }
        reader.check(&all, drawn);
        assert_eq!(reader.told_caught_up, 1);
    }
    drop(driven);
    assert_eq!(announcer.registered_readers(), 0);
}

#[tokio::test(start_paused = true)]
async fn whatever_a_transport_does_meanwhile_no_event_is_lost_or_repeated() {
    for seed in 0..40 {
        if let Err(panic) = std::panic::AssertUnwindSafe(run(seed)).catch_unwind().await {
            let why = panic.downcast_ref::<String>().map_or("see above", String::as_str);
            panic!("the run of seed {seed}: {why}");
        }
    }
}

#[tokio::test]
async fn a_look_moves_an_idle_reader_to_the_head_and_the_next_wait_ends_at_once() {
    let (_journal, announcer, mut writer) = announced_node(1..=3, ROOMY);
    let mut stream_reader = stream_reader(&announcer, Start::Latest, filter(&[("symbol", "s")])).await;
    assert_eq!(read_to_head(&mut stream_reader).await, [0; 0]);
    let _its_first_look_is_over = stream_reader.ready().now_or_never();
    assert!(matches!(stream_reader.step(BUDGET), Step::Idle(_)));
    announcer.announce(writer.advance(vec![event(4)], 4).unwrap());
    assert!(
        stream_reader.ready().now_or_never().is_none(),
        "the reader was woken by an event that its filter does not pass"
    );
    assert_eq!((stream_reader.look().head, stream_reader.cursor()), (4, cursor(4)));
    // The reader must not wait again for an event that its look has seen.
    announcer.announce(writer.advance(vec![StoredEvent { symbol: Some("s".to_owned()), ..event(5) }], 5).unwrap());
    stream_reader.look();
    assert!(stream_reader.ready().now_or_never().is_some());
    assert_eq!(read_to_head(&mut stream_reader).await, [5]);
}

#[tokio::test]
async fn a_load_under_way_is_not_lost_when_nobody_waits_for_it() {
    let (journal, announcer, _writer) = announced_node(1..=3 * PAGE_SPAN, FORGETFUL);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.hold();
    assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
    for _ in 0..3 {
        assert!(stream_reader.ready().now_or_never().is_none());
        assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
    }
    journal.let_through(100);
    assert_eq!(read_to_head(&mut stream_reader).await, (1..=3 * PAGE_SPAN).collect::<Vec<_>>());
    // No page was loaded twice.
    assert!(journal.loads().0 <= 3, "{:?}", journal.loads());
}

#[tokio::test]
async fn a_load_that_was_asked_for_with_former_rights_is_not_taken() {
    let (journal, announcer, _writer) = announced_node(1..=3 * PAGE_SPAN, FORGETFUL);
    journal.put([StoredEvent { owner: Some("bob".to_owned()), ..event(7) }]);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.hold();
    assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
    assert!(stream_reader.ready().now_or_never().is_none());
    stream_reader.see_as(crate::journal::Owners::Only("bob".to_owned()), PRIVATE);
    journal.let_through(100);
    assert_eq!(read_to_head(&mut stream_reader).await, [7]);
    // Bob may not see the last event.
    let last = event(3 * PAGE_SPAN);
    assert_eq!((stream_reader.tally(), stream_reader.cursor()), (Tally::of(7), Cursor::of_hidden(last.seq, last.id)));
}

#[tokio::test(start_paused = true)]
async fn while_the_journal_cannot_be_read_the_reader_tries_again_and_goes_on_where_it_was() {
    let (journal, announcer, _writer) = announced_node(1..=3 * PAGE_SPAN, FORGETFUL);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.fail(true);
    for _ in 0..2 {
        assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
        stream_reader.ready().await;
        let Step::Unavailable(ReadError::Unavailable(why)) = stream_reader.step(BUDGET) else {
            panic!("{stream_reader:?}")
        };
        assert!(why.contains("as the test wants it"), "{why}");
        let begun = Instant::now();
        // Steps and looks in between neither hasten nor delay the retry.
        assert!(tokio::time::timeout(Duration::from_millis(100), stream_reader.ready()).await.is_err());
        assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
        stream_reader.look();
        stream_reader.ready().await;
        assert!(
            (MAX_RETRY_DELAY / 2..=MAX_RETRY_DELAY + Duration::from_millis(2)).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
    }
    journal.fail(false);
    assert_eq!(read_to_head(&mut stream_reader).await.len(), usize::try_from(3 * PAGE_SPAN).unwrap());
}

#[tokio::test]
async fn a_reader_whose_next_events_are_trimmed_ends_with_the_oldest_seq_that_is_kept() {
    let (journal, announcer, mut writer) = announced_node(1..=3 * PAGE_SPAN, FORGETFUL);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.trim(20);
    writer.trim(20);
    announcer.announce(announcer.pages().position());
    assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
    stream_reader.ready().await;
    let Step::Failed(error) = stream_reader.step(BUDGET) else { panic!("{stream_reader:?}") };
    assert_eq!(error, ReadError::CursorExpired { oldest: 21 });
    assert_eq!(stream_reader.cursor(), Cursor::START);
}

#[tokio::test]
async fn a_reader_proves_its_cursor_again_in_another_history() {
    let (_journal, announcer, mut writer) = announced_node(1..=3, ROOMY);
    let mut stream_reader = stream_reader(&announcer, Start::Latest, filter(&[])).await;
    read_to_head(&mut stream_reader).await;
    writer.reset();
    announcer.announce(writer.advance(vec![event(1), event(2), event(3), event(4)], 4).unwrap());
    assert_eq!(read_to_head(&mut stream_reader).await, [4]);
    // Another history that does not have the event of the cursor.
    writer.reset();
    announcer.announce(writer.advance(vec![event(1), any_event(4, 1, &mut Dice(1))], 4).unwrap());
    assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
    stream_reader.ready().await;
    assert!(matches!(stream_reader.step(BUDGET), Step::Failed(ReadError::CursorInvalid)));
}

#[tokio::test]
async fn a_page_that_no_cache_keeps_is_loaded_once_for_a_reader_that_takes_it_in_small_writes() {
    let (journal, announcer, _writer) = announced_node(1..=3 * PAGE_SPAN, Limits { cache_bytes: 1, ..FORGETFUL });
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    let mut taken = Vec::new();
    while taken.len() < 2 * 512 {
        match stream_reader.step(SendBudget { events: 1, bytes: 1 }) {
            Step::Advanced(runs) => taken.extend(seqs(&runs)),
            Step::Loading => stream_reader.ready().await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, (1..=2 * PAGE_SPAN).collect::<Vec<_>>());
    assert_eq!(journal.loads().0, 2);
}

#[tokio::test]
async fn the_owners_that_the_server_adds_to_a_filter_make_it_narrow() {
    use crate::journal::Owners;
    let (journal, announcer, _writer) = announced_node(1..=20 * PAGE_SPAN, FORGETFUL);
    let pages_loaded = |owners: Owners| {
        let (announcer, all) = (Arc::clone(&announcer), Filter::default().seen_by(owners));
        let before = journal.loads().0;
        let journal = journal.clone();
        async move {
            let mut stream_reader = stream_reader(&announcer, Start::Earliest, Arc::new(all)).await;
            assert!(matches!(stream_reader.step(BUDGET), Step::Loading));
            stream_reader.ready().now_or_never();
            tokio::task::yield_now().await;
            journal.loads().0 - before
        }
    };
    // A narrow filter searches an index, which needs the database, and loads no page.
    assert_eq!(pages_loaded(Owners::Only("alice".to_owned())).await, 0);
    assert_eq!(pages_loaded(Owners::Nobody).await, 0);
    assert_eq!(pages_loaded(Owners::Any).await, 1);
}
