//! Searches over a journal that is longer than what one statement looks at.

use super::*;
use crate::support::migrated_database;

/// More than the window of a first step, several times.
const ROWS: i64 = 200_000;

#[tokio::test]
async fn a_filter_of_common_conditions_that_rarely_hold_together_is_answered_in_steps_and_exactly() {
    let db = migrated_database().await;
    let client = db.client().await;
    // Half of the events have the symbol, the other half the type; three have both.
    let rare = [10, 70_000, 199_000];
    let sql = format!(
        "insert into rowcast.events (type, symbol)
         select case when i % 2 = 0 or i in (10, 70000, 199000) then 'a.b' else 'c.d' end,
                case when i % 2 = 1 or i in (10, 70000, 199000) then 'S' end
           from generate_series(1, {ROWS}) i; analyze rowcast.events"
    );
    client.batch_execute(&sql).await.unwrap();
    let mut node = ReaderNode::over(&db, 4).await;
    node.jump(ROWS).await;
    let filter = Filter::parse([("type", "a.b"), ("symbol", "S")]).unwrap();
    assert_eq!(node.stored(&filter, 0, ROWS).await, rare);

    let start = node.place(Start::Earliest, &filter).await.unwrap();
    let way = follow(&node.live, start, filter.clone(), ROWS).await;
    assert_eq!(way.seen, rare);

    for (n, at) in [(1, 198_999), (2, 69_999), (3, 9), (4, 9)] {
        let place = node.place(Start::Last(n), &filter).await.unwrap();
        assert_eq!((place.after, place.cursor.seq), (at, at), "the last {n}");
        assert!(place.cursor.tag.is_some());
    }
    let never = Filter::parse([("type", "a.b"), ("symbol", "T")]).unwrap();
    assert_eq!(node.place(Start::Last(1), &never).await.unwrap().after, ROWS);
    assert!(follow(&node.live, start, never, ROWS).await.seen.is_empty());
}

#[tokio::test]
async fn every_cursor_of_a_search_has_the_tag_that_its_reader_may_know() {
    let db = migrated_database().await;
    let client = db.client().await;
    // The last event of each window of a search belongs to o1, and so do those before and behind what is found.
    let sql = format!(
        "insert into rowcast.events (type, owner)
         select case when i in (10, 70000, 150000) then 'a.b' else 'c.d' end,
                case when i % 65536 = 0 or i % 10 = 9 then 'o1' when i % 65536 < 20 then 'o0' end
           from generate_series(1, {ROWS}) i; analyze rowcast.events"
    );
    client.batch_execute(&sql).await.unwrap();
    let mut node = ReaderNode::over(&db, 4).await;
    node.jump(ROWS).await;
    let mut seen = [0, 0];
    for owners in [Owners::Any, Owners::Nobody, Owners::NobodyOr("o1".to_owned()), Owners::NobodyOr("o0".to_owned())] {
        for pairs in [&[][..], &[("symbol", "nothing")], &[("type", "a.b"), ("level", "info")]] {
            let filter = filter(pairs, owners.clone());
            let start = node.place(Start::Earliest, &filter).await.unwrap();
            let mut reader = StreamReader::new(&node.live, start, Arc::new(filter), PRIVATE);
            while !reader.has_passed(ROWS) {
                match reader.step(SendBudget { events: 4096, bytes: 256 << 10 }) {
                    Step::Loading => reader.ready().await,
                    Step::Advanced(_) | Step::CaughtUp => {}
                    step => panic!("{step:?}"),
                }
                let cursor = reader.cursor();
                if cursor.seq > 0 {
                    let expected = cursor_for(&client, &owners, cursor.seq).await;
                    assert_eq!(cursor, expected, "{owners:?} {pairs:?}");
                    seen[usize::from(expected == cursor_of(&client, cursor.seq).await)] += 1;
                }
            }
        }
    }
    assert!(seen.iter().all(|times| *times > 3), "hidden and shown ones: {seen:?}");
}
