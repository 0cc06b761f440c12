//! Readers of a long public history, all at once, through nginx with `deploy/nginx/rowcast.conf` and two nodes behind it. The nodes may be
//! asked hardly more often than there are pages, and each reader must have read every event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use super::setting;
use crate::access::public_views::{knows, listed};
use crate::support::nginx_proxy::Nginx;
use crate::support::{TestServer, until};

/// How many events one statement appends.
const BATCH: u64 = 50_000;
/// The origin may be asked for so many answers beyond those of the pages: 1.1 times as many, and at least these.
const SPARE_ANSWERS: usize = 10;

/// What one reader has read: how many pages, and the bytes of their messages with a running hash of these.
#[derive(Clone)]
struct History {
    pages: usize,
    bytes: usize,
    hash: Context,
}

impl History {
    fn new() -> Self {
        Self { pages: 0, bytes: 0, hash: Context::new(&SHA256) }
    }

    /// Takes the messages of a page. Those of a page that a busy node has cut short come with the next one, so where pages end does not
    /// count.
    fn take(&mut self, body: &[u8]) {
        self.pages += 1;
        let messages = body.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap();
        if messages.is_empty() {
            return;
        }
        if self.bytes > 0 {
            self.hash.update(b",");
        }
        self.bytes += messages.len() + 1;
        self.hash.update(messages);
    }

    fn equals(&self, other: &Self) -> bool {
        let hash = |history: &Self| history.hash.clone().finish();
        self.bytes == other.bytes && hash(self).as_ref() == hash(other).as_ref()
    }
}

/// One connection to a server.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    host: HeaderValue,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, host: HeaderValue::try_from(address).unwrap() }
    }

    async fn get(&mut self, path: &str) -> Response<Bytes> {
        self.sender.ready().await.unwrap();
        let request = Request::get(path).header(HOST, self.host.clone()).body(Empty::new()).unwrap();
        let (head, body) = self.sender.send_request(request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }
}

/// Reads the public history from its beginning to its end, and hands over each page.
async fn read(address: &str, mut page: impl FnMut(&[u8])) {
    let mut connection = Connection::open(address).await;
    let mut offset = "-1".to_owned();
    loop {
        let answer = connection.get(&format!("/public/v1/stream/events?offset={offset}")).await;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            // A machine that is too busy for so many readers. What the nodes were asked counts all the same.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        assert_eq!(answer.status(), StatusCode::OK, "{offset}");
        page(answer.body());
        offset = answer.headers()["stream-next-offset"].to_str().unwrap().to_owned();
        if answer.headers().contains_key("stream-up-to-date") {
            return;
        }
    }
}

/// How many requests a server has answered, this one excepted.
async fn answers(server: &TestServer) -> usize {
    let metrics = server.get("/metrics").await.body;
    let counts = metrics.lines().filter(|line| line.starts_with("rowcast_http_answers_total{"));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// The history as a node answers it, compared with the table event by event.
async fn reference(server: &TestServer, sql: &Client) -> (History, usize) {
    #[derive(Deserialize)]
    struct Event {
        seq: i64,
        id: Uuid,
    }
    let (mut history, mut events) = (History::new(), Vec::new());
    read(server.address(), |body| {
        history.take(body);
        events
            .extend(serde_json::from_slice::<Vec<Event>>(body).unwrap().into_iter().map(|event| (event.seq, event.id)));
    })
    .await;
    let rows = sql.query("select seq, id from rowcast.events order by seq", &[]).await.unwrap();
    let rows: Vec<(i64, Uuid)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(events == rows, "a node does not answer with the table");
    (history, events.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_a_history_through_nginx_cost_the_nodes_hardly_more_than_its_pages() {
    let readers = setting("TORTURE_READERS", 40);
    let events = setting("TORTURE_EVENTS", 12_000);
    let (db, sql) = listed().await;
    let nodes = [TestServer::ready(&db.url, &[]).await, TestServer::ready(&db.url, &[]).await];
    for begin in (0..events).step_by(usize::try_from(BATCH).unwrap()) {
        let many = BATCH.min(events - begin);
        let batch = format!(
            "insert into rowcast.events (type, public_safe, payload)
             select 'shop.opened', true, jsonb_build_object('city', i) from generate_series(1, {many}) i"
        );
        sql.batch_execute(&batch).await.unwrap();
    }
    for node in &nodes {
        knows(node, &sql).await;
    }
    let newest: i64 = sql.query_one("select max(seq) from rowcast.events", &[]).await.unwrap().get(0);
    for node in &nodes {
        until("the node has it all", || async { node.get("/public/v1/events?limit=1").await.json()["head"] == newest })
            .await;
    }
    let (expected, count) = reference(&nodes[0], &sql).await;
    let Some(nginx) = Nginx::start(&[nodes[0].address(), nodes[1].address()]).await else { return };
    let before = answers(&nodes[0]).await + answers(&nodes[1]).await;
    let begun = Instant::now();
    let address: Arc<str> = nginx.url.trim_start_matches("http://").into();
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let address = Arc::clone(&address);
        reading.spawn(async move {
            let mut history = History::new();
            read(&address, |body| history.take(body)).await;
            history
        });
    }
    let histories = reading.join_all().await;
    let took = begun.elapsed();
    let exact = histories.iter().filter(|history| history.equals(&expected)).count();
    // The questions for the counts themselves are answers too.
    let asked = answers(&nodes[0]).await + answers(&nodes[1]).await - before - 2;
    eprintln!(
        "{readers} readers of {count} events in {} pages ({} MB): {exact} exact; the nodes were asked {asked} times; {took:.1?}",
        expected.pages,
        expected.bytes / 1_000_000
    );
    assert_eq!(u64::try_from(exact).unwrap(), readers);
    assert!(
        asked <= (expected.pages * 11 / 10).max(expected.pages + SPARE_ANSWERS),
        "{asked} answers for {} pages",
        expected.pages
    );
    for node in nodes {
        node.stop().await.unwrap();
    }
}
