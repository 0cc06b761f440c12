//! The database behind a connection becomes another one: a standby that lost events is promoted, or a backup is restored.
//! Under load, each client must have exactly what the new history holds, or be told that its cursor is of another one.
#![allow(clippy::print_stderr, reason = "the counts are what a run is for")]

mod bouncer;
pub(crate) mod postgres;
mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::client::{Connector, Endpoint, Error, Item, Options, Selection, Start, Stream, Tokens};
use rowcast::clock::Clock;
use rowcast::config::Secret;
use rowcast::journal::Cursor;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::bouncer::Bouncer;
use self::postgres::Postgres;
use self::proxy::Proxy;
use crate::operations::pooler;
use crate::support::{JWT_SECRET, TestServer, connect, connector, migrate, raw_http, until};
use crate::tail::TailNode;

const WRITERS: u64 = 3;
const CLIENTS: usize = 4;
/// So many events at least are lost in a failover.
const LOST: i64 = 150;
/// How long readiness may say ready while a dead history is served.
const READY_LIMIT: Duration = Duration::from_secs(2);
/// How long clients may take for the rest when the writers have stopped.
const CATCH_UP: Duration = Duration::from_secs(60);

/// What stands between the server and Postgres.
enum Route {
    Bouncer(Bouncer),
    Proxy(Proxy),
    /// Both hosts stand in the URL.
    Hosts(String),
    Direct(String),
}

impl Route {
    fn url(&self) -> String {
        match self {
            Self::Bouncer(bouncer) => bouncer.url(),
            Self::Proxy(proxy) => proxy.url(),
            Self::Hosts(url) | Self::Direct(url) => url.clone(),
        }
    }

    fn move_to(&self, port: u16) {
        match self {
            Self::Bouncer(bouncer) => bouncer.move_to(port),
            Self::Proxy(proxy) => proxy.move_to(port),
            Self::Hosts(_) | Self::Direct(_) => {}
        }
    }
}

fn token() -> Secret {
    let ttl = Duration::from_secs(24 * 3600);
    let mint = Mint { subject: "failover", role: Role::Viewer, ttl, issuer: None, audience: None };
    mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap()
}

/// What a client has in the end, and how often it was told that its history is over.
struct Received {
    events: Vec<Cursor>,
    refused: u64,
}

/// Follows from the first event on, begins anew when its cursor is refused, and ends at the event that is told to be the last.
async fn follow(place: String, seen: Arc<watch::Sender<i64>>, mut last: watch::Receiver<Option<Cursor>>) -> Received {
    let mut received = Received { events: Vec::new(), refused: 0 };
    loop {
        let endpoint: Endpoint = place.parse().unwrap();
        let (selection, tokens) = (Selection::default(), Tokens::fixed(token()));
        let options = Options { start: Start::Earliest, selection, tokens, reconnect: true };
        let mut stream = Stream::new(Connector::new(endpoint, None).unwrap(), options);
        received.events.clear();
        loop {
            if last.borrow().is_some() && received.events.last().copied() == *last.borrow() {
                return received;
            }
            tokio::select! {
                item = stream.next() => match item {
                    Ok(Item::Event(event)) => {
                        received.events.push(event.cursor());
                        seen.send_modify(|seen| *seen = (*seen).max(event.cursor().seq));
                    }
                    Ok(_) => {}
                    Err(Error::CursorInvalid(_)) => {
                        received.refused += 1;
                        break;
                    }
                    Err(error) => panic!("after {} events: {error}", received.events.len()),
                },
                changed = last.changed() => changed.unwrap(),
            }
        }
    }
}

/// Writes to whatever is the primary, as an application does that connects anew when it must.
async fn write(number: u64, primary: watch::Receiver<String>, stop: Arc<AtomicBool>) {
    let insert = format!(
        "insert into rowcast.events (type, payload) select 'failover.row', jsonb_build_object('writer', {number})
           from generate_series(1, 3)"
    );
    while !stop.load(Ordering::Relaxed) {
        let url = primary.borrow().clone();
        let Ok((client, _)) = connector(&url).connect().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        for round in number.. {
            if stop.load(Ordering::Relaxed) || *primary.borrow() != url {
                break;
            }
            let end = if round % 7 == 0 { "rollback" } else { "commit" };
            let hold = if round % 5 == 0 { "select pg_sleep(0.01);" } else { "" };
            if client.batch_execute(&format!("begin; {insert}; {hold} {end}")).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(8)).await;
        }
    }
}

async fn newest(url: &str) -> Cursor {
    let sql = "select seq, id from rowcast.events order by seq desc limit 1";
    let row = connect(url).await.query_one(sql, &[]).await.unwrap();
    Cursor::of(row.get(0), row.get(1))
}

