//! The hot tail: what it holds is never read again, and it holds no more than it should.

use std::sync::Arc;

use super::super::{HOT_BYTES, HeadMoveError, Limits, PAGE_SPAN, PageWriter, Pages, Position, Seqs};
use super::{Journal, ROOMY, event, events, header, store_at, walk};

#[tokio::test]
async fn what_came_in_through_the_tail_is_never_loaded() {
    let journal = Journal::new([]);
    let (pages, mut writer) = store_at(&journal, 0, Limits { hot_pages: 4, ..ROOMY });
    for from in (0..20_000).step_by(50) {
        writer.advance(events(from + 1..=from + 50), from + 50).unwrap();
    }
    // Pages that left the hot tail went over into the cache.
    assert_eq!(walk(&pages, 0).await, (1..=20_000).collect::<Vec<_>>());
    assert_eq!(journal.loads(), (0, 0));
}

#[tokio::test]
async fn the_hot_tail_is_bounded_in_pages_and_in_bytes() {
    let page_bytes = {
        let (pages, _writer) = store_at(&Journal::new(1..=512), 512, ROOMY);
        pages.page_after(0).await.unwrap().weight()
    };
    for limits in [
        Limits { hot_pages: 3, cache_bytes: 1, ..ROOMY },
        Limits { hot_bytes: page_bytes * 3, cache_bytes: 1, ..ROOMY },
    ] {
        let journal = Journal::new(1..=10 * PAGE_SPAN);
        let (pages, mut writer) = Pages::new(journal.clone(), Seqs, limits);
        // In one call, and thousands of rows.
        writer.advance(events(1..=10 * PAGE_SPAN), 10 * PAGE_SPAN).unwrap();
        walk(&pages, 7 * PAGE_SPAN).await;
        assert_eq!(journal.loads().0, 0);
        walk(&pages, 7 * PAGE_SPAN - 1).await;
        assert_eq!(journal.loads().0, 1);
    }
    // The page at the head stays, whatever it weighs.
    let (pages, mut writer) = Pages::new(Journal::new([]), Seqs, Limits { hot_pages: 0, hot_bytes: 0, ..ROOMY });
    writer.advance(events(1..=3), 3).unwrap();
    assert_eq!(walk(&pages, 0).await, [1, 2, 3]);
}

#[test]
fn a_far_head_is_told_from_a_near_one() {
    let (_pages, mut writer) = Pages::new(Journal::new([]), Seqs, Limits { hot_pages: 4, ..ROOMY });
    assert!(!writer.is_far(4 * PAGE_SPAN) && writer.is_far(6 * PAGE_SPAN));
    writer.jump(6 * PAGE_SPAN, vec![], 6 * PAGE_SPAN, None).unwrap();
    assert!(!writer.is_far(6 * PAGE_SPAN + 1) && !writer.is_far(0) && writer.is_far(i64::MAX));
}

#[test]
fn a_move_out_of_order_is_refused_and_changes_nothing() {
    let (pages, mut writer) = Pages::new(Journal::new([]), Seqs, ROOMY);
    let begun = writer.advance(events([1, 4]), 5).unwrap();
    assert_eq!(begun, Position { head: 5, newest: header(4).map(Arc::new), known: true, ..Position::default() });
    let row = |seq, after, upto| Err(HeadMoveError::Row { seq, after, upto });
    assert_eq!(writer.advance(vec![], 4), Err(HeadMoveError::Backwards { from: 5, to: 4 }));
    assert_eq!(writer.jump(0, vec![], 4, header(4)), Err(HeadMoveError::Backwards { from: 5, to: 4 }));
    assert_eq!(writer.advance(events([5]), 6), row(5, 5, 6));
    assert_eq!(writer.advance(events([7]), 6), row(7, 5, 6));
    assert_eq!(writer.advance(events([6, 6]), 7), row(6, 6, 7));
    assert_eq!(writer.jump(512, events([513, 600]), 700, header(513)), Err(HeadMoveError::Newest(513)));
    assert_eq!(writer.jump(512, vec![], 700, header(513)), Err(HeadMoveError::Newest(513)));
    assert_eq!(writer.jump(512, events([512]), 700, header(512)), row(512, 512, 700));
    assert_eq!(writer.jump(701, vec![], 700, header(4)), Err(HeadMoveError::Backwards { from: 701, to: 700 }));
    assert_eq!(pages.position(), begun);
    assert_eq!(PageWriter::<Seqs>::page_start(513), 512);
}

#[tokio::test]
async fn a_head_without_rows_moves_and_wakes_and_the_same_head_does_not() {
    let (pages, mut writer) = Pages::new(Journal::new([]), Seqs, ROOMY);
    writer.advance(vec![event(1)], 1).unwrap();
    let mut position = pages.subscribe();
    assert_eq!(writer.advance(vec![], 1).unwrap().head, 1);
    assert!(!position.has_changed().unwrap());
    writer.advance(vec![], 700).unwrap();
    assert!(position.has_changed().unwrap());
    assert_eq!(
        *position.borrow_and_update(),
        Position { head: 700, newest: header(1).map(Arc::new), known: true, ..Position::default() }
    );
    let first = pages.page_after(0).await.unwrap();
    assert!(first.is_complete());
    assert_eq!(walk(&pages, 0).await, [1]);
}

#[test]
fn the_setting_bounds_all_pages_together() {
    let default = Limits::within(256 << 20);
    assert_eq!((default.hot_bytes, default.cache_bytes), (HOT_BYTES, 192 << 20));
    let small = Limits::within(10 << 20);
    assert_eq!((small.hot_bytes, small.cache_bytes), (5 << 20, 5 << 20));
    assert_eq!(Limits::within(1).cache_bytes, 1);
}

#[tokio::test]
async fn what_retention_took_is_known_with_the_page_that_lacks_it_and_stays_known() {
    let journal = Journal::new(1..=2000);
    let (pages, mut writer) = store_at(&journal, 2000, Limits { hot_pages: 1, ..ROOMY });
    let mut told = pages.subscribe();
    journal.trim(600);
    let page = pages.page_after(512).await.unwrap();
    assert_eq!(page.events().next().map(|event| event.seq), Some(601));
    assert_eq!((pages.position().trimmed, told.borrow_and_update().trimmed), (600, 600));
    // The writer's next move keeps it, an older word changes nothing, and a newer one wakes.
    writer.advance(events([2001]), 2001).unwrap();
    writer.trim(500);
    assert_eq!((pages.position().trimmed, told.borrow_and_update().head), (600, 2001));
    assert_eq!(told.borrow().trimmed, 600);
    writer.trim(700);
    assert!(told.has_changed().unwrap());
    assert_eq!(told.borrow_and_update().trimmed, 700);
    // Another history begins with nothing taken.
    assert_eq!(writer.reset(), Position { epoch: 1, ..Position::default() });
    assert_eq!(*told.borrow_and_update(), pages.position());
}
