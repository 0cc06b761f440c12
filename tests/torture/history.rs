//! Readers of a long public history, all at once, through nginx with `deploy/nginx/rowcast.conf` and two nodes behind it. The nodes may be
//! asked hardly more often than there are pages, and each reader must have read every event.

use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// How far one reader has come in the history that it is to read.
#[derive(Default)]
struct Progress {
    pages: usize,
    bytes: usize,
}

impl Progress {
    /// Takes the messages of a page, which must be those that come next. Those of a page that a busy node has cut short come with the next
    /// one, so where pages end does not count.
    fn take(&mut self, body: &[u8], history: &[u8]) {
        self.pages += 1;
        let messages = messages(body);
        if messages.is_empty() {
            return;
        }
        let rest = &history[self.bytes..];
        assert!(rest.starts_with(messages) && rest[messages.len()] == b',', "page {} at {}", self.pages, self.bytes);
        self.bytes += messages.len() + 1;
    }
}

/// The messages of a page, without the brackets around them.
fn messages(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap()
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

/// The history as a node answers it, compared with the table event by event: its messages with a comma behind each, how many they are, and
/// in how many pages they came.
async fn reference(server: &TestServer, sql: &Client) -> (Vec<u8>, usize, usize) {
    #[derive(Deserialize)]
    struct Event {
        seq: i64,
        id: Uuid,
    }
    let (mut history, mut events, mut pages) = (Vec::new(), Vec::new(), 0);
    read(server.address(), |body| {
        pages += 1;
        let page: Vec<Event> = serde_json::from_slice(body).unwrap();
        if !page.is_empty() {
            history.extend_from_slice(messages(body));
            history.push(b',');
        }
        events.extend(page.into_iter().map(|event| (event.seq, event.id)));
    })
    .await;
    let rows = sql.query("select seq, id from rowcast.events order by seq", &[]).await.unwrap();
    let rows: Vec<(i64, Uuid)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(events == rows, "a node does not answer with the table");
    (history, events.len(), pages)
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
    let (history, count, pages) = reference(&nodes[0], &sql).await;
    let Some(nginx) = Nginx::start(&[nodes[0].address(), nodes[1].address()]).await else { return };
    let before = answers(&nodes[0]).await + answers(&nodes[1]).await;
    let begun = Instant::now();
    let address: Arc<str> = nginx.url.trim_start_matches("http://").into();
    let (history, mut reading) = (Arc::new(history), JoinSet::new());
    for _ in 0..readers {
        let (address, history) = (Arc::clone(&address), Arc::clone(&history));
        reading.spawn(async move {
            let mut progress = Progress::default();
            read(&address, |body| progress.take(body, &history)).await;
            progress.bytes == history.len()
        });
    }
    let exact = reading.join_all().await.into_iter().filter(|complete| *complete).count();
    let took = begun.elapsed();
    // The questions for the counts themselves are answers too.
    let asked = answers(&nodes[0]).await + answers(&nodes[1]).await - before - 2;
    eprintln!(
        "{readers} readers of {count} events in {pages} pages ({} MB): {exact} exact; the nodes were asked {asked} times; {took:.1?}",
        history.len() / 1_000_000
    );
    assert_eq!(u64::try_from(exact).unwrap(), readers);
    assert!(asked <= (pages * 11 / 10).max(pages + SPARE_ANSWERS), "{asked} answers for {pages} pages");
    for node in nodes {
        node.stop().await.unwrap();
    }
}
