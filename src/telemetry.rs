//! The log: structured events on standard error, for people or as JSON. Standard output belongs to data.

mod histogram;
mod throttle;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

pub use histogram::{Histogram, HistogramSnapshot};
pub use throttle::LogThrottle;

/// Modules that log user data below `info`: tungstenite every WebSocket message, with its tokens and events, and
/// `tokio_postgres` the parameters of every statement, escaped in a way that redaction does not know. Each module has a
/// directive of its own, so that no filter of the user can override it.
const QUIET: [(&str, &[&str]); 2] = [
    ("tungstenite", &["", "::protocol", "::protocol::frame"]),
    ("tokio_postgres", &["", "::query", "::simple_query", "::prepare"]),
];

/// Keeps refinery from logging migrations: each command prints itself which ones it has applied.
const SAID_ELSEWHERE: &str = "refinery_core=warn";

/// Starts the log of this process, with an env-filter that `config` has checked. Every line passes through `guard`, which hides
/// secrets in it; a line without secrets comes back borrowed. A second start in one process changes nothing.
pub fn start<G>(filter: &str, json: bool, guard: G)
where
    G: Fn(&str) -> Cow<'_, str> + Send + Sync + 'static,
{
    let writer = Guarded { guard, inner: io::stderr };
    let builder = tracing_subscriber::fmt().with_env_filter(quiet(filter)).with_writer(writer);
    // Fails only when a log is running already, as when a test starts several servers.
    let _already_running = if json {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
    };
}

/// Makes writers whose lines pass through a guard.
#[derive(Debug)]
struct Guarded<G, M> {
    guard: G,
    inner: M,
}

impl<'a, G, M> MakeWriter<'a> for Guarded<G, M>
where
    G: Fn(&str) -> Cow<'_, str> + 'a,
    M: MakeWriter<'a>,
{
    type Writer = GuardedWriter<'a, G, M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        GuardedWriter { guard: &self.guard, inner: self.inner.make_writer() }
    }
}

/// Passes each line through the guard. The formatter writes each event in one call, so no secret is cut in two.
struct GuardedWriter<'a, G, W> {
    guard: &'a G,
    inner: W,
}

impl<G: Fn(&str) -> Cow<'_, str>, W: Write> Write for GuardedWriter<'_, G, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        self.inner.write_all((self.guard)(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn quiet_modules() -> impl Iterator<Item = String> {
    QUIET.iter().flat_map(|(name, modules)| modules.iter().map(move |module| format!("{name}{module}")))
}

fn quiet(filter: &str) -> EnvFilter {
    let modules = quiet_modules().map(|module| format!("{module}=info"));
    let directives = modules.chain([SAID_ELSEWHERE.to_owned()]).flat_map(|directive| directive.parse());
    directives.fold(EnvFilter::new(filter), EnvFilter::add_directive)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    use crate::view::Redaction;

    #[derive(Debug, Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(line: &str) -> Cow<'_, str> {
        Redaction::default().text(line)
    }

    fn json_line(line: &str) -> Cow<'_, str> {
        Redaction::default().json_line(line)
    }

    fn logged(json: bool) -> String {
        let lines = Lines::default();
        let out = lines.clone();
        let guard = if json { json_line } else { text };
        let builder = tracing_subscriber::fmt().with_writer(Guarded { guard, inner: move || out.clone() });
        let subscriber: Box<dyn tracing::Subscriber + Send + Sync> =
            if json { Box::new(builder.json().finish()) } else { Box::new(builder.with_ansi(true).finish()) };
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("login", secret = "hunter2", user = "alice").entered();
            let nested = r#"{"token": "hunter2"}"#;
            tracing::info!(password = "hunter2", pwd = %"hunter2", ?nested, n = 7, "to postgres://app:hunter2@db/x");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_secret_reaches_the_log_in_either_format_and_the_rest_does() {
        for json in [false, true] {
            let log = logged(json);
            assert!(!log.contains("hunter2"), "{log}");
            assert!(log.contains("to postgres://app:[redacted]@db/x") && log.contains("alice"), "{log}");
            assert_eq!(log.lines().count(), 1, "{log}");
            if json {
                let line: serde_json::Value = serde_json::from_str(&log).unwrap();
                assert_eq!((&line["fields"]["n"], &line["fields"]["pwd"]), (&7.into(), &"[redacted]".into()));
            }
        }
    }

    #[test]
    fn messages_and_parameters_stay_out_of_the_log_at_any_level() {
        for filter in ["trace", "tungstenite=trace", "tokio_postgres::query=debug", "tungstenite::protocol=trace,info"]
        {
            let shown = quiet(filter).to_string();
            assert!(quiet_modules().all(|module| shown.contains(&format!("{module}=info"))), "{shown}");
            assert!(
                !shown.contains("tungstenite=trace") && !shown.contains("protocol=trace") && !shown.contains("debug"),
                "{shown}"
            );
        }
    }
}
