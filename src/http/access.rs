//! Who asks, by the token in the head of the request, and what of the journal they may see.

use std::time::{Duration, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, SEC_WEBSOCKET_PROTOCOL};

use tokio::time::Instant;

use super::context::Context;
use super::problem::Problem;
use super::query::{TOKEN_IN_ADDRESS, is_token};
use super::refusals;
use super::visit::Visit;
use crate::auth::{Action, Extent, Identity, Presence, Refused};
use crate::clock::Clock;
use crate::db::Requester;
use crate::journal::{Filter, FilterError, Owners};
use crate::tail::pages::View;
use crate::view::{PRIVATE, PUBLIC, time_text};

/// The sub-protocol that the server speaks.
pub(super) const PROTOCOL: &str = "rowcast.v1";
/// What a sub-protocol begins with that is a token.
const BEARER_PROTOCOL: &str = "bearer.";

/// How often the clock is looked at for the end of a token: it may have been set.
const CLOCK_LOOK: Duration = Duration::from_secs(15);
/// How long a request waits for a node that has just started to know who is revoked.
const KNOWN_LIMIT: Duration = Duration::from_secs(5);

/// Why a token lets nobody in.
#[derive(Debug)]
pub(super) enum NotIn {
    /// It is none, or its role is unknown, or its address has tried too many, or the server cannot tell yet.
    Refused(Problem),
    /// It was good until its subject was revoked.
    Revoked,
}

impl From<NotIn> for Problem {
    fn from(not_in: NotIn) -> Self {
        match not_in {
            NotIn::Refused(problem) => problem,
            // The same as for any other bad token: who holds a stolen one need not learn why it ended.
            NotIn::Revoked => Self::token_not_accepted(),
        }
    }
}

/// Whoever the token of this request speaks for.
pub(super) async fn identify(context: &Context, visit: &Visit, headers: &HeaderMap) -> Result<Identity, Problem> {
    match bearer(headers)? {
        Some(token) => Ok(verify(context, visit, &token).await?),
        None => Err(Problem::unauthorized("A bearer token is needed.")),
    }
}

/// Checks a token. Those whose signature is not of a known key are counted against the address that they come from. A good
/// one is let in whatever its neighbours at that address have sent: 128 bits and more are not guessed at any rate, and
/// checking a signature costs less than the request around it.
pub(super) async fn verify(context: &Context, visit: &Visit, token: &str) -> Result<Identity, NotIn> {
    let identity = match context.verifier.examine(token).await {
        Ok(identity) => identity,
        Err(no) => {
            tracing::debug!(why = no.why, "a token is refused");
            if !no.genuine {
                visit.guessed(context).await.map_err(NotIn::Refused)?;
            }
            return Err(NotIn::Refused(match no.refused {
                Refused::Unauthorized => Problem::token_not_accepted(),
                Refused::Forbidden => Problem::forbidden("The role of the token is not known here."),
            }));
        }
    };
    if !context.revoked.known(KNOWN_LIMIT).await {
        let problem = Problem::because(refusals::DATABASE_UNAVAILABLE, "This node does not know yet who is revoked.");
        return Err(NotIn::Refused(problem.retry_after(Duration::from_secs(1))));
    }
    if context.revoked.holds(&identity) {
        return Err(NotIn::Revoked);
    }
    context.revoked.let_in(&identity, context.clock.unix_seconds());
    Ok(identity)
}

/// Whether the role of a token may do this at all.
pub(super) fn permit(identity: &Identity, action: Action) -> Result<(), Problem> {
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
pub(super) enum UpgradeToken {
    /// In the `Authorization` header, which no browser can send.
    Header(String),
    /// As a sub-protocol, as browsers must send it.
    Protocol(String),
}

/// Reads the token that came with an upgrade.
pub(super) fn upgrade_token(headers: &HeaderMap) -> Result<Option<UpgradeToken>, Problem> {
    if let Some(token) = bearer(headers)? {
        return Ok(Some(UpgradeToken::Header(token)));
    }
    let token = protocols(headers).find_map(|name| name.strip_prefix(BEARER_PROTOCOL).map(str::to_owned));
    // A browser gives up a connection whose answer selects none of its sub-protocols, and the token is none to be selected.
    if token.is_some() && !offers_protocol(headers) {
        return Err(Problem::bad_request(
            "A token as a sub-protocol needs rowcast.v1 beside it: Sec-WebSocket-Protocol: rowcast.v1, bearer.<token>.",
        ));
    }
    Ok(token.map(UpgradeToken::Protocol))
}

/// Whom the token of an upgrade speaks for, if that may read.
pub(super) async fn upgrade_identity(context: &Context, visit: &Visit, token: &str) -> Result<Identity, NotIn> {
    let identity = verify(context, visit, token).await?;
    permit(&identity, Action::Read).map_err(NotIn::Refused)?;
    Ok(identity)
}

/// Whether a client offers the protocol that the server speaks.
pub(super) fn offers_protocol(headers: &HeaderMap) -> bool {
    protocols(headers).any(|name| name == PROTOCOL)
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    listed(headers, &SEC_WEBSOCKET_PROTOCOL)
}

/// The items of a header that is a comma list, however many lines it has.
pub(super) fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// Whose share of the database the statements of this one count against.
pub(super) fn requester(identity: &Identity) -> Requester {
    Requester::subject(identity.subject())
}

/// Who reads: somebody by name, or everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reader {
    /// Whoever asks; sees what is public.
    Public,
    /// The one that a token speaks for.
    Known(Identity),
}

