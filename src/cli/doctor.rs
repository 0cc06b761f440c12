//! `rowcast doctor`: prints what a server would find here, a line a finding.

use clap::ArgMatches;

use super::{Failure, output};
use crate::config::{ConfigError, Source};
use crate::doctor::{self, Finding, Verdict};

/// Prints each finding; fails if one of them is that a server would not work.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let json = args.get_flag("json");
    let worst = doctor::examine(source, |what, finding| print(what, &finding, json)).await;
    if worst == Verdict::Fail { Err(Failure::Told) } else { Ok(()) }
}

/// The report when not even the settings can be read.
pub(super) fn refused(error: &ConfigError, args: &ArgMatches) -> Result<(), Failure> {
    let (what, finding) = doctor::unreadable(error);
    print(what, &finding, args.get_flag("json"));
    Err(Failure::Told)
}

fn print(what: &str, finding: &Finding, json: bool) {
    let verdict = finding.verdict.as_str();
    // A name in the database may hold anything; a finding is one line.
    let detail = finding.detail.replace(|c: char| c.is_control(), " ");
    if json {
        let verdict = verdict.to_ascii_lowercase();
        output::print(&serde_json::json!({ "verdict": verdict, "what": what, "detail": detail }).to_string());
    } else {
        output::print(&format!("{verdict:<4}  {what:<13}  {detail}"));
    }
}
