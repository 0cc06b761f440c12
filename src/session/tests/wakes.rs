//! Who wants an event is woken by it, whatever happens at the same moment; nobody else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use uuid::Uuid;

use super::{filter, node, start_point};
use crate::journal::{Filter, StoredEvent};
use crate::session::announcer::Interest;
use crate::session::read_state::{Next, ReadState};
use crate::session::{Announcer, EventRun, GATHER, GATHER_FROM, SendBudget, Start, StartPoint};
use crate::shutdown::Shutdown;
use crate::tail::pages::tests::{Journal, ROOMY, cursor, event};
use crate::tail::pages::{Limits, PageWriter};
use crate::view::{PRIVATE, Views};

const TRADES: i64 = 40;
const NOBODYS: i64 = 1000;

fn trade(number: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap())
}

fn of_trade(number: i64) -> Arc<Filter> {
    filter(&[("trade_id", trade(number).to_string().as_str())])
}

fn traded(seq: i64, number: i64) -> StoredEvent {
    StoredEvent { trade_id: Some(trade(number)), ..event(seq) }
}

async fn reader(announcer: &Arc<Announcer>, filter: Arc<Filter>) -> (ReadState, Interest) {
    let place = start_point(announcer, Start::Latest, &filter).await.unwrap();
    let interest = announcer.interest(&filter);
    (ReadState::new(place, filter, PRIVATE), interest)
}

/// A node whose head is known, and announced, to be 0.
fn begun(limits: Limits) -> (Arc<Announcer>, PageWriter<Views>) {
    let (announcer, mut writer) = node(&Journal::new([]), limits);
    writer.advance(Vec::new(), 0).unwrap();
    announcer.announce(announcer.pages().position());
    (announcer, writer)
}

/// Decides and announces these; says how many that woke.
fn tell(announcer: &Announcer, writer: &mut PageWriter<Views>, events: Vec<StoredEvent>) -> usize {
    let head = events.last().unwrap().seq;
    announcer.announce(writer.advance(events, head).unwrap())
}

fn is_woken(interest: &mut Interest) -> bool {
    interest.woken().now_or_never().is_some()
}

/// Looks, and is at rest afterwards.
fn rest(state: &mut ReadState, interest: &mut Interest) {
    let position = interest.look(state);
    let next = [state.next(&position), state.next(&position)];
    assert!(matches!(next, [_, Next::Idle]), "{next:?}");
    is_woken(interest);
}

#[tokio::test]
async fn an_event_wakes_those_who_want_it_and_takes_the_others_along_asleep() {
    let (announcer, mut writer) = begun(ROOMY);
    let mut readers = Vec::new();
    for number in 0..TRADES {
        readers.push(reader(&announcer, of_trade(number)).await);
    }
    for (state, interest) in &mut readers {
        assert!(is_woken(interest), "who comes looks first");
        rest(state, interest);
    }
    assert_eq!(announcer.interests(), 40);
    let nobodys = (1..=400).map(|seq| traded(seq, NOBODYS)).collect();
    assert_eq!(tell(&announcer, &mut writer, nobodys), 0);
    for (state, interest) in &mut readers {
        assert!(!is_woken(interest));
        rest(state, interest);
        // A heartbeat says how far it has come.
        assert!(state.has_passed(400) && state.cursor().seq == 400);
    }
    // Several for the same one wake once.
    assert_eq!(tell(&announcer, &mut writer, vec![traded(401, 3), traded(402, 3), traded(403, NOBODYS)]), 1);
    assert_eq!(tell(&announcer, &mut writer, vec![traded(404, 3)]), 0);
    for (number, (state, interest)) in readers.iter_mut().enumerate() {
        assert_eq!(is_woken(interest), number == 3);
        let position = interest.look(state);
        assert_eq!(state.next(&position), if number == 3 { Next::Page(400) } else { Next::Idle });
    }
    drop(readers);
    assert_eq!(announcer.interests(), 0);
    assert!(!format!("{announcer:?}").contains("wants"));
}

#[tokio::test]
async fn whoever_comes_before_or_after_an_announcement_finds_the_event() {
    let (announcer, mut writer) = begun(ROOMY);
    let filter = of_trade(1);
    let (mut state, mut before) = reader(&announcer, Arc::clone(&filter)).await;
    let mut beside = announcer.interest(&filter);
    tell(&announcer, &mut writer, vec![traded(1, 1)]);
    let mut after = announcer.interest(&filter);
    for interest in [&mut before, &mut beside, &mut after] {
        assert!(is_woken(interest));
        let position = interest.look(&mut state);
        assert_eq!((state.next(&position), state.has_passed(1)), (Next::Page(0), false));
    }
    drop((before, beside));
    assert_eq!(announcer.interests(), 1);
}

