//! The doors themselves: what they answer to good and bad requests, and that bad ones harm nobody else.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rowcast::app::App;
use rowcast::config::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::raw_http::{Answer, raw, read_answer, request};
use crate::support::{TestServer, migrated_database, settings};

/// Nothing listens on port 1: these tests need no database.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing";

#[tokio::test]
async fn unknown_addresses_are_404_and_wrong_methods_405_with_allow() {
    let server = TestServer::start(NOWHERE, &[]).await;
    for path in ["/index.html", "/assets/", "/health", "/health/live/", "/health/nope", "/v1/..%2f", "/%00"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.json()["request_id"], answer.headers["x-request-id"].as_str());
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = request(server.address(), method, "/health/live", &[], b"").await;
        assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD"), "{method}");
    }
    let head = request(server.address(), "HEAD", "/health/live", &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (0, ""), "a HEAD has a length and no body");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_id_is_kept_when_it_is_plain() {
    let server = TestServer::start(NOWHERE, &[]).await;
    let own = request(server.address(), "GET", "/nope", &[("x-request-id", "order-7")], b"").await;
    assert_eq!((own.headers["x-request-id"].as_str(), &own.json()["request_id"]), ("order-7", &"order-7".into()));
    let odd = request(server.address(), "GET", "/nope", &[("x-request-id", "a b")], b"").await;
    assert_ne!(odd.headers["x-request-id"], "a b");
    assert_eq!(
        (odd.headers["cache-control"].as_str(), odd.headers["x-content-type-options"].as_str()),
        ("no-store", "nosniff")
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_refused_and_the_next_request_served() {
    let server = TestServer::start(NOWHERE, &[]).await;
    let too_large = request(server.address(), "GET", "/health/live", &[("content-length", "1048577")], b"").await;
    assert_eq!((too_large.status, too_large.json()["code"].as_str()), (413, Some("body_too_large")));

    let long = "x".repeat(40_000);
    let many: Vec<(String, String)> = (0..150).map(|n| (format!("x-{n}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    for headers in [&[("x-long", long.as_str())][..], &many] {
        assert_eq!(request(server.address(), "GET", "/health/live", headers, b"").await.status, 431);
    }
    for bytes in [
        &b"nonsense\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let answer = raw(&mut stream, bytes).await;
        assert!([0, 400].contains(&answer.status), "{bytes:?}: {answer:?}");
    }
    assert_eq!(server.get("/health/live").await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let server = TestServer::start(NOWHERE, &[]).await;
    for (head, status) in [
        ("GET /health/live HTTP/1.1\r\n", 400),
        ("GET /health/live HTTP/1.1\r\nhost: a\r\nhost: a\r\n", 400),
        ("GET /health/live HTTP/1.1\r\nhost: a\r\nHost: b\r\n", 400),
        ("GET /health/live HTTP/1.1\r\nhost: a b\r\n", 400),
        ("GET /health/live HTTP/1.1\r\nhost: u@a\r\n", 400),
        ("GET /health/live HTTP/1.0\r\nhost: a\r\nhost: a\r\n", 400),
        ("GET /health/live HTTP/1.0\r\n", 200),
        ("GET /health/live HTTP/1.1\r\nhost:\r\n", 200),
        ("GET /health/live HTTP/1.1\r\nhost: [::1]:8080\r\n", 200),
        ("GET /health/live HTTP/1.1\r\nhost: rowcast.example:443\r\n", 200),
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let answer = raw(&mut stream, format!("{head}\r\n").as_bytes()).await;
        assert_eq!(answer.status, status, "{head:?}: {answer:?}");
        if status == 400 {
            assert_eq!(answer.json()["code"], "bad_request", "{head:?}");
        }
    }
    server.stop().await.unwrap();
}

/// Time stands still and jumps to the next timer whenever nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_with_its_headers_is_cut_off() {
    let server = TestServer::start(NOWHERE, &[]).await;
    let mut slow = TcpStream::connect(server.address()).await.unwrap();
    slow.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-never").await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(begun.elapsed() >= rowcast::http::HEADER_LIMIT);
    assert!(!String::from_utf8_lossy(&rest).contains("200"), "{rest:?}");
    server.stop().await.unwrap();
}

/// Sends a request and keeps the connection.
async fn ask_on(stream: &mut TcpStream, path: &str) -> Answer {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    read_answer(stream).await
}

/// So many connections that say nothing.
async fn silent(server: &TestServer, many: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..many {
        held.push(TcpStream::connect(server.address()).await.unwrap());
    }
    held
}

#[tokio::test]
async fn beyond_the_connections_that_are_allowed_probes_alone_are_answered() {
    let server = TestServer::start(NOWHERE, &[("ROWCAST_MAX_SESSIONS", "1")]).await;
    let mut held = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let answer = ask_on(&mut stream, "/v1/nothing").await;
        if answer.status != 404 {
            break answer;
        }
        held.push(stream);
        assert!(held.len() <= 257);
    };
    assert_eq!((held.len(), refused.status), (257, 503));
    assert_eq!(
        (refused.json()["code"].as_str(), refused.headers["retry-after"].as_str()),
        (Some("too_many_connections"), "1")
    );
    // Silent ones take no probe's place, however many they are.
    let mute = silent(&server, 200).await;
    for path in ["/health/live", "/metrics"] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        assert_eq!(ask_on(&mut stream, path).await.status, 200);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "one request a connection");
    }
    held.pop();
    crate::support::until("a place is free again", || async { server.get("/v1/nothing").await.status == 404 }).await;
    drop((held, mute));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_address_cannot_take_the_connections_of_others() {
    let server = TestServer::start(NOWHERE, &[("ROWCAST_CONNECTIONS_PER_ADDRESS", "20")]).await;
    let mute = silent(&server, 500).await;
    let mut same = TcpStream::connect(server.address()).await.unwrap();
    let refused = ask_on(&mut same, "/v1/nothing").await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("rate_limited")));
    assert_eq!(server.get("/health/live").await.status, 200, "a probe of the same address");
    let neighbour = tokio::net::TcpSocket::new_v4().unwrap();
    neighbour.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut neighbour = neighbour.connect(server.address().parse().unwrap()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask_on(&mut neighbour, "/v1/nothing").await.status, 404, "a connection like any other");
    }
    drop(mute);
    crate::support::until("its places are free again", || async { server.get("/v1/nothing").await.status == 404 })
        .await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_speaks_tls_with_its_own_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let files = [("ROWCAST_TLS_CERT", cert_file.to_str().unwrap()), ("ROWCAST_TLS_KEY", key_file.to_str().unwrap())];
    let server = TestServer::start(NOWHERE, &files).await;
    assert!(server.url.starts_with("https://"));

    // Whoever speaks plain HTTP gets nothing, and harms nobody.
    let mut plain = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(raw(&mut plain, b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.status, 0);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let tcp = TcpStream::connect(server.address()).await.unwrap();
    let mut tls = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let answer = raw(&mut tls, b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"status\":\"live\"}"));
    server.stop().await.unwrap();

    let swapped = [("ROWCAST_TLS_CERT", files[1].1), ("ROWCAST_TLS_KEY", files[0].1)];
    let config = ServerConfig::read(&settings(NOWHERE, &swapped)).unwrap();
    let error = App::new(&config).await.unwrap_err().to_string();
    assert!(error.contains("it holds no certificate"), "{error}");
    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&key_file, other.signing_key.serialize_pem()).unwrap();
    let config = ServerConfig::read(&settings(NOWHERE, &files)).unwrap();
    assert!(App::new(&config).await.unwrap_err().to_string().starts_with("ROWCAST_TLS_CERT"));
}

