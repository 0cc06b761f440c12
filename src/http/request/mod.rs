//! A request before it is handled: the parts of the server that handlers share, the client and its token, its quotas and its
//! body.

pub(in crate::http) mod authenticate;
pub(in crate::http) mod body;
pub(in crate::http) mod call;
pub(in crate::http) mod context;
pub(in crate::http) mod counters;
pub(in crate::http) mod headers;
pub(in crate::http) mod idempotency;
pub(in crate::http) mod origin;
pub(in crate::http) mod path;
pub(in crate::http) mod peer;
pub(in crate::http) mod quota;
pub(in crate::http) mod readiness;
pub(in crate::http) mod route;
pub(in crate::http) mod viewer;

pub(in crate::http) use crate::query;
