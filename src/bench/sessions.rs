//! The cost of a delivery: many sessions under saturating appends beside a plain relay, sessions that want one thing each,
//! and sessions that wait.

use std::time::{Duration, Instant};

use super::child::{Server, own_cpu, postgres_cpu};
use super::crowd::{Crowd, Door};
use super::error::BenchError;
use super::figures::{Spread, percentile};
use super::measured::count;
use super::relay::RELAYED;
use super::report::{Machine, millis, table, with_bounds};
use super::testbed::{Scheme, Testbed};
use super::writers::Writers;
use crate::auth::Role;
use crate::auth::token::Mint;
use crate::clock::Clock;
use crate::config::Secret;
use crate::db::{Connector, DatabaseError};

/// How long the last clients may take for what was written.
const CATCH_UP: Duration = Duration::from_secs(30);
/// Connections that write.
const WRITERS: usize = 16;
/// The heartbeat of sessions that wait: the default.
const IDLE_HEARTBEAT: &str = "15s";

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    pub sessions: usize,
    pub subjects: usize,
    pub idle: usize,
    pub rounds: usize,
    pub warm_up: Duration,
    pub measure: Duration,
    pub idle_for: Duration,
}

/// One round of the many sessions, on one side.
#[derive(Debug, Clone)]
struct Fan {
    appends: f64,
    deliveries: f64,
    /// Of a core, while it was measured.
    server: f64,
    postgres: f64,
    load: f64,
    /// Microseconds of the server for a delivery.
    cost: f64,
    delays: Vec<Duration>,
    /// Deliveries that never came.
    lost: i64,
}

/// Measures all of it and returns the report.
pub(super) async fn run(testbed: &Testbed, plan: &Plan) -> Result<String, BenchError> {
    let begun = Machine::now();
    testbed.prepare().await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        for (rounds, side) in [(&mut ours, Side::Rowcast), (&mut theirs, Side::Relay)] {
            let fan = fan(testbed, plan, side).await?;
            (testbed.tell)(&format!(
                "round {number}, {} sessions, {}: {:.0} appends/s, {:.0} deliveries/s, {:.2} us of the server each",
                plan.sessions,
                side.name(),
                fan.appends,
                fan.deliveries,
                fan.cost
            ));
            rounds.push(fan);
        }
    }
    let mut wakes = Vec::new();
    let wanted = (plan.subjects / 100).max(1);
    for sessions in [wanted, plan.subjects] {
        let cost = wake(testbed, plan, sessions, wanted).await?;
        (testbed.tell)(&format!("{sessions} sessions of one subject each: {cost:.1} us of the server for an event"));
        wakes.push((sessions, cost));
    }
    let idle = idle(testbed, plan).await?;
    (testbed.tell)(&format!("{} idle sessions: {:.1} KiB each, {:.2} % of a core", plan.idle, idle.0, idle.1));
    Ok(report(plan, &testbed.facts().await?, &begun, &ours, &theirs, &wakes, idle))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Rowcast,
    Relay,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Rowcast => "rowcast",
            Self::Relay => "a plain relay",
        }
    }
}

fn secret() -> String {
    "0123456789abcdef".repeat(2)
}

fn token() -> Result<String, BenchError> {
    let mint =
        Mint { subject: "bench", role: Role::Viewer, ttl: Duration::from_secs(3600), issuer: None, audience: None };
    let signed = mint.sign(&Secret::new(secret()), &Clock::system()).map_err(std::io::Error::other)?;
    Ok(signed.expose().to_owned())
}

async fn serve(testbed: &Testbed, heartbeat: &str) -> Result<(Server, Connector), BenchError> {
    let connector = testbed.fresh(Scheme::Rowcast).await?;
    let (url, secret) = (testbed.url(Scheme::Rowcast), secret());
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("ROWCAST_JWT_SECRET", secret.as_str()),
        ("ROWCAST_LISTEN", "127.0.0.1:0"),
        ("ROWCAST_LOG", "warn"),
        ("ROWCAST_HEARTBEAT", heartbeat),
        ("ROWCAST_RATE_LIMITS", "public=1000000/s,private=1000000/s,connect=1000000/s,append=1000000/s"),
        ("ROWCAST_SESSIONS_PER_SUBJECT", "1000000"),
        ("ROWCAST_CONNECTIONS_PER_ADDRESS", "1000000"),
    ];
    let server = Server::start(&["serve"], &environment).await?;
    server.ready().await?;
    Ok((server, connector))
}

