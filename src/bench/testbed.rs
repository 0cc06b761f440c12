//! Where it is measured: a cluster of its own that is thrown away, or a server that was named; on it, a fresh database
//! for every round of every scheme, so that all of them begin with tables of the same size.

use std::path::{Path, PathBuf};

use tokio_postgres::Client;
use tokio_postgres::config::Host;

use super::error::BenchError;
use crate::cluster::{Cluster, Search, find};
use crate::config::Secret;
use crate::db::{Connector, DatabaseError, DatabaseUrl, migrate};

/// As in real life, said aloud; and checkpoints far apart, so that none falls into one scheme's round and not another's.
const SETTINGS: [(&str, &str); 5] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "1h"),
];

/// A way to write events that is compared with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The journal's table without triggers and bell; nobody is told.
    Plain,
    /// The journal as it is migrated, with a tail attached.
    Rowcast,
    /// The journal's table with what everybody writes first: a row trigger with NOTIFY, and one client that listens.
    Classic,
}

impl Scheme {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Rowcast, Self::Classic];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Rowcast => "rowcast",
            Self::Classic => "classic",
        }
    }

    /// The statements that its tables are changed by. Columns, checks, indexes and partitions stay as they are.
    fn change(self) -> &'static str {
        match self {
            Self::Plain | Self::Rowcast => "",
            Self::Classic => concat!(
                "create function rowcast.classic() returns trigger language plpgsql as ",
                "$$ begin perform pg_notify('classic', new.seq::text); return null; end $$; ",
                "create trigger classic after insert on rowcast.events for each row execute function rowcast.classic()"
            ),
        }
    }
}

/// Takes off all that Rowcast adds to an insert: the triggers, and the bell in the default of `at`. A trigger of a parent that fires
/// for each row stands on its partitions too, as an internal one.
const BARE: &str = "
do $$
declare
    named record;
begin
    for named in
        select tgname, tgrelid::regclass as journal from pg_catalog.pg_trigger
         where not tgisinternal and tgrelid in (select relid from pg_catalog.pg_partition_tree('rowcast.events'))
    loop
        execute format('drop trigger %I on %s', named.tgname, named.journal);
    end loop;
    alter table only rowcast.events alter column at set default clock_timestamp();
end
$$";

/// Tells a person how far a measurement is.
pub type Tell = fn(&str);

/// A server to measure on.
#[derive(Debug)]
pub struct Testbed {
    url: DatabaseUrl,
    admin: Client,
    /// The beginning of the names of our databases.
    prefix: String,
    home: Option<(Cluster, PathBuf)>,
    /// Tells a person how far the measurement is.
    pub(super) tell: Tell,
}

impl Testbed {
    /// A cluster in a folder that must not be there yet.
    pub async fn throw_away(folder: Option<PathBuf>, tell: Tell) -> Result<Self, BenchError> {
        let name = format!("rowcast-bench-{}", std::process::id());
        let folder = folder.unwrap_or_else(std::env::temp_dir).join(name);
        tell(&format!("making a cluster in {}", folder.display()));
        let opened = {
            let folder = folder.clone();
            tokio::task::spawn_blocking(move || open(&folder)).await.map_err(std::io::Error::other)?
        };
        let cluster = opened.inspect_err(|_| remove(&folder))?;
        match Self::of_cluster(&cluster, tell).await {
            Ok(testbed) => Ok(Self { home: Some((cluster, folder)), ..testbed }),
            Err(failure) => {
                drop(cluster);
                remove(&folder);
                Err(failure)
            }
        }
    }

    /// Through the socket, which costs the least of what is not to be measured.
    async fn of_cluster(cluster: &Cluster, tell: Tell) -> Result<Self, BenchError> {
        let mut url = DatabaseUrl::parse(&Secret::new(cluster.url()))?;
        let (user, port) = (url.config.get_user().unwrap_or("postgres").to_owned(), url.config.get_ports().to_vec());
        let mut config = tokio_postgres::Config::new();
        config.host_path(cluster.socket_dir()).user(user).application_name("rowcast bench");
        for port in port {
            config.port(port);
        }
        config.dbname("postgres").connect_timeout(crate::db::CONNECT_LIMIT);
        url.config = config;
        Self::at(url, tell).await
    }

    /// A server that was named. The user must be allowed to create databases.
    pub async fn on(url: &Secret, tell: Tell) -> Result<Self, BenchError> {
        Self::at(DatabaseUrl::parse(url)?, tell).await
    }

    async fn at(url: DatabaseUrl, tell: Tell) -> Result<Self, BenchError> {
        let (admin, _carrier) = Connector::new(url.clone())?.connect().await.map_err(DatabaseError::from)?;
        let prefix = format!("rowcast_bench_{}", std::process::id());
        Ok(Self { url, admin, prefix, home: None, tell })
    }

