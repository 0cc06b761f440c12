//! The simulation behind docs/SCALING.md reproduces the committed measurements, and notices one that is falsified.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scaling.py");
const POINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scaling.json");

/// Compares a file of points with the simulation; none where Python is not installed.
fn check(points: &Path) -> Option<Output> {
    match Command::new("python3").arg(SCRIPT).arg("check").arg(points).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = "skipped: Python is not installed (Debian: apt-get install python3)\n";
            std::io::stderr().write_all(why.as_bytes()).unwrap();
            None
        }
        told => Some(told.unwrap()),
    }
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The committed points with one value, which gave no constant, half as large again.
fn falsified() -> String {
    let mut file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(POINTS).unwrap()).unwrap();
    let points = file["pieces"]["appends"].as_array_mut().unwrap();
    let point = points.iter_mut().find(|point| point["nodes"] == 1 && point["rate"] == 1000).unwrap();
    let postgres = point["postgres"].as_f64().unwrap();
    point["postgres"] = (postgres * 1.5).into();
    file.to_string()
}

#[test]
fn the_simulation_reproduces_the_committed_points_and_finds_a_falsified_one() {
    let folder = tempfile::tempdir().unwrap();
    let points = folder.path().join("points.json");
    std::fs::write(&points, falsified()).unwrap();
    let Some(told) = check(&points) else { return };
    assert_eq!(told.status.code(), Some(1), "{}", shown(&told));
    // Everything else is reproduced.
    let marked: Vec<_> = shown(&told).lines().filter(|line| line.contains("| OFF |")).map(str::to_owned).collect();
    assert_eq!(marked.len(), 1, "{marked:?}");
    assert!(marked[0].contains("10 sessions, 1000/s | postgres"), "{marked:?}");
}
