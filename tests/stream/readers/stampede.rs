//! Many at once, far behind: what they cost, and that nobody else waits for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rowcast::db::Requester;
use rowcast::journal::{Filter, Owners};
use rowcast::session::Start;
use rowcast::tail::pages::{LOADS, PAGE_SPAN};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{ReaderNode, burn, cursor_of, fill, filter, follow};
use crate::support::{PATIENCE, migrated_database, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_who_come_back_at_once_cost_as_many_loads_as_there_are_pages_and_delay_nobody() {
    const READERS: usize = 10_000;
    // Where they had come to: around three places, a page or two each.
    const PLACES: [i64; 3] = [3 * PAGE_SPAN, 9 * PAGE_SPAN + 100, 20 * PAGE_SPAN + 500];
    let db = migrated_database().await;
    let mut node = ReaderNode::over(&db, 2).await;
    fill(&node.client, 40 * PAGE_SPAN).await;
    node.jump(40 * PAGE_SPAN).await;
    node.loads.gate.forget_permits(Semaphore::MAX_PERMITS);

    let cursors: Vec<_> = {
        let mut cursors = Vec::new();
        for place in PLACES {
            for seq in place - 3..place + 4 {
                cursors.push(cursor_of(&node.client, seq).await);
            }
        }
        cursors
    };
    let mut readers = JoinSet::new();
    for number in 0..READERS {
        let (live, cursor) = (Arc::clone(&node.live), cursors[number % cursors.len()]);
        readers.spawn(async move {
            let filter = Filter::default();
            let place = live.start_point(&Requester::SERVER, Start::After(cursor), &filter).await.unwrap();
            let upto = cursor.seq + 2 * PAGE_SPAN;
            let way = follow(&live, place, filter, upto).await;
            let expected = (cursor.seq + 1..).zip(&way.seen).all(|(expected, seen)| expected == *seen);
            assert!(expected && way.seen.last() >= Some(&upto), "after {cursor}");
        });
    }
    // As many loads as may be are under way, and none of them ends. Whoever is at the head reads on meanwhile.
    until("loads are under way", || async { node.loads.under_way.load(Ordering::SeqCst) == LOADS.min(4) }).await;
    let head = 40 * PAGE_SPAN;
    let everything = node.place(Start::Latest, &Filter::default()).await.unwrap();
    let one = filter(&[("symbol", "s7")], Owners::Any);
    let both = [(Filter::default(), 20), (one, 1)].map(|(filter, count)| {
        let live = Arc::clone(&node.live);
        tokio::spawn(async move { (follow(&live, everything, filter, head + 20).await.seen.len(), count) })
    });
    fill(&node.client, 20).await;
    node.advance(head + 20).await;
    for follower in both {
        let (seen, count) = tokio::time::timeout(PATIENCE, follower).await.unwrap().unwrap();
        assert_eq!(seen, count);
    }
    assert!(readers.try_join_next().is_none(), "a backlog was read while no load ended");

    node.loads.gate.add_permits(Semaphore::MAX_PERMITS);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    // Each place is within two pages, and its readers go two pages on.
    let (asked, most) = (node.loads.asked.load(Ordering::SeqCst), node.loads.most.load(Ordering::SeqCst));
    assert!(asked <= 4 * PLACES.len() && most <= LOADS, "{asked} loads, {most} at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selective_filter_far_behind_goes_by_its_index_and_joins_the_pages_at_the_head() {
    const ROWS: i64 = 200_000;
    let db = migrated_database().await;
    let mut node = ReaderNode::over(&db, 64).await;
    fill(&node.client, ROWS / 2).await;
    burn(&node.client, 30_000).await;
    fill(&node.client, ROWS / 2).await;
    node.client.batch_execute("analyze rowcast.events").await.unwrap();
    let begun = ROWS + 30_000;
    node.jump(begun).await;
    let last = begun + 2_000;
    let trade = [("trade_id", "00000000-0000-4000-8000-000000000007")];
    let all = [
        filter(&trade, Owners::Any),
        filter(&[("level", "critical")], Owners::Any),
        filter(&[("type", "trade.*"), ("symbol", "s10")], Owners::NobodyOr("o1".to_owned())),
        filter(&[("subject", "subject 7")], Owners::Nobody),
        filter(&[], Owners::Only("o0".to_owned())),
    ];
    let mut readers = Vec::new();
    for filter in &all {
        let place = node.place(Start::Earliest, filter).await.unwrap();
        let (live, filter) = (Arc::clone(&node.live), filter.clone());
        readers.push(tokio::spawn(async move { follow(&live, place, filter, last).await }));
    }
    // Writers go on, and so does the head.
    for round in 1..=20 {
        fill(&node.client, 100).await;
        node.advance(begun + round * 100).await;
        tokio::task::yield_now().await;
    }
    for (filter, reader) in all.iter().zip(readers) {
        let way = tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap();
        assert_eq!(way.seen, node.stored(filter, 0, last).await, "{filter:?}");
        if filter.owners() == &Owners::Any {
            // Some pages to find out that they are the wrong way, or none, and then searches.
            assert!(way.steps < 100, "{} steps for {filter:?}", way.steps);
        }
    }
}
