//! A token while its stream is open: when it expires, and whether its subject is revoked meanwhile.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::auth::{Identity, Presence, RevokedSubjects};
use crate::clock::Clock;
use crate::http::request::authenticate::AccessError;
use crate::http::request::viewer::Viewer;
use crate::http::response::problem::Problem;

/// The longest time between two looks at the clock for the end of a token, since the clock may have been set.
const CLOCK_CHECK: Duration = Duration::from_secs(15);

/// Waits until a viewer loses access: its token has expired, or its subject is revoked.
pub(in crate::http) async fn access_lost(clock: &Clock, viewer: &Viewer, presence: Option<&Presence>) -> Problem {
    let mut expiry = TokenExpiry::of(clock, viewer);
    let expired = async {
        while !expiry.has_come() {
            tokio::time::sleep_until(expiry.check_at()).await;
        }
    };
    tokio::select! {
        () = revoked(presence) => {}
        () = expired => {}
    }
    Problem::token_not_accepted()
}

/// Waits until the subject of a viewer is revoked; for ever if the viewer is the public.
pub(in crate::http) async fn revoked(presence: Option<&Presence>) {
    match presence {
        Some(presence) => presence.revoked().await,
        None => std::future::pending().await,
    }
}

/// Registers a viewer until the returned value is dropped, so that a revocation ends its session. The public is not registered.
pub(in crate::http) fn register(revoked: &RevokedSubjects, viewer: &Viewer) -> Result<Option<Presence>, AccessError> {
    let Some(identity) = viewer.identity() else { return Ok(None) };
    revoked.enter(identity).map(Some).ok_or(AccessError::Revoked)
}

/// The end of a viewer's token, by the wall clock, by which tokens are dated. That clock may jump, so it is looked at again and
/// again.
#[derive(Debug)]
pub(in crate::http) struct TokenExpiry {
    clock: Clock,
    ends_at: u64,
    check_at: Instant,
}

impl TokenExpiry {
    /// The end of this viewer's token; a viewer without a token has none that comes.
    pub(in crate::http) fn of(clock: &Clock, viewer: &Viewer) -> Self {
        let ends_at = viewer.identity().map_or(u64::MAX, Identity::ends_at);
        Self { clock: clock.clone(), ends_at, check_at: Instant::now() }
    }

    /// The time at which to ask [`Self::has_come`] again.
    pub(in crate::http) fn check_at(&self) -> Instant {
        self.check_at
    }

    /// Moves the next look at the clock forward, to this time from now at the latest.
    pub(in crate::http) fn check_within(&mut self, time: Duration) {
        self.check_at = self.check_at.min(Instant::now() + time);
    }

    /// Looks at the clock. Returns true if the token has expired.
    pub(in crate::http) fn has_come(&mut self) -> bool {
        let left = self.until(self.ends_at);
        self.check_at = Instant::now() + left.min(CLOCK_CHECK);
        left.is_zero()
    }

    /// The time from now until a second of Unix time. A token may name any second.
    pub(in crate::http) fn until(&self, second: u64) -> Duration {
        let wall = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(second).saturating_sub(wall)
    }
}
