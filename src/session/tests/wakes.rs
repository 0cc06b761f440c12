//! Tests of wake-ups: an event wakes the readers whose filter passes it and no others, whatever happens at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use uuid::Uuid;

use super::{filter, node, start_point};
use crate::journal::{Filter, StoredEvent};
use crate::session::announcer::Registration;
use crate::session::read_state::{NextAction, ReadState};
use crate::session::{Announcer, EventRun, GATHER_MIN_READERS, GATHER_TIME, SendBudget, Start, StartPoint};
use crate::shutdown::Shutdown;
use crate::tail::pages::tests::{Journal, ROOMY, cursor, event};
use crate::tail::pages::{Limits, PageWriter};
use crate::view::{PRIVATE, Views};

/// The number of trades that have readers.
const TRADES: i64 = 40;
/// The number of a trade that has no reader.
const UNREAD_TRADE: i64 = 1000;

fn trade_id(number: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap())
}

fn trade_filter(number: i64) -> Arc<Filter> {
    filter(&[("trade_id", trade_id(number).to_string().as_str())])
}

fn trade_event(seq: i64, number: i64) -> StoredEvent {
    StoredEvent { trade_id: Some(trade_id(number)), ..event(seq) }
}

async fn reader(announcer: &Arc<Announcer>, filter: Arc<Filter>) -> (ReadState, Registration) {
    let start = start_point(announcer, Start::Latest, &filter).await.unwrap();
    let registration = announcer.register(&filter);
    (ReadState::new(start, filter, PRIVATE), registration)
}

/// A node that has announced the head 0.
fn announced_node(limits: Limits) -> (Arc<Announcer>, PageWriter<Views>) {
    let (announcer, mut writer) = node(&Journal::new([]), limits);
    writer.advance(Vec::new(), 0).unwrap();
    announcer.announce(announcer.pages().position());
    (announcer, writer)
}

/// Decides and announces these events. Returns the number of readers woken.
fn announce_events(announcer: &Announcer, writer: &mut PageWriter<Views>, events: Vec<StoredEvent>) -> usize {
    let head = events.last().unwrap().seq;
    announcer.announce(writer.advance(events, head).unwrap())
}

/// True if the reader need not wait. Uses up the wake-up.
fn is_woken(registration: &mut Registration) -> bool {
    registration.wait().now_or_never().is_some()
}

/// Lets a reader look until it is idle.
fn become_idle(state: &mut ReadState, registration: &mut Registration) {
    let position = registration.look(state);
    let next = [state.next(&position), state.next(&position)];
    assert!(matches!(next, [_, NextAction::Idle]), "{next:?}");
    is_woken(registration);
}

#[tokio::test]
async fn an_event_wakes_the_readers_whose_filter_passes_it_and_a_look_moves_the_others_to_the_head() {
    let (announcer, mut writer) = announced_node(ROOMY);
    let mut readers = Vec::new();
    for number in 0..TRADES {
        readers.push(reader(&announcer, trade_filter(number)).await);
    }
    for (state, registration) in &mut readers {
        assert!(is_woken(registration), "a new reader looks before it waits");
        become_idle(state, registration);
    }
    assert_eq!(announcer.registered_readers(), 40);
    let unread = (1..=400).map(|seq| trade_event(seq, UNREAD_TRADE)).collect();
    assert_eq!(announce_events(&announcer, &mut writer, unread), 0);
    for (state, registration) in &mut readers {
        assert!(!is_woken(registration));
        become_idle(state, registration);
        // The look of a heartbeat has moved the reader to the head.
        assert!(state.has_passed(400) && state.cursor().seq == 400);
    }
    // Several events for one reader wake it once.
    assert_eq!(
        announce_events(
            &announcer,
            &mut writer,
            vec![trade_event(401, 3), trade_event(402, 3), trade_event(403, UNREAD_TRADE)]
        ),
        1
    );
    assert_eq!(announce_events(&announcer, &mut writer, vec![trade_event(404, 3)]), 0);
    for (number, (state, registration)) in readers.iter_mut().enumerate() {
        assert_eq!(is_woken(registration), number == 3);
        let position = registration.look(state);
        assert_eq!(state.next(&position), if number == 3 { NextAction::Page(400) } else { NextAction::Idle });
    }
    drop(readers);
    assert_eq!(announcer.registered_readers(), 0);
    assert!(!format!("{announcer:?}").contains("wants"));
}

