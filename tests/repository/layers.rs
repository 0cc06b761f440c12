//! Each module of src/ uses only those of lower layers, each room of src/http only those below it, and the wire stays where it belongs.

use std::collections::BTreeSet;

use super::{files, identifier, in_word, nothing, read, shipped_code};

/// Every top-level module and its layer. One may use only those of smaller layers; those of the last, each other too.
const LAYERS: &[(&str, u32)] = &[
    ("config", 0),
    ("telemetry", 0),
    ("shutdown", 0),
    ("clock", 0),
    ("tls", 0),
    ("refusals", 0),
    ("shared_list", 0),
    ("redis_client", 1),
    ("cluster", 1),
    ("db", 1),
    ("journal", 2),
    ("auth", 2),
    ("limit", 2),
    ("query", 3),
    ("tail", 3),
    ("client", 3),
    ("view", 4),
    ("application", 5),
    ("trading", 6),
    ("chat", 6),
    ("session", 6),
    ("snapshot", 7),
    ("http", 8),
    ("app", 9),
    ("bench", 9),
    ("demo", 9),
    ("doctor", 9),
    ("verify", 9),
    ("cli", 10),
    ("main", 10),
    ("lib", 10),
];
const LAST_LAYER: u32 = 10;

/// The crates that speak HTTP and WebSocket, and the modules that may.
const WIRE_CRATES: &[&str] = &["hyper", "hyper_util", "http_body_util", "tungstenite", "tokio_tungstenite"];
/// The bench has the relay that it compares with.
const WIRE_MODULES: &[&str] = &["http", "client", "bench"];

/// The applications, and the modules that one may use: nothing that reads the journal, and nothing that knows a session.
pub(super) const APPLICATIONS: &[&str] = &["trading", "chat"];
const OPEN_TO_APPLICATIONS: &[&str] = &["application", "auth", "db", "limit", "query", "refusals", "view"];

fn layer(module: &str) -> Option<u32> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// Every place where `word` stands as a whole word and is followed by `::`; what comes then.
fn after_path<'a>(code: &'a str, word: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(word) {
        let before = code[..at].bytes().next_back();
        let rest = code[at + word.len()..].strip_prefix("::");
        // `a::word::` is another's; `::word::` is the crate of that name.
        let inner = code[..at].strip_suffix("::").is_some_and(|head| head.bytes().next_back().is_some_and(in_word));
        if let (false, false, Some(rest)) = (before.is_some_and(in_word), inner, rest) {
            found.push(rest);
        }
    }
    found
}

