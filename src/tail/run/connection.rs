//! One connection of the tail: listen, look, read, hand out, rest.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::super::bell::BellListener;
use super::super::duty::Duty;
use super::super::fence::Fences;
use super::super::pace::{DEAF_POLL, IDLE_POLL, Pace};
use super::super::pages::Render;
use super::super::statements::{self, Answer, Look, Prepared, Server};
use super::super::status::{Hearing, Reason, Status};
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
/// While the bell is hushed, its deadline is put off this often: a quarter of what a hush lasts, so that a tail that is held up
/// for a moment does not let it pass. Each time writes a record to the write-ahead log, for whose flush nobody waits.
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
    begun: Instant,
    last_turn_end: Instant,
    /// When this node last set the deadline of its hush; none when it does not hush. A deadline that has passed does not end
    /// the hush for this node: it must call [`Self::end_hush`], and then wait for a fence.
    hushed_at: Option<Instant>,
    /// The last number drawn from the sequence, as of the last look.
    drawn: i64,
    written: (Instant, i64),
    stall: StallWatch,
    probe: Probe,
}

impl Drop for TailConnection {
    fn drop(&mut self) {
        self.connection_task.abort();
    }
}

impl TailConnection {
    /// Connects, listens, finds out whether this is still the same history, and begins from a head that is known to be
    /// safe. The first fence is taken after LISTEN, so that events whose bell rang before LISTEN are found.
    pub(super) async fn begin<R: Render>(tail: &mut Tail<R>) -> Result<Self, LostConnection> {
        let bells = BellListener::default();
        let hearing = bells.clone();
        let heard = move |n: tokio_postgres::Notification| hearing.hear(&n);
        let (client, connection_task) = tail.connector.connect_listening(heard).await?;
        let now = Instant::now();
        within_limit(statements::listen(&client)).await?;
        let server = within_limit(statements::server(&client)).await?;
        if server.identity.is_standby() {
            return Err(LostConnection::Standby);
        }
        bells.ignore(server.backend_pid);
        // The fence that a new connection owes is taken after this.
        within_limit(statements::end_hush_found(&client)).await?;
        let decided = tail.recall(&client, &server).await?;
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
            begun: now,
            last_turn_end: now,
            hushed_at: None,
            drawn: decided,
            written: (now, decided),
            stall: StallWatch::new(now),
            probe: Probe::new(now),
        })
    }

    /// Follows the journal on this connection. `Ok` is the shutdown.
    pub(super) async fn follow<R: Render>(
        mut self,
        tail: &mut Tail<R>,
        shutdown: &Shutdown,
    ) -> Result<(), LostConnection> {
        loop {
            // A turn may take long over a slow link. It may be dropped at any await: events that it has handed out stay handed out.
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
                () = self.bells.wait(), if self.hushed_at.is_none() => {}
                // A hush and a closed fence have their own short rests, which a reader must not shorten.
                () = tail.pages.look_wanted(), if self.hushed_at.is_none() && self.fences.blockers().is_none() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// One turn of the loop: takes the bell, polls, then follows the probe, the hush and the stall watch, and writes the head.
    async fn turn<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), LostConnection> {
        let begun = Instant::now();
        // The bell is taken before the sequence is read, so the fence of this turn covers whatever rang it.
        if self.bells.take() {
            self.duty.incur();
            self.pace.bell(self.last_turn_end.elapsed());
        }
        self.poll(tail).await?;
        within_limit(self.follow_probe(tail)).await?;
        within_limit(self.update_hush(tail)).await?;
        within_limit(self.stall.follow(&self.client, &self.fences, &self.server, tail)).await?;
        within_limit(self.write_head()).await?;
        self.last_turn_end = Instant::now();
        self.pace.turned(self.last_turn_end - begun);
        Ok(())
    }

    /// How long to rest. The tail rests for long only when all fences are open and its duty is paid.
    fn rest(&self) -> Duration {
        if self.hushed_at.is_some() {
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

    async fn poll<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), LostConnection> {
        tail.count(|c| c.polls += 1);
        let head = self.fences.decided();
        let asked = Instant::now();
        if self.duty.is_paid() && self.fences.blockers().is_none() {
            // No fence is owed and none is closed: one cheap statement tells whether anything is new.
            let (answer, trimmed) = within_limit(statements::idle(&self.client, &self.server)).await?;
            let upto = self.accept(tail, &answer, asked)?;
            tail.pages.trim(trimmed);
            if upto <= head {
                self.drawn = upto;
                self.pace.polled(false, false);
                return Ok(());
            }
        }
        let read_upto = head.saturating_add(LOOK_WINDOW);
        let prepared = self.prepared.as_ref();
        let budget = self.batch_size.look_budget();
        let (look, rows) =
            statements::look_and_read(&self.client, prepared, &self.server, head, read_upto, budget).await?;
        self.batch_size.learn_from_look(&rows);
        let Look { answer, holders, is_one_table, trimmed } = look;
        let upto = self.accept(tail, &answer, asked)?;
        if !is_one_table {
            return Err(LostConnection::OtherServer);
        }
        // The trimmed seq is published before the rows, so that a reader of these rows knows which ones may be missing.
        tail.pages.trim(trimmed);
        self.duty.fence_taken(upto);
        let decided = self.fences.look(upto, holders);
        self.pace.polled(upto > self.drawn, decided > head);
        self.drawn = upto;
        if decided > head {
            self.stall.progressed();
            self.hand_out(tail, head, decided, rows).await?;
            if self.hushed_at.is_some() {
                within_limit(statements::ring(&self.client, self.prepared.as_ref(), decided)).await?;
                tail.count(|c| c.rings += 1);
            }
        }
        self.duty.passed(decided);
        self.publish_status(tail);
        Ok(())
    }

    /// Returns how far the sequence was drawn, if the answer came from the journal that this connection began with. All that
    /// the connection knows, its fences above all, holds for that journal alone.
    fn accept<R: Render>(&mut self, tail: &Tail<R>, answer: &Answer, asked: Instant) -> Result<i64, LostConnection> {
        if !self.server.is_source_of(answer, self.prepared.is_some()) {
            return Err(LostConnection::OtherServer);
        }
        let decided = tail.memory.decided.unwrap_or(0).max(self.fences.decided());
        if answer.drawn < decided {
            return Err(LostConnection::SequenceBehind { drawn: answer.drawn, decided });
        }
        tail.answered.send_replace(Some(asked));
        Ok(answer.drawn)
    }

    /// Reads on this connection, from the journal that it began with and from no other.
    async fn read<R: Render, T, E>(
        &self,
        tail: &Tail<R>,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, LostConnection>
    where
        LostConnection: From<E>,
    {
        let asked = Instant::now();
        let (found, identity, _) = read_identified_within(&self.client, Box::pin(async { Ok(read.await?) })).await?;
        if identity != self.server.identity {
            return Err(LostConnection::OtherServer);
        }
        tail.answered.send_replace(Some(asked));
        Ok(found)
    }

    /// Hands out what is decided beyond `head`: the rows that came with the look, then what they did not reach, batch by batch.
    /// Beyond what the hot tail keeps, it jumps to the head, and older events are loaded when a reader wants them.
    async fn hand_out<R: Render>(
        &mut self,
        tail: &mut Tail<R>,
        head: i64,
        decided: i64,
        first: Batch,
    ) -> Result<(), LostConnection> {
        let handed_out = self.confirm_handed_out_head(tail, head).await?;
        if tail.pages.is_far(decided) {
            return tail.jump(&self.client, &self.server, decided).await;
        }
        let mut reached = first.reached.min(decided).max(handed_out);
        let (mut bytes, mut rows) = (first.bytes(), first.events);
        rows.retain(|row| row.seq <= decided);
        tail.advance(rows, reached)?;
        while reached < decided {
            if bytes >= tail.pages.hot_bytes() {
                return tail.jump(&self.client, &self.server, decided).await;
            }
            let begun = Instant::now();
            // The trimmed seq is read after the rows, in the same round trip: retention may have deleted some of them before a
            // node that was held up read them.
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

    /// Returns the head that an earlier connection handed out, after checking that no event lies between this connection's `head`
    /// and it. After a crash the sequence may go back, and numbers of inserts that rolled back may be drawn again. The first open fence of this connection has
    /// passed every writer that could have drawn one, so an empty range now proves that none did.
    async fn confirm_handed_out_head<R: Render>(&self, tail: &Tail<R>, head: i64) -> Result<i64, LostConnection> {
        let Some(handed_out) = tail.memory.decided.filter(|decided| *decided > head) else { return Ok(head) };
        let none = self
            .read(tail, Box::pin(read_range(&self.client, head, handed_out, Budget::of_rows(1))))
            .await?
            .events
            .is_empty();
        if none { Ok(handed_out) } else { Err(LostConnection::Redrawn) }
    }

    /// Sends the probe when it is due, and prepares statements once probes have shown that no pooler shares the session.
    async fn follow_probe<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), LostConnection> {
        if self.probe.follow(&self.bells, &tail.database).await? {
            statements::configure_session(&self.client).await?;
            self.prepared = Some(Prepared::new(&self.client).await?);
        }
        self.publish_status(tail);
        Ok(())
    }

    async fn update_hush<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), LostConnection> {
        let now = self.begun.elapsed();
        let Some(since) = self.hushed_at else {
            if self.probe.hearing != Hearing::Proven || !self.pace.wants_hush(now) {
                return Ok(());
            }
            if statements::hush(&self.client).await? {
                self.hushed_at = Some(Instant::now());
                self.pace.hushed();
                tail.count(|c| c.hushes += 1);
            } else {
                self.pace.hush_refused(now);
            }
            self.publish_status(tail);
            return Ok(());
        };
        if self.pace.is_quiet() {
            self.end_hush().await?;
            self.publish_status(tail);
        } else if since.elapsed() >= PROLONG_EVERY {
            // The clock is read before the statement, so that this node never believes in a later deadline than Postgres keeps.
            let now = Instant::now();
            statements::prolong_hush(&self.client).await?;
            self.hushed_at = Some(now);
        }
        Ok(())
    }

    /// Lets the bell ring again. A writer may have skipped the bell until this moment, so the tail owes a fence that is taken
    /// after it.
    async fn end_hush(&mut self) -> Result<(), LostConnection> {
        statements::end_hush(&self.client).await?;
        self.hushed_at = None;
        self.duty.incur();
        Ok(())
    }

    async fn write_head(&mut self) -> Result<(), LostConnection> {
        let decided = self.fences.decided();
        if decided > self.written.1 && self.written.0.elapsed() >= WRITE_EVERY {
            statements::write_head(&self.client, &self.server, decided).await?;
            self.written = (Instant::now(), decided);
        }
        Ok(())
    }

    fn publish_status<R: Render>(&self, tail: &Tail<R>) {
        tail.status.send_if_modified(|status| {
            let stalled = status.stalled.clone().filter(|s| s.reason != Reason::Database);
            let new =
                Status { connected: true, hearing: self.probe.hearing, hushed: self.hushed_at.is_some(), stalled };
            let has_changed = *status != new;
            *status = new;
            has_changed
        });
    }

    /// Writes the head down and ends the hush, when the server shuts down.
    async fn shut_down(mut self) -> Result<(), LostConnection> {
        statements::write_head(&self.client, &self.server, self.fences.decided()).await?;
        if self.hushed_at.is_some() {
            self.end_hush().await?;
        }
        Ok(())
    }
}