async fn fan(testbed: &Testbed, plan: &Plan, side: Side) -> Result<Fan, BenchError> {
    let (server, connector, door) = match side {
        Side::Rowcast => {
            let (server, connector) = serve(testbed, "5s").await?;
            let door = Door { address: server.address.clone(), path: |_| "/ws".to_owned(), token: Some(token()?) };
            (server, connector, door)
        }
        Side::Relay => {
            let connector = testbed.fresh(Scheme::Plain).await?;
            let (client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
            client.batch_execute(RELAYED).await.map_err(DatabaseError::from)?;
            let url = testbed.url(Scheme::Plain);
            let server = Server::start(&["bench", "relay"], &[("DATABASE_URL", url.as_str())]).await?;
            let door = Door { address: server.address.clone(), path: |_| "/".to_owned(), token: None };
            (server, connector, door)
        }
    };
    let crowd = Crowd::open(door, plan.sessions).await?;
    let writers = Writers::start(&connector, WRITERS, None, 1).await?;
    tokio::time::sleep(plan.warm_up).await;
    let postmaster = testbed.postmaster();
    let cpu = || (server.cpu(), postmaster.map_or(Duration::ZERO, postgres_cpu), own_cpu());
    crowd.sample(true);
    let (begun, before, done, had) = (Instant::now(), cpu(), writers.done(), crowd.received());
    tokio::time::sleep(plan.measure).await;
    let (took, after, did, has) = (begun.elapsed().as_secs_f64(), cpu(), writers.done(), crowd.received());
    let delays = crowd.sample(false);
    let written = writers.stop().await?;
    let wanted = written * u64::try_from(plan.sessions).unwrap_or(u64::MAX);
    let end = Instant::now();
    while crowd.received() < wanted && end.elapsed() < CATCH_UP {
        let before = crowd.received();
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The relay has nothing more to say.
        if side == Side::Relay && crowd.received() == before {
            break;
        }
    }
    let lost = i64::try_from(wanted).unwrap_or(i64::MAX) - i64::try_from(crowd.received()).unwrap_or(i64::MAX);
    if side == Side::Rowcast && lost != 0 {
        return Err(std::io::Error::other(format!("{lost} of {wanted} deliveries did not come")).into());
    }
    let share = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / took;
    let deliveries = count(has - had);
    Ok(Fan {
        appends: count(did - done) / took,
        deliveries: deliveries / took,
        server: share(before.0, after.0),
        postgres: share(before.1, after.1),
        load: share(before.2, after.2),
        cost: share(before.0, after.0) * took / deliveries * 1e6,
        delays,
        lost,
    })
}

/// The server's time for an event that one of so many sessions wants, in microseconds. The events are about the subjects
/// of the first few sessions alone: the others only wait.
async fn wake(testbed: &Testbed, plan: &Plan, sessions: usize, wanted: usize) -> Result<f64, BenchError> {
    let (server, connector) = serve(testbed, "60s").await?;
    let door = Door {
        address: server.address.clone(),
        path: |number| format!("/ws?subject=s{number}"),
        token: Some(token()?),
    };
    let crowd = Crowd::open(door, sessions).await?;
    // The same pace whatever the sessions cost, so that what is not theirs is the same in both.
    let writers = Writers::start(&connector, 4, Some(Duration::from_millis(4)), wanted).await?;
    tokio::time::sleep(plan.warm_up).await;
    let (before, done) = (server.cpu(), writers.done());
    tokio::time::sleep(plan.measure).await;
    let (after, did) = (server.cpu(), writers.done());
    let written = writers.stop().await?;
    let end = Instant::now();
    while crowd.received() < written && end.elapsed() < CATCH_UP {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if crowd.received() != written {
        let why = format!("{} of {written} deliveries came", crowd.received());
        return Err(std::io::Error::other(why).into());
    }
    Ok((after - before).as_secs_f64() / count(did - done).max(1.0) * 1e6)
}

/// The cost of sessions that wait: KiB of memory for each, and percent of a core for all of them.
async fn idle(testbed: &Testbed, plan: &Plan) -> Result<(f64, f64), BenchError> {
    let (server, _connector) = serve(testbed, IDLE_HEARTBEAT).await?;
    let door = Door { address: server.address.clone(), path: |_| "/ws".to_owned(), token: Some(token()?) };
    // What a server takes once, it has taken after the first sessions.
    drop(Crowd::open(door.clone(), 100.min(plan.idle)).await?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let empty = server.resident();
    let crowd = Crowd::open(door, plan.idle).await?;
    let before = server.cpu();
    tokio::time::sleep(plan.idle_for).await;
    let (after, full) = (server.cpu(), server.resident());
    if crowd.gone() > 0 {
        return Err(std::io::Error::other(format!("{} idle sessions were closed", crowd.gone())).into());
    }
    let each = count(full.saturating_sub(empty)) / count(u64::try_from(plan.idle).unwrap_or(1)) / 1024.0;
    Ok((each, (after - before).as_secs_f64() / plan.idle_for.as_secs_f64() * 100.0))
}

fn report(
    plan: &Plan,
    facts: &str,
    begun: &Machine,
    ours: &[Fan],
    theirs: &[Fan],
    wakes: &[(usize, f64)],
    (memory, share): (f64, f64),
) -> String {
    let of = |rounds: &[Fan], of: fn(&Fan) -> f64, digits| with_bounds(&Spread::of(rounds.iter().map(of)), digits);
    let row = |name: &str, rounds: &[Fan]| {
        let mut delays: Vec<Duration> = rounds.iter().flat_map(|fan| fan.delays.iter().copied()).collect();
        delays.sort_unstable();
        vec![
            name.to_owned(),
            of(rounds, |fan| fan.appends, 0),
            of(rounds, |fan| fan.deliveries, 0),
            of(rounds, |fan| fan.cost, 2),
            of(rounds, |fan| fan.server * 100.0, 0),
            of(rounds, |fan| fan.postgres * 100.0, 0),
            of(rounds, |fan| fan.load * 100.0, 0),
            millis(&delays, 50),
            format!("{:.2}", percentile(&delays, 99).as_secs_f64() * 1000.0),
            rounds.iter().map(|fan| fan.lost).sum::<i64>().to_string(),
        ]
    };
    let header = [
        "",
        "appends/s",
        "deliveries/s",
        "server, us a delivery",
        "server, % of a core",
        "Postgres",
        "clients and writers",
        "insert → client p50, ms",
        "p99",
        "deliveries that never came",
    ];
    let sides = [row("rowcast", ours), row("plain relay", theirs)];
    let fan = table(&format!("{} sessions, saturating appends", plan.sessions), &header, sides);
    let wakes = wakes.iter().map(|(sessions, cost)| vec![sessions.to_string(), format!("{cost:.1}")]);
    let title = format!("Sessions that follow one subject each; events of {} subjects", (plan.subjects / 100).max(1));
    let wakes = table(&title, &["sessions", "server, us an event"], wakes);
    let met = |met: bool| (if met { "met" } else { "**not met**" }).to_owned();
    let waiting = table(
        &format!("{} idle sessions", plan.idle),
        &["what", "target", "measured", ""],
        [
            vec![
                "memory of a session, KiB".to_owned(),
                "at most 12".into(),
                format!("{memory:.1}"),
                met(memory <= 12.0),
            ],
            vec!["time of all, % of a core".to_owned(), "under 3".into(), format!("{share:.2}"), met(share < 3.0)],
        ],
    );
    [
        begun.heading(
            "Sessions",
            facts,
            &format!("{} rounds of {:?} after {:?}", plan.rounds, plan.measure, plan.warm_up),
        ),
        fan,
        wakes,
        waiting,
    ]
    .join("\n\n")
}
