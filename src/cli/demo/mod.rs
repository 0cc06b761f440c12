//! `rowcast demo`: plays a market against a server, through the same doors as an engine that trades.

mod market;

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use clap::ArgMatches;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior};
use uuid::Uuid;

use self::market::{Act, Market};
use super::{Failure, development, output};
use crate::auth::Role;
use crate::auth::token::Mint;
use crate::client::{Api, Connector, Endpoint, Error, Tokens};
use crate::clock::Clock;
use crate::config::{Secret, Source};
use crate::shutdown;

/// The life of a token that this command mints for itself; every request has a new one.
const TTL: Duration = Duration::from_secs(300);
/// Whose such a token is.
const SUBJECT: &str = "rowcast-demo";
/// How long to wait before a request that could not be answered is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often that is done.
const TRIES: u32 = 30;

/// Plays until the events are used up, or a signal comes.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let stop = shutdown::signals()?;
    let endpoint = development::endpoint(source, args)?;
    let authorities = args.get_one::<PathBuf>("ca-file").map(PathBuf::as_path);
    let connector = Connector::new(endpoint, authorities).map_err(|error| Failure::Said(error.to_string()))?;
    let rate = args.get_one::<u32>("rate").copied().unwrap_or(2);
    let seed = args.get_one::<u64>("seed").copied();
    let mut player = Player::new(Api::new(connector, tokens(source, args)?), seed, rate);
    let events = args.get_one::<u64>("events").copied();
    let mut stop = pin!(stop);
    let played = tokio::select! {
        played = player.play(events) => played,
        _ = &mut stop => Ok(()),
    };
    output::tell(&format!("played {} events", player.done));
    played
}

/// A token that was given, or one that is minted with the secret for each request.
fn tokens(source: &Source, args: &ArgMatches) -> Result<Tokens, Failure> {
    let given = args.get_one::<String>("token").cloned().or_else(|| std::env::var("ROWCAST_TOKEN").ok());
    if let Some(token) = given.filter(|token| !token.is_empty()) {
        return Ok(Tokens::fixed(Secret::new(token.trim())));
    }
    let Some(secret) = source.jwt_secret()? else {
        let line = "no token: give --token or ROWCAST_TOKEN, or ROWCAST_JWT_SECRET to mint one with";
        return Err(Failure::Usage(line.to_owned()));
    };
    minted(source, secret)
}

/// Tokens of an engine.
fn minted(source: &Source, secret: Secret) -> Result<Tokens, Failure> {
    let (issuer, audience) = source.issuer_and_audience()?;
    let mint = move || {
        let (issuer, audience) = (issuer.as_deref(), audience.as_deref());
        Mint { subject: SUBJECT, role: Role::Engine, ttl: TTL, issuer, audience }.sign(&secret, &Clock::system())
    };
    mint()?;
    Ok(Tokens::from_source(move || mint().ok()))
}

/// Plays beside a server of this process for as long as that serves; a failure is told, and no reason for the server to end.
pub(super) async fn beside(source: &Source, secret: Secret, url: &str) {
    let prepared = || -> Result<Player, Failure> {
        let said = |error: &dyn std::fmt::Display| Failure::Said(error.to_string());
        let endpoint: Endpoint = url.parse().map_err(|error| said(&error))?;
        let connector = Connector::new(endpoint, None).map_err(|error| said(&error))?;
        Ok(Player::new(Api::new(connector, minted(source, secret)?), None, 2))
    };
    let played = match prepared() {
        Ok(mut player) => player.play(None).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = played {
        output::complain(&format!("the demo has ended: {failure}"));
    }
    std::future::pending().await
}

/// Somebody who does what the market says, step by step.
struct Player {
    api: Api,
    market: Market,
    /// Begins the names of the orders and trades of this run, so that the same seed may be played twice.
    run: String,
    orders: Vec<String>,
    trades: Vec<String>,
    rate: Interval,
    done: u64,
}

impl Player {
    fn new(api: Api, seed: Option<u64>, rate: u32) -> Self {
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

    async fn play(&mut self, events: Option<u64>) -> Result<(), Failure> {
        while events.is_none_or(|events| self.done < events) {
            let Some(act) = self.market.next() else { break };
            self.rate.tick().await;
            self.act(act).await?;
            self.done += 1;
        }
        Ok(())
    }

    async fn act(&mut self, act: Act) -> Result<(), Failure> {
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
    async fn send(&mut self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
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

fn refused(method: &str, path: &str, error: &Error) -> Failure {
    Failure::Said(format!("{method} {path}: {error}"))
}

fn id(made: &Value) -> Result<String, Failure> {
    let id = made.get("id").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| Failure::Said("the server has answered without an id".to_owned()))
}

fn known(ids: &[String], number: usize) -> Result<&str, Failure> {
    ids.get(number).map(String::as_str).ok_or_else(|| Failure::Said(format!("number {number} was never made")))
}
