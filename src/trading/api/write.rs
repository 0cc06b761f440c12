//! The endpoints that write.

use tokio_postgres::Client;
use uuid::Uuid;

use super::body;
use super::refused::refused;
use crate::application::{Answer, Answered, Tables};
use crate::db::Lane;
use crate::refusals::{INVALID_ORDER, INVALID_SETTING, INVALID_SNAPSHOT, INVALID_TRADE};
use crate::trading::view::Private;
use crate::trading::{Creation, orders, settings, snapshots, trades};
use crate::view::Document;

/// `POST /v1/trades`
pub(super) async fn open_trade(tables: &Tables, by: &str, body: &[u8]) -> Answered {
    let new = body::new_trade(body)?;
    let work = async |client: &mut Client| trades::open(client, by, &new).await;
    let (trade, made) = tables.run(Lane::Write, |error| refused(error, INVALID_TRADE), work).await?;
    Ok(answer(trade.private(tables.redaction()), made))
}

/// `POST /v1/trades/{id}/close`
pub(super) async fn close_trade(tables: &Tables, id: Uuid, body: &[u8]) -> Answered {
    let closing = body::closing(body)?;
    let work = async |client: &mut Client| trades::close(client, id, &closing).await;
    let trade = tables.run(Lane::Write, |error| refused(error, INVALID_TRADE), work).await?;
    Ok(Answer::ok(trade.private(tables.redaction())))
}

/// `POST /v1/orders`
pub(super) async fn place_order(tables: &Tables, by: &str, body: &[u8]) -> Answered {
    let new = body::new_order(body)?;
    let work = async |client: &mut Client| orders::place(client, by, &new).await;
    let (order, made) = tables.run(Lane::Write, |error| refused(error, INVALID_ORDER), work).await?;
    Ok(answer(order.private(tables.redaction()), made))
}

/// `PATCH /v1/orders/{id}`
pub(super) async fn report_order(tables: &Tables, id: Uuid, body: &[u8]) -> Answered {
    let report = body::report(body)?;
    let work = async |client: &mut Client| orders::report(client, id, &report).await;
    let order = tables.run(Lane::Write, |error| refused(error, INVALID_ORDER), work).await?;
    Ok(Answer::ok(order.private(tables.redaction())))
}

/// `POST /v1/snapshots`
pub(super) async fn take_snapshot(tables: &Tables, by: &str, body: &[u8]) -> Answered {
    let new = body::new_snapshot(body)?;
    let work = async |client: &mut Client| snapshots::take(client, by, &new).await;
    let snapshot = tables.run(Lane::Write, |error| refused(error, INVALID_SNAPSHOT), work).await?;
    Ok(Answer::created(snapshot.private(tables.redaction())))
}

/// `PUT /v1/config/{key}`
pub(super) async fn put_setting(tables: &Tables, by: &str, key: &str, body: &[u8]) -> Answered {
    let (value, version) = body::setting(body)?;
    let work = async |client: &mut Client| settings::put(client, by, key, &value, version).await;
    let (setting, made) = tables.run(Lane::Write, |error| refused(error, INVALID_SETTING), work).await?;
    Ok(answer(setting.private(tables.redaction()), made))
}

/// The answer to a creation: 201 if this request has made the row, 200 if it was there.
fn answer(document: Document, made: Creation) -> Answer {
    match made {
        Creation::New => Answer::created(document),
        Creation::Existing => Answer::ok(document),
    }
}
