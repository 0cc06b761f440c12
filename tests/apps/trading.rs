//! The trading application over HTTP, and what of it reaches the stream.

mod demo;
mod order_states;
mod settings;
mod trades;
mod trading_lists;

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use serde_json::{Value, json};

use crate::support::raw_http::{Answer, request};
use crate::support::{JWT_SECRET, PATIENCE, TestDb, TestServer, migrated_database, until};

/// A server on a database of its own.
struct TradingServer {
    server: TestServer,
    db: TestDb,
}

/// A token of this role, with the role's name as its subject.
fn token(role: Role) -> String {
    let mint = Mint { subject: role.as_str(), role, ttl: PATIENCE * 20, issuer: None, audience: None };
    mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap().expose().to_owned()
}

impl TradingServer {
    async fn start() -> Self {
        let db = migrated_database().await;
        Self { server: TestServer::ready(&db.url, &[]).await, db }
    }

    async fn ask(&self, role: Role, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", token(role));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        request(self.server.address(), method, path, &headers, &body).await
    }

    /// As an engine, who expects this status.
    async fn engine(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let answer = self.ask(Role::Engine, method, path, &body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.body);
        answer.json()
    }

    async fn get(&self, path: &str) -> Value {
        self.engine("GET", path, Value::Null, 200).await
    }

    /// Every page of a list, and that none repeats another.
    async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                self.get(&format!("{path}{}limit=100{cursor}", if path.contains('?') { '&' } else { '?' })).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            if page["more"] == json!(false) {
                return items;
            }
            cursor = format!("&cursor={}", page["cursor"].as_str().unwrap());
        }
    }

    /// The whole stream from the earliest event, as a private reader sees it, when all that is committed has come.
    async fn stream(&self) -> Vec<Value> {
        let client = self.db.client().await;
        let count: i64 = client.query_one("select count(*) from rowcast.events", &[]).await.unwrap().get(0);
        let count = usize::try_from(count).unwrap();
        until("the head is there", || async { self.events().await.len() >= count }).await;
        self.events().await
    }

    async fn events(&self) -> Vec<Value> {
        let (mut events, mut cursor) = (Vec::new(), "earliest".to_owned());
        loop {
            let page = self.get(&format!("/v1/events?limit=1000&cursor={cursor}")).await;
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            if page["more"] == json!(false) {
                return events;
            }
            cursor = page["cursor"].as_str().unwrap().to_owned();
        }
    }

    /// The types of the stream, in order.
    async fn types(&self) -> Vec<String> {
        self.stream().await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    async fn close(self) {
        self.server.stop().await.unwrap();
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// A trade as most tests open it.
fn trade() -> Value {
    json!({"symbol": "BTC-USD", "side": "long", "quantity": "2.5", "entry_price": "100.10", "fees": "1.00", "reason": "why not"})
}

fn order(name: &str) -> Value {
    json!({"client_order_id": name, "symbol": "BTC-USD", "side": "buy", "type": "market", "quantity": "10"})
}
