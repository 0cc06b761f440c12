//! A market that is believable enough to look at: prices that wander, orders that are filled in parts, refused or
//! given up, trades that come of them, and an account that adds up. It is all chance, and the same seed plays the same day.
//!
//! Numbers are whole: prices in cents, quantities in ten-thousandths, money in millionths. So nothing is ever rounded.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// How often a decision carries a secret that nobody may see.
const SECRET_ONE_IN: u64 = 6;
/// How many trades are open at most.
const MOST_OPEN: usize = 6;
/// Millionths that the day begins with.
const CAPITAL: i64 = 250_000_000_000;

/// The symbols that are traded, each with its price in cents and a usual quantity in ten-thousandths.
const SYMBOLS: [(&str, i64, i64); 5] = [
    ("BTC-USD", 6_412_050, 1_500),
    ("ETH-USD", 318_475, 28_000),
    ("SOL-USD", 15_240, 640_000),
    ("AVAX-USD", 2_811, 3_300_000),
    ("LINK-USD", 1_466, 6_100_000),
];
const REASONS: [&str; 5] = [
    "price crossed its hourly mean on rising volume",
    "the spread narrowed and the book is deep on this side",
    "momentum of the last quarter of an hour",
    "back inside the band after an excursion",
    "the other side of the pair moved first",
];
const ENDS: [&str; 4] = ["target reached", "stop reached", "momentum is gone", "held long enough"];
const REFUSALS: [&str; 3] = ["insufficient margin", "price outside of the collar", "the venue is in auction"];

/// One step, which is one request and one event. Orders and trades are known by their number within the day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// Says what is to be done, and why: the fields of an event.
    Decide(Value),
    /// Places the order of this number, perhaps for a trade.
    Place { order: usize, trade: Option<usize>, body: Value },
    /// Reports on an order.
    Report { order: usize, trade: Option<usize>, body: Value },
    /// Opens the trade of this number.
    Open { trade: usize, body: Value },
    /// Closes a trade.
    Close { trade: usize, body: Value },
    /// Writes down the account.
    Snapshot(Value),
}

/// SplitMix64.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, and without, `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.below(span)).unwrap_or(0))
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = self.index(words.len());
        words.get(at).copied().unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
struct Position {
    trade: usize,
    market: usize,
    long: bool,
    quantity: i64,
    entry: i64,
    fees: i64,
}

/// One day, as long as somebody asks for more of it.
#[derive(Debug)]
pub(crate) struct Market {
    dice: Dice,
    prices: Vec<i64>,
    planned: VecDeque<Act>,
    open: Vec<Position>,
    orders: usize,
    trades: usize,
    /// The gain less all fees, in millionths.
    earned: i64,
}

