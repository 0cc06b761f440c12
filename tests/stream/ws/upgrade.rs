//! Who gets a session: upgrades and those that are none, tokens in each of their places, origins, room.

use std::sync::Arc;
use std::time::Duration;

use rowcast::auth::Role;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::raw_websocket::{ACCEPT, CLOSE, Client, KEY, PING, PONG, ServerMessage, frame, goodbye, head};
use super::{ServedJournal, token};
use crate::access::tokens::{AUDIENCE, ISSUER, attacks, jwks};
use crate::support::raw_http::{Answer, raw};
use crate::support::{TestServer, migrated_database};

/// The answer to these bytes.
async fn answer(server: &TestServer, bytes: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    raw(&mut stream, bytes.as_bytes()).await
}

async fn refusal(server: &TestServer, bytes: &str) -> (u16, String) {
    let answer = answer(server, bytes).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_no_upgrade_or_a_wrong_one_is_answered_over_http() {
    let journal = ServedJournal::start(&[]).await;
    let viewer = format!("Bearer {}", token(Role::Viewer, "v"));
    let good = head("/ws", &[("authorization", &viewer)]);
    let cases = [
        ("GET /ws HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 426, "upgrade_required"),
        (good.replace("connection: keep-alive, Upgrade\r\n", ""), 426, "upgrade_required"),
        (good.replace("keep-alive, Upgrade", "keep-alive"), 426, "upgrade_required"),
        (good.replace("upgrade: websocket", "upgrade: h2c"), 426, "upgrade_required"),
        (good.replace("version: 13", "version: 8"), 426, "upgrade_required"),
        (good.replace("sec-websocket-version: 13\r\n", ""), 426, "upgrade_required"),
        (good.replace(&format!("sec-websocket-key: {KEY}\r\n"), ""), 400, "bad_request"),
        (good.replace(KEY, "c2hvcnQ="), 400, "bad_request"),
        (good.replace(KEY, &format!("{KEY}\r\nsec-websocket-key: {KEY}")), 400, "bad_request"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 400, "bad_request"),
        (good.replace("GET", "POST"), 405, "method_not_allowed"),
        (good.replace("\r\n\r\n", "\r\ncontent-length: 2\r\n\r\nhi"), 400, "bad_request"),
    ];
    for (bytes, status, code) in cases {
        assert_eq!(refusal(&journal.server, &bytes).await, (status, code.to_owned()), "{bytes}");
    }
    let answer = answer(&journal.server, &good.replace("version: 13", "version: 8")).await;
    assert_eq!((&*answer.headers["sec-websocket-version"], &*answer.headers["upgrade"]), ("13", "websocket"));
    // Case and several items do not matter.
    let odd = good.replace("upgrade: websocket", "Upgrade: foo, WebSocket");
    let stream = TcpStream::connect(journal.server.address()).await.unwrap();
    let mut client = Client::over(stream, odd.as_bytes()).await;
    assert_eq!(client.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!((client.header("sec-websocket-protocol"), client.header("sec-websocket-extensions")), (None, None));
    client.op("hello").await;
    client.leave().await;
    journal.end().await;
}

#[tokio::test]
async fn a_token_comes_by_header_by_sub_protocol_or_as_the_first_message() {
    let journal = ServedJournal::start(&[]).await;
    let (address, viewer) = (journal.server.address(), token(Role::Viewer, "v"));
    journal.viewer("/ws").await.op("hello").await;

    let protocols = format!("rowcast.v1, bearer.{viewer}");
    let mut client = Client::open(address, "/ws", &[("sec-websocket-protocol", &protocols)]).await;
    assert_eq!(client.header("sec-websocket-protocol"), Some("rowcast.v1"));
    client.op("hello").await;
    // In two lines, and with others that nobody knows.
    let bearer = format!("bearer.{viewer}");
    let lines = [("sec-websocket-protocol", bearer.as_str()), ("sec-websocket-protocol", "chat,rowcast.v1")];
    let mut client = Client::open(address, "/ws", &lines).await;
    assert_eq!(client.header("sec-websocket-protocol"), Some("rowcast.v1"));
    client.op("hello").await;

    let mut client = Client::open(address, "/ws?last=0", &[("sec-websocket-protocol", "rowcast.v1")]).await;
    assert_eq!(client.header("sec-websocket-protocol"), Some("rowcast.v1"));
    client.frame().await.expect("a token is asked for");
    client.bytes(&frame(PING, b"before")).await;
    assert_eq!(client.frame().await, Some((PONG, b"before".to_vec())));
    client.send(&json!({"op": "auth", "token": viewer})).await;
    client.op("hello").await;

    // The header goes first: a bad one is not made good by what comes after it.
    let bytes = head("/ws", &[("authorization", "Bearer x"), ("sec-websocket-protocol", &protocols)]);
    assert_eq!(refusal(&journal.server, &bytes).await, (401, "unauthorized".to_owned()));
    // Never in the URL.
    let mut client = Client::open(address, &format!("/ws?token={viewer}"), &[]).await;
    client.send(&json!({"op": "auth", "token": viewer})).await;
    client.refused(4400, "bad_request").await;
    journal.end().await;
}

#[tokio::test]
async fn who_is_refused_hears_it_over_http_if_the_token_came_in_the_header_and_in_band_if_not() {
    let journal = ServedJournal::start(&[]).await;
    // A role that is none, in a token that is good.
    let unknown = strange_role();
    for value in ["Bearer x", "Basic eDp5", "Bearer", "Bearer a b"] {
        let bytes = head("/ws", &[("authorization", value)]);
        assert_eq!(refusal(&journal.server, &bytes).await, (401, "unauthorized".to_owned()), "{value}");
    }
    let bytes = head("/ws", &[("authorization", &format!("Bearer {unknown}"))]);
    assert_eq!(refusal(&journal.server, &bytes).await, (403, "forbidden".to_owned()));

    for (first, close, code) in [
        (json!({"op": "auth", "token": "x"}).to_string(), 4401, "unauthorized"),
        (json!({"op": "auth", "token": unknown}).to_string(), 4403, "forbidden"),
        (json!({"op": "ping"}).to_string(), 4401, "unauthorized"),
        (json!({"op": "subscribe", "cursor": "0"}).to_string(), 4401, "unauthorized"),
        (json!({"op": "auth"}).to_string(), 4400, "bad_request"),
        (json!({"op": "auth", "token": 7}).to_string(), 4400, "bad_request"),
        (json!({"op": "auth", "token": "x", "role": "admin"}).to_string(), 4400, "bad_request"),
        ("{".to_owned(), 4400, "bad_request"),
    ] {
        let mut client = Client::open(journal.server.address(), "/ws", &[]).await;
        client.text(&first).await;
        client.refused(close, code).await;
    }
    let mut client = Client::open(journal.server.address(), "/ws", &[]).await;
    client.bytes(&frame(0x82, b"token")).await;
    client.refused(4400, "bad_request").await;
    journal.end().await;
}

pub(super) fn strange_role() -> String {
    use aws_lc_rs::hmac;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"sub": "x", "role": "emperor", "iat": now, "exp": now + 60}).to_string();
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, crate::support::JWT_SECRET.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

#[tokio::test]
async fn whoever_does_not_say_who_he_is_has_five_seconds() {
    let journal = ServedJournal::start(&[]).await;
    let mut client = Client::open(journal.server.address(), "/ws", &[]).await;
    client.frame().await.expect("a token is asked for");
    client.bytes(&frame(PING, b"")).await;
    client.frame().await;
    // The server's clock is this one: it jumps over the wait.
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(4_900)).await;
    tokio::time::resume();
    client.bytes(&frame(PING, b"")).await;
    assert_eq!(client.frame().await, Some((PONG, vec![])));
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(200)).await;
    tokio::time::resume();
    client.refused(4408, "timeout").await;
    journal.end().await;
}

