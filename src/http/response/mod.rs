//! The answers: the table of refusals, the problem documents and close reasons that are made of it, bodies and headers.

pub(in crate::http) mod close_reason;
pub(in crate::http) mod headers;
pub(in crate::http) mod json;
pub(in crate::http) mod problem;
pub(in crate::http) mod refusals;
pub(in crate::http) mod request_id;
