//! The state machine of orders, held by the database against a reference that knows only the rules.

use serde_json::{Value, json};

use super::{TradingServer, order, text};
use crate::support::raw_http::Answer;
use rowcast::auth::Role;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(3) > 0).then(|| value(self))
    }
}

/// An order of 10 as the rules see it.
#[derive(Debug, Clone, PartialEq)]
struct Reference {
    status: String,
    filled: u64,
    price: Option<u64>,
    reason: bool,
}

impl Reference {
    /// What a report makes of it, or which status refuses it.
    fn report(&self, status: Option<&str>, filled: Option<u64>, price: Option<u64>, reason: bool) -> Result<Self, u16> {
        if status.is_none() && filled.is_none() && price.is_none() && !reason {
            return Err(422);
        }
        let next = Self {
            status: status.unwrap_or(&self.status).to_owned(),
            filled: filled.unwrap_or(self.filled),
            price: price.or(self.price),
            reason: reason || self.reason,
        };
        let ended = ["filled", "cancelled", "rejected"].contains(&self.status.as_str());
        if next == *self {
            return Ok(next);
        }
        if ended || (self.status == "partially_filled" && ["new", "rejected"].contains(&next.status.as_str())) {
            return Err(409);
        }
        if next.filled < self.filled {
            return Err(409);
        }
        let fits = match next.status.as_str() {
            "new" | "rejected" => next.filled == 0,
            "partially_filled" => (1..10).contains(&next.filled),
            "filled" => next.filled == 10,
            "cancelled" => next.filled < 10,
            _ => false,
        };
        let whole = (next.filled > 0) == next.price.is_some() && (next.status == "rejected") == next.reason;
        if fits && whole { Ok(next) } else { Err(422) }
    }
}

#[tokio::test]
async fn random_reports_end_as_the_reference_says() {
    let trading = TradingServer::start().await;
    let mut dice = Dice(20_260_127);
    let (mut taken, mut refused) = (0, 0);
    for number in 0..60 {
        let placed = trading.engine("POST", "/v1/orders", order(&format!("o{number}")), 201).await;
        let path = format!("/v1/orders/{}", text(&placed, "id"));
        let mut known = Reference { status: "new".to_owned(), filled: 0, price: None, reason: false };
        for _ in 0..8 {
            let words = ["new", "partially_filled", "filled", "cancelled", "rejected", "gone"];
            let status = dice.maybe(|dice| words[usize::try_from(dice.below(6)).unwrap()]);
            let filled = dice.maybe(|dice| [0, 1, 4, 9, 10, 10, 11][usize::try_from(dice.below(7)).unwrap()]);
            let price = dice.maybe(|dice| 7 + dice.below(2));
            let reason = dice.below(6) == 0;
            let mut body = json!({});
            let mut set = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    body[name] = value;
                }
            };
            set("status", status.map(|status| json!(status)));
            set("filled_quantity", filled.map(|filled| json!(filled.to_string())));
            set("average_price", price.map(|price| json!(price.to_string())));
            set("reject_reason", reason.then(|| json!("No.")));
            let answer: Answer = trading.ask(Role::Engine, "PATCH", &path, &body).await;
            let shown = answer.json();
            match known.report(status, filled, price, reason) {
                Ok(next) => {
                    assert_eq!(answer.status, 200, "{known:?} {body}: {}", answer.body);
                    assert_eq!(text(&shown, "status"), next.status);
                    assert_eq!(text(&shown, "filled_quantity"), next.filled.to_string());
                    taken += usize::from(next != known);
                    known = next;
                }
                Err(status) => {
                    assert_eq!(answer.status, status, "{known:?} {body}: {}", answer.body);
                    if status == 409 {
                        assert_eq!(text(&shown, "state"), known.status);
                    }
                    refused += 1;
                }
            }
        }
        let orders = trading.get(&format!("/v1/orders?client_order_id=o{number}")).await;
        assert_eq!(text(&orders["items"][0], "status"), known.status);
    }
    assert!(taken > 30 && refused > 100, "{taken} {refused}");
    // Every change was told once, and nothing else was.
    assert_eq!(trading.stream().await.len(), 60 + taken);
    trading.close().await;
}

#[tokio::test]
async fn sql_is_held_to_the_same_rules() {
    let trading = TradingServer::start().await;
    let client = trading.db.client().await;
    let setup = "insert into trading.orders (client_order_id, symbol, side, type, quantity, status, filled_quantity, average_price)
                 values ('f', 'A', 'buy', 'market', 2, 'filled', 2, 1), ('p', 'A', 'buy', 'market', 2, 'partially_filled', 1, 1);
                 insert into trading.trades (client_order_id, symbol, side, quantity, entry_price) values ('t', 'A', 'long', 1, 1);
                 update trading.trades set status = 'closed', exit_price = 2, closed_at = opened_at where client_order_id = 't';
                 insert into trading.config (key, value) values ('k', '1')";
    client.batch_execute(setup).await.unwrap();
    for (sql, state) in [
        ("update trading.orders set status = 'cancelled' where client_order_id = 'f'", "filled"),
        ("update trading.orders set fees = 1 where client_order_id = 'f'", "filled"),
        ("update trading.orders set quantity = 3 where client_order_id = 'p'", "partially_filled"),
        ("update trading.orders set filled_quantity = 0.5 where client_order_id = 'p'", "partially_filled"),
        ("update trading.orders set status = 'rejected' where client_order_id = 'p'", "partially_filled"),
        ("update trading.trades set exit_price = 3 where client_order_id = 't'", "closed"),
        ("update trading.trades set status = 'open', exit_price = null, closed_at = null", "closed"),
        ("update trading.config set key = 'l'", ""),
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.detail().unwrap_or_default()), ("55000", state), "{sql}");
    }
    // The trade of an order that has ended may be named, once.
    client.batch_execute("update trading.orders set trade_id = (select id from trading.trades)").await.unwrap();
    let again = client.batch_execute("update trading.orders set trade_id = null").await.unwrap_err();
    assert_eq!(again.as_db_error().unwrap().code().code(), "55000");
    trading.close().await;
}
