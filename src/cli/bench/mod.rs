//! `rowcast bench`: the load generator behind `docs/BENCHMARKS.md`. What it compares runs side by side in one run, for
//! figures of different runs on a shared machine say little about each other.
//!
//! `place` is where it runs, `load` who writes, `readers` who reads, `journal` what is measured and in which order,
//! `figures` and `report` what becomes of it.

mod child;
mod crowd;
mod figures;
mod journal;
mod load;
mod measured;
mod place;
mod readers;
mod report;
mod sessions;

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use super::{Failure, output};
use crate::config::{ConfigError, Secret, duration};
use crate::shutdown;
use measured::Plan;
use place::Place;

/// Runs what was asked for. Whatever becomes of it, nothing is left behind.
pub(super) async fn run(args: &ArgMatches) -> Result<(), Failure> {
    let (what, args) = args.subcommand().unwrap_or(("", args));
    if what == "relay" {
        let url = std::env::var("DATABASE_URL").map_err(std::io::Error::other)?;
        return sessions::relay(&Secret::new(url)).await;
    }
    let stop = shutdown::signals()?;
    let plan = if what == "journal" { What::Journal(plan(args)?) } else { What::Sessions(sessions_plan(args)?) };
    let place = match args.get_one::<String>("server") {
        Some(url) => Place::on(&Secret::new(url.as_str())).await?,
        None => Place::throw_away(args.get_one::<PathBuf>("dir").cloned()).await?,
    };
    let measured = tokio::select! {
        measured = measure(&place, &plan) => measured,
        signal = stop => {
            output::tell(&format!("{signal}: stopping"));
            Err(Failure::Told)
        }
    };
    let ended = place.end().await;
    output::print(&measured?);
    ended
}

enum What {
    Journal(Plan),
    Sessions(sessions::Plan),
}

async fn measure(place: &Place, what: &What) -> Result<String, Failure> {
    match what {
        What::Journal(plan) => journal::run(place, plan).await,
        What::Sessions(plan) => sessions::run(place, plan).await,
    }
}

fn time(args: &ArgMatches, name: &str) -> Result<Duration, ConfigError> {
    let text = args.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    duration(text).map_err(|why| ConfigError::new(format!("--{name} {why}")))
}

fn number(args: &ArgMatches, name: &str) -> usize {
    args.get_one::<u16>(name).map_or(1, |n| usize::from(*n))
}

fn sessions_plan(args: &ArgMatches) -> Result<sessions::Plan, Failure> {
    Ok(sessions::Plan {
        sessions: number(args, "sessions"),
        subjects: number(args, "subjects"),
        idle: number(args, "idle"),
        rounds: number(args, "rounds"),
        warm_up: time(args, "warm-up")?,
        measure: time(args, "measure")?,
        idle_for: time(args, "idle-for")?,
    })
}

fn plan(args: &ArgMatches) -> Result<Plan, Failure> {
    let (time, number) = (|name: &str| time(args, name), |name: &str| number(args, name));
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
