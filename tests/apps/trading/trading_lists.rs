//! Lists: pages without gaps or repetitions, in an order that stays, and filters that are not passed over.

use serde_json::{Value, json};

use super::{TradingServer, order, text};

/// Many rows of the same microsecond, and some of others.
const MANY: &str = "insert into trading.trades (symbol, side, quantity, entry_price, opened_at, status, exit_price, closed_at)
    select case n % 3 when 0 then 'ETH' else 'BTC' end, case n % 2 when 0 then 'long' else 'short' end, 1, 1 + n, at,
           case when n % 5 = 0 then 'closed' else 'open' end, case when n % 5 = 0 then 2 end, case when n % 5 = 0 then at end
      from generate_series(1, 60) n, lateral (select '2026-01-27T10:00:00.000001Z'::timestamptz + (n / 20) * interval '1 hour') t (at)";

#[tokio::test]
async fn pages_neither_shift_nor_repeat_in_either_order() {
    let trading = TradingServer::start().await;
    let client = trading.db.client().await;
    client.batch_execute(MANY).await.unwrap();
    let sql = "select array_agg(id::text order by opened_at, id) from trading.trades";
    let mut expected: Vec<String> = client.query_one(sql, &[]).await.unwrap().get(0);
    for order in ["oldest", "newest"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                trading.get(&format!("/v1/trades?order={order}&limit=7&until=2026-02-01T00:00:00Z{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|item| text(item, "id").to_owned()));
            assert!(items.len() == 7 || page["more"] == json!(false));
            if page["more"] == json!(false) {
                break;
            }
            cursor = format!("&cursor={}", text(&page, "cursor"));
            // Somebody opens trades meanwhile.
            client
                .batch_execute(
                    "insert into trading.trades (symbol, side, quantity, entry_price) values ('NEW', 'long', 1, 1)",
                )
                .await
                .unwrap();
        }
        assert_eq!(seen, expected, "{order}");
        expected.reverse();
    }
    let empty = trading.get("/v1/trades?symbol=NONE").await;
    assert_eq!(empty, json!({"items": [], "cursor": null, "more": false}));
    trading.close().await;
}

#[tokio::test]
async fn filters_are_joined_and_unknown_ones_are_errors() {
    let trading = TradingServer::start().await;
    trading.db.client().await.batch_execute(MANY).await.unwrap();
    for (filter, count) in [
        ("", 60),
        ("?symbol=ETH", 20),
        ("?symbol=ETH&side=long", 10),
        ("?status=closed", 12),
        ("?status=closed&symbol=ETH", 4),
        ("?since=2026-01-27T11:00:00.000001Z", 41),
        ("?since=2026-01-27T12:00:00.000001%2B01:00&until=2026-01-27T12:00:00Z", 20),
        ("?until=2026-01-27T10:00:00.000001Z", 0),
        // The ends of what RFC 3339 can write, from where it is another year in UTC.
        ("?since=0000-01-01T00:00:00%2B23:59&until=9999-12-31T23:59:59-23:59", 60),
        ("?since=9999-12-31T23:59:59-23:59", 0),
    ] {
        assert_eq!(trading.all(&format!("/v1/trades{filter}")).await.len(), count, "{filter}");
    }
    let trade = trading.engine("POST", "/v1/trades", super::trade(), 201).await;
    for (name, with) in [("a", true), ("b", false)] {
        let mut body = order(name);
        if with {
            body["trade_id"] = trade["id"].clone();
        }
        trading.engine("POST", "/v1/orders", body, 201).await;
    }
    let orders =
        trading.all(&format!("/v1/orders?trade_id={}&status=new&type=market&side=buy", text(&trade, "id"))).await;
    assert_eq!(orders.len(), 1);
    assert_eq!(text(&orders[0], "client_order_id"), "a");
    for query in [
        "/v1/trades?symbl=ETH",
        "/v1/trades?status=gone",
        "/v1/trades?side=buy",
        "/v1/trades?limit=0",
        "/v1/trades?limit=1001",
        "/v1/trades?cursor=x",
        "/v1/trades?cursor=1.x",
        "/v1/trades?order=random",
        "/v1/trades?since=yesterday",
        "/v1/trades?symbol=%00",
        "/v1/trades?symbol=",
        "/v1/trades?symbol=a&symbol=b",
        "/v1/orders?trade_id=x",
        "/v1/snapshots?symbol=ETH",
        "/v1/config?history=perhaps",
        "/v1/config?since=2026-01-27T10:00:00Z",
        "/public/v1/trades?client_order_id=a",
        "/public/v1/snapshots?cash=1",
    ] {
        let refused = trading.engine("GET", query, Value::Null, 400).await;
        assert_eq!(text(&refused, "code"), "bad_request", "{query}");
    }
    trading.close().await;
}

#[tokio::test]
async fn a_time_that_nobody_can_write_is_shown_as_the_nearest_and_each_row_stands_in_one_place() {
    let trading = TradingServer::start().await;
    let client = trading.db.client().await;
    // Such rows may be there from before the constraints were.
    for table in ["trades", "orders", "snapshots", "config", "config_history"] {
        let sql = format!(
            "select coalesce(string_agg(format('alter table %s drop constraint %I', conrelid::regclass, conname), ';'), '')
               from pg_constraint where conrelid = 'trading.{table}'::regclass and conname like '% must lie in the years %'"
        );
        let drop: String = client.query_one(&sql, &[]).await.unwrap().get(0);
        client.batch_execute(&drop).await.unwrap();
    }
    let times = "(values ('12345-01-01'), ('20000-01-01'), ('infinity'), ('-infinity'), ('0044-03-15 BC'), ('2026-01-27')) t (at)";
    for insert in [
        "trading.trades (symbol, side, quantity, entry_price, opened_at) select 'A', 'long', 1, 1, at::timestamptz",
        "trading.orders (client_order_id, symbol, side, type, quantity, created_at, updated_at)
             select at, 'A', 'buy', 'market', 1, at::timestamptz, at::timestamptz",
        "trading.snapshots (equity, cash, taken_at) select 1, 1, at::timestamptz",
        "trading.config_history (key, version, value, changed_at) select 'k', 1, '1', at::timestamptz",
    ] {
        client.batch_execute(&format!("insert into {insert} from {times}")).await.unwrap();
    }
    let shown = ["0001-01-01T00", "0001-01-01T00", "2026-01-27T00", "9999-12-31T23", "9999-12-31T23", "9999-12-31T23"];
    for (path, field) in [("/v1/trades", "opened_at"), ("/v1/orders", "created_at"), ("/v1/snapshots", "taken_at")] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = trading.get(&format!("{path}?order=oldest&limit=1{cursor}")).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| text(item, field)[..13].to_owned()));
            if page["more"] == json!(false) || seen.len() > shown.len() {
                break;
            }
            cursor = format!("&cursor={}", text(&page, "cursor"));
        }
        assert_eq!(seen, shown, "{path}");
    }
    trading.close().await;
}
