//! A session over a WebSocket. `accept` answers the upgrade and `upgrade` decides who may have one, `handshake` finds out who
//! comes and what is wanted, `session` follows the stream, and `close` ends it.

mod accept;
mod client_message;
mod close;
mod handshake;
mod message_rate;
mod pings;
mod serve;
mod session;
mod session_stream;
mod upgrade;

pub(in crate::http) use self::serve::serve;
pub(in crate::http) use self::upgrade::upgrade;
