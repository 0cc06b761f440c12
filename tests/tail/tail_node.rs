//! One node's tail in this process, and someone who reads what it hands out.

use rowcast::db::Database;
use rowcast::shutdown::Shutdown;
use rowcast::tail::pages::{Limits, Pages, PostgresLoad, Seqs};
use rowcast::tail::{Hearing, Tail, TailCounts, TailStatus};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, connector};

pub(crate) struct TailNode {
    pub(crate) pages: Pages<Seqs>,
    pub(crate) status: watch::Receiver<TailStatus>,
    pub(crate) counts: watch::Receiver<TailCounts>,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

impl TailNode {
    pub(crate) fn start(url: &str) -> Self {
        Self::start_with(url, None)
    }

    pub(crate) fn start_with(url: &str, idle_limit: Option<Duration>) -> Self {
        Self::start_beside(Database::new(connector(url), 4).unwrap(), url, idle_limit)
    }

    /// With a pool that others use too.
    pub(crate) fn start_beside(database: Database, url: &str, idle_limit: Option<Duration>) -> Self {
        let connector = connector(url);
        let (pages, writer) = Pages::new(PostgresLoad::new(database.clone()), Seqs, Limits::within(64 << 20));
        let tail = Tail::new(connector, database, writer, idle_limit);
        let (status, counts) = (tail.status(), tail.counts());
        let shutdown = Shutdown::new();
        let running = tokio::spawn(tail.run(shutdown.clone()));
        Self { pages, status, counts, shutdown, running }
    }

    /// Waits until the tail says so of itself.
    pub(crate) async fn is(&mut self, what: &str, said: impl FnMut(&TailStatus) -> bool) -> TailStatus {
        let waited = tokio::time::timeout(PATIENCE, self.status.wait_for(said)).await;
        waited.unwrap_or_else(|_| panic!("in vain: {what}")).unwrap().clone()
    }

    pub(crate) async fn connected(&mut self) {
        self.is("the tail is connected", |s| s.connected).await;
    }

    /// Connected, and known to hear bells.
    pub(crate) async fn hears(&mut self) {
        self.is("bells reach the tail", |s| s.hearing == Hearing::Proven).await;
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader { pages: self.pages.clone(), cursor: 0, seen: Vec::new() }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }
}

pub(crate) struct Reader {
    pages: Pages<Seqs>,
    pub(crate) cursor: i64,
    pub(crate) seen: Vec<i64>,
}

impl Reader {
    /// Reads on until the head has come to this seq.
    pub(crate) async fn read_to(&mut self, seq: i64) {
        let mut position = self.pages.subscribe();
        tokio::time::timeout(PATIENCE, async {
            while self.cursor < seq {
                let cursor = self.cursor;
                position.wait_for(|p| p.head > cursor).await.unwrap();
                let page = self.pages.page_after(self.cursor).await.unwrap();
                for part in page.after(self.cursor) {
                    self.seen.extend(part.events().iter().map(|event| event.seq));
                }
                self.cursor = self.cursor.max(page.upto());
            }
        })
        .await
        .unwrap_or_else(|_| panic!("the head stays at {} and never comes to {seq}", self.pages.position().head));
    }
}
