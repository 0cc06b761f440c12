//! The doors through which secrets are put in, and those where answers come out.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::corpus::whole;
use super::planted::{Planted, encoded, has_turn};
use super::traced_server::{TracedServer, bearer, stream};
use crate::support::JWT_SECRET;

/// Rows and changes that plain SQL writes, all that the schema allows.
pub(super) async fn write_by_sql(client: &Client, all: &[Planted]) {
    let sql = "insert into rowcast.event_types (type, description, public_fields) values
                   ('vault.opened', 'A vault opens.', '{near,note,deep,password,\"API-KEY\",PIN,doc}'),
                   ('vault.posted', 'A vault is told of.', '{near,note,deep,token,mnemonic}'),
                   ('shop.vaults.inserted', 'A row.', '{near,note,password,doc}');
               create schema shop;
               create table shop.vaults (id int primary key, near text, password text, note text, doc jsonb);
               create table shop.names (name text primary key);
               select rowcast.publish('shop.vaults', columns => '{id,near,password,note,doc}', public_safe => true);
               select rowcast.publish('shop.names', columns => '{name}')";
    client.batch_execute(sql).await.unwrap();
    let event = "insert into rowcast.events (type, public_safe, symbol, subject, payload)
                 values ($1, true, nullif($2, ''), $3, $4::text::jsonb)";
    for (n, planted) in all.iter().enumerate() {
        let symbol = if planted.text.len() <= 64 { planted.text.as_str() } else { "" };
        for kind in ["vault.opened", "vault.kept"] {
            let payload = planted.json.replace("NEAR", &format!("near sql {n};"));
            client.execute(event, &[&kind, &symbol, &planted.text, &payload]).await.unwrap();
        }
        let row = "insert into shop.vaults values ($1, $2, $3, $4, $5::text::jsonb)";
        let near = format!("near table {n};");
        let id = i32::try_from(n).unwrap();
        client.execute(row, &[&id, &near, &planted.text, &planted.text, &planted.json]).await.unwrap();
        client.execute("insert into shop.names values ($1)", &[&planted.text]).await.unwrap();
    }
    client.batch_execute("update shop.vaults set note = note || '.'; delete from shop.names").await.unwrap();
    // What a type may be, a token may look like.
    let kind = format!("vault.{}", whole("dop·_v1_0123456789abcdef0123456789abcdef0123456789abcdef"));
    client.execute(event, &[&kind, &"", &"near type;", &"{}"]).await.unwrap();
}

