//! Settings: versions, history, who changed them; and secrets that nobody is shown.

use rowcast::auth::Role;
use serde_json::{Value, json};

use super::{TradingServer, text};

impl TradingServer {
    async fn put(&self, key: &str, body: Value, status: u16) -> Value {
        let answer = self.ask(Role::Admin, "PUT", &format!("/v1/config/{key}"), &body).await;
        assert_eq!(answer.status, status, "{key} {body}: {}", answer.body);
        answer.json()
    }
}

#[tokio::test]
async fn a_setting_has_versions_and_a_change_of_another_than_the_newest_is_refused() {
    let trading = TradingServer::start().await;
    let first = trading.put("risk.limit", json!({"value": {"max": 5}}), 201).await;
    assert_eq!((&first["version"], text(&first, "updated_by")), (&json!(1), "admin"));
    // The same value again is no change.
    assert_eq!(trading.put("risk.limit", json!({"value": {"max": 5}}), 200).await, first);
    let second = trading.put("risk.limit", json!({"value": 7, "version": 1}), 200).await;
    assert_eq!((&second["version"], &second["value"]), (&json!(2), &json!(7)));
    assert_eq!(trading.put("risk.limit", json!({"value": 7, "version": 1}), 200).await, second);
    assert_eq!(trading.put("risk.limit", json!({"value": 7, "version": 1.0}), 200).await, second, "1.0 is 1");
    for no_version in [json!(-1), json!(1.5), json!("1"), json!(2_147_483_648_i64)] {
        trading.put("risk.limit", json!({"value": 7, "version": no_version}), 422).await;
    }
    let late = trading.put("risk.limit", json!({"value": 8, "version": 1}), 409).await;
    assert_eq!((text(&late, "code"), text(&late, "state")), ("state_conflict", "2"));
    assert_eq!(text(&trading.put("other", json!({"value": 8, "version": 3}), 409).await, "state"), "0");
    for (key, body) in [
        ("Risk", json!({"value": 1})),
        ("a..b", json!({"value": 1})),
        ("a", json!({})),
        ("a", json!({"value": "x".repeat(65_536)})),
        ("a", json!({"value": {"key": "[redacted]"}})),
    ] {
        assert_eq!(text(&trading.put(key, body, 422).await, "code"), "invalid_setting");
    }
    trading.close().await;
}

/// The setting `risk.limit` in its second version; `other` made, changed by hand and removed by hand.
async fn changed_settings() -> TradingServer {
    let trading = TradingServer::start().await;
    trading.put("risk.limit", json!({"value": {"max": 5}}), 201).await;
    trading.put("risk.limit", json!({"value": 7, "version": 1}), 200).await;
    trading.put("other", json!({"value": null, "version": 0}), 201).await;
    trading.db.client().await.batch_execute("update trading.config set value = '9' where key = 'other'").await.unwrap();
    trading.db.client().await.batch_execute("delete from trading.config where key = 'other'").await.unwrap();
    trading
}

#[tokio::test]
async fn a_setting_has_a_history_that_says_who_changed_it() {
    let trading = changed_settings().await;
    let keys: Vec<_> = trading.all("/v1/config").await.iter().map(|item| text(item, "key").to_owned()).collect();
    assert_eq!(keys, ["risk.limit"]);
    let history = trading.all("/v1/config?history=true&order=oldest").await;
    let told: Vec<_> =
        history.iter().map(|item| format!("{} {} {}", text(item, "key"), item["version"], item["value"])).collect();
    assert_eq!(
        told,
        [r#"risk.limit 1 {"max":5}"#, "risk.limit 2 7", "other 1 null", "other 2 9", "other 3 null"].map(str::to_owned)
    );
    assert_eq!((&history[4]["removed"], &history[2]["removed"]), (&json!(true), &Value::Null));
    // Who changes it by hand and does not say who, is not taken for the one before.
    assert_eq!((&history[2]["changed_by"], &history[3]["changed_by"]), (&json!("admin"), &Value::Null));
    assert_eq!(trading.all("/v1/config?history=true&key=risk.limit").await.len(), 2);
    trading.close().await;
}

#[tokio::test]
async fn each_change_of_a_setting_is_told_on_the_stream() {
    let trading = changed_settings().await;
    let events = trading.stream().await;
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            format!(
                "{} {} {} {}",
                text(event, "type"),
                text(event, "subject"),
                event["payload"]["version"],
                event["payload"]["setting"]
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"config.changed risk.limit 1 {"risk.limit":{"max":5}}"#,
            r#"config.changed risk.limit 2 {"risk.limit":7}"#,
            r#"config.changed other 1 {"other":null}"#,
            r#"config.changed other 2 {"other":9}"#,
            r#"config.removed other 2 {"other":9}"#,
        ]
    );
    trading.close().await;
}

#[tokio::test]
async fn secrets_are_shown_nowhere_but_kept() {
    let trading = TradingServer::start().await;
    for (key, value) in [
        ("exchange.api_key", json!("hunter2")),
        ("exchange", json!({"name": "x", "password": "hunter2"})),
        ("database", json!("postgres://app:hunter2@db/app")),
    ] {
        let shown = trading.put(key, json!({"value": value}), 201).await;
        assert!(shown.to_string().contains("[redacted]") && !shown.to_string().contains("hunter2"), "{shown}");
    }
    for seen in [trading.all("/v1/config").await, trading.all("/v1/config?history=true").await, trading.stream().await]
    {
        let seen = json!(seen).to_string();
        assert!(!seen.contains("hunter2") && seen.matches("[redacted]").count() == 3, "{seen}");
    }
    let kept = "select count(*) from trading.config where value::text like '%hunter2%'";
    let kept: i64 = trading.db.client().await.query_one(kept, &[]).await.unwrap().get(0);
    assert_eq!(kept, 3);
    trading.close().await;
}
