//! `/openapi.json`: what it says is well formed and true. That it names every route is tested where the routes are
//! (`src/http/routes.rs`); `scripts/fuzz` holds a server to it with requests that nobody has thought of.

mod described_answers;
mod examples;

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use serde_json::{Value, json};

use crate::support::raw_http::{Answer, request};
use crate::support::{JWT_SECRET, NO_LIMITS, PATIENCE, TestServer, migrated_database};

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

struct Document(Value);

impl Document {
    fn load() -> Self {
        Self(serde_json::from_str(&text()).unwrap())
    }

    /// The same, or what it refers to.
    fn follow<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).expect(reference),
            None => value,
        }
    }

    /// Path, method and operation of everything that can be asked.
    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.0["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// What is wrong with an instance of a schema, formats included.
    fn wrong(&self, schema: &Value, instance: &Value) -> Option<String> {
        let mut whole = schema.clone();
        whole["components"] = self.0["components"].clone();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.enable_content_assertions();
        compiler.add_resource("http://localhost/schema.json", whole).unwrap();
        let compiled = compiler.compile("http://localhost/schema.json", &mut schemas).unwrap();
        schemas.validate(instance, compiled).err().map(|error| error.to_string())
    }

    /// Holds an answer to what is said of it: status, headers, content.
    fn hold(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path} {}: {}", answer.status, answer.body);
        let operation = &self.0["paths"][path][method.to_ascii_lowercase()];
        let response = &operation["responses"][answer.status.to_string()];
        assert!(!response.is_null(), "{what} is not described");
        let response = self.follow(response);
        for (name, header) in response["headers"].as_object().unwrap() {
            let header = self.follow(header);
            match answer.headers.get(&name.to_ascii_lowercase()) {
                Some(value) => {
                    let number = header["schema"]["type"] == "integer";
                    let value = if number { json!(value.parse::<i64>().unwrap()) } else { json!(value) };
                    assert_eq!(self.wrong(&header["schema"], &value), None, "{what}, header {name}");
                }
                None => assert_ne!(header["required"], json!(true), "{what}: no {name}"),
            }
        }
        let kind = answer.headers.get("content-type").map(|kind| kind.split(';').next().unwrap());
        assert_eq!(response.get("content").is_some(), kind.is_some(), "{what}");
        let Some(kind) = kind else { return };
        let content = &response["content"][kind];
        assert!(!content.is_null(), "{what}: {kind} is not described");
        if kind.ends_with("json") {
            assert_eq!(self.wrong(&content["schema"], &answer.json()), None, "{what}");
        }
    }
}

fn text() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap()
}

/// Goes to every value of the document.
fn walk(value: &Value, place: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(place, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, one)| walk(one, &format!("{place}/{name}"), visit)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, one)| walk(one, &format!("{place}/{n}"), visit)),
        _ => {}
    }
}

#[test]
fn every_example_is_valid_and_every_body_has_one() {
    let document = Document::load();
    let mut examples = 0;
    walk(&document.0, "", &mut |place, value| {
        let Some(schema) = value.get("schema").filter(|schema| schema.is_object()) else { return };
        let named = value["examples"].as_object().into_iter().flat_map(|all| all.values().map(|one| &one["value"]));
        let all: Vec<&Value> = value.get("example").into_iter().chain(named).collect();
        assert!(!all.is_empty() || !place.contains("/content/"), "{place} has no example");
        for example in all {
            assert_eq!(document.wrong(schema, example), None, "{place}: {example}");
            examples += 1;
        }
    });
    assert!(examples > 50, "{examples}");
}

