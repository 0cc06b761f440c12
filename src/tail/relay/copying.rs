//! The lease of whoever writes the copy: taken by one node at a time, kept while its own tail follows the journal, and given back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::copy::Copy;
use super::entry::HistoryTag;
use super::error::RelayError;
use super::lists::{Lists, digest_of};
use super::redis_link::{LISTS, REPORT, RedisLink};
use super::report::Report;
use super::script::{LEASE, Writer, is_forgotten};
use crate::clock::jitter;
use crate::config::RelayConfig;
use crate::journal::JournalIdentity;
use crate::shutdown::Shutdown;
use crate::tail::pages::{PAGE_SPAN, Pages, Position, Render};
use crate::tail::status::TailStatus;

/// How often the lease is asked for while another node holds it.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How often it is reported though nothing has moved. An edge goes to Postgres after [`super::source::PATIENCE`] without a report.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// The waits after a failure: doubled each time, from the first to the last.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A node that has not proven for this long which history it follows does not write.
const PROOF_AGE: Duration = Duration::from_millis(1_900);
/// How long a node that took the lease waits until its lists are read anew, and until its own stream has reached the newest entry.
const BEGIN_LIMIT: Duration = Duration::from_secs(3);
/// A copy that ends further back than this is begun anew: edges have long gone on through Postgres.
const FARTHEST: i64 = 16 * PAGE_SPAN;

/// What the relay of this node has done, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayCounts {
    /// Whether it holds the lease.
    pub holds: bool,
    /// How often it has taken the lease.
    pub taken: u64,
    /// Events that it has copied.
    pub copied: u64,
    /// How often it began the copy anew.
    pub begun: u64,
    /// How often it lost Redis or the lease.
    pub lost: u64,
}

/// The relay of one node.
#[derive(Debug)]
pub struct Relay<R: Render> {
    link: RedisLink,
    length: usize,
    bytes: usize,
    node: String,
    pages: Pages<R>,
    status: watch::Receiver<TailStatus>,
    proven_at: watch::Receiver<Option<std::time::Instant>>,
    lists: Lists,
    counts: watch::Sender<RelayCounts>,
}

impl<R: Render> Relay<R> {
    /// A relay that copies what the tail of this node has put into its pages.
    pub fn new(
        config: &RelayConfig,
        node: &str,
        pages: Pages<R>,
        status: watch::Receiver<TailStatus>,
        proven_at: watch::Receiver<Option<std::time::Instant>>,
        lists: Lists,
    ) -> Result<Self, RelayError> {
        let bytes = usize::try_from(config.bytes).unwrap_or(usize::MAX);
        let (link, length, node) = (RedisLink::new(config)?, config.length, node.to_owned());
        Ok(Self { link, length, bytes, node, pages, status, proven_at, lists, counts: watch::Sender::default() })
    }

    /// What it has done, now and later.
    pub fn counts(&self) -> watch::Receiver<RelayCounts> {
        self.counts.subscribe()
    }

    /// Takes the lease whenever it is free, until the shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let (mut wait, mut known) = (RETRY_MIN, String::new());
        loop {
            let begun = Instant::now();
            let lost = self.serve(&shutdown).await;
            self.counts.send_modify(|counts| {
                counts.lost += u64::from(lost.is_err());
                counts.holds = false;
            });
            let Err(lost) = lost else { return };
            if begun.elapsed() > RETRY_MAX {
                (wait, known) = (RETRY_MIN, String::new());
            }
            let why = lost.to_string();
            if why == known || is_forgotten(&lost) {
                tracing::debug!(retry_in = ?wait, "nothing is relayed by this node: {why}");
            } else {
                tracing::warn!(retry_in = ?wait, "nothing is relayed by this node: {why}");
                known = why;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait.mul_f64(jitter())) => {}
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// One connection: waits for the lease, and does it until something fails or the shutdown comes.
    async fn serve(&mut self, shutdown: &Shutdown) -> Result<(), RelayError> {
        let connection = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            connection = self.link.connect_for_writing() => connection?,
        };
        let number = getrandom::u64().map_err(|_| RelayError::Key)?;
        let mut writer = Writer::new(connection, format!("{} {number:016x}", self.node)).await?;
        loop {
            if self.fit_journal().is_some() && writer.take().await? {
                break;
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
        }
        self.counts.send_modify(|counts| {
            counts.holds = true;
            counts.taken += 1;
        });
        tracing::info!("this node copies the journal into Redis");
        let done = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            held = Box::pin(self.hold(&mut writer)) => held,
        };
        if !matches!(done, Err(RelayError::TakenOver)) {
            // If this fails too, the lease ends by itself.
            let _given = writer.give_back().await;
        }
        done
    }

    /// The journal that the tail of this node follows, if it has proven that lately.
    fn fit_journal(&self) -> Option<JournalIdentity> {
        let is_proven = self.proof_age().is_some_and(|age| age <= PROOF_AGE);
        (self.status.borrow().connected && is_proven && self.pages.position().known)
            .then(|| self.pages.journal().get())?
    }

    fn proof_age(&self) -> Option<Duration> {
        self.proven_at.borrow().map(|proven_at| proven_at.elapsed())
    }