#[tokio::test]
async fn a_wait_that_is_given_up_takes_no_wake_with_it() {
    let (announcer, mut writer) = begun(ROOMY);
    let (mut state, mut interest) = reader(&announcer, of_trade(1)).await;
    rest(&mut state, &mut interest);
    let mut waiting = Box::pin(interest.woken());
    assert!(waiting.as_mut().now_or_never().is_none());
    tell(&announcer, &mut writer, vec![traded(1, 1)]);
    drop(waiting);
    assert!(is_woken(&mut interest));
    // Gone while it waits, and nothing is left of it.
    let mut waiting = Box::pin(interest.woken());
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(waiting);
    drop(interest);
    assert_eq!((announcer.interests(), tell(&announcer, &mut writer, vec![traded(2, 1)])), (0, 0));
}

#[tokio::test]
async fn a_reader_ahead_of_this_node_is_told_when_the_head_has_come_to_it() {
    let (announcer, mut writer) = begun(ROOMY);
    let filter = of_trade(1);
    let place = StartPoint { at: 20, cursor: cursor(20), epoch: 0 };
    let (mut state, mut interest) = (ReadState::new(place, Arc::clone(&filter), PRIVATE), announcer.interest(&filter));
    for head in [10, 20, 30] {
        rest(&mut state, &mut interest);
        assert_eq!(tell(&announcer, &mut writer, vec![traded(head, NOBODYS)]) > 0, head <= 20);
        assert_eq!(is_woken(&mut interest), head <= 20);
        let position = interest.look(&mut state);
        assert_eq!(state.next(&position), if head == 20 { Next::CaughtUp } else { Next::Idle });
    }
    assert!(state.has_passed(30));
}

#[tokio::test]
async fn another_history_too_much_to_look_at_and_a_trim_beyond_the_head_wake_everyone() {
    let (announcer, mut writer) = begun(Limits { hot_pages: 2, cache_bytes: 0, ..ROOMY });
    let (mut state, mut interest) = reader(&announcer, of_trade(1)).await;
    rest(&mut state, &mut interest);
    // More than the pages at hand.
    assert_eq!(tell(&announcer, &mut writer, (1..=5000).map(|seq| traded(seq, NOBODYS)).collect()), 1);
    assert!(is_woken(&mut interest));
    interest.look(&mut state);
    // A trim of what this node has not announced: events may be missing from its pages.
    writer.trim(5010);
    assert_eq!(tell(&announcer, &mut writer, vec![traded(5020, NOBODYS)]), 1);
    assert!(is_woken(&mut interest));
    let position = interest.look(&mut state);
    assert_eq!(state.next(&position), Next::Expired);
    drop(interest);
    let (mut state, mut interest) = reader(&announcer, of_trade(1)).await;
    rest(&mut state, &mut interest);
    announcer.announce(writer.reset());
    assert!(is_woken(&mut interest));
    let position = interest.look(&mut state);
    assert_eq!(state.next(&position), Next::ProveCursor);
    // And when its head is known.
    assert_eq!(tell(&announcer, &mut writer, vec![traded(9, NOBODYS)]), 1);
    assert!(is_woken(&mut interest));
}

#[tokio::test]
async fn a_history_that_ends_before_its_last_head_is_announced_hides_nothing_of_it() {
    let (announcer, mut writer) = begun(ROOMY);
    let (mut state, mut interest) = reader(&announcer, of_trade(1)).await;
    rest(&mut state, &mut interest);
    let decided = writer.advance(vec![traded(1, 1)], 1).unwrap();
    writer.reset();
    writer.advance(vec![traded(5, NOBODYS)], 5).unwrap();
    announcer.announce(decided);
    assert!(is_woken(&mut interest));
    let position = interest.look(&mut state);
    assert_ne!(state.next(&position), Next::Idle, "its event was passed over");
    assert!(!state.has_passed(1));
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_are_woken_together_and_few_at_once() {
    for (waiting, gathered) in [(GATHER_FROM - 1, false), (GATHER_FROM, true)] {
        let (announcer, mut writer) = begun(ROOMY);
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Arc::clone(&announcer).run(shutdown.clone()));
        let all: Vec<_> = (0..waiting).map(|_| announcer.interest(&filter(&[]))).collect();
        // What was announced at the start woke nobody, or everybody: either way a first head comes at once or soon.
        let mut told = announcer.position();
        let mut times = Vec::new();
        for seq in 1..=3 {
            let begun = Instant::now();
            writer.advance(vec![event(seq)], seq).unwrap();
            let mut position = announcer.pages().subscribe();
            position.mark_unchanged();
            while told.head < seq {
                tokio::time::sleep(Duration::from_micros(1)).await;
                told = announcer.position();
            }
            times.push(begun.elapsed());
        }
        let late = times[1..].iter().all(|time| *time >= GATHER - Duration::from_millis(2));
        assert_eq!(late, gathered, "{waiting}: {times:?}");
        assert!(times.iter().all(|time| *time <= GATHER + Duration::from_millis(2)), "{times:?}");
        drop(all);
        shutdown.cancel();
        running.await.unwrap();
    }
}