#[test]
fn what_is_referred_to_is_there_and_all_of_it_is_referred_to() {
    let document = Document::load();
    let mut referred = BTreeSet::from(["#/components/securitySchemes/bearer".to_owned()]);
    walk(&document.0, "", &mut |place, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.0.pointer(reference.trim_start_matches('#')).is_some(), "{place}: {reference}");
            referred.insert(reference.to_owned());
        }
    });
    let mut there = BTreeSet::new();
    for (kind, components) in document.0["components"].as_object().unwrap() {
        there.extend(components.as_object().unwrap().keys().map(|name| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(there.difference(&referred).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn operations_have_names_of_their_own_and_all_that_can_go_wrong() {
    let document = Document::load();
    let mut names = BTreeSet::new();
    for (path, method, operation) in document.operations() {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{method} {path}");
        let mut needed = vec!["405", "500"];
        if operation["security"] != json!([]) {
            needed.extend(["400", "401", "403", "429", "503"]);
        }
        if operation.get("requestBody").is_some() {
            needed.extend(["408", "413", "415", "422"]);
        }
        if operation["parameters"].as_array().is_some_and(|all| !all.is_empty()) {
            needed.push("400");
        }
        for status in needed {
            assert!(operation["responses"].get(status).is_some(), "{method} {path} says nothing of {status}");
        }
    }
}

/// The tables of `docs/03_API_SPEC.md` and the document know the same codes.
#[test]
fn the_codes_are_those_of_the_interface() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/03_API_SPEC.md")).unwrap();
    let tables = page.split("| code | status | when |").skip(1);
    let rows = tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap().to_owned()).collect::<Vec<_>>();
    let said: BTreeSet<&str> = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let document = Document::load();
    let codes = document.0.pointer("/components/schemas/Problem/properties/code/enum").unwrap();
    let described: BTreeSet<&str> = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(described, said);
}

fn bearer(role: Role) -> String {
    let mint = Mint { subject: role.as_str(), role, ttl: PATIENCE * 20, issuer: None, audience: None };
    format!("Bearer {}", mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap().expose())
}

async fn ask(server: &TestServer, role: Option<Role>, method: &str, path: &str, body: &str) -> Answer {
    let token = role.map(bearer);
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(token.as_deref().map(|token| ("authorization", token)));
    request(server.address(), method, path, &headers, body.as_bytes()).await
}

#[tokio::test]
async fn what_is_served_is_the_document() {
    let server = TestServer::start("postgres://nobody@127.0.0.1:1/nothing", &[]).await;
    let answer = server.get("/openapi.json").await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "application/json"));
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    assert_eq!(answer.body, text());
    let head = request(server.address(), "HEAD", "/openapi.json", &[], b"").await;
    assert_eq!(head.body, "");
    assert_eq!(server.get("/openapi.json?token=x").await.status, 400);
    server.stop().await.unwrap();
}

/// `x-roles` of each operation lets in whom the server lets in.
#[tokio::test]
async fn every_operation_lets_in_the_roles_that_it_names_and_nobody_else() {
    let document = Document::load();
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    for (path, method, operation) in document.operations() {
        // Of a WebSocket the tests of access know; a HEAD has nothing to be held to.
        let Some(roles) = operation["x-roles"].as_array().filter(|_| path != "/ws" && method != "head") else {
            continue;
        };
        let address = path.replace("{id}", NOBODY).replace("{key}", "risk.limit");
        for role in [None].into_iter().chain(Role::ALL.map(Some)) {
            let answer = ask(&server, role, &method.to_ascii_uppercase(), &address, "{}").await;
            document.hold(method, path, &answer);
            let Some(role) = role else {
                assert_eq!(answer.status, 401, "{method} {path}");
                continue;
            };
            let named = roles.contains(&json!(role.as_str()));
            assert_eq!(answer.status != 403, named, "{method} {path} as {role}: {}", answer.body);
        }
    }
    server.stop().await.unwrap();
}

/// The examples of the document, one after the other as a client would send them, and what goes wrong besides.
#[tokio::test]
async fn refusals_for_a_limit_a_trim_or_a_lost_database_are_described_too() {
    let document = Document::load();
    let db = migrated_database().await;
    let sql = "insert into rowcast.events (type) values ('a.a'), ('a.a');
               update rowcast.journal_state set head = 2, trimmed_through = 1";
    db.client().await.batch_execute(sql).await.unwrap();
    let rates = format!("{NO_LIMITS},private=2/h,public=1/h");
    let server = TestServer::ready(&db.url, &[("ROWCAST_RATE_LIMITS", &rates)]).await;
    let viewer = Some(Role::Viewer);
    let mut seen = BTreeSet::new();
    for (role, path, address) in [
        (viewer, "/v1/events", "/v1/events?cursor=0"),
        (viewer, "/v1/me", "/v1/me"),
        (viewer, "/v1/me", "/v1/me"),
        (None, "/openapi.json", "/openapi.json"),
        (None, "/public/v1/events", "/public/v1/events"),
        (None, "/public/ws", "/public/ws"),
    ] {
        let answer = ask(&server, role, "GET", address, "").await;
        document.hold("GET", path, &answer);
        seen.insert(answer.status);
    }
    server.stop().await.unwrap();
    let server = TestServer::start("postgres://nobody@127.0.0.1:1/nothing", &[]).await;
    for path in ["/health/ready", "/health/db", "/public/v1/trades"] {
        let answer = server.get(path).await;
        document.hold("GET", path, &answer);
        seen.insert(answer.status);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [200, 404, 410, 429, 503]);
    server.stop().await.unwrap();
}
