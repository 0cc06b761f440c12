//! What a server answers is what the document says of the answer.

use rowcast::auth::Role;
use serde_json::json;

use super::{Document, NOBODY, ask, bearer};
use crate::support::raw_http::{Answer, request};
use crate::support::{TestDb, TestServer, migrated_database, until};

const ENGINE: Option<Role> = Some(Role::Engine);
const ADMIN: Option<Role> = Some(Role::Admin);

/// A server, and the document that describes it.
struct DescribedServer {
    document: Document,
    server: TestServer,
    // Dropped last, when nobody uses it any more.
    _db: TestDb,
}

impl DescribedServer {
    async fn start() -> Self {
        let db = migrated_database().await;
        let server = TestServer::ready(&db.url, &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
        Self { document: Document::load(), server, _db: db }
    }

    /// The answer has this status, and is as the document describes it.
    async fn hold(
        &self,
        role: Option<Role>,
        method: &str,
        path: &str,
        address: &str,
        body: &str,
        status: u16,
    ) -> Answer {
        let answer = ask(&self.server, role, method, address, body).await;
        assert_eq!(answer.status, status, "{method} {address} {body}: {}", answer.body);
        self.document.hold(method, path, &answer);
        answer
    }

    /// The body of this name among the examples of an operation.
    fn example(&self, operation: &str, name: &str) -> String {
        let found = self.document.operations().find(|(_, _, o)| o["operationId"] == operation).unwrap().2;
        found["requestBody"]["content"]["application/json"]["examples"][name]["value"].to_string()
    }

    async fn end(self) {
        self.server.stop().await.unwrap();
    }
}

/// The text at a pointer of a JSON answer.
fn id(answer: &Answer, pointer: &str) -> String {
    answer.json().pointer(pointer).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn answers_about_the_server_are_as_they_are_described() {
    let served = DescribedServer::start().await;
    for path in [
        "/health/live",
        "/health/ready",
        "/health/db",
        "/metrics",
        "/openapi.json",
        "/",
        "/client.js",
        "/client.d.ts",
        "/react.js",
    ] {
        served.hold(None, "GET", path, path, "", 200).await;
    }
    served.hold(ENGINE, "GET", "/v1/me", "/v1/me", "", 200).await;
    served.end().await;
}

#[tokio::test]
async fn answers_of_the_routes_for_events_are_as_they_are_described() {
    let served = DescribedServer::start().await;
    let event = r#"{"type":"note.added","symbol":"S","subject":"s","trade_id":"4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10"}"#;
    served.hold(ENGINE, "POST", "/v1/events", "/v1/events", event, 201).await;
    served.hold(ENGINE, "POST", "/v1/events", "/v1/events", &format!("[{event},{event}]"), 201).await;
    served.hold(ENGINE, "POST", "/v1/events", "/v1/events", r#"{"type":"Bad"}"#, 422).await;
    served.hold(ENGINE, "POST", "/v1/events", "/v1/events", "{", 400).await;
    until("the events are there", || async {
        ask(&served.server, ENGINE, "GET", "/v1/events?cursor=0", "").await.json()["events"].as_array().unwrap().len()
            == 3
    })
    .await;
    let sent = [("authorization", &*bearer(Role::Engine)), ("content-type", "text/plain")];
    served.document.hold(
        "POST",
        "/v1/events",
        &request(served.server.address(), "POST", "/v1/events", &sent, b"x").await,
    );
    let large = [sent[0], ("content-length", "2000000")];
    served.document.hold(
        "POST",
        "/v1/events",
        &request(served.server.address(), "POST", "/v1/events", &large, b"").await,
    );
    served.hold(ENGINE, "GET", "/v1/events", "/v1/events?cursor=0", "", 200).await;
    served.hold(ENGINE, "GET", "/v1/events", "/v1/events?cursor=99999", "", 400).await;
    served.hold(ENGINE, "GET", "/v1/events/stream", "/v1/events/stream?last=2", "", 200).await;
    served.hold(None, "GET", "/public/v1/events", "/public/v1/events?cursor=0", "", 200).await;
    served.hold(None, "GET", "/public/v1/events/stream", "/public/v1/events/stream?limit=1", "", 400).await;
    served.hold(None, "GET", "/public/ws", "/public/ws", "", 426).await;
    served.hold(None, "GET", "/ws", "/ws", "", 426).await;
    served.end().await;
}

#[tokio::test]
async fn answers_of_the_trading_routes_are_as_they_are_described() {
    let served = DescribedServer::start().await;
    let trade =
        served.hold(ENGINE, "POST", "/v1/trades", "/v1/trades", &served.example("openTrade", "long"), 201).await;
    served.hold(ENGINE, "POST", "/v1/trades", "/v1/trades", &served.example("openTrade", "long"), 200).await;
    served.hold(ENGINE, "POST", "/v1/trades", "/v1/trades", "[]", 422).await;
    let address = format!("/v1/trades/{}", id(&trade, "/id"));
    served.hold(ENGINE, "GET", "/v1/trades/{id}", &address, "", 200).await;
    let (path, close) = ("/v1/trades/{id}/close", format!("{address}/close"));
    served.hold(ENGINE, "POST", path, &close, &served.example("closeTrade", "target"), 200).await;
    served.hold(ENGINE, "POST", path, &close, r#"{"exit_price":"1"}"#, 409).await;
    served.hold(ENGINE, "GET", "/v1/trades/{id}", &format!("/v1/trades/{NOBODY}"), "", 404).await;
    // What an address says of 405 stands with the methods that it has.
    served.document.hold("GET", "/v1/trades/{id}", &ask(&served.server, ENGINE, "DELETE", &address, "").await);
    let order =
        served.hold(ENGINE, "POST", "/v1/orders", "/v1/orders", &served.example("placeOrder", "limit"), 201).await;
    let address = format!("/v1/orders/{}", id(&order, "/id"));
    served.hold(ENGINE, "PATCH", "/v1/orders/{id}", &address, &served.example("reportOrder", "filled"), 200).await;
    served.hold(ENGINE, "PATCH", "/v1/orders/{id}", &address, &served.example("reportOrder", "cancelled"), 409).await;
    served
        .hold(ENGINE, "POST", "/v1/snapshots", "/v1/snapshots", &served.example("takeSnapshot", "account"), 201)
        .await;
    served
        .hold(ADMIN, "PUT", "/v1/config/{key}", "/v1/config/risk.limit", &served.example("putSetting", "number"), 201)
        .await;
    served
        .hold(ADMIN, "PUT", "/v1/config/{key}", "/v1/config/risk.limit", &served.example("putSetting", "first"), 200)
        .await;
    for path in ["/v1/trades", "/v1/orders", "/v1/snapshots", "/v1/config"] {
        served.hold(ENGINE, "GET", path, path, "", 200).await;
        served.hold(ENGINE, "GET", path, &format!("{path}?nonsense=1"), "", 400).await;
    }
    served.hold(ENGINE, "GET", "/v1/config", "/v1/config?history=true", "", 200).await;
    served.hold(None, "GET", "/public/v1/trades", "/public/v1/trades", "", 200).await;
    served.hold(None, "GET", "/public/v1/snapshots", "/public/v1/snapshots", "", 200).await;
    served.end().await;
}

#[tokio::test]
async fn answers_of_the_chat_and_of_revocations_are_as_they_are_described() {
    let served = DescribedServer::start().await;
    let said = served.hold(ADMIN, "POST", "/v1/chat", "/v1/chat", &served.example("say", "hello"), 201).await;
    served.hold(ADMIN, "POST", "/v1/chat", "/v1/chat", r#"{"text":""}"#, 422).await;
    let conversation = id(&said, "/conversation/id");
    let path = "/v1/conversations/{id}/utterances";
    served.hold(ADMIN, "GET", path, &path.replace("{id}", &conversation), "", 200).await;
    let path = "/v1/conversations/{id}/close";
    served.hold(ADMIN, "POST", path, &path.replace("{id}", &conversation), "", 200).await;
    let there = json!({"text": "Hello", "conversation": conversation}).to_string();
    served.hold(ADMIN, "POST", "/v1/chat", "/v1/chat", &there, 409).await;
    served.hold(ADMIN, "GET", "/v1/conversations", "/v1/conversations", "", 200).await;
    served.hold(ADMIN, "POST", "/v1/revocations", "/v1/revocations", &served.example("revoke", "subject"), 201).await;
    served.hold(ADMIN, "GET", "/v1/revocations", "/v1/revocations", "", 200).await;
    served.end().await;
}
