//! One connection of the tail: it listens, looks, reads, hands out and rests.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::super::bell::BellListener;
use super::super::duty::Duty;
use super::super::fence::Fences;
use super::super::pace::{DEAF_POLL, IDLE_POLL, Pace};
use super::super::pages::Render;
use super::super::statements::{self, Look, Prepared, SequenceReading, Server};
use super::super::status::{Hearing, LiveFrom, StallReason, TailStatus};
use super::batch::BatchSize;
use super::lost::{LostConnection, read_identified_within, within_limit};
use super::probe::Probe;
use super::stall_watch::StallWatch;
use super::state::Tail;
use crate::journal::{Batch, Budget, read_range, trimmed_through};
use crate::shutdown::Shutdown;

/// The rows that are read with a look lie at most this many seqs beyond the head, so that Postgres plans for few partitions.
const LOOK_WINDOW: i64 = 8192;
/// The head is written down at most this often.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// A hush is prolonged this often. That is a quarter of the time that it lasts, so that it does not end when the tail is held up for a
/// moment. Each prolongation writes a record to the write-ahead log, and does not wait until the log is flushed.
const PROLONG_EVERY: Duration = Duration::from_millis(250);

/// One connection, from LISTEN to its end. Everything that must not outlive a connection lives here: a restarted
/// server numbers its virtual transactions anew, so an old fence would wait for the wrong transactions.
pub(super) struct TailConnection {
    client: Client,
    connection_task: JoinHandle<()>,
    bells: BellListener,
    server: Server,
    /// The prepared statements; none until probes have shown that no pooler shares this session.
    prepared: Option<Prepared>,
    fences: Fences,
    duty: Duty,
    pace: Pace,
    batch_size: BatchSize,
    connected_at: Instant,
    last_turn_end: Instant,
    /// The moment at which this node last began or prolonged its hush; none when it does not hush. Even if the hush has run out since,
    /// this node must call [`Self::end_hush`], and then wait for a fence.
    hush_set_at: Option<Instant>,
    /// The last number drawn from the sequence, as of the last look.
    drawn: i64,
    /// The head that was last written down.
    written_head: i64,
    /// The moment at which it was written down.
    head_written_at: Instant,
    stall: StallWatch,
    probe: Probe,
}

impl Drop for TailConnection {
    fn drop(&mut self) {
        self.connection_task.abort();
    }
}

impl TailConnection {
    /// Connects, listens, finds out whether the history is still the same, and begins at a head that is known to be safe. The first fence
    /// is taken after LISTEN, so that events whose bell rang before LISTEN are found.
    pub(super) async fn begin<R: Render>(tail: &mut Tail<R>) -> Result<Self, LostConnection> {
        let bells = BellListener::default();
        let listener = bells.clone();
        let on_notification = move |n: tokio_postgres::Notification| listener.hear(&n);
        let (client, connection_task) = tail.connector.connect_listening(on_notification).await?;
        let now = Instant::now();
        within_limit(statements::listen(&client)).await?;
        let server = tail.server_of(&client).await?;
        bells.ignore(server.backend_pid);
        // A fence must be taken after the end of a hush, so this stands before `Duty::TakeFence` below.
        within_limit(statements::end_leftover_hush(&client)).await?;
        let decided = tail.resume(&client, &server).await?;
        tail.count(|c| c.connections += 1);
        Ok(Self {
            client,
            connection_task,
            bells,
            server,
            prepared: None,
            fences: Fences::new(decided),
            duty: Duty::TakeFence,
            pace: Pace::default(),
            batch_size: BatchSize::default(),
            connected_at: now,
            last_turn_end: now,
            hush_set_at: None,
            drawn: decided,
            written_head: decided,
            head_written_at: now,
            stall: StallWatch::new(now),
            probe: Probe::new(now),
        })
    }

    /// Follows the journal until the shutdown, and then returns `Ok`. Returns an error if the connection is lost before.
    pub(super) async fn follow<R: Render>(
        mut self,
        tail: &mut Tail<R>,
        shutdown: &Shutdown,
    ) -> Result<(), LostConnection> {
        loop {
            // A turn may take long over a slow link, so the shutdown drops it at any await. Events that it has handed out stay handed out.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return within_limit(self.shut_down()).await,
                turned = Box::pin(self.turn(tail)) => turned?,
            }
            let rest = self.rest();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return within_limit(self.shut_down()).await,
                _ended = &mut self.connection_task => return Err(LostConnection::Closed),
                () = self.bells.wait(), if self.hush_set_at.is_none() => {}
                // A hush and a closed fence have their own short rests, which a reader must not shorten.
                () = tail.pages.look_wanted(), if self.hush_set_at.is_none() && self.fences.blockers().is_none() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// One turn of the loop: notes the bells that have rung, polls, updates the probe, the hush and the stall watch, and writes the head
    /// down.
    async fn turn<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), LostConnection> {
        let begun = Instant::now();
        // Bells are taken before the sequence is read, so the fence of this turn covers the transactions that rang them.
        if self.bells.take() {
            self.duty.incur();
            self.pace.note_bell(self.last_turn_end.elapsed());
        }
        self.poll(tail).await?;
        within_limit(self.update_probe(tail)).await?;
        within_limit(self.update_hush(tail)).await?;
        within_limit(self.stall.update(&self.client, &self.fences, &self.server, tail)).await?;
        within_limit(self.write_head()).await?;
        self.last_turn_end = Instant::now();
        self.pace.note_turn(self.last_turn_end - begun);
        Ok(())
    }

