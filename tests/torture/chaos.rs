//! What is done to nodes, sessions and the server while the writers write.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::Client;

use super::WRITERS;
use super::crashing_postgres::{CrashingPostgres, StopMode};
use super::dice::Dice;
use super::node_process::NodeProcess;
use super::writers::Shared;
use crate::support::{connector, load, until};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    NodeKilled,
    NodeFrozen,
    TailsCutOff,
    WritersCutOff,
    RestartFast,
    RestartImmediate,
    PostmasterKilled,
    BackendKilled,
    CrashAmidRollbacks,
}

use Blow::{
    BackendKilled, CrashAmidRollbacks, NodeFrozen, NodeKilled, PostmasterKilled, RestartFast, RestartImmediate,
    TailsCutOff, WritersCutOff,
};

/// The deck: each is dealt once before any is dealt again as often as it stands here.
const DECK: &[Blow] = &[
    NodeKilled,
    NodeKilled,
    NodeFrozen,
    NodeFrozen,
    TailsCutOff,
    TailsCutOff,
    WritersCutOff,
    WritersCutOff,
    RestartFast,
    RestartImmediate,
    PostmasterKilled,
    BackendKilled,
    CrashAmidRollbacks,
];

/// How long the other node may stand still while one is frozen, and how long the writers: a second until the
/// deadline of the hush has passed, one until the next poll, and what a busy machine adds.
const STANDSTILL: Duration = Duration::from_millis(3500);

pub(crate) struct Chaos {
    pub(crate) server: Option<CrashingPostgres>,
    pub(crate) nodes: Vec<NodeProcess>,
    shared: Arc<Shared>,
    dice: Dice,
    dealt: BTreeMap<Blow, u64>,
    /// What was done when, for whoever has to find out why a run failed.
    pub(crate) story: Vec<String>,
    /// Nodes frozen while they hushed, and the longest standstills seen.
    frozen_hushed: u64,
    longest: (Duration, Duration),
}

impl Chaos {
    pub(crate) fn new(server: CrashingPostgres, nodes: Vec<NodeProcess>, shared: &Arc<Shared>, seed: u64) -> Self {
        Self {
            server: Some(server),
            nodes,
            shared: Arc::clone(shared),
            dice: Dice::new(seed, u64::MAX),
            dealt: BTreeMap::new(),
            story: Vec::new(),
            frozen_hushed: 0,
            longest: Default::default(),
        }
    }

    /// Deals blows until the time is over.
    pub(crate) async fn rage(&mut self, time: Duration) {
        let started = Instant::now();
        let end = started + time;
        let gap = if time < Duration::from_secs(30) { 50..400 } else { 200..2500 };
        let mut deck = Vec::new();
        while Instant::now() < end {
            tokio::time::sleep(self.dice.millis(gap.clone())).await;
            self.writers_go_on().await;
            if deck.is_empty() {
                deck = DECK.to_vec();
                self.dice.shuffle(&mut deck);
            }
            let blow = deck.pop().unwrap();
            let begun = started.elapsed();
            self.deal(blow).await;
            self.story.push(format!("{begun:.2?} to {:.2?}: {blow:?}", started.elapsed()));
            *self.dealt.entry(blow).or_default() += 1;
        }
        self.writers_go_on().await;
    }

    /// However slow the machine is: nothing is proven by blows that meet nobody.
    async fn writers_go_on(&self) {
        let commits = || self.shared.ledger.commits.load(Ordering::Relaxed);
        let before = commits();
        until("the writers commit", || async { commits() >= before + WRITERS }).await;
    }

    async fn deal(&mut self, blow: Blow) {
        match blow {
            NodeKilled => {
                let at = self.dice.index(self.nodes.len());
                self.nodes[at].kill();
                tokio::time::sleep(self.dice.millis(0..400)).await;
                self.nodes[at].resume();
            }
            NodeFrozen => self.freeze().await,
            TailsCutOff => self.cut("torture_node%", 100).await,
            WritersCutOff => self.cut("torture_writer", 5).await,
            RestartFast => self.restart(StopMode::Fast).await,
            RestartImmediate => self.restart(StopMode::Immediate).await,
            PostmasterKilled => self.restart(StopMode::Kill).await,
            BackendKilled => {
                // The postmaster then ends all others and recovers, without ending itself.
                let client = self.client().await;
                let sql =
                    "select pid from pg_stat_activity where application_name like 'torture%' order by random() limit 1";
                if let Ok(Some(row)) = client.query_opt(sql, &[]).await {
                    let _ = kill(Pid::from_raw(row.get(0)), Signal::SIGKILL);
                }
            }
            CrashAmidRollbacks => {
                // Numbers that only transactions without a commit have drawn are drawn again after a crash.
                self.shared.futile.store(true, Ordering::SeqCst);
                tokio::time::sleep(self.dice.millis(400..900)).await;
                self.restart(StopMode::Immediate).await;
                self.shared.futile.store(false, Ordering::SeqCst);
            }
        }
    }

