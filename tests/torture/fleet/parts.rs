//! The parts of a fleet, and the ways in which they fail.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::operations::failover::postgres::{Postgres, free_port};
use crate::support::redis::TestRedis;
use crate::support::restarted_server::RestartedServer;
use crate::support::{NO_LIMITS, TestServer, connect, migrate};
use crate::torture::dice::Dice;

const NODES: usize = 3;
const EDGES: usize = 2;

/// Three nodes and two edges, on Redis and Postgres with a replica each.
pub(super) struct Fleet {
    servers: Vec<RestartedServer>,
    redis: RedisPair,
    standby: Postgres,
    primary: Postgres,
}

/// Two Redis servers, of which one follows the other.
struct RedisPair {
    servers: [TestRedis; 2],
    ports: [u16; 2],
    primary: usize,
}

impl RedisPair {
    async fn start() -> Option<Self> {
        let ports = [free_port(), free_port()];
        let start = async |port: u16| TestRedis::start(&["--port", &port.to_string(), "--bind", "127.0.0.1"]).await;
        let pair = Self { servers: [start(ports[0]).await?, start(ports[1]).await?], ports, primary: 0 };
        pair.follow(1, Some(0)).await;
        Some(pair)
    }

    fn urls(&self) -> String {
        self.ports.map(|port| format!("redis://127.0.0.1:{port}")).join(",")
    }

    /// Lets one follow the other, or nobody.
    async fn follow(&self, follower: usize, leader: Option<usize>) {
        let mut connection = self.servers[follower].connect().await;
        let mut command = redis::cmd("REPLICAOF");
        match leader {
            Some(leader) => command.arg("127.0.0.1").arg(self.ports[leader].to_string()),
            None => command.arg("NO").arg("ONE"),
        };
        let _: String = command.query_async(&mut connection).await.unwrap();
    }

    /// Fails over to the replica, which lacks what the primary was told last.
    async fn fail_over(&mut self, dice: &mut Dice) {
        let (old, new) = (self.primary, 1 - self.primary);
        let mut replica = self.servers[new].connect().await;
        // It follows nobody for a while, and keeps what it has.
        let _: String = redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").query_async(&mut replica).await.unwrap();
        tokio::time::sleep(dice.millis(100..800)).await;
        self.servers[old].kill();
        self.follow(new, None).await;
        self.primary = new;
        tokio::time::sleep(dice.millis(0..1_500)).await;
        self.servers[old].revive().await;
        self.follow(old, Some(new)).await;
    }

    async fn kill(&mut self, dice: &mut Dice) {
        let server = &mut self.servers[self.primary];
        server.kill();
        tokio::time::sleep(dice.millis(0..2_500)).await;
        server.revive().await;
    }
}

impl Fleet {
    /// None where Redis is not installed.
    pub(super) async fn start() -> Option<Self> {
        let redis = RedisPair::start().await?;
        let primary = Postgres::primary().await;
        migrate(&primary.url()).await;
        let standby = Postgres::standby(&primary).await;
        let (urls, replica) = (redis.urls(), standby.url());
        let common = [
            ("ROWCAST_RELAY_URL", urls.as_str()),
            ("ROWCAST_RELAY_LENGTH", "5000"),
            ("ROWCAST_REPLICA_URL", replica.as_str()),
            ("ROWCAST_RATE_LIMITS", NO_LIMITS),
            ("ROWCAST_HEARTBEAT", "1s"),
        ];
        let server = |part: (&str, &str)| RestartedServer::with(&primary.url(), &[&common[..], &[part]].concat());
        let nodes = (0..NODES).map(|_| server(("ROWCAST_RELAY", "on")));
        let edges = (0..EDGES).map(|_| server(("ROWCAST_LIVE_FROM", "redis")));
        let servers: Vec<_> = nodes.chain(edges).collect();
        for server in &servers {
            server.ready().await;
        }
        Some(Self { servers, redis, standby, primary })
    }

    pub(super) fn primary_url(&self) -> String {
        self.primary.url()
    }

