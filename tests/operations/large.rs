//! Large events, long journals and slow links: every read is bounded by bytes, and what makes progress is alive.

use std::time::{Duration, Instant};

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::support::raw_http::{Answer, request};
use crate::support::slow_link::{FAST, Link};
use crate::support::{JWT_SECRET, TestDb, TestServer, migrated_database, until};
use crate::tail::TailNode;

/// So many events of 250 KiB that do not compress, in one transaction.
const LARGE: &str = "insert into rowcast.events (type, subject, payload)
    select 'note.added', 's', jsonb_build_object('x', (select string_agg(md5((i * 10000 + j)::text), '')
                                                         from generate_series(1, 8000) j))
      from generate_series(1, $1::bigint) i";
const LARGE_BYTES: u64 = 250 << 10;
/// So many events that are next to nothing, of somebody else.
const SMALL: &str = "insert into rowcast.events (type, owner, payload)
    select 'note.added', 'somebody', jsonb_build_object('x', repeat(' ', 200)) from generate_series(1, $1::bigint)";

fn bearer(role: Role, subject: &str) -> String {
    let mint = Mint { subject, role, ttl: Duration::from_secs(3600), issuer: None, audience: None };
    format!("Bearer {}", mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap().expose())
}

async fn last_seq(client: &Client) -> i64 {
    client.query_one("select coalesce(max(seq), 0) from rowcast.events", &[]).await.unwrap().get(0)
}

/// A server behind a link, and its database.
struct LinkedServer {
    db: TestDb,
    sql: Client,
    link: Link,
    server: TestServer,
}

impl LinkedServer {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let db = migrated_database().await;
        let sql = db.client().await;
        let (link, url) = Link::to_database(&db.url, FAST).await;
        let server = TestServer::ready(&url, settings).await;
        Self { db, sql, link, server }
    }

    async fn get(&self, who: &str, path: &str) -> Answer {
        let headers: &[(&str, &str)] = if who.is_empty() { &[] } else { &[("authorization", who)] };
        request(self.server.address(), "GET", path, headers, b"").await
    }

    /// Waits until the server has decided everything, and returns how much it had read by then.
    async fn settled(&self) -> u64 {
        let newest = last_seq(&self.sql).await;
        let admin = bearer(Role::Admin, "root");
        until("the head is there", || async { self.get(&admin, "/v1/events").await.json()["head"] == newest }).await;
        self.link.carried()
    }

    async fn end(self) {
        self.server.stop().await.unwrap();
        drop(self.db);
    }
}

#[tokio::test]
async fn a_large_transaction_arrives_over_a_slow_link_live_and_after_a_restart() {
    const COUNT: i64 = 48;
    let db = migrated_database().await;
    let client = db.client().await;
    // At this rate it takes longer than any one statement may be silent.
    let rate = LARGE_BYTES * u64::try_from(COUNT).unwrap() / 6;
    let (_near, url) = Link::to_database(&db.url, rate).await;
    let (_also_near, other_url) = Link::to_database(&db.url, rate).await;
    let mut node = TailNode::start(&url);
    node.connected().await;
    client.execute(LARGE, &[&COUNT]).await.unwrap();
    // Another begins now, where the journal already holds what it cannot have at once.
    let mut later = TailNode::start(&other_url);
    let (mut here, mut there) = (node.reader(), later.reader());
    tokio::join!(here.read_to(COUNT), there.read_to(COUNT));
    let all: Vec<i64> = (1..=COUNT).collect();
    assert_eq!((&here.seen, &there.seen), (&all, &all));
    for node in [&mut node, &mut later] {
        // It never began anew.
        node.connected().await;
        assert_eq!(node.counts.borrow().connections, 1);
    }
    // A shutdown is heard in the middle of a download.
    client.execute(LARGE, &[&COUNT]).await.unwrap();
    node.stop().await;
    later.stop().await;
}

#[tokio::test]
async fn payloads_are_never_sorted_on_disk_though_nothing_is_known_of_a_partition() {
    let db = migrated_database().await;
    let client = db.client().await;
    let text = "insert into rowcast.events (type, payload)
                select 'note.added', jsonb_build_object('x', repeat(' ', 100000)) from generate_series(1, 600)";
    client.batch_execute(text).await.unwrap();
    let mut node = TailNode::start(&db.url);
    node.connected().await;
    node.reader().read_to(600).await;
    // The first look of a connection, before anything is prepared, and the pages of a reader that begins at the beginning.
    client.batch_execute(text).await.unwrap();
    node.reader().read_to(1200).await;
    node.stop().await;
    // A session tells at its end at the latest.
    let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    until("all sessions have ended", || async { client.query_one(others, &[]).await.unwrap().get::<_, i64>(0) == 0 })
        .await;
    let spilt = "select temp_bytes from pg_stat_database where datname = current_database()";
    let spilt: i64 = client.query_one(spilt, &[]).await.unwrap().get(0);
    assert_eq!(spilt, 0, "Postgres has written temporary files");
}

