//! compose.yaml and the example of the environment, held to the settings.

use std::collections::{BTreeMap, BTreeSet};

use rowcast::config::{SETTINGS, TOOL_VARIABLES};

use super::{identifier, nothing, read};

/// Settings that compose.yaml leaves out: they name files, and there a proxy in front does TLS.
const NOT_IN_COMPOSE: &[&str] = &["ROWCAST_TLS_CERT", "ROWCAST_TLS_KEY"];

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
    let compose = uncommented(&(read("compose.yaml") + &read("deploy/compose.cluster.yaml")));
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
