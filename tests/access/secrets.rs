//! A run of the real binary at the most talkative log, with secrets put in wherever something can be put in: every byte
//! that comes out of it, over any socket or into the log, is searched for them.

#[path = "../../src/view/redact/tests/corpus.rs"]
mod corpus;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_postgres::Client;

use self::corpus::{BEFORE, SECRETS, whole};
use super::token;
use crate::support::{JWT_SECRET, NO_LIMITS, PATIENCE, binary, connect, migrated_database, run, until};

/// The password of the server's login: as it stands in the URL.
const DATABASE_PASSWORD: &str = "dbHush0Planted";

/// Names of secrets, as they stand in JSON.
const KEYS: &[&str] = &[
    "password",
    "API-KEY",
    "apiKey",
    "Authorization",
    "Set-Cookie",
    "dbPassword",
    "x_auth token",
    "mnemonic",
    "PIN",
    "private_key",
    "CREDENTIALS",
    "pAsSwOrD",
    r"p\u0061ssword",
    r"\u0074oken",
    "client.secret",
    "seed-phrase",
];

/// What texts say around a secret.
const SAYINGS: &[&str] = &[
    "password=@ n=1",
    "Authorization: Bearer @\nhost: x",
    "at postgres://app:@@db/x",
    "redis://:@@cache",
    "{\"token\":\"@\"}",
    "{\"a\":\"{\\\"token\\\":\\\"@\\\"}\"}",
    "GET /ws?access_token=@&n=1",
    "Bearer @.abc-123",
    "AWS_SECRET_ACCESS_KEY=@",
];

/// Whether the n-th secret goes through the i-th of many like doors. Through each goes every so-many-th, because all of them through
/// all take minutes; what a text may hide behind is tried whole where texts are redacted. `scripts/torture secrets` asks for all.
fn has_turn(n: usize, i: usize, of: usize) -> bool {
    std::env::var_os("TORTURE_SECRETS").is_some() || (n + i).is_multiple_of(of)
}

/// A payload with secrets in it and something harmless beside them.
struct Planted {
    /// JSON, `NEAR` for what is harmless.
    json: String,
    /// A text that holds the same secret.
    text: String,
    /// What may not come out.
    secrets: Vec<String>,
}

/// Everything that is put in.
fn planted() -> Vec<Planted> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let looks = SECRETS.iter().map(|secret| {
        let secret = whole(secret);
        let text = quoted(&format!("see {secret}"));
        let escaped: String = secret.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
        let json = format!(
            r#"{{"near":"NEAR","note":{text},"deep":{{"list":[1,[{text}],{{"x":"{escaped}"}}]}},{}:2}}"#,
            quoted(&secret)
        );
        Planted { json, secrets: pieces(&secret), text: secret }
    });
    let names = KEYS.iter().enumerate().map(|(n, key)| {
        let secret = format!("name{n}Hush");
        let json = format!(
            r#"{{"{key}":"{secret}","near":"NEAR","deep":[{{"{key}":[1,{{"x":"{secret}"}},"}}"]}},{{"{key}" : 7351928{n}46}}]}}"#
        );
        Planted { json, text: format!("token={secret}"), secrets: vec![secret] }
    });
    let sayings = SAYINGS.iter().enumerate().map(|(n, saying)| {
        // The last at sign of a URL is its own.
        let secret = format!("said{n}Hush");
        let text = saying.replacen('@', &secret, 1);
        let json = format!(r#"{{"near":"NEAR","note":{0},"deep":[[{{"x":{0}}}]]}}"#, quoted(&text));
        Planted { json, text, secrets: vec![secret] }
    });
    looks.chain(names).chain(sayings).chain(behind()).collect()
}

/// All secrets at once behind each of the things that may stand before one, and glued to letters where their make allows.
fn behind() -> impl Iterator<Item = Planted> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    BEFORE.iter().enumerate().map(move |(n, before)| {
        let all = || SECRETS.iter().map(|secret| whole(secret));
        let texts: Vec<String> = all().map(|secret| quoted(&format!("see{before}{secret}"))).collect();
        let inner = quoted(&format!("[{}]", texts.join(",")));
        let json = format!(r#"{{"near":"NEAR","note":[{}],"deep":{{"inner":{inner}}}}}"#, texts.join(","));
        let glued = whole(["x·gh·p_0123456789abcdefghijABCDEFGHIJ012345", "x·AK·IAIOSFODNN7EXAMPLE"][n % 2]);
        let text = format!("n{before}{glued}");
        Planted { json, text, secrets: all().flat_map(|secret| pieces(&secret)).collect() }
    })
}

