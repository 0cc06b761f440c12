//! Several hosts in one URL: each is tried, and the primary among them is meant.

use std::sync::atomic::AtomicUsize;

use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::{Client, Config, SimpleQueryMessage};

/// The hosts of a URL, if it names several and leaves the choice to us.
#[derive(Default)]
pub(super) struct Hosts {
    /// One configuration per host; empty unless the URL names several.
    pub(super) configs: Vec<Config>,
    /// The index of the host that was the primary last.
    pub(super) last_primary: AtomicUsize,
}

impl Hosts {
    pub(super) fn of(config: &Config) -> Self {
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        if count < 2 || config.get_target_session_attrs() != TargetSessionAttrs::Any {
            return Self::default();
        }
        Self { configs: (0..count).map(|at| config_for_host(config, at)).collect(), last_primary: AtomicUsize::new(0) }
    }
}

/// A configuration with one of its hosts. The driver can add hosts to one and not take them away.
fn config_for_host(config: &Config, at: usize) -> Config {
    let mut one = Config::new();
    match config.get_hosts().get(at) {
        Some(Host::Tcp(name)) => {
            one.host(name);
        }
        #[cfg(unix)]
        Some(Host::Unix(path)) => {
            one.host_path(path);
        }
        None => {}
    }
    if let Some(address) = config.get_hostaddrs().get(at) {
        one.hostaddr(*address);
    }
    // One port stands for all hosts.
    if let Some(port) = config.get_ports().get(at).or(config.get_ports().first()) {
        one.port(*port);
    }
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(database) = config.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(limit) = config.get_connect_timeout() {
        one.connect_timeout(*limit);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*limit);
    }
    one.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.ssl_negotiation(config.get_ssl_negotiation()).channel_binding(config.get_channel_binding());
    one
}

/// Whether this connection leads to a primary. A primary may have `default_transaction_read_only` on, so that is not asked.
pub(super) async fn is_primary(client: &Client) -> bool {
    let answer = client.simple_query("select pg_catalog.pg_is_in_recovery()").await;
    let says_false =
        |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("f"));
    answer.is_ok_and(|messages| messages.iter().any(says_false))
}
