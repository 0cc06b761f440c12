//! `/metrics`, in Prometheus' text format: one table of names.
//!
//! Written by hand: the crate of the Prometheus project (`prometheus-client`) writes OpenMetrics alone, in which a counter's TYPE
//! and HELP lack the `_total` of its samples. A parser of the text format takes such samples for untyped ones without help.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::auth::RevokedSubjects;
use crate::db::{Database, LaneStatus};
use crate::http::api::health::{hearing, live_from};
use crate::http::request::context::Context;
use crate::http::request::counters::{CLOSE_CODES, HttpCounters};
use crate::http::request::quota::Quotas;
use crate::http::request::readiness::TailView;
use crate::http::response::json::{Outgoing, whole};
use crate::http::response::problem::Problem;
use crate::limit::Class;
use crate::snapshot::SnapshotCounts;
use crate::tail::pages::ReplicaCounts;
use crate::tail::relay::RelayCounts;
use crate::tail::{Hearing, LiveFrom, StallReason};
use crate::telemetry::Histogram;

/// The text as it grows.
struct Page(String);

impl Page {
    /// One name with its samples: labels (with their braces, or nothing) and a value.
    fn metric<V: Display>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn gauge<V: Display>(&mut self, name: &str, help: &str, value: V) {
        self.metric("gauge", name, help, [(String::new(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric("counter", name, help, [(String::new(), value)]);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        let snapshot = histogram.snapshot();
        let bound = |bound: f64| if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
        let buckets =
            snapshot.buckets.iter().map(|(upto, count)| (format!("_bucket{{le=\"{}\"}}", bound(*upto)), *count));
        self.metric("histogram", name, help, buckets);
        let _ = writeln!(self.0, "{name}_sum {}\n{name}_count {}", snapshot.sum, snapshot.count());
    }
}

/// Everything there is to measure, now.
pub(in crate::http) async fn page(context: &Context) -> Result<Response<Outgoing>, Problem> {
    let mut page = Page(String::with_capacity(4096));
    http(&mut page, &context.counts);
    database(&mut page, &context.database);
    sessions(&mut page, context);
    snapshots(&mut page, context.snapshots.counts());
    access(&mut page, &context.quotas, &context.tokens.revoked);
    tail(&mut page, &context.tail);
    replica(&mut page, context.tail.replica.as_deref().unwrap_or(&ReplicaCounts::default()));
    relay(&mut page, context.tail.relay.as_ref().map(|counts| *counts.borrow()).unwrap_or_default());
    let mut response = Response::new(whole(page.0));
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(response)
}

fn http(page: &mut Page, counts: &HttpCounters) {
    let build = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    page.metric("gauge", "rowcast_build_info", "The version of this binary.", [(build, 1)]);
    let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let classes = (1..6).map(|class| (format!("{{class=\"{class}xx\"}}"), read(&counts.answers[class])));
    page.metric("counter", "rowcast_http_answers_total", "Answers, by the class of their status.", classes);
    let help = "From the head of a request to that of its answer, but for probes.";
    page.histogram("rowcast_http_request_seconds", help, &counts.request_times);
    page.counter("rowcast_http_connections_total", "Connections that were accepted.", read(&counts.accepted));
    page.counter("rowcast_http_turned_away_total", "Connections beyond the limit.", read(&counts.turned_away));
}

fn database(page: &mut Page, database: &Database) {
    let (size, free, waiting) = database.load();
    page.gauge("rowcast_db_connections", "Open connections of the pool.", size);
    page.gauge("rowcast_db_connections_free", "Those that nobody uses.", free);
    page.gauge("rowcast_db_waiting", "Requests that wait for a connection.", waiting);
    lanes(page, &database.lanes());
}

/// The end of a metric's name, its help, and how to read it.
type LaneMetric<V> = (&'static str, &'static str, fn(&LaneStatus) -> V);

fn lanes(page: &mut Page, lanes: &[LaneStatus]) {
    let gauges: [LaneMetric<usize>; 3] = [
        ("connections", "The most connections of a lane.", |lane| lane.connections),
        ("in_use", "Connections of a lane that run something or are being cancelled.", |lane| lane.in_use),
        ("waiting", "Statements of a lane that wait for a connection.", |lane| lane.waiting),
    ];
    let counters: [LaneMetric<u64>; 5] = [
        ("runs_total", "Times that statements were run in a lane.", |lane| lane.runs),
        ("refused_total", "Times that none was free in time, or a requester had its share.", |lane| lane.refused),
        ("cancelled_total", "Runs that were given up, as by a client that hung up.", |lane| lane.cancelled),
        ("expired_total", "Runs that took longer than they may.", |lane| lane.expired),
        ("discarded_total", "Connections that were closed because they were no longer sound.", |lane| lane.discarded),
    ];
    let label = |lane: &LaneStatus| format!("{{lane=\"{}\"}}", lane.lane.name());
    for (name, help, of) in gauges {
        let samples = lanes.iter().map(|lane| (label(lane), of(lane)));
        page.metric("gauge", &format!("rowcast_db_lane_{name}"), help, samples);
    }
    for (name, help, of) in counters {
        let samples = lanes.iter().map(|lane| (label(lane), of(lane)));
        page.metric("counter", &format!("rowcast_db_lane_{name}"), help, samples);
    }
}

fn tail(page: &mut Page, tail: &TailView) {
    let (status, counts) = (tail.status.borrow().clone(), *tail.counts.borrow());
    let position = tail.pages.position();
    page.gauge("rowcast_tail_connected", "Whether the tail follows the journal.", u8::from(status.connected));
    let states = [Hearing::Unproven, Hearing::Proven, Hearing::Deaf];
    let states = states.map(|s| (format!("{{state=\"{}\"}}", hearing(s)), u8::from(status.hearing == s)));
    page.metric("gauge", "rowcast_tail_hearing", "Whether bells reach the tail; a deaf one polls.", states);
    page.gauge("rowcast_tail_hushed", "Whether the tail has silenced the bell and polls.", u8::from(status.hushed));
    let sources = [LiveFrom::Postgres, LiveFrom::Redis];
    let sources = sources.map(|s| (format!("{{source=\"{}\"}}", live_from(s)), u8::from(status.live_from == s)));
    page.metric("gauge", "rowcast_tail_live_from", "Where live events come from.", sources);
    page.gauge("rowcast_tail_head", "Every seq up to here is decided.", position.head);
    page.gauge("rowcast_tail_newest", "The seq of the newest event at or below the head.", position.newest_seq());
    page.gauge(
        "rowcast_tail_epoch",
        "Which history this is; it moves when the database became another.",
        position.epoch,
    );
    let (mut transaction, mut database) = (0.0, 0.0);
    if let Some(stalled) = &status.stalled {
        let seconds = SystemTime::now().duration_since(stalled.since).unwrap_or_default().as_secs_f64();
        match stalled.reason {
            StallReason::Transaction(_) => transaction = seconds,
            StallReason::Database => database = seconds,
        }
    }
    let stalled = [("transaction", transaction), ("database", database)];
    let stalled = stalled.map(|(reason, seconds)| (format!("{{reason=\"{reason}\"}}"), seconds));
    page.metric("gauge", "rowcast_tail_stalled_seconds", "For how long something has held the stream back.", stalled);
    page.counter("rowcast_tail_polls_total", "Looks at the sequence.", counts.polls);
    page.counter("rowcast_tail_hushes_total", "Times that the bell was silenced.", counts.hushes);
    page.counter("rowcast_tail_rings_total", "Bells rung for other nodes.", counts.rings);
    page.counter("rowcast_tail_connections_total", "Connections that the tail has made.", counts.connections);
    page.counter("rowcast_tail_resets_total", "Times that the history was another one.", counts.resets);
    page.counter("rowcast_tail_terminated_total", "Idle transactions that were ended.", counts.terminated);
    let help = "Holes in the copy in Redis, whose events were read from Postgres.";
    page.counter("rowcast_tail_gaps_total", help, counts.gaps);
    page.counter("rowcast_tail_fallbacks_total", "Times that an edge went from Redis to Postgres.", counts.fallbacks);
    let help = "From the time of an event to the moment at which the tail has handed it out.";
    page.histogram("rowcast_tail_delivery_seconds", help, &tail.times.delivery);
    let help = "For how long open transactions held the stream back until it moved on.";
    page.histogram("rowcast_tail_fence_wait_seconds", help, &tail.times.fence_wait);
    let help = "The time that loading a page from Postgres took, or failing to.";
    page.histogram("rowcast_page_load_seconds", help, tail.pages.load_times());
    page.gauge("rowcast_page_cache_bytes", "Memory of the pages that are not hot.", tail.pages.cached_bytes());
}

fn relay(page: &mut Page, counts: RelayCounts) {
    page.gauge("rowcast_relay_holds", "Whether this node copies the journal into Redis.", u8::from(counts.holds));
    page.counter("rowcast_relay_taken_total", "Times that this node has taken the lease of the relay.", counts.taken);
    page.counter("rowcast_relay_events_total", "Events that this node has copied into Redis.", counts.copied);
    page.counter("rowcast_relay_begun_total", "Times that this node began the copy anew.", counts.begun);
    page.counter("rowcast_relay_lost_total", "Times that this node lost Redis or the lease.", counts.lost);
}

fn replica(page: &mut Page, counts: &ReplicaCounts) {
    let (pages, refused) = (counts.pages.load(Ordering::Relaxed), counts.refused.load(Ordering::Relaxed));
    page.counter("rowcast_replica_pages_total", "Pages that the standby has given.", pages);
    page.counter("rowcast_replica_refused_total", "Pages for which it did not prove enough, or failed.", refused);
}

fn snapshots(page: &mut Page, counts: SnapshotCounts) {
    page.counter("rowcast_snapshots_total", "Snapshots of tables that were answered.", counts.answered);
    let help = "Readings of tables. One serves all who ask at the same moment.";
    page.counter("rowcast_snapshot_readings_total", help, counts.readings);
    let help = "Memory of the rows that clients share, or have not taken yet.";
    page.gauge("rowcast_snapshot_kept_bytes", help, counts.kept_bytes);
}

fn access(page: &mut Page, quotas: &Quotas, revoked: &RevokedSubjects) {
    let limits = quotas.limits.status();
    let denied = Class::ALL.map(|class| (format!("{{class=\"{}\"}}", class.name()), limits.denied(class)));
    page.metric("counter", "rowcast_limit_denied_total", "Requests beyond a rate limit, by its class.", denied);
    page.gauge("rowcast_limit_redis", "Whether a Redis is configured for the limits.", u8::from(limits.configured));
    page.gauge("rowcast_limit_shared", "Whether limits are counted in Redis now.", u8::from(limits.shared));
    page.counter("rowcast_limit_redis_lost_total", "Times that Redis was lost.", limits.lost_total);
    page.gauge(
        "rowcast_limit_keys",
        "Addresses and subjects that are counted in memory.",
        quotas.limits.keys_in_memory(),
    );
    page.counter(
        "rowcast_sessions_refused_total",
        "Sessions beyond those that a subject may have.",
        quotas.refused_sessions(),
    );
    page.gauge("rowcast_subjects", "Subjects and addresses that have a session.", quotas.session_slots.keys());
    page.gauge("rowcast_revoked_subjects", "Subjects on the list of revocations.", revoked.len());
    page.counter("rowcast_revoked_sessions_total", "Sessions that a revocation has ended.", revoked.closed_total());
}

fn sessions(page: &mut Page, context: &Context) {
    let counts = &context.counts;
    let open = context.max_sessions.saturating_sub(context.sessions.available_permits());
    page.gauge("rowcast_sessions", "Sessions that are open, over WebSocket and SSE.", open);
    let interests = context.announcer.registered_readers();
    page.gauge("rowcast_sessions_filtered", "Places of sessions that are woken by what they want alone.", interests);
    page.counter("rowcast_sessions_total", "Sessions that have begun.", counts.begun.load(Ordering::Relaxed));
    let ended = CLOSE_CODES.iter().zip(&counts.ended);
    let samples = ended.map(|(code, count)| (format!("{{code=\"{code}\"}}"), count.load(Ordering::Relaxed)));
    page.metric(
        "counter",
        "rowcast_sessions_ended_total",
        "Sessions that have ended, by the code of their end.",
        samples,
    );
    page.counter("rowcast_events_sent_total", "Events given to sessions.", counts.events.load(Ordering::Relaxed));
}
