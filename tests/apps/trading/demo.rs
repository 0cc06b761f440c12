//! A day of the demo: the stream from the earliest event rebuilds the tables, and the public sees only what is listed.

use std::collections::{BTreeMap, BTreeSet};

use rowcast::auth::Role;
use rowcast::view::{Redaction, Taxonomy};
use serde_json::{Value, json};

use super::{TradingServer, text, token};
use crate::support::raw_http::request;
use crate::support::{PATIENCE, run, text as printed};

const EVENTS: usize = 400;

/// Plays this seed to its end.
async fn play(trading: &TradingServer, seed: &str) {
    let engine = token(Role::Engine);
    let events = EVENTS.to_string();
    let args = ["demo", "--url", &trading.server.url, "--seed", seed, "--rate", "1000", "--events", &events];
    let answer = run(&args, &[("ROWCAST_TOKEN", &engine)]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", printed(&answer.stderr));
    assert!(printed(&answer.stderr).contains("played 400 events"), "{}", printed(&answer.stderr));
}

/// What remains of the stream: the last payload of each subject, by the first word of the type.
fn fold(events: &[Value]) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut tables: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for event in events {
        let (thing, what) = text(event, "type").split_once('.').unwrap();
        let Some(subject) = event["subject"].as_str() else { continue };
        let rows = tables.entry(thing.to_owned()).or_default();
        if ["deleted", "removed"].contains(&what) {
            rows.remove(subject);
        } else {
            rows.insert(subject.to_owned(), event["payload"].clone());
        }
    }
    tables
}

