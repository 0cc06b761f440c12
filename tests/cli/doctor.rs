//! `rowcast doctor`: each line that can fail is made to.

use std::collections::BTreeMap;

use crate::access::tokens;
use crate::support::redis::TestRedis;
use crate::support::{JWT_SECRET, TestDb, connect, empty_database, migrated_database, run, text, until};

/// What it found, by what it looked at: verdict and detail.
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) lines: BTreeMap<String, (String, String)>,
}

impl Report {
    /// Whether this line has this verdict and says this.
    pub(crate) fn says(&self, what: &str, verdict: &str, word: &str) -> bool {
        self.lines.get(what).is_some_and(|(is, detail)| is == verdict && detail.contains(word))
    }

    fn expect(&self, what: &str, verdict: &str, word: &str) {
        assert!(self.says(what, verdict, word), "{what}: {:?}", self.lines.get(what));
        assert_eq!(self.code, Some(i32::from(self.lines.values().any(|(verdict, _)| verdict == "fail"))));
    }
}

pub(crate) async fn examine_with(environment: &[(&str, &str)]) -> Report {
    let answer = run(&["doctor", "--json"], environment).await;
    let out = text(&answer.stdout);
    for (name, value) in environment.iter().filter(|(name, _)| name.contains("SECRET")) {
        assert!(!out.contains(value), "{name} is printed: {out}");
    }
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| line[name].as_str().unwrap().to_owned();
        (word("what"), (word("verdict"), word("detail")))
    };
    Report { code: answer.status.code(), lines: out.lines().map(line).collect() }
}

pub(crate) async fn examine(url: &str) -> Report {
    examine_with(&[("DATABASE_URL", url), ("ROWCAST_JWT_SECRET", JWT_SECRET)]).await
}

async fn altered(sql: &str) -> (TestDb, Report) {
    let db = migrated_database().await;
    db.client().await.batch_execute(sql).await.unwrap();
    let report = examine(&db.url).await;
    (db, report)
}

#[tokio::test]
async fn a_healthy_setting_is_told_line_by_line_without_any_secret() {
    let db = migrated_database().await;
    let answer = run(&["doctor"], &[("DATABASE_URL", &db.url), ("ROWCAST_JWT_SECRET", JWT_SECRET)]).await;
    let out = text(&answer.stdout);
    assert_eq!(answer.status.code(), Some(0), "{out}");
    for line in out.lines() {
        assert!(line.starts_with("ok    "), "{out}");
    }
    let password = db.url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap().1;
    assert!(!out.contains(JWT_SECRET) && !out.contains(password), "{out}");
    let names: Vec<_> = out.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/03_API_SPEC.md")).unwrap();
    let section = documented.split_once("### `rowcast doctor`").unwrap().1.split_once("\n## ").unwrap().0;
    let rows: Vec<_> =
        section.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split('`').next()).collect();
    assert_eq!(names, rows, "the checks are those of the interface's description");
}

#[tokio::test]
async fn row_security_that_was_switched_on_after_publishing_is_named_with_the_way_out() {
    let sql = "create schema shop; create table shop.t (id int primary key, who text); create table shop.u (id int primary key);
               select rowcast.publish('shop.t'); select rowcast.publish('shop.u');
               alter table shop.t enable row level security";
    let (db, report) = altered(sql).await;
    report.expect("published", "fail", "shop.t has row security");
    report.expect("published", "fail", "owner_column");
    assert!(!report.says("published", "fail", "shop.u"));
    let client = db.client().await;
    // A row goes on to be told as before: the trigger does not read the table.
    client.batch_execute("insert into shop.t values (1, 'ann')").await.unwrap();
    for way_out in ["owner_column => 'who'", "force => true"] {
        client.batch_execute(&format!("select rowcast.publish('shop.t', {way_out})")).await.unwrap();
        examine(&db.url).await.expect("published", "ok", "tables are published");
    }
}