    /// How long to rest after a turn. The rest is long only when all fences are open and the duty is paid.
    fn rest(&self) -> Duration {
        if self.hush_set_at.is_some() {
            return self.pace.busy_rest();
        }
        if self.fences.blockers().is_some() {
            return self.pace.closed_wait();
        }
        if !self.duty.is_paid() {
            return Duration::ZERO;
        }
        let idle = if self.probe.hearing == Hearing::Proven { IDLE_POLL } else { DEAF_POLL };
        idle.min(self.probe.due_in())
    }

    /// Asks whether anything is new. If so, it takes a fence and hands out what is decided.
    async fn poll<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), LostConnection> {
        tail.count(|c| c.polls += 1);
        let head = self.fences.decided();
        let asked_at = Instant::now();
        if self.duty.is_paid() && self.fences.blockers().is_none() {
            // No fence is owed and none is closed: one cheap statement tells whether anything is new.
            let idle = within_limit(statements::idle(&self.client, &self.server)).await?;
            let drawn = self.check_source(tail, &idle.reading, asked_at)?;
            tail.pages.trim(idle.trimmed);
            if idle.is_hushed_too_long {
                within_limit(self.end_hush()).await?;
            }
            if drawn <= head {
                self.drawn = drawn;
                let (sequence_moved, head_moved) = (false, false);
                self.pace.note_poll(sequence_moved, head_moved);
                return Ok(());
            }
        }
        let read_upto = head.saturating_add(LOOK_WINDOW);
        let prepared = self.prepared.as_ref();
        let budget = self.batch_size.look_budget();
        let (look, batch) =
            statements::look_and_read(&self.client, prepared, &self.server, head, read_upto, budget).await?;
        self.batch_size.learn_from_look(&batch);
        let Look { reading, holders, is_one_table, trimmed } = look;
        let drawn = self.check_source(tail, &reading, asked_at)?;
        if !is_one_table {
            return Err(LostConnection::OtherServer);
        }
        // The trimmed seq is published before the rows, so that a reader of these rows knows which ones may be missing.
        tail.pages.trim(trimmed);
        self.duty.fence_taken(drawn);
        let decided = self.fences.take_fence(drawn, holders);
        let (sequence_moved, head_moved) = (drawn > self.drawn, decided > head);
        self.pace.note_poll(sequence_moved, head_moved);
        self.drawn = drawn;
        if head_moved {
            self.stall.progressed();
            self.hand_out(tail, head, decided, batch).await?;
            if self.hush_set_at.is_some() {
                within_limit(statements::ring(&self.client, self.prepared.as_ref(), Some(decided))).await?;
                tail.count(|c| c.rings += 1);
            }
        }
        self.duty.passed(decided);
        self.publish_status(tail);
        Ok(())
    }

    /// Returns the last number drawn from the sequence, if it was read from the journal that this connection began with. All that the
    /// connection knows, its fences above all, holds for that journal alone.
    fn check_source<R: Render>(
        &mut self,
        tail: &Tail<R>,
        reading: &SequenceReading,
        asked_at: Instant,
    ) -> Result<i64, LostConnection> {
        let session_is_ours = self.prepared.is_some();
        if !self.server.is_source_of(reading, session_is_ours) {
            return Err(LostConnection::OtherServer);
        }
        let decided = tail.memory.decided.unwrap_or(0).max(self.fences.decided());
        if reading.drawn < decided {
            return Err(LostConnection::SequenceBehind { drawn: reading.drawn, decided });
        }
        tail.proven_at.send_replace(Some(asked_at));
        Ok(reading.drawn)
    }

    /// Awaits a read on this connection. Returns an error if the rows came from another journal than the connection began with.
    async fn read<R: Render, T, E>(
        &self,
        tail: &Tail<R>,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, LostConnection>
    where
        LostConnection: From<E>,
    {
        let asked_at = Instant::now();
        let (found, identity, _) = read_identified_within(&self.client, Box::pin(async { Ok(read.await?) })).await?;
        if identity != self.server.identity {
            return Err(LostConnection::OtherServer);
        }
        tail.proven_at.send_replace(Some(asked_at));
        Ok(found)
    }

    /// Hands out the events after `head` up to `decided`: first the batch that came with the look, then the rest, batch by batch. If they
    /// are more than the hot tail keeps, the tail jumps to the new head instead, and readers load the older events when they need them.
    async fn hand_out<R: Render>(
        &mut self,
        tail: &mut Tail<R>,
        head: i64,
        decided: i64,
        first_batch: Batch,
    ) -> Result<(), LostConnection> {
        let handed_out = self.confirm_handed_out_head(tail, head).await?;
        if tail.pages.is_far(decided) {
            return tail.jump(&self.client, &self.server, decided).await;
        }
        let mut reached = first_batch.reached.min(decided).max(handed_out);
        let (mut bytes, mut rows) = (first_batch.bytes(), first_batch.events);
        rows.retain(|row| row.seq <= decided);
        tail.advance(rows, reached)?;
        while reached < decided {
            if bytes >= tail.pages.hot_bytes() {
                return tail.jump(&self.client, &self.server, decided).await;
            }
            let begun = Instant::now();
            // If this node was held up, retention may have deleted some of the rows before they are read. So the trimmed seq is read after
            // the rows, in the same round trip.
            let read = async {
                let rows = read_range(&self.client, reached, decided, self.batch_size.read_budget());
                let trimmed = async { Ok(trimmed_through(&self.client).await?) };
                tokio::try_join!(biased; rows, trimmed)
            };
            let (batch, trimmed) = self.read(tail, Box::pin(read)).await?;
            tail.pages.trim(trimmed);
            self.batch_size.learn_from_read(&batch, begun.elapsed());
            (bytes, reached) = (bytes + batch.bytes(), batch.reached);
            tail.advance(batch.events, reached)?;
        }
        Ok(())
    }

    /// Returns the head that earlier connections handed out if it is beyond `head`, and else `head`. No event may lie between the two. One
    /// could after a crash: the sequence may go back, and numbers that were handed out as empty may be drawn again. When this is called,
    /// a fence of this connection has opened, so no transaction that could own such a number is left, and an empty range stays empty.
    async fn confirm_handed_out_head<R: Render>(&self, tail: &Tail<R>, head: i64) -> Result<i64, LostConnection> {
        let Some(handed_out) = tail.memory.decided.filter(|decided| *decided > head) else { return Ok(head) };
        let is_empty = self
            .read(tail, Box::pin(read_range(&self.client, head, handed_out, Budget::of_rows(1))))
            .await?
            .events
            .is_empty();
        if is_empty { Ok(handed_out) } else { Err(LostConnection::Redrawn) }
    }

    /// Sends the probe when it is due, and prepares statements once probes have shown that no pooler shares the session.
    async fn update_probe<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), LostConnection> {
        if self.probe.update(&self.bells, &tail.database).await? {
            statements::configure_session(&self.client).await?;
            self.prepared = Some(Prepared::new(&self.client).await?);
        }
        self.publish_status(tail);
        Ok(())
    }

    /// Begins, prolongs or ends the hush of this node. The clock is read before each statement that sets the deadline, so that this node
    /// never believes in a later deadline than Postgres keeps.
    async fn update_hush<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), LostConnection> {
        let now = self.connected_at.elapsed();
        let Some(hush_set_at) = self.hush_set_at else {
            if self.probe.hearing != Hearing::Proven || !self.pace.wants_hush(now) {
                return Ok(());
            }
            let set_at = Instant::now();
            if statements::hush(&self.client).await? {
                self.hush_set_at = Some(set_at);
                self.pace.note_hush();
                tail.count(|c| c.hushes += 1);
            } else {
                self.pace.note_refused_hush(now);
            }
            self.publish_status(tail);
            return Ok(());
        };
        if self.pace.is_quiet() {
            self.end_hush().await?;
            self.publish_status(tail);
        } else if hush_set_at.elapsed() >= PROLONG_EVERY {
            let set_at = Instant::now();
            statements::prolong_hush(&self.client).await?;
            self.hush_set_at = Some(set_at);
        }
        Ok(())
    }

    /// Lets the bell ring again. A writer may have skipped the bell until this moment, so the tail owes a fence that is taken
    /// after it.
    async fn end_hush(&mut self) -> Result<(), LostConnection> {
        statements::end_hush(&self.client).await?;
        self.hush_set_at = None;
        self.duty.incur();
        Ok(())
    }

    async fn write_head(&mut self) -> Result<(), LostConnection> {
        let decided = self.fences.decided();
        if decided > self.written_head && self.head_written_at.elapsed() >= WRITE_EVERY {
            statements::write_head(&self.client, &self.server, decided).await?;
            (self.written_head, self.head_written_at) = (decided, Instant::now());
        }
        Ok(())
    }

    fn publish_status<R: Render>(&self, tail: &Tail<R>) {
        tail.status.send_if_modified(|status| {
            let stalled = status.stalled.clone().filter(|s| s.reason != StallReason::Database);
            let new = TailStatus {
                connected: true,
                hearing: self.probe.hearing,
                hushed: self.hush_set_at.is_some(),
                stalled,
                live_from: LiveFrom::Postgres,
            };
            let has_changed = *status != new;
            *status = new;
            has_changed
        });
    }

    /// Writes the head down and ends the hush, when the server shuts down.
    async fn shut_down(mut self) -> Result<(), LostConnection> {
        // The shutdown may have come within a reading, whose transaction takes no writes.
        statements::end_transaction(&self.client).await?;
        statements::write_head(&self.client, &self.server, self.fences.decided()).await?;
        if self.hush_set_at.is_some() {
            self.end_hush().await?;
        }
        Ok(())
    }
}
