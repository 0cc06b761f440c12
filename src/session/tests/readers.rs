//! Whoever drives a reader, and however it stops waiting for it, the reader is sent what its filter passes: all of it, in
//! order, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{any_event, any_filter, any_owners, filter, node, start_point};
use crate::journal::{Cursor, Filter, StoredEvent};
use crate::session::{Announcer, EventRun, RETRY, Refused, SendBudget, Start, Step, StreamReader};
use crate::tail::pages::tests::{Dice, Journal, ROOMY, cursor, event, jump};
use crate::tail::pages::{Limits, PAGE_SPAN, PageWriter};
use crate::view::{PRIVATE, Tally, Views};

const ROOM: SendBudget = SendBudget { events: 4096, bytes: 256 << 10 };

/// A node that holds these events, and has announced them.
fn begun(seqs: std::ops::RangeInclusive<i64>, limits: Limits) -> (Journal, Arc<Announcer>, PageWriter<Views>) {
    let head = *seqs.end();
    let journal = Journal::new(seqs);
    let (announcer, mut writer) = node(&journal, limits);
    jump(&mut writer, &journal, head);
    announcer.announce(announcer.pages().position());
    (journal, announcer, writer)
}

/// One that keeps no more than the newest page.
const FORGETFUL: Limits = Limits { hot_pages: 1, ..ROOMY };

async fn stream_reader(announcer: &Arc<Announcer>, start: Start, filter: Arc<Filter>) -> StreamReader {
    StreamReader::new(announcer, start_point(announcer, start, &filter).await.unwrap(), filter, PRIVATE)
}

fn seqs(runs: &[EventRun]) -> Vec<i64> {
    runs.iter().flat_map(EventRun::each).map(|(cursor, _)| cursor.seq).collect()
}

/// Steps until it rests; what it was sent on the way.
async fn to_the_end(stream_reader: &mut StreamReader) -> Vec<i64> {
    let mut taken = Vec::new();
    loop {
        match stream_reader.step(ROOM) {
            Step::Advanced(runs) => taken.extend(seqs(&runs)),
            Step::CaughtUp => {}
            Step::Idle(position) => {
                assert!(stream_reader.has_passed(position.head), "it rests before the head: {stream_reader:?}");
                return taken;
            }
            Step::Loading => stream_reader.ready().await,
            other => panic!("{other:?}"),
        }
    }
}

/// One that is driven as doors do: it may be left alone at any moment, asked for a sign of life, or made another's.
struct Driven {
    stream_reader: StreamReader,
    filter: Filter,
    /// Since when it looks for this, and what it was sent since.
    since: i64,
    taken: Vec<i64>,
    tally: Tally,
    told_caught_up: u32,
}

