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
use super::lost::{Lost, identified, within};
use super::probe::Probe;
use super::stall_watch::StallWatch;
use super::state::Tail;
use crate::journal::{Batch, Budget, read_range, trimmed_through};
use crate::shutdown::Shutdown;

/// How far beyond the head the rows that travel with a look may lie, so that few partitions are planned for.
const FIRST_WINDOW: i64 = 8192;
/// The head is written down at most this often.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// While the bell is hushed, its deadline is put off this often: a quarter of what a hush lasts, so that a tail that is held up
/// for a moment does not let it pass. Each is a record in the write-ahead log, which nobody waits for.
const PROLONG_EVERY: Duration = Duration::from_millis(250);

/// One connection, from LISTEN to its end. Everything that must not outlive a connection lives here: the virtual
/// transactions of a server that was started again begin anew, so its fences would mean somebody else.
pub(super) struct TailConnection {
    client: Client,
    carrier: JoinHandle<()>,
    bells: BellListener,
    server: Server,
    /// Once the session is known to be ours alone.
    prepared: Option<Prepared>,
    fences: Fences,
    duty: Duty,
    pace: Pace,
    size: BatchSize,
    begun: Instant,
    polled: Instant,
    /// Since when this node hushes the bell or has put the deadline off. That it has passed frees from nothing: only ending
    /// the hush does, and the fence after that.
    hushed: Option<Instant>,
    /// Up to where the sequence had come at the last look.
    reached: i64,
    written: (Instant, i64),
    stall: StallWatch,
    probe: Probe,
}

impl Drop for TailConnection {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl TailConnection {
    /// Connects, listens, finds out whether this is still the same history, and begins from a head that is known to be
    /// safe. The first fence is taken after LISTEN, so that whatever rang before it is found.
    pub(super) async fn begin<R: Render>(tail: &mut Tail<R>) -> Result<Self, Lost> {
        let bells = BellListener::default();
        let hearing = bells.clone();
        let heard = move |n: tokio_postgres::Notification| hearing.hear(&n);
        let (client, carrier) = tail.connector.connect_listening(heard).await?;
        let now = Instant::now();
        within(statements::listen(&client)).await?;
        let server = within(statements::server(&client)).await?;
        if server.identity.is_standby() {
            return Err(Lost::Standby);
        }
        bells.ignore(server.process);
        // The fence that a new connection owes is taken after this.
        within(statements::end_hush_found(&client)).await?;
        let decided = tail.recall(&client, &server).await?;
        tail.count(|c| c.connections += 1);
        Ok(Self {
            client,
            carrier,
            bells,
            server,
            prepared: None,
            fences: Fences::new(decided),
            duty: Duty::Take,
            pace: Pace::default(),
            size: BatchSize::default(),
            begun: now,
            polled: now,
            hushed: None,
            reached: decided,
            written: (now, decided),
            stall: StallWatch::new(now),
            probe: Probe::new(now),
        })
    }

    /// Follows the journal on this connection. `Ok` is the shutdown.
    pub(super) async fn follow<R: Render>(mut self, tail: &mut Tail<R>, shutdown: &Shutdown) -> Result<(), Lost> {
        loop {
            // A turn may take long over a slow link. What it has handed out stays handed out wherever it is given up.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return within(self.leave()).await,
                turned = Box::pin(self.turn(tail)) => turned?,
            }
            let rest = self.rest();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return within(self.leave()).await,
                _ended = &mut self.carrier => return Err(Lost::Closed),
                () = self.bells.wait(), if self.hushed.is_none() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// One turn of the loop: what came in, a look, what follows from it.
    async fn turn<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), Lost> {
        let begun = Instant::now();
        // A bell counts from here on: the look at the sequence begins after this.
        if self.bells.take() {
            self.duty.incur();
            self.pace.bell(self.polled.elapsed());
        }
        self.poll(tail).await?;
        within(self.follow_probe(tail)).await?;
        within(self.choose_hush(tail)).await?;
        within(self.stall.follow(&self.client, &self.fences, &self.server, tail)).await?;
        within(self.write_head()).await?;
        self.polled = Instant::now();
        self.pace.turned(self.polled - begun);
        Ok(())
    }

