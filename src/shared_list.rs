//! A small list that every node keeps whole in memory (the public taxonomy, the revoked subjects), as text, with the moment as of
//! which it is known. A node reads it from Postgres; the relay copies it to the edges.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

/// A list, as text.
#[derive(Debug, Clone)]
pub struct SharedList {
    /// The moment at which the reading of it began. It is true as of this moment or a later one.
    pub read_at: Instant,
    /// The list.
    pub text: Arc<str>,
}

/// The list that others have read for this node; none while nobody does.
pub type GivenList = watch::Receiver<Option<SharedList>>;

/// The list that is given at this moment.
pub fn given_now(given: &mut Option<GivenList>) -> Option<SharedList> {
    given.as_mut().and_then(|given| given.borrow_and_update().clone())
}

/// Waits until another list is given, or none any more. Never returns if nobody gives lists.
pub async fn given_changed(given: &mut Option<GivenList>) {
    if let Some(given) = given
        && given.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