/// The parts of a secret by which it is known anywhere: not its words.
fn pieces(secret: &str) -> Vec<String> {
    let parts = secret.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
    let telling = |part: &&str| {
        let mixed = part.bytes().any(|b| b.is_ascii_lowercase()) && part.bytes().any(|b| b.is_ascii_uppercase());
        part.len() >= 6 && (mixed || part.bytes().any(|b| b.is_ascii_digit()))
    };
    let found: Vec<_> = parts.filter(telling).map(str::to_owned).collect();
    assert!(!found.is_empty(), "{secret} is known by nothing");
    found
}

/// The server, and all that it has said.
struct Stage {
    address: String,
    heard: Arc<Mutex<Vec<u8>>>,
    child: Child,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

/// Gathers what comes, to its end.
async fn gather(mut from: impl AsyncRead + Unpin, into: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        into.lock().unwrap().extend_from_slice(&chunk[..read]);
    }
}

impl Stage {
    async fn start(database_url: &str, format: &str) -> Self {
        let environment = [
            ("DATABASE_URL", database_url),
            ("ROWCAST_JWT_SECRET", JWT_SECRET),
            ("ROWCAST_LISTEN", "127.0.0.1:0"),
            ("ROWCAST_RATE_LIMITS", NO_LIMITS),
            ("ROWCAST_PUBLIC_STREAM", "on"),
            ("ROWCAST_HEARTBEAT", "300ms"),
            ("ROWCAST_LOG", "trace"),
            ("ROWCAST_LOG_FORMAT", format),
        ];
        let mut command = Command::from(binary(&["serve"], &environment));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = tokio::spawn(gather(child.stderr.take().unwrap(), Arc::clone(&heard)));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        let readers = vec![log, tokio::spawn(gather(stdout, Arc::clone(&heard)))];
        let stage = Self { address, heard, child, readers };
        stage.is_ready().await;
        stage
    }

    async fn is_ready(&self) {
        until("it is ready", || async { self.get("/health/ready", "").await.contains(" 200 ") }).await;
    }

    /// Says this and listens until all of these have come, or to the end if there are none.
    async fn talk(&self, bytes: &[u8], wanted: &[&str]) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        // Who refuses early need not have read it all.
        let _refused = stream.write_all(bytes).await;
        let (mut heard, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await;
            let read = read.unwrap_or_else(|_| panic!("in vain: {wanted:?} in {}", lossy(&heard))).unwrap_or(0);
            heard.extend_from_slice(&chunk[..read]);
            let text = lossy(&heard);
            let all = wanted.iter().all(|wanted| text.contains(wanted));
            if read == 0 || all && !wanted.is_empty() {
                assert!(all, "{wanted:?} is missing in {text}");
                self.heard.lock().unwrap().extend_from_slice(&heard);
                return text;
            }
        }
    }

    async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> String {
        let (host, length) = (&self.address, body.len());
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}");
        self.talk(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes(), &[]).await
    }

    async fn get(&self, target: &str, headers: &str) -> String {
        self.ask("GET", target, headers, "").await
    }

    async fn post(&self, headers: &str, kind: &str, body: &str) -> String {
        self.ask("POST", "/v1/events", &format!("{headers}content-type: application/{kind}\r\n"), body).await
    }

    /// A WebSocket that says these messages and listens until all of these have come.
    async fn socket(&self, target: &str, headers: &str, messages: &[String], wanted: &[&str]) -> String {
        let mut bytes = format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
            self.address
        )
        .into_bytes();
        for message in messages {
            let length = u16::try_from(message.len()).unwrap();
            bytes.extend([0x81, 0x80 | 126]);
            bytes.extend(length.to_be_bytes());
            // A mask of zeros masks nothing.
            bytes.extend([0; 4]);
            bytes.extend(message.as_bytes());
        }
        self.talk(&bytes, wanted).await
    }

    /// What another command says on both its outputs.
    async fn command(&self, args: &[&str], environment: &[(&str, &str)]) -> String {
        let output = run(args, environment).await;
        let mut heard = self.heard.lock().unwrap();
        heard.extend_from_slice(&output.stdout);
        heard.extend_from_slice(&output.stderr);
        lossy(&output.stdout)
    }

    /// Ends it, and hands over all that was heard.
    async fn end(mut self) -> String {
        kill(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(0));
        for reader in self.readers {
            reader.await.unwrap();
        }
        lossy(&self.heard.lock().unwrap())
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// All but letters and digits as `%xx`.
fn encoded(text: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        plain if plain.is_ascii_alphanumeric() => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    });
    each.collect()
}