/// The first names of `name::…` or of each member of `{name::…, name}`.
fn first_names(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else { return vec![identifier(rest)] };
    let (mut depth, mut names, mut start) = (0_u32, Vec::new(), 0);
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => {
                names.push(identifier(&group[start..at]));
                break;
            }
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                names.push(identifier(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// How many `super::` lead from a file of src/ to the top.
fn depth(path: &str) -> usize {
    let parts = path.trim_end_matches(".rs").split('/').filter(|p| *p != "mod").count();
    // A path is `src/<module>/…`.
    parts - 1
}

/// What is wrong with the imports of one file.
fn violations(path: &str, text: &str) -> Vec<String> {
    let module = path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
    let Some(own) = layer(module) else {
        return vec![format!("{path}: the module {module} has no layer; give it one in tests/repository.rs")];
    };
    let code = shipped_code(text);
    let climb = vec!["super"; depth(path)].join("::");
    let mut names: Vec<&str> = after_path(&code, "crate").into_iter().flat_map(first_names).collect();
    // `super` leaves the module as well; names that are none of the top's are those of an inline module.
    names.extend(after_path(&code, &climb).into_iter().flat_map(first_names).filter(|name| layer(name).is_some()));
    let mut wrong = BTreeSet::new();
    for name in names {
        match layer(name) {
            None => {
                wrong.insert(format!("{path}: crate::{name} is no module that has a layer"));
            }
            Some(_) if name != module && APPLICATIONS.contains(&module) && !OPEN_TO_APPLICATIONS.contains(&name) => {
                wrong.insert(format!("{path}: the application {module} uses {name}"));
            }
            Some(other) if name == module || other < own || (own == LAST_LAYER && other == LAST_LAYER) => {}
            Some(other) => {
                wrong.insert(format!("{path}: {module} (layer {own}) uses {name} (layer {other})"));
            }
        }
    }
    if !WIRE_MODULES.contains(&module) {
        for name in WIRE_CRATES.iter().filter(|name| !after_path(&code, name).is_empty()) {
            wrong.insert(format!("{path}: {name} is named outside of src/http and src/client"));
        }
    }
    wrong.into_iter().collect()
}

#[test]
fn each_module_uses_only_those_below_it() {
    let sources: Vec<_> = files()
        .into_iter()
        .filter(|f| f.starts_with("src/") && f.ends_with(".rs") && !f.ends_with("/tests.rs") && !f.contains("/tests/"))
        .collect();
    assert!(sources.len() > 20, "{sources:?}");
    let wrong: Vec<_> = sources.iter().flat_map(|f| violations(f, &read(f))).collect();
    nothing("the layers of docs/ARCHITECTURE.md do not hold", &wrong);
}

#[test]
fn the_layers_test_sees_what_it_is_for() {
    let refused = [
        ("src/db/pool.rs", "use crate::http::Server;", "db (layer 1) uses http (layer 8)"),
        ("src/db/pool.rs", "fn f() -> crate::app::App {}", "db (layer 1) uses app (layer 9)"),
        ("src/db/pool.rs", "use crate::{\n    config::{Secret, Source},\n    tail,\n};", "uses tail (layer 3)"),
        ("src/db/mod.rs", "use super::journal::Page;", "uses journal (layer 2)"),
        ("src/db/pool.rs", "use super::super::journal::Page;", "uses journal (layer 2)"),
        ("src/trading/mod.rs", "use crate::chat::Speaker;", "the application trading uses chat"),
        ("src/chat/api.rs", "use crate::tail::Tail;", "the application chat uses tail"),
        ("src/session/mod.rs", "use crate::chat::Chat;", "session (layer 6) uses chat (layer 6)"),
        ("src/config/mod.rs", "use crate::clock::Clock;", "config (layer 0) uses clock (layer 0)"),
        ("src/session/mod.rs", "use hyper::Request;", "hyper is named outside"),
        ("src/db/mod.rs", "type A = ::tungstenite::Error;", "tungstenite is named outside"),
        ("src/util.rs", "", "the module util has no layer"),
        ("src/db/mod.rs", "use crate::util::join;", "crate::util is no module"),
        ("src/db/mod.rs", "#[cfg(test)]\nmod tests;\nuse crate::http::A;", "uses http"),
        ("src/db/mod.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}\nuse crate::http::A;", "uses http"),
    ];
    for (path, text, said) in refused {
        let wrong = violations(path, text);
        assert!(wrong.iter().any(|w| w.contains(said)), "{path}: {text:?}: {wrong:?}");
    }
    let accepted = [
        ("src/db/pool.rs", "use crate::config::Secret; use crate::db::DatabaseError; pub(crate) fn f() {}"),
        ("src/db/pool.rs", "use super::DatabaseError; // crate::http::Server"),
        ("src/db/pool.rs", "//! See [`crate::http`].\n    /// And `crate::app::App`."),
        ("src/db/pool.rs", "#[cfg(test)]\nmod tests {\n    use crate::http::Server;\n    fn f() {\n    }\n}\n"),
        ("src/http/server/listener.rs", "use hyper::Request; use crate::session::Session;"),
        ("src/cli/serve.rs", "use crate::app::App;"),
        ("src/app.rs", "use crate::http::hyper::Request; let hyper = 1; x.hyper_util();"),
    ];
    for (path, text) in accepted {
        assert_eq!(violations(path, text), Vec::<String>::new(), "{path}: {text:?}");
    }
}
