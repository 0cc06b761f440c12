//! The tail's one connection and its loop: listen, look, read, hand out, rest.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use super::bell::{Ear, probe_payload};
use super::blocker;
use super::duty::Duty;
use super::fence::Fences;
use super::pace::{BUSY_POLL, DEAF_POLL, IDLE_POLL, Pace};
use super::pages::{Misstep, PageWriter, Render};
use super::statements::{self, History, Look, Prepared, Server};
use super::status::{Counts, Hearing, Reason, Stalled, Status};
use crate::clock::jitter;
use crate::db::{Connector, Database, Trouble};
use crate::journal::{Cursor, MAX_ROWS, StoredEvent, read_range, trimmed_through};
use crate::shutdown::Shutdown;

/// How long one poll may take before the connection is taken for dead.
const POLL_LIMIT: Duration = Duration::from_secs(5);
/// Rows that travel with a look; more are fetched after it.
const FIRST_ROWS: i64 = 512;
/// How far beyond the head the rows that travel with a look may lie, so that few partitions are planned for.
const FIRST_WINDOW: i64 = 8192;
/// The head is written down at most this often.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// What retention took is looked up at least this often.
const NOTICE_EVERY: Duration = Duration::from_secs(1);
/// A fence that stays closed this long has its holders named, and named anew this often.
const NAME_EVERY: Duration = Duration::from_secs(1);
/// How often a probe goes round, how soon it must come back, and how soon a deaf connection is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// So many probes in a row prove that the session is ours: one alone may come through a pooler by chance, when the pooled
/// connection that once got our LISTEN happens to be lent to us at that moment.
const PROOFS: u32 = 3;
/// After a lost connection: the first wait, which doubles up to the longest.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A connection that has handed out nothing has proven itself when it has stayed this long: one that fails at once, again
/// and again, is waited for ever longer.
const PROVEN_AFTER: Duration = Duration::from_secs(5);

/// The tail of one node.
#[derive(Debug)]
pub struct Tail<R: Render> {
    connector: Connector,
    /// Probes go out here: one that came back on its own connection would prove nothing about a pooler.
    database: Database,
    pages: PageWriter<R>,
    /// How long a session may idle in a transaction that holds the stream back before it is ended; never, by default.
    idle_limit: Option<Duration>,
    status: watch::Sender<Status>,
    counts: watch::Sender<Counts>,
    memory: Memory,
}

/// What outlives a connection.
#[derive(Debug, Default)]
struct Memory {
    history: Option<History>,
    /// The newest events handed out, in order. All of them are looked for on a new connection: a crash that takes
    /// asynchronous commits goes by when they were made, so the newest of all may be there and one before it not.
    recent: VecDeque<(i64, Uuid)>,
    decided: Option<i64>,
}

/// How many of them: more than are committed in the second that Postgres takes at most to write its log.
const RECENT: usize = 8192;

impl Memory {
    fn newest(&self) -> Option<i64> {
        self.recent.back().map(|(seq, _)| *seq)
    }

