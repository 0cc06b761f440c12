//! The journal as clients read it: a page, server-sent events, or a session over a WebSocket.

pub(in crate::http) mod page;
pub(in crate::http) mod snapshot;
pub(in crate::http) mod sse;
mod subscription;
mod token_watch;
pub(in crate::http) mod ws;
