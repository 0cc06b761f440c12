//! Loads: one for all who wait, few at a time, and no reader hangs on the fate of another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::super::{LOAD_LIMIT, Limits, PAGE_SPAN, PageError};
use super::{Journal, ROOMY, events, jump, store_at, walk};
use crate::db::DatabaseError;

/// Lets other tasks run until the condition holds.
pub(super) async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("in vain");
}

/// Lets other tasks run for a while.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ten_thousand_readers_of_a_missing_page_cost_one_load() {
    let journal = Journal::new(1..=5000);
    let (pages, _writer) = store_at(&journal, 5000, ROOMY);
    let got = join_all((0..10_000).map(|i| pages.page_after(i % PAGE_SPAN))).await;
    assert_eq!(journal.loads(), (1, 0));
    let first = got[0].as_ref().unwrap();
    assert!(got.iter().all(|page| Arc::ptr_eq(page.as_ref().unwrap(), first)));
}

#[tokio::test]
async fn an_error_reaches_all_who_wait_and_is_not_remembered() {
    let journal = Journal::new(1..=5000);
    let (pages, _writer) = store_at(&journal, 5000, ROOMY);
    journal.fail(true);
    let got = join_all((0..100).map(|_| pages.page_after(0))).await;
    let error = PageError::Load(DatabaseError::Other("as the test wants it".to_owned()));
    assert!(got.iter().all(|result| result.as_ref().unwrap_err() == &error));
    assert_eq!(journal.loads(), (1, 0));
    journal.fail(false);
    assert_eq!(walk(&pages, 0).await.len(), 5000);
}

#[tokio::test]
async fn a_first_reader_that_leaves_takes_nobody_with_it() {
    let journal = Journal::new(1..=5000);
    let (pages, _writer) = store_at(&journal, 5000, ROOMY);
    journal.hold();
    let mut first = Box::pin(pages.page_after(0));
    assert!(first.as_mut().now_or_never().is_none());
    let second = tokio::spawn({
        let pages = pages.clone();
        async move { pages.page_after(3).await.map(|page| page.upto()) }
    });
    until(|| journal.loads().0 == 1).await;
    settle().await;
    drop(first);
    settle().await;
    journal.let_through(1);
    assert_eq!(second.await.unwrap(), Ok(PAGE_SPAN));
    assert_eq!(journal.loads(), (1, 0));
}

#[tokio::test]
async fn a_load_that_everybody_left_before_its_turn_is_not_made() {
    let journal = Journal::new(1..=5000);
    let (pages, _writer) = store_at(&journal, 5000, Limits { loads: 1, ..ROOMY });
    journal.hold();
    let mut under_way = Box::pin(pages.page_after(0));
    assert!(under_way.as_mut().now_or_never().is_none());
    until(|| journal.loads().0 == 1).await;
    let mut queued = Box::pin(pages.page_after(PAGE_SPAN));
    assert!(queued.as_mut().now_or_never().is_none());
    settle().await;
    drop(queued);
    journal.let_through(100);
    under_way.await.unwrap();
    settle().await;
    assert_eq!(journal.loads(), (1, 0));
    assert_eq!(pages.page_after(PAGE_SPAN).await.unwrap().begins_after(), PAGE_SPAN);
    assert_eq!(journal.loads(), (2, 0));
}

#[tokio::test]
async fn few_pages_load_at_a_time_and_the_live_edge_waits_for_none_of_them() {
    let journal = Journal::new(1..=20_000);
    let (pages, mut writer) = store_at(&journal, 20_000, ROOMY);
    journal.hold();
    let backlog = tokio::spawn({
        let pages = pages.clone();
        async move { join_all((0..30).map(|index| pages.page_after(index * PAGE_SPAN))).await }
    });
    until(|| journal.loads().0 == 4).await;
    settle().await;
    assert_eq!(journal.loads().0, 4);
    writer.advance(events([20_001]), 20_001).unwrap();
    let page = pages.page_after(20_000).now_or_never().unwrap().unwrap();
    assert_eq!(page.last_seq(), 20_001);
    journal.let_through(1000);
    assert!(backlog.await.unwrap().iter().all(Result::is_ok));
    assert_eq!((journal.loads().0, journal.most_under_way()), (30, 4));
}

