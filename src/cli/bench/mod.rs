//! `rowcast bench`: the load generator behind `docs/BENCHMARKS.md`. What it compares runs side by side in one run, for
//! figures of different runs on a shared machine say little about each other.
//!
//! `place` is where it runs, `load` who writes, `readers` who reads, `journal` what is measured and in which order,
//! `figures` and `report` what becomes of it.

mod figures;
mod journal;
mod load;
mod place;
mod readers;
mod report;

use std::path::PathBuf;

use clap::ArgMatches;

use super::{Failure, output};
use crate::config::{ConfigError, Secret, duration};
use crate::shutdown;
use journal::Plan;
use place::Place;

/// Runs what was asked for. Whatever becomes of it, nothing is left behind.
pub(super) async fn run(args: &ArgMatches) -> Result<(), Failure> {
    let Some(("journal", args)) = args.subcommand() else { unreachable!("clap knows no other benchmark") };
    let stop = shutdown::signals()?;
    let plan = plan(args)?;
    let place = match args.get_one::<String>("server") {
        Some(url) => Place::on(&Secret::new(url.as_str())).await?,
        None => Place::throw_away(args.get_one::<PathBuf>("dir").cloned()).await?,
    };
    let measured = tokio::select! {
        measured = journal::run(&place, &plan) => measured,
        signal = stop => {
            output::tell(&format!("{signal}: stopping"));
            Err(Failure::Told)
        }
    };
    let ended = place.end().await;
    output::print(&measured?);
    ended
}

fn plan(args: &ArgMatches) -> Result<Plan, Failure> {
    let time = |name: &str| {
        let text = args.get_one::<String>(name).map(String::as_str).unwrap_or_default();
        duration(text).map_err(|why| ConfigError::new(format!("--{name} {why}")))
    };
    let number = |name: &str| args.get_one::<u16>(name).map_or(1, |n| usize::from(*n));
    Ok(Plan {
        writers: args.get_many::<u16>("writers").into_iter().flatten().map(|n| usize::from(*n)).collect(),
        threads: number("threads"),
        rounds: number("rounds"),
        warm_up: time("warm-up")?,
        measure: time("measure")?,
        inserts: number("inserts"),
        gap: time("gap")?,
    })
}