/// For how long readiness says ready while the server still takes a cursor of the dead history for its own.
async fn ready_while_dead(server: &TestServer, lost: Cursor, moved: Instant) -> Duration {
    let bearer = format!("Bearer {}", token().expose());
    let mut ready = Duration::ZERO;
    let begun = Instant::now();
    loop {
        let path = format!("/v1/events?limit=1&cursor={lost}");
        let is_ready = server.get("/health/ready").await.status == 200;
        let answer = raw_http::request(server.address(), "GET", &path, &[("authorization", &bearer)], b"").await;
        match answer.status {
            400 if answer.body.contains("cursor_invalid") => return ready,
            200 if is_ready => ready = moved.elapsed(),
            _ => {}
        }
        assert!(begun.elapsed() < CATCH_UP, "a cursor of the dead history is never refused: {}", answer.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One run: everything goes on while `disaster` makes the database lose its newest events.
struct FailoverRun {
    server: TestServer,
    primary: watch::Sender<String>,
    stop: Arc<AtomicBool>,
    writing: JoinSet<()>,
    following: JoinSet<Received>,
    seen: Arc<watch::Sender<i64>>,
    last: watch::Sender<Option<Cursor>>,
}

impl FailoverRun {
    async fn begin(route: &str, primary: &str) -> Self {
        let server = TestServer::ready(route, &[("ROWCAST_HEARTBEAT", "1s")]).await;
        let (primary, last) = (watch::Sender::new(primary.to_owned()), watch::Sender::new(None));
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(watch::Sender::new(0)));
        let (mut writing, mut following) = (JoinSet::new(), JoinSet::new());
        for number in 0..WRITERS {
            writing.spawn(write(number, primary.subscribe(), Arc::clone(&stop)));
        }
        for _ in 0..CLIENTS {
            following.spawn(follow(server.url.clone(), Arc::clone(&seen), last.subscribe()));
        }
        let run = Self { server, primary, stop, writing, following, seen, last };
        run.reach(100).await;
        run
    }

    /// Waits until some client has received this.
    async fn reach(&self, seq: i64) {
        let mut seen = self.seen.subscribe();
        tokio::time::timeout(CATCH_UP, seen.wait_for(|seen| *seen >= seq)).await.expect("events arrive").unwrap();
    }

    /// What the server does about it, and what each client has in the end.
    async fn end(mut self, name: &str, lost: Cursor, moved: Instant) {
        let ready = ready_while_dead(&self.server, lost, moved).await;
        let noticed = moved.elapsed();
        let url = self.primary.borrow().clone();
        // Both histories have gone on: numbers of the dead one are used again.
        until("the new history has come further", || async { newest(&url).await.seq > lost.seq + 50 }).await;
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.writing.join_next().await {
            ended.unwrap();
        }
        let rows = connect(&url).await.query("select seq, id from rowcast.events order by seq", &[]).await.unwrap();
        let table: Vec<Cursor> = rows.iter().map(|row| Cursor::of(row.get(0), row.get(1))).collect();
        self.last.send_replace(table.last().copied());
        let mut refused = 0;
        let finish = async {
            while let Some(ended) = self.following.join_next().await {
                let received = ended.unwrap();
                refused += received.refused;
                let first = received.events.iter().zip(&table).position(|(a, b)| a != b);
                let (has, is) = (received.events.len(), table.len());
                assert!(received.events == table, "{name}: {has} events and not {is}, first other at {first:?}");
            }
        };
        tokio::time::timeout(CATCH_UP, finish).await.expect("every client comes to the end");
        eprintln!(
            "{name}: {} events, {refused} cursors refused, noticed after {noticed:?}, ready until {ready:?}",
            table.len()
        );
        assert!(refused > 0, "{name}: nobody had an event of the dead history: this run could not have failed");
        assert!(ready <= READY_LIMIT, "{name}: ready on a dead history for {ready:?}");
        self.server.stop().await.unwrap();
    }
}

/// A primary is killed, and a standby that lacks its newest events takes its place.
async fn fail_over(name: &str, route: impl AsyncFnOnce(&Postgres, &Postgres) -> Route) {
    let mut old = Postgres::primary().await;
    migrate(&old.url()).await;
    let new = Postgres::standby(&old).await;
    let route = route(&old, &new).await;
    let run = FailoverRun::begin(&route.url(), &old.url()).await;
    new.detach().await;
    run.reach(newest(&new.url()).await.seq + LOST).await;
    let lost = newest(&old.url()).await;
    run.reach(lost.seq).await;
    new.promote().await;
    route.move_to(new.port);
    old.kill();
    let moved = Instant::now();
    run.primary.send_replace(new.url());
    run.end(name, lost, moved).await;
}

fn runs() -> u64 {
    std::env::var("TORTURE_RUNS").map_or(1, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_with_loss_behind_a_pooler_is_noticed_by_everyone() {
    for _ in 0..runs() {
        let Some(program) = pooler::program() else { return };
        fail_over("pooler", async |old, _| Route::Bouncer(Bouncer::to(program, old.port).await)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_with_loss_behind_a_proxy_that_keeps_connections_is_noticed_by_everyone() {
    for _ in 0..runs() {
        fail_over("proxy", async |old, _| Route::Proxy(Proxy::to(vec![old.port]).await)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_with_loss_to_the_other_host_of_the_url_is_noticed_by_everyone() {
    for _ in 0..runs() {
        let hosts = async |old: &Postgres, new: &Postgres| {
            let (standby, primary) = (new.port, old.port);
            Route::Hosts(format!("postgres://postgres@127.0.0.1:{standby},127.0.0.1:{primary}/app?sslmode=disable"))
        };
        fail_over("hosts", hosts).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_under_a_running_server_is_noticed_by_everyone() {
    for _ in 0..runs() {
        let postgres = Postgres::primary().await;
        migrate(&postgres.url()).await;
        let route = Route::Direct(postgres.url());
        let run = FailoverRun::begin(&route.url(), &postgres.url()).await;
        let (port, file) = (postgres.port.to_string(), format!("dump-{}", postgres.port));
        let to = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "app"];
        postgres.run("pg_dump", &[&to[..], &["-Fc", "-f", &file]].concat());
        run.reach(newest(&postgres.url()).await.seq + LOST).await;
        let lost = newest(&postgres.url()).await;
        run.reach(lost.seq).await;
        // Writers wait: a restore makes the tables before it makes what guards them. Of the errors, which it goes on after, all
        // are of partitions that cannot be altered and are dropped with their parent.
        run.primary.send_replace("postgres://postgres@127.0.0.1:1/app?sslmode=disable".to_owned());
        let restore = [&to[..], &["--clean", "--if-exists", &file]].concat();
        let output = postgres.program("pg_restore").args(&restore).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("errors ignored on restore") || output.status.success(), "{said}");
        run.primary.send_replace(postgres.url());
        run.end("restore", lost, Instant::now()).await;
    }
}

/// Connections go to a lagging standby and to the primary in turn, as with a name that has two addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_is_read_from_a_lagging_standby() {
    let primary = Postgres::primary().await;
    migrate(&primary.url()).await;
    let standby = Postgres::standby(&primary).await;
    standby.detach().await;
    let client = connect(&primary.url()).await;
    let fill = "insert into rowcast.events (type) select 'lag.row' from generate_series(1, 40000)";
    client.batch_execute(fill).await.unwrap();
    let proxy = Proxy::to(vec![standby.port, primary.port]).await;
    let node = TailNode::start(&proxy.url());
    let mut position = node.pages.subscribe();
    tokio::time::timeout(CATCH_UP, position.wait_for(|p| p.head == 40000)).await.expect("the tail is there").unwrap();
    let (mut cursor, mut seen, mut refused) = (0, 0, 0);
    let begun = Instant::now();
    while cursor < 40000 {
        assert!(begun.elapsed() < CATCH_UP, "only {seen} events were read");
        match node.pages.page_after(cursor).await {
            Ok(page) => {
                seen += page.after(cursor).map(|part| part.events().len()).sum::<usize>();
                cursor = cursor.max(page.upto());
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(seen, 40000, "{refused} loads were refused");
    node.stop().await;
}

/// A backend is killed, and the postmaster starts everything else anew: virtual transactions too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_that_the_postmaster_survives_is_noticed_through_a_pooler() {
    let Some(program) = pooler::program() else { return };
    let postgres = Postgres::primary().await;
    migrate(&postgres.url()).await;
    let bouncer = Bouncer::to(program, postgres.port).await;
    let mut node = TailNode::start(&bouncer.url());
    node.connected().await;
    let insert = "insert into rowcast.events (type) values ('crash.row')";
    for _ in 0..3 {
        let before = node.counts.borrow().connections;
        let holder = connect(&postgres.url()).await;
        holder.batch_execute(&format!("begin; {insert}")).await.unwrap();
        let writer = connect(&postgres.url()).await;
        writer.batch_execute(insert).await.unwrap();
        postgres.crash().await;
        until("the tail begins anew", || async { node.counts.borrow().connections > before }).await;
        let client = connect(&postgres.url()).await;
        client.batch_execute(insert).await.unwrap();
        let rows = client.query("select seq from rowcast.events order by seq", &[]).await.unwrap();
        let table: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let mut reader = node.reader();
        reader.read_to(*table.last().unwrap()).await;
        assert_eq!(reader.seen, table);
    }
    node.stop().await;
}
