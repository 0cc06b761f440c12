//! The repository itself: its layers, its circles, its folders, its scripts, and that what it says in several places is the same in
//! all of them. No database.

mod chapters;
mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rowcast::config::{SETTINGS, TOOL_VARIABLES};

use crate::support::in_time;

/// Every top-level module and its layer. One may use only those of smaller layers; those of the last, each other too.
const LAYERS: &[(&str, u32)] = &[
    ("config", 0),
    ("telemetry", 0),
    ("shutdown", 0),
    ("clock", 0),
    ("tls", 0),
    ("refusals", 0),
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
    ("http", 7),
    ("app", 8),
    ("bench", 8),
    ("demo", 8),
    ("doctor", 8),
    ("verify", 8),
    ("cli", 9),
    ("main", 9),
    ("lib", 9),
];
const LAST_LAYER: u32 = 9;

/// The crates that speak HTTP and WebSocket, and the modules that may.
const WIRE_CRATES: &[&str] = &["hyper", "hyper_util", "http_body_util", "tungstenite", "tokio_tungstenite"];
/// The bench has the relay that it compares with.
const WIRE_MODULES: &[&str] = &["http", "client", "bench"];

/// The applications, and the modules that one may use: nothing that reads the journal, and nothing that knows a session.
const APPLICATIONS: &[&str] = &["trading", "chat"];
const OPEN_TO_APPLICATIONS: &[&str] = &["application", "auth", "db", "limit", "query", "refusals", "view"];

/// What may lie at the top, next to names that begin with a dot.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "todo.md",
    "compose.yaml",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "rustfmt.toml",
    "deny.toml",
    "sql",
    "src",
    "tests",
    "scripts",
    "docs",
    "benches",
];

/// Settings that compose.yaml leaves out: they name files, and there a proxy in front does TLS.
const NOT_IN_COMPOSE: &[&str] = &["ROWCAST_TLS_CERT", "ROWCAST_TLS_KEY"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files of the repository, those included that are not committed yet.
fn files() -> Vec<String> {
    let listing = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let names = String::from_utf8(listing.stdout).unwrap();
    // One that is removed and not yet committed is still listed.
    let mut all: Vec<_> =
        names.split('\0').filter(|n| !n.is_empty() && root().join(n).exists()).map(str::to_owned).collect();
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 20, "{all:?}");
    all
}

fn nothing(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

// ---- layers --------------------------------------------------------------------------------------------------------

fn layer(module: &str) -> Option<u32> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

fn in_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The identifier at the beginning of a text.
fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.bytes().position(|b| !in_word(b)).unwrap_or(text.len())]
}

/// The code without comments and without what only tests compile. It relies on the format that scripts/check holds: an
/// item ends at a line with the indentation of its beginning that ends in `}` or `;`.
fn shipped_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let indent = line.len() - line.trim_start().len();
            for skipped in lines.by_ref() {
                let at_indent = skipped.len() - skipped.trim_start().len() == indent;
                if at_indent && !skipped.trim_start().starts_with("#[") && skipped.ends_with(['}', ';']) {
                    break;
                }
            }
            continue;
        }
        let line = line.trim_start();
        let line = if line.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() };
        code.push_str(line);
        code.push('\n');
    }
    code
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
        ("src/db/pool.rs", "use crate::http::Server;", "db (layer 1) uses http (layer 7)"),
        ("src/db/pool.rs", "fn f() -> crate::app::App {}", "db (layer 1) uses app (layer 8)"),
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
        ("src/db/pool.rs", "use crate::config::Secret; use crate::db::Trouble; pub(crate) fn f() {}"),
        ("src/db/pool.rs", "use super::Trouble; // crate::http::Server"),
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

// ---- files ---------------------------------------------------------------------------------------------------------

/// What a client sees is redacted by `view`; a stored row that could serialize would be a way around it.
#[test]
fn what_is_stored_does_not_serialize() {
    let stored: Vec<String> =
        ["db", "journal", "tail"].iter().chain(APPLICATIONS).map(|module| format!("src/{module}/")).collect();
    // Secrets of the development cluster, which lie in a file of their own; and the shapes of the applications, which leave their
    // file as documents that redaction has made.
    let mut apart = vec!["src/db/cluster/state.rs".to_owned()];
    apart.extend(APPLICATIONS.iter().map(|application| format!("src/{application}/view.rs")));
    let wrong: Vec<String> = files()
        .into_iter()
        .filter(|path| stored.iter().any(|folder| path.starts_with(folder)) && !apart.contains(path))
        .filter(|path| shipped_code(&read(path)).split(|c: char| !c.is_alphanumeric()).any(|word| word == "Serialize"))
        .collect();
    nothing("these can be serialized as they are stored", &wrong);
}

