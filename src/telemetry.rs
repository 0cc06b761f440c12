//! The log: structured events on standard error, for people or as JSON. Standard output belongs to data.

use std::io::IsTerminal;

use tracing_subscriber::filter::EnvFilter;

/// Starts the log of this process, with an env-filter that `config` has checked. A second start in one process
/// changes nothing.
pub fn start(filter: &str, json: bool) {
    let builder = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    // Fails only when a log is running already, as when a test starts several servers.
    let _already_running = if json {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
}
