//! The simulation behind docs/SCALING.md reproduces the committed measurements, and notices one that is falsified.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scaling.py");
const POINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scaling.json");

/// Starts the comparison of a file of points; none where Python is not installed.
fn check(points: &Path) -> Option<Child> {
    let started = Command::new("python3")
        .arg(SCRIPT)
        .arg("check")
        .arg(points)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match started {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = "skipped: Python is not installed (Debian: apt-get install python3)\n";
            std::io::stderr().write_all(why.as_bytes()).unwrap();
            None
        }
        started => Some(started.unwrap()),
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
    let false_points = folder.path().join("points.json");
    std::fs::write(&false_points, falsified()).unwrap();
    // Both at once: each computes for some ten seconds.
    let Some(truth) = check(Path::new(POINTS)) else { return };
    let Some(lie) = check(&false_points) else { return };
    let (truth, lie) = (truth.wait_with_output().unwrap(), lie.wait_with_output().unwrap());
    assert!(truth.status.success(), "{}", shown(&truth));
    assert_eq!(lie.status.code(), Some(1), "{}", shown(&lie));
    let marked: Vec<_> = shown(&lie).lines().filter(|line| line.contains("| OFF |")).map(str::to_owned).collect();
    assert_eq!(marked.len(), 1, "{marked:?}");
    assert!(marked[0].contains("10 sessions, 1000/s | postgres"), "{marked:?}");
}
