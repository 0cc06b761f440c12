//! `rowcast verify`: compares the stream with the table, or snapshots of live tables, and prints how it went.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::ArgMatches;

use super::tail::safe;
use super::{Failure, output, tables};
use crate::config::Source;
use crate::db::{Connector, DatabaseUrl};
use crate::journal::Cursor;
use crate::verify::{self, Progress, Report, TableProgress, TableReport};

/// How often the line of progress is written anew.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Compares, and fails if stream and table differ.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let cursor = args.get_one::<Option<Cursor>>("from").copied().flatten();
    let follow = Duration::from_secs(args.get_one::<u32>("seconds").copied().unwrap_or(0).into());
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let tables = tables::given(args)?;
    if !tables.is_empty() {
        return run_tables(connector, tables, follow).await;
    }
    let mut line = ProgressLine::new();
    let compared = verify::verify(connector, cursor, follow, |progress| match progress {
        Progress::Compared { count, seq, bound } => {
            line.show(format_args!("{count} events the same, at seq {seq} of {bound}"));
        }
        Progress::CaughtUp(seq) => {
            line.clear();
            output::tell(&format!("everything up to seq {seq} is the same; following for {follow:?}"));
        }
        Progress::HeldBack { head, wanted } => {
            output::tell(&format!("the stream is held back at seq {head} of {wanted}: comparing up to there"));
        }
    });
    let compared = Box::pin(compared).await;
    line.clear();
    let report = compared?;
    print(&report);
    if report.is_equal() { Ok(()) } else { Err(Failure::Told) }
}

/// Compares snapshots of tables, and fails if they differ.
async fn run_tables(connector: Connector, tables: Vec<String>, follow: Duration) -> Result<(), Failure> {
    let mut line = ProgressLine::new();
    let compared = verify::verify_tables(connector, tables, follow, |progress| match progress {
        TableProgress::Compared { rows, snapshots } => {
            line.show(format_args!("{rows} rows the same, in {snapshots} snapshots"));
        }
        TableProgress::Waiting(why) => {
            line.clear();
            output::tell(&format!("no snapshot at this moment, trying again: {why}"));
        }
    });
    let compared = Box::pin(compared).await;
    line.clear();
    let TableReport { rows, snapshots, events, upto, difference } = compared?;
    output::print(&format!("compared   {rows} rows in {snapshots} snapshots, with {events} events, up to seq {upto}"));
    match difference {
        None => {
            output::print("equal      rows and events made each later snapshot, and the table at the end");
            Ok(())
        }
        Some(difference) => {
            output::print(&safe(&format!("different  {difference}")));
            Err(Failure::Told)
        }
    }
}

fn print(report: &Report) {
    let Report { count, after, upto, stream_digest, table_digest, .. } = report;
    output::print(&format!("compared   {count} events, after seq {after} up to {upto}"));
    output::print(&format!("stream     sha256 {stream_digest}"));
    output::print(&format!("table      sha256 {table_digest}"));
    if let Some(difference) = &report.difference {
        output::print(&format!("different  {difference}"));
    }
    if let Some(rows) = &report.rows_beyond_sequence {
        output::print(&format!("different  {rows}"));
    }
    if report.is_equal() {
        output::print("equal      every event once, in order, with the same content");
    }
}

/// A line that is written over, for somebody who watches.
struct ProgressLine {
    shown: Option<Instant>,
    terminal: bool,
}

impl ProgressLine {
    fn new() -> Self {
        Self { shown: None, terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, text: std::fmt::Arguments<'_>) {
        if self.terminal && self.shown.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            self.shown = Some(Instant::now());
            let _reader_gone = write!(std::io::stderr(), "\r\x1b[K{text}");
        }
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _reader_gone = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