impl Driven {
    fn drive(&mut self, dice: &mut Dice, all: &BTreeMap<i64, StoredEvent>) {
        match dice.roll(12) {
            0 => {
                let before = self.stream_reader.cursor().seq;
                let position = self.stream_reader.look();
                assert!(self.stream_reader.cursor().seq >= before && position.known);
            }
            1 => {
                // What it was sent up to here is judged; what comes is seen with other eyes.
                self.judge(all, self.stream_reader.cursor().seq);
                let owners = any_owners(dice);
                self.filter = self.filter.clone().seen_by(owners.clone());
                self.stream_reader.see_as(owners, PRIVATE);
                (self.since, self.taken) = (self.stream_reader.cursor().seq, Vec::new());
            }
            2..5 => {
                // A door that is woken by something else drops the wait.
                let _either_way = self.stream_reader.ready().now_or_never();
            }
            _ => {
                let room = SendBudget { events: *dice.pick(&[1, 3, 4096]), bytes: *dice.pick(&[1, 3000, 256 << 10]) };
                match self.stream_reader.step(room) {
                    Step::Advanced(runs) => self.take(&runs),
                    Step::CaughtUp => self.told_caught_up += 1,
                    Step::Idle(position) => assert!(self.stream_reader.has_passed(position.head)),
                    Step::Loading => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(self.stream_reader.tally(), self.tally);
    }

    fn take(&mut self, runs: &[EventRun]) {
        for seq in seqs(runs) {
            self.taken.push(seq);
            self.tally.add(Tally::of(seq));
        }
        assert_eq!(runs.iter().map(EventRun::count).sum::<usize>(), seqs(runs).len());
    }

    fn judge(&self, all: &BTreeMap<i64, StoredEvent>, upto: i64) {
        let since = all.range(self.since + 1..=upto.max(self.since + 1)).filter(|(seq, _)| **seq <= upto);
        let right: Vec<i64> = since.filter(|(_, event)| self.filter.matches(event)).map(|(seq, _)| *seq).collect();
        assert_eq!(self.taken, right, "from {} to {upto} by {:?}", self.since, self.stream_reader);
    }
}

async fn run(seed: u64) {
    let mut dice = Dice(seed);
    let journal = Journal::new([]);
    let limits = Limits { hot_pages: *dice.pick(&[1, 2, 64]), ..ROOMY };
    let (announcer, mut writer) = node(&journal, limits);
    let mut all = BTreeMap::new();
    let mut drawn = 0;
    // Not so far that an index would be searched: there is no database behind this journal.
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
            let since = if start == Start::Earliest { 0 } else { announcer.position().head };
            driven.push(Driven {
                stream_reader,
                filter,
                since,
                taken: Vec::new(),
                tally: Tally::default(),
                told_caught_up: 0,
            });
        }
        for one in &mut driven {
            one.drive(&mut dice, &all);
        }
        tokio::task::yield_now().await;
    }
    for one in &mut driven {
        loop {
            match one.stream_reader.step(ROOM) {
                Step::Advanced(runs) => one.take(&runs),
                Step::CaughtUp => one.told_caught_up += 1,
                Step::Idle(_) => break,
                Step::Loading => one.stream_reader.ready().await,
                other => panic!("{other:?}"),
            }
        }
        one.judge(&all, drawn);
        assert_eq!(one.told_caught_up, 1);
    }
    drop(driven);
    assert_eq!(announcer.interests(), 0);
}

#[tokio::test(start_paused = true)]
async fn whatever_a_door_does_meanwhile_nothing_is_lost_or_repeated() {
    for seed in 0..40 {
        if let Err(panic) = std::panic::AssertUnwindSafe(run(seed)).catch_unwind().await {
            let why = panic.downcast_ref::<String>().map_or("see above", String::as_str);
            panic!("the run of seed {seed}: {why}");
        }
    }
}

#[tokio::test]
async fn a_sign_of_life_takes_a_sleeper_along_and_the_next_wait_ends_at_once() {
    let (_journal, announcer, mut writer) = begun(1..=3, ROOMY);
    let mut stream_reader = stream_reader(&announcer, Start::Latest, filter(&[("symbol", "s")])).await;
    assert_eq!(to_the_end(&mut stream_reader).await, [0; 0]);
    let _its_first_look_is_over = stream_reader.ready().now_or_never();
    assert!(matches!(stream_reader.step(ROOM), Step::Idle(_)));
    announcer.announce(writer.advance(vec![event(4)], 4).unwrap());
    assert!(stream_reader.ready().now_or_never().is_none(), "it was woken by what it does not want");
    assert_eq!((stream_reader.look().head, stream_reader.cursor()), (4, cursor(4)));
    // What the look has seen must not be waited for a second time.
    announcer.announce(writer.advance(vec![StoredEvent { symbol: Some("s".to_owned()), ..event(5) }], 5).unwrap());
    stream_reader.look();
    assert!(stream_reader.ready().now_or_never().is_some());
    assert_eq!(to_the_end(&mut stream_reader).await, [5]);
}

#[tokio::test]
async fn what_is_on_its_way_is_not_lost_when_nobody_waits_for_it() {
    let (journal, announcer, _writer) = begun(1..=3 * PAGE_SPAN, FORGETFUL);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.hold();
    assert!(matches!(stream_reader.step(ROOM), Step::Loading));
    for _ in 0..3 {
        assert!(stream_reader.ready().now_or_never().is_none());
        assert!(matches!(stream_reader.step(ROOM), Step::Loading));
    }
    journal.let_through(100);
    assert_eq!(to_the_end(&mut stream_reader).await, (1..=3 * PAGE_SPAN).collect::<Vec<_>>());
    // It was sent for once.
    assert!(journal.loads().0 <= 3, "{:?}", journal.loads());
}

#[tokio::test]
async fn what_was_asked_for_with_other_eyes_is_not_taken() {
    let (journal, announcer, _writer) = begun(1..=3 * PAGE_SPAN, FORGETFUL);
    journal.put([StoredEvent { owner: Some("bob".to_owned()), ..event(7) }]);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.hold();
    assert!(matches!(stream_reader.step(ROOM), Step::Loading));
    assert!(stream_reader.ready().now_or_never().is_none());
    stream_reader.see_as(crate::journal::Owners::Only("bob".to_owned()), PRIVATE);
    journal.let_through(100);
    assert_eq!(to_the_end(&mut stream_reader).await, [7]);
    // The last event is none of his.
    let last = event(3 * PAGE_SPAN);
    assert_eq!((stream_reader.tally(), stream_reader.cursor()), (Tally::of(7), Cursor::of_hidden(last.seq, last.id)));
}

#[tokio::test(start_paused = true)]
async fn while_the_journal_cannot_be_asked_it_asks_again_and_goes_on_where_it_was() {
    let (journal, announcer, _writer) = begun(1..=3 * PAGE_SPAN, FORGETFUL);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.fail(true);
    for _ in 0..2 {
        assert!(matches!(stream_reader.step(ROOM), Step::Loading));
        stream_reader.ready().await;
        let Step::Unavailable(Refused::Unavailable(why)) = stream_reader.step(ROOM) else {
            panic!("{stream_reader:?}")
        };
        assert!(why.contains("as the test wants it"), "{why}");
        let begun = Instant::now();
        // Whoever looks in meanwhile neither hastens nor delays it.
        assert!(tokio::time::timeout(Duration::from_millis(100), stream_reader.ready()).await.is_err());
        assert!(matches!(stream_reader.step(ROOM), Step::Loading));
        stream_reader.look();
        stream_reader.ready().await;
        assert!((RETRY / 2..=RETRY + Duration::from_millis(2)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
    journal.fail(false);
    assert_eq!(to_the_end(&mut stream_reader).await.len(), usize::try_from(3 * PAGE_SPAN).unwrap());
}

#[tokio::test]
async fn what_retention_takes_from_under_it_ends_it_with_what_is_left() {
    let (journal, announcer, mut writer) = begun(1..=3 * PAGE_SPAN, FORGETFUL);
    let mut stream_reader = stream_reader(&announcer, Start::Earliest, filter(&[])).await;
    journal.trim(20);
    writer.trim(20);
    announcer.announce(announcer.pages().position());
    assert!(matches!(stream_reader.step(ROOM), Step::Loading));
    stream_reader.ready().await;
    let Step::Refused(refused) = stream_reader.step(ROOM) else { panic!("{stream_reader:?}") };
    assert_eq!(refused, Refused::Expired { oldest: 21 });
    assert_eq!(stream_reader.cursor(), Cursor::START);
}

#[tokio::test]
async fn another_history_has_its_cursor_proven_again() {
    let (_journal, announcer, mut writer) = begun(1..=3, ROOMY);
    let mut stream_reader = stream_reader(&announcer, Start::Latest, filter(&[])).await;
    to_the_end(&mut stream_reader).await;
    writer.reset();
    announcer.announce(writer.advance(vec![event(1), event(2), event(3), event(4)], 4).unwrap());
    assert_eq!(to_the_end(&mut stream_reader).await, [4]);
    // One that does not hold what was read.
    writer.reset();
    announcer.announce(writer.advance(vec![event(1), any_event(4, 1, &mut Dice(1))], 4).unwrap());
    assert!(matches!(stream_reader.step(ROOM), Step::Loading));
    stream_reader.ready().await;
    assert!(matches!(stream_reader.step(ROOM), Step::Refused(Refused::Invalid)));
}

#[tokio::test]
async fn a_page_that_no_cache_keeps_is_loaded_once_for_a_reader_that_takes_it_in_small_writes() {
    let (journal, announcer, _writer) = begun(1..=3 * PAGE_SPAN, Limits { cache_bytes: 1, ..FORGETFUL });
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
async fn what_the_server_adds_to_a_filter_makes_it_narrow() {
    use crate::journal::Owners;
    let (journal, announcer, _writer) = begun(1..=20 * PAGE_SPAN, FORGETFUL);
    let loads = |owners: Owners| {
        let (announcer, all) = (Arc::clone(&announcer), Filter::default().seen_by(owners));
        let loads = journal.loads().0;
        let journal = journal.clone();
        async move {
            let mut stream_reader = stream_reader(&announcer, Start::Earliest, Arc::new(all)).await;
            assert!(matches!(stream_reader.step(ROOM), Step::Loading));
            stream_reader.ready().now_or_never();
            tokio::task::yield_now().await;
            journal.loads().0 - loads
        }
    };
    // Through an index, for which there is no database here, and not through pages.
    assert_eq!(loads(Owners::Only("alice".to_owned())).await, 0);
    assert_eq!(loads(Owners::Nobody).await, 0);
    assert_eq!(loads(Owners::Any).await, 1);
}
