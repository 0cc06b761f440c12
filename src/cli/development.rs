//! Commands that are run beside a development cluster find it: they need no environment. A deployment that the
//! environment or a flag names always comes first, unless `--dir` asks for the development cluster by name.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{Failure, output};
use crate::client::{BadEndpoint, Endpoint};
use crate::cluster::DevState;
use crate::config::Source;

/// The commands that can work on the development cluster.
const COMMANDS: [&str; 12] = [
    "append",
    "demo",
    "doctor",
    "migrate",
    "publish",
    "revoke",
    "speaker",
    "tail",
    "token",
    "trim",
    "unpublish",
    "verify",
];

/// Settings that describe a deployment. One of them is enough for the development cluster not to be meant.
const DEPLOYMENT: [&str; 4] = ["DATABASE_URL", "ROWCAST_JWT_SECRET", "ROWCAST_JWKS", "ROWCAST_FIREBASE_PROJECT"];

/// Completes the settings of a command with those of the development cluster, where that is what is meant.
pub(super) fn complete(source: Source, name: &str, args: &ArgMatches) -> Result<Source, Failure> {
    if !COMMANDS.contains(&name) {
        return Ok(source);
    }
    let dir = args.get_one::<PathBuf>("dir").map_or(Path::new(".rowcast"), PathBuf::as_path);
    let is_asked_for = args.value_source("dir") == Some(ValueSource::CommandLine);
    if !is_asked_for && (DEPLOYMENT.iter().any(|setting| source.is_set(setting)) || has_token(args)) {
        return Ok(source);
    }
    let Some(state) = DevState::load(dir)? else {
        if is_asked_for {
            let dir = dir.display();
            return Err(Failure::Said(format!(
                "{dir} holds no development cluster: `rowcast dev --dir {dir}` makes one"
            )));
        }
        return Ok(source);
    };
    if !is_asked_for && !is_for(args, &state) {
        return Ok(source);
    }
    output::tell(&format!("using the development cluster in {} (it runs while `rowcast dev` does)", dir.display()));
    let mut source = source;
    for (setting, value) in
        [("DATABASE_URL", state.url()), ("ROWCAST_JWT_SECRET", state.jwt_secret.expose().to_owned())]
    {
        if !source.is_flag(setting) {
            source = source.with(setting, &value);
        }
    }
    Ok(source.beside(state.server_url))
}

/// The server that a client's command is for: the given one, else that of the development cluster, else the usual one.
pub(super) fn endpoint(source: &Source, args: &ArgMatches) -> Result<Endpoint, Failure> {
    if args.value_source("url") != Some(ValueSource::CommandLine)
        && let Some(server) = source.development_server()
    {
        return server.parse().map_err(|error: BadEndpoint| Failure::Said(format!("{server} {error}")));
    }
    args.get_one::<Endpoint>("url").cloned().ok_or_else(|| Failure::Usage("no --url".to_owned()))
}

/// A token is for the server that it was made for.
fn has_token(args: &ArgMatches) -> bool {
    let in_environment = || std::env::var("ROWCAST_TOKEN").is_ok_and(|token| !token.is_empty());
    args.try_contains_id("token").is_ok() && (args.contains_id("token") || in_environment())
}

/// Whether the address that a command was given, if any, is that of the development server.
fn is_for(args: &ArgMatches, state: &DevState) -> bool {
    let Ok(Some(given)) = args.try_get_raw("url") else { return true };
    if args.value_source("url") != Some(ValueSource::CommandLine) {
        return true;
    }
    let given: Vec<String> = given.map(|url| url.to_string_lossy().into_owned()).collect();
    let server = state.server_url.as_deref().unwrap_or_default();
    given.iter().all(|url| !server.is_empty() && url.trim_end_matches('/') == server)
}
