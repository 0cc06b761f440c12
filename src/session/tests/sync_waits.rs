//! Tests of the wait for a sync point, in paused time. Where the point comes from is tested over a real journal.

use std::time::Duration;

use tokio::time::Instant;

use super::super::sync::NotReached;
use super::super::sync_point::SyncPoint;
use super::*;
use crate::tail::pages::Position;

const POINT: SyncPoint = SyncPoint { seq: 5, epoch: 1, publications: 0 };
const LIMIT: Duration = Duration::from_secs(10);

fn position(epoch: u64, head: i64) -> Position {
    Position { epoch, head, known: true, ..Position::default() }
}

/// An announcer that has announced this position.
fn announced(epoch: u64, head: i64) -> Arc<Announcer> {
    let (announcer, _) = node(&Journal::new([]), Limits::within(1 << 20));
    announcer.announce(position(epoch, head));
    announcer
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_given_up_when_the_time_is_over() {
    // The head of a former history does not count, however far it has come.
    for (epoch, head) in [(1, 4), (0, 9)] {
        let announcer = announced(epoch, head);
        let begun = Instant::now();
        assert_eq!(announcer.reach(POINT, LIMIT).await, Err(NotReached));
        assert_eq!(begun.elapsed(), LIMIT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_there_or_comes_ends_the_wait_at_once() {
    let announcer = announced(1, 7);
    assert_eq!(announcer.reach(POINT, Duration::ZERO).await, Ok(position(1, 7)));
    let announcer = announced(0, 9);
    let begun = Instant::now();
    let waits = announcer.reach(POINT, LIMIT);
    let comes = async {
        tokio::time::sleep(LIMIT / 2).await;
        announcer.announce(position(1, 0));
        tokio::time::sleep(LIMIT / 4).await;
        announcer.announce(position(1, 5));
    };
    assert_eq!(tokio::join!(waits, comes).0, Ok(position(1, 5)));
    assert_eq!(begun.elapsed(), LIMIT * 3 / 4);
}
