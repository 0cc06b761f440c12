//! Querying: pages, filters, expiry; and that a filter says the same in SQL and in memory.

use rowcast::journal::{Bounds, Budget, Cursor, Filter, QueryError, bounds, newest, next, oldest, query, read_range};
use tokio_postgres::Client;

use super::fill;
use crate::support::migrated_database;

/// A small generator (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const TYPES: &[&str] =
    &["a", "a.b", "a.b.c", "a.bb", "a_b", "ab", "a0", "b", "b.a", "trade.opened", "trade", "trades.x"];
const PATTERNS: &[&str] = &["a.*", "a.b.*", "trade.*", "b.*", "a", "a.b", "trade.opened", "nothing", "a_b", "ab.*"];
const LEVELS: &[&str] = &["debug", "info", "warn", "error", "critical"];
const NAMES: &[&str] = &["x", "X", "x ", "ß", "it's", "x\\", "$1"];
const TRADES: &[&str] = &["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"];

async fn random_events(client: &Client, random: &mut Random, count: usize) {
    for _ in 0..count {
        let mut text = serde_json::json!({ "type": random.pick(TYPES), "level": random.pick(LEVELS) });
        for name in ["symbol", "subject", "owner"] {
            if random.below(2) == 0 {
                text[name] = random.pick(NAMES).into();
            }
        }
        if random.below(2) == 0 {
            text["trade_id"] = random.pick(TRADES).into();
        }
        let event = rowcast::journal::NewEvent::from_json(text.to_string().as_bytes()).unwrap();
        rowcast::journal::append(client, "", &event).await.unwrap();
    }
}

#[tokio::test]
async fn sql_and_memory_agree_on_every_filter() {
    let db = migrated_database().await;
    let client = db.client().await;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    random_events(&client, &mut random, 400).await;
    let all = read_range(&client, 0, i64::MAX, Budget::of_rows(4096)).await.unwrap().events;
    let mut found = 0;
    for round in 0..400 {
        let (mut types, mut pairs) = (Vec::new(), Vec::new());
        for _ in 0..random.below(4) {
            types.push(random.pick(PATTERNS));
        }
        let types = types.join(",");
        if !types.is_empty() {
            pairs.push(("type", types.as_str()));
        }
        if random.below(3) == 0 {
            pairs.push(("level", random.pick(LEVELS)));
        }
        for name in ["symbol", "subject", "owner"] {
            if random.below(5) == 0 {
                pairs.push((name, random.pick(NAMES)));
            }
        }
        if random.below(5) == 0 {
            pairs.push(("trade_id", random.pick(TRADES)));
        }
        let filter = Filter::parse(pairs.iter().copied()).unwrap();
        let (after, upto) =
            (i64::try_from(random.below(200)).unwrap(), i64::try_from(200 + random.below(250)).unwrap());
        let by_sql = query(&client, &filter, after, upto, Budget::of_rows(4096)).await.unwrap().events;
        let inside = |seq: i64| seq > after && seq <= upto;
        let in_memory: Vec<_> = all.iter().filter(|e| inside(e.seq) && filter.matches(e)).cloned().collect();
        assert_eq!(by_sql, in_memory, "round {round}: {pairs:?}");
        found += by_sql.len();
    }
    assert!(found > 1000, "the filters find too little to prove anything: {found}");
}

#[tokio::test]
async fn pages_join_without_a_gap_and_end_at_the_head_that_was_given() {
    let db = migrated_database().await;
    let client = db.client().await;
    fill(&client, 100).await;
    let filter = Filter::parse([("symbol", "s3")]).unwrap();
    let (mut after, mut seqs) = (0, Vec::new());
    loop {
        let page = query(&client, &filter, after, 90, Budget::of_rows(4)).await.unwrap().events;
        let Some(last) = page.last() else { break };
        after = last.seq;
        seqs.extend(page.iter().map(|e| e.seq));
    }
    assert_eq!(seqs, (0..9).map(|i| i * 10 + 3).collect::<Vec<_>>());
    assert!(query(&client, &Filter::default(), 0, 90, Budget::of_rows(0)).await.unwrap().events.is_empty());
    assert_eq!(
        query(&client, &Filter::default().owned_by("nobody"), 0, 90, Budget::of_rows(9)).await.unwrap().events,
        vec![]
    );
}

#[tokio::test]
async fn an_expired_cursor_is_an_error_and_never_a_short_page() {
    let db = migrated_database().await;
    let client = db.client().await;
    fill(&client, 20).await;
    client.batch_execute("update rowcast.journal_state set head = 20, trimmed_through = 10").await.unwrap();
    let expired = query(&client, &Filter::default(), 9, 20, Budget::of_rows(100)).await.unwrap_err();
    assert!(matches!(expired, QueryError::Expired { trimmed_through: 10 }), "{expired}");
    assert_eq!(query(&client, &Filter::default(), 10, 20, Budget::of_rows(100)).await.unwrap().events.len(), 10);
    let error = client.query("select * from rowcast.query_events(cursor => 9)", &[]).await.unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("has expired"));
    assert_eq!(oldest(&client).await.unwrap(), 11);
    assert_eq!(bounds(&client).await.unwrap(), Bounds { trimmed_through: 10, head: 20 });
}

#[tokio::test]
async fn the_oldest_the_newest_and_the_next_event_are_found_across_burnt_ranges() {
    let db = migrated_database().await;
    let client = db.client().await;
    assert_eq!((oldest(&client).await.unwrap(), newest(&client, 0, 0).await.unwrap()), (1, None));
    client.batch_execute("select setval('rowcast.events_seq_seq', 1000)").await.unwrap();
    assert_eq!(oldest(&client).await.unwrap(), 1001);
    fill(&client, 1).await;
    client.batch_execute("select setval('rowcast.events_seq_seq', 1000000)").await.unwrap();
    fill(&client, 1).await;
    assert_eq!(oldest(&client).await.unwrap(), 1001);
    assert_eq!(next(&client, 1001, i64::MAX).await.unwrap(), Some(1_000_001));
    assert_eq!(next(&client, 1001, 1_000_000).await.unwrap(), None);
    let found = newest(&client, 0, 1_000_000).await.unwrap().unwrap();
    assert_eq!((found.seq, &*found.kind, found.public_safe, found.owner), (1001, "fill.made", false, None));
    let tags =
        "select right(id::text, 8), left(encode(sha256(uuid_send(id)), 'hex'), 8) from rowcast.events where seq = 1001";
    let row = client.query_one(tags, &[]).await.unwrap();
    for (cursor, tag) in [(Cursor::of(1001, found.id), 0), (Cursor::of_hidden(1001, found.id), 1)] {
        assert_eq!(cursor.to_string(), format!("1001.{}", row.get::<_, &str>(tag)));
    }
    client.batch_execute("update rowcast.journal_state set head = 1000001, trimmed_through = 1000001").await.unwrap();
    assert_eq!(oldest(&client).await.unwrap(), 1_000_002);
}