/// Events and what only looks like one.
pub(super) async fn write_by_post(server: &TracedServer, all: &[Planted], engine: &str) {
    for (n, planted) in all.iter().enumerate() {
        let payload = planted.json.replace("NEAR", &format!("near post {n};"));
        let text = serde_json::to_string(&planted.text).unwrap();
        let good = format!(
            r#"{{"type":"vault.posted","public_safe":true,"subject":{text},"dedupe_key":{text},"payload":{payload}}}"#
        );
        let kind = ["json", "x-ndjson"][n % 2];
        let answer = server.post(engine, kind, &good).await;
        assert!(answer.contains(" 201 ") && !answer.contains("near"), "{answer}");
        let other = good.replace("near post", "another");
        assert!(server.post(engine, "json", &other).await.contains("idempotency_conflict"));
        let keyed = format!("{engine}idempotency-key: {}\r\n", encoded(&planted.text));
        server.post(&keyed, "json", r#"{"type":"vault.kept"}"#).await;
        let long = serde_json::to_string(&format!("{} {}", planted.text, "x".repeat(2000))).unwrap();
        let bodies = [
            format!(r#"{{"type":{text}}}"#),
            format!(r#"{{"type":"a","level":{text}}}"#),
            format!(r#"{{"type":"a","trade_id":{text}}}"#),
            format!(r#"{{"type":"a","public_safe":{text}}}"#),
            format!(r#"{{"type":"a","symbol":{long}}}"#),
            format!(r#"{{"type":"a","subject":{long}}}"#),
            format!(r#"{{"type":"a","owner":{long}}}"#),
            format!(r#"{{"type":"a","dedupe_key":{long}}}"#),
            format!(r#"{{"type":"a","payload":{text}}}"#),
            format!(r#"{{"type":"a","payload":[{payload}]}}"#),
            format!(r#"{{"type":"a",{text}:{payload}}}"#),
            format!(r#"{{"type":"a","password":{text}}}"#),
            format!(r#"[{{"type":"a"}},{{"type":"b","level":{text}}},{payload}]"#),
        ];
        for (_, bad) in bodies.iter().enumerate().filter(|(i, _)| has_turn(n, *i, 4)) {
            let answer = server.post(engine, "json", bad).await;
            // A type may look like a secret.
            assert!(answer.contains(" 422 ") || answer.contains(" 201 "), "{bad}: {answer}");
        }
        let malformed = [
            format!("{text}{payload}"),
            format!("{{{text}"),
            payload[..payload.len() - 1].to_owned(),
            format!(r#"{{"type":"a","payload":{{"x":"\u0000","y":{payload}}}}}"#),
            // What Postgres itself refuses, with words of its own.
            format!(r#"{{"type":"a","payload":{{"x":1e200000,"y":{payload}}}}}"#),
        ];
        for (_, bad) in malformed.iter().enumerate().filter(|(i, _)| has_turn(n, *i, 2)) {
            let answer = server.post(engine, "x-ndjson", bad).await;
            assert!(answer.contains(" 400 ") || answer.contains(" 422 "), "{bad}: {answer}");
        }
    }
}

/// Questions that make no sense and hold a secret, at every door.
pub(super) async fn ask_badly(server: &TracedServer, all: &[Planted], viewer: &str) {
    for (n, planted) in all.iter().enumerate() {
        let secret = encoded(&planted.text);
        let routes = [
            "/v1/events",
            "/v1/events/stream",
            "/v1/conversations",
            "/v1/trades",
            "/public/v1/events",
            "/public/v1/events/stream",
            "/public/v1/trades",
        ];
        let mut targets: Vec<String> = vec![
            format!("/{secret}"),
            format!("/v1/events/{secret}"),
            format!("/n%0A{secret}"),
            format!("/n%250A{secret}"),
            format!("/{}", encoded(&secret)),
        ];
        for (_, route) in routes.iter().enumerate().filter(|(i, _)| has_turn(n, *i, routes.len())) {
            for query in
                ["cursor=@", "limit=@", "type=A,@", "level=@", "trade_id=@", "token=@", "@", "@=1", "a=1&@=2&@=3"]
            {
                targets.push(format!("{route}?{}", query.replace('@', &secret)));
            }
        }
        for target in targets {
            let answer = server.get(&target, viewer).await;
            assert!([" 400 ", " 404 "].iter().any(|status| answer.contains(status)), "{target}: {answer}");
        }
        for query in ["cursor=@", "last=@", "type=A,@", "access_token=@", "@", "@=1", "@&@"] {
            let query = query.replace('@', &secret);
            server.socket(&format!("/public/ws?{query}"), "", &[], &["bad_request"]).await;
        }
        let say = |op: &str, name: &str| json!({"op": op, name: planted.text}).to_string();
        for message in
            [say("subscribe", "cursor"), say("auth", "tokens"), say("subscribe", &planted.text), planted.text.clone()]
        {
            server.socket("/ws", viewer, &[message], &["bad_request"]).await;
        }
        let line = planted.text.lines().next().unwrap();
        for headers in [
            format!("{viewer}last-event-id: {line}\r\n"),
            format!("{viewer}x-request-id: {line}\r\norigin: http://u:{line}@x\r\nuser-agent: {line}\r\n"),
            format!("authorization: {line}\r\n"),
            format!("authorization: Bearer {line}\r\n"),
            format!("sec-websocket-protocol: rowcast.v1, bearer.{secret}\r\n"),
        ] {
            server.get("/v1/events/stream?limit=1", &headers).await;
        }
        server.socket("/ws", "", &[say("auth", "token")], &["unauthorized"]).await;
    }
}

/// What is shown to those who ask rightly, at every door: the private answers, and the public ones.
pub(super) async fn read_all(server: &TracedServer, admin: &str, viewer: &str) -> (String, String) {
    let (mut private, mut public) = (String::new(), String::new());
    let newest = |page: &str| {
        let page: Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
        page["cursor"].as_str().unwrap().to_owned()
    };
    let end = "near the end;";
    for token in [admin, viewer] {
        private += &server.get("/v1/events?cursor=0&limit=1000", token).await;
        private += &server.get("/v1/events?cursor=0&limit=1000&wait=1&type=vault.*,shop.*", token).await;
        let head = newest(&server.get("/v1/events", token).await);
        server.get(&format!("/v1/events?cursor={head}&wait=1"), token).await;
        private += &server.talk(&stream("/v1/events/stream?cursor=0", token), &[end]).await;
        private += &server.socket("/ws?cursor=0", token, &[], &["\"live\"", "\"op\":\"heartbeat\"", end]).await;
        private += &server.socket("/ws?last=50&type=vault.*", token, &[], &["\"live\"", end]).await;
        server.get("/v1/me", token).await;
        server.get("/v1/revocations", token).await;
    }
    public += &server.get("/public/v1/events?cursor=0&limit=1000", "").await;
    public += &server.get("/public/v1/events?cursor=0&limit=1000&wait=1&type=vault.*", "").await;
    public += &server.talk(&stream("/public/v1/events/stream?cursor=0", ""), &[end]).await;
    public += &server.socket("/public/ws?cursor=0", "", &[], &["\"live\"", "\"op\":\"heartbeat\"", end]).await;
    public += &server.socket("/public/ws?last=50", "", &[], &["\"live\"", end]).await;
    for path in ["/metrics", "/health/live", "/health/ready", "/health/db"] {
        assert!(server.get(path, "").await.contains(" 200 "), "{path}");
    }
    (private, public)
}

/// Tokens, good and bad, by each way that they may come.
pub(super) async fn show_tokens(server: &TracedServer, viewer: &str, admin: &str) {
    let forged = format!("{}X{}", &viewer[..viewer.len() - 2], &viewer[viewer.len() - 1..]);
    let auth = |token: &str| json!({"op": "auth", "token": token}).to_string();
    server.socket("/ws", "", &[auth(viewer)], &["\"live\""]).await;
    server.socket("/ws", "", &[auth(viewer), auth(viewer)], &["auth_ok"]).await;
    server.socket("/ws", "", &[auth(viewer), auth(admin)], &["forbidden"]).await;
    server.socket("/public/ws", "", &[auth(viewer)], &["auth_ok"]).await;
    server.socket("/public/ws", "", &[auth(&forged)], &["unauthorized"]).await;
    let protocol = |token: &str| format!("sec-websocket-protocol: rowcast.v1, bearer.{token}\r\n");
    server.socket("/ws", &protocol(viewer), &[], &["\"live\""]).await;
    server.socket("/ws", &protocol(&forged), &[], &["\"code\":\"unauthorized\""]).await;
    server.socket(&format!("/ws?token={viewer}"), "", &[], &["bad_request"]).await;
    server.socket(&format!("/ws?{viewer}"), "", &[], &["bad_request"]).await;
    for token in [forged.as_str(), &viewer[1..], JWT_SECRET] {
        assert!(server.get("/v1/events", &bearer(token)).await.contains(" 401 "));
    }
    assert!(server.get(&format!("/v1/{viewer}"), &bearer(&forged)).await.contains(" 404 "));
    for target in
        [format!("/v1/events?{viewer}"), format!("/v1/events?{viewer}=1"), format!("/v1/events?cursor={viewer}")]
    {
        assert!(server.get(&target, &bearer(viewer)).await.contains(" 400 "));
    }
    let reason = format!(r#"{{"subject":"nobody","reason":"has shown {viewer}"}}"#);
    let headers = format!("{}content-type: application/json\r\n", bearer(admin));
    assert!(server.ask("POST", "/v1/revocations", &headers, &reason).await.contains(" 201 "));
    assert!(server.get("/v1/revocations", &bearer(admin)).await.contains("has shown "));
}