/// A reader that follows until the end, and counts how often it was woken. It must be sent its events, all of them.
async fn follow(announcer: Arc<Announcer>, number: i64, last: i64) -> (Vec<i64>, usize) {
    let filter = if number < TRADES { of_trade(number) } else { filter(&[]) };
    let (mut state, mut interest) = reader(&announcer, filter).await;
    let (mut seen, mut woken) = (Vec::new(), 0);
    loop {
        let position = interest.look(&mut state);
        match state.next(&position) {
            Next::Page(after) => {
                let page = announcer.pages().page_after(after).await.unwrap();
                let mut room = SendBudget { events: 50, bytes: 1 << 20 };
                let runs = state.take(announcer.pages(), &page, &mut room);
                seen.extend(runs.iter().flat_map(EventRun::each).map(|(cursor, _)| cursor.seq));
            }
            Next::Idle if seen.last().is_some_and(|seq| *seq > last) => return (seen, woken),
            Next::Idle => {
                interest.woken().await;
                woken += 1;
            }
            Next::CaughtUp => {}
            next => panic!("{next:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_is_lost_while_all_happens_at_once() {
    // So few that nobody, however slow, is sent to search.
    const LAST: i64 = 3500;
    let (announcer, mut writer) = begun(ROOMY);
    let shutdown = Shutdown::new();
    let running = tokio::spawn(Arc::clone(&announcer).run(shutdown.clone()));
    let readers: Vec<_> = (0..TRADES + 3)
        .map(|number| {
            tokio::spawn(follow(Arc::clone(&announcer), number, if number < TRADES { LAST } else { LAST + TRADES - 1 }))
        })
        .collect();
    while announcer.interests() < usize::try_from(TRADES).unwrap() {
        tokio::task::yield_now().await;
    }
    for seq in 1..=LAST {
        writer.advance(vec![traded(seq, seq % (2 * TRADES))], seq).unwrap();
        if seq % 3 == 0 {
            // Others come and go.
            drop(announcer.interest(&of_trade(seq % TRADES)));
            tokio::task::yield_now().await;
        }
    }
    // The last word, one for each.
    writer.advance((0..TRADES).map(|number| traded(LAST + 1 + number, number)).collect(), LAST + TRADES).unwrap();
    for (number, follower) in (0..).zip(readers) {
        let (seen, woken) = tokio::time::timeout(Duration::from_secs(30), follower).await.unwrap().unwrap();
        let first = seen[0];
        let wants = |seq: &i64| {
            number >= TRADES || *seq > LAST && seq - LAST - 1 == number || *seq <= LAST && seq % (2 * TRADES) == number
        };
        let wanted: Vec<i64> = (first..=LAST + TRADES).filter(wants).collect();
        assert_eq!(seen, wanted, "{number}");
        assert!(number >= TRADES || first <= 2 * TRADES, "{first}");
        // Less often than there are heads, and hardly more often than there is something for it.
        assert!(number >= TRADES || woken <= wanted.len() + 2, "{woken} for {}", wanted.len());
    }
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(announcer.interests(), 0);
}

/// One thread announces, the other looks, without a pause: between any two of their instructions the other may come.
#[test]
fn a_look_never_passes_over_what_is_announced_at_that_moment() {
    const LAST: i64 = 9_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (announcer, mut writer) = begun(ROOMY);
    let (mut state, mut interest) = runtime.block_on(reader(&announcer, of_trade(1)));
    let (over, seen) = (AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut taken = 0;
            while taken < LAST / 3 && !over.load(Ordering::Acquire) {
                let position = interest.look(&mut state);
                let Next::Page(after) = state.next(&position) else { continue };
                let page = runtime.block_on(announcer.pages().page_after(after)).unwrap();
                let mut room = SendBudget { events: usize::MAX, bytes: usize::MAX };
                for (cursor, _) in state.take(announcer.pages(), &page, &mut room).iter().flat_map(EventRun::each) {
                    taken += 1;
                    assert_eq!(cursor.seq, 3 * taken, "passed over");
                }
                seen.store(3 * taken, Ordering::Release);
            }
        });
        'all: for seq in 1..=LAST {
            tell(&announcer, &mut writer, vec![traded(seq, if seq % 3 == 0 { 1 } else { NOBODYS })]);
            // Not so far ahead that there is nothing left to race for.
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
    assert_eq!(seen.load(Ordering::Acquire), LAST, "the rest was passed over, or nobody was woken for it");
}
