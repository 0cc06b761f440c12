//! How events reach clients: the routes for events, WebSocket, SSE, and where a reader begins.

mod api;
mod readers;
pub(crate) mod ws;
