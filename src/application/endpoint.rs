//! The table of an application: its endpoints, what each needs and counts as, and its function.

use futures_util::future::BoxFuture;

use super::{Answered, Request};
use crate::auth::{Action, Identity};
use crate::limit::Class;
use crate::query::BadQuery;

/// An application of the server. `S` is what its functions work on, made for each request.
#[derive(Debug)]
pub struct Application<S: 'static> {
    /// The beginnings of the types of events that its own tables write, and nobody else may append.
    pub types: &'static [&'static str],
    /// Its endpoints. Those of one pattern stand one after the other, in the order of `Allow`.
    pub endpoints: &'static [Endpoint<S>],
    /// The log message for a request that could not reach the database.
    pub unavailable_message: &'static str,
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint<S> {
    /// Its methods.
    pub verb: Verb,
    /// Its address. `{id}` stands for a UUID in its usual form, `{key}` for any text without a slash.
    pub pattern: &'static str,
    /// The condition under which it is served.
    pub needs: Need,
    /// The quota that a request uses.
    pub counts_as: Rate,
    /// Its body, if it takes one.
    pub body: Option<JsonBody>,
    /// The function that answers.
    pub function: Function<S>,
}

/// The methods of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET, and HEAD for the head of the same answer.
    Get,
    /// GET without HEAD: a stream, or an upgrade.
    GetOnly,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
}

/// The condition under which an endpoint is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No condition. The request is neither limited nor logged.
    Probe,
    /// No condition, but a limit by address.
    Public,
    /// A token, whatever its role.
    Token,
    /// A token whose role may do this, at least with what is its own.
    Right(Action),
    /// A token whose role may do this with all rows, since these rows have no owner.
    RightToAll(Action),
    /// A token whose role may do this. It may come after the upgrade, so the handler asks for it.
    RightAfterUpgrade(Action),
}

/// The quota that a request uses.
#[derive(Debug, Clone, Copy)]
pub enum Rate {
    /// No quota.
    Unlimited,
    /// The quota of the client's address, before any other check.
    Address(Class),
    /// The quota of the token's subject.
    Subject(Class),
    /// The quota of the token's subject, as many times as this function computes from the body.
    Body(Class, fn(&[u8]) -> u32),
    /// The handler uses the quota itself, once it knows how much is asked for.
    InHandler,
}

/// The JSON body of an endpoint, and the checks before it is read.
#[derive(Debug, Clone, Copy)]
pub struct JsonBody {
    /// Refuses the parameters that the endpoint does not take.
    pub parameters: fn(Option<&str>) -> Result<(), BadQuery>,
    /// True if the endpoint takes an `Idempotency-Key`.
    pub takes_key: bool,
}

/// An answer that is under way.
pub type Answering = BoxFuture<'static, Answered>;

/// The function of an endpoint.
#[derive(Debug)]
pub enum Function<S> {
    /// Called without a token.
    Open(fn(S, Request) -> Answering),
    /// Called with the identity that the token speaks for, which may do what the endpoint needs.
    Known(fn(S, Identity, Request) -> Answering),
}

/// Wraps a function that takes the state and a request, and no identity.
macro_rules! open {
    ($state:pat, $request:pat => $answer:expr) => {
        |$state, $request| Box::pin(async move { $answer.await })
    };
}

/// Wraps a function that takes the state, the identity that the token speaks for, and a request.
macro_rules! known {
    ($state:pat, $identity:pat, $request:pat => $answer:expr) => {
        |$state, $identity, $request| Box::pin(async move { $answer.await })
    };
}

pub(crate) use {known, open};

/// An endpoint for everybody.
pub const fn public<S>(
    verb: Verb,
    pattern: &'static str,
    counts_as: Rate,
    function: fn(S, Request) -> Answering,
) -> Endpoint<S> {
    Endpoint { verb, pattern, needs: Need::Public, counts_as, body: None, function: Function::Open(function) }
}

/// An endpoint for those who may do this, at least with what is their own.
pub const fn right<S>(
    action: Action,
    verb: Verb,
    pattern: &'static str,
    counts_as: Rate,
    function: fn(S, Identity, Request) -> Answering,
) -> Endpoint<S> {
    Endpoint { verb, pattern, needs: Need::Right(action), counts_as, body: None, function: Function::Known(function) }
}

/// An endpoint for those who may do this with all rows, since these rows have no owner.
pub const fn right_to_all<S>(
    action: Action,
    verb: Verb,
    pattern: &'static str,
    counts_as: Rate,
    function: fn(S, Identity, Request) -> Answering,
) -> Endpoint<S> {
    Endpoint { needs: Need::RightToAll(action), ..right(action, verb, pattern, counts_as, function) }
}

impl<S> Endpoint<S> {
    /// Takes a JSON body, after this function has checked the parameters.
    #[must_use]
    pub const fn json(self, parameters: fn(Option<&str>) -> Result<(), BadQuery>) -> Self {
        Self { body: Some(JsonBody { parameters, takes_key: false }), ..self }
    }

    /// Takes a JSON body, after this function has checked the parameters, and an `Idempotency-Key`.
    #[must_use]
    pub const fn json_with_key(self, parameters: fn(Option<&str>) -> Result<(), BadQuery>) -> Self {
        Self { body: Some(JsonBody { parameters, takes_key: true }), ..self }
    }
}