    /// Does the lease.
    async fn hold(&mut self, writer: &mut Writer) -> Result<(), RelayError> {
        self.wait_for_lists(writer).await?;
        let journal = self.fit_journal().ok_or(RelayError::Unfit)?;
        let epoch = self.pages.position().epoch;
        let mut positions = self.pages.subscribe();
        let mut copy = self.begin(writer, &journal).await?;
        let mut told = Told::default();
        loop {
            let position = positions.borrow_and_update().clone();
            if position.epoch != epoch || self.fit_journal() != Some(journal) {
                return Err(RelayError::Unfit);
            }
            self.copy_upto(writer, &mut copy, &position).await?;
            self.tell(writer, &mut told, &journal, &position).await?;
            tokio::select! {
                changed = positions.changed() => changed.map_err(|_| RelayError::Unfit)?,
                () = self.lists.changed() => {}
                () = tokio::time::sleep(REPORT_EVERY) => {}
            }
        }
    }

    /// Waits until the lists of this node are newer than the lease, which it renews meanwhile.
    async fn wait_for_lists(&mut self, writer: &mut Writer) -> Result<(), RelayError> {
        let since = Instant::now();
        while tokio::time::timeout(LEASE / 3, self.lists.read_after(since)).await.is_err() {
            if since.elapsed() > BEGIN_LIMIT {
                return Err(RelayError::Unfit);
            }
            writer.tell(b"", &Default::default()).await?;
        }
        Ok(())
    }

    /// Finds where the copy goes on: after its newest entry, if that is an event of this history, else anew at the head.
    async fn begin(&self, writer: &mut Writer, journal: &JournalIdentity) -> Result<Copy, RelayError> {
        let tag = HistoryTag::of(journal);
        if let Some(seq) = self.newest_of_history(writer, &tag).await? {
            let bytes = usize::try_from(writer.memory().await?).unwrap_or(usize::MAX);
            return Ok(Copy::resume(tag, seq, bytes, self.length, self.bytes));
        }
        writer.drop_events().await?;
        self.counts.send_modify(|counts| counts.begun += 1);
        let position = self.pages.position();
        Ok(Copy::begin(tag, position.head, position.newest_seq(), self.length, self.bytes))
    }

    /// The seq of the newest entry, if this node has the same event, and the copy is not far behind.
    async fn newest_of_history(&self, writer: &mut Writer, tag: &HistoryTag) -> Result<Option<i64>, RelayError> {
        let Some((id, sealed)) = writer.newest().await? else { return Ok(None) };
        let Ok(entry) = self.link.open_event(&id, &sealed) else { return Ok(None) };
        let seq = entry.event.seq;
        if entry.history != *tag {
            return Ok(None);
        }
        // The former holder may have been ahead of this node.
        let mut positions = self.pages.subscribe();
        let since = Instant::now();
        while positions.borrow_and_update().head < seq {
            if since.elapsed() > BEGIN_LIMIT {
                return Ok(None);
            }
            let _moved_or_not = tokio::time::timeout(LEASE / 3, positions.changed()).await;
            writer.tell(b"", &Default::default()).await?;
        }
        let position = self.pages.position();
        if position.head - seq > FARTHEST {
            return Ok(None);
        }
        let page = self.pages.page_after(seq - 1).await.map_err(|_| RelayError::Unfit)?;
        Ok((page.newest_upto(seq) == Some(&entry.event)).then_some(seq))
    }

    /// Copies all events up to a head.
    async fn copy_upto(&self, writer: &mut Writer, copy: &mut Copy, position: &Position) -> Result<(), RelayError> {
        while copy.upto < position.head {
            let page = self.pages.page_after(copy.upto).await.map_err(|_| RelayError::Unfit)?;
            if page.epoch() != position.epoch {
                return Err(RelayError::Unfit);
            }
            let write = copy.next(&self.link, &page)?;
            let keep = copy.keep(&write);
            if !write.entries.is_empty() {
                writer.append(&copy.newest_id, keep, &write.entries).await?;
                let copied = u64::try_from(write.entries.len()).unwrap_or(u64::MAX);
                self.counts.send_modify(|counts| counts.copied += copied);
            }
            copy.wrote(&write, keep);
        }
        Ok(())
    }

    /// Reports, if anything is new or it is time.
    async fn tell(
        &self,
        writer: &mut Writer,
        told: &mut Told,
        journal: &JournalIdentity,
        position: &Position,
    ) -> Result<(), RelayError> {
        let texts = self.lists.texts();
        let mut lists = <[Vec<u8>; LISTS.len()]>::default();
        for (at, text) in texts.iter().enumerate() {
            if told.lists.get(at).is_none_or(|(told, _)| !Arc::ptr_eq(told, text)) {
                lists[at] = self.link.seal.close(LISTS[at], text.as_bytes())?;
            }
        }
        let stalled = self.status.borrow().stalled.clone();
        let is_news = told.head != position.head || lists.iter().any(|list| !list.is_empty());
        if !is_news && told.at.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return Ok(());
        }
        let known = std::mem::take(&mut told.lists);
        let digest = |text: &Arc<str>| match known.iter().find(|(known, _)| Arc::ptr_eq(known, text)) {
            Some((_, digest)) => digest.clone(),
            None => digest_of(text),
        };
        let lists_told: Vec<_> = texts.iter().map(|text| (Arc::clone(text), digest(text))).collect();
        let digests = lists_told.iter().map(|(_, digest)| digest.clone()).collect();
        let proof_age = self.proof_age().unwrap_or(PROOF_AGE);
        let report = Report::new(*journal, position, proof_age, stalled.as_ref(), digests);
        writer.tell(&self.link.seal.close(REPORT, &report.encode()?)?, &lists).await?;
        *told = Told { lists: lists_told, head: position.head, at: Some(Instant::now()) };
        Ok(())
    }
}

/// What was reported last.
#[derive(Debug, Default)]
struct Told {
    /// The texts of the lists, and their digests.
    lists: Vec<(Arc<str>, String)>,
    head: i64,
    at: Option<Instant>,
}
