//! A session over a WebSocket. `upgrade` decides whether an upgrade is granted, and `accept` checks its headers. `handshake` finds the
//! viewer and the subscription, `session` sends the stream, `syncs` keeps the questions that it has
//! yet to answer, and `close` ends it.

mod accept;
mod client_message;
mod close;
mod handshake;
mod message_rate;
mod pings;
mod serve;
mod session;
mod session_stream;
mod syncs;
mod upgrade;

pub(in crate::http) use self::serve::serve;
pub(in crate::http) use self::upgrade::upgrade;
