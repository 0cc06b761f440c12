//! The report: Markdown, as it stands in docs/BENCHMARKS.md.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use super::figures::{Delays, Spread, percentile};
use super::load::payload_bytes;
use super::measured::{Busy, Latency, Plan, Round, Throughput, count};
use super::testbed::Scheme;

/// The promises of the project for this many writers, and for one.
const PROMISED_WRITERS: usize = 64;
const APPENDS_TO_PLAIN: f64 = 0.85;
const APPENDS_TO_CLASSIC: f64 = 3.5;
const LATENCY_TO_BARE: f64 = 1.5;

/// The machine at a moment.
pub(super) struct Machine {
    at: OffsetDateTime,
    load: String,
}

impl Machine {
    pub(super) fn now() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().filter(|word| !word.is_empty()).unwrap_or("unknown").to_owned();
        Self { at: OffsetDateTime::now_utc(), load }
    }

    /// The head of a report: the machine, its load, and how it was measured.
    pub(super) fn heading(&self, title: &str, facts: &str, how: &str) -> String {
        let ended = Self::now();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let build = if cfg!(debug_assertions) { "a debug build, not for figures" } else { "a release build" };
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "## {title}\n\n\
             - {}: {cores} cores, load average {} before and {} after\n\
             - {facts}\n\
             - rowcast {version}, {build}\n\
             - {how}",
            self.minute(),
            self.load,
            ended.load,
        )
    }

    fn minute(&self) -> String {
        self.at.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_default()
    }
}

/// All of it.
pub(super) fn journal(
    plan: &Plan,
    facts: &str,
    begun: &Machine,
    throughput: &[Throughput],
    latency: &[Latency],
) -> String {
    let parts = [
        heading(plan, facts, begun),
        targets(throughput, latency),
        appends(throughput),
        idle(latency),
        busy(throughput),
        raw(throughput),
        raw_latency(latency),
    ];
    parts.join("\n\n")
}

fn heading(plan: &Plan, facts: &str, begun: &Machine) -> String {
    let Plan { rounds, measure, warm_up, threads, inserts, gap, .. } = plan;
    let bytes = payload_bytes();
    let how = format!(
        "{rounds} rounds. Appends: {measure:?} after {warm_up:?}, {bytes} bytes of payload, writers on {threads} threads. \
         Latency: {inserts} inserts a round, {gap:?} apart"
    );
    begun.heading("The journal", facts, &how)
}

fn targets(throughput: &[Throughput], latency: &[Latency]) -> String {
    let mut rows = Vec::new();
    if let Some(of) = throughput.iter().find(|of| of.writers == PROMISED_WRITERS) {
        for (other, target) in [(Scheme::Plain, APPENDS_TO_PLAIN), (Scheme::Classic, APPENDS_TO_CLASSIC)] {
            let ratio = ratio(of, other);
            rows.push(vec![
                format!("appends, {PROMISED_WRITERS} writers, rowcast / {}", other.name()),
                format!("at least {target}"),
                with_bounds(&ratio, 2),
                verdict(ratio.median >= target),
            ]);
        }
    }
    let ratio = latency_ratio(latency);
    rows.push(vec![
        "commit to tail, one writer, p50, tail / bare client".to_owned(),
        format!("at most {LATENCY_TO_BARE}"),
        with_bounds(&ratio, 2),
        verdict(ratio.median <= LATENCY_TO_BARE),
    ]);
    table("Targets", &["what", "target", "measured", ""], rows)
}

fn appends(throughput: &[Throughput]) -> String {
    let row = |of: &Throughput| {
        let mut row = vec![of.writers.to_string()];
        row.extend(Scheme::ALL.map(|scheme| with_bounds(&Spread::of(rates(of, scheme)), 0)));
        row.extend([Scheme::Plain, Scheme::Classic].map(|other| with_bounds(&ratio(of, other), 2)));
        row
    };
    let header = ["writers", "plain", "rowcast", "classic", "rowcast / plain", "rowcast / classic"];
    table("Appends per second, medians (lowest to highest)", &header, throughput.iter().map(row))
}

fn idle(latency: &[Latency]) -> String {
    let all = |side: usize| Delays::together(latency.iter().map(|round| round[side].clone()));
    let row = |name: &str, delays: &Delays| {
        let mut row = vec![name.to_owned()];
        for of in [&delays.from_call, &delays.from_acknowledgement, &delays.inserts] {
            row.extend([50, 99].map(|percent| millis(of, percent)));
        }
        row.push(delays.from_call.len().to_string());
        row
    };
    let header =
        ["", "call → event p50", "p99", "acknowledged → event p50", "p99", "the insert alone p50", "p99", "samples"];
    table(
        "One writer, otherwise idle, ms",
        &header,
        [row("rowcast's tail", &all(0)), row("bare LISTEN, then select by seq", &all(1))],
    )
}