#[test]
fn the_top_holds_only_what_belongs_there() {
    let tops: BTreeSet<_> = files().iter().map(|f| f.split('/').next().unwrap_or_default().to_owned()).collect();
    let wrong: Vec<_> = tops.into_iter().filter(|t| !t.starts_with('.') && !TOP.contains(&t.as_str())).collect();
    nothing("these do not belong at the top", &wrong);
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    // Put together here, so that this file does not name them either.
    let words = [concat!("/wo", "rk/"), concat!(".lib", "rary"), concat!("../sha", "red")];
    let mut wrong = Vec::new();
    for file in files() {
        let bytes = std::fs::read(root().join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    nothing("these lines hold only on one machine", &wrong);
}

#[test]
fn the_licence_is_stated_and_shipped() {
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("\nlicense = \"MIT OR Apache-2.0\"\n"));
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted"));
    assert!(read("LICENSE-APACHE").contains("Apache License"));
}

#[test]
fn the_changelog_has_a_place_for_what_is_not_released() {
    assert!(read("docs/CHANGELOG.md").lines().any(|line| line.trim() == "## [Unreleased]"));
}

// ---- scripts -------------------------------------------------------------------------------------------------------

fn scripts() -> Vec<String> {
    let all: Vec<_> = files().into_iter().filter(|f| f.starts_with("scripts/") && !f.ends_with(".sh")).collect();
    assert!(all.len() >= 6, "{all:?}");
    all
}

fn executable(path: &str) -> bool {
    root().join(path).metadata().unwrap().permissions().mode() & 0o111 == 0o111
}

#[test]
fn every_script_can_be_run_and_stops_at_the_first_error() {
    let wrong: Vec<_> = scripts().into_iter().chain([".ci/run".to_owned()]).filter(|s| !executable(s)).collect();
    nothing("these are not executable", &wrong);
    let strict = |text: &str| text.contains("set -euo pipefail") || text.contains("/lib.sh\"");
    let wrong: Vec<_> = scripts().into_iter().filter(|s| !strict(&read(s))).collect();
    nothing("these go on after an error", &wrong);
    assert!(read("scripts/lib.sh").contains("\nset -euo pipefail\n"));
    assert!(read(".ci/run").contains("scripts/test"));
}

#[test]
fn every_script_says_what_it_does_from_any_folder() {
    let elsewhere = tempfile::tempdir().unwrap();
    for script in scripts() {
        let begun = Instant::now();
        let said = Command::new(root().join(&script))
            .arg("--help")
            .current_dir(elsewhere.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (text, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{script} --help: {}: {errors}", said.status);
        assert!(text.starts_with(&format!("Usage: {script}")), "{script} --help begins with {text:?}");
        assert!(text.lines().count() >= 3, "{script} --help says nearly nothing: {text:?}");
        in_time(begun, Duration::from_secs(5));
    }
}

// ---- documents -----------------------------------------------------------------------------------------------------

/// The targets of the Markdown links of a text, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // What stands between back-ticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        let mut rest = prose.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let target = after.split([')', ' ']).next().unwrap_or_default();
            found.push(target.to_owned());
            rest = after;
        }
    }
    found
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines().filter(|l| l.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let documents: Vec<_> = files()
        .into_iter()
        .filter(|f| f == "README.md" || f == "todo.md" || (f.starts_with("docs/") && f.ends_with(".md")))
        .collect();
    assert!(documents.len() > 3, "{documents:?}");
    let mut wrong = Vec::new();
    for document in &documents {
        let text = read(document);
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { PathBuf::from(document) } else { beside(document, path) };
            if !root().join(&target).exists() {
                wrong.push(format!("{document}: {link}"));
            } else if !fragment.is_empty()
                && target.extension().is_some_and(|e| e == "md")
                && !anchors(&read(&target)).contains(fragment)
            {
                wrong.push(format!("{document}: {link}: no such heading"));
            }
        }
    }
    nothing("these links lead nowhere", &wrong);
}

fn beside(document: &str, path: &str) -> PathBuf {
    Path::new(document).parent().unwrap_or(Path::new("")).join(path)
}

#[test]
fn links_are_found_where_they_are() {
    let text = "[a](x.md) and [b](y.md#z \"t\")\n`[c](code)` [`d`](w)\n```\n[e](fenced)\n```\n";
    assert_eq!(links(text), ["x.md", "y.md#z", "w"]);
    assert_eq!(anchor("## `publish`, and what it costs"), "publish-and-what-it-costs");
}

/// The rows of the first table of a text whose header begins with these two cells.
fn table(text: &str, header: [&str; 2]) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|c| c.replace('`', "").trim().to_owned()).collect::<Vec<_>>()
    };
    text.lines()
        .filter(|line| line.trim_start().starts_with('|') || !line.trim().is_empty())
        .skip_while(|line| !line.trim_start().starts_with('|') || !cells(line).starts_with(&header.map(str::to_owned)))
        .skip(2)
        .take_while(|line| line.trim_start().starts_with('|'))
        .map(cells)
        .collect()
}

