//! Revocations: by the interface, by the command, by plain SQL; on every node; through an outage.

use std::time::{Duration, Instant};

use rowcast::auth::Role;
use serde_json::json;

use super::{Session, Sse, ask, bearer, knock, metric, token, token_issued};
use crate::support::{TestServer, connect, in_time, migrated_database, run, text, until};

/// Within a second is the promise; a machine that is not quiet gets a little more before the test fails.
const SOON: Duration = Duration::from_millis(2500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_sql_closes_everything_of_a_subject_on_every_node_within_a_second() {
    let db = migrated_database().await;
    let servers = [TestServer::ready(&db.url, &[]).await, TestServer::ready(&db.url, &[]).await];
    let (alice, bob) = (token("alice", Role::Viewer), token("bob", Role::Viewer));
    let mut closed = Vec::new();
    let mut stay = Vec::new();
    for server in &servers {
        let mut session = Session::of(server, "/ws", &alice).await;
        session.next_of("hello").await;
        let mut filtered = Session::of(server, "/ws?symbol=S", &alice).await;
        filtered.next_of("hello").await;
        let mut sse = Sse::open(server, "/v1/events/stream", Some(&alice)).await;
        sse.until(": live").await;
        closed.push((session, filtered, sse));
        let mut other = Session::of(server, "/ws", &bob).await;
        other.next_of("hello").await;
        stay.push(other);
    }
    let client = db.client().await;
    let long_poll = ask(&servers[0], "GET", "/v1/events?wait=30", &alice, "");
    let revoke = async {
        until("the long poll waits", || async { metric(&servers[0], "rowcast_sessions_filtered").await >= 1.0 }).await;
        let begun = Instant::now();
        client.batch_execute("insert into rowcast.revocations (subject) values ('alice')").await.unwrap();
        begun
    };
    let (polled, revoked) = tokio::join!(long_poll, revoke);
    assert_eq!((polled.status, polled.json()["code"].as_str()), (401, Some("unauthorized")));
    for (session, filtered, sse) in &mut closed {
        assert_eq!(session.end().await, (4403, "revoked".to_owned()));
        assert_eq!(filtered.end().await, (4403, "revoked".to_owned()));
        assert!(sse.until("event: error").await.contains("\"revoked\""));
    }
    in_time(revoked, SOON);
    for server in &servers {
        assert_eq!(ask(server, "GET", "/v1/me", &alice, "").await.status, 401);
        assert_eq!(knock(server, "/ws", &[("authorization", &bearer(&alice))]).await.1.status, 401);
        let mut session = Session::open(server, "/ws", &[]).await;
        session.auth(&alice).await;
        assert_eq!(session.end().await, (4403, "revoked".to_owned()));
        // A clock may be that far ahead.
        let later = token_issued("alice", Role::Viewer, 30);
        assert_eq!(ask(server, "GET", "/v1/me", &later, "").await.status, 200, "a token issued later is good");
        assert_eq!(metric(server, "rowcast_revoked_subjects").await, 1.0);
    }
    for session in &mut stay {
        session.say(json!({"op": "ping"})).await;
        session.next_of("pong").await;
    }
    for server in servers {
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_session_of_a_later_token_takes_no_revoked_one_and_a_list_that_is_emptied_holds_nothing() {
    let db = migrated_database().await;
    let servers = [TestServer::ready(&db.url, &[]).await, TestServer::ready(&db.url, &[]).await];
    let alice = token("alice", Role::Viewer);
    let client = db.client().await;
    client.batch_execute("insert into rowcast.revocations (subject) values ('alice')").await.unwrap();
    for server in &servers {
        until("the token is revoked", || async { ask(server, "GET", "/v1/me", &alice, "").await.status == 401 }).await;
    }
    let mut later = Session::of(&servers[0], "/ws", &token_issued("alice", Role::Viewer, 30)).await;
    later.next_of("hello").await;
    later.auth(&alice).await;
    assert_eq!(later.end().await, (4403, "revoked".to_owned()));
    // What is taken off the list holds no longer, as everything there: whoever may write the table decides.
    client.batch_execute("delete from rowcast.revocations").await.unwrap();
    for server in &servers {
        until("the token is good again", || async { ask(server, "GET", "/v1/me", &alice, "").await.status == 200 })
            .await;
    }
    for server in servers {
        server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_let_in_is_revoked_though_its_iat_lies_ahead_of_the_clock() {
    let db = migrated_database().await;
    let servers = [TestServer::ready(&db.url, &[]).await, TestServer::ready(&db.url, &[]).await];
    let ahead = token_issued("alice", Role::Viewer, 50);
    let mut session = Session::of(&servers[0], "/ws", &ahead).await;
    session.next_of("hello").await;
    let body = json!({"subject": "alice"}).to_string();
    let begun = Instant::now();
    let answer = ask(&servers[0], "POST", "/v1/revocations", &token("root", Role::Admin), &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    // The node that has answered knows.
    assert_eq!(ask(&servers[0], "GET", "/v1/me", &ahead, "").await.status, 401);
    assert_eq!(session.end().await, (4403, "revoked".to_owned()));
    until("the other node knows", || async { ask(&servers[1], "GET", "/v1/me", &ahead, "").await.status == 401 }).await;
    in_time(begun, SOON);
    // Who signs in anew at the same issuer, whose clock runs ahead, is let in.
    let anew = token_issued("alice", Role::Viewer, 55);
    for server in servers {
        assert_eq!(ask(&server, "GET", "/v1/me", &anew, "").await.status, 200);
        assert_eq!(ask(&server, "GET", "/v1/me", &ahead, "").await.status, 401);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn administrators_revoke_over_http_and_read_the_list_by_pages() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let root = token("root", Role::Admin);
    let mut session = Session::of(&server, "/ws", &token("u1", Role::User)).await;
    session.next_of("hello").await;
    for n in 1..=3 {
        let body = json!({"subject": format!("u{n}"), "reason": "gone"}).to_string();
        let answer = ask(&server, "POST", "/v1/revocations", &root, &body).await;
        let told = answer.json();
        assert_eq!((answer.status, told["revoked_by"].as_str()), (201, Some("root")), "{told}");
        assert!(told["revoked_at"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(session.end().await, (4403, "revoked".to_owned()));
    let list = async |query: &str| ask(&server, "GET", &format!("/v1/revocations{query}"), &root, "").await.json();
    let first = list("?limit=2").await;
    let subjects = |page: &serde_json::Value| -> Vec<String> {
        page["revocations"].as_array().unwrap().iter().map(|r| r["subject"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (subjects(&first), &first["cursor"], &first["more"]),
        (vec!["u1".into(), "u2".into()], &json!("u2"), &json!(true))
    );
    let second = list("?limit=2&cursor=u2").await;
    assert_eq!((subjects(&second), &second["more"]), (vec!["u3".to_owned()], &json!(false)));
    assert_eq!(list("?cursor=u3").await, json!({"revocations": [], "cursor": null, "more": false}));
    // Such a row may be there from before the constraint was.
    let old = r#"alter table rowcast.revocations drop constraint "revoked_at must lie in the years 1 to 9999, in UTC";
                 insert into rowcast.revocations (subject, revoked_at) values ('u4', '12345-01-01')"#;
    db.client().await.batch_execute(old).await.unwrap();
    assert_eq!(list("?cursor=u3").await["revocations"][0]["revoked_at"], "9999-12-31T23:59:59.999999Z");

    for (body, status) in [
        ("{}", 422),
        ("{", 400),
        (r#"{"subject":""}"#, 422),
        (r#"{"subject":"rowcast:demo"}"#, 422),
        (r#"{"subject":"a","reason":""}"#, 422),
        (r#"{"subject":"a","until":1}"#, 422),
        (r#"{"subject":"a\u0000"}"#, 400),
        (r#"["a","values without their names"]"#, 422),
    ] {
        assert_eq!(ask(&server, "POST", "/v1/revocations", &root, body).await.status, status, "{body}");
    }
    for query in ["?limit=0", "?limit=1001", "?cursor=%00", "?subject=u1", "?token=x"] {
        assert_eq!(ask(&server, "GET", &format!("/v1/revocations{query}"), &root, "").await.status, 400, "{query}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_command_revokes_and_says_until_when() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let mut session = Session::of(&server, "/ws", &token("alice", Role::Operator)).await;
    session.next_of("hello").await;
    let environment = [("DATABASE_URL", db.url.as_str())];
    let done = run(&["revoke", "--sub", "alice", "--reason", "lost"], &environment).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).trim().ends_with('Z'));
    assert_eq!(session.end().await, (4403, "revoked".to_owned()));
    let sql = "select reason = 'lost' and revoked_by = session_user from rowcast.revocations";
    assert!(db.client().await.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
    assert_eq!(run(&["revoke", "--sub", "rowcast:x"], &environment).await.status.code(), Some(2));
    let long = "x".repeat(1001);
    assert_eq!(run(&["revoke", "--sub", "bob", "--reason", &long], &environment).await.status.code(), Some(2));
    assert_eq!(run(&["revoke"], &environment).await.status.code(), Some(2));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_revocation_of_an_outage_holds_when_it_is_over() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let alice = token("alice", Role::Viewer);
    let mut session = Session::of(&server, "/ws", &alice).await;
    session.next_of("hello").await;
    let client = db.client().await;
    // Postgres closes no database from within.
    let outside = connect(&db.url.replace(&db.name, "postgres")).await;
    outside.batch_execute(&format!("alter database {} with allow_connections false", db.name)).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    client.execute(end, &[]).await.unwrap();
    until("the outage shows", || async { server.get("/health/ready").await.status == 503 }).await;
    client.batch_execute("insert into rowcast.revocations (subject) values ('alice')").await.unwrap();
    // The session stays meanwhile: nobody can know.
    session.say(json!({"op": "ping"})).await;
    session.next_of("pong").await;
    outside.batch_execute(&format!("alter database {} with allow_connections true", db.name)).await.unwrap();
    assert_eq!(session.end().await, (4403, "revoked".to_owned()));
    assert_eq!(ask(&server, "GET", "/v1/me", &alice, "").await.status, 401);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_that_starts_lets_nobody_in_before_it_has_read_the_list() {
    let db = migrated_database().await;
    db.client().await.batch_execute("insert into rowcast.revocations (subject) values ('alice')").await.unwrap();
    let server = TestServer::start(&db.url, &[]).await;
    assert_eq!(ask(&server, "GET", "/v1/me", &token("alice", Role::Viewer), "").await.status, 401);
    assert_eq!(ask(&server, "GET", "/v1/me", &token("bob", Role::Viewer), "").await.status, 200);
    server.stop().await.unwrap();
}