#[tokio::test]
async fn what_was_loaded_under_an_old_history_is_not_kept() {
    let journal = Journal::new(1..=5000);
    let (pages, mut writer) = store_at(&journal, 5000, Limits { loads: 1, ..ROOMY });
    journal.hold();
    let readers = tokio::spawn({
        let pages = pages.clone();
        async move { join_all((0..3).map(|index| pages.page_after(index * PAGE_SPAN))).await }
    });
    until(|| journal.loads().0 == 1).await;
    writer.reset();
    let got = readers.await.unwrap();
    assert!(got.iter().all(|result| matches!(result, Err(PageError::Reset))));
    // The loads of the old history are over, and the one turn is free for the new one.
    journal.let_through(1000);
    jump(&mut writer, &journal, 5000);
    let page = pages.page_after(0).await.unwrap();
    assert_eq!((page.epoch(), page.last_seq()), (1, PAGE_SPAN));
    assert_eq!(journal.loads(), (2, 0));
}

#[tokio::test]
async fn a_load_that_has_its_answer_when_the_history_changes_is_not_kept_either() {
    let journal = Journal::new(1..=5000);
    let (pages, writer) = store_at(&journal, 5000, ROOMY);
    let writer = Arc::new(Mutex::new(writer));
    let resetting = Arc::clone(&writer);
    journal.meanwhile(move || {
        resetting.lock().unwrap().reset();
    });
    assert_eq!(pages.page_after(0).await.unwrap_err(), PageError::Reset);
    assert_eq!(pages.cached_bytes(), 0);
    jump(&mut writer.lock().unwrap(), &journal, 5000);
    assert_eq!(pages.page_after(0).await.unwrap().epoch(), 1);
    assert_eq!(journal.loads(), (2, 0));
}

#[tokio::test]
async fn a_load_that_panics_is_an_error_for_those_who_wait_and_over_with_that() {
    let journal = Journal::new(1..=5000);
    let (pages, _writer) = store_at(&journal, 5000, ROOMY);
    journal.panic(true);
    let got = join_all((0..10).map(|_| pages.page_after(0))).await;
    assert!(got.iter().all(|result| matches!(result, Err(PageError::Ended))));
    journal.panic(false);
    assert_eq!(pages.page_after(0).await.unwrap().last_seq(), PAGE_SPAN);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_too_long_gives_its_turn_back() {
    let journal = Journal::new(1..=5000);
    let (pages, _writer) = store_at(&journal, 5000, Limits { loads: 1, ..ROOMY });
    journal.hold();
    let begun = tokio::time::Instant::now();
    assert_eq!(pages.page_after(0).await.unwrap_err(), PageError::Load(DatabaseError::Slow(LOAD_LIMIT)));
    assert!(begun.elapsed() < LOAD_LIMIT + Duration::from_secs(1));
    journal.let_through(1);
    assert_eq!(pages.page_after(0).await.unwrap().last_seq(), PAGE_SPAN);
}

#[test]
fn a_runtime_that_ends_leaves_no_reader_and_no_lock_behind() {
    let journal = Journal::new(1..=5000);
    let (pages, _writer) = store_at(&journal, 5000, ROOMY);
    journal.hold();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert!(pages.page_after(0).now_or_never().is_none());
        settle().await;
    });
    let handle = runtime.handle().clone();
    drop(runtime);
    let _context = handle.enter();
    let late = pages.page_after(0).now_or_never().unwrap();
    assert_eq!(late.unwrap_err(), PageError::Ended);
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes_and_an_evicted_page_stays_valid() {
    let journal = Journal::new(1..=50_000);
    let limit = 1_000_000;
    let (pages, _writer) = store_at(&journal, 50_000, Limits { cache_bytes: limit, ..ROOMY });
    let held = pages.page_after(0).await.unwrap();
    for _ in 0..2 {
        assert_eq!(walk(&pages, 0).await.len(), 50_000);
        assert!(pages.cached_bytes() <= limit && pages.cached_bytes() > 0);
    }
    assert!(held.weight() > 512 * 100);
    assert_eq!(held.events().count(), 512);
}

#[tokio::test]
async fn what_retention_takes_while_a_burnt_range_is_crossed_is_known_before_its_page_is_taken() {
    let journal = Journal::new((1..=10).chain(2600..=3000));
    let (pages, _writer) = store_at(&journal, 3000, ROOMY);
    // The page of 600 was read empty before retention said what it takes, and what it took lay between there and 2600.
    let taken = journal.clone();
    journal.meanwhile_next(move || taken.trim(2599));
    let page = pages.page_after(600).await.unwrap();
    assert_eq!(page.after(600).next().map(|part| part.events()[0].seq), Some(2600));
    assert_eq!(pages.position().trimmed, 2599, "a reader at 600 takes the gap for empty");
}
