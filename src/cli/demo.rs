//! `rowcast demo`: plays a market against a server.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use clap::ArgMatches;

use super::{Failure, development, output};
use crate::auth::Role;
use crate::auth::token::Mint;
use crate::client::{Api, Connector, Endpoint, Tokens};
use crate::clock::Clock;
use crate::config::{Secret, Source};
use crate::demo::Player;
use crate::shutdown;

/// The life of a token that this command mints for itself; every request has a new one.
const TTL: Duration = Duration::from_secs(300);
/// The subject of such a token.
const SUBJECT: &str = "rowcast-demo";

/// Plays until the events are used up, or a signal comes.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let stop = shutdown::signals()?;
    let endpoint = development::endpoint(source, args)?;
    let authorities = args.get_one::<PathBuf>("ca-file").map(PathBuf::as_path);
    let connector = Connector::new(endpoint, authorities).map_err(|error| Failure::Said(error.to_string()))?;
    let rate = args.get_one::<u32>("rate").copied().unwrap_or(2);
    let seed = args.get_one::<u64>("seed").copied();
    let mut player = Player::new(Api::new(connector, tokens(source, args)?), seed, rate);
    let events = args.get_one::<u64>("events").copied();
    let mut stop = pin!(stop);
    let played = tokio::select! {
        played = player.play(events) => played,
        _ = &mut stop => Ok(()),
    };
    output::tell(&format!("played {} events", player.done()));
    Ok(played?)
}

/// A token that was given, or one that is minted with the secret for each request.
fn tokens(source: &Source, args: &ArgMatches) -> Result<Tokens, Failure> {
    let given = args.get_one::<String>("token").cloned().or_else(|| std::env::var("ROWCAST_TOKEN").ok());
    if let Some(token) = given.filter(|token| !token.is_empty()) {
        return Ok(Tokens::fixed(Secret::new(token.trim())));
    }
    let Some(secret) = source.jwt_secret()? else {
        let line = "no token: give --token or ROWCAST_TOKEN, or ROWCAST_JWT_SECRET to mint one with";
        return Err(Failure::Usage(line.to_owned()));
    };
    minted(source, secret)
}

/// Tokens of an engine.
fn minted(source: &Source, secret: Secret) -> Result<Tokens, Failure> {
    let (issuer, audience) = source.issuer_and_audience()?;
    let mint = move || {
        let (issuer, audience) = (issuer.as_deref(), audience.as_deref());
        Mint { subject: SUBJECT, role: Role::Engine, ttl: TTL, issuer, audience }.sign(&secret, &Clock::system())
    };
    mint()?;
    Ok(Tokens::from_source(move || mint().ok()))
}

/// Plays beside a server of this process for as long as that serves. A failure of the demo is printed and does not end the server.
pub(super) async fn beside(source: &Source, secret: Secret, url: &str) {
    let prepared = || -> Result<Player, Failure> {
        let said = |error: &dyn std::fmt::Display| Failure::Said(error.to_string());
        let endpoint: Endpoint = url.parse().map_err(|error| said(&error))?;
        let connector = Connector::new(endpoint, None).map_err(|error| said(&error))?;
        Ok(Player::new(Api::new(connector, minted(source, secret)?), None, 2))
    };
    let played = match prepared() {
        Ok(mut player) => player.play(None).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    if let Err(failure) = played {
        output::complain(&format!("the demo has ended: {failure}"));
    }
    std::future::pending().await
}
