//! Every example of the document is sent to a server, as a tool would that fills in requests from it: none is refused.

use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Document, bearer};
use crate::support::raw_http::{Answer, read_answer};
use crate::support::{TestServer, migrated_database};

/// A request that the examples of an operation make.
#[derive(Debug, Default, Clone)]
struct Example {
    query: Vec<String>,
    headers: Vec<(String, String)>,
    body: Option<(String, String)>,
}

impl Document {
    /// The parameters of an operation, those of its path among them.
    fn parameters<'a>(&'a self, path: &str, operation: &'a Value) -> Vec<&'a Value> {
        let shared = self.0["paths"][path]["parameters"].as_array();
        let own = operation["parameters"].as_array();
        shared.into_iter().chain(own).flatten().map(|parameter| self.follow(parameter)).collect()
    }

    /// The address of an operation, with the examples of what stands in its path.
    fn address(&self, path: &str, operation: &Value) -> String {
        let mut address = path.to_owned();
        for parameter in self.parameters(path, operation) {
            if parameter["in"] == "path" {
                let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
                address = address.replace(&name, &encoded(&parameter["example"]));
            }
        }
        address
    }

    /// Without any optional parameter, with each alone, with all of them, and with each body.
    fn examples(&self, path: &str, operation: &Value) -> Vec<Example> {
        let (mut bare, mut all, mut single) = (Example::default(), Example::default(), Vec::new());
        for parameter in self.parameters(path, operation) {
            let required = parameter["required"] == json!(true);
            let shown =
                [&parameter["example"], &parameter["schema"]["const"]].into_iter().find(|value| !value.is_null());
            let Some(shown) = shown else {
                assert!(!required || parameter["in"] == "path", "{path}: {parameter} is required and has no example");
                continue;
            };
            let mut alone = Example::default();
            let name = parameter["name"].as_str().unwrap();
            match parameter["in"].as_str().unwrap() {
                // A list that is exploded is given once for each of its items.
                "query" if parameter["explode"] == json!(true) => {
                    let items = shown.as_array().unwrap().iter();
                    alone.query.extend(items.map(|item| format!("{name}={}", encoded(item))));
                }
                "query" => alone.query.push(format!("{name}={}", encoded(shown))),
                "header" => alone.headers.push((name.to_owned(), plain(shown))),
                _ => continue,
            }
            for example in [Some(&mut all), required.then_some(&mut bare)].into_iter().flatten() {
                example.query.extend(alone.query.clone());
                example.headers.extend(alone.headers.clone());
            }
            if !required {
                single.push(alone);
            }
        }
        for alone in &mut single {
            alone.headers.extend(bare.headers.clone());
            alone.query.extend(bare.query.clone());
        }
        let requests = [bare, all].into_iter().chain(single);
        let bodies = bodies(operation);
        if bodies.is_empty() {
            return requests.collect();
        }
        requests
            .flat_map(|request| bodies.iter().map(move |body| Example { body: Some(body.clone()), ..request.clone() }))
            .collect()
    }
}

/// Each example of a body with its kind.
fn bodies(operation: &Value) -> Vec<(String, String)> {
    let mut bodies = Vec::new();
    for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        for example in content["examples"].as_object().unwrap().values() {
            let value = &example["value"];
            let text = match value.as_array().filter(|_| kind == "application/x-ndjson") {
                Some(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
                None => value.to_string(),
            };
            bodies.push((kind.clone(), text));
        }
    }
    bodies
}

/// A value as a parameter shows it: a list with commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn encoded(value: &Value) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    plain(value).bytes().map(byte).collect()
}

/// The strongest of the roles that an operation names: for what only administrators may ask.
fn strongest(operation: &Value) -> Option<Role> {
    let names = operation["x-roles"].as_array()?;
    Role::ALL.into_iter().rev().find(|role| names.contains(&json!(role.as_str())))
}

async fn send(server: &TestServer, method: &str, address: &str, role: Option<Role>, example: &Example) -> Answer {
    let query = example.query.join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    let mut head =
        format!("{} {address}{mark}{query} HTTP/1.1\r\nhost: {}\r\n", method.to_ascii_uppercase(), server.address());
    if let Some(role) = role {
        head.push_str(&format!("authorization: {}\r\n", bearer(role)));
    }
    for (name, value) in &example.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let (kind, body) = example.body.clone().unwrap_or_default();
    if !body.is_empty() {
        head.push_str(&format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len()));
    }
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    read_answer(&mut stream).await
}

/// The tables of the examples, which everyone may read.
const SHOP: &str = "
    create schema shop;
    create table shop.orders (id int primary key, status text);
    create table shop.items (id int primary key, pieces int);
    insert into shop.orders values (7, 'new');
    select rowcast.publish(format('shop.%s', t)::regclass, public_safe => true, state_key => '{id}') from unnest('{orders,items}'::text[]) t;
    insert into rowcast.event_types (type, description, public_fields)
    select format('shop.%s.%s', t, w), 'A change.', '{id}'
      from unnest('{orders,items}'::text[]) t, unnest('{inserted,updated,deleted,truncated}'::text[]) w";

#[tokio::test]
async fn no_example_of_the_document_is_refused() {
    let document = Document::load();
    let db = migrated_database().await;
    db.client().await.batch_execute(SHOP).await.unwrap();
    let server = TestServer::ready(&db.url, &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let (mut sent, mut refused) = (0, Vec::new());
    for (path, method, operation) in document.operations().filter(|(_, method, _)| *method != "head") {
        let (address, role) = (document.address(path, operation), strongest(operation));
        for example in document.examples(path, operation) {
            let answer = send(&server, method, &address, role, &example).await;
            document.hold(method, path, &answer);
            sent += 1;
            // The id of the examples is that of nothing that is there.
            let taken = matches!(answer.status, 101 | 200 | 201)
                || (answer.status == 404 && (path.contains("{id}") || path.contains("{file}")));
            if !taken {
                refused.push(format!("{method} {path} {example:?}: {} {}", answer.status, answer.body));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(sent > 100, "{sent}");
    server.stop().await.unwrap();
}