    /// A connection, as soon as the server gives one.
    async fn client(&self) -> Client {
        let begun = Instant::now();
        loop {
            match connector(&self.shared.url).connect().await {
                Ok((client, _)) => return client,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "no connection: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn cut(&mut self, name: &str, most: i64) {
        let client = self.client().await;
        let sql = "select pg_terminate_backend(pid) from
                   (select pid from pg_stat_activity where application_name like $1 order by random() limit $2) x";
        // Whether it reaches anybody is chance anyway.
        let _either_way = client.query(sql, &[&name, &most]).await;
    }

    async fn restart(&mut self, way: StopMode) {
        let mut server = self.server.take().unwrap();
        let restarted = tokio::task::spawn_blocking(move || {
            server.restart(way);
            server
        });
        self.server = Some(restarted.await.unwrap());
    }

    /// Which node hushes the bell now, as far as it has said.
    fn hushing(&self) -> Option<usize> {
        self.nodes.iter().position(|node| *node.hushed.borrow())
    }

    /// Freezes a node, the one that hushes if one does, and watches the writers and the other nodes, at a time
    /// when nothing else could hold up either.
    async fn freeze(&mut self) {
        self.shared.calm.store(true, Ordering::SeqCst);
        until("no long or prepared transaction is left", || async {
            self.shared.long.load(Ordering::SeqCst) == 0 && self.shared.gids.lock().unwrap().is_empty()
        })
        .await;
        let newest = "select coalesce(max(seq), 0) from rowcast.events";
        let newest: i64 = self.client().await.query_one(newest, &[]).await.unwrap().get(0);
        for node in &self.nodes {
            let mut at = node.at.subscribe();
            let come = tokio::time::timeout(Duration::from_secs(30), at.wait_for(|at| *at >= newest));
            assert!(
                come.await.is_ok(),
                "{} stands at {}, far from {newest}\n{}",
                node.name,
                *node.at.borrow(),
                node.log()
            );
        }
        let mut hushing = None;
        for _ in 0..20 {
            hushing = self.hushing();
            if hushing.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let frozen = hushing.unwrap_or_else(|| self.dice.index(self.nodes.len()));
        self.nodes[frozen].freeze();
        self.frozen_hushed += u64::from(hushing.is_some());
        let (begun, time) = (Instant::now(), self.dice.millis(500..3000));
        let commits = || self.shared.ledger.commits.load(Ordering::Relaxed);
        let mut marks: Vec<_> = self.nodes.iter().map(|node| (*node.at.borrow(), Instant::now())).collect();
        let mut written = (commits(), Instant::now());
        while begun.elapsed() < time {
            tokio::time::sleep(Duration::from_millis(5)).await;
            for (at, (node, mark)) in self.nodes.iter().zip(&mut marks).enumerate() {
                let now = *node.at.borrow();
                if at != frozen {
                    self.longest.0 = self.longest.0.max(mark.1.elapsed());
                    assert!(
                        mark.1.elapsed() < STANDSTILL.mul_f64(load()),
                        "{} stands still at {now} since another is frozen\n{}",
                        node.name,
                        node.log()
                    );
                }
                if now != mark.0 {
                    *mark = (now, Instant::now());
                }
            }
            self.longest.1 = self.longest.1.max(written.1.elapsed());
            assert!(written.1.elapsed() < STANDSTILL.mul_f64(load()), "the writers stand still while a node is frozen");
            if commits() != written.0 {
                written = (commits(), Instant::now());
            }
        }
        self.nodes[frozen].thaw();
        self.shared.calm.store(false, Ordering::SeqCst);
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dealt: Vec<_> = self.dealt.iter().map(|(blow, times)| format!("{blow:?} {times}")).collect();
        writeln!(f, "blows: {}", dealt.join(", "))?;
        write!(
            f,
            "frozen while hushing: {}; longest standstill meanwhile: other nodes {:?}, writers {:?}",
            self.frozen_hushed, self.longest.0, self.longest.1
        )
    }
}
