//! The command line of `rowcast bench`.

use std::path::PathBuf;

use clap::{Arg, Command, value_parser};

use super::flags::settings;

pub(super) fn bench() -> Command {
    Command::new("bench")
        .about("Measures, as docs/BENCHMARKS.md says")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(journal())
        .subcommand(sessions())
        .subcommand(Command::new("relay").hide(true).after_help("Example:\n  rowcast bench relay"))
        .after_help("Example:\n  rowcast bench journal")
}

fn journal() -> Command {
    let number = |name: &'static str, most: u16, default: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).value_name("N").default_value(default).help(help);
        arg.value_parser(value_parser!(u16).range(1..=i64::from(most)))
    };
    let time = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("DURATION").default_value(default).help(help)
    };
    let command = Command::new("journal")
        .about("What the journal costs its writers, and how soon its tail has what they commit")
        .arg(number("writers", 150, "16,64", "How many write at the same time").value_delimiter(','))
        .arg(number("rounds", 100, "3", "How often each is measured, by turns"))
        .arg(time("measure", "5s", "How long a round of appends is measured"))
        .arg(time("warm-up", "1s", "How long it runs before that"))
        .arg(number("inserts", 10_000, "300", "How many inserts a round of the latency has, on each side"))
        .arg(time("gap", "20ms", "The time between two of them"))
        .arg(number("threads", 64, "2", "The threads that the writers share"));
    let command = testbed(command);
    settings(command, &[]).after_help("Example:\n  rowcast bench journal --writers 64 --rounds 5 > figures.md")
}

fn sessions() -> Command {
    let number = |name: &'static str, least: u16, most: u16, default: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).value_name("N").default_value(default).help(help);
        arg.value_parser(value_parser!(u16).range(i64::from(least)..=i64::from(most)))
    };
    let time = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("DURATION").default_value(default).help(help)
    };
    let command = Command::new("sessions")
        .about("What a delivery costs, beside a plain relay, and what a session costs that waits")
        .arg(number("sessions", 1, 15_000, "1000", "How many follow everything"))
        .arg(number("subjects", 1, 15_000, "5000", "How many follow one subject each"))
        .arg(number("idle", 1, 15_000, "10000", "How many wait"))
        .arg(number("rounds", 1, 100, "3", "How often it is measured, by turns"))
        .arg(time("measure", "5s", "How long a round is measured"))
        .arg(time("warm-up", "2s", "How long it runs before that"))
        .arg(time("idle-for", "40s", "How long the waiting is measured"));
    let command = testbed(command);
    settings(command, &[]).after_help("Example:\n  rowcast bench sessions --rounds 5 > figures.md")
}

/// Where it is measured.
fn testbed(command: Command) -> Command {
    command
        .arg(Arg::new("server").long("server").value_name("URL").conflicts_with("dir").help(
            "A Postgres to measure on, in databases made for it and dropped; without it, a throw-away cluster \
                 (DATABASE_URL is not used, so that no load goes where nobody meant it)",
        ))
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where the throw-away cluster is made; by default the folder for temporary files"),
        )
}