impl Reader {
    /// What events look like to it.
    pub(super) fn view(&self) -> View {
        match self {
            Self::Public => PUBLIC,
            Self::Known(_) => PRIVATE,
        }
    }

    /// How it is told of that.
    pub(super) fn view_name(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Known(_) => "private",
        }
    }

    /// Who it is, if that is known.
    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Public => None,
            Self::Known(identity) => Some(identity),
        }
    }

    /// Whether it may do any of this.
    pub(super) fn may(&self, action: Action) -> bool {
        self.identity().is_some_and(|identity| identity.role().may(action))
    }

    /// Whose events it may see.
    pub(super) fn owners(&self) -> Owners {
        let Self::Known(identity) = self else { return Owners::Nobody };
        let (role, subject) = (identity.role(), identity.subject().to_string());
        match (role.may(Action::OthersRows), role.extent(Action::Read)) {
            (true, _) => Owners::Any,
            (false, Extent::All) => Owners::NobodyOr(subject),
            (false, Extent::Own | Extent::No) => Owners::Only(subject),
        }
    }

    /// Whose share of the database its statements count against: that of its subject, or of the visit's address.
    pub(super) fn requester(&self, visit: &Visit) -> Requester {
        self.identity().map_or_else(|| visit.requester(), requester)
    }

    /// The filter that it asks for, and no more than it may see. Owners are not for clients to ask for; and by what the
    /// public cannot see of an event it cannot look for one either, or it would learn that by asking.
    pub(super) fn filter<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Filter, FilterError> {
        let mut kept = Vec::new();
        for (name, value) in pairs {
            let hidden = match self {
                Self::Public => matches!(name, "owner" | "subject" | "trade_id"),
                Self::Known(_) => name == "owner",
            };
            if is_token(name) {
                return Err(FilterError { name: name.to_owned(), reason: TOKEN_IN_ADDRESS });
            }
            if hidden {
                return Err(FilterError { name: name.to_owned(), reason: "is not known" });
            }
            kept.push((name, value));
        }
        Ok(Filter::parse(kept)?.seen_by(self.owners()))
    }
}

/// Waits until the token of a reader is no longer good: it has come to its end, or its subject is revoked.
pub(super) async fn no_longer(context: &Context, reader: &Reader, presence: Option<&Presence>) -> Problem {
    let mut expiry = Expiry::of(&context.clock, reader);
    let expired = async {
        while !expiry.has_come() {
            tokio::time::sleep_until(expiry.look()).await;
        }
    };
    tokio::select! {
        () = revoked(presence) => {}
        () = expired => {}
    }
    Problem::token_not_accepted()
}

/// Waits until a reader is shut out; for ever, if it is one that cannot be.
pub(super) async fn revoked(presence: Option<&Presence>) {
    match presence {
        Some(presence) => presence.revoked().await,
        None => std::future::pending().await,
    }
}

/// Registers a reader for as long as it stays, so that a revocation finds it.
pub(super) fn enter(context: &Context, reader: &Reader) -> Result<Option<Presence>, NotIn> {
    let Some(identity) = reader.identity() else { return Ok(None) };
    context.revoked.enter(identity).map(Some).ok_or(NotIn::Revoked)
}

/// A second of a token as text; the last one that a year of four digits has, for all beyond it.
pub(super) fn second_text(second: u64) -> String {
    time_text(UNIX_EPOCH + Duration::from_secs(second.min(253_402_300_799)))
}

/// The end of a reader's token, by the clock on the wall: that is what tokens are dated by. It may jump, so it is looked at
/// again and again.
#[derive(Debug)]
pub(super) struct Expiry {
    clock: Clock,
    ends_at: u64,
    look: Instant,
}

impl Expiry {
    /// Of a reader without a token it never comes.
    pub(super) fn of(clock: &Clock, reader: &Reader) -> Self {
        let ends_at = reader.identity().map_or(u64::MAX, Identity::ends_at);
        Self { clock: clock.clone(), ends_at, look: Instant::now() }
    }

    /// When to ask [`Self::has_come`] again.
    pub(super) fn look(&self) -> Instant {
        self.look
    }

    /// Something else is to be looked at as soon.
    pub(super) fn look_within(&mut self, time: Duration) {
        self.look = self.look.min(Instant::now() + time);
    }

    /// Looks at the clock.
    pub(super) fn has_come(&mut self) -> bool {
        let left = self.until(self.ends_at);
        self.look = Instant::now() + left.min(CLOCK_LOOK);
        left.is_zero()
    }

    /// How long it is from now to a second of a token, which may say any number.
    pub(super) fn until(&self, second: u64) -> Duration {
        let wall = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(second).saturating_sub(wall)
    }
}
