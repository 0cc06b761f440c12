//! One request on its way to its handler.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;

use crate::application::Parameter;
use crate::http::request::context::Context;
use crate::http::request::peer::Peer;
use crate::http::request::quota::RequestQuota;

/// A request whose token, rights and quotas are checked, with the parts that its handler needs.
#[derive(Debug)]
pub(in crate::http) struct Call {
    pub(in crate::http) context: Arc<Context>,
    pub(in crate::http) peer: Arc<Peer>,
    pub(in crate::http) quota: Arc<RequestQuota>,
    pub(in crate::http) parameter: Parameter,
    pub(in crate::http) request: Request<Incoming>,
}

impl Call {
    /// The part of the address after `?`.
    pub(in crate::http) fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }
}