/// The text with what hides behind escapes of this kind: so many hexadecimal digits after a mark.
fn decoded(text: &str, mark: &str, digits: usize) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..digits).and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii);
        match code {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[digits..]);
            }
            None => {
                out.push_str(mark);
                out.push_str(part);
            }
        }
    }
    out
}

/// What is found of these, with what stands around it.
fn found(heard: &str, secrets: &BTreeSet<String>) -> Vec<String> {
    let once = decoded(heard, "%", 2);
    let forms = [heard.to_owned(), decoded(heard, "\\u00", 2), decoded(&once, "%", 2), once];
    let mut found = Vec::new();
    for secret in secrets {
        for form in &forms {
            if let Some(at) = form.find(secret.as_str()) {
                let line = form[..at].rfind('\n').map_or(0, |line| line + 1);
                let line = line.max(at.saturating_sub(200));
                let around: Vec<_> = form.as_bytes()[line..].iter().copied().take(400).collect();
                found.push(format!("{secret}: {}", lossy(&around)));
                break;
            }
        }
    }
    found
}

/// Rows and changes that plain SQL writes, all that the schema allows.
async fn write_by_sql(client: &Client, all: &[Planted]) {
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
async fn write_by_post(stage: &Stage, all: &[Planted], engine: &str) {
    for (n, planted) in all.iter().enumerate() {
        let payload = planted.json.replace("NEAR", &format!("near post {n};"));
        let text = serde_json::to_string(&planted.text).unwrap();
        let good = format!(
            r#"{{"type":"vault.posted","public_safe":true,"subject":{text},"dedupe_key":{text},"payload":{payload}}}"#
        );
        let kind = ["json", "x-ndjson"][n % 2];
        let answer = stage.post(engine, kind, &good).await;
        assert!(answer.contains(" 201 ") && !answer.contains("near"), "{answer}");
        let other = good.replace("near post", "another");
        assert!(stage.post(engine, "json", &other).await.contains("idempotency_conflict"));
        let keyed = format!("{engine}idempotency-key: {}\r\n", encoded(&planted.text));
        stage.post(&keyed, "json", r#"{"type":"vault.kept"}"#).await;
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
            let answer = stage.post(engine, "json", bad).await;
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
            let answer = stage.post(engine, "x-ndjson", bad).await;
            assert!(answer.contains(" 400 ") || answer.contains(" 422 "), "{bad}: {answer}");
        }
    }
}

/// Questions that make no sense and hold a secret, at every door.
async fn ask_badly(stage: &Stage, all: &[Planted], viewer: &str) {
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
            let answer = stage.get(&target, viewer).await;
            assert!([" 400 ", " 404 "].iter().any(|status| answer.contains(status)), "{target}: {answer}");
        }
        for query in ["cursor=@", "last=@", "type=A,@", "access_token=@", "@", "@=1", "@&@"] {
            let query = query.replace('@', &secret);
            stage.socket(&format!("/public/ws?{query}"), "", &[], &["bad_request"]).await;
        }
        let say = |op: &str, name: &str| json!({"op": op, name: planted.text}).to_string();
        for message in
            [say("subscribe", "cursor"), say("auth", "tokens"), say("subscribe", &planted.text), planted.text.clone()]
        {
            stage.socket("/ws", viewer, &[message], &["bad_request"]).await;
        }
        let line = planted.text.lines().next().unwrap();
        for headers in [
            format!("{viewer}last-event-id: {line}\r\n"),
            format!("{viewer}x-request-id: {line}\r\norigin: http://u:{line}@x\r\nuser-agent: {line}\r\n"),
            format!("authorization: {line}\r\n"),
            format!("authorization: Bearer {line}\r\n"),
            format!("sec-websocket-protocol: rowcast.v1, bearer.{secret}\r\n"),
        ] {
            stage.get("/v1/events/stream?limit=1", &headers).await;
        }
        stage.socket("/ws", "", &[say("auth", "token")], &["unauthorized"]).await;
    }
}

