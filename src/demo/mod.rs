//! A market that plays itself, through the same doors as an engine that trades.

mod market;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior};
use uuid::Uuid;

use self::market::{Act, Market};
use crate::client::{Api, Error};

/// How long to wait before a request that could not be answered is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often that is done.
const TRIES: u32 = 30;

/// Somebody who does what the market says, step by step.
#[derive(Debug)]
pub struct Player {
    api: Api,
    market: Market,
    /// Begins the names of the orders and trades of this run, so that the same seed may be played twice.
    run: String,
    orders: Vec<String>,
    trades: Vec<String>,
    rate: Interval,
    done: u64,
}

/// The reason for which a demo cannot go on, with the request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(String);

impl Player {
    /// A player at this server, so many acts a second. The same seed plays the same market.
    pub fn new(api: Api, seed: Option<u64>, rate: u32) -> Self {
        let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap_or_default());
        let mut interval = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            api,
            market: Market::new(seed),
            run: Uuid::new_v4().simple().to_string(),
            orders: Vec::new(),
            trades: Vec::new(),
            rate: interval,
            done: 0,
        }
    }

    /// Plays so many acts, or for ever.
    pub async fn play(&mut self, events: Option<u64>) -> Result<(), DemoError> {
        while events.is_none_or(|events| self.done < events) {
            let Some(act) = self.market.next() else { break };
            self.rate.tick().await;
            self.act(act).await?;
            self.done += 1;
        }
        Ok(())
    }

    /// The number of acts that were played.
    pub fn done(&self) -> u64 {
        self.done
    }

    async fn act(&mut self, act: Act) -> Result<(), DemoError> {
        match act {
            Act::Decide(mut event) => {
                event["dedupe_key"] = json!(format!("{}-{}", self.run, self.done));
                self.send("POST", "/v1/events", &event).await?;
            }
            Act::Place { order, trade, mut body } => {
                body["client_order_id"] = json!(format!("{}-o{order}", self.run));
                self.name_trade(trade, &mut body);
                let made = self.send("POST", "/v1/orders", &body).await?;
                self.orders.push(id(&made)?);
            }
            Act::Report { order, trade, mut body } => {
                self.name_trade(trade, &mut body);
                let path = format!("/v1/orders/{}", known(&self.orders, order)?);
                self.send("PATCH", &path, &body).await?;
            }
            Act::Open { trade, mut body } => {
                body["client_order_id"] = json!(format!("{}-t{trade}", self.run));
                let made = self.send("POST", "/v1/trades", &body).await?;
                self.trades.push(id(&made)?);
            }
            Act::Close { trade, body } => {
                let path = format!("/v1/trades/{}/close", known(&self.trades, trade)?);
                self.send("POST", &path, &body).await?;
            }
            Act::Snapshot(body) => {
                self.send("POST", "/v1/snapshots", &body).await?;
            }
        }
        Ok(())
    }

    fn name_trade(&self, trade: Option<usize>, body: &mut Value) {
        if let Some(id) = trade.and_then(|trade| self.trades.get(trade)) {
            body["trade_id"] = json!(id);
        }
    }

    /// Each of these may be sent again: what was done already is the answer then. Only a snapshot would be taken twice.
    async fn send(&mut self, method: &str, path: &str, body: &Value) -> Result<Value, DemoError> {
        let mut tries = 0;
        loop {
            match self.api.send(method, path, Some(body)).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_passing() && tries < TRIES => {
                    tries += 1;
                    tracing::debug!(%error, tries, "the demo waits");
                    tokio::time::sleep(error.retry_after().unwrap_or(PAUSE)).await;
                }
                Err(error) => return Err(refused(method, path, &error)),
            }
        }
    }
}

fn refused(method: &str, path: &str, error: &Error) -> DemoError {
    DemoError(format!("{method} {path}: {error}"))
}

fn id(made: &Value) -> Result<String, DemoError> {
    let id = made.get("id").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| DemoError("the server has answered without an id".to_owned()))
}

fn known(ids: &[String], number: usize) -> Result<&str, DemoError> {
    ids.get(number).map(String::as_str).ok_or_else(|| DemoError(format!("number {number} was never made")))
}
