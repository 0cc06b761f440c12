//! Trades, orders, snapshots and configuration: exact numbers, and states that fit what happened.

use super::{refused, run};
use crate::support;
use tokio_postgres::Client;

async fn violates(client: &Client, sql: &str, constraint: &str) {
    let error = refused(client, sql).await;
    assert_eq!(error.constraint(), Some(constraint), "{sql}: {error}");
}

/// Values that no quantity and no price may have. Infinity is one since Postgres 14.
const NO_AMOUNT: &[&str] = &["'NaN'", "'Infinity'", "'-Infinity'", "-1", "1e20", "0.0000000000000000001"];

/// An insert of a trade that is right but for this value.
fn trade(column: &str, value: &str) -> String {
    let mut values =
        vec![("symbol", "'A'"), ("side", "'long'"), ("quantity", "1"), ("entry_price", "1"), ("fees", "0")];
    if column == "exit_price" {
        values.extend([
            ("exit_price", "1"),
            ("status", "'closed'"),
            ("closed_at", "clock_timestamp() + interval '1 s'"),
        ]);
    }
    insert("trading.trades", &mut values, column, value)
}

/// An insert of an order that is right but for this value.
fn order(column: &str, value: &str) -> String {
    let mut values = vec![
        ("client_order_id", "gen_random_uuid()"),
        ("symbol", "'A'"),
        ("side", "'buy'"),
        ("type", "'limit'"),
        ("limit_price", "1"),
        ("quantity", "2"),
        ("filled_quantity", "1"),
        ("average_price", "1"),
        ("status", "'partially_filled'"),
        ("fees", "0"),
    ];
    insert("trading.orders", &mut values, column, value)
}

#[tokio::test]
async fn quantities_prices_and_fees_of_trades_are_finite_positive_and_exact() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for column in ["quantity", "entry_price", "exit_price", "fees"] {
        for value in NO_AMOUNT {
            violates(&client, &trade(column, value), &format!("trades_{column}_check")).await;
        }
        run(&client, &trade(column, "0.000000000000000001")).await;
        run(&client, &trade(column, "99999999999999999999.999999999999999999")).await;
    }
    for (column, value) in [("quantity", "0"), ("entry_price", "0"), ("exit_price", "0")] {
        violates(&client, &trade(column, value), &format!("trades_{column}_check")).await;
    }
    run(&client, &trade("fees", "0")).await;
}

#[tokio::test]
async fn quantities_prices_and_fees_of_orders_are_finite_positive_and_exact() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for column in ["quantity", "limit_price", "average_price", "fees"] {
        for value in NO_AMOUNT {
            let error = refused(&client, &order(column, value)).await;
            // A quantity below what was filled breaks more than one rule, and Postgres names one of them.
            let named = error.constraint().unwrap();
            assert!(
                named == format!("orders_{column}_check") || column == "quantity" && named.starts_with("orders_filled"),
                "{column} {value}: {named}"
            );
        }
    }
}

#[tokio::test]
async fn amounts_of_snapshots_are_finite_and_exact_and_may_be_negative() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for column in ["equity", "cash", "unrealized_profit"] {
        for value in ["'NaN'", "'Infinity'", "'-Infinity'", "1e20", "-1e20", "0.0000000000000000001"] {
            let mut values = vec![("equity", "1"), ("cash", "1"), ("unrealized_profit", "0")];
            violates(
                &client,
                &insert("trading.snapshots", &mut values, column, value),
                &format!("snapshots_{column}_check"),
            )
            .await;
        }
    }
    run(
        &client,
        "insert into trading.snapshots (equity, cash, unrealized_profit) values (-5, -99999999999999999999, 0)",
    )
    .await;
}

fn insert<'a>(table: &str, values: &mut Vec<(&'a str, &'a str)>, column: &'a str, value: &'a str) -> String {
    values.retain(|(name, _)| *name != column);
    values.push((column, value));
    let (columns, values): (Vec<_>, Vec<_>) = values.iter().copied().unzip();
    format!("insert into {table} ({}) values ({})", columns.join(", "), values.join(", "))
}

#[tokio::test]
async fn profit_is_computed_from_side_prices_quantity_and_fees() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(
        &client,
        "insert into trading.trades (symbol, side, status, quantity, entry_price, exit_price, fees, closed_at)
         select 'A', side, 'closed', 2.5, 100.1, 110.3, 3.25, clock_timestamp() + interval '1 s' from unnest('{long,short}'::text[]) side;
         insert into trading.trades (symbol, side, quantity, entry_price) values ('A', 'long', 1, 1)",
    )
    .await;
    let rows = client
        .query("select side || ' ' || coalesce(profit::text, 'none') from trading.trades order by profit", &[])
        .await
        .unwrap();
    let profits: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(profits, ["short -28.75", "long 22.25", "long none"]);
    let error = refused(&client, "update trading.trades set profit = 1").await;
    assert_eq!(error.code().code(), "428C9");
}