fn busy(throughput: &[Throughput]) -> String {
    let row = |of: &Throughput| {
        let all: Vec<&Busy> = of.rounds.iter().flatten().filter_map(|round| round.busy.as_ref()).collect();
        let per_second = |of: fn(&Busy) -> u64| Spread::of(all.iter().map(|busy| count(of(busy)) / busy.seconds));
        let delays = Delays::together(all.iter().map(|busy| busy.delays.clone()));
        vec![
            of.writers.to_string(),
            with_bounds(&per_second(|busy| busy.polls), 0),
            with_bounds(&per_second(|busy| busy.rings), 0),
            all.iter().map(|busy| busy.hushes.to_string()).collect::<Vec<_>>().join(", "),
            millis(&delays.from_call, 50),
            millis(&delays.from_call, 99),
            millis(&delays.from_acknowledgement, 50),
            millis(&delays.from_acknowledgement, 99),
            all.iter().map(|busy| busy.events).sum::<u64>().to_string(),
        ]
    };
    let header = [
        "writers",
        "polls/s",
        "rings/s",
        "hushes, each round",
        "call → event p50, ms",
        "p99",
        "acknowledged → event p50, ms",
        "p99",
        "events handed out, of as many rows",
    ];
    table("The tail under that load", &header, throughput.iter().map(row))
}

fn raw(throughput: &[Throughput]) -> String {
    let rows = throughput.iter().flat_map(|of| {
        of.rounds.iter().zip(1..).map(|(round, number)| {
            let mut row = vec![of.writers.to_string(), format!("{number}")];
            row.extend(Scheme::ALL.map(|scheme| format!("{:.0}", rate(round, scheme))));
            row
        })
    });
    table("Each round: appends per second", &["writers", "round", "plain", "rowcast", "classic"], rows)
}

fn raw_latency(latency: &[Latency]) -> String {
    let rows = latency.iter().zip(1..).map(|([tail, bare], number)| {
        let mut row = vec![format!("{number}")];
        row.extend([tail, bare].map(|of| millis(&of.from_call, 50)));
        row.extend([tail, bare].map(|of| millis(&of.from_call, 99)));
        row
    });
    let header = ["round", "tail p50", "bare p50", "tail p99", "bare p99"];
    table("Each round: call → event, ms", &header, rows)
}

/// A table that Markdown shows and people can read as it is.
pub(super) fn table(title: &str, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![
        format!("### {title}\n"),
        line(header.iter().map(ToString::to_string).collect()),
        format!("|{}", "---|".repeat(header.len())),
    ];
    lines.extend(rows.into_iter().map(line));
    lines.join("\n")
}

fn rate(round: &[Round], scheme: Scheme) -> f64 {
    round.iter().find(|of| of.scheme == scheme).map_or(f64::NAN, |of| of.rate)
}

fn rates(of: &Throughput, scheme: Scheme) -> impl Iterator<Item = f64> {
    of.rounds.iter().map(move |round| rate(round, scheme))
}

/// The ratio of the medians, between the lowest and the highest ratio within one round.
fn ratio(of: &Throughput, other: Scheme) -> Spread {
    let within = of.rounds.iter().map(|round| rate(round, Scheme::Rowcast) / rate(round, other));
    let median = Spread::of(rates(of, Scheme::Rowcast)).median / Spread::of(rates(of, other)).median;
    Spread { median, ..Spread::of(within) }
}

/// The ratio of the latencies' p50: the tail's to the bare client's.
fn latency_ratio(latency: &[Latency]) -> Spread {
    let p50 = |of: &Delays| percentile(&of.from_call, 50).as_secs_f64();
    let within = latency.iter().map(|[tail, bare]| p50(tail) / p50(bare));
    let all = |side: usize| p50(&Delays::together(latency.iter().map(|round| round[side].clone())));
    Spread { median: all(0) / all(1), ..Spread::of(within) }
}

pub(super) fn with_bounds(of: &Spread, digits: usize) -> String {
    format!("{:.digits$} ({:.digits$} to {:.digits$})", of.median, of.low, of.high)
}

fn verdict(met: bool) -> String {
    (if met { "met" } else { "**not met**" }).to_owned()
}

/// A percentile in milliseconds.
pub(super) fn millis(sorted: &[Duration], percent: usize) -> String {
    format!("{:.2}", percentile(sorted, percent).as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rates: &[[f64; 3]]) -> Vec<Vec<Round>> {
        let round = |rates: &[f64; 3]| {
            let of = |(scheme, rate): (Scheme, &f64)| Round { scheme, rate: *rate, busy: None };
            Scheme::ALL.into_iter().zip(rates).map(of).collect()
        };
        rates.iter().map(round).collect()
    }

    fn delays(millis: u64) -> Delays {
        Delays { from_call: vec![Duration::from_millis(millis)], ..Delays::default() }
    }

    #[test]
    fn a_promise_is_judged_by_the_ratio_of_the_medians() {
        let throughput = [Throughput {
            writers: PROMISED_WRITERS,
            rounds: rounds(&[[100.0, 90.0, 30.0], [200.0, 100.0, 30.0], [50.0, 60.0, 25.0]]),
        }];
        let said = targets(&throughput, &[[delays(4), delays(2)]]);
        let rows: Vec<_> = said.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| appends, 64 writers, rowcast / plain | at least 0.85 | 0.90 (0.50 to 1.20) | met |",
                "| appends, 64 writers, rowcast / classic | at least 3.5 | 3.00 (2.40 to 3.33) | **not met** |",
                "| commit to tail, one writer, p50, tail / bare client | at most 1.5 | 2.00 (2.00 to 2.00) | **not met** |",
            ]
        );
    }
}