#[tokio::test]
async fn a_reader_that_registers_before_or_after_an_announcement_finds_the_event() {
    let (announcer, mut writer) = announced_node(ROOMY);
    let filter = trade_filter(1);
    let (mut state, mut before) = reader(&announcer, Arc::clone(&filter)).await;
    let mut second = announcer.register(&filter);
    announce_events(&announcer, &mut writer, vec![trade_event(1, 1)]);
    let mut after = announcer.register(&filter);
    for registration in [&mut before, &mut second, &mut after] {
        assert!(is_woken(registration));
        let position = registration.look(&mut state);
        assert_eq!((state.next(&position), state.has_passed(1)), (NextAction::Page(0), false));
    }
    drop((before, second));
    assert_eq!(announcer.registered_readers(), 1);
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_no_wake_up() {
    let (announcer, mut writer) = announced_node(ROOMY);
    let (mut state, mut registration) = reader(&announcer, trade_filter(1)).await;
    become_idle(&mut state, &mut registration);
    let mut waiting = Box::pin(registration.wait());
    assert!(waiting.as_mut().now_or_never().is_none());
    announce_events(&announcer, &mut writer, vec![trade_event(1, 1)]);
    drop(waiting);
    assert!(is_woken(&mut registration));
    // A registration that is dropped after a wait leaves nothing behind.
    let mut waiting = Box::pin(registration.wait());
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(waiting);
    drop(registration);
    assert_eq!(
        (announcer.registered_readers(), announce_events(&announcer, &mut writer, vec![trade_event(2, 1)])),
        (0, 0)
    );
}

#[tokio::test]
async fn a_reader_ahead_of_this_node_is_told_when_the_head_has_come_to_it() {
    let (announcer, mut writer) = announced_node(ROOMY);
    let filter = trade_filter(1);
    let start = StartPoint { after: 20, cursor: cursor(20), epoch: 0 };
    let (mut state, mut registration) =
        (ReadState::new(start, Arc::clone(&filter), PRIVATE), announcer.register(&filter));
    for head in [10, 20, 30] {
        become_idle(&mut state, &mut registration);
        assert_eq!(announce_events(&announcer, &mut writer, vec![trade_event(head, UNREAD_TRADE)]) > 0, head <= 20);
        assert_eq!(is_woken(&mut registration), head <= 20);
        let position = registration.look(&mut state);
        assert_eq!(state.next(&position), if head == 20 { NextAction::CaughtUp } else { NextAction::Idle });
    }
    assert!(state.has_passed(30));
}

#[tokio::test]
async fn another_history_too_many_events_and_a_trim_beyond_the_head_wake_everyone() {
    let (announcer, mut writer) = announced_node(Limits { hot_pages: 2, cache_bytes: 0, ..ROOMY });
    let (mut state, mut registration) = reader(&announcer, trade_filter(1)).await;
    become_idle(&mut state, &mut registration);
    // More events than the pages in memory have.
    assert_eq!(
        announce_events(&announcer, &mut writer, (1..=5000).map(|seq| trade_event(seq, UNREAD_TRADE)).collect()),
        1
    );
    assert!(is_woken(&mut registration));
    registration.look(&mut state);
    // A trim beyond the announced head: events may be missing from the pages of this node.
    writer.trim(5010);
    assert_eq!(announce_events(&announcer, &mut writer, vec![trade_event(5020, UNREAD_TRADE)]), 1);
    assert!(is_woken(&mut registration));
    let position = registration.look(&mut state);
    assert_eq!(state.next(&position), NextAction::Expired);
    drop(registration);
    let (mut state, mut registration) = reader(&announcer, trade_filter(1)).await;
    become_idle(&mut state, &mut registration);
    announcer.announce(writer.reset());
    assert!(is_woken(&mut registration));
    let position = registration.look(&mut state);
    assert_eq!(state.next(&position), NextAction::ProveCursor);
    // The head of the new history becomes known.
    assert_eq!(announce_events(&announcer, &mut writer, vec![trade_event(9, UNREAD_TRADE)]), 1);
    assert!(is_woken(&mut registration));
}

#[tokio::test]
async fn the_announced_head_of_a_history_that_has_ended_already_hides_no_event() {
    let (announcer, mut writer) = announced_node(ROOMY);
    let (mut state, mut registration) = reader(&announcer, trade_filter(1)).await;
    become_idle(&mut state, &mut registration);
    let decided = writer.advance(vec![trade_event(1, 1)], 1).unwrap();
    writer.reset();
    writer.advance(vec![trade_event(5, UNREAD_TRADE)], 5).unwrap();
    announcer.announce(decided);
    assert!(is_woken(&mut registration));
    let position = registration.look(&mut state);
    assert_ne!(state.next(&position), NextAction::Idle, "the event of the reader was skipped");
    assert!(!state.has_passed(1));
}

#[tokio::test(start_paused = true)]
async fn announcements_to_many_readers_are_gathered_and_to_few_are_not() {
    for (waiting, gathered) in [(GATHER_MIN_READERS - 1, false), (GATHER_MIN_READERS, true)] {
        let (announcer, mut writer) = announced_node(ROOMY);
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Arc::clone(&announcer).run(shutdown.clone()));
        let all: Vec<_> = (0..waiting).map(|_| announcer.register(&filter(&[]))).collect();
        // Whether the first announcement waits depends on the one at the start, so its time is not checked for a lower bound.
        let mut announced = announcer.announced_position();
        let mut times = Vec::new();
        for seq in 1..=3 {
            let begun = Instant::now();
            writer.advance(vec![event(seq)], seq).unwrap();
            let mut position = announcer.pages().subscribe();
            position.mark_unchanged();
            while announced.head < seq {
                tokio::time::sleep(Duration::from_micros(1)).await;
                announced = announcer.announced_position();
            }
            times.push(begun.elapsed());
        }
        let late = times[1..].iter().all(|time| *time >= GATHER_TIME - Duration::from_millis(2));
        assert_eq!(late, gathered, "{waiting}: {times:?}");
        assert!(times.iter().all(|time| *time <= GATHER_TIME + Duration::from_millis(2)), "{times:?}");
        drop(all);
        shutdown.cancel();
        running.await.unwrap();
    }
}

