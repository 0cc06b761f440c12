//! The client library and `rowcast tail` against the real server: over restarts, kills and broken connections.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rowcast::auth::Role;
use rowcast::client::{Connector, Item, Options, Start, Stream, Tokens};
use rowcast::clock::jitter;
use rowcast::config::Secret;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::{ServedJournal, append, token};
use crate::support::{JWT_SECRET, TestServer, binary, migrated_database, run, text, until};

fn seqs(output: &str) -> Vec<i64> {
    output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn tail_shows_what_there_is_and_filters_and_is_refused_with_exit_code_1() {
    let journal = ServedJournal::start(&[]).await;
    journal.append(20).await;
    journal.event("type, level", "'trade.opened', 'warn'").await;
    let url = journal.server.url.clone();
    let tail = async |args: &[&str]| {
        let args = [&["tail", "--url", &url, "--once"], args].concat();
        let output = run(&args, &[("ROWCAST_JWT_SECRET", JWT_SECRET)]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(seqs(&tail(&["--json", "--cursor", "earliest"]).await), (1..=21).collect::<Vec<_>>());
    assert_eq!(seqs(&tail(&["--json", "--last", "3"]).await), [19, 20, 21]);
    assert_eq!(seqs(&tail(&["--json", "--cursor", &journal.cursor(19).await]).await), [20, 21]);
    assert_eq!(seqs(&tail(&["--json", "--cursor", "0", "--type", "trade.*"]).await), [21]);
    assert_eq!(seqs(&tail(&["--json", "--last", "9", "--level", "warn"]).await), [21]);
    assert_eq!(tail(&[]).await, "");
    let line = tail(&["--last", "1"]).await;
    assert!(line.contains("warn") && line.contains("trade.opened") && line.ends_with("{}\n"), "{line}");

    let args = ["tail", "--url", &url, "--once"];
    let other = "fedcba9876543210fedcba9876543210";
    for (name, value) in [("ROWCAST_TOKEN", "nonsense"), ("ROWCAST_JWT_SECRET", other)] {
        let output = run(&args, &[(name, value)]).await;
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{said}");
        assert!(said.starts_with("rowcast: not authorized (unauthorized: "), "{said}");
    }
    for (cursor, said) in [("99", "rowcast: the cursor is not of this history (cursor_invalid: "), ("20.00000000", "")]
    {
        let output = run(&[&args[..], &["--cursor", cursor]].concat(), &[("ROWCAST_JWT_SECRET", JWT_SECRET)]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).starts_with(said));
    }
    journal.end().await;
}

/// Ends a process when the test ends, however it does.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_goes_on_behind_a_restart_of_the_server() {
    let db = migrated_database().await;
    let writer = db.client().await;
    let server = TestServer::ready(&db.url, &[("ROWCAST_DRAIN", "300ms")]).await;
    let (url, address) = (server.url.clone(), server.address().to_owned());
    append(&writer, 3).await;
    let args = ["tail", "--url", &url, "--json", "--last", "3"];
    let mut child = binary(&args, &[("ROWCAST_JWT_SECRET", JWT_SECRET)]);
    let mut child = KilledOnDrop(child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let stdout = BufReader::new(child.0.stdout.take().unwrap());
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || stdout.lines().try_for_each(|line| sender.send(line.unwrap())));
    let mut seen = Vec::new();
    let mut server = Some(server);
    for _ in 0..2 {
        while seen.len() % 4 != 3 {
            seen.extend(seqs(&lines.recv().await.unwrap()));
        }
        server.take().unwrap().stop().await.unwrap();
        append(&writer, 1).await;
        server = Some(TestServer::ready(&db.url, &[("ROWCAST_LISTEN", &address), ("ROWCAST_DRAIN", "300ms")]).await);
        seen.extend(seqs(&lines.recv().await.unwrap()));
        append(&writer, 3).await;
    }
    while seen.len() < 11 {
        seen.extend(seqs(&lines.recv().await.unwrap()));
    }
    assert_eq!(seen, (1..=11).collect::<Vec<_>>());
}

/// One of two nodes that are processes, so that they can be killed.
struct KillableNode {
    child: KilledOnDrop,
    address: String,
}

async fn node(url: &str) -> KillableNode {
    let environment = [
        ("DATABASE_URL", url),
        ("ROWCAST_JWT_SECRET", JWT_SECRET),
        ("ROWCAST_LISTEN", "127.0.0.1:0"),
        ("ROWCAST_HEARTBEAT", "100ms"),
        ("ROWCAST_DRAIN", "300ms"),
        ("ROWCAST_LOG", "warn"),
        ("ROWCAST_RATE_LIMITS", "connect=100000/m"),
    ];
    let mut child = KilledOnDrop(binary(&["serve"], &environment).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let first = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
    let address = first.rsplit_once("//").unwrap().1.to_owned();
    until("the node is ready", || async {
        crate::support::raw_http::request(&address, "GET", "/health/ready", &[], b"").await.status == 200
    })
    .await;
    KillableNode { child, address }
}

/// Passes connections on to one of the nodes, and cuts each of them at some moment.
async fn meddle(listener: TcpListener, nodes: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let address = {
            let nodes = nodes.lock().unwrap();
            nodes[usize::from(jitter() < 0.75) % nodes.len()].clone()
        };
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(&address).await else { return };
            let life = Duration::from_secs_f64((jitter() - 0.5) * 1.2);
            let passed = tokio::io::copy_bidirectional(&mut client, &mut server);
            let _cut = tokio::time::timeout(life, passed).await;
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_two_nodes_that_are_killed_gets_everything_once_and_in_order() {
    let db = migrated_database().await;
    let mut nodes = vec![node(&db.url).await, node(&db.url).await];
    let addresses = Arc::new(Mutex::new(nodes.iter().map(|node| node.address.clone()).collect::<Vec<_>>()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let meddler = tokio::spawn(meddle(listener, Arc::clone(&addresses)));

    let until_then = Instant::now() + Duration::from_secs(4);
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let url = db.url.clone();
            tokio::spawn(async move {
                let client = crate::support::connect(&url).await;
                while Instant::now() < until_then {
                    append(&client, 1 + i64::from(jitter() < 0.6) * 30).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    let tokens = Tokens::fixed(Secret::new(token(Role::Viewer, "vera")));
    let options = Options { start: Start::Earliest, tokens, ..Options::default() };
    let mut stream = Stream::new(Connector::new(url.parse().unwrap(), None).unwrap(), options);
    let follow = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            match stream.next().await.unwrap() {
                // The mark that is written when all others are done.
                Item::Event(event) if event.kind == "the.end" => return (seen, stream.connections()),
                Item::Event(event) => seen.push(event.seq),
                _ => {}
            }
        }
    });
    for turn in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        // Killed, and another in its place.
        let at = turn % 2;
        nodes[at].child.0.kill().unwrap();
        nodes[at] = node(&db.url).await;
        addresses.lock().unwrap()[at].clone_from(&nodes[at].address);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let client = db.client().await;
    client.batch_execute("insert into rowcast.events (type) values ('the.end')").await.unwrap();
    let (seen, connections) = tokio::time::timeout(Duration::from_secs(60), follow).await.unwrap().unwrap();
    let sql = "select seq from rowcast.events where type <> 'the.end' order by seq";
    let stored: Vec<i64> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(seen == stored, "{} of {} events", seen.len(), stored.len());
    assert!(stored.len() > 500 && connections > 1, "{} events, {connections} connections", stored.len());
    meddler.abort();
    drop(nodes);
}
