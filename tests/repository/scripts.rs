//! The scripts: each runs from any folder, says what it does, and stops at the first error.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{files, nothing, read, root};
use crate::support::in_time;

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