#[tokio::test]
async fn no_attack_gets_in_whichever_way_it_comes() {
    let (db, keys) = (migrated_database().await, tempfile::NamedTempFile::new().unwrap());
    std::fs::write(keys.path(), jwks()).unwrap();
    let settings = [
        ("ROWCAST_JWKS", keys.path().to_str().unwrap()),
        ("ROWCAST_JWT_ISSUER", ISSUER),
        ("ROWCAST_JWT_AUDIENCE", AUDIENCE),
        ("ROWCAST_RATE_LIMITS", "connect=100000/m"),
    ];
    let server = TestServer::ready(&db.url, &settings).await;
    for (number, attack) in attacks().into_iter().enumerate() {
        if attack.fits_a_header() {
            let bytes = head("/ws", &[("authorization", &format!("Bearer {}", attack.token))]);
            // A head that is too long does not come to the token.
            let expected = if attack.token.len() > 30_000 { 431 } else { 401 };
            assert_eq!(answer(&server, &bytes).await.status, expected, "{}", attack.name);
        }
        // In band it is the same check: some will do.
        if number % 4 > 0 {
            continue;
        }
        let mut client = Client::open(server.address(), "/ws", &[]).await;
        client.send(&json!({"op": "auth", "token": attack.token})).await;
        client.refused(4401, "unauthorized").await;
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn pages_connect_from_their_own_origin_and_from_those_that_are_named() {
    let journal = ServedJournal::start(&[("ROWCAST_ALLOWED_ORIGINS", "https://app.example")]).await;
    let viewer = format!("Bearer {}", token(Role::Viewer, "v"));
    let from = |origin: &str| head("/ws", &[("authorization", &viewer), ("origin", origin)]);
    for origin in ["http://rowcast.test", "https://rowcast.test", "https://app.example", "https://APP.example"] {
        let stream = TcpStream::connect(journal.server.address()).await.unwrap();
        Client::over(stream, from(origin).as_bytes()).await.op("hello").await;
    }
    let strange = ["https://evil.example", "null", "http://rowcast.test:8080", "https://app.example.evil", "x", ""];
    for origin in strange {
        assert_eq!(refusal(&journal.server, &from(origin)).await, (403, "forbidden".to_owned()), "{origin}");
    }
    let twice = head("/ws", &[("origin", "http://rowcast.test"), ("origin", "http://rowcast.test")]);
    assert_eq!(refusal(&journal.server, &twice).await, (403, "forbidden".to_owned()));
    journal.end().await;
}

#[tokio::test]
async fn there_is_room_for_so_many_sessions_and_for_another_when_one_has_left() {
    let journal = ServedJournal::start(&[("ROWCAST_MAX_SESSIONS", "2")]).await;
    let mut first = journal.viewer("/ws").await;
    first.op("hello").await;
    // One that has not said who it is takes a place too.
    let _second = Client::open(journal.server.address(), "/ws", &[]).await;
    let viewer = format!("Bearer {}", token(Role::Viewer, "v"));
    let answer = answer(&journal.server, &head("/ws", &[("authorization", &viewer)])).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("too_many_sessions")));
    assert_eq!(answer.headers["retry-after"], "1");
    first.leave().await;
    crate::support::until("there is room again", || async {
        let mut stream = TcpStream::connect(journal.server.address()).await.unwrap();
        raw(&mut stream, head("/ws", &[("authorization", &viewer)]).as_bytes()).await.status == 101
    })
    .await;
    journal.end().await;
}