impl Market {
    /// The day of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            prices: SYMBOLS.iter().map(|(_, price, _)| *price).collect(),
            planned: VecDeque::new(),
            open: Vec::new(),
            orders: 0,
            trades: 0,
            earned: 0,
        }
    }

    fn plan(&mut self) {
        for price in &mut self.prices {
            // Up to 0.4 % either way.
            let step = self.dice.between(-40, 40);
            *price = (*price + *price * step / 10_000).max(100);
        }
        if self.dice.one_in(6) {
            self.snapshot();
        } else if self.open.len() >= MOST_OPEN || (!self.open.is_empty() && self.dice.below(5) < 2) {
            self.leave();
        } else {
            self.enter();
        }
    }

    /// A decision, its order, and the trade that comes of what was filled.
    fn enter(&mut self) {
        let market = self.dice.index(SYMBOLS.len());
        let (symbol, _, usual) = SYMBOLS[market];
        let long = self.dice.below(5) < 3;
        let reason = self.dice.pick(&REASONS);
        self.decide(symbol, if long { "open_long" } else { "open_short" }, reason);
        let quantity = self.dice.between(usual / 4, usual);
        let price = self.prices[market];
        let order = self.place(symbol, long, quantity, price, None);
        if self.dice.one_in(12) {
            let refusal = self.dice.pick(&REFUSALS);
            self.report(order, None, json!({"status": "rejected", "reject_reason": refusal}));
            return;
        }
        let gives_up = self.dice.one_in(10);
        let (filled, average) = self.fill(order, quantity, price, !gives_up);
        if gives_up {
            self.report(order, None, json!({"status": "cancelled"}));
        }
        if filled == 0 {
            return;
        }
        let (trade, fees) = (self.trades, fee(filled, average));
        self.trades += 1;
        let body = json!({
            "symbol": symbol, "side": if long { "long" } else { "short" }, "quantity": decimal(filled, 4),
            "entry_price": decimal(average, 2), "fees": decimal(fees, 6), "reason": reason,
        });
        self.planned.push_back(Act::Open { trade, body });
        self.report(order, Some(trade), json!({}));
        self.open.push(Position { trade, market, long, quantity: filled, entry: average, fees });
    }

    /// The way out of one of the open trades.
    fn leave(&mut self) {
        let at = self.dice.index(self.open.len());
        let position = self.open.remove(at);
        let symbol = SYMBOLS[position.market].0;
        let reason = self.dice.pick(&ENDS);
        self.decide(symbol, "close", reason);
        let price = self.prices[position.market];
        let order = self.place(symbol, !position.long, position.quantity, price, Some(position.trade));
        let (_, average) = self.fill(order, position.quantity, price, true);
        let fees = position.fees + fee(position.quantity, average);
        self.earned += profit(&position, average) - fees;
        let body = json!({"exit_price": decimal(average, 2), "fees": decimal(fees, 6), "reason": reason});
        self.planned.push_back(Act::Close { trade: position.trade, body });
    }

    fn decide(&mut self, symbol: &str, action: &str, reason: &str) {
        let mut payload = json!({
            "action": action, "reason": reason, "confidence": decimal(self.dice.between(52, 97), 2),
        });
        if self.dice.one_in(SECRET_ONE_IN) {
            // What an engine should never say, and some day does.
            let secret = format!("demo-{:016x}", self.dice.next());
            payload["venue"] = json!({"name": "demo", "account": "main", "api_key": secret});
        }
        let event = json!({"type": "decision.made", "symbol": symbol, "public_safe": true, "payload": payload});
        self.planned.push_back(Act::Decide(event));
    }

    fn place(&mut self, symbol: &str, buys: bool, quantity: i64, price: i64, trade: Option<usize>) -> usize {
        let order = self.orders;
        self.orders += 1;
        let mut body = json!({
            "symbol": symbol, "side": if buys { "buy" } else { "sell" }, "type": "market",
            "quantity": decimal(quantity, 4),
        });
        if self.dice.one_in(2) {
            body["type"] = json!("limit");
            body["limit_price"] = json!(decimal(if buys { price + price / 500 } else { price - price / 500 }, 2));
        }
        self.planned.push_back(Act::Place { order, trade, body });
        order
    }

    fn report(&mut self, order: usize, trade: Option<usize>, body: Value) {
        self.planned.push_back(Act::Report { order, trade, body });
    }

    /// Fills an order in up to three parts, the last of them perhaps not. The price of all parts is the same, so that their
    /// mean needs no rounding.
    fn fill(&mut self, order: usize, quantity: i64, price: i64, whole: bool) -> (i64, i64) {
        let average = (price + price * self.dice.between(-5, 5) / 10_000).max(1);
        let mut filled = 0;
        for _ in 0..self.dice.below(3) {
            let more = self.dice.between(1, (quantity - filled) / 2);
            if filled + more >= quantity || more <= 0 {
                break;
            }
            filled += more;
            self.report(order, None, filling("partially_filled", filled, average));
        }
        if whole {
            filled = quantity;
            self.report(order, None, filling("filled", filled, average));
        }
        (filled, average)
    }

    fn snapshot(&mut self) {
        let mut unrealized = 0;
        let mut fees = 0;
        let mut positions = Vec::new();
        for position in &self.open {
            unrealized += profit(position, self.prices[position.market]);
            fees += position.fees;
            positions.push(json!({
                "symbol": SYMBOLS[position.market].0, "side": if position.long { "long" } else { "short" },
                "quantity": decimal(position.quantity, 4), "entry_price": decimal(position.entry, 2),
            }));
        }
        let cash = CAPITAL + self.earned - fees;
        self.planned.push_back(Act::Snapshot(json!({
            "equity": decimal(cash + unrealized, 6), "cash": decimal(cash, 6),
            "unrealized_profit": decimal(unrealized, 6), "positions": positions,
        })));
    }
}

impl Iterator for Market {
    type Item = Act;

    fn next(&mut self) -> Option<Act> {
        loop {
            if let Some(act) = self.planned.pop_front() {
                return Some(act);
            }
            self.plan();
        }
    }
}

fn filling(status: &str, filled: i64, average: i64) -> Value {
    json!({
        "status": status, "filled_quantity": decimal(filled, 4), "average_price": decimal(average, 2),
        "fees": decimal(fee(filled, average), 6),
    })
}

/// A thousandth of what was exchanged, in millionths.
fn fee(quantity: i64, price: i64) -> i64 {
    quantity * price / 1000
}

/// In millionths, before fees.
fn profit(position: &Position, price: i64) -> i64 {
    let difference = if position.long { price - position.entry } else { position.entry - price };
    difference * position.quantity
}

/// A whole number of the smallest unit, written with this many decimal places.
fn decimal(value: i64, places: u32) -> String {
    let unit = 10_u64.pow(places);
    let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    let width = usize::try_from(places).unwrap_or(0);
    format!("{sign}{}.{:0width$}", value / unit, value % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_plays_the_same_day_and_another_one_another() {
        let day = |seed| Market::new(seed).take(500).collect::<Vec<_>>();
        assert_eq!(day(7), day(7));
        assert_ne!(day(7), day(8));
    }

    #[test]
    fn a_day_has_something_of_everything() {
        let day: Vec<_> = Market::new(7).take(2000).collect();
        let with = |status: &str| {
            let reports = day.iter().filter(|act| matches!(act, Act::Report { body, .. } if body["status"] == status));
            reports.count()
        };
        for status in ["partially_filled", "filled", "cancelled", "rejected"] {
            assert!(with(status) > 3, "{status}");
        }
        let secrets =
            day.iter().filter(|act| matches!(act, Act::Decide(event) if event["payload"]["venue"].is_object()));
        assert!(secrets.count() > 10);
        assert!(day.iter().filter(|act| matches!(act, Act::Close { .. })).count() > 30);
        assert!(day.iter().filter(|act| matches!(act, Act::Snapshot(_))).count() > 10);
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(6_412_050, 2), "64120.50");
        assert_eq!(decimal(-5, 6), "-0.000005");
        assert_eq!(decimal(0, 4), "0.0000");
    }
}
