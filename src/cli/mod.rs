//! The command line: one binary, a module a command. Data goes to standard output, everything else to standard error;
//! the exit code is 0, 1 for a failure, 2 for wrong usage.

mod append;
mod bench;
mod commands;
mod demo;
mod dev;
mod development;
mod doctor;
mod failure;
mod migrate;
mod output;
mod publish;
mod revoke;
mod serve;
mod speaker;
mod tables;
mod tail;
mod token;
mod trim;
mod verify;

use std::process::ExitCode;

use clap::ArgMatches;
use tokio::runtime::Runtime;

use self::failure::Failure;
use crate::config::{ConfigError, SETTINGS, Source};
use crate::telemetry;
use crate::view::Redaction;
use crate::view::redact::REDACTED;

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let matches = match commands::all().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are what was asked for; the rest is wrong usage.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _terminal_gone = without_secrets(error).print();
            return ExitCode::from(code);
        }
    };
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let line = failure.to_string();
            if !line.is_empty() {
                output::complain(&line);
            }
            match failure {
                Failure::Interrupted(signal) => ExitCode::from(signal.exit_code()),
                failure if failure.is_usage() => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// A complaint about an argument repeats it, and the argument may be a URL with a password in it, or a token.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        if let Some(ContextValue::String(value)) = error.get(kind) {
            // Before an @ stands who logs in, in whatever form.
            let value = value.rsplit_once('@').map_or(value.clone(), |(_, place)| format!("{REDACTED}@{place}"));
            let value = Redaction::built_in().text(&value).into_owned();
            error.insert(kind, ContextValue::String(value));
        }
    }
    error
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, args)) = matches.subcommand() else { return Ok(()) };
    // The flags of a command within a command are its own.
    let source = match source(args.subcommand().map_or(args, |(_, inner)| inner)) {
        // The doctor tells this as one of its findings.
        Err(error) if name == "doctor" => return doctor::refused(&error, args),
        source => development::complete(source?, name, args)?,
    };
    let log = source.log()?;
    let redaction = Redaction::with(source.redact()?);
    telemetry::start(
        &log.filter,
        log.json,
        move |line| {
            if log.json { redaction.json_line(line) } else { redaction.text(line) }
        },
    );
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(command(name, source, args));
    if matches!(outcome, Err(Failure::Interrupted(_))) {
        // Otherwise it would wait for what runs on threads of its own.
        runtime.shutdown_background();
    }
    outcome
}

async fn command(name: &str, source: Source, args: &ArgMatches) -> Result<(), Failure> {
    match name {
        "dev" => Box::pin(dev::run(source, args)).await,
        "serve" => Box::pin(serve::run(&source)).await,
        "migrate" => Box::pin(migrate::run(&source, args)).await,
        "append" => Box::pin(append::run(&source, args)).await,
        "tail" => Box::pin(tail::run(&source, args)).await,
        "trim" => Box::pin(trim::run(&source, args)).await,
        "revoke" => Box::pin(revoke::run(&source, args)).await,
        "speaker" => Box::pin(speaker::run(&source, args)).await,
        "token" => token::run(&source, args),
        "publish" => Box::pin(publish::publish(&source, args)).await,
        "unpublish" => Box::pin(publish::unpublish(&source, args)).await,
        "verify" => Box::pin(verify::run(&source, args)).await,
        "doctor" => Box::pin(doctor::run(&source, args)).await,
        "demo" => Box::pin(demo::run(&source, args)).await,
        "bench" => Box::pin(bench::run(args)).await,
        other => unreachable!("clap knows no command {other}"),
    }
}

/// The settings of this run: this command's flags over the environment.
fn source(args: &ArgMatches) -> Result<Source, ConfigError> {
    let flag = |name: &'static str| {
        let value = args.try_get_one::<String>(name).ok().flatten();
        value.map(|value| (name, value.clone()))
    };
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        // A name that is not text is not ours; a value that is not text becomes one that no setting accepts.
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    Source::new(environment, SETTINGS.iter().filter_map(|s| flag(s.name)))
}
