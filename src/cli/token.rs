//! `rowcast token`.

use clap::ArgMatches;

use super::{Failure, output};
use crate::auth::Role;
use crate::auth::token::Mint;
use crate::clock::Clock;
use crate::config::{ConfigError, Source, duration};

/// Mints a token and prints it.
pub(super) fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let secret = source
        .jwt_secret()?
        .ok_or_else(|| ConfigError::new("ROWCAST_JWT_SECRET is not set: it is what the token is signed with"))?;
    let text = |name: &str| args.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let role = Role::parse(text("role")).ok_or_else(|| Failure::Usage("--role is not a role".to_owned()))?;
    let ttl = duration(text("ttl")).map_err(|why| Failure::Usage(format!("--ttl {why}")))?;
    let (issuer, audience) = source.issuer_and_audience()?;
    let mint = Mint { subject: text("sub"), role, ttl, issuer: issuer.as_deref(), audience: audience.as_deref() };
    output::print(mint.sign(&secret, &Clock::system())?.expose());
    Ok(())
}
