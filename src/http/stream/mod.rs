//! The journal as clients read it: a page, server-sent events, a session over a WebSocket, or a durable stream.

pub(in crate::http) mod durable;
mod ended;
pub(in crate::http) mod page;
pub(in crate::http) mod snapshot;
pub(in crate::http) mod sse;
mod subscription;
mod token_watch;
pub(in crate::http) mod ws;