    /// How long to rest. The rule of sleep: only with all fences open and nothing owed does the tail rest for long.
    fn rest(&self) -> Duration {
        if self.hushed.is_some() {
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

    async fn poll<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), Lost> {
        tail.count(|c| c.polls += 1);
        let head = self.fences.decided();
        let asked = Instant::now();
        if self.duty.is_paid() && self.fences.blockers().is_none() {
            // Nothing rang: one cheap question a second.
            let (answer, trimmed) = within(statements::idle(&self.client, &self.server)).await?;
            let upto = self.accept(tail, &answer, asked)?;
            tail.pages.trim(trimmed);
            if upto <= head {
                self.reached = upto;
                self.pace.polled(false, false);
                return Ok(());
            }
        }
        let window = head.saturating_add(FIRST_WINDOW);
        let prepared = self.prepared.as_ref();
        let budget = self.size.first();
        let (look, rows) =
            statements::look_and_read(&self.client, prepared, &self.server, head, window, budget).await?;
        self.size.looked(&rows);
        let Look { answer, holders, is_one_table, trimmed } = look;
        let upto = self.accept(tail, &answer, asked)?;
        if !is_one_table {
            return Err(Lost::Moved);
        }
        // Before anybody can have the rows: who takes them must be able to see what they may lack.
        tail.pages.trim(trimmed);
        self.duty.taken(upto);
        let decided = self.fences.look(upto, holders);
        self.pace.polled(upto > self.reached, decided > head);
        self.reached = upto;
        if decided > head {
            // Under load some fence is always closed, each for a moment; nobody holds anything back.
            self.stall.moved();
            self.hand_out(tail, head, decided, rows).await?;
            if self.hushed.is_some() {
                within(statements::ring(&self.client, self.prepared.as_ref(), decided)).await?;
                tail.count(|c| c.rings += 1);
            }
        }
        self.duty.passed(decided);
        self.show(tail);
        Ok(())
    }

    /// Takes an answer from the journal that this connection began with, and from no other: how far the sequence was drawn.
    /// Everything else that a connection knows (its fences, above all) holds for that one alone.
    fn accept<R: Render>(&mut self, tail: &Tail<R>, answer: &Answer, asked: Instant) -> Result<i64, Lost> {
        if !self.server.gave(answer, self.prepared.is_some()) {
            return Err(Lost::Moved);
        }
        let decided = tail.memory.decided.unwrap_or(0).max(self.fences.decided());
        if answer.drawn < decided {
            return Err(Lost::Behind { drawn: answer.drawn, decided });
        }
        tail.answered.send_replace(Some(asked));
        Ok(answer.drawn)
    }

    /// Reads on this connection, from the journal that it began with and from no other.
    async fn read<R: Render, T, E>(&self, tail: &Tail<R>, read: impl Future<Output = Result<T, E>>) -> Result<T, Lost>
    where
        Lost: From<E>,
    {
        let asked = Instant::now();
        let (found, identity, _) = identified(&self.client, Box::pin(async { Ok(read.await?) })).await?;
        if identity != self.server.identity {
            return Err(Lost::Moved);
        }
        tail.answered.send_replace(Some(asked));
        Ok(found)
    }

    /// Hands out what is decided beyond `head`: the rows that came with the look, then what they did not reach, batch by batch.
    /// What is more than the hot tail would keep is left for those who want it.
    async fn hand_out<R: Render>(
        &mut self,
        tail: &mut Tail<R>,
        head: i64,
        decided: i64,
        first: Batch,
    ) -> Result<(), Lost> {
        let handed_out = self.confirm(tail, head).await?;
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
            // In one round trip and in this order, as with the look: a node that was held up may read when retention has been
            // there before it.
            let read = async {
                let rows = read_range(&self.client, reached, decided, self.size.next());
                let trimmed = async { Ok(trimmed_through(&self.client).await?) };
                tokio::try_join!(biased; rows, trimmed)
            };
            let (batch, trimmed) = self.read(tail, Box::pin(read)).await?;
            tail.pages.trim(trimmed);
            self.size.read(&batch, begun.elapsed());
            (bytes, reached) = (bytes + batch.bytes(), batch.reached);
            tail.advance(batch.events, reached)?;
        }
        Ok(())
    }

