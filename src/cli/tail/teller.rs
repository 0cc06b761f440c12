//! What happens to the connection, on standard error.

use super::line::safe;
use crate::cli::output;
use crate::client::{Heartbeat, Item};

/// Says what happens to a stream, and what is new of it only once.
#[derive(Default)]
pub(super) struct Teller {
    stalled: bool,
    live: bool,
}

impl Teller {
    /// Says what happens to the connection. Events are no concern of it.
    pub(super) fn tell(&mut self, item: &Item) {
        match item {
            Item::Connected(hello) => {
                output::tell(&safe(&format!("connected at cursor {}, head {}", hello.cursor, hello.head)));
            }
            Item::Resumed(hello) => output::tell(&safe(&format!("resumed at cursor {}", hello.cursor))),
            Item::Lost { why, retry_in } => {
                output::tell(&safe(&format!("{why}; trying again in {:.1} s", retry_in.as_secs_f64())));
            }
            Item::Draining { retry_in } => {
                output::tell(&format!("the server shuts down; coming back in {:.1} s", retry_in.as_secs_f64()));
            }
            Item::Live(_) if !self.live => {
                self.live = true;
                output::tell("live: the backlog is read");
            }
            Item::Heartbeat(heartbeat) => self.tell_stalled(heartbeat),
            _ => {}
        }
    }

    fn tell_stalled(&mut self, heartbeat: &Heartbeat) {
        let stalled = heartbeat.stalled.as_ref().filter(|stalled| !stalled.is_null());
        match (stalled, self.stalled) {
            (Some(stalled), false) => output::tell(&safe(&format!("the stream is held back: {stalled}"))),
            (None, true) => output::tell("the stream is not held back any more"),
            _ => {}
        }
        self.stalled = stalled.is_some();
    }
}