/// What is shown to those who ask rightly, at every door: the private answers, and the public ones.
async fn read_all(stage: &Stage, admin: &str, viewer: &str) -> (String, String) {
    let (mut private, mut public) = (String::new(), String::new());
    let newest = |page: &str| {
        let page: Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
        page["cursor"].as_str().unwrap().to_owned()
    };
    let end = "near the end;";
    for token in [admin, viewer] {
        private += &stage.get("/v1/events?cursor=0&limit=1000", token).await;
        private += &stage.get("/v1/events?cursor=0&limit=1000&wait=1&type=vault.*,shop.*", token).await;
        let head = newest(&stage.get("/v1/events", token).await);
        stage.get(&format!("/v1/events?cursor={head}&wait=1"), token).await;
        private += &stage.talk(&stream("/v1/events/stream?cursor=0", token), &[end]).await;
        private += &stage.socket("/ws?cursor=0", token, &[], &["\"live\"", "\"op\":\"heartbeat\"", end]).await;
        private += &stage.socket("/ws?last=50&type=vault.*", token, &[], &["\"live\"", end]).await;
        stage.get("/v1/me", token).await;
        stage.get("/v1/revocations", token).await;
    }
    public += &stage.get("/public/v1/events?cursor=0&limit=1000", "").await;
    public += &stage.get("/public/v1/events?cursor=0&limit=1000&wait=1&type=vault.*", "").await;
    public += &stage.talk(&stream("/public/v1/events/stream?cursor=0", ""), &[end]).await;
    public += &stage.socket("/public/ws?cursor=0", "", &[], &["\"live\"", "\"op\":\"heartbeat\"", end]).await;
    public += &stage.socket("/public/ws?last=50", "", &[], &["\"live\"", end]).await;
    for path in ["/metrics", "/health/live", "/health/ready", "/health/db"] {
        assert!(stage.get(path, "").await.contains(" 200 "), "{path}");
    }
    (private, public)
}

fn stream(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes()
}