    /// Up to where the pages are right. A new connection decides anew what lay empty between the newest event and the
    /// head: no flush held those numbers when their transactions rolled back, so after a crash somebody else may have
    /// drawn them. Only now, when all who could have are through, does an empty range prove that nobody did.
    async fn confirm<R: Render>(&self, tail: &Tail<R>, head: i64) -> Result<i64, Lost> {
        let Some(handed_out) = tail.memory.decided.filter(|decided| *decided > head) else { return Ok(head) };
        let none = self
            .read(tail, Box::pin(read_range(&self.client, head, handed_out, Budget::of_rows(1))))
            .await?
            .events
            .is_empty();
        if none { Ok(handed_out) } else { Err(Lost::Redrawn) }
    }

    /// Sends the probe when it is due, and prepares statements once probes have proven that the session is ours alone.
    async fn follow_probe<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), Lost> {
        if self.probe.follow(&self.bells, &tail.database).await? {
            statements::settle(&self.client).await?;
            self.prepared = Some(Prepared::new(&self.client).await?);
        }
        self.show(tail);
        Ok(())
    }

    async fn choose_hush<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), Lost> {
        let now = self.begun.elapsed();
        let Some(since) = self.hushed else {
            if self.probe.hearing != Hearing::Proven || !self.pace.wants_hush(now) {
                return Ok(());
            }
            if statements::hush(&self.client).await? {
                self.hushed = Some(Instant::now());
                self.pace.hushed();
                tail.count(|c| c.hushes += 1);
            } else {
                self.pace.hush_refused(now);
            }
            self.show(tail);
            return Ok(());
        };
        if self.pace.is_quiet() {
            self.end_hush().await?;
            self.show(tail);
        } else if since.elapsed() >= PROLONG_EVERY {
            // From before the statement on: the deadline is later than this says, never earlier.
            let now = Instant::now();
            statements::prolong_hush(&self.client).await?;
            self.hushed = Some(now);
        }
        Ok(())
    }

    /// Lets the bell ring again. Somebody may have skipped it until this very moment, and the deadline may have passed long
    /// ago: either way a fence is owed that is taken after this.
    async fn end_hush(&mut self) -> Result<(), Lost> {
        statements::end_hush(&self.client).await?;
        self.hushed = None;
        self.duty.incur();
        Ok(())
    }

    async fn write_head(&mut self) -> Result<(), Lost> {
        let decided = self.fences.decided();
        if decided > self.written.1 && self.written.0.elapsed() >= WRITE_EVERY {
            statements::write_head(&self.client, &self.server, decided).await?;
            self.written = (Instant::now(), decided);
        }
        Ok(())
    }

    fn show<R: Render>(&self, tail: &Tail<R>) {
        tail.status.send_if_modified(|status| {
            let stalled = status.stalled.clone().filter(|s| s.reason != Reason::Database);
            let new = Status { connected: true, hearing: self.probe.hearing, hushed: self.hushed.is_some(), stalled };
            let news = *status != new;
            *status = new;
            news
        });
    }

    /// The end of a shutdown: the head is written down and the hush given back.
    async fn leave(mut self) -> Result<(), Lost> {
        statements::write_head(&self.client, &self.server, self.fences.decided()).await?;
        if self.hushed.is_some() {
            self.end_hush().await?;
        }
        Ok(())
    }
}
