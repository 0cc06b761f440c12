//! What is too large, too long or empty never fails the commit of the application.
use super::shop;

const DOCS: &str = "create table shop.docs (id text primary key, title text, body text, extra jsonb, bin bytea);
                    select rowcast.publish('shop.docs');";

const FITS: &str = "select octet_length(payload::text) <= 262144 from rowcast.events order by seq desc limit 1";

async fn newest(shop: &super::Shop, expression: &str) -> String {
    shop.one(&format!("select {expression} from rowcast.events order by seq desc limit 1")).await
}

#[tokio::test]
async fn the_largest_values_become_null_and_are_named() {
    let shop = shop(DOCS).await;
    shop.run("insert into shop.docs values ('a', 'kept', repeat('x', 300000))").await;
    assert_eq!(
        newest(&shop, "payload::text").await,
        r#"{"id": "a", "bin": null, "body": null, "extra": null, "title": "kept", "_truncated": ["body"]}"#
    );
    shop.run(
        "insert into shop.docs values ('b', repeat('t', 100000), repeat('x', 140000), to_jsonb(repeat('y', 90000)))",
    )
    .await;
    assert_eq!(newest(&shop, "payload ->> '_truncated'").await, r#"["body"]"#, "no more than must be");
    assert_eq!(newest(&shop, "length(payload ->> 'title')").await, "100000");
    assert_eq!(shop.one(FITS).await, "t");
    shop.run("update shop.docs set bin = convert_to(repeat('b', 200000), 'UTF8') where id = 'b'").await;
    assert_eq!(shop.one(FITS).await, "t");
    assert!(newest(&shop, "payload ->> '_truncated'").await.contains("bin"));
    shop.run("delete from shop.docs where id = 'b'").await;
    assert_eq!(shop.one(FITS).await, "t", "a deletion too");
}

#[tokio::test]
async fn a_value_that_grows_when_escaped_is_measured_as_it_is_stored() {
    let shop = shop(DOCS).await;
    shop.run(r"insert into shop.docs values ('a', 'kept', repeat(chr(1), 50000))").await;
    assert_eq!(newest(&shop, "payload ->> '_truncated'").await, r#"["body"]"#);
}

#[tokio::test]
async fn a_payload_of_just_the_limit_is_whole() {
    let shop = shop("create table shop.t (id int primary key, v text); select rowcast.publish('shop.t')").await;
    shop.run("insert into shop.t values (1, repeat('x', 262144 - octet_length('{\"v\": \"\", \"id\": 1}')))").await;
    assert_eq!(newest(&shop, "octet_length(payload::text)").await, "262144");
    shop.run("update shop.t set v = v || 'x'").await;
    assert_eq!(newest(&shop, "payload::text").await, r#"{"v": null, "id": 1, "_truncated": ["v"]}"#);
}

#[tokio::test]
async fn values_that_postgres_itself_can_hardly_render_do_no_harm() {
    let shop = shop(DOCS).await;
    // 100 bytes of jsonb that are 13 MB of text, many times over: more text than Postgres can build.
    shop.run(
        "insert into shop.docs (id, title, extra)
         select 'a', 'kept', jsonb_agg(1e131000::numeric) from generate_series(1, 9000)",
    )
    .await;
    assert_eq!(newest(&shop, "payload ->> '_truncated'").await, r#"["extra"]"#);
    assert_eq!(newest(&shop, "payload ->> 'title'").await, "kept");
    shop.run("insert into shop.docs values ('b', 'kept', repeat('x', 280000000))").await;
    assert_eq!(newest(&shop, "payload ->> '_truncated'").await, r#"["body"]"#, "larger than any jsonb string");
}

#[tokio::test]
async fn many_large_columns_fit_as_well() {
    let columns: String = (1..=300).map(|i| format!(", c{i} text")).collect();
    let sets: Vec<String> = (1..=300).map(|i| format!("c{i} = repeat('x', 5000)")).collect();
    let shop =
        shop(&format!("create table shop.wide (id int primary key{columns}); select rowcast.publish('shop.wide')"))
            .await;
    shop.run("insert into shop.wide values (1)").await;
    shop.run(&format!("update shop.wide set {}", sets.join(", "))).await;
    assert_eq!(shop.one(FITS).await, "t");
    let kept: i32 = newest(&shop, "300 - jsonb_array_length(payload -> '_truncated')").await.parse().unwrap();
    assert!(kept > 45, "{kept} values of 300 are kept");
}

#[tokio::test]
async fn a_subject_that_is_too_long_or_empty_is_its_hash() {
    let shop = shop(DOCS).await;
    shop.run("insert into shop.docs (id) values (repeat('k', 1024))").await;
    assert_eq!(newest(&shop, "length(subject)").await, "1024");
    shop.run("insert into shop.docs (id) values (repeat('k', 1025))").await;
    assert_eq!(
        newest(&shop, "subject").await,
        shop.one("select 'sha256:' || encode(sha256(convert_to(repeat('k', 1025), 'UTF8')), 'hex')").await
    );
    assert_eq!(newest(&shop, "length(payload ->> 'id')").await, "1025", "the payload has it whole");
    shop.run("insert into shop.docs (id) values ('')").await;
    assert!(newest(&shop, "subject").await.starts_with("sha256:e3b0c44298fc1c14"));
}

#[tokio::test]
async fn an_owner_that_is_missing_empty_or_too_long_shows_the_row_to_nobody() {
    let shop = shop(
        "create table shop.t (id int primary key, who text); select rowcast.publish('shop.t', owner_column => 'who')",
    )
    .await;
    shop.run("insert into shop.t values (1, null), (2, ''), (3, repeat('o', 257)), (4, repeat('o', 256))").await;
    let owners = shop.lines("select left(owner, 20) from rowcast.events order by seq").await;
    assert_eq!(owners, ["rowcast:nobody", "rowcast:nobody", "rowcast:nobody", "oooooooooooooooooooo"]);
}

#[tokio::test]
async fn an_owner_and_a_symbol_of_char_n_come_without_their_padding() {
    let shop = shop(
        "create domain shop.user_name as char(12);
         create table shop.t (id char(4) primary key, who char(12), sym char(8), d shop.user_name);
         select rowcast.publish('shop.t', columns => '{id,who}', owner_column => 'who', symbol_column => 'sym')",
    )
    .await;
    let whose = "select concat_ws('|', subject, owner, coalesce(symbol, 'none'), payload ->> 'who') from rowcast.events order by seq desc limit 1";
    shop.run("insert into shop.t values ('a', 'ann', 'BTC')").await;
    assert_eq!(shop.one(whose).await, "a   |ann|BTC|ann         ");
    shop.run("update shop.t set who = '', sym = ''").await;
    assert_eq!(shop.one(whose).await, "a   |rowcast:nobody|none|            ");
    shop.run(
        "select rowcast.publish('shop.t', columns => '{id,who}', owner_column => 'd'); update shop.t set d = 'bob'",
    )
    .await;
    assert_eq!(shop.one(whose).await, "a   |bob|none|            ");
}

#[tokio::test]
async fn a_symbol_that_is_empty_or_too_long_is_none() {
    let shop = shop(
        "create table shop.t (id int primary key, sym text); select rowcast.publish('shop.t', symbol_column => 'sym')",
    )
    .await;
    shop.run(
        "insert into shop.t values (1, null), (2, ''), (3, repeat('s', 65)), (4, repeat('s', 64)), (5, 'BTC-USD')",
    )
    .await;
    let symbols = shop.lines("select coalesce(left(symbol, 7), 'none') from rowcast.events order by seq").await;
    assert_eq!(symbols, ["none", "none", "none", "sssssss", "BTC-USD"]);
}

#[tokio::test]
async fn many_rows_of_one_transaction_need_little_memory() {
    let shop = shop("create table shop.t (id bigint primary key, v text); select rowcast.publish('shop.t')").await;
    let used = "select pg_backend_pid()";
    let pid = shop.one(used).await;
    shop.run("begin; insert into shop.t select g, 'value' from generate_series(1, 1000) g").await;
    let before = resident(&pid);
    shop.run("insert into shop.t select g, 'value' from generate_series(1001, 201000) g").await;
    let grown = resident(&pid).saturating_sub(before);
    shop.run("rollback").await;
    assert!(grown < 16_384, "200,000 pending rows took {grown} kB");
}

/// Private memory of a backend in kB; 0 where the cluster is not on this machine.
fn resident(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