/// Reads beyond the seq `last`. Returns the seqs that the reader was sent, and how often it was woken.
async fn follow(announcer: Arc<Announcer>, number: i64, last: i64) -> (Vec<i64>, usize) {
    let filter = if number < TRADES { trade_filter(number) } else { filter(&[]) };
    let (mut state, mut registration) = reader(&announcer, filter).await;
    let (mut seen, mut woken) = (Vec::new(), 0);
    loop {
        let position = registration.look(&mut state);
        match state.next(&position) {
            NextAction::Page(after) => {
                let page = announcer.pages().page_after(after).await.unwrap();
                let mut budget = SendBudget { events: 50, bytes: 1 << 20 };
                let runs = state.take(announcer.pages(), &page, &mut budget);
                seen.extend(runs.iter().flat_map(EventRun::objects).map(|(cursor, _)| cursor.seq));
            }
            NextAction::Idle if seen.last().is_some_and(|seq| *seq > last) => return (seen, woken),
            NextAction::Idle => {
                registration.wait().await;
                woken += 1;
            }
            NextAction::CaughtUp => {}
            next => panic!("{next:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_while_readers_and_announcements_race() {
    // So few events that no reader, however slow, searches an index.
    const LAST: i64 = 3500;
    let (announcer, mut writer) = announced_node(ROOMY);
    let shutdown = Shutdown::new();
    let running = tokio::spawn(Arc::clone(&announcer).run(shutdown.clone()));
    let readers: Vec<_> = (0..TRADES + 3)
        .map(|number| {
            tokio::spawn(follow(Arc::clone(&announcer), number, if number < TRADES { LAST } else { LAST + TRADES - 1 }))
        })
        .collect();
    while announcer.registered_readers() < usize::try_from(TRADES).unwrap() {
        tokio::task::yield_now().await;
    }
    for seq in 1..=LAST {
        writer.advance(vec![trade_event(seq, seq % (2 * TRADES))], seq).unwrap();
        if seq % 3 == 0 {
            // Other readers come and go.
            drop(announcer.register(&trade_filter(seq % TRADES)));
            tokio::task::yield_now().await;
        }
    }
    // One last event for each trade.
    writer.advance((0..TRADES).map(|number| trade_event(LAST + 1 + number, number)).collect(), LAST + TRADES).unwrap();
    for (number, follower) in (0..).zip(readers) {
        let (seen, woken) = tokio::time::timeout(Duration::from_secs(30), follower).await.unwrap().unwrap();
        let first = seen[0];
        let wants = |seq: &i64| {
            number >= TRADES || *seq > LAST && seq - LAST - 1 == number || *seq <= LAST && seq % (2 * TRADES) == number
        };
        let wanted: Vec<i64> = (first..=LAST + TRADES).filter(wants).collect();
        assert_eq!(seen, wanted, "{number}");
        assert!(number >= TRADES || first <= 2 * TRADES, "{first}");
        // A reader with a filter is woken hardly more often than there are events for it.
        assert!(number >= TRADES || woken <= wanted.len() + 2, "{woken} for {}", wanted.len());
    }
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(announcer.registered_readers(), 0);
}

/// One thread announces and another looks, without a pause, so that their instructions interleave in many ways.
#[test]
fn a_look_never_skips_an_event_that_is_announced_at_that_moment() {
    const LAST: i64 = 9_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (announcer, mut writer) = announced_node(ROOMY);
    let (mut state, mut registration) = runtime.block_on(reader(&announcer, trade_filter(1)));
    let (over, seen) = (AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut taken = 0;
            while taken < LAST / 3 && !over.load(Ordering::Acquire) {
                let position = registration.look(&mut state);
                let NextAction::Page(after) = state.next(&position) else { continue };
                let page = runtime.block_on(announcer.pages().page_after(after)).unwrap();
                let mut budget = SendBudget { events: usize::MAX, bytes: usize::MAX };
                for (cursor, _) in state.take(announcer.pages(), &page, &mut budget).iter().flat_map(EventRun::objects)
                {
                    taken += 1;
                    assert_eq!(cursor.seq, 3 * taken, "an event was skipped");
                }
                seen.store(3 * taken, Ordering::Release);
            }
        });
        'all: for seq in 1..=LAST {
            announce_events(
                &announcer,
                &mut writer,
                vec![trade_event(seq, if seq % 3 == 0 { 1 } else { UNREAD_TRADE })],
            );
            // Stays so close ahead of the reader that the two threads race.
            let begun = std::time::Instant::now();
            while seq - seen.load(Ordering::Acquire) > 6 {
                std::thread::yield_now();
                if begun.elapsed() > Duration::from_secs(15) {
                    over.store(true, Ordering::Release);
                    break 'all;
                }
            }
        }
    });
    assert_eq!(seen.load(Ordering::Acquire), LAST, "the rest was skipped, or did not wake the reader");
}
