//! The pages of a node over a real journal: what they show, and how often they ask Postgres.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, join_all};
use rowcast::db::{Database, DatabaseError};
use rowcast::journal::{self, Budget, CurrentJournal, JournalIdentity, read_range};
use rowcast::tail::pages::{Limits, Load, Loaded, PAGE_SPAN, PageError, PageWriter, Pages, PostgresLoad, Seqs, View};
use tokio_postgres::Client;

use crate::support::{TestDb, connect, connector, migrated_database};

/// The real loader, counted.
struct CountedLoad {
    real: PostgresLoad,
    asked: Arc<AtomicUsize>,
}

impl Load for CountedLoad {
    fn follow(&mut self, journal: CurrentJournal) {
        self.real.follow(journal);
    }

    fn range(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.real.range(after, upto, bytes)
    }

    fn cuts(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Vec<i64>, DatabaseError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.real.cuts(after, upto, bytes)
    }

    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.real.next_after(seq, upto)
    }
}

struct PageNode {
    pages: Pages<Seqs>,
    writer: PageWriter<Seqs>,
    asked: Arc<AtomicUsize>,
    pool: Database,
    client: Client,
}

impl PageNode {
    async fn over(db: &TestDb) -> Self {
        let pool = Database::new(connector(&db.url), 4).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let loader = CountedLoad { real: PostgresLoad::new(pool.clone()), asked: Arc::clone(&asked) };
        let (pages, writer) = Pages::new(loader, Seqs, Limits::within(64 << 20));
        Self { pages, writer, asked, pool, client: db.client().await }
    }

    /// As the tail does it at its start.
    async fn jump(&mut self, head: i64) {
        let floor = PageWriter::<Seqs>::page_start(head);
        let rows = read_range(&self.client, floor, head, Budget::of_rows(PAGE_SPAN)).await.unwrap().events;
        let newest = journal::newest(&self.client, 0, head).await.unwrap();
        self.writer.follow(JournalIdentity::of(&self.client).await.unwrap().0);
        self.writer.jump(floor, rows, head, newest).unwrap();
    }

    async fn walk(&self, mut cursor: i64) -> Vec<i64> {
        let mut seen = Vec::new();
        while cursor < self.pages.position().head {
            let page = self.pages.page_after(cursor).await.unwrap();
            seen.extend(page.after(cursor).flat_map(|part| part.events()).map(|event| event.seq));
            cursor = page.upto();
        }
        seen
    }

    async fn stored(&self, after: i64, upto: i64) -> Vec<i64> {
        let sql = "select seq from rowcast.events where seq > $1 and seq <= $2 order by seq";
        self.client.query(sql, &[&after, &upto]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn insert(client: &Client, count: i64) {
    let sql = "insert into rowcast.events (type, payload)
               select 'note.added', jsonb_build_object('n', n) from generate_series(1, $1::bigint) n";
    client.execute(sql, &[&count]).await.unwrap();
}

async fn burn(client: &Client, count: i64) {
    let sql = "select setval(s, (select last_value from rowcast.events_seq_seq) + $1)
                 from pg_get_serial_sequence('rowcast.events', 'seq') s";
    client.query_one(sql, &[&count]).await.unwrap();
}

async fn last_drawn(client: &Client) -> i64 {
    client.query_one("select last_value from rowcast.events_seq_seq", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn pages_show_the_journal_with_its_gaps_and_a_burnt_range_is_asked_for_once() {
    let db = migrated_database().await;
    let mut node = PageNode::over(&db).await;
    for (count, burnt) in [(700, 40), (1, 100_000), (900, 513), (3, 1), (20, 0)] {
        insert(&node.client, count).await;
        if burnt > 0 {
            burn(&node.client, burnt).await;
        }
    }
    let head = last_drawn(&node.client).await;
    node.jump(head).await;
    for cursor in [0, 1, 511, 512, 513, 699, 741, 50_000, head - 1, head] {
        assert_eq!(node.walk(cursor).await, node.stored(cursor, head).await, "after {cursor}");
    }
    // The distinct pages with events, and for the burnt range in between the page after it begins, and the one in whose
    // middle a cursor stood, two questions each.
    assert!(node.asked() <= 12, "{}", node.asked());
    let asked = node.asked();
    assert_eq!(node.walk(0).await.len(), 1624);
    assert_eq!(node.asked(), asked);
}

#[tokio::test]
async fn ten_thousand_readers_cost_as_many_questions_as_there_are_pages() {
    let db = migrated_database().await;
    let mut node = PageNode::over(&db).await;
    insert(&node.client, 10 * PAGE_SPAN).await;
    node.jump(10 * PAGE_SPAN).await;
    let readers = (0..10_000).map(|i| node.pages.page_after(i % (3 * PAGE_SPAN)));
    assert!(join_all(readers).await.iter().all(Result::is_ok));
    assert_eq!(node.asked(), 3);
}

#[tokio::test]
async fn what_is_appended_beyond_the_head_is_not_shown_before_the_head_moves() {
    let db = migrated_database().await;
    let mut node = PageNode::over(&db).await;
    insert(&node.client, 600).await;
    node.jump(550).await;
    assert_eq!(node.walk(0).await, (1..=550).collect::<Vec<_>>());
    let rows = read_range(&node.client, 550, 600, Budget::of_rows(PAGE_SPAN)).await.unwrap().events;
    node.writer.advance(rows, 600).unwrap();
    let page = node.pages.page_after(549).await.unwrap();
    let parts: Vec<_> = page.after(549).map(|part| node.pages.rendered(part.chunk, View(0))).collect();
    assert!(parts[0].starts_with(b"[513,514,") && parts[0].ends_with(b",550]"));
    assert!(parts[1].starts_with(b"[551,552,") && parts[1].ends_with(b",600]"));
    assert_eq!(node.asked(), 1);
}

#[tokio::test]
async fn a_database_that_is_away_is_an_error_for_those_who_wait_and_not_for_those_who_come_later() {
    let db = migrated_database().await;
    let mut node = PageNode::over(&db).await;
    insert(&node.client, 600).await;
    node.jump(600).await;
    let away = format!("alter database {} allow_connections false", db.name);
    let admin = connect(&db.url.replace(&db.name, "postgres")).await;
    admin.batch_execute(&away).await.unwrap();
    let got = join_all((0..100).map(|_| node.pages.page_after(0))).await;
    assert!(got.iter().all(|result| matches!(result, Err(PageError::Load(_)))), "{:?}", got[0]);
    assert_eq!(node.asked(), 1);
    // The hot tail does not ask anyone.
    assert_eq!(node.walk(512).await.len(), 88);
    admin.batch_execute(&away.replace("false", "true")).await.unwrap();
    assert_eq!(node.walk(0).await.len(), 600);
    node.pool.close();
}