#[tokio::test]
async fn a_published_table_whose_map_or_owner_changed_hands_is_named() {
    let (db, _) = altered("create schema shop; create table shop.t (id int primary key)").await;
    let (client, role) = (db.client().await, format!("{}_other", db.name));
    let sql = format!(
        "create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb) language sql
             as $$ select 'a', null, new $$;
         select rowcast.publish('shop.t', map => 'shop.m'); create role {role}; alter function shop.m owner to {role}"
    );
    client.batch_execute(&sql).await.unwrap();
    examine(&db.url).await.expect("published", "fail", "shop.t has a map");
    client.batch_execute(&format!("drop function shop.m; alter table shop.t owner to {role}")).await.unwrap();
    let report = examine(&db.url).await;
    report.expect("published", "fail", "shop.t has a map");
    report.expect("published", "fail", &format!("shop.t belongs to {role}"));
    let again = format!(
        "grant rowcast_writer to {role}; grant create on schema shop to {role}; select rowcast.publish('shop.t');
         create or replace function shop.rowcast_publish_t() returns trigger language plpgsql security definer
             as $$ begin return null; end $$"
    );
    client.batch_execute(&again).await.unwrap();
    examine(&db.url).await.expect("published", "warn", "shop.t was published by an older version");
    client.batch_execute(&format!("drop schema shop cascade; drop owned by {role}; drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn settings_that_change_how_sql_is_read_and_written_change_no_verdict() {
    let (_db, report) = altered(
        "create schema shop; create table shop.t (id int primary key);
         create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
             language sql as $$ select 'a', 'info', new $$;
         select rowcast.publish('shop.t', map => 'shop.m');
         do $$ begin
             execute format('alter database %I set quote_all_identifiers = on', current_database());
             execute format('alter database %I set standard_conforming_strings = off', current_database());
         end $$",
    )
    .await;
    let wrong: Vec<_> = report.lines.iter().filter(|(_, (verdict, _))| verdict == "fail").collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    report.expect("triggers", "ok", "the bell rings");
    report.expect("partitions", "ok", "rows fit");
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_is_told_and_the_rest_is_looked_at_all_the_same() {
    let db = migrated_database().await;
    let url = ("DATABASE_URL", db.url.as_str());
    let report = examine_with(&[url]).await;
    report.expect("configuration", "fail", "no key for tokens");
    report.expect("keys", "fail", "ROWCAST_JWT_SECRET");
    report.expect("migrations", "ok", "up to date");
    examine_with(&[url, ("ROWCAST_JWT_SECRET", "short")]).await.expect("keys", "fail", "at least 32 bytes");
    examine_with(&[url, ("ROWCAST_JWT_SECRET", &"a".repeat(40))]).await.expect("keys", "warn", "only 1 different");
    let report = examine_with(&[url, ("ROWCAST_JWT_SECRET", JWT_SECRET), ("ROWCAST_WRITE_STALL", "9s")]).await;
    report.expect("configuration", "ok", "complete");
    examine_with(&[url, ("ROWCAST_LISTN", "x")]).await.expect("configuration", "fail", "ROWCAST_LISTEN?");
    examine_with(&[("ROWCAST_JWT_SECRET", JWT_SECRET)]).await.expect("connection", "fail", "DATABASE_URL is not set");
}

#[tokio::test]
async fn keys_that_are_published_are_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let place = file.to_str().unwrap();
    let keys: &[(&str, &str)] = &[
        ("DATABASE_URL", "host=127.0.0.1 port=1"),
        ("ROWCAST_JWKS", place),
        ("ROWCAST_JWT_ISSUER", "us"),
        ("ROWCAST_JWT_AUDIENCE", "them"),
    ];
    examine_with(keys).await.expect("keys", "fail", "cannot be reached");
    std::fs::write(&file, tokens::jwks()).unwrap();
    examine_with(keys).await.expect("keys", "ok", &format!("keys from {place}"));
    std::fs::write(&file, "{}").unwrap();
    let both = [keys, &[("ROWCAST_JWT_SECRET", JWT_SECRET)]].concat();
    let report = examine_with(&both).await;
    report.expect("keys", "fail", "ROWCAST_JWT_SECRET has 32 bytes; no keys from");
    let ftp = [("ROWCAST_FIREBASE_PROJECT", "p"), ("ROWCAST_JWKS", "ftp://127.0.0.1/keys")];
    examine_with(&ftp).await.expect("keys", "fail", "ROWCAST_JWKS is neither a file nor a URL");
}

#[tokio::test]
async fn redis_is_asked_where_it_is_set() {
    async fn redis(url: &str) -> Report {
        examine_with(&[
            ("ROWCAST_JWT_SECRET", JWT_SECRET),
            ("DATABASE_URL", "host=127.0.0.1 port=1"),
            ("ROWCAST_REDIS_URL", url),
        ])
        .await
    }
    redis("redis://127.0.0.1:1").await.expect("redis", "fail", "cannot be reached");
    redis("rediss://127.0.0.1:1").await.expect("redis", "fail", "cannot be reached");
    redis("redis://:hunter2@h:port").await.expect("redis", "fail", "not a URL of a Redis");
    redis("http://x").await.expect("redis", "warn", "configuration is wrong");
    let Some(open) = TestRedis::start(&[]).await else { return };
    redis(&open.url()).await.expect("redis", "ok", "redis.sock answers, and counts");
    let closed = TestRedis::start(&["--requirepass", "correct-horse"]).await.unwrap();
    redis(&closed.url()).await.expect("redis", "fail", "refuses the login");
    let report = redis(&format!("{}?pass=hunter2", closed.url())).await;
    report.expect("redis", "fail", "refuses the login");
    assert!(report.lines.values().all(|(_, detail)| !detail.contains("hunter2")));
    redis(&format!("{}?pass=correct-horse", closed.url())).await.expect("redis", "ok", "answers");
    // The least that a login needs, as docs/OPERATIONS.md has it.
    let operations = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md")).unwrap();
    let rule = operations.split_once("`user rowcast on >password ").unwrap().1.split('`').next().unwrap();
    let rule: Vec<&str> = ["--user", "rowcast", "on", ">password"].into_iter().chain(rule.split(' ')).collect();
    let least = TestRedis::start(&rule).await.unwrap();
    redis(&format!("{}?user=rowcast&pass=password", least.url())).await.expect("redis", "ok", "answers");
    // One that answers, and would not count: a replica is only read.
    let replica = TestRedis::start(&["--replicaof", "127.0.0.1", "1"]).await.unwrap();
    redis(&replica.url()).await.expect("redis", "fail", "does not count");
}

#[tokio::test]
async fn redis_is_asked_by_tls_with_the_authorities_of_the_machine() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = ["--tls-port", &port.to_string(), "--bind", "127.0.0.1"];
    let files =
        ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"];
    let Some(_redis) = TestRedis::start(&[&options[..], &files[..]].concat()).await else { return };
    let url = format!("rediss://localhost:{port}");
    let base = [
        ("ROWCAST_JWT_SECRET", JWT_SECRET),
        ("DATABASE_URL", "host=127.0.0.1 port=1"),
        ("ROWCAST_REDIS_URL", url.as_str()),
    ];
    let trusting = [&base[..], &[("SSL_CERT_FILE", cert)]].concat();
    examine_with(&trusting).await.expect("redis", "ok", "answers, and counts");
    let another = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, another.cert.pem()).unwrap();
    let suspicious = [&base[..], &[("SSL_CERT_FILE", other.to_str().unwrap())]].concat();
    examine_with(&suspicious).await.expect("redis", "fail", "cannot be reached");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_one_line() {
    let db = migrated_database().await;
    let report = examine("postgres://u:hunter2@127.0.0.1:1/d").await;
    report.expect("connection", "fail", "cannot be reached");
    assert!(!report.lines.contains_key("migrations") && !report.lines.contains_key("listen"));
    let report = examine(&db.url_of("postgres", "hunter2")).await;
    report.expect("connection", "fail", "refuses the login");
    assert!(report.lines.values().all(|(_, detail)| !detail.contains("hunter2")));
    examine("postgres://h/d?sslmode=full").await.expect("connection", "fail", "none of disable");
}

#[tokio::test]
async fn a_schema_that_is_behind_ahead_or_too_new_is_told() {
    let db = empty_database().await;
    let report = examine(&db.url).await;
    report.expect("migrations", "fail", "missing: V1__roles_and_schemas");
    assert!(!report.lines.contains_key("partitions"));
    let newer = "insert into refinery_schema_history values (999, 'future', '2026-01-01T00:00:00Z', '1')";
    let (db, report) = altered(newer).await;
    report.expect("migrations", "warn", "V999");
    db.client().await.batch_execute("update rowcast.journal_state set min_version = 999").await.unwrap();
    examine(&db.url).await.expect("migrations", "fail", "use a newer rowcast");
}

#[tokio::test]
async fn another_encoding_than_utf8_fails() {
    let db = empty_database().await;
    let (name, client) = (format!("{}_ascii", db.name), db.client().await);
    let sql = format!("create database {name} template template0 encoding 'SQL_ASCII' locale 'C'");
    client.batch_execute(&sql).await.unwrap();
    let report = examine(&db.url.replace(&db.name, &name)).await;
    client.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
    report.expect("encoding", "fail", "SQL_ASCII");
}

#[tokio::test]
async fn missing_rights_are_named() {
    let db = migrated_database().await;
    let (user, client) = (format!("{}_server", db.name), db.client().await);
    client.batch_execute(&format!("create user {user} password 'secret'")).await.unwrap();
    let url = db.url_of(&user, "secret");
    examine(&url).await.expect("privileges", "fail", "may not read rowcast.events, nor insert into rowcast.events");
    client.batch_execute(&format!("grant rowcast_writer to {user}")).await.unwrap();
    let report = examine(&url).await;
    report.expect("privileges", "fail", "may not write down the head, nor make partitions");
    client.batch_execute(&format!("grant rowcast_server to {user}")).await.unwrap();
    let report = examine(&url).await;
    report.expect("privileges", "ok", "not the owner's");
    report.expect("statistics", "warn", "pg_read_all_stats");
    report.expect("signal", "warn", "pg_signal_backend");
    client.batch_execute(&format!("grant pg_read_all_stats, pg_signal_backend to {user}")).await.unwrap();
    let report = examine(&url).await;
    report.expect("statistics", "ok", "");
    report.expect("signal", "ok", "");
    assert!(report.lines.values().all(|(verdict, _)| verdict == "ok"), "rowcast_server is enough for every check");
    client.batch_execute(&format!("drop user {user}")).await.unwrap();
}

#[tokio::test]
async fn partitions_that_run_out_are_told_in_time() {
    let upper = "(select max((regexp_match(pg_get_expr(relpartbound, oid), 'TO \\(''(\\d+)''\\)'))[1]::bigint) \
                    from pg_class where relispartition and relname like 'events\\_p%')";
    let (db, report) = altered(&format!("select setval('rowcast.events_seq_seq', {upper} - 10)")).await;
    report.expect("partitions", "warn", "9 rows fit");
    db.client().await.batch_execute(&format!("select setval('rowcast.events_seq_seq', {upper} - 1)")).await.unwrap();
    examine(&db.url).await.expect("partitions", "fail", "every insert fails");
    db.client().await.batch_execute("select rowcast.ensure_partitions()").await.unwrap();
    examine(&db.url).await.expect("partitions", "ok", "25 of 25");
}

#[tokio::test]
async fn what_breaks_the_order_of_the_journal_fails() {
    let insert = "insert into rowcast.events (seq, type) overriding system value values (900, 'far.row')";
    let (_db, report) = altered(insert).await;
    report.expect("beyond", "fail", "1 rows beyond the sequence, which is at 0, from seq 900 on");
    let (_db, report) = altered("alter sequence rowcast.events_seq_seq cache 20").await;
    report.expect("sequence", "fail", "CACHE 20");
    for (alter, named) in [
        ("alter table rowcast.events disable trigger hold_writer_lock", "hold_writer_lock on rowcast.events"),
        ("alter table only rowcast.events alter column at set default now()", "does not ring the bell"),
        ("alter table rowcast.events enable trigger append_only", "append_only on rowcast.events"),
        ("alter table rowcast.events_p1 disable trigger append_only", "append_only on rowcast.events_p1"),
        ("alter table rowcast.journal_state enable replica trigger keep_state", "keep_state on rowcast.journal_state"),
    ] {
        altered(alter).await.1.expect("triggers", "fail", named);
    }
}

#[tokio::test]
async fn who_idles_in_a_transaction_that_has_inserted_is_named() {
    let db = migrated_database().await;
    let holder = db.client().await;
    let pid: i32 = holder.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    holder.batch_execute("begin; insert into rowcast.events (type) values ('a')").await.unwrap();
    let url = &db.url;
    until("it is named", || async move { examine(url).await.says("blockers", "warn", &format!("pid {pid}")) }).await;
    holder.batch_execute("rollback").await.unwrap();
    examine(&db.url).await.expect("blockers", "ok", "");
}

#[tokio::test]
async fn settings_of_the_login_that_hurt_are_told() {
    let db = migrated_database().await;
    let user = format!("{}_odd", db.name);
    let client = db.client().await;
    client.batch_execute(&format!("create user {user} password 'secret' in role rowcast_server")).await.unwrap();
    let url = db.url_of(&user, "secret");
    examine(&url).await.expect("session", "ok", "");
    for (setting, value, verdict) in [
        ("idle_session_timeout", "1s", "warn"),
        ("statement_timeout", "500ms", "warn"),
        ("lock_timeout", "10ms", "warn"),
        ("default_transaction_isolation", "serializable", "warn"),
        ("rowcast.bell", "off", "warn"),
        ("synchronous_commit", "off", "warn"),
        ("default_transaction_read_only", "on", "fail"),
    ] {
        client.batch_execute(&format!("alter role {user} set {setting} = '{value}'")).await.unwrap();
        examine(&url).await.expect("session", verdict, setting);
        client.batch_execute(&format!("alter role {user} reset {setting}")).await.unwrap();
    }
    for (setting, value) in [("idle_session_timeout", "1h"), ("statement_timeout", "10min")] {
        client.batch_execute(&format!("alter role {user} set {setting} = '{value}'")).await.unwrap();
    }
    examine(&url).await.expect("session", "ok", "");
    connect(&db.url).await.batch_execute(&format!("drop user {user}")).await.unwrap();
}