    /// Where the servers listen.
    pub(super) fn places(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.place.clone()).collect()
    }

    /// Starts again what could not take its port.
    pub(super) fn tend(&mut self) {
        self.servers.iter_mut().for_each(RestartedServer::tend);
    }

    /// Lets one part fail for a while, and come back. Says which.
    pub(super) async fn fail(&mut self, fault: usize, dice: &mut Dice) -> &'static str {
        let (node, edge) = (dice.index(NODES), NODES + dice.index(EDGES));
        match fault % 10 {
            0 => self.kill_server(node, dice, "node killed").await,
            1 => {
                self.redis.kill(dice).await;
                "Redis killed, and empty"
            }
            2 => self.freeze_server(edge, dice, "edge frozen").await,
            3 => {
                self.redis.fail_over(dice).await;
                "Redis failed over with loss"
            }
            4 => match self.holder().await {
                Some(holder) => self.freeze_server(holder, dice, "the copying node frozen").await,
                None => "nobody copied",
            },
            5 => {
                // As a crash of the machine would end it; then it recovers.
                self.primary.kill();
                tokio::time::sleep(dice.millis(0..1_000)).await;
                self.primary.start().await;
                "Postgres killed"
            }
            6 => {
                let server = &self.redis.servers[self.redis.primary];
                server.freeze();
                tokio::time::sleep(dice.millis(500..4_000)).await;
                server.thaw();
                "Redis frozen"
            }
            7 => {
                let standby = connect(&self.standby.url()).await;
                standby.batch_execute("select pg_wal_replay_pause()").await.unwrap();
                tokio::time::sleep(dice.millis(1_000..3_000)).await;
                standby.batch_execute("select pg_wal_replay_resume()").await.unwrap();
                "standby paused"
            }
            8 => match self.holder().await {
                Some(holder) => self.kill_server(holder, dice, "the copying node killed").await,
                None => "nobody copied",
            },
            _ => self.kill_server(edge, dice, "edge killed").await,
        }
    }

    async fn kill_server(&mut self, number: usize, dice: &mut Dice, what: &'static str) -> &'static str {
        let server = &mut self.servers[number];
        server.tend();
        server.kill();
        tokio::time::sleep(dice.millis(0..1_000)).await;
        server.start();
        what
    }

    async fn freeze_server(&mut self, number: usize, dice: &mut Dice, what: &'static str) -> &'static str {
        let server = &self.servers[number];
        server.signal(Signal::SIGSTOP);
        tokio::time::sleep(dice.millis(500..4_000)).await;
        server.signal(Signal::SIGCONT);
        what
    }

    /// The node that copies, if one does at the moment.
    async fn holder(&self) -> Option<usize> {
        for (number, server) in self.servers.iter().enumerate().take(NODES) {
            if metric(&server.place, "rowcast_relay_holds").await == Some(1) {
                return Some(number);
            }
        }
        None
    }

    /// What the servers have counted since they were started last.
    pub(super) async fn counts(&self) -> String {
        let mut text = String::new();
        for (number, server) in self.servers.iter().enumerate() {
            let mut of = Vec::new();
            for name in [
                "relay_taken",
                "relay_begun",
                "relay_events",
                "tail_gaps",
                "tail_fallbacks",
                "replica_pages",
                "replica_refused",
            ] {
                of.push(format!(
                    "{name} {}",
                    metric(&server.place, &format!("rowcast_{name}_total")).await.unwrap_or(-1)
                ));
            }
            text.push_str(&format!("\n  {} {number}: {}", if number < NODES { "node" } else { "edge" }, of.join(", ")));
        }
        text
    }
}

async fn metric(place: &str, name: &str) -> Option<i64> {
    let server = TestServer::at(&format!("http://{place}"));
    let answer = tokio::time::timeout(Duration::from_secs(1), async {
        tokio::net::TcpStream::connect(place).await.ok()?;
        Some(server.get("/metrics").await.body)
    });
    let page = answer.await.ok().flatten()?;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
