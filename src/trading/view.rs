//! The documents of the trading application: the only types here that serialize. Secrets are hidden as in events: in all texts, in the
//! positions of a snapshot, and in settings, by their key and by their content.

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::orders::Order;
use super::settings::{PastSetting, Setting};
use super::snapshots::Snapshot;
use super::trades::Trade;
use crate::db::Timestamp;
use crate::view::{Document, Redaction, instant};

/// Writes a point in time, or null.
fn optional_instant<S: serde::Serializer>(at: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => instant(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[derive(Serialize)]
struct PrivateTrade<'a> {
    id: Uuid,
    client_order_id: Option<&'a str>,
    symbol: &'a str,
    side: &'a str,
    status: &'a str,
    quantity: &'a str,
    entry_price: &'a str,
    exit_price: Option<&'a str>,
    fees: &'a str,
    profit: Option<&'a str>,
    reason: Option<&'a str>,
    close_reason: Option<&'a str>,
    opened_by: Option<&'a str>,
    #[serde(serialize_with = "instant")]
    opened_at: OffsetDateTime,
    #[serde(serialize_with = "optional_instant")]
    closed_at: Option<OffsetDateTime>,
}

/// The public fields of a trade: not its quantity, fees, profit or reasons. `docs/03_API_SPEC.md` says why each is public.
#[derive(Serialize)]
struct PublicTrade<'a> {
    symbol: &'a str,
    side: &'a str,
    status: &'a str,
    entry_price: &'a str,
    exit_price: Option<&'a str>,
    #[serde(serialize_with = "instant")]
    opened_at: OffsetDateTime,
    #[serde(serialize_with = "optional_instant")]
    closed_at: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct PrivateOrder<'a> {
    id: Uuid,
    client_order_id: &'a str,
    trade_id: Option<Uuid>,
    symbol: &'a str,
    side: &'a str,
    r#type: &'a str,
    status: &'a str,
    quantity: &'a str,
    limit_price: Option<&'a str>,
    filled_quantity: &'a str,
    average_price: Option<&'a str>,
    fees: &'a str,
    reject_reason: Option<&'a str>,
    placed_by: Option<&'a str>,
    #[serde(serialize_with = "instant")]
    created_at: OffsetDateTime,
    #[serde(serialize_with = "instant")]
    updated_at: OffsetDateTime,
}

#[derive(Serialize)]
struct PrivateSnapshot<'a> {
    id: Uuid,
    #[serde(serialize_with = "instant")]
    taken_at: OffsetDateTime,
    equity: &'a str,
    cash: &'a str,
    unrealized_profit: &'a str,
    positions: Option<&'a RawValue>,
    taken_by: Option<&'a str>,
}

/// The public fields of a snapshot: a point of the equity curve, not its parts.
#[derive(Serialize)]
struct PublicSnapshot<'a> {
    #[serde(serialize_with = "instant")]
    taken_at: OffsetDateTime,
    equity: &'a str,
}

#[derive(Serialize)]
struct ShownSetting<'a> {
    key: &'a str,
    value: Option<&'a RawValue>,
    version: i32,
    #[serde(serialize_with = "instant")]
    updated_at: OffsetDateTime,
    updated_by: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownPast<'a> {
    key: &'a str,
    /// Null if the setting was removed; `removed` is then true.
    value: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    version: i32,
    #[serde(serialize_with = "instant")]
    changed_at: OffsetDateTime,
    changed_by: Option<&'a str>,
}

/// A row with a document for clients with a token.
pub(super) trait Private {
    /// Its document.
    fn private(&self, redaction: &Redaction) -> Document;
}

/// A row with a document for everyone.
pub(super) trait Public {
    /// Its document, with the listed fields alone.
    fn public(&self, redaction: &Redaction) -> Document;
}

/// JSON to send as it is; `None` for a text that is not JSON.
fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

impl Private for Trade {
    fn private(&self, redaction: &Redaction) -> Document {
        let shape = PrivateTrade {
            id: self.id,
            client_order_id: self.client_order_id.as_deref(),
            symbol: &self.symbol,
            side: &self.side,
            status: &self.status,
            quantity: &self.quantity,
            entry_price: &self.entry_price,
            exit_price: self.exit_price.as_deref(),
            fees: &self.fees,
            profit: self.profit.as_deref(),
            reason: self.reason.as_deref(),
            close_reason: self.close_reason.as_deref(),
            opened_by: self.opened_by.as_deref(),
            opened_at: self.opened_at.shown(),
            closed_at: self.closed_at.map(Timestamp::shown),
        };
        Document::of(&shape, redaction)
    }
}

