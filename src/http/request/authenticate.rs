//! Finds the token of a request, checks it, and checks that its role may do what is asked.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

use crate::auth::{Action, Identity, RevokedSubjects, TokenError, Verifier};
use crate::clock::Clock;
use crate::http::request::headers::listed;
use crate::http::request::quota::RequestQuota;
use crate::http::response::close_reason::CloseReason;
use crate::http::response::problem::Problem;
use crate::http::response::refusals;

/// The sub-protocol that the server speaks.
pub(in crate::http) const PROTOCOL: &str = "rowcast.v1";
/// The beginning of a sub-protocol that is a token.
const BEARER_PROTOCOL: &str = "bearer.";

/// How long a request waits on a node that has just started, until the node has read the list of revocations.
const REVOCATIONS_WAIT_LIMIT: Duration = Duration::from_secs(5);

/// The reason for which a token is refused.
#[derive(Debug)]
pub(in crate::http) enum AccessError {
    /// The token is not valid, its role is unknown or may not read, its address has sent too many bad tokens, or the server has not read
    /// the list of revocations yet.
    NotAllowed(Problem),
    /// The token is valid, but its subject is revoked.
    Revoked,
}

impl From<AccessError> for CloseReason {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NotAllowed(problem) => problem.into(),
            AccessError::Revoked => Self::of(refusals::REVOKED),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::NotAllowed(problem) => problem,
            // The answer is that for any bad token, so that the holder of a stolen token does not learn that it was revoked.
            AccessError::Revoked => Self::token_not_accepted(),
        }
    }
}

/// The parts that check a token: the verifier, the revocations and the clock.
#[derive(Debug)]
pub(in crate::http) struct TokenChecks {
    pub(in crate::http) verifier: Verifier,
    pub(in crate::http) revoked: RevokedSubjects,
    pub(in crate::http) clock: Clock,
}

impl TokenChecks {
    /// The identity that the token of this request speaks for.
    pub(in crate::http) async fn identify(
        &self,
        quota: &RequestQuota,
        headers: &HeaderMap,
    ) -> Result<Identity, Problem> {
        match bearer(headers)? {
            Some(token) => Ok(self.verify(quota, &token).await?),
            None => Err(Problem::unauthorized("A bearer token is needed.")),
        }
    }

    /// The identity that the token of an upgrade speaks for, if its role may read.
    pub(in crate::http) async fn identify_upgrade(
        &self,
        quota: &RequestQuota,
        token: &str,
    ) -> Result<Identity, AccessError> {
        let identity = self.verify(quota, token).await?;
        permit(&identity, Action::Read).map_err(AccessError::NotAllowed)?;
        Ok(identity)
    }

    /// Checks a token. A token that no known key has signed counts against the client's address. A valid token is accepted even if that
    /// address has sent too many such tokens: signatures of 128 bits and more cannot be guessed, and checking one costs less than the
    /// request around it.
    async fn verify(&self, quota: &RequestQuota, token: &str) -> Result<Identity, AccessError> {
        let identity = match self.verifier.examine(token).await {
            Ok(identity) => identity,
            Err(rejection) => {
                tracing::debug!(why = rejection.reason, "a token is refused");
                if !rejection.has_valid_signature {
                    quota.count_guess().await.map_err(AccessError::NotAllowed)?;
                }
                return Err(AccessError::NotAllowed(match rejection.error {
                    TokenError::Unauthorized => Problem::token_not_accepted(),
                    TokenError::Forbidden => Problem::forbidden("The role of the token is not known here."),
                }));
            }
        };
        if !self.revoked.wait_until_known(REVOCATIONS_WAIT_LIMIT).await {
            let problem =
                Problem::because(refusals::DATABASE_UNAVAILABLE, "This node does not know yet who is revoked.");
            return Err(AccessError::NotAllowed(problem.retry_after(Duration::from_secs(1))));
        }
        if self.revoked.contains(&identity) {
            return Err(AccessError::Revoked);
        }
        self.revoked.note_accepted(&identity, self.clock.unix_seconds());
        Ok(identity)
    }
}

/// Refuses an identity whose role may not do this at all.
pub(in crate::http) fn permit(identity: &Identity, action: Action) -> Result<(), Problem> {
    if identity.role().may(action) {
        return Ok(());
    }
    Err(Problem::forbidden(match action {
        Action::Read => "The role of the token may not read.",
        Action::Write => "The role of the token may not write.",
        Action::Chat => "The role of the token may not chat.",
        Action::OthersRows => "The role of the token may not see what belongs to others.",
        Action::Administer => "The role of the token may not administer.",
    }))
}

/// The token in the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (all.next(), all.next());
    let malformed = || Problem::unauthorized("The Authorization header must be Bearer and a token, once.");
    let Some(value) = first else { return Ok(None) };
    let text = value.to_str().map_err(|_| malformed())?;
    match (text.split_once(' '), second) {
        (Some((scheme, token)), None) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Ok(Some(token.to_owned()))
        }
        _ => Err(malformed()),
    }
}

/// The token that came with an upgrade.
#[derive(Debug)]
pub(in crate::http) enum UpgradeToken {
    /// The token came in the `Authorization` header, which no browser can send.
    Header(String),
    /// The token came as a sub-protocol, as browsers must send it.
    Protocol(String),
}

/// Reads the token that came with an upgrade.
pub(in crate::http) fn upgrade_token(headers: &HeaderMap) -> Result<Option<UpgradeToken>, Problem> {
    if let Some(token) = bearer(headers)? {
        return Ok(Some(UpgradeToken::Header(token)));
    }
    let token = protocols(headers).find_map(|name| name.strip_prefix(BEARER_PROTOCOL).map(str::to_owned));
    // A browser gives up a connection whose response selects none of its sub-protocols, and the server never selects the token.
    if token.is_some() && !offers_protocol(headers) {
        return Err(Problem::bad_request(
            "A token as a sub-protocol needs rowcast.v1 beside it: Sec-WebSocket-Protocol: rowcast.v1, bearer.<token>.",
        ));
    }
    Ok(token.map(UpgradeToken::Protocol))
}

/// True if the client offers the sub-protocol of the server.
pub(in crate::http) fn offers_protocol(headers: &HeaderMap) -> bool {
    protocols(headers).any(|name| name == PROTOCOL)
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    listed(headers, &SEC_WEBSOCKET_PROTOCOL)
}
