//! What the tag of a cursor tells: the end of the event's id, if the reader may see that event; otherwise nothing of the id.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use rowcast::auth::Role;
use rowcast::client::{Connector, Item, Options, Start, Stream, Tokens};
use rowcast::config::Secret;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::public_views::{knows, listed};
use super::{Session, Sse, token};
use crate::support::raw_http::{Answer, request};
use crate::support::{TestDb, TestServer, migrated_database, until};

/// What stands in the journal after the first event, which everybody but `alice` may see.
const ROWS: &str = "insert into rowcast.events (type, public_safe, owner) values
    ('shop.opened', false, null), ('shop.opened', false, 'alice'), ('shop.opened', true, null),
    ('shop.unlisted', true, null), ('shop.opened', true, 'bob'), ('shop.opened', false, 'alice'), ('shop.opened', false, null)";
const SETTINGS: [(&str, &str); 3] =
    [("ROWCAST_PUBLIC_STREAM", "on"), ("ROWCAST_HEARTBEAT", "100ms"), ("ROWCAST_DRAIN", "500ms")];
/// The seq of the last of them.
const NEWEST: i64 = 8;

/// Somebody who reads.
struct Reader {
    name: &'static str,
    token: Option<String>,
    /// Which of the first eight events it may see.
    sees: &'static [i64],
}

fn readers() -> [Reader; 4] {
    let known = |name, role, sees| Reader { name, token: Some(token(name, role)), sees };
    [
        Reader { name: "the public", token: None, sees: &[1, 4] },
        known("alice", Role::User, &[3, 7]),
        known("vera", Role::Viewer, &[1, 2, 4, 5, 8]),
        known("adam", Role::Admin, &[1, 2, 3, 4, 5, 6, 7, 8]),
    ]
}

impl Reader {
    async fn ws(&self, journal: &ServedJournal, query: &str) -> Session {
        match &self.token {
            Some(token) => Session::of(&journal.server, &format!("/ws{query}"), token).await,
            None => Session::open(&journal.server, &format!("/public/ws{query}"), &[]).await,
        }
    }

    fn path(&self, path: &str) -> String {
        if self.token.is_some() { path.to_owned() } else { format!("/public{path}") }
    }

    async fn sse(&self, journal: &ServedJournal, query: &str) -> Sse {
        let path = self.path(&format!("/v1/events/stream{query}"));
        Sse::open(&journal.server, &path, self.token.as_deref()).await
    }

    async fn page(&self, journal: &ServedJournal, query: &str) -> Answer {
        let authorization = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        request(journal.server.address(), "GET", &self.path(&format!("/v1/events{query}")), &headers, b"").await
    }
}

struct ServedJournal {
    server: TestServer,
    client: Client,
    // Dropped last, when nobody uses it any more.
    db: TestDb,
}

impl ServedJournal {
    async fn start() -> Self {
        let (db, client) = listed().await;
        let server = TestServer::ready(&db.url, &SETTINGS).await;
        knows(&server, &client).await;
        let journal = Self { server, client, db };
        journal.insert(ROWS, NEWEST).await;
        journal
    }

    async fn insert(&self, sql: &str, newest: i64) {
        self.client.batch_execute(sql).await.unwrap();
        let head = async || self.server.get("/public/v1/events").await.json()["head"].clone();
        until("it is decided", || async { head().await == newest }).await;
    }

