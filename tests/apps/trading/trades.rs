//! Trades: opened once, closed once, with a profit that can be computed by hand; and who may do what.

use rowcast::auth::Role;
use serde_json::{Value, json};

use super::{TradingServer, order, text, trade};
use crate::support::raw_http::request;

#[tokio::test]
async fn a_trade_is_opened_and_closed_and_both_are_told() {
    let trading = TradingServer::start().await;
    let opened = trading.engine("POST", "/v1/trades", trade(), 201).await;
    assert_eq!((text(&opened, "status"), text(&opened, "opened_by")), ("open", "engine"));
    assert_eq!((text(&opened, "entry_price"), &opened["profit"]), ("100.10", &Value::Null));
    let path = format!("/v1/trades/{}", text(&opened, "id"));
    assert_eq!(trading.get(&path).await, opened);
    // It has this address and no other.
    trading.engine("GET", &format!("/v1/trades/{}", text(&opened, "id").replace('-', "")), Value::Null, 404).await;
    let closing = json!({"exit_price": "110.3", "fees": "3.25", "reason": "enough"});
    let closed = trading.engine("POST", &format!("{path}/close"), closing.clone(), 200).await;
    assert_eq!((text(&closed, "status"), text(&closed, "profit"), text(&closed, "fees")), ("closed", "22.250", "3.25"));
    // The same again is the same answer, and no event; another one is told what the trade is.
    assert_eq!(trading.engine("POST", &format!("{path}/close"), closing, 200).await, closed);
    let other = trading.engine("POST", &format!("{path}/close"), json!({"exit_price": "111"}), 409).await;
    assert_eq!((text(&other, "code"), text(&other, "state")), ("state_conflict", "closed"));

    let events = trading.stream().await;
    let told: Vec<_> = events.iter().map(|event| text(event, "type")).collect();
    assert_eq!(told, ["trade.opened", "trade.closed"]);
    for event in &events {
        assert_eq!((&event["trade_id"], &event["subject"]), (&opened["id"], &opened["id"]));
        assert_eq!(text(event, "symbol"), "BTC-USD");
    }
    assert_eq!(events[1]["payload"]["profit"], json!("22.250"));
    trading.close().await;
}

#[tokio::test]
async fn profit_is_what_one_computes_by_hand() {
    let trading = TradingServer::start().await;
    let nines = format!("{}.{}", "9".repeat(20), "9".repeat(18));
    let smallest = format!("0.{}1", "0".repeat(17));
    let exact = format!("99.{}8", "9".repeat(35));
    for (side, quantity, entry, exit, fees, profit) in [
        ("long", "2.5", "100.1", "110.3", "3.25", "22.25"),
        ("short", "2.5", "100.1", "110.3", "3.25", "-28.75"),
        ("short", "2.5", "110.3", "100.1", "3.25", "22.25"),
        ("long", "3", "0.1", "0.2", "0", "0.3"),
        ("long", "1", "5", "5", "0.000000000000000001", "-0.000000000000000001"),
        ("long", &smallest, &smallest, &nines, "0", &exact),
        ("short", "100000000", "64120.50", "64120.49", "1234.5678", "998765.4322"),
    ] {
        let body = json!({"symbol": "X", "side": side, "quantity": quantity, "entry_price": entry});
        let opened = trading.engine("POST", "/v1/trades", body, 201).await;
        let path = format!("/v1/trades/{}/close", text(&opened, "id"));
        let closed = trading.engine("POST", &path, json!({"exit_price": exit, "fees": fees}), 200).await;
        let shown = text(&closed, "profit");
        assert_eq!(
            shown.trim_end_matches('0').trim_end_matches('.'),
            profit,
            "{side} {quantity} {entry} {exit} {fees}"
        );
    }
    trading.close().await;
}