impl Public for Trade {
    fn public(&self, redaction: &Redaction) -> Document {
        let shape = PublicTrade {
            symbol: &self.symbol,
            side: &self.side,
            status: &self.status,
            entry_price: &self.entry_price,
            exit_price: self.exit_price.as_deref(),
            opened_at: self.opened_at.shown(),
            closed_at: self.closed_at.map(Timestamp::shown),
        };
        Document::of(&shape, redaction)
    }
}

impl Private for Order {
    fn private(&self, redaction: &Redaction) -> Document {
        let shape = PrivateOrder {
            id: self.id,
            client_order_id: &self.client_order_id,
            trade_id: self.trade_id,
            symbol: &self.symbol,
            side: &self.side,
            r#type: &self.kind,
            status: &self.status,
            quantity: &self.quantity,
            limit_price: self.limit_price.as_deref(),
            filled_quantity: &self.filled_quantity,
            average_price: self.average_price.as_deref(),
            fees: &self.fees,
            reject_reason: self.reject_reason.as_deref(),
            placed_by: self.placed_by.as_deref(),
            created_at: self.created_at.shown(),
            updated_at: self.updated_at.shown(),
        };
        Document::of(&shape, redaction)
    }
}

impl Private for Snapshot {
    fn private(&self, redaction: &Redaction) -> Document {
        let shape = PrivateSnapshot {
            id: self.id,
            taken_at: self.taken_at.shown(),
            equity: &self.equity,
            cash: &self.cash,
            unrealized_profit: &self.unrealized_profit,
            positions: raw(&self.positions),
            taken_by: self.taken_by.as_deref(),
        };
        Document::of(&shape, redaction)
    }
}

impl Public for Snapshot {
    fn public(&self, redaction: &Redaction) -> Document {
        Document::of(&PublicSnapshot { taken_at: self.taken_at.shown(), equity: &self.equity }, redaction)
    }
}

/// The value of a setting without its secrets, which its key may tell too.
fn setting_value(key: &str, value: &str, redaction: &Redaction) -> String {
    redaction.json_under(key, value).into_owned()
}

impl Private for Setting {
    fn private(&self, redaction: &Redaction) -> Document {
        let value = setting_value(&self.key, &self.value, redaction);
        let shape = ShownSetting {
            key: &self.key,
            value: raw(&value),
            version: self.version,
            updated_at: self.updated_at.shown(),
            updated_by: self.updated_by.as_deref(),
        };
        Document::of(&shape, redaction)
    }
}

impl Private for PastSetting {
    fn private(&self, redaction: &Redaction) -> Document {
        let value = self.value.as_deref().map(|value| setting_value(&self.key, value, redaction));
        let shape = ShownPast {
            key: &self.key,
            value: value.as_deref().and_then(raw),
            removed: self.value.is_none(),
            version: self.version,
            changed_at: self.changed_at.shown(),
            changed_by: self.changed_by.as_deref(),
        };
        Document::of(&shape, redaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_hidden_by_its_key_and_by_what_is_in_it() {
        let shown = |key: &str, value: &str| {
            let setting = Setting {
                key: key.to_owned(),
                value: value.to_owned(),
                version: 3,
                updated_at: OffsetDateTime::UNIX_EPOCH.into(),
                updated_by: Some("ann".to_owned()),
            };
            String::from(setting.private(&Redaction::default()))
        };
        let with = |key: &str, value: &str| {
            format!(
                r#"{{"key":"{key}","value":{value},"version":3,"updated_at":"1970-01-01T00:00:00.000000Z","updated_by":"ann"}}"#
            )
        };
        assert_eq!(shown("risk.limit", "1.50"), with("risk.limit", "1.50"));
        assert_eq!(shown("exchange.api_key", "\"abc\""), with("exchange.api_key", "\"[redacted]\""));
        assert_eq!(shown("exchange.api_key", "null"), with("exchange.api_key", "null"));
        assert_eq!(shown("exchange", r#"{"secret":"x","n":2}"#), with("exchange", r#"{"secret":"[redacted]","n":2}"#));
        // A number is no secret, whatever it is called.
        assert_eq!(shown("bot.token", "812"), with("bot.token", "812"));
        assert_eq!(shown("base_token", "\"ETH\""), with("base_token", "\"ETH\""));
        assert_eq!(shown("url", r#""postgres://a:b@c/d""#), with("url", "\"[redacted]\""));
    }
}
