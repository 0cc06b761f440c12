//! HTTP, WebSocket and SSE. hyper and tungstenite are known here and nowhere else.
//!
//! The rooms, each of which uses only those before it: `connection`, `response`, `request`, `stream` and `api`, the table of
//! routes, `server`.

mod api;
mod connection;
mod fetch;
mod request;
mod response;
mod routes;
mod server;
mod stream;

pub use self::connection::socket::{Input, MAX_MESSAGE, PING, Socket, SocketError};
pub use self::fetch::HttpFetch;
pub use self::request::body::{BODY_LIMIT, MAX_BODY_BYTES};
pub use self::request::context::{Context, Guards};
pub use self::request::readiness::{Readiness, TailView};
pub use self::server::listener::{HEADER_LIMIT, ListenError, Server};
