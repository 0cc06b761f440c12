//! The cost of the journal for its writers, and the delay of its tail.

use std::time::{Duration, Instant};

use super::error::BenchError;
use super::figures::Delays;
use super::load::{Load, Sample, by_turns, rows_with_samples};
use super::measured::{Busy, Latency, Plan, Round, Throughput, count};
use super::readers::{Fetcher, Follower, Listener};
use super::report;
use super::testbed::{Scheme, Testbed};
use crate::tail::TailCounts;

/// How much longer than planned a round may take to have something to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures all of it and returns the report.
pub(super) async fn run(testbed: &Testbed, plan: &Plan) -> Result<String, BenchError> {
    let begun = report::Machine::now();
    testbed.prepare().await?;
    let mut throughput: Vec<Throughput> =
        plan.writers.iter().map(|&writers| Throughput { writers, rounds: Vec::new() }).collect();
    let mut latency = Vec::new();
    for number in 1..=plan.rounds {
        for of in &mut throughput {
            let mut schemes = Vec::new();
            for scheme in Scheme::ALL {
                let round = round(testbed, plan, scheme, of.writers).await?;
                let (name, rate) = (scheme.name(), round.rate);
                (testbed.tell)(&format!("round {number}, {} writers, {name}: {rate:.0} appends/s", of.writers));
                schemes.push(round);
            }
            of.rounds.push(schemes);
        }
        let [tail, bare] = latency_round(testbed, plan).await?;
        (testbed.tell)(&format!(
            "round {number}, latency: p50 {} by the tail, {} by a bare client",
            report::millis(&tail.from_call, 50),
            report::millis(&bare.from_call, 50)
        ));
        latency.push([tail, bare]);
    }
    Ok(report::journal(plan, &testbed.facts().await?, &begun, &throughput, &latency))
}

async fn round(testbed: &Testbed, plan: &Plan, scheme: Scheme, writers: usize) -> Result<Round, BenchError> {
    let connector = testbed.fresh(scheme).await?;
    let follower = match scheme {
        Scheme::Rowcast => Some(Follower::start(&connector).await?),
        Scheme::Plain | Scheme::Classic => None,
    };
    let listener = match scheme {
        Scheme::Classic => Some(Listener::start(&connector).await?),
        Scheme::Plain | Scheme::Rowcast => None,
    };
    let load = Load::start(&connector, writers, plan.threads).await?;
    tokio::time::sleep(plan.warm_up).await;
    let before = follower.as_ref().map(Follower::counts).unwrap_or_default();
    let (begun, done) = (Instant::now(), load.done());
    tokio::time::sleep(plan.measure).await;
    // A machine that has other things to do may need longer for figures that are worth printing.
    let is_enough = || {
        load.done() - done >= rows_with_samples(writers)
            && follower.as_ref().is_none_or(|follower| follower.counts().polls > before.polls)
            && listener.as_ref().is_none_or(|listener| listener.heard() > 0)
    };
    while !is_enough() {
        if begun.elapsed() > plan.measure + PATIENCE || load.has_failed() {
            load.stop().await?;
            return Err(too_little(scheme, writers));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (ended, appended) = (Instant::now(), load.done() - done);
    let after = follower.as_ref().map(Follower::counts).unwrap_or_default();
    let samples = load.stop().await?;
    let seconds = (ended - begun).as_secs_f64();
    let measured: Vec<Sample> = samples.into_iter().filter(|s| s.called >= begun && s.acknowledged <= ended).collect();
    let busy = match follower {
        Some(follower) => Some(Busy { seconds, ..busy(testbed, follower, &measured, before, after).await? }),
        None => None,
    };
    Ok(Round { scheme, rate: count(appended) / seconds, busy })
}

fn too_little(scheme: Scheme, writers: usize) -> BenchError {
    let what = format!("{}, {writers} writers: too little was appended or heard within {PATIENCE:?}", scheme.name());
    BenchError::Io(std::io::Error::other(what))
}

async fn busy(
    testbed: &Testbed,
    follower: Follower,
    samples: &[Sample],
    before: TailCounts,
    after: TailCounts,
) -> Result<Busy, BenchError> {
    let (rows, last) = testbed.rows(Scheme::Rowcast).await?;
    let (marks, events) = follower.finish(last).await?;
    if i64::try_from(events) != Ok(rows) {
        let why = format!("{rows} rows were committed, and the tail handed out {events}");
        return Err(BenchError::Io(std::io::Error::other(why)));
    }
    Ok(Busy {
        seconds: 0.0,
        polls: after.polls - before.polls,
        hushes: after.hushes,
        rings: after.rings - before.rings,
        delays: Delays::of(samples, &marks),
        events,
    })
}

async fn latency_round(testbed: &Testbed, plan: &Plan) -> Result<Latency, BenchError> {
    let (ours, theirs) = (testbed.fresh(Scheme::Rowcast).await?, testbed.fresh(Scheme::Classic).await?);
    let (follower, fetcher) = (Follower::start(&ours).await?, Fetcher::start(&theirs).await?);
    let [tail, bare] = by_turns([ours, theirs], plan.inserts, plan.gap).await?;
    let last = |samples: &[Sample]| samples.last().map_or(0, |sample| sample.seq);
    let (marks, _) = follower.finish(last(&tail)).await?;
    let fetched = fetcher.finish(last(&bare)).await?;
    // The first ones pay for plans, caches and pages of memory.
    let warm = |samples: &[Sample]| samples[samples.len() / 10..].to_vec();
    Ok([Delays::of(&warm(&tail), &marks), Delays::of(&warm(&bare), &fetched)])
}