#[tokio::test]
async fn health_tells_what_it_sees() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    assert_eq!(server.get("/health/live").await.body, "{\"status\":\"live\"}");
    crate::support::until("bells reach the tail", || async {
        let ready = server.get("/health/ready").await.json();
        ready == serde_json::json!({ "status": "ready", "tail": { "hearing": "proven", "live_from": "postgres", "stalled": null } })
    })
    .await;
    let health = server.get("/health/db").await.json();
    assert_eq!(health["status"], "ok");
    assert!(health["latency_ms"].as_f64().unwrap() > 0.0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn readiness_and_metrics_name_what_holds_the_stream_back() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let (holder, writer) = (db.client().await, db.client().await);
    let insert = "insert into rowcast.events (type) values ('http.test')";
    writer.batch_execute(insert).await.unwrap();
    // Once it is decided, whoever holds can hold back only what comes after.
    crate::support::until("the first is handed out", || async {
        server.get("/metrics").await.body.lines().any(|line| line == "rowcast_tail_newest 1")
    })
    .await;
    holder.batch_execute(&format!("set application_name = 'holder'; begin; {insert}")).await.unwrap();
    let pid: i32 = holder.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    crate::support::until("the blocker is named", || async {
        let stalled = &server.get("/health/ready").await.json()["tail"]["stalled"];
        let blocker = &stalled["blockers"][0];
        stalled["reason"] == "transaction" && blocker["pid"] == pid && blocker["application"] == "holder"
    })
    .await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    let value = |name: &str| -> f64 {
        let line = metrics.body.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is missing in {}", metrics.body)).parse().unwrap()
    };
    assert!(value("rowcast_tail_stalled_seconds{reason=\"transaction\"}") >= 1.0);
    assert_eq!((value("rowcast_tail_connected"), value("rowcast_tail_newest")), (1.0, 1.0));
    assert!(value("rowcast_http_answers_total{class=\"2xx\"}") > 0.0);
    holder.batch_execute("commit").await.unwrap();
    crate::support::until("the second is handed out, and both are timed", || async {
        let page = server.get("/metrics").await.body;
        let count = |name: &str| -> u64 {
            page.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap().parse().unwrap()
        };
        let [all, short] =
            ["count", "bucket{le=\"0.5\"}"].map(|end| count(&format!("rowcast_tail_fence_wait_seconds_{end}")));
        let delivered =
            ["count", "bucket{le=\"+Inf\"}"].map(|end| count(&format!("rowcast_tail_delivery_seconds_{end}")));
        // The holder held the stream back for longer than half a second, and nobody else did.
        delivered == [2, 2] && all == short + 1
    })
    .await;
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/03_API_SPEC.md")).unwrap();
    for line in metrics.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("rowcast_") && number.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap();
        // The three series of a histogram stand in the table under its name.
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let is_histogram = |family: &&str| metrics.body.contains(&format!("# TYPE {family} histogram\n"));
        let name = family.filter(is_histogram).unwrap_or(name);
        let is_documented = documented
            .match_indices(name)
            .any(|(at, _)| documented[..at].ends_with('`') && documented[at + name.len()..].starts_with(['`', '{']));
        assert!(is_documented, "docs/03_API_SPEC.md does not tell what {name} means");
    }
    server.stop().await.unwrap();
}
