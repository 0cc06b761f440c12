//! A token while its stream is open: when it expires, and whether its subject is revoked meanwhile.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::auth::{Identity, Presence, Revoked};
use crate::clock::Clock;
use crate::http::request::authenticate::AccessError;
use crate::http::request::viewer::Viewer;
use crate::http::response::problem::Problem;

/// How often the clock is looked at for the end of a token: it may have been set.
const CLOCK_LOOK: Duration = Duration::from_secs(15);
/// Waits until the token of a viewer is no longer good: it has come to its end, or its subject is revoked.
pub(in crate::http) async fn no_longer(clock: &Clock, viewer: &Viewer, presence: Option<&Presence>) -> Problem {
    let mut expiry = TokenExpiry::of(clock, viewer);
    let expired = async {
        while !expiry.has_come() {
            tokio::time::sleep_until(expiry.look()).await;
        }
    };
    tokio::select! {
        () = revoked(presence) => {}
        () = expired => {}
    }
    Problem::token_not_accepted()
}

/// Waits until a viewer is shut out; for ever, if it is one that cannot be.
pub(in crate::http) async fn revoked(presence: Option<&Presence>) {
    match presence {
        Some(presence) => presence.revoked().await,
        None => std::future::pending().await,
    }
}

/// Registers a viewer for as long as it stays, so that a revocation finds it.
pub(in crate::http) fn enter(revoked: &Revoked, viewer: &Viewer) -> Result<Option<Presence>, AccessError> {
    let Some(identity) = viewer.identity() else { return Ok(None) };
    revoked.enter(identity).map(Some).ok_or(AccessError::Revoked)
}

/// The end of a viewer's token, by the clock on the wall: that is what tokens are dated by. It may jump, so it is looked at
/// again and again.
#[derive(Debug)]
pub(in crate::http) struct TokenExpiry {
    clock: Clock,
    ends_at: u64,
    look: Instant,
}

impl TokenExpiry {
    /// Of a viewer without a token it never comes.
    pub(in crate::http) fn of(clock: &Clock, viewer: &Viewer) -> Self {
        let ends_at = viewer.identity().map_or(u64::MAX, Identity::ends_at);
        Self { clock: clock.clone(), ends_at, look: Instant::now() }
    }

    /// When to ask [`Self::has_come`] again.
    pub(in crate::http) fn look(&self) -> Instant {
        self.look
    }

    /// Something else is to be looked at as soon.
    pub(in crate::http) fn look_within(&mut self, time: Duration) {
        self.look = self.look.min(Instant::now() + time);
    }

    /// Looks at the clock.
    pub(in crate::http) fn has_come(&mut self) -> bool {
        let left = self.until(self.ends_at);
        self.look = Instant::now() + left.min(CLOCK_LOOK);
        left.is_zero()
    }

    /// How long it is from now to a second of a token, which may say any number.
    pub(in crate::http) fn until(&self, second: u64) -> Duration {
        let wall = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(second).saturating_sub(wall)
    }
}
