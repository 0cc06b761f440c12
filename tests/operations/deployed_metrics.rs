//! The files of deploy/ and their words: each metric that an alert or a panel asks for exists, and each setting.

use std::collections::BTreeSet;
use std::path::Path;

use rowcast::config::SETTINGS;

use crate::support::{TestServer, migrated_database};

const WATCHING: [&str; 4] = [
    "deploy/prometheus/alerts.yml",
    "deploy/prometheus/prometheus.yml",
    "deploy/grafana/rowcast.json",
    "docs/EDGES.md",
];
const DEPLOYING: [&str; 3] =
    ["deploy/compose.cluster.yaml", "deploy/systemd/rowcast.service", "deploy/kubernetes/rowcast.yaml"];

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// All words of a text that begin like this.
fn words(text: &str, beginning: &str) -> BTreeSet<String> {
    text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .filter(|word| word.starts_with(beginning))
        .map(str::to_owned)
        .collect()
}

/// The name of a metric without what a histogram adds to it.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[tokio::test]
async fn what_is_watched_exists() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let page = server.get("/metrics").await.body;
    let known: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    for file in WATCHING {
        // Roles of the database and its scripts begin like metrics.
        let asked = words(&read(file), "rowcast_");
        let missing: Vec<_> = asked.iter().filter(|name| !known.contains(family(name))).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
        assert!(file.ends_with("prometheus.yml") || asked.len() > 9, "{file} asks for {asked:?} only");
    }
    server.stop().await.unwrap();
}

#[test]
fn what_is_deployed_has_settings_that_exist() {
    for file in DEPLOYING {
        let used = words(&read(file), "ROWCAST_");
        let unknown: Vec<_> = used.iter().filter(|name| !SETTINGS.iter().any(|known| known.name == **name)).collect();
        assert!(!used.is_empty() && unknown.is_empty(), "{file} sets {unknown:?}");
    }
}