    /// Makes what each round's databases are copied from.
    pub(super) async fn prepare(&self) -> Result<(), BenchError> {
        for scheme in Scheme::ALL {
            let template = self.template(scheme);
            (self.tell)(&format!("preparing {}", scheme.name()));
            self.execute(&format!("create database {template} template template0")).await?;
            let (mut client, carrier) = self.connector(&template)?.connect().await.map_err(DatabaseError::from)?;
            migrate::run(&mut client).await?;
            if scheme != Scheme::Rowcast {
                client.batch_execute(BARE).await.map_err(DatabaseError::from)?;
            }
            client.batch_execute(scheme.change()).await.map_err(DatabaseError::from)?;
            drop(client);
            carrier.await.map_err(std::io::Error::other)?;
        }
        Ok(())
    }

    /// A database of this scheme that nobody has written into, after a checkpoint.
    pub(super) async fn fresh(&self, scheme: Scheme) -> Result<Connector, BenchError> {
        let name = format!("{}_{}", self.prefix, scheme.name());
        self.execute(&format!("drop database if exists {name} with (force)")).await?;
        self.execute(&format!("create database {name} template {}", self.template(scheme))).await?;
        self.execute("checkpoint").await?;
        self.connector(&name)
    }

    /// How many events the scheme's database holds, and the seq of the last.
    pub(super) async fn rows(&self, scheme: Scheme) -> Result<(i64, i64), BenchError> {
        let name = format!("{}_{}", self.prefix, scheme.name());
        let (client, _carrier) = self.connector(&name)?.connect().await.map_err(DatabaseError::from)?;
        let sql = "select count(*), coalesce(max(seq), 0) from rowcast.events";
        let row = client.query_one(sql, &[]).await.map_err(DatabaseError::from)?;
        Ok((row.try_get(0).map_err(DatabaseError::from)?, row.try_get(1).map_err(DatabaseError::from)?))
    }

    /// The settings of the server that a reader of the figures has to know.
    pub(super) async fn facts(&self) -> Result<String, BenchError> {
        let mut facts = Vec::new();
        for name in
            ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size"]
        {
            let row =
                self.admin.query_one("select current_setting($1)", &[&name]).await.map_err(DatabaseError::from)?;
            let value: String = row.try_get(0).map_err(DatabaseError::from)?;
            facts.push(format!("{name} {value}"));
        }
        let way = if self.home.is_some() { "Unix socket" } else { "the given URL" };
        Ok(format!("{}; through {way}", facts.join(", ").replace("server_version", "Postgres")))
    }

    /// Leaves nothing behind.
    pub async fn end(self) -> Result<(), BenchError> {
        let Some((cluster, folder)) = self.home else {
            for scheme in Scheme::ALL {
                for name in [format!("{}_{}", self.prefix, scheme.name()), template(&self.prefix, scheme)] {
                    let drop = format!("drop database if exists {name} with (force)");
                    self.admin.batch_execute(&drop).await.map_err(DatabaseError::from)?;
                }
            }
            return Ok(());
        };
        drop(self.admin);
        let stopped = tokio::task::spawn_blocking(move || cluster.stop()).await.map_err(std::io::Error::other)?;
        remove(&folder);
        Ok(stopped?)
    }

    /// The URL of the scheme's database.
    pub(super) fn url(&self, scheme: Scheme) -> String {
        let name = format!("{}_{}", self.prefix, scheme.name());
        self.url_of(&name)
    }

    fn url_of(&self, database: &str) -> String {
        let config = &self.url.config;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => String::new(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let user = config.get_user().unwrap_or_default();
        let password = config.get_password().map(String::from_utf8_lossy).unwrap_or_default();
        let quoted = |text: &str| format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"));
        let parts = [("host", host.as_str()), ("user", user), ("password", &password), ("dbname", database)];
        let mut url = parts.map(|(name, value)| format!("{name}={}", quoted(value))).join(" ");
        url.push_str(&format!(" port={port}"));
        url
    }

    /// The process of the cluster, if it is ours.
    pub(super) fn postmaster(&self) -> Option<u32> {
        self.home.as_ref().and_then(|(cluster, _)| u32::try_from(cluster.pid()).ok())
    }

    fn template(&self, scheme: Scheme) -> String {
        template(&self.prefix, scheme)
    }

    fn connector(&self, database: &str) -> Result<Connector, BenchError> {
        let mut url = self.url.clone();
        url.config.dbname(database);
        Ok(Connector::new(url)?)
    }

    async fn execute(&self, sql: &str) -> Result<(), BenchError> {
        Ok(self.admin.batch_execute(sql).await.map_err(DatabaseError::from)?)
    }
}

fn template(prefix: &str, scheme: Scheme) -> String {
    format!("{prefix}_{}_template", scheme.name())
}

fn open(folder: &Path) -> Result<Cluster, BenchError> {
    let bins = find(&Search::from_env(folder))?;
    Ok(Cluster::open_with(folder, &bins, &SETTINGS)?)
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "was not removed");
    }
}
