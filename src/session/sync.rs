//! Reading what one has written: the point up to which everything was committed before a question, and the wait until the head of
//! this node has reached it. Nothing here knows of requests or sessions.
//!
//! A number is drawn from the sequence before its row is committed. So the last value of the sequence, read after the question, lies
//! at or above every event that was committed before it.

use std::time::Duration;

use tokio_postgres::Client;

use super::announcer::Announcer;
use super::read_error::ReadError;
use super::reader::MAX_RETRY_DELAY;
use super::sync_point::SyncPoint;
use crate::clock::jitter;
use crate::db::{Database, DatabaseError, Lane, MisroutedConnections, Requester};
use crate::journal::drawn_from;
use crate::tail::pages::{Pages, Position};
use crate::view::Views;

/// The head did not reach a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the head of this node did not reach the point in time")]
pub struct NotReached;

impl Announcer {
    /// Reads the point up to which everything lies that was committed before this call. All who ask at the same moment share one
    /// reading, which begins after their calls.
    pub async fn sync_point(&self) -> Result<SyncPoint, ReadError> {
        self.known_position().await?;
        let (pages, database) = (self.pages().clone(), self.database().clone());
        let read = move || {
            let (pages, database) = (pages.clone(), database.clone());
            async move { read_point(&pages, &database).await }
        };
        let point = self.sync_readings.ask(read).await;
        point.unwrap_or_else(|| Err(ReadError::Unavailable("the reading of the sequence ended early".to_owned())))
    }

    /// Waits until the announced head is at or beyond a point, and returns that head. If the history changes meanwhile, or the server
    /// was lost and found again, the point is read anew.
    pub async fn reach(&self, point: SyncPoint, within: Duration) -> Result<Position, NotReached> {
        tokio::time::timeout(within, self.reached(point)).await.map_err(|_| NotReached)
    }

    async fn reached(&self, mut point: SyncPoint) -> Position {
        let mut announced = self.subscribe();
        loop {
            let SyncPoint { seq, epoch, publications } = point;
            let has_moved =
                |now: &Position| now.known && (now.epoch > epoch || (now.epoch == epoch && now.head >= seq));
            let moved = tokio::select! {
                biased;
                () = self.pages().journal().published_after(publications) => None,
                moved = announced.wait_for(has_moved) => moved.ok().map(|position| position.clone()),
            };
            match moved {
                Some(position) if position.epoch == epoch => return position,
                _ => point = self.point_again(point).await,
            }
        }
    }

    /// Reads a point anew, until it succeeds. In the same history the lower one of both points counts: after a crash the sequence may
    /// have gone back, and may never come to the number that was read before.
    async fn point_again(&self, before: SyncPoint) -> SyncPoint {
        loop {
            match self.sync_point().await {
                Ok(now) if now.epoch == before.epoch => return SyncPoint { seq: now.seq.min(before.seq), ..now },
                Ok(now) => return now,
                Err(error) => {
                    tracing::debug!(%error, "a sync point cannot be read anew");
                    tokio::time::sleep(MAX_RETRY_DELAY.mul_f64(jitter())).await;
                }
            }
        }
    }
}

/// Reads the last value of the sequence, from the journal that the tail follows and from no other.
async fn read_point(pages: &Pages<Views>, database: &Database) -> Result<SyncPoint, ReadError> {
    let mut misrouted = MisroutedConnections::default();
    loop {
        // In this order: the tail raises the epoch before it publishes the journal of the new history.
        let publications = pages.journal().publications();
        let followed = pages.journal().known()?;
        let Position { head, epoch, .. } = pages.position();
        let look = async |client: &mut Client| drawn_from(client, &followed, head).await;
        let drawn = database.run_proven(Lane::Read, &Requester::SERVER, &mut misrouted, look).await?;
        let drawn = drawn.transpose().map_err(DatabaseError::from)?;
        let Some(seq) = drawn.filter(|_| pages.journal().publications() == publications) else { continue };
        if seq > pages.position().head {
            pages.want_look();
        }
        return Ok(SyncPoint { seq, epoch, publications });
    }
}
