//! The bodies of requests: one JSON object each, with the fields that the route knows and no others.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::application::{ApplicationError, names_a_field};
use crate::refusals::{INVALID_ORDER, INVALID_SETTING, INVALID_SNAPSHOT, INVALID_TRADE, Refusal, sentence};
use crate::trading::amount::Amount;
use crate::trading::orders::{NewOrder, OrderReport};
use crate::trading::snapshots::NewSnapshot;
use crate::trading::trades::{Closing, NewTrade};
use crate::view::redact::REDACTED;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TradeBody {
    client_order_id: Option<String>,
    symbol: String,
    side: String,
    quantity: String,
    entry_price: String,
    fees: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClosingBody {
    exit_price: String,
    fees: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    client_order_id: String,
    trade_id: Option<String>,
    symbol: String,
    side: String,
    r#type: String,
    quantity: String,
    limit_price: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportBody {
    trade_id: Option<String>,
    status: Option<String>,
    filled_quantity: Option<String>,
    average_price: Option<String>,
    fees: Option<String>,
    reject_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotBody {
    equity: String,
    cash: String,
    unrealized_profit: Option<String>,
    positions: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingBody {
    value: Box<RawValue>,
    #[serde(default, deserialize_with = "whole")]
    version: Option<i32>,
}

/// Reads a whole number from 0 on, in any form: in JSON, 2.0 is 2.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    let exact = |number: f64| format!("{number}").parse().ok().filter(|version| *version >= 0);
    let bad = || Error::custom("a version is a whole number from 0 on");
    number.map(|number| exact(number).ok_or_else(bad)).transpose()
}

/// Reads the body of a trade to open.
pub(super) fn new_trade(body: &[u8]) -> Result<NewTrade, ApplicationError> {
    let code = INVALID_TRADE;
    let body: TradeBody = object(body, code)?;
    Ok(NewTrade {
        client_order_id: body.client_order_id,
        symbol: body.symbol,
        side: body.side,
        quantity: amount("quantity", &body.quantity, code)?,
        entry_price: amount("entry_price", &body.entry_price, code)?,
        fees: optional_amount("fees", body.fees.as_deref(), code)?,
        reason: body.reason,
    })
}

/// Reads the body that closes a trade.
pub(super) fn closing(body: &[u8]) -> Result<Closing, ApplicationError> {
    let code = INVALID_TRADE;
    let body: ClosingBody = object(body, code)?;
    Ok(Closing {
        exit_price: amount("exit_price", &body.exit_price, code)?,
        fees: optional_amount("fees", body.fees.as_deref(), code)?,
        reason: body.reason,
    })
}

/// Reads the body of an order to place.
pub(super) fn new_order(body: &[u8]) -> Result<NewOrder, ApplicationError> {
    let code = INVALID_ORDER;
    let body: OrderBody = object(body, code)?;
    Ok(NewOrder {
        client_order_id: body.client_order_id,
        trade_id: trade_id(body.trade_id.as_deref(), code)?,
        symbol: body.symbol,
        side: body.side,
        kind: body.r#type,
        quantity: amount("quantity", &body.quantity, code)?,
        limit_price: optional_amount("limit_price", body.limit_price.as_deref(), code)?,
    })
}

/// Reads the body of a report, which gives an order a new state.
pub(super) fn report(body: &[u8]) -> Result<OrderReport, ApplicationError> {
    let code = INVALID_ORDER;
    let body: ReportBody = object(body, code)?;
    let report = OrderReport {
        trade_id: trade_id(body.trade_id.as_deref(), code)?,
        status: body.status,
        filled_quantity: optional_amount("filled_quantity", body.filled_quantity.as_deref(), code)?,
        average_price: optional_amount("average_price", body.average_price.as_deref(), code)?,
        fees: optional_amount("fees", body.fees.as_deref(), code)?,
        reject_reason: body.reject_reason,
    };
    let nothing = report.trade_id.is_none()
        && report.status.is_none()
        && report.filled_quantity.is_none()
        && report.average_price.is_none()
        && report.fees.is_none()
        && report.reject_reason.is_none();
    if nothing { Err(ApplicationError::because(code, "The body changes nothing.")) } else { Ok(report) }
}

/// Reads the body of a snapshot to store.
pub(super) fn new_snapshot(body: &[u8]) -> Result<NewSnapshot, ApplicationError> {
    let code = INVALID_SNAPSHOT;
    let body: SnapshotBody = object(body, code)?;
    Ok(NewSnapshot {
        equity: amount("equity", &body.equity, code)?,
        cash: amount("cash", &body.cash, code)?,
        unrealized_profit: optional_amount("unrealized_profit", body.unrealized_profit.as_deref(), code)?,
        positions: body.positions.map(|positions| positions.get().to_owned()),
    })
}

/// Reads the value of a setting, and the version that it is meant to replace.
pub(super) fn setting(body: &[u8]) -> Result<(String, Option<i32>), ApplicationError> {
    let code = INVALID_SETTING;
    let body: SettingBody = object(body, code)?;
    let value = body.value.get();
    // A client that reads a setting, changes it and writes it back must not replace a secret by its mark.
    if value.contains(REDACTED) {
        return Err(ApplicationError::because(code, "value holds the mark of something that was hidden."));
    }
    Ok((value.to_owned(), body.version))
}

fn amount(name: &str, text: &str, code: &'static Refusal) -> Result<Amount, ApplicationError> {
    Amount::parse(text).map_err(|bad| ApplicationError::because(code, sentence(&format!("{name} {bad}"))))
}

fn optional_amount(name: &str, text: Option<&str>, code: &'static Refusal) -> Result<Option<Amount>, ApplicationError> {
    text.map(|text| amount(name, text, code)).transpose()
}

fn trade_id(text: Option<&str>, code: &'static Refusal) -> Result<Option<Uuid>, ApplicationError> {
    let parse = |text| Uuid::try_parse(text).map_err(|_| ApplicationError::because(code, "trade_id must be a UUID."));
    text.map(parse).transpose()
}

fn object<T: DeserializeOwned>(body: &[u8], code: &'static Refusal) -> Result<T, ApplicationError> {
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        return Err(ApplicationError::bad_json(&error));
    }
    // The derived function would take a list too, by the order of the fields.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApplicationError::because(code, "The body must be one JSON object."));
    }
    serde_json::from_slice(body).map_err(|error| ApplicationError::because(code, describe(&error)))
}

/// A sentence for an error of serde: the field that is unknown, missing or given twice. Other errors are told without the value,
/// which serde would repeat.
fn describe(error: &serde_json::Error) -> String {
    if let Some(said) = names_a_field(error) {
        return sentence(&said);
    }
    format!(
        "A value before column {} is not of the kind that its field needs; numbers are strings here.",
        error.column()
    )
}
