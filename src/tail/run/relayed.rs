//! The tail of an edge while it reads the copy in Redis: one blocking read after another, and Postgres for what is missing.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::super::pages::Render;
use super::super::relay::{Arrival, Arrived, ListsOfEdge, PATIENCE, Reader, RelayError, Report, Source};
use super::super::statements::{self, Server};
use super::super::status::{Hearing, LiveFrom, StallReason, Stalled, TailStatus};
use super::batch::BatchSize;
use super::lost::{LostConnection, read_identified_within, within_limit};
use super::state::Tail;
use crate::journal::{Batch, read_range, trimmed_through};
use crate::shutdown::Shutdown;

/// How long one read waits for something new.
const WAIT: Duration = Duration::from_secs(1);
/// The age of a report from which on its lists are read from Postgres: what is revoked or hidden counts within a second.
const LISTS_AGE: Duration = Duration::from_millis(600);

/// One connection to Redis, from its first report to its end.
pub(super) struct RelayedConnection {
    reader: Reader,
    batch_size: BatchSize,
    /// The newest report, until everything that it tells of has arrived.
    due: Option<Report>,
    /// The moment at which the newest report was written.
    reported_at: Instant,
}

impl RelayedConnection {
    /// Connects, waits for a report, and makes sure by Postgres that the history which it names is the one that was handed out.
    pub(super) async fn begin<R: Render>(tail: &mut Tail<R>, source: &Source) -> Result<Self, LostConnection> {
        let (mut reader, report) = source.open().await?;
        tail.count(|c| c.connections += 1);
        if tail.memory.history != Some(report.journal) || tail.memory.decided.is_none() {
            let decided = tail.resume_at(&report).await?;
            // The numbers between the newest event and the head are handed out as empty; an event among them would be noticed.
            tracing::debug!(decided, "the history of the copy is known");
        }
        reader.skip_to(tail.memory.newest().unwrap_or(0).min(tail.pages.position().head));
        Ok(Self { reader, batch_size: BatchSize::default(), due: Some(report), reported_at: Instant::now() })
    }

    /// Hands out what arrives until the shutdown, and then returns `Ok`.
    pub(super) async fn follow<R: Render>(
        mut self,
        tail: &mut Tail<R>,
        lists: &mut ListsOfEdge,
        shutdown: &Shutdown,
    ) -> Result<(), LostConnection> {
        if let Some(report) = self.due.clone() {
            self.believe(tail, &report);
        }
        loop {
            let events = self.batch_size.read_budget().rows.min(512);
            let lists_left = LISTS_AGE.saturating_sub(self.reported_at.elapsed());
            let wait = if lists_left.is_zero() { WAIT } else { lists_left };
            let arrival = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                arrival = self.reader.next(events, wait) => arrival?,
                // While a read waits, for as long as it says or for a Redis that does not answer.
                never = withdraw_after(lists, lists_left) => match never {},
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                taken = Box::pin(self.take(tail, lists, arrival)) => taken?,
            }
            if self.reported_at.elapsed() > PATIENCE {
                return Err(RelayError::Silent(PATIENCE).into());
            }
        }
    }

    /// Takes what one read has brought.
    async fn take<R: Render>(
        &mut self,
        tail: &mut Tail<R>,
        lists: &mut ListsOfEdge,
        arrival: Arrival,
    ) -> Result<(), LostConnection> {
        let Arrival { events, report, late_by, lists: texts } = arrival;
        for (name, text) in texts {
            lists.arrived(name, &text);
        }
        let brought_none = events.is_empty();
        self.hand_out(tail, events).await?;
        // The events that a report tells of were written before it. If a read that began after the report brings none, they are lost.
        if let Some(due) = self.due.clone() {
            if brought_none && due.newest > tail.newest_or_trimmed() {
                self.read_from_postgres(tail, due.head).await?;
            }
            self.move_head(tail, &due)?;
        }
        if let Some(report) = report {
            if !self.reader.is_of(&report.journal) {
                return Err(RelayError::OtherHistory.into());
            }
            let now = Instant::now();
            self.reported_at = now.checked_sub(late_by).unwrap_or(now);
            self.believe(tail, &report);
            if late_by < LISTS_AGE {
                lists.confirm(&report);
            }
            self.due = Some(report.clone());
            self.move_head(tail, &report)?;
        }
        Ok(())
    }

    /// Hands events out, each after the one before it; reads from Postgres what is missing between them.
    async fn hand_out<R: Render>(&mut self, tail: &mut Tail<R>, events: Vec<Arrived>) -> Result<(), LostConnection> {
        let mut rows = Vec::with_capacity(events.len());
        let mut newest = tail.newest_or_trimmed();
        let mut head = tail.pages.position().head;
        for Arrived { event, previous } in events {
            if event.seq <= newest {
                continue;
            }
            if event.seq <= head || (previous > newest && previous <= head) {
                return Err(LostConnection::Redrawn);
            }
            if previous > newest {
                advance(tail, &mut self.batch_size, std::mem::take(&mut rows))?;
                self.read_from_postgres(tail, previous).await?;
                head = tail.pages.position().head;
                if event.seq <= head {
                    newest = tail.newest_or_trimmed();
                    continue;
                }
            }
            (newest, head) = (event.seq, event.seq);
            rows.push(event);
        }
        advance(tail, &mut self.batch_size, rows)
    }

    /// Moves the head to where a report says that it is, if everything that it tells of was handed out.
    fn move_head<R: Render>(&mut self, tail: &mut Tail<R>, report: &Report) -> Result<(), LostConnection> {
        if report.newest > tail.newest_or_trimmed() {
            return Ok(());
        }
        if report.head > tail.pages.position().head {
            tail.advance(Vec::new(), report.head)?;
        }
        self.due = None;
        Ok(())
    }

    /// Takes over what a report says beside the head.
    fn believe<R: Render>(&self, tail: &mut Tail<R>, report: &Report) {
        tail.pages.trim(report.trimmed);
        let proven_at = Instant::now().checked_sub(report.proof_age);
        tail.proven_at.send_replace(proven_at);
        let is_behind = report.newest > tail.newest_or_trimmed();
        tail.status.send_if_modified(|status| {
            // What is missing is read from Postgres, and clients are told as long as that does not succeed.
            let waits = |stalled: &Stalled| is_behind && stalled.reason == StallReason::Database;
            let stalled = report.stalled().or_else(|| status.stalled.clone().filter(waits));
            let new = TailStatus {
                connected: true,
                hearing: Hearing::Proven,
                hushed: false,
                stalled,
                live_from: LiveFrom::Redis,
            };
            let has_changed = *status != new;
            *status = new;
            has_changed
        });
    }

    /// Reads the events after the head up to this seq from Postgres: everything up to it is decided.
    async fn read_from_postgres<R: Render>(&mut self, tail: &mut Tail<R>, upto: i64) -> Result<(), LostConnection> {
        let begun_at = tail.pages.position().head;
        if upto <= begun_at {
            return Ok(());
        }
        tail.count(|c| c.gaps += 1);
        tail.close_gap(upto, &mut self.batch_size).await?;
        self.reader.skip_to(tail.pages.position().head);
        tracing::info!(after = begun_at, upto, "events were missing in Redis and were read from Postgres");
        Ok(())
    }
}

