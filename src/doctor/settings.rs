//! The checks that need no database: of the configuration, the keys, Redis.

use std::sync::Arc;

use super::finding::{Finding, Patient, fail, ok, warn};
use crate::auth::Verifier;
use crate::clock::Clock;
use crate::config::{Secret, ServerConfig, TokenConfig};
use crate::db::DatabaseError;
use crate::http::HttpFetch;
use crate::limit;

/// A secret with fewer different bytes than this was typed, not drawn.
const DIFFERENT_BYTES: usize = 10;

/// Whether a server would accept all settings.
pub(super) async fn configuration(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    Ok(match ServerConfig::read(patient.source) {
        Ok(_) => ok("complete"),
        Err(error) => fail(error.to_string()),
    })
}

/// Whose tokens would be believed. Keys that are published are fetched, as a server would.
pub(super) async fn keys(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let config = match TokenConfig::read(patient.source) {
        Ok(config) => config,
        Err(error) => return Ok(fail(error.to_string())),
    };
    let verifier = match Verifier::new(&config, Clock::system(), Arc::new(HttpFetch::new())) {
        Ok(verifier) => verifier,
        Err(error) => return Ok(fail(error.to_string())),
    };
    let published = verifier.fetch_keys().await.map(|outcome| {
        let place = verifier.key_source().unwrap_or_default();
        match outcome {
            Ok(_) if is_open(&place) => {
                warn(format!("the keys from {place} come without TLS: who is between can forge tokens"))
            }
            Ok(1) => ok(format!("one key from {place}")),
            Ok(many) => ok(format!("{many} keys from {place}")),
            Err(error) => fail(format!("no keys from {place}: {error}")),
        }
    });
    Ok(config.secret.as_ref().map(judge_secret).into_iter().chain(published).fold(ok(""), join))
}

/// Whether a place is asked over a network without TLS.
fn is_open(place: &str) -> bool {
    let here = ["127.0.0.1", "localhost", "[::1]"];
    place.strip_prefix("http://").is_some_and(|rest| !here.iter().any(|host| rest.starts_with(host)))
}

/// Both findings as one line, as bad as the worse.
fn join(one: Finding, other: Finding) -> Finding {
    let between = if one.detail.is_empty() { "" } else { "; " };
    Finding { verdict: one.verdict.max(other.verdict), detail: format!("{}{between}{}", one.detail, other.detail) }
}

fn judge_secret(secret: &Secret) -> Finding {
    let mut bytes = secret.expose().as_bytes().to_vec();
    let length = bytes.len();
    bytes.sort_unstable();
    bytes.dedup();
    if bytes.len() < DIFFERENT_BYTES {
        return warn(format!(
            "ROWCAST_JWT_SECRET has {length} bytes, but only {} different ones: draw a new one (openssl rand -hex 32)",
            bytes.len()
        ));
    }
    ok(format!("ROWCAST_JWT_SECRET has {length} bytes"))
}

/// Whether Redis would count, where it is set.
pub(super) async fn redis(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    if !patient.source.is_set("ROWCAST_REDIS_URL") {
        return Ok(ok("not set: rate limits stay in the memory of each node"));
    }
    let Ok(Some(url)) = ServerConfig::read(patient.source).map(|config| config.limits.redis_url) else {
        return Ok(warn("not asked, as long as the configuration is wrong"));
    };
    Ok(match limit::probe_redis(&url).await {
        Ok(place) => ok(format!("{place} answers, and counts")),
        Err(why) => fail(why),
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_secret_of_few_different_bytes_is_told() {
        assert_eq!(judge_secret(&Secret::new("a".repeat(32))).verdict, Verdict::Warn);
        assert_eq!(judge_secret(&Secret::new("0123456789abcdef".repeat(2))).verdict, Verdict::Ok);
    }

    #[test]
    fn keys_that_cross_a_network_in_the_open_are_told() {
        assert!(is_open("http://keys.example/jwks"));
        for closed in ["https://keys.example/jwks", "http://127.0.0.1:8/x", "http://[::1]/x", "/etc/http://keys"] {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
