//! One request on its way to its handler.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use uuid::Uuid;

use super::context::Context;
use super::peer::Peer;
use super::problem::Problem;
use super::visit::Visit;

/// A request that may be handled, with what was found out on the way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) context: Arc<Context>,
    pub(super) peer: Arc<Peer>,
    pub(super) visit: Arc<Visit>,
    pub(super) parameter: Parameter,
    pub(super) request: Request<Incoming>,
}

/// The part of a path that stands in the place of `{id}` or `{key}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parameter {
    /// The pattern of the route has none.
    None,
    Id(Uuid),
    Key(String),
}

impl Call {
    /// The part of the address after `?`.
    pub(super) fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }

    /// The id in the path. A route without `{id}` in its pattern has nothing at such an address.
    pub(super) fn id(&self) -> Result<Uuid, Problem> {
        match self.parameter {
            Parameter::Id(id) => Ok(id),
            Parameter::None | Parameter::Key(_) => Err(Problem::not_found()),
        }
    }

    /// The key in the path. A route without `{key}` in its pattern has nothing at such an address.
    pub(super) fn key(&self) -> Result<String, Problem> {
        match &self.parameter {
            Parameter::Key(key) => Ok(key.clone()),
            Parameter::None | Parameter::Id(_) => Err(Problem::not_found()),
        }
    }
}