/// The rows of a table, numbers as text and times in UTC, by their key.
async fn rows(trading: &TradingServer, table: &str, key: &str) -> BTreeMap<String, Value> {
    let client = trading.db.client().await;
    let sql = format!(
        "select coalesce(jsonb_object_agg(t.{key}, shown.row), '{{}}')::text from trading.{table} t,
                lateral (select jsonb_object_agg(name, case when jsonb_typeof(value) = 'number' and name <> 'version'
                                                            then to_jsonb(value #>> '{{}}') else value end) as row
                           from jsonb_each(to_jsonb(t)) as field (name, value) where name <> 'created_with') as shown"
    );
    client.batch_execute("set timezone = 'UTC'").await.unwrap();
    let text: String = client.query_one(&sql, &[]).await.unwrap().get(0);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn the_stream_of_a_day_rebuilds_the_tables() {
    let trading = TradingServer::start().await;
    play(&trading, "7").await;
    let put = trading.ask(Role::Admin, "PUT", "/v1/config/risk.limit", &json!({"value": {"max": "5"}})).await;
    assert_eq!(put.status, 201);
    let events = trading.stream().await;
    assert_eq!(events.len(), EVENTS + 1, "each step is one event");
    assert!(events.windows(2).all(|pair| pair[0]["seq"].as_i64() < pair[1]["seq"].as_i64()));
    let tables = fold(&events);
    for (thing, table) in [("trade", "trades"), ("order", "orders"), ("snapshot", "snapshots")] {
        let stored = rows(&trading, table, "id").await;
        assert!(stored.len() > 10, "{table}: {}", stored.len());
        assert_eq!(tables[thing], stored, "{table}");
    }
    let stored: BTreeMap<String, Value> = rows(&trading, "config", "key")
        .await
        .into_iter()
        .map(|(key, mut row)| {
            let value = row.as_object_mut().unwrap().remove("value").unwrap();
            row["setting"] = json!({ key.clone(): value });
            (key, row)
        })
        .collect();
    assert_eq!(tables["config"], stored);

    // What belongs to a trade says so, in the event as in its payload.
    for event in &events {
        let kind = text(event, "type");
        if kind.starts_with("trade.") || kind.starts_with("order.") {
            let field = if kind.starts_with("trade.") { "id" } else { "trade_id" };
            assert_eq!(event["trade_id"], event["payload"][field], "{event}");
            assert_eq!(event["symbol"], event["payload"]["symbol"], "{event}");
        }
    }
    // And now and then a secret was said, which nobody sees.
    let all = json!(events).to_string();
    assert!(all.contains("\"api_key\":\"[redacted]\"") && !all.contains("\"demo-"));
    trading.close().await;
}

#[tokio::test]
async fn a_seed_plays_the_same_day_twice() {
    let mut days = Vec::new();
    for _ in 0..2 {
        let trading = TradingServer::start().await;
        play(&trading, "11").await;
        let day: Vec<_> = trading
            .stream()
            .await
            .iter()
            .map(|event| {
                let what =
                    ["quantity", "filled_quantity", "entry_price", "exit_price", "fees", "profit", "equity", "reason"];
                let told: Vec<_> = what.iter().map(|field| event["payload"][field].to_string()).collect();
                format!("{} {} {}", event["type"], event["symbol"], told.join(" "))
            })
            .collect();
        days.push(day);
        trading.close().await;
    }
    assert_eq!(days[0], days[1]);
}

/// Which fields are in one object and not in the other; what is in both is the same.
fn taken_out(private: &Value, public: &Value) -> BTreeSet<String> {
    let (private, public) = (private.as_object().unwrap(), public.as_object().unwrap());
    for (name, value) in public {
        assert_eq!(private.get(name), Some(value), "{name}");
    }
    private.keys().filter(|name| !public.contains_key(*name)).cloned().collect()
}

fn names(words: &str) -> BTreeSet<String> {
    words.split(' ').map(str::to_owned).collect()
}

/// Every page of a list that everyone may see.
async fn public_pages(trading: &TradingServer, path: &str, begin: &str) -> Vec<Value> {
    let mut pages = Vec::<Value>::new();
    let mut cursor = begin.to_owned();
    loop {
        let page = request(trading.server.address(), "GET", &format!("{path}{cursor}"), &[], b"").await.json();
        cursor = format!("&cursor={}", page["cursor"].as_str().unwrap());
        let more = page["more"] == json!(true);
        pages.push(page);
        if !more {
            return pages;
        }
    }
}

#[tokio::test]
async fn the_public_sees_the_listed_fields_of_lists_and_nothing_else() {
    let trading = TradingServer::start().await;
    play(&trading, "23").await;
    for (list, hidden) in [
        ("trades", "id client_order_id quantity fees profit reason close_reason opened_by"),
        ("snapshots", "id cash unrealized_profit positions taken_by"),
    ] {
        for order in ["oldest", "newest"] {
            let private = trading.get(&format!("/v1/{list}?limit=1000&order={order}")).await;
            let private = private["items"].as_array().unwrap();
            let pages = public_pages(&trading, &format!("/public/v1/{list}?limit=7&order={order}"), "").await;
            let public: Vec<&Value> = pages.iter().flat_map(|page| page["items"].as_array().unwrap()).collect();
            assert!(private.len() > 10 && private.len() == public.len(), "{list}");
            let text = serde_json::to_string(&pages).unwrap();
            for (private, public) in private.iter().zip(public) {
                assert_eq!(taken_out(private, public), names(hidden), "{list}");
                let id = private["id"].as_str().unwrap();
                assert!(!text.contains(id) && !text.contains(&id.replace('-', "")), "{list}: an id of a row");
            }
        }
    }
    trading.close().await;
}

#[tokio::test]
async fn the_public_sees_the_listed_fields_of_events_and_nothing_else() {
    let trading = TradingServer::start().await;
    play(&trading, "23").await;
    let client = trading.db.client().await;
    let listed = client.query("select type, public_fields from rowcast.event_types", &[]).await.unwrap();
    let taxonomy: Taxonomy = listed.iter().map(|row| (row.get(0), row.get(1))).collect();
    let events =
        client.query("select type, public_safe, payload::text from rowcast.events order by seq", &[]).await.unwrap();
    let mut removed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut unseen, mut public_payloads) = (BTreeSet::new(), Vec::new());
    for event in &events {
        let (kind, safe, payload): (String, bool, String) = (event.get(0), event.get(1), event.get(2));
        match taxonomy.payload(&kind, safe, &payload, &Redaction::default()) {
            Some(public) => {
                let (private, public) =
                    (serde_json::from_str(&payload).unwrap(), serde_json::from_str(&public).unwrap());
                removed.entry(kind).or_default().extend(taken_out(&private, &public));
                public_payloads.push(public);
            }
            None => {
                unseen.insert(kind);
            }
        }
    }
    let pages = tokio::time::timeout(PATIENCE, async {
        loop {
            let pages = public_pages(&trading, "/public/v1/events?limit=50", "&cursor=earliest").await;
            let count: usize = pages.iter().map(|page| page["events"].as_array().unwrap().len()).sum();
            if count >= public_payloads.len() {
                return pages;
            }
        }
    })
    .await
    .expect("all of it is shown");
    let shown: Vec<&Value> = pages.iter().flat_map(|page| page["events"].as_array().unwrap()).collect();
    let fields = names("seq id at type level symbol payload");
    assert!(shown.iter().all(|event| event.as_object().unwrap().keys().all(|name| fields.contains(name))));
    assert!(shown.iter().map(|event| &event["payload"]).eq(&public_payloads));
    let trade = "id client_order_id symbol quantity fees profit reason close_reason opened_by";
    let expected: BTreeMap<String, BTreeSet<String>> = [
        ("decision.made", "reason confidence venue"),
        ("snapshot.taken", "id cash unrealized_profit positions taken_by"),
        ("trade.closed", trade),
        ("trade.opened", &format!("{trade} exit_price closed_at")),
    ]
    .into_iter()
    .map(|(kind, hidden)| (kind.to_owned(), names(hidden)))
    .collect();
    assert_eq!(removed, expected);
    assert!(unseen.iter().all(|kind| kind.starts_with("order.")) && unseen.len() >= 4, "{unseen:?}");
    trading.close().await;
}