    /// Both cursors of an event: with the end of its id, and with the hash of it.
    async fn cursors(&self, seq: i64) -> (String, String) {
        let sql = "select seq || '.' || right(id::text, 8), seq || '.' || left(encode(sha256(uuid_send(id)), 'hex'), 8)
                     from rowcast.events where seq = $1";
        let row = self.client.query_one(sql, &[&seq]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// The cursor of an event as this reader is to be sent it.
    async fn cursor(&self, reader: &Reader, seq: i64) -> String {
        if seq == 0 {
            return "0".to_owned();
        }
        let (shown, hidden) = self.cursors(seq).await;
        if reader.sees.contains(&seq) { shown } else { hidden }
    }

    /// Nothing that this reader was sent holds the end of an id that it may not see.
    async fn keeps_quiet(&self, reader: &Reader, sent: &str) {
        for seq in (1..=NEWEST).filter(|seq| !reader.sees.contains(seq)) {
            let (shown, _) = self.cursors(seq).await;
            let tag = shown.split_once('.').unwrap().1;
            assert!(!sent.contains(tag), "{} was told {tag} of {seq}: {sent}", reader.name);
        }
    }
}

/// The ids of a stream of server-sent events, comments and events alike.
fn ids(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}

fn seqs(page: &Value) -> Vec<i64> {
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn each_beginning_has_the_tag_that_its_reader_may_know() {
    let journal = ServedJournal::start().await;
    for reader in readers() {
        for seq in 0..=NEWEST {
            let expected = journal.cursor(&reader, seq).await;
            let mut sent = String::new();
            let mut tagged = vec![seq.to_string(), expected.clone()];
            if seq > 0 {
                // Either tag proves the same history, whoever came by it.
                let (shown, hidden) = journal.cursors(seq).await;
                tagged.extend([shown, hidden]);
            }
            for cursor in tagged {
                let hello = reader.ws(&journal, &format!("?cursor={cursor}")).await.next_of("hello").await;
                assert_eq!(hello["cursor"], expected, "{} after {cursor}", reader.name);
                sent += &hello.to_string();
            }
            let mut sse = reader.sse(&journal, &format!("?cursor={seq}")).await;
            assert_eq!(ids(sse.until(": hello").await)[0], expected, "{} after {seq}", reader.name);
            journal.keeps_quiet(&reader, &(sent + &sse.text)).await;
        }
        // `latest`, and the newest so many of those that the reader may see.
        let newest = journal.cursor(&reader, NEWEST).await;
        for query in ["", "?cursor=latest", "?last=0", "?last=5&type=nothing.here"] {
            let hello = reader.ws(&journal, query).await.next_of("hello").await;
            assert_eq!(hello["cursor"], newest, "{} {query}", reader.name);
            assert_eq!(
                ids(reader.sse(&journal, query).await.until(": hello").await)[0],
                newest,
                "{} {query}",
                reader.name
            );
        }
        for (last, first) in reader.sees.iter().rev().enumerate() {
            let before = journal.cursor(&reader, first - 1).await;
            let hello = reader.ws(&journal, &format!("?last={}", last + 1)).await.next_of("hello").await;
            assert_eq!(hello["cursor"], before, "{} last={}", reader.name, last + 1);
        }
    }
    journal.server.stop().await.unwrap();
}

/// Follows the stream through both doors from the beginning to the farewell, and holds each cursor to what the reader may know.
async fn follow(journal: &ServedJournal, reader: &Reader, filter: &str, live: &AtomicUsize) {
    let name = format!("{}{filter}", reader.name);
    let newest = journal.cursor(reader, NEWEST).await;
    let mut sse = reader.sse(journal, &format!("?cursor=0{filter}")).await;
    let mut session = reader.ws(journal, &format!("?cursor=0{filter}")).await;
    let mut sent = String::new();
    for op in ["hello", "live", "heartbeat"] {
        let frame = session.next_of(op).await;
        assert_eq!(frame["cursor"], json!(if op == "hello" { "0" } else { &newest }), "{name} {op}");
        sent += &frame.to_string();
    }
    let text = sse.until(": heartbeat").await;
    assert_eq!(ids(text).last(), Some(&newest.as_str()), "{name}");
    journal.keeps_quiet(reader, &(sent + text)).await;
    live.fetch_add(1, Ordering::SeqCst);

    // An event that only the administrator sees, and then one that all but alice see, whatever their filters want.
    let expected = async |seq: i64| {
        let (shown, hidden) = journal.cursors(seq).await;
        let seen = reader.name == "adam" || (seq == 10 && reader.name != "alice");
        if seen { (shown, None) } else { (hidden, Some(shown.split_once('.').unwrap().1.to_owned())) }
    };
    for seq in [9, 10] {
        // The head may be told before the session has passed the event itself.
        let cursor_told = loop {
            let beat = session.next_of("heartbeat").await;
            let cursor = beat["cursor"].as_str().unwrap().to_owned();
            if cursor.starts_with(&format!("{seq}.")) {
                break cursor;
            }
        };
        let (cursor, secret) = expected(seq).await;
        assert_eq!(cursor_told, cursor, "{name}");
        let text = sse.until(&format!("id: {cursor}\n")).await;
        assert!(secret.is_none_or(|tag| !text.contains(&tag)), "{name}: {text}");
        live.fetch_add(1, Ordering::SeqCst);
    }
    let (last, _) = expected(10).await;
    assert_eq!(session.next_of("drain").await["cursor"], last, "{name}");
    assert_eq!(ids(sse.until(": drain").await).last(), Some(&last.as_str()), "{name}");
}

#[tokio::test]
async fn every_cursor_on_the_way_has_the_tag_that_its_reader_may_know() {
    let mut journal = ServedJournal::start().await;
    let elsewhere = TestServer::at(&journal.server.url);
    let server = std::mem::replace(&mut journal.server, elsewhere);
    let (readers, live) = (readers(), AtomicUsize::new(0));
    // With a filter, events that a reader may see are passed over too, and keep their usual tags.
    let filters = ["", "&type=shop.closed", "&type=nothing.here", "&symbol=KNOWN&level=info"];
    let all = readers.iter().flat_map(|reader| filters.map(|filter| follow(&journal, reader, filter, &live)));
    let followers = join_all(all);
    let drive = async {
        let many = readers.len() * filters.len();
        let all_at =
            async |step: usize| until("all are there", || async { live.load(Ordering::SeqCst) == many * step }).await;
        for (seq, row) in (9..).zip(["('shop.opened', false, 'bob')", "('shop.opened', true, null)"]) {
            all_at(usize::try_from(seq - NEWEST).unwrap()).await;
            journal.insert(&format!("insert into rowcast.events (type, public_safe, owner) values {row}"), seq).await;
        }
        all_at(3).await;
        server.stop().await.unwrap();
    };
    tokio::join!(followers, drive);
}

#[tokio::test]
async fn every_page_has_the_cursor_that_its_reader_may_know() {
    let journal = ServedJournal::start().await;
    for reader in readers() {
        let mut sent = String::new();
        for filter in ["", "&type=shop.closed", "&type=nothing.here", "&symbol=KNOWN&level=info"] {
            for page in ["?cursor=0", "?cursor=0&limit=1", "?cursor=0&limit=3", "?cursor=2", "?cursor=latest"] {
                let answer = reader.page(&journal, &format!("{page}{filter}")).await;
                let (body, name) = (answer.json(), format!("{} {page}{filter}", reader.name));
                let at = if body["more"] == true { *seqs(&body).last().unwrap() } else { NEWEST };
                assert_eq!(body["cursor"], journal.cursor(&reader, at).await, "{name}: {body}");
                sent += &answer.body;
            }
        }
        journal.keeps_quiet(&reader, &sent).await;
    }
    journal.server.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_comes_back_with_such_a_cursor_loses_nothing_and_forged_ones_are_refused() {
    let journal = ServedJournal::start().await;
    for reader in readers() {
        for seq in 1..=NEWEST {
            let rest: Vec<i64> = reader.sees.iter().copied().filter(|seen| *seen > seq).collect();
            let (shown, hidden) = journal.cursors(seq).await;
            for cursor in [&shown, &hidden] {
                let mut session = reader.ws(&journal, &format!("?cursor={cursor}")).await;
                for seq in &rest {
                    assert_eq!(session.next_of("event").await["event"]["seq"], *seq, "{} {cursor}", reader.name);
                }
                assert_eq!(session.next_of("live").await["cursor"], journal.cursor(&reader, NEWEST).await);
                let page = reader.page(&journal, &format!("?cursor={cursor}")).await.json();
                assert_eq!(seqs(&page), rest, "{} {cursor}", reader.name);
                let mut sse = reader.sse(&journal, &format!("?cursor={cursor}")).await;
                let text = sse.until(": live").await;
                let found = text.lines().filter(|line| line.starts_with("data: ")).count();
                assert_eq!(found, rest.len(), "{} {cursor}: {text}", reader.name);
            }
            // The tag of one event proves nothing of another.
            let (_, next) = journal.cursors(seq % NEWEST + 1).await;
            let strange = format!("{seq}.{}", next.split_once('.').unwrap().1);
            for forged in [format!("{seq}.00000000"), strange] {
                let mut session = reader.ws(&journal, &format!("?cursor={forged}")).await;
                assert_eq!(session.end().await, (4411, "cursor_invalid".to_owned()), "{} {forged}", reader.name);
                for path in ["", "/stream"] {
                    let answer = reader.page(&journal, &format!("{path}?cursor={forged}")).await;
                    let code = answer.json()["code"].clone();
                    assert_eq!((answer.status, code), (400, json!("cursor_invalid")), "{} {forged}", reader.name);
                }
            }
        }
    }
    journal.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_cursor_of_a_hidden_event_proves_its_history() {
    let journal = ServedJournal::start().await;
    let other = migrated_database().await;
    // The same seqs, other events.
    let client = other.client().await;
    client.batch_execute(&format!("insert into rowcast.events (type) values ('a.b'); {ROWS}")).await.unwrap();
    let after = TestServer::ready(&other.url, &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let after = ServedJournal { server: after, client, db: other };
    for reader in readers() {
        for seq in 1..=NEWEST {
            let cursor = journal.cursor(&reader, seq).await;
            let mut session = reader.ws(&after, &format!("?cursor={cursor}")).await;
            assert_eq!(session.end().await, (4411, "cursor_invalid".to_owned()), "{} {cursor}", reader.name);
            let answer = reader.page(&after, &format!("?cursor={cursor}")).await;
            assert_eq!(answer.json()["code"], "cursor_invalid", "{} {cursor}", reader.name);
        }
    }
    after.server.stop().await.unwrap();
    journal.server.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_may_see_more_from_now_on_is_sent_the_usual_tag() {
    let journal = ServedJournal::start().await;
    let (shown, hidden) = journal.cursors(NEWEST).await;
    let mut session = Session::open(&journal.server, "/public/ws", &[]).await;
    assert_eq!(session.next_of("hello").await["cursor"], hidden);
    for (role, tag) in [(Role::Viewer, &shown), (Role::User, &hidden), (Role::Admin, &shown)] {
        session.auth(&token("alice", role)).await;
        session.next_of("auth_ok").await;
        assert_eq!(session.next_of("heartbeat").await["cursor"], *tag, "{role:?}");
    }
    journal.server.stop().await.unwrap();
}

#[tokio::test]
async fn the_client_library_goes_on_from_cursors_of_both_kinds() {
    let mut journal = ServedJournal::start().await;
    let tokens = Tokens::fixed(Secret::new(token("alice", Role::User)));
    let options = Options { start: Start::Earliest, tokens, ..Options::default() };
    let connector = Connector::new(journal.server.url.parse().unwrap(), None).unwrap();
    let mut stream = Stream::new(connector, options);
    let mut seen = Vec::new();
    // Behind the last event of hers come a hidden one and the end of the backlog.
    let (_, hidden) = journal.cursors(NEWEST).await;
    loop {
        match stream.next().await.unwrap() {
            Item::Event(event) => seen.push(event.seq),
            Item::Live(_) => break,
            _ => {}
        }
    }
    assert_eq!((&seen[..], stream.cursor().unwrap().to_string()), (&[3, 7][..], hidden));
    let address = journal.server.address().to_owned();
    let elsewhere = TestServer::at(&journal.server.url);
    std::mem::replace(&mut journal.server, elsewhere).stop().await.unwrap();
    let sql = "insert into rowcast.events (type, owner) values ('a.b', 'bob'), ('a.b', 'alice'), ('a.b', 'bob')";
    journal.client.batch_execute(sql).await.unwrap();
    let settings = [&SETTINGS[..], &[("ROWCAST_LISTEN", address.as_str())]].concat();
    journal.server = TestServer::ready(&journal.db.url, &settings).await;
    loop {
        match stream.next().await.unwrap() {
            Item::Event(event) => {
                seen.push(event.seq);
                let (own, _) = journal.cursors(event.seq).await;
                assert_eq!(stream.cursor().unwrap().to_string(), own);
            }
            Item::Heartbeat(beat) if beat.head == 11 => break,
            _ => {}
        }
    }
    let (_, last) = journal.cursors(11).await;
    assert_eq!((seen, stream.cursor().unwrap().to_string()), (vec![3, 7, 10], last));
    drop(stream);
    journal.server.stop().await.unwrap();
}
