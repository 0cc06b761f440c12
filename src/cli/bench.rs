//! `rowcast bench`: measures, and prints the report.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use super::{Failure, output};
use crate::bench::{self, JournalPlan, Measurement, SessionsPlan, Testbed};
use crate::config::{ConfigError, Secret, duration};
use crate::shutdown;

/// Measures what was asked for. Whatever becomes of it, nothing is left behind.
pub(super) async fn run(args: &ArgMatches) -> Result<(), Failure> {
    let (what, args) = args.subcommand().unwrap_or(("", args));
    if what == "relay" {
        let url = std::env::var("DATABASE_URL").map_err(std::io::Error::other)?;
        let listening = |address| output::print(&format!("listening on http://{address}"));
        return Ok(bench::relay(&Secret::new(url), listening).await?);
    }
    let stop = shutdown::signals()?;
    let measurement =
        if what == "journal" { Measurement::Journal(plan(args)?) } else { Measurement::Sessions(sessions_plan(args)?) };
    let testbed = match args.get_one::<String>("server") {
        Some(url) => Testbed::on(&Secret::new(url.as_str()), output::tell).await?,
        None => Testbed::throw_away(args.get_one::<PathBuf>("dir").cloned(), output::tell).await?,
    };
    let measured = tokio::select! {
        measured = measurement.run(&testbed) => measured.map_err(Failure::from),
        signal = stop => {
            output::tell(&format!("{signal}: stopping"));
            Err(Failure::Told)
        }
    };
    let ended = testbed.end().await;
    output::print(&measured?);
    Ok(ended?)
}

fn time(args: &ArgMatches, name: &str) -> Result<Duration, ConfigError> {
    let text = args.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    duration(text).map_err(|why| ConfigError::new(format!("--{name} {why}")))
}

fn number(args: &ArgMatches, name: &str) -> usize {
    args.get_one::<u16>(name).map_or(1, |n| usize::from(*n))
}

fn sessions_plan(args: &ArgMatches) -> Result<SessionsPlan, Failure> {
    Ok(SessionsPlan {
        sessions: number(args, "sessions"),
        subjects: number(args, "subjects"),
        idle: number(args, "idle"),
        rounds: number(args, "rounds"),
        warm_up: time(args, "warm-up")?,
        measure: time(args, "measure")?,
        idle_for: time(args, "idle-for")?,
    })
}

fn plan(args: &ArgMatches) -> Result<JournalPlan, Failure> {
    let (time, number) = (|name: &str| time(args, name), |name: &str| number(args, name));
    Ok(JournalPlan {
        writers: args.get_many::<u16>("writers").into_iter().flatten().map(|n| usize::from(*n)).collect(),
        threads: number("threads"),
        rounds: number("rounds"),
        warm_up: time("warm-up")?,
        measure: time("measure")?,
        inserts: number("inserts"),
        gap: time("gap")?,
    })
}
