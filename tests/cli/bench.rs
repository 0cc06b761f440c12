//! The load generator: the shape of what it says, not the figures.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::{binary, empty_database, run, text};

const QUICK: [&str; 16] = [
    "bench",
    "journal",
    "--writers",
    "1,3",
    "--rounds",
    "2",
    "--measure",
    "200ms",
    "--warm-up",
    "200ms",
    "--inserts",
    "20",
    "--gap",
    "10ms",
    "--threads",
    "2",
];

/// The cells of the rows of the table below a heading.
fn table<'a>(report: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let below = report.split(&format!("### {heading}")).nth(1).unwrap_or_else(|| panic!("no {heading} in\n{report}"));
    let lines: Vec<_> = below.lines().skip_while(|l| !l.starts_with('|')).take_while(|l| l.starts_with('|')).collect();
    let cells = |line: &&'a str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    lines[2..].iter().map(cells).collect()
}

/// The figure that a cell begins with.
fn figure(cell: &str) -> f64 {
    let number = cell.split(' ').next().unwrap_or_default();
    number.parse().unwrap_or_else(|_| panic!("{cell:?} begins with no figure"))
}

#[tokio::test]
async fn the_journal_is_measured_side_by_side_and_nothing_is_left_behind() {
    let database = empty_database().await;
    let mut args = QUICK.to_vec();
    args.extend(["--server", &database.url]);
    let mut command = Command::from(binary(&args, &[]));
    let bench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let left = format!("select datname from pg_database where datname like 'rowcast_bench_{}%'", bench.id().unwrap());
    let answer = bench.wait_with_output().await.unwrap();
    let (report, said) = (text(&answer.stdout), text(&answer.stderr));
    assert!(answer.status.success(), "{said}");
    assert!(report.starts_with("## The journal\n") && report.contains("fsync "), "{report}");

    let targets = table(&report, "Targets");
    assert_eq!(targets.len(), 1, "the others are promised of 64 writers: {report}");
    assert!(targets.iter().all(|row| figure(row[2]) > 0.0), "{report}");
    let appends = table(&report, "Appends per second");
    assert_eq!(appends.iter().map(|row| row[0]).collect::<Vec<_>>(), ["1", "3"]);
    assert!(appends.iter().all(|row| row.len() == 6 && row[1..].iter().all(|cell| figure(cell) > 0.0)), "{report}");
    let idle = table(&report, "One writer, otherwise idle");
    assert!(idle.len() == 2 && idle.iter().all(|row| row[7] == "36" && figure(row[1]) > 0.0), "{report}");
    let busy = table(&report, "The tail under that load");
    assert!(busy.len() == 2 && busy.iter().all(|row| figure(row[1]) > 0.0 && figure(row[8]) > 0.0), "{report}");
    assert_eq!(table(&report, "Each round: appends per second").len(), 4);
    assert_eq!(table(&report, "Each round: call → event").len(), 2);

    assert!(database.client().await.query(&left, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_measured_is_said_in_one_line() {
    for (args, code, complaint) in [
        (&["bench"][..], 2, "journal"),
        (&["bench", "journal", "--writers", "0"], 2, "--writers"),
        (&["bench", "journal", "--gap", "20"], 1, "--gap is not a duration"),
        (&["bench", "journal", "--server", "postgres://u:hunter2@127.0.0.1:1/d"], 1, "cannot be reached"),
    ] {
        let answer = run(args, &[]).await;
        let said = text(&answer.stderr);
        assert_eq!(answer.status.code(), Some(code), "{said}");
        assert!(said.contains(complaint) && !said.contains("hunter2"), "{said}");
        assert!(answer.stdout.is_empty());
    }
}

#[tokio::test]
async fn sessions_are_measured_beside_a_plain_relay_and_while_they_wait() {
    let database = empty_database().await;
    let quick = "bench sessions --sessions 60 --subjects 100 --idle 120 --rounds 1 --measure 1s --warm-up 200ms --idle-for 300ms";
    let mut args: Vec<&str> = quick.split(' ').collect();
    args.extend(["--server", &database.url]);
    let answer = run(&args, &[]).await;
    let (report, said) = (text(&answer.stdout), text(&answer.stderr));
    assert!(answer.status.success(), "{said}");
    assert!(report.starts_with("## Sessions\n") && report.contains("fsync "), "{report}");
    let fan = table(&report, "60 sessions, saturating appends");
    assert_eq!(fan.iter().map(|row| row[0]).collect::<Vec<_>>(), ["rowcast", "plain relay"]);
    // A run in which an event did not reach everyone fails; the relay may lose what it likes.
    assert!(fan.iter().all(|row| row.len() == 10 && figure(row[1]) > 0.0 && figure(row[2]) > 0.0), "{report}");
    assert_eq!(fan[0][9], "0");
    let wakes = table(&report, "Sessions that follow one subject each; events of 1 subjects");
    assert_eq!(wakes.iter().map(|row| row[0]).collect::<Vec<_>>(), ["1", "100"]);
    let idle = table(&report, "120 idle sessions");
    assert!(idle.len() == 2 && idle.iter().all(|row| figure(row[2]) >= 0.0), "{report}");
}
