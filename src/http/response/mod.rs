//! The answers: the problem documents and close reasons that are made of the table of refusals, bodies and headers.

pub(in crate::http) mod close_reason;
pub(in crate::http) mod headers;
pub(in crate::http) mod json;
pub(in crate::http) mod problem;
pub(in crate::http) mod request_id;

pub(in crate::http) use crate::refusals;