    fn handed_out(&mut self, rows: &[(i64, Uuid)]) {
        self.recent.extend(rows);
        self.recent.drain(..self.recent.len().saturating_sub(RECENT));
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Trouble(#[from] Trouble),
    #[error("a poll took longer than {POLL_LIMIT:?}")]
    Slow,
    #[error("the connection was closed")]
    Closed,
    /// A fault of ours: what is in memory is dropped, so that nothing wrong is handed out.
    #[error("the pages refuse what was read: {0}")]
    Misstep(#[from] Misstep),
    #[error("this is a standby, and its lock table is not the primary's: the tail needs the primary")]
    Standby,
    /// A crash took back numbers that were decided, and they were drawn again.
    #[error("events have taken numbers that were handed out as empty: the database lost them in a crash")]
    Redrawn,
}

impl From<tokio_postgres::Error> for Lost {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Trouble(error.into())
    }
}

impl<R: Render> Tail<R> {
    /// A tail that hands out into these pages.
    pub fn new(connector: Connector, database: Database, pages: PageWriter<R>, idle_limit: Option<Duration>) -> Self {
        let (status, counts) = (watch::Sender::default(), watch::Sender::default());
        Self { connector, database, pages, idle_limit, status, counts, memory: Memory::default() }
    }

    /// How it is doing, now and later.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// What it has done, now and later.
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Follows the journal until the shutdown, whatever becomes of connections.
    ///
    /// On a thread of its own, with its connection: each of the few steps from a bell to an event would otherwise wake
    /// another thread, which costs more than the steps do. A panic there is a panic here, and whoever drops this future
    /// ends the thread too: a runtime waits for it.
    pub async fn run(self, shutdown: Shutdown) {
        let shutdown = shutdown.child_token();
        let _dropped = shutdown.clone().drop_guard();
        let follow = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(self.follow(shutdown)))
        };
        match tokio::task::spawn_blocking(follow).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the tail has no thread"),
            Err(ended) => {
                if let Ok(panic) = ended.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    async fn follow(mut self, shutdown: Shutdown) {
        let mut wait = RETRY_MIN;
        loop {
            let lost = match Visit::begin(&mut self).await {
                Ok(visit) => {
                    let (begun, newest) = (Instant::now(), self.memory.newest());
                    let stayed = visit.stay(&mut self, &shutdown).await;
                    if self.memory.newest() > newest || begun.elapsed() >= PROVEN_AFTER {
                        wait = RETRY_MIN;
                    }
                    match stayed {
                        Ok(()) => return,
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            if matches!(lost, Lost::Misstep(_) | Lost::Redrawn) {
                self.forget();
                self.count(|c| c.resets += u64::from(matches!(lost, Lost::Redrawn)));
            }
            let since = SystemTime::now();
            self.status.send_modify(|s| {
                let stalled = s.stalled.take().filter(|s| s.reason == Reason::Database);
                *s = Status {
                    stalled: stalled.or(Some(Stalled { since, reason: Reason::Database })),
                    ..Status::default()
                };
            });
            tracing::warn!(retry_in = ?wait, "the tail lost its connection: {lost}");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait.mul_f64(jitter())) => {}
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }
}

/// One connection, from LISTEN to its end. Everything that must not outlive a connection lives here: the virtual
/// transactions of a server that was started again begin anew, so its fences would mean somebody else.
struct Visit {
    client: Client,
    carrier: JoinHandle<()>,
    ear: Ear,
    server: Server,
    /// Once the session is known to be ours alone.
    prepared: Option<Prepared>,
    fences: Fences,
    duty: Duty,
    pace: Pace,
    begun: Instant,
    polled: Instant,
    hushed: bool,
    /// Up to where the sequence had come at the last look.
    reached: i64,
    written: (Instant, i64),
    /// When what retention took was last looked up.
    noticed: Instant,
    /// Since when nothing more was decided although something is to be.
    closed_since: Option<(Instant, SystemTime)>,
    /// Whether more was decided since this was asked last.
    moved: bool,
    named: Instant,
    probe: Probe,
}

/// The probe that proves that bells reach this connection.
struct Probe {
    number: u64,
    errand: Errand,
    hearing: Hearing,
    in_a_row: u32,
    next: Instant,
}

/// Where a probe is.
enum Errand {
    None,
    /// It waits for a connection of the pool, which may take a while when requests want them all: the tail goes on meanwhile.
    Sending(JoinHandle<Result<(), Trouble>>),
    Sent(Instant),
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Visit {
    /// Connects, listens, finds out whether this is still the same history, and begins from a head that is known to be
    /// safe. The first fence is taken after LISTEN, so that whatever rang before it is found.
    async fn begin<R: Render>(tail: &mut Tail<R>) -> Result<Self, Lost> {
        let ear = Ear::default();
        let hearing = ear.clone();
        let heard = move |n: tokio_postgres::Notification| hearing.hear(&n);
        let (client, carrier) = tail.connector.connect_listening(heard).await?;
        let now = Instant::now();
        let number = getrandom::u64().unwrap_or(1).max(1);
        let prepare = async {
            statements::listen(&client).await?;
            let server = statements::server(&client).await?;
            if server.is_standby {
                return Err(Lost::Standby);
            }
            ear.ignore(server.process);
            let decided = tail.recall(&client, &server).await?;
            Ok((server, decided))
        };
        let (server, decided) = tokio::time::timeout(POLL_LIMIT, prepare).await.unwrap_or(Err(Lost::Slow))?;
        tail.count(|c| c.connections += 1);
        Ok(Self {
            client,
            carrier,
            ear,
            server,
            prepared: None,
            fences: Fences::new(decided),
            duty: Duty::Take,
            pace: Pace::default(),
            begun: now,
            polled: now,
            hushed: false,
            reached: decided,
            written: (now, decided),
            noticed: now,
            closed_since: None,
            moved: false,
            named: now,
            probe: Probe { number, errand: Errand::None, hearing: Hearing::Unproven, in_a_row: 0, next: now },
        })
    }

    /// Follows the journal on this connection. `Ok` is the shutdown.
    async fn stay<R: Render>(mut self, tail: &mut Tail<R>, shutdown: &Shutdown) -> Result<(), Lost> {
        loop {
            tokio::time::timeout(POLL_LIMIT, self.turn(tail)).await.unwrap_or(Err(Lost::Slow))?;
            let rest = self.rest();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    return tokio::time::timeout(POLL_LIMIT, self.leave()).await.unwrap_or(Err(Lost::Slow));
                }
                _ended = &mut self.carrier => return Err(Lost::Closed),
                () = self.ear.wait(), if !self.hushed => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// One turn of the loop: what came in, a look, what follows from it.
    async fn turn<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), Lost> {
        // A bell counts from here on: the look at the sequence begins after this.
        if self.ear.take() {
            self.duty.incur();
            self.pace.bell(self.polled.elapsed());
        }
        self.poll(tail).await?;
        self.follow_probe(tail).await?;
        self.choose_hush(tail).await?;
        self.name_blockers(tail).await?;
        self.write_head().await?;
        self.notice_trim(tail).await?;
        self.polled = Instant::now();
        Ok(())
    }

    /// How long to rest. The rule of sleep: only with all fences open and nothing owed does the tail rest for long.
    fn rest(&self) -> Duration {
        if self.hushed {
            return BUSY_POLL;
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
        if self.duty.is_paid() && self.fences.blockers().is_none() {
            // Nothing rang: one cheap question a second.
            let (upto, trimmed) = statements::idle(&self.client).await?;
            tail.pages.trim(trimmed);
            self.noticed = Instant::now();
            if upto <= head {
                self.reached = upto;
                self.pace.polled(false, false);
                return Ok(());
            }
        }
        let window = head.saturating_add(FIRST_WINDOW);
        let prepared = self.prepared.as_ref();
        let (look, rows) =
            statements::look_and_read(&self.client, prepared, &self.server, head, window, FIRST_ROWS).await?;
        let Look { upto, holders } = look;
        self.duty.taken(upto);
        let decided = self.fences.look(upto, holders);
        self.pace.polled(upto > self.reached, decided > head);
        self.reached = upto;
        if decided > head {
            // Under load some fence is always closed, each for a moment; nobody holds anything back.
            self.moved = true;
            self.hand_out(tail, head, decided, rows).await?;
            if self.hushed {
                statements::ring(&self.client, self.prepared.as_ref(), decided).await?;
                tail.count(|c| c.rings += 1);
            }
        }
        self.duty.passed(decided);
        self.show(tail);
        Ok(())
    }

    /// Hands out what is decided beyond `head`: the rows that came with the look, then what they did not reach.
    async fn hand_out<R: Render>(
        &mut self,
        tail: &mut Tail<R>,
        head: i64,
        decided: i64,
        mut rows: Vec<StoredEvent>,
    ) -> Result<(), Lost> {
        let handed_out = self.confirm(tail, head).await?;
        if tail.pages.is_far(decided) {
            return tail.jump(&self.client, decided).await;
        }
        // A node that was held up may read when retention has been there before it.
        self.notice_trim(tail).await?;
        let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= FIRST_ROWS;
        let mut reached = match rows.last() {
            Some(last) if full => last.seq.min(decided),
            _ => decided.min(head + FIRST_WINDOW),
        }
        .max(handed_out);
        rows.retain(|row| row.seq <= decided);
        tail.advance(rows, reached)?;
        while reached < decided {
            let rows = read_range(&self.client, reached, decided, MAX_ROWS).await?;
            let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= MAX_ROWS;
            reached = rows.last().filter(|_| full).map_or(decided, |last| last.seq);
            tail.advance(rows, reached)?;
        }
        Ok(())
    }

    /// Up to where the pages are right. A new connection decides anew what lay empty between the newest event and the
    /// head: no flush held those numbers when their transactions rolled back, so after a crash somebody else may have
    /// drawn them. Only now, when all who could have are through, does an empty range prove that nobody did.
    async fn confirm<R: Render>(&self, tail: &Tail<R>, head: i64) -> Result<i64, Lost> {
        let Some(handed_out) = tail.memory.decided.filter(|decided| *decided > head) else { return Ok(head) };
        let none = read_range(&self.client, head, handed_out, 1).await?.is_empty();
        if none { Ok(handed_out) } else { Err(Lost::Redrawn) }
    }

    async fn choose_hush<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), Lost> {
        let now = self.begun.elapsed();
        if !self.hushed && self.probe.hearing == Hearing::Proven && self.pace.wants_hush(now) {
            self.hushed = statements::hush(&self.client, &self.server).await?;
            if self.hushed {
                self.pace.hushed();
                tail.count(|c| c.hushes += 1);
            } else {
                self.pace.hush_refused(now);
            }
            self.show(tail);
        } else if self.hushed && self.pace.is_quiet() {
            statements::unhush(&self.client, &self.server).await?;
            self.hushed = false;
            // Somebody may have skipped the bell until this very moment.
            self.duty.incur();
            self.show(tail);
        }
        Ok(())
    }

    async fn write_head(&mut self) -> Result<(), Lost> {
        let decided = self.fences.decided();
        if decided > self.written.1 && self.written.0.elapsed() >= WRITE_EVERY {
            statements::write_head(&self.client, decided).await?;
            self.written = (Instant::now(), decided);
        }
        Ok(())
    }

    /// Under load too, retention is noticed within a second.
    async fn notice_trim<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), Lost> {
        if self.noticed.elapsed() >= NOTICE_EVERY {
            tail.pages.trim(trimmed_through(&self.client).await?);
            self.noticed = Instant::now();
        }
        Ok(())
    }

    /// Names who has kept a fence closed for a while, and ends an idle one where that is wanted.
    async fn name_blockers<R: Render>(&mut self, tail: &Tail<R>) -> Result<(), Lost> {
        if (std::mem::take(&mut self.moved) || self.fences.blockers().is_none()) && self.closed_since.take().is_some() {
            self.unstall(tail);
        }
        let Some(holders) = self.fences.blockers() else { return Ok(()) };
        let (closed, since) = *self.closed_since.get_or_insert_with(|| (Instant::now(), SystemTime::now()));
        if closed.elapsed() < NAME_EVERY || self.named.elapsed() < NAME_EVERY {
            return Ok(());
        }
        self.named = Instant::now();
        let blockers = blocker::name(&self.client, holders).await?;
        for blocker in &blockers {
            if let (Some(limit), Some(pid), Some(idle)) = (tail.idle_limit, blocker.pid, blocker.idle_for)
                && idle >= limit
            {
                let ended = blocker::terminate(&self.client, pid).await?;
                tracing::warn!(%blocker, idle_for = ?idle, ended, "an idle transaction held the stream back too long");
                tail.count(|c| c.terminated += u64::from(ended));
            }
        }
        let news = tail.status.send_if_modified(|status| {
            let reason = Reason::Transaction(blockers.clone());
            let known = status.stalled.as_ref().map(|s| s.named());
            let news = known != Some(blocker_names(&blockers));
            status.stalled = Some(Stalled { since, reason });
            news
        });
        if news {
            for blocker in &blockers {
                tracing::warn!(%blocker, "an open transaction that has inserted holds the stream back");
            }
        }
        Ok(())
    }

    fn unstall<R: Render>(&self, tail: &Tail<R>) {
        if tail.status.send_if_modified(|status| status.stalled.take().is_some()) {
            tracing::info!("the stream goes on");
        }
    }

    /// Sends the probe when it is due, and draws its conclusion from what comes back.
    async fn follow_probe<R: Render>(&mut self, tail: &mut Tail<R>) -> Result<(), Lost> {
        match std::mem::replace(&mut self.probe.errand, Errand::None) {
            Errand::None if Instant::now() >= self.probe.next => self.send_probe(tail),
            Errand::None => {}
            _ if self.ear.has_heard(self.probe.number) => {
                self.probe.in_a_row += 1;
                if self.probe.in_a_row < PROOFS {
                    self.probe.next = Instant::now();
                    return Ok(());
                }
                self.probe.next = Instant::now() + PROBE_EVERY;
                if std::mem::replace(&mut self.probe.hearing, Hearing::Proven) != Hearing::Proven {
                    // Nobody stands between us and the server: the session is ours.
                    statements::settle(&self.client).await?;
                    self.prepared = Some(Prepared::new(&self.client).await?);
                }
            }
            Errand::Sending(sending) if sending.is_finished() => match sending.await {
                Ok(Ok(())) => self.probe.errand = Errand::Sent(Instant::now()),
                Ok(Err(trouble)) => {
                    tracing::debug!(%trouble, "the probe could not be sent");
                    self.probe.next = Instant::now() + PROBE_LIMIT;
                }
                Err(_) => self.probe.next = Instant::now() + PROBE_LIMIT,
            },
            Errand::Sent(sent) if sent.elapsed() >= PROBE_LIMIT => {
                self.probe.next = Instant::now() + PROBE_LIMIT;
                self.probe.in_a_row = 0;
                match std::mem::replace(&mut self.probe.hearing, Hearing::Deaf) {
                    // It was not deaf before: a half-open connection, best replaced.
                    Hearing::Proven => return Err(Lost::Closed),
                    Hearing::Unproven => tracing::warn!(
                        "bells do not reach the tail (is a transaction-mode pooler in the way of LISTEN?): polling"
                    ),
                    Hearing::Deaf => {}
                }
            }
            waiting => self.probe.errand = waiting,
        }
        self.show(tail);
        Ok(())
    }

    fn send_probe<R: Render>(&mut self, tail: &Tail<R>) {
        self.probe.number = self.probe.number.wrapping_add(1).max(1);
        let sql = format!("select pg_catalog.pg_notify('rowcast', '{}')", probe_payload(self.probe.number));
        let database = tail.database.clone();
        self.probe.errand =
            Errand::Sending(tokio::spawn(async move { Ok(database.get().await?.simple_query(&sql).await.map(drop)?) }));
    }

    fn show<R: Render>(&self, tail: &Tail<R>) {
        tail.status.send_if_modified(|status| {
            let stalled = status.stalled.clone().filter(|s| s.reason != Reason::Database);
            let new = Status { connected: true, hearing: self.probe.hearing, hushed: self.hushed, stalled };
            let news = *status != new;
            *status = new;
            news
        });
    }

    /// The end of a shutdown: the head is written down and the hush given back.
    async fn leave(mut self) -> Result<(), Lost> {
        statements::write_head(&self.client, self.fences.decided()).await?;
        if std::mem::take(&mut self.hushed) {
            statements::unhush(&self.client, &self.server).await?;
        }
        Ok(())
    }
}

impl Probe {
    fn due_in(&self) -> Duration {
        let now = Instant::now();
        match self.errand {
            Errand::None => self.next.saturating_duration_since(now),
            Errand::Sending(_) => PROBE_LIMIT,
            Errand::Sent(sent) => (sent + PROBE_LIMIT).saturating_duration_since(now),
        }
    }
}

impl<R: Render> Tail<R> {
    /// Where to begin on a new connection: after the newest event that was handed out, if this is the history that we
    /// were in; else where the database says that everything is decided.
    async fn recall(&mut self, client: &Client, server: &Server) -> Result<i64, Lost> {
        let (written, trimmed) = statements::state(client).await?;
        self.pages.trim(trimmed);
        if let Some(decided) = self.memory.decided {
            let known: Vec<(i64, Uuid)> =
                self.memory.recent.iter().copied().filter(|(seq, _)| *seq > trimmed).collect();
            let holds = match (known.first(), known.last()) {
                (Some((first, _)), Some((last, _))) => statements::ids(client, *first, *last).await? == known,
                _ => self.memory.history.as_ref() == Some(&server.history),
            };
            let holds = holds && statements::sequence(client).await? >= decided;
            if holds {
                if self.memory.history.as_ref() != Some(&server.history) {
                    tracing::warn!("the database was promoted or moved; it holds everything that was handed out");
                    self.memory.history = Some(server.history.clone());
                }
                // The numbers after it hold no event, as far as we know; the first fence proves it (`Visit::confirm`).
                let proven = self.memory.newest().map_or(trimmed, |seq| seq.max(trimmed));
                return Ok(proven.min(decided));
            }
            tracing::error!(
                "the database does not hold what was handed out: it was restored, or lost commits in a crash"
            );
            // Before anything that can fail: empty pages must not be taken for what was handed out.
            self.forget();
            self.pages.trim(trimmed);
            self.count(|c| c.resets += 1);
        }
        self.jump(client, written).await?;
        self.memory.history = Some(server.history.clone());
        Ok(written)
    }

    /// Pages and memory go together.
    fn forget(&mut self) {
        self.pages.reset();
        self.memory = Memory::default();
    }

    /// Begins anew at a head, with the page that holds it.
    async fn jump(&mut self, client: &Client, head: i64) -> Result<(), Lost> {
        let rows = read_range(client, PageWriter::<R>::page_start(head), head, MAX_ROWS).await?;
        let newest = statements::newest(client, head).await?;
        // After the rows and before anybody can have them: who takes them must be able to see what they may lack.
        self.pages.trim(trimmed_through(client).await?);
        let ids = if rows.is_empty() { newest.into_iter().collect() } else { ids_of(&rows) };
        self.pages.jump(rows, head, newest.map_or(Cursor::START, |(seq, id)| Cursor::of(seq, id)))?;
        self.memory.recent.clear();
        self.memory.handed_out(&ids);
        self.memory.decided = Some(head);
        Ok(())
    }

    fn advance(&mut self, rows: Vec<StoredEvent>, head: i64) -> Result<(), Lost> {
        let ids = ids_of(&rows);
        self.pages.advance(rows, head)?;
        self.memory.handed_out(&ids);
        self.memory.decided = Some(head);
        Ok(())
    }
}

fn ids_of(rows: &[StoredEvent]) -> Vec<(i64, Uuid)> {
    rows.iter().map(|row| (row.seq, row.id)).collect()
}

fn blocker_names(blockers: &[blocker::Blocker]) -> Vec<String> {
    blockers.iter().map(|b| b.transaction.clone()).collect()
}

impl Stalled {
    fn named(&self) -> Vec<String> {
        match &self.reason {
            Reason::Transaction(blockers) => blocker_names(blockers),
            Reason::Database => Vec::new(),
        }
    }
}
