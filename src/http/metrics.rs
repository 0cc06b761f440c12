//! `/metrics`, in Prometheus' text format: one table of names, written by hand because nothing here needs more.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::health::hearing;
use super::router::Context;
use crate::tail::{Hearing, Reason};

/// What the doors count.
#[derive(Debug, Default)]
pub(super) struct HttpCounts {
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 6],
    accepted: AtomicU64,
    turned_away: AtomicU64,
}

impl HttpCounts {
    pub(super) fn answered(&self, status: u16) {
        if let Some(class) = self.answers.get(usize::from(status / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }
}

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
}

/// Everything there is to measure, now.
pub(super) fn page(context: &Context) -> Response<Full<Bytes>> {
    let mut page = Page(String::with_capacity(4096));
    http(&mut page, &context.counts);
    database(&mut page, context);
    tail(&mut page, context);
    let mut response = Response::new(Full::new(Bytes::from(page.0)));
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

fn http(page: &mut Page, counts: &HttpCounts) {
    let build = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    page.metric("gauge", "rowcast_build_info", "The version of this binary.", [(build, 1)]);
    let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let classes = (1..6).map(|class| (format!("{{class=\"{class}xx\"}}"), read(&counts.answers[class])));
    page.metric("counter", "rowcast_http_answers_total", "Answers, by the class of their status.", classes);
    page.counter("rowcast_http_connections_total", "Connections that were accepted.", read(&counts.accepted));
    page.counter("rowcast_http_turned_away_total", "Connections beyond the limit.", read(&counts.turned_away));
}

fn database(page: &mut Page, context: &Context) {
    let (size, free, waiting) = context.database.load();
    page.gauge("rowcast_db_connections", "Open connections of the pool.", size);
    page.gauge("rowcast_db_connections_free", "Those that nobody uses.", free);
    page.gauge("rowcast_db_waiting", "Requests that wait for a connection.", waiting);
}

fn tail(page: &mut Page, context: &Context) {
    let (status, counts) = (context.tail.status.borrow().clone(), *context.tail.counts.borrow());
    let position = context.tail.pages.position();
    page.gauge("rowcast_tail_connected", "Whether the tail follows the journal.", u8::from(status.connected));
    let states = [Hearing::Unproven, Hearing::Proven, Hearing::Deaf];
    let states = states.map(|s| (format!("{{state=\"{}\"}}", hearing(s)), u8::from(status.hearing == s)));
    page.metric("gauge", "rowcast_tail_hearing", "Whether bells reach the tail; a deaf one polls.", states);
    page.gauge("rowcast_tail_hushed", "Whether the tail has silenced the bell and polls.", u8::from(status.hushed));
    page.gauge("rowcast_tail_head", "Every seq up to here is decided.", position.head);
    page.gauge("rowcast_tail_newest", "The seq of the newest event at or below the head.", position.newest);
    page.gauge(
        "rowcast_tail_epoch",
        "Which history this is; it moves when the database became another.",
        position.epoch,
    );
    let (mut transaction, mut database) = (0.0, 0.0);
    if let Some(stalled) = &status.stalled {
        let seconds = SystemTime::now().duration_since(stalled.since).unwrap_or_default().as_secs_f64();
        match stalled.reason {
            Reason::Transaction(_) => transaction = seconds,
            Reason::Database => database = seconds,
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
    page.gauge("rowcast_page_cache_bytes", "Memory of the pages that are not hot.", context.tail.pages.cached_bytes());
}