#[test]
fn the_documented_settings_are_those_there_are() {
    let rows = table(&read("docs/03_API_SPEC.md"), ["variable", "default"]);
    let documented: BTreeMap<_, _> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(documented.len(), rows.len(), "a setting is documented twice");
    let known: BTreeMap<_, _> =
        SETTINGS.iter().map(|s| (s.name.to_owned(), s.default.unwrap_or_default().to_owned())).collect();
    let mut wrong = Vec::new();
    for (name, default) in &known {
        match documented.get(name) {
            None => wrong.push(format!("{name} is not in docs/03_API_SPEC.md")),
            Some(said) if said != default => wrong.push(format!("{name}: documented {said:?}, really {default:?}")),
            Some(_) => {}
        }
    }
    wrong.extend(documented.keys().filter(|n| !known.contains_key(*n)).map(|n| format!("{n} is no setting")));
    nothing("the table of settings in docs/03_API_SPEC.md is not the table in src/config", &wrong);
}

// ---- compose.yaml --------------------------------------------------------------------------------------------------

/// The lines without their comments.
fn uncommented(text: &str) -> String {
    let content = |line: &str| line.split(" #").next().unwrap_or_default().to_owned();
    text.lines().filter(|l| !l.trim_start().starts_with('#')).map(content).collect::<Vec<_>>().join("\n")
}

/// All words that begin like this.
fn words<'a>(text: &'a str, beginning: &str) -> BTreeSet<&'a str> {
    text.split(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).filter(|w| w.starts_with(beginning)).collect()
}

/// The variables that compose fills in: `${NAME…}`, but not `$${NAME}`, which a shell in the container does.
fn interpolated(text: &str) -> BTreeSet<&str> {
    let own = |at: usize| !text[..at].ends_with('$');
    text.match_indices("${").filter(|(at, _)| own(*at)).map(|(at, _)| identifier(&text[at + 2..])).collect()
}

/// The variables of .env.example: `NAME=value`, or `#NAME=value` where nothing has to be set.
fn example_variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase()))
        .collect()
}

#[test]
fn compose_names_only_settings_that_exist_and_passes_on_all_of_them() {
    let compose = uncommented(&read("compose.yaml"));
    let known: BTreeSet<_> = SETTINGS.iter().map(|s| s.name).collect();
    let used = words(&compose, "ROWCAST_");
    let unknown: Vec<_> = used.difference(&known).map(|n| (*n).to_owned()).collect();
    nothing("compose.yaml names unknown settings", &unknown);
    let missing: Vec<_> = known
        .iter()
        .filter(|n| n.starts_with("ROWCAST_") && !used.contains(*n) && !NOT_IN_COMPOSE.contains(n))
        .map(|n| (*n).to_owned())
        .collect();
    nothing("compose.yaml does not pass on these settings", &missing);
}

#[test]
fn the_example_of_the_environment_names_what_compose_reads() {
    let compose = uncommented(&read("compose.yaml"));
    let text = read(".env.example");
    let example: BTreeSet<_> = example_variables(&text).into_keys().collect();
    assert_eq!(example, interpolated(&compose));
    // Every variable stands below a comment that explains it.
    let mut explained = false;
    for line in text.lines() {
        let assigns = !example_variables(line).is_empty();
        assert!(!assigns || explained, ".env.example: nothing explains {line}");
        explained = line.starts_with("# ") || (explained && assigns);
    }
    // What it proposes is what holds without it, and secrets are for the reader to make.
    for (name, value) in example_variables(&text) {
        if let Some(setting) = SETTINGS.iter().find(|s| s.name == name) {
            assert_eq!(value, setting.default.unwrap_or_default(), "{name} in .env.example");
        }
        assert!(!(name.ends_with("PASSWORD") || name.ends_with("SECRET")) || value.is_empty(), "{name} has a value");
    }
    assert!(TOOL_VARIABLES.iter().all(|name| !example.contains(name)));
}

#[test]
fn compose_is_closed_where_it_can_be() {
    let compose = uncommented(&read("compose.yaml"));
    assert!(!compose.contains('\t'), "YAML is indented by spaces");
    for line in compose.lines().filter(|l| l.contains("image: ")) {
        let (_, tag) = line.rsplit_once(':').unwrap();
        assert!(tag != "latest" && tag.bytes().any(|b| b.is_ascii_digit()), "not pinned: {line}");
    }
    let needed = [
        "no-new-privileges:true",
        "cap_drop: [ALL]",
        "read_only: true",
        "condition: service_completed_successfully",
        "condition: service_healthy",
        "max_prepared_transactions=",
        "dockerfile_inline: |",
        "\nUSER ",
        "stop_grace_period:",
    ];
    let flat = compose.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    for word in needed {
        assert!(flat.contains(word), "compose.yaml lacks {word:?}");
    }
    let mut ports = 0;
    for line in compose.lines().map(str::trim).skip_while(|l| *l != "ports:").filter(|l| l.starts_with("- \"")) {
        assert!(!line.contains(":8080\"") || line.starts_with("- \"127.0.0.1:"), "open to everyone: {line}");
        ports += usize::from(line.starts_with("- \"127.0.0.1:"));
    }
    assert_eq!(ports, 1, "only the server has a port outside");
    // A build of its own must be of a toolchain that is new enough.
    let manifest = read("Cargo.toml");
    let (_, version) = manifest.split_once("rust-version = \"").unwrap();
    let version = version.split('"').next().unwrap();
    assert!(compose.contains(&format!("FROM rust:{version}-")), "compose.yaml builds with another Rust than {version}");
}