#[tokio::test]
async fn a_page_that_the_cache_cannot_keep_is_not_loaded_anew_for_every_write() {
    const COUNT: i64 = 40;
    let linked = LinkedServer::start(&[("ROWCAST_PAGE_CACHE", "1MB")]).await;
    linked.sql.execute(LARGE, &[&COUNT]).await.unwrap();
    // Far enough for all of it to be out of the hot tail.
    linked.sql.execute(SMALL, &[&3000_i64]).await.unwrap();
    let before = linked.settled().await;
    let mut stream = TcpStream::connect(linked.server.address()).await.unwrap();
    let head = format!(
        "GET /v1/events/stream?cursor=0 HTTP/1.1\r\nhost: rowcast.test\r\nauthorization: {}\r\n\r\n",
        bearer(Role::Admin, "root")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut chunk, mut taken) = (vec![0; 64 << 10], 0);
    while taken < LARGE_BYTES * u64::try_from(COUNT).unwrap() {
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the stream ended after {taken} bytes");
        taken += u64::try_from(count).unwrap();
    }
    let read = linked.link.carried() - before;
    assert!(read < taken * 3 / 2, "{read} bytes were read from Postgres for {taken}");
    drop(stream);
    linked.end().await;
}

#[tokio::test]
async fn one_of_many_finds_own_events_and_the_public_its_own_without_the_whole_journal() {
    let linked = LinkedServer::start(&[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let own = "insert into rowcast.events (type, owner) values ('note.added', 'alice')";
    let public = "insert into rowcast.event_types (type, description) values ('note.shown', 'shown to all') on conflict do nothing;
                  insert into rowcast.events (type, public_safe) values ('note.shown', true)";
    linked.sql.batch_execute(own).await.unwrap();
    linked.sql.batch_execute(public).await.unwrap();
    linked.sql.execute(SMALL, &[&40_000_i64]).await.unwrap();
    linked.sql.batch_execute(own).await.unwrap();
    linked.sql.batch_execute(public).await.unwrap();
    linked.sql.batch_execute("analyze rowcast.events").await.unwrap();
    let newest = last_seq(&linked.sql).await;
    until("the public sees what is listed", || async {
        linked.get("", "/public/v1/events?cursor=earliest").await.json()["events"]
            .as_array()
            .is_some_and(|e| e.len() == 2)
    })
    .await;
    let before = linked.settled().await;
    let alice = linked.get(&bearer(Role::User, "alice"), "/v1/events?cursor=earliest").await.json();
    let seqs: Vec<i64> = alice["events"].as_array().unwrap().iter().map(|e| e["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [1, newest - 1]);
    let all = linked.get("", "/public/v1/events?cursor=earliest").await.json();
    let seqs: Vec<i64> = all["events"].as_array().unwrap().iter().map(|e| e["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [2, newest]);
    // Forty thousand others are eight megabytes and more; the pages near the head are the hot tail's.
    let read = linked.link.carried() - before;
    assert!(read < 1 << 20, "{read} bytes were read for four events");
    linked.end().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_searched_for_no_more_than_it_has_room_for() {
    const COUNT: i64 = 60;
    const READERS: u64 = 6;
    let linked = LinkedServer::start(&[("ROWCAST_PAGE_CACHE", "4MB")]).await;
    linked.sql.execute(LARGE, &[&COUNT]).await.unwrap();
    linked.sql.execute(SMALL, &[&6000_i64]).await.unwrap();
    linked.sql.batch_execute("analyze rowcast.events").await.unwrap();
    let before = linked.settled().await;
    let begun = Instant::now();
    let mut idle = Vec::new();
    for _ in 0..READERS {
        let mut stream = TcpStream::connect(linked.server.address()).await.unwrap();
        let head = format!(
            "GET /ws?cursor=0&subject=s HTTP/1.1\r\nhost: rowcast.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: {}\r\n\r\n",
            bearer(Role::Viewer, "vera")
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The answer begins, and nothing more is taken.
        stream.read_exact(&mut [0; 12]).await.unwrap();
        idle.push(stream);
    }
    // Nothing more comes once all of them are full.
    let mut read = 0;
    until("the readers are full", || {
        let now = linked.link.carried() - before;
        let still = std::mem::replace(&mut read, now) == now && now > READERS * LARGE_BYTES;
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            still
        }
    })
    .await;
    // Each has what its socket holds and a small batch, of 15 MB that are for it.
    let most = READERS * (6 << 20);
    assert!(read < most, "{read} bytes were read for {READERS} that take nothing, in {:?}", begun.elapsed());
    drop(idle);
    linked.end().await;
}