#[tokio::test]
async fn what_comes_right_behind_the_request_is_not_lost() {
    let journal = ServedJournal::start(&[]).await;
    let viewer = json!({"op": "auth", "token": token(Role::Viewer, "v")}).to_string();
    let ping = json!({"op": "ping"}).to_string();
    let whole = [head("/ws", &[]).into_bytes(), frame(0x81, viewer.as_bytes()), frame(0x81, ping.as_bytes())].concat();
    // In one piece, and cut in the middle of the first frame.
    for cut in [whole.len(), whole.len() - 90, head("/ws", &[]).len() + 1] {
        let stream = TcpStream::connect(journal.server.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client::over(stream, &whole[..cut]).await;
        client.bytes(&whole[cut..]).await;
        let mut said = [client.json().await, client.json().await, client.json().await];
        said.sort_by_key(|said| said["op"].to_string());
        assert_eq!([&said[0]["op"], &said[1]["op"], &said[2]["op"]], ["hello", "live", "pong"]);
        client.leave().await;
    }
    journal.end().await;
}

#[tokio::test]
async fn it_is_the_same_within_tls() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let db = migrated_database().await;
    let tls = [("ROWCAST_TLS_CERT", cert_file.to_str().unwrap()), ("ROWCAST_TLS_KEY", key_file.to_str().unwrap())];
    let mut server = TestServer::start(&db.url, &tls).await;

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let connect = async || {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
    };
    crate::support::until("it is ready", || async {
        let request = b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        raw(&mut connect().await, request).await.status == 200
    })
    .await;
    let head = head("/ws?cursor=earliest", &[("authorization", &format!("Bearer {}", token(Role::Viewer, "v")))]);
    super::append(&db.client().await, 2_000).await;
    let mut client = Client::over(connect().await, head.as_bytes()).await;
    client.op("hello").await;
    let mut last = 0;
    while last < 2_000 {
        let said = client.json().await;
        if said["op"] == "event" {
            last += 1;
            assert_eq!(said["event"]["seq"], last);
        }
    }
    client.leave().await;

    let mut client = Client::over(connect().await, head.as_bytes()).await;
    client.bytes(&frame(CLOSE, &goodbye(1000, ""))).await;
    while client.said().await != ServerMessage::Gone {}
    server.ask_to_stop();
    server.ended().await.unwrap();
}
