//! Where a reader begins, for every beginning, filter and role, and what is refused.

use rowcast::db::Requester;
use rowcast::journal::{self, Budget, Cursor, Filter, JournalIdentity, Owners};
use rowcast::session::{ReadError, Start, StartPoint};

use super::{ReaderNode, burn, cursor_for, cursor_of, fill, filter, follow};
use crate::support::{TestDb, migrated_database};

fn own(owner: &str) -> String {
    owner.to_owned()
}

/// A journal of 3,000 events with a burnt range after 1,000, all of it decided.
async fn begun(db: &TestDb) -> ReaderNode {
    let mut node = ReaderNode::over(db, 1).await;
    fill(&node.client, 1000).await;
    burn(&node.client, 700).await;
    fill(&node.client, 2000).await;
    node.jump(3700).await;
    node
}

/// As retention does it; the rows stay for a while.
async fn trim(node: &ReaderNode, through: i64) {
    let sql = format!("update rowcast.journal_state set head = 3700, trimmed_through = {through}");
    node.client.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn last_begins_with_the_newest_that_match_for_every_filter_and_role() {
    let db = migrated_database().await;
    let node = begun(&db).await;
    let conditions = [
        &[][..],
        &[("type", "trade.*")],
        &[("level", "critical")],
        &[("symbol", "s3")],
        &[("trade_id", "00000000-0000-4000-8000-000000000007")],
        &[("subject", "subject 5"), ("type", "system.tick,trade.*")],
        &[("owner", "o1")],
        &[("symbol", "nothing")],
    ];
    for pairs in conditions {
        for owners in [Owners::Any, Owners::Nobody, Owners::NobodyOr(own("o1")), Owners::Only(own("o0"))] {
            let filter = filter(pairs, owners);
            let all = node.stored(&filter, 0, 3700).await;
            for n in [0, 1, 3, 1500, 10_000] {
                let place = node.place(Start::Last(n), &filter).await.unwrap();
                let seen = follow(&node.live, place, filter.clone(), 3700).await.seen;
                let from = all.len().saturating_sub(usize::try_from(n).unwrap());
                assert_eq!(seen, all[from..], "the last {n} of {filter:?}");
                let named = place.cursor == Cursor::START
                    || cursor_for(&node.client, filter.owners(), place.cursor.seq).await == place.cursor;
                assert!(named && place.cursor.seq <= place.after, "{place:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_ends_and_the_cursors_of_this_history_are_found() {
    let db = migrated_database().await;
    let mut node = ReaderNode::over(&db, 1).await;
    node.jump(0).await;
    let all = Filter::default();
    let start = StartPoint { after: 0, cursor: Cursor::START, epoch: 0 };
    for beginning in [Start::Earliest, Start::Latest, Start::Last(5), Start::After(Cursor::START)] {
        assert_eq!(node.place(beginning, &all).await, Ok(start));
    }
    assert_eq!(node.live.oldest().await, Ok(1));
    let db = migrated_database().await;
    let node = begun(&db).await;
    let (first, newest) = (cursor_of(&node.client, 1).await, cursor_of(&node.client, 3700).await);
    assert_eq!(node.place(Start::Latest, &all).await, Ok(StartPoint { after: 3700, cursor: newest, epoch: 0 }));
    assert_eq!(
        node.place(Start::After(Cursor::bare(1)), &all).await,
        Ok(StartPoint { after: 1, cursor: first, epoch: 0 })
    );
    assert_eq!(node.place(Start::After(newest), &all).await, Ok(StartPoint { after: 3700, cursor: newest, epoch: 0 }));
    // A number that was drawn and came to nothing: after it is after it, and what is told names an event.
    let last = cursor_of(&node.client, 1000).await;
    assert_eq!(
        node.place(Start::After(Cursor::bare(1300)), &all).await,
        Ok(StartPoint { after: 1300, cursor: last, epoch: 0 })
    );
    let wrong = |seq| Cursor { seq, tag: Some(last.tag.unwrap() ^ 1) };
    for seq in [0, 1000, 1300, 3700, 3701, i64::MAX] {
        assert_eq!(node.place(Start::After(wrong(seq)), &all).await, Err(ReadError::CursorInvalid), "{seq}");
    }
}

#[tokio::test]
async fn a_cursor_ahead_of_this_node_is_looked_up_and_waits_for_the_head() {
    let db = migrated_database().await;
    let mut node = begun(&db).await;
    let all = Filter::default();
    fill(&node.client, 10).await;
    burn(&node.client, 5).await;
    let ahead = cursor_of(&node.client, 3705).await;
    for cursor in [ahead, Cursor::bare(3705), Cursor::bare(3715)] {
        let place = node.place(Start::After(cursor), &all).await;
        assert_eq!(place, Ok(StartPoint { after: cursor.seq, cursor, epoch: 0 }));
    }
    for cursor in
        [Cursor { tag: Some(1), ..ahead }, Cursor { seq: 3712, ..ahead }, Cursor::bare(3716), Cursor::bare(i64::MAX)]
    {
        assert_eq!(node.place(Start::After(cursor), &all).await, Err(ReadError::CursorInvalid), "{cursor}");
    }
    // Seq 3703 belongs to o1. Either tag proves it, and only those who may see it are told the usual one.
    let owners = [Owners::Any, Owners::NobodyOr(own("o1")), Owners::NobodyOr(own("o0")), Owners::Only(own("o0"))];
    let either = [&owners[0], &owners[2]];
    for owners in &owners {
        for tagged in either {
            let start = Start::After(cursor_for(&node.client, tagged, 3703).await);
            let place = node.place(start, &filter(&[], owners.clone())).await.unwrap();
            assert_eq!(place.cursor, cursor_for(&node.client, owners, 3703).await, "{owners:?}");
        }
    }
    let place = node.place(Start::After(ahead), &all).await.unwrap();
    let live = std::sync::Arc::clone(&node.live);
    let reader = tokio::spawn(async move { follow(&live, place, Filter::default(), 3710).await.seen });
    node.advance(3703).await;
    node.advance(3710).await;
    assert_eq!(reader.await.unwrap(), (3706..=3710).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_trimmed_is_expired_and_nothing_else_is() {
    let db = migrated_database().await;
    let mut node = begun(&db).await;
    let all = Filter::default();
    let before = cursor_of(&node.client, 999).await;
    trim(&node, 1000).await;
    // This node has not heard of it; the newest so many never begin among what is gone.
    let place = node.place(Start::Last(2500), &all).await.unwrap();
    assert_eq!((place.after, place.cursor), (1000, Cursor::bare(1000)));
    assert_eq!(node.place(Start::Last(2000), &all).await.unwrap().after, 1700);
    node.writer.trim(1000);
    let mut told = node.live.subscribe();
    told.wait_for(|position| position.trimmed == 1000).await.unwrap();
    for cursor in [Cursor::START, Cursor::bare(1), before, Cursor { tag: Some(1), ..before }] {
        assert_eq!(
            node.place(Start::After(cursor), &all).await,
            Err(ReadError::CursorExpired { oldest: 1701 }),
            "{cursor}"
        );
    }
    // Exactly there, whatever the tag says.
    let there = StartPoint { after: 1000, cursor: Cursor::bare(1000), epoch: 0 };
    for cursor in [Cursor::bare(1000), Cursor { seq: 1000, tag: Some(1) }] {
        assert_eq!(node.place(Start::After(cursor), &all).await, Ok(there));
    }
    assert_eq!(node.place(Start::Earliest, &all).await, Ok(there));
    assert_eq!(node.place(Start::After(Cursor::bare(1300)), &all).await, Ok(StartPoint { after: 1300, ..there }));
    assert_eq!(follow(&node.live, there, Filter::default(), 3700).await.seen, (1701..=3700).collect::<Vec<_>>());
    // All of it.
    trim(&node, 3700).await;
    node.writer.trim(3700);
    told.wait_for(|position| position.trimmed == 3700).await.unwrap();
    assert_eq!(node.live.oldest().await, Ok(3701));
    let end = StartPoint { after: 3700, cursor: Cursor::bare(3700), epoch: 0 };
    assert_eq!(node.place(Start::Last(9), &all).await.unwrap().after, 3700);
    assert_eq!(node.place(Start::Earliest, &all).await, Ok(end));
    // And when its space is free and a node starts anew: who began at the end can come back there.
    let free = "alter table rowcast.events disable trigger append_only; delete from rowcast.events;
                alter table rowcast.events enable always trigger append_only";
    node.client.batch_execute(free).await.unwrap();
    let mut node = ReaderNode::over(&db, 1).await;
    node.jump(3700).await;
    assert_eq!(node.place(Start::Latest, &all).await, Ok(end));
    assert_eq!(node.place(Start::After(end.cursor), &all).await, Ok(end));
}

#[tokio::test]
async fn after_another_history_a_cursor_is_proven_or_refused() {
    let db = migrated_database().await;
    let mut node = begun(&db).await;
    let all = Filter::default();
    let (kept, lost) = (cursor_of(&node.client, 2000).await, cursor_of(&node.client, 3000).await);
    // What a failover that loses the newest leaves, and what was written then.
    let lose = "alter table rowcast.events disable trigger append_only; delete from rowcast.events where seq > 2500;
                alter table rowcast.events enable always trigger append_only; select setval('rowcast.events_seq_seq', 2500)";
    node.client.batch_execute(lose).await.unwrap();
    fill(&node.client, 1000).await;
    node.writer.reset();
    let placing = node.live.start_point(&Requester::SERVER, Start::After(kept), &all);
    let begins = async {
        let rows = journal::read_range(&node.client, 3072, 3500, Budget::of_rows(512)).await.unwrap().events;
        let newest = journal::newest(&node.client, 0, 3500).await.unwrap();
        node.writer.follow(JournalIdentity::of(&node.client).await.unwrap().0);
        node.writer.jump(3072, rows, 3500, newest).unwrap();
    };
    let (placed, ()) = tokio::join!(placing, begins);
    assert_eq!(placed, Ok(StartPoint { after: 2000, cursor: kept, epoch: 1 }));
    node.announced(3500).await;
    assert_eq!(node.place(Start::After(lost), &all).await, Err(ReadError::CursorInvalid));
    assert_eq!(node.place(Start::After(Cursor { seq: 3600, ..lost }), &all).await, Err(ReadError::CursorInvalid));
    let other = cursor_of(&node.client, 3000).await;
    assert_eq!(
        node.place(Start::After(Cursor::bare(3000)), &all).await,
        Ok(StartPoint { after: 3000, cursor: other, epoch: 1 })
    );
}