#[tokio::test]
async fn a_client_order_id_opens_one_trade_and_places_one_order() {
    let trading = TradingServer::start().await;
    let mut body = trade();
    body["client_order_id"] = json!("once");
    let all = (0..8).map(|_| trading.ask(Role::Engine, "POST", "/v1/trades", &body));
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 7);
    let first = answers[0].json();
    assert!(answers.iter().all(|answer| answer.json()["id"] == first["id"]));
    // The same value in other digits is the same; after the closing the trade is shown as it is now.
    let close = format!("/v1/trades/{}/close", text(&first, "id"));
    trading.engine("POST", &close, json!({"exit_price": "101", "fees": "2"}), 200).await;
    body["quantity"] = json!("2.500");
    assert_eq!(text(&trading.engine("POST", "/v1/trades", body.clone(), 200).await, "status"), "closed");
    body["quantity"] = json!("2.51");
    let refused = trading.engine("POST", "/v1/trades", body, 422).await;
    assert_eq!(text(&refused, "code"), "idempotency_conflict");

    let placed = trading.engine("POST", "/v1/orders", order("once"), 201).await;
    let path = format!("/v1/orders/{}", text(&placed, "id"));
    trading.engine("PATCH", &path, json!({"status": "cancelled", "trade_id": first["id"]}), 200).await;
    assert_eq!(text(&trading.engine("POST", "/v1/orders", order("once"), 200).await, "status"), "cancelled");
    let mut other = order("once");
    other["side"] = json!("sell");
    assert_eq!(text(&trading.engine("POST", "/v1/orders", other, 422).await, "code"), "idempotency_conflict");
    assert_eq!(trading.types().await, ["trade.opened", "trade.closed", "order.placed", "order.cancelled"]);
    trading.close().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_named_and_nothing_is_repeated() {
    let trading = TradingServer::start().await;
    let with = |field: &str, value: Value| {
        let mut body = trade();
        body[field] = value;
        body
    };
    for (body, detail) in [
        (with("quantity", json!("0")), "quantity must be more than 0"),
        (with("quantity", json!("-1")), "quantity must be more than 0"),
        (with("quantity", json!("1e3")), "quantity must be a decimal number in a string"),
        (with("quantity", json!("NaN")), "quantity must be a decimal number in a string"),
        (with("quantity", json!(1.5)), "A value before column"),
        (with("entry_price", json!("1".repeat(21))), "entry_price must be more than 0 and below 1e20"),
        (with("entry_price", json!("0.0000000000000000001")), "entry_price must be more than 0"),
        (with("fees", json!("-0.1")), "fees must be 0 or more"),
        (with("side", json!("hunter2")), "side must be long or short"),
        (with("symbol", json!("BTC USD")), "symbol must be 1 to 64 printable"),
        (with("symbol", json!("x".repeat(65))), "symbol must be 1 to 64 printable"),
        (with("reason", json!("")), "reason must be 1 to 4000 bytes"),
        (with("client_order_id", json!("x".repeat(129))), "client_order_id must be 1 to 128 bytes"),
        (with("hunter", json!(2)), "unknown field `hunter`"),
        (json!({"symbol": "X"}), "missing field `side`"),
        (json!(["X", "long", "1", "1"]), "The body must be one JSON object"),
    ] {
        let refused = trading.engine("POST", "/v1/trades", body.clone(), 422).await;
        assert_eq!(text(&refused, "code"), "invalid_trade", "{body}");
        let said = text(&refused, "detail");
        assert!(said.starts_with(detail) && !said.contains("hunter2"), "{body}: {said}");
    }
    let nul = trading.engine("POST", "/v1/trades", with("symbol", json!("hunter2\u{0}")), 400).await;
    assert_eq!(text(&nul, "code"), "bad_json");
    let mut body = order("o");
    body["trade_id"] = json!(uuid::Uuid::new_v4().to_string());
    let refused = trading.engine("POST", "/v1/orders", body, 422).await;
    assert_eq!(text(&refused, "detail"), "trade_id must name a trade that exists.");
    let snapshot = json!({"equity": "1", "cash": "1", "positions": {}});
    assert_eq!(text(&trading.engine("POST", "/v1/snapshots", snapshot, 422).await, "code"), "invalid_snapshot");
    for id in [uuid::Uuid::new_v4().to_string(), "x".to_owned()] {
        trading.engine("GET", &format!("/v1/trades/{id}"), Value::Null, 404).await;
        trading.engine("POST", &format!("/v1/trades/{id}/close"), json!({"exit_price": "1"}), 404).await;
        trading.engine("PATCH", &format!("/v1/orders/{id}"), json!({"status": "filled"}), 404).await;
    }
    assert!(trading.types().await.is_empty());
    trading.close().await;
}

#[tokio::test]
async fn roles_do_what_the_table_says() {
    let trading = TradingServer::start().await;
    let reads = ["/v1/trades", "/v1/orders", "/v1/snapshots", "/v1/config", "/v1/config?history=true"];
    let snapshot = json!({"equity": "1.5", "cash": "1", "positions": [{"api_key": "xyz"}]});
    for role in Role::ALL {
        let (may_read, may_write) = (role != Role::User, matches!(role, Role::Engine | Role::Operator | Role::Admin));
        for path in reads {
            let answer = trading.ask(role, "GET", path, &Value::Null).await;
            assert_eq!(answer.status, if may_read { 200 } else { 403 }, "{role} {path}: {}", answer.body);
        }
        let answer = trading.ask(role, "POST", "/v1/snapshots", &snapshot).await;
        assert_eq!(answer.status, if may_write { 201 } else { 403 }, "{role}: {}", answer.body);
        assert!(!answer.body.contains("xyz"), "{}", answer.body);
        let answer = trading.ask(role, "PUT", "/v1/config/a.b", &json!({"value": role.as_str()})).await;
        assert_eq!(answer.status, if role == Role::Admin { 201 } else { 403 }, "{role}: {}", answer.body);
    }
    let address = trading.server.address();
    for path in reads {
        assert_eq!(request(address, "GET", path, &[], b"").await.status, 401, "{path}");
    }
    for path in ["/public/v1/trades", "/public/v1/snapshots"] {
        assert_eq!(request(address, "GET", path, &[], b"").await.status, 200, "{path}");
        let answer = request(address, "POST", path, &[], b"").await;
        assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD"), "{path}");
    }
    trading.close().await;
}