/// Tokens, good and bad, by each way that they may come.
async fn show_tokens(stage: &Stage, viewer: &str, admin: &str) {
    let forged = format!("{}X{}", &viewer[..viewer.len() - 2], &viewer[viewer.len() - 1..]);
    let auth = |token: &str| json!({"op": "auth", "token": token}).to_string();
    stage.socket("/ws", "", &[auth(viewer)], &["\"live\""]).await;
    stage.socket("/ws", "", &[auth(viewer), auth(viewer)], &["auth_ok"]).await;
    stage.socket("/ws", "", &[auth(viewer), auth(admin)], &["forbidden"]).await;
    stage.socket("/public/ws", "", &[auth(viewer)], &["auth_ok"]).await;
    stage.socket("/public/ws", "", &[auth(&forged)], &["unauthorized"]).await;
    let protocol = |token: &str| format!("sec-websocket-protocol: rowcast.v1, bearer.{token}\r\n");
    stage.socket("/ws", &protocol(viewer), &[], &["\"live\""]).await;
    stage.socket("/ws", &protocol(&forged), &[], &["\"code\":\"unauthorized\""]).await;
    stage.socket(&format!("/ws?token={viewer}"), "", &[], &["bad_request"]).await;
    stage.socket(&format!("/ws?{viewer}"), "", &[], &["bad_request"]).await;
    for token in [forged.as_str(), &viewer[1..], JWT_SECRET] {
        assert!(stage.get("/v1/events", &bearer(token)).await.contains(" 401 "));
    }
    assert!(stage.get(&format!("/v1/{viewer}"), &bearer(&forged)).await.contains(" 404 "));
    for target in
        [format!("/v1/events?{viewer}"), format!("/v1/events?{viewer}=1"), format!("/v1/events?cursor={viewer}")]
    {
        assert!(stage.get(&target, &bearer(viewer)).await.contains(" 400 "));
    }
    let reason = format!(r#"{{"subject":"nobody","reason":"has shown {viewer}"}}"#);
    let headers = format!("{}content-type: application/json\r\n", bearer(admin));
    assert!(stage.ask("POST", "/v1/revocations", &headers, &reason).await.contains(" 201 "));
    assert!(stage.get("/v1/revocations", &bearer(admin)).await.contains("has shown "));
}

async fn no_secret_comes_out(format: &str) {
    let db = migrated_database().await;
    let client = db.client().await;
    let user = format!("{}_server", db.name);
    let sql = format!("create user {user} password '{DATABASE_PASSWORD}' in role rowcast_server, rowcast_writer");
    client.batch_execute(&sql).await.unwrap();
    let url = db.url_of(&user, DATABASE_PASSWORD);
    let all = planted();
    let stage = Stage::start(&url, format).await;
    let tokens = [("root", Role::Admin), ("vera", Role::Viewer), ("motor", Role::Engine)].map(|(s, r)| token(s, r));
    let [admin, viewer, engine] = tokens.each_ref().map(|token| bearer(token));

    write_by_sql(&client, &all).await;
    write_by_post(&stage, &all, &engine).await;
    let end = "insert into rowcast.events (type, public_safe, payload)
               values ('vault.opened', true, '{\"near\": \"near the end;\", \"password\": \"name0Hush\"}')";
    client.batch_execute(end).await.unwrap();
    until("all is public", || async {
        stage.socket("/public/ws?last=1", "", &[], &["\"live\""]).await.contains("near the end;")
    })
    .await;
    let (private, public) = read_all(&stage, &admin, &viewer).await;
    ask_badly(&stage, &all, &viewer).await;
    show_tokens(&stage, &tokens[1], &tokens[0]).await;

    // The command line.
    let tail = |path: &str| format!("http://{}{path}", stage.address);
    let log = ("ROWCAST_LOG", "trace");
    let mut tailed = String::new();
    for (path, token) in [("", tokens[1].as_str()), ("/public/ws", "")] {
        for json in [&["--json"][..], &[]] {
            let url = tail(path);
            let args = [&["tail", "--url", &url, "--cursor", "earliest", "--once"], json].concat();
            tailed = stage.command(&args, &[log, ("ROWCAST_TOKEN", token)]).await;
            assert!(tailed.contains("near the end;"), "{tailed}");
        }
    }
    let database = [log, ("DATABASE_URL", url.as_str()), ("ROWCAST_JWT_SECRET", JWT_SECRET)];
    for args in [&["append", "vault.kept", &all[40].json][..], &["append", "Vault", &all[40].json], &["doctor"]] {
        stage.command(args, &database).await;
    }

    // A transaction that holds the stream back is named to administrators.
    let blocker = connect(&url).await;
    let hold = "set application_name = 'near hold; password=holdHush'; begin;
                insert into rowcast.events (type, payload) values ('vault.kept', '{\"token\": \"holdHush\"}')";
    blocker.batch_execute(hold).await.unwrap();
    until("it is named", || async {
        stage.socket("/ws", &admin, &[], &["\"op\":\"heartbeat\""]).await.contains("near hold;")
    })
    .await;
    assert!(stage.get("/health/ready", "").await.contains("near hold;"));
    blocker.batch_execute("rollback").await.unwrap();

    // The database goes away and comes back.
    let away = format!(
        "alter database {0} allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{0}'",
        db.name
    );
    let elsewhere = connect(&db.url.replace(&db.name, "postgres")).await;
    for statement in away.split(';') {
        elsewhere.batch_execute(statement).await.unwrap();
    }
    until("the outage shows", || async { stage.get("/health/ready", "").await.contains(" 503 ") }).await;
    let text = format!(r#"{{"type":"vault.kept","payload":{}}}"#, all[40].json);
    assert!(stage.post(&engine, "json", &text).await.contains(" 503 "));
    stage.get("/v1/events?cursor=0&limit=1000", &admin).await;
    stage.socket("/ws?last=3", &admin, &[], &["\"op\":\"error\""]).await;
    assert!(stage.get("/health/db", "").await.contains(" 503 "));
    elsewhere.batch_execute(&format!("alter database {} allow_connections true", db.name)).await.unwrap();
    stage.is_ready().await;

    let heard = stage.end().await;
    let mut secrets: BTreeSet<String> = all.iter().flat_map(|planted| planted.secrets.clone()).collect();
    secrets.extend(tokens.iter().flat_map(|token| token.split('.').skip(1).map(str::to_owned)));
    secrets.extend([JWT_SECRET, DATABASE_PASSWORD, "holdHush"].map(str::to_owned));
    let leaks = found(&heard, &secrets);
    assert!(leaks.is_empty(), "{} of {} secrets came out:\n{}", leaks.len(), secrets.len(), leaks.join("\n"));

    // It is not for want of an answer: what stood beside each of them came out, and the log was as told to.
    for n in 0..all.len() {
        for near in [format!("near sql {n};"), format!("near table {n};"), format!("near post {n};")] {
            assert!(private.contains(&near) && public.contains(&near), "{near}");
        }
        assert!(tailed.contains(&format!("near sql {n};")), "{n}");
    }
    assert!(private.contains("vault.[redacted]") && !public.contains("near type;"));
    assert!(!public.contains("vault.kept") && private.contains("vault.kept"));
    assert!(heard.contains("not currently accepting connections") && heard.contains("TRACE"), "a quiet log");
    drop(elsewhere);
    db.client().await.batch_execute(&format!("drop user {user}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_while_the_log_is_text() {
    no_secret_comes_out("text").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_while_the_log_is_json() {
    no_secret_comes_out("json").await;
}