/// Lets the lists be read from Postgres after this time.
async fn withdraw_after(lists: &ListsOfEdge, left: Duration) -> Infallible {
    tokio::time::sleep(left).await;
    lists.withdraw();
    std::future::pending().await
}

/// Hands out events that follow each other.
fn advance<R: Render>(
    tail: &mut Tail<R>,
    batch_size: &mut BatchSize,
    rows: Vec<crate::journal::StoredEvent>,
) -> Result<(), LostConnection> {
    let Some(head) = rows.last().map(|event| event.seq) else { return Ok(()) };
    let batch = Batch { events: rows, reached: head };
    batch_size.learn_from_look(&batch);
    Ok(tail.advance(batch.events, head)?)
}

impl<R: Render> Tail<R> {
    /// The newest event that was handed out; or what retention has taken, if that is later and this node never saw it.
    fn newest_or_trimmed(&self) -> i64 {
        self.memory.newest().unwrap_or(0).max(self.pages.position().trimmed)
    }

    /// Asks Postgres for the history that a report names, and resumes in it.
    async fn resume_at(&mut self, report: &Report) -> Result<i64, LostConnection> {
        let (client, connection_task) = within_limit(self.connector.connect()).await?;
        let _ended_with_this = AbortOnDropHandle::new(connection_task);
        let server = self.server_of(&client).await?;
        let decided = self.resume(&client, &server).await?;
        if server.identity != report.journal {
            return Err(RelayError::OtherHistory.into());
        }
        Ok(decided)
    }

    /// Asks which server a connection leads to, and refuses a standby.
    pub(super) async fn server_of(&self, client: &tokio_postgres::Client) -> Result<Server, LostConnection> {
        let server = within_limit(statements::server(client)).await?;
        if server.identity.is_standby() { Err(LostConnection::Standby) } else { Ok(server) }
    }

    /// Hands out the events after the head up to a seq that is known to be decided, over a connection of its own.
    async fn close_gap(&mut self, upto: i64, batch_size: &mut BatchSize) -> Result<(), LostConnection> {
        let (client, connection_task) = within_limit(self.connector.connect()).await?;
        let _ended_with_this = AbortOnDropHandle::new(connection_task);
        let server = self.server_of(&client).await?;
        if self.memory.history != Some(server.identity) {
            return Err(LostConnection::OtherServer);
        }
        let mut reached = self.pages.position().head;
        let mut bytes = 0;
        while reached < upto {
            if self.pages.is_far(upto) || bytes >= self.pages.hot_bytes() {
                return self.jump(&client, &server, upto).await;
            }
            let begun = Instant::now();
            let read = async {
                let rows = async { Ok(read_range(&client, reached, upto, batch_size.read_budget()).await?) };
                let trimmed = async { Ok(trimmed_through(&client).await?) };
                tokio::try_join!(biased; rows, trimmed)
            };
            let ((batch, trimmed), identity, drawn) = Box::pin(read_identified_within(&client, Box::pin(read))).await?;
            if identity != server.identity || drawn < upto {
                return Err(LostConnection::OtherServer);
            }
            self.pages.trim(trimmed);
            batch_size.learn_from_read(&batch, begun.elapsed());
            (bytes, reached) = (bytes + batch.bytes(), batch.reached);
            self.advance(batch.events, reached)?;
        }
        Ok(())
    }
}