#[tokio::test]
async fn a_trade_is_closed_exactly_with_a_price_and_a_time() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "insert into trading.trades (client_order_id, symbol, side, quantity, entry_price) values ('c', 'BTC-USD', 'long', 1, 1)").await;
    for (change, constraint) in [
        ("status = 'closed'", "trades_closed_has_exit"),
        ("status = 'closed', exit_price = 1", "trades_closed_has_time"),
        ("exit_price = 1", "trades_closed_has_exit"),
        ("closed_at = clock_timestamp()", "trades_closed_has_time"),
        ("status = 'closed', exit_price = 1, closed_at = opened_at - interval '1 s'", "trades_times_check"),
        ("status = 'gone'", "trades_status_check"),
        ("side = 'buy'", "trades_side_check"),
        ("symbol = 'a b'", "trades_symbol_check"),
        ("symbol = repeat('a', 65)", "trades_symbol_check"),
        ("reason = ''", "trades_reason_check"),
    ] {
        violates(&client, &format!("update trading.trades set {change}"), constraint).await;
    }
    violates(&client, "insert into trading.trades (client_order_id, symbol, side, quantity, entry_price) values ('c', 'A', 'long', 1, 1)", "trades_client_order_id_key").await;
    run(&client, "update trading.trades set status = 'closed', exit_price = 1, closed_at = clock_timestamp()").await;
}

#[tokio::test]
async fn the_status_of_an_order_fits_what_was_filled() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let order = |status: &str, filled: i32| {
        let (price, reason) =
            (if filled > 0 { "7" } else { "null" }, if status == "rejected" { "'No.'" } else { "null" });
        format!(
            "insert into trading.orders (client_order_id, symbol, side, type, quantity, status, filled_quantity, average_price, reject_reason)
             values (gen_random_uuid(), 'A', 'buy', 'market', 10, '{status}', {filled}, {price}, {reason})"
        )
    };
    for (status, fits) in [
        ("new", [0].as_slice()),
        ("rejected", &[0]),
        ("partially_filled", &[1, 9]),
        ("filled", &[10]),
        ("cancelled", &[0, 1, 9]),
    ] {
        for filled in [0, 1, 9, 10] {
            if fits.contains(&filled) {
                run(&client, &order(status, filled)).await;
            } else {
                violates(&client, &order(status, filled), "orders_status_fits_fill").await;
            }
        }
        // More than was ordered, whatever the status; which of the two rules is named is Postgres's choice.
        let constraint = refused(&client, &order(status, 11)).await.constraint().unwrap().to_owned();
        assert!(
            ["orders_filled_quantity_check", "orders_status_fits_fill"].contains(&constraint.as_str()),
            "{constraint}"
        );
    }
    let columns = "insert into trading.orders (client_order_id, symbol, side, type, quantity, limit_price, status, filled_quantity, average_price, reject_reason) values";
    for (values, constraint) in [
        ("'c1', 'A', 'buy', 'limit', 1, null, 'new', 0, null, null", "orders_limit_has_price"),
        ("'c1', 'A', 'buy', 'market', 1, 1, 'new', 0, null, null", "orders_limit_has_price"),
        ("'c1', 'A', 'buy', 'market', 1, null, 'filled', 1, null, null", "orders_fill_has_price"),
        ("'c1', 'A', 'buy', 'market', 1, null, 'new', 0, 1, null", "orders_fill_has_price"),
        ("'c1', 'A', 'buy', 'market', 1, null, 'rejected', 0, null, null", "orders_rejected_has_reason"),
        ("'c1', 'A', 'buy', 'market', 1, null, 'new', 0, null, 'No.'", "orders_rejected_has_reason"),
        ("'c1', 'A', 'hold', 'market', 1, null, 'new', 0, null, null", "orders_side_check"),
        ("'c1', 'A', 'buy', 'stop', 1, null, 'new', 0, null, null", "orders_type_check"),
        ("'', 'A', 'buy', 'market', 1, null, 'new', 0, null, null", "orders_client_order_id_check"),
    ] {
        violates(&client, &format!("{columns} ({values})"), constraint).await;
    }
    let first = format!("{columns} ('once', 'A', 'buy', 'market', 1, null, 'new', 0, null, null)");
    run(&client, &first).await;
    violates(&client, &first, "orders_client_order_id_key").await;
    violates(&client, "update trading.orders set trade_id = gen_random_uuid()", "orders_trade_id_fkey").await;
}

#[tokio::test]
async fn settings_and_snapshots_are_bounded() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let config = |key: &str, value: &str| format!("insert into trading.config (key, value) values ({key}, {value})");
    run(&client, &config("repeat('k', 128)", "to_jsonb(repeat('a', 65534))")).await;
    violates(&client, &config("repeat('k', 129)", "'1'"), "config_key_check").await;
    violates(&client, &config("'Key'", "'1'"), "config_key_check").await;
    violates(&client, &config("'k'", "to_jsonb(repeat('a', 65535))"), "config_value_check").await;
    violates(&client, "update trading.config set version = 0", "config_version_check").await;
    let snapshot =
        |positions: &str| format!("insert into trading.snapshots (equity, cash, positions) values (1, 1, {positions})");
    run(&client, &snapshot("jsonb_build_array(repeat('a', 131068))")).await;
    violates(&client, &snapshot("jsonb_build_array(repeat('a', 131069))"), "snapshots_positions_check").await;
    violates(&client, &snapshot("'{}'"), "snapshots_positions_check").await;
}
