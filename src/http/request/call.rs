//! One request on its way to its handler.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use uuid::Uuid;

use crate::http::request::context::Context;
use crate::http::request::peer::Peer;
use crate::http::request::quota::RequestQuota;
use crate::http::response::problem::Problem;

/// A request that may be handled, with what was found out on the way.
#[derive(Debug)]
pub(in crate::http) struct Call {
    pub(in crate::http) context: Arc<Context>,
    pub(in crate::http) peer: Arc<Peer>,
    pub(in crate::http) quota: Arc<RequestQuota>,
    pub(in crate::http) parameter: Parameter,
    pub(in crate::http) request: Request<Incoming>,
}

/// The part of a path that stands in the place of `{id}` or `{key}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Parameter {
    /// The pattern of the route has none.
    None,
    Id(Uuid),
    Key(String),
}

impl Call {
    /// The part of the address after `?`.
    pub(in crate::http) fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }

    /// The id in the path. A route without `{id}` in its pattern has nothing at such an address.
    pub(in crate::http) fn id(&self) -> Result<Uuid, Problem> {
        match self.parameter {
            Parameter::Id(id) => Ok(id),
            Parameter::None | Parameter::Key(_) => Err(Problem::not_found()),
        }
    }

    /// The key in the path. A route without `{key}` in its pattern has nothing at such an address.
    pub(in crate::http) fn key(&self) -> Result<String, Problem> {
        match &self.parameter {
            Parameter::Key(key) => Ok(key.clone()),
            Parameter::None | Parameter::Id(_) => Err(Problem::not_found()),
        }
    }
}
