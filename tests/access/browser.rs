//! What browsers are told, and that no token is found in an address or in the log.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcast::auth::Role;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{Session, ask, bearer, knock, token};
use crate::support::raw_http::{Answer, request};
use crate::support::{JWT_SECRET, TestServer, binary, migrated_database};

const FRIEND: &str = "https://friend.example";

async fn preflight(server: &TestServer, path: &str, origin: &str) -> Answer {
    let headers = [("origin", origin), ("access-control-request-method", "POST")];
    request(server.address(), "OPTIONS", path, &headers, b"").await
}

#[tokio::test]
async fn pages_of_named_origins_may_ask_and_read_and_others_may_not() {
    let db = migrated_database().await;
    let more = [("ROWCAST_ALLOWED_ORIGINS", FRIEND), ("ROWCAST_PUBLIC_STREAM", "on")];
    let server = TestServer::ready(&db.url, &more).await;
    let own = server.url.clone();
    for path in ["/v1/events", "/v1/me", "/v1/revocations", "/public/v1/events", "/v1/events/stream"] {
        let answer = preflight(&server, path, FRIEND).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.headers["access-control-allow-origin"], FRIEND);
        assert!(answer.headers["access-control-allow-methods"].contains("GET"));
        assert!(answer.headers["access-control-allow-headers"].contains("authorization"));
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        assert_eq!(preflight(&server, path, &own).await.status, 204);
        for foreign in ["https://evil.example", "https://friend.example.evil.example", "http://friend.example", "null"]
        {
            let answer = preflight(&server, path, foreign).await;
            assert_eq!(answer.status, 403, "{foreign}");
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
        }
    }
    assert_eq!(preflight(&server, "/nothing", FRIEND).await.status, 404);
    assert_eq!(preflight(&server, "/metrics", FRIEND).await.status, 405);
    assert_eq!(request(server.address(), "OPTIONS", "/v1/me", &[], b"").await.status, 405);

    let authorization = bearer(&token("alice", Role::Viewer));
    let from = async |origin: &str| {
        let headers = [("authorization", authorization.as_str()), ("origin", origin)];
        request(server.address(), "GET", "/v1/me", &headers, b"").await
    };
    let answer = from(FRIEND).await;
    assert_eq!((answer.status, answer.headers["access-control-allow-origin"].as_str()), (200, FRIEND));
    assert!(answer.headers["access-control-expose-headers"].contains("ratelimit"));
    assert_eq!(answer.headers["vary"], "origin");
    let answer = from("https://evil.example").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin") && answer.headers["vary"] == "origin");
    // Faults may be read too.
    let headers = [("origin", FRIEND)];
    let answer = request(server.address(), "GET", "/v1/me", &headers, b"").await;
    assert_eq!((answer.status, answer.headers["access-control-allow-origin"].as_str()), (401, FRIEND));

    for (origin, status) in [(FRIEND, 101), (own.as_str(), 101), ("https://evil.example", 403)] {
        for path in ["/ws", "/public/ws"] {
            assert_eq!(knock(&server, path, &[("origin", origin)]).await.1.status, status, "{path} {origin}");
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    for path in ["/health/live", "/v1/me", "/nothing", "/public/v1/events", "/metrics"] {
        let headers = server.get(path).await.headers;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(headers.get(name).map(String::as_str), Some(value), "{path}");
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_in_an_address_is_refused_and_never_logged() {
    let db = migrated_database().await;
    let environment = [
        ("DATABASE_URL", db.url.as_str()),
        ("ROWCAST_JWT_SECRET", JWT_SECRET),
        ("ROWCAST_LOG", "rowcast=trace,info"),
        ("ROWCAST_PUBLIC_STREAM", "on"),
    ];
    let mut command = tokio::process::Command::from(binary(&["serve", "--listen", "127.0.0.1:0"], &environment));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let server = TestServer::at(&url);
    let (good, marker) = (token("alice", Role::Admin), "xyzzyplugh");
    for name in ["token", "access_token", "jwt", "bearer"] {
        for path in ["/v1/events", "/v1/events/stream", "/v1/me", "/v1/revocations", "/public/v1/events"] {
            for value in [marker, good.as_str()] {
                let answer = ask(&server, "GET", &format!("{path}?{name}={value}"), &good, "").await;
                assert_eq!(answer.status, 400, "{path} {name}: {}", answer.body);
                assert!(!answer.body.contains(value));
                assert!(answer.body.contains("Authorization: Bearer"), "{path} {name}: {}", answer.body);
            }
        }
        for path in ["/ws", "/public/ws"] {
            let mut session = Session::open(&server, &format!("{path}?{name}={marker}"), &[]).await;
            assert_eq!(session.end().await, (4400, "bad_request".to_owned()), "{path} {name}");
        }
    }
    for n in 0..3 {
        assert_eq!(preflight(&server, "/v1/events", &format!("https://evil{n}.example")).await.status, 403);
    }
    let mut session = Session::open(&server, "/ws", &[]).await;
    session.auth(&good).await;
    session.next_of("hello").await;
    let protocols = format!("rowcast.v1, bearer.{good}");
    assert_eq!(knock(&server, "/ws", &[("sec-websocket-protocol", &protocols)]).await.1.status, 101);
    assert_eq!(ask(&server, "GET", "/v1/me", &format!("{good}x"), "").await.status, 401);
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
    assert!(log.contains("path=\"/v1/events\"") && log.contains("path=\"/ws\""), "{log}");
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("ROWCAST_ALLOWED_ORIGINS")).collect();
    assert!((1..3).contains(&refused.len()) && refused[0].contains("https://evil0.example"), "{refused:?}");
    for secret in [marker, &good, good.rsplit('.').next().unwrap(), JWT_SECRET] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}
