//! `rowcast dev`: everything on one machine, made on the first start and found again on every later one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;

use super::serve::run_until;
use super::{Failure, demo, output};
use crate::app::{App, AppError};
use crate::auth::Role;
use crate::auth::token::Mint;
use crate::clock::Clock;
use crate::cluster::{self, Cluster, Search};
use crate::config::{Secret, ServerConfig, Source};
use crate::db::migrate::{self, MigrateError};
use crate::db::{Connector, DatabaseError, DatabaseUrl};
use crate::http::ListenError;
use crate::shutdown::{self, Signals};

/// How long the admin token lives that each start prints.
const TOKEN_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Pages that a person serves on this machine while building one, whatever their port.
const LOCAL_PAGES: &str = "http://localhost:*,http://127.0.0.1:*,http://[::1]:*,\
                           https://localhost:*,https://127.0.0.1:*,https://[::1]:*";
/// How long a stop takes at most where nobody has said otherwise.
const DRAIN: &str = "500ms";

/// Starts Postgres, migrates, serves until Ctrl-C, and stops Postgres again.
pub(super) async fn run(source: Source, args: &ArgMatches) -> Result<(), Failure> {
    let signals = shutdown::listen()?;
    let dir = args.get_one::<PathBuf>("dir").cloned().unwrap_or_else(|| PathBuf::from(".rowcast"));
    let mut cluster = on_a_thread(move || open(&dir)).await??;
    let served = Box::pin(serve(source, &mut cluster, args.get_flag("demo"), &signals)).await;
    output::tell("stopping Postgres");
    // Whoever asks a third time does not want to wait for that either; the next start finds Postgres running, and takes it on.
    tokio::select! {
        stopped = on_a_thread(move || cluster.stop()) => stopped??,
        again = signals.count(3) => return Err(Failure::Interrupted(again)),
    }
    served
}

fn open(dir: &Path) -> Result<Cluster, cluster::ClusterError> {
    let bins = cluster::find(&Search::from_env(dir))?;
    output::tell(&format!("Postgres {} from {}", bins.version, bins.dir.display()));
    Cluster::open(dir, &bins)
}

async fn serve(source: Source, cluster: &mut Cluster, plays: bool, signals: &Signals) -> Result<(), Failure> {
    let url = Secret::new(cluster.url());
    let connector = Connector::new(DatabaseUrl::parse(&url)?)?;
    let (mut client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    let applied = migrate::run(&mut client).await.map_err(|error| with_the_folder(error, cluster.dir()))?.len();
    if applied > 0 {
        output::tell(&format!("migrations applied: {applied}"));
    }
    drop(client);

    let secret = match source.jwt_secret()? {
        Some(secret) => secret,
        None => cluster.state().jwt_secret.clone(),
    };
    // Nobody who works at a terminal wants to wait until all clients are gone one by one.
    let source = source.with_default("ROWCAST_DRAIN", DRAIN);
    let source = source.with("DATABASE_URL", url.expose()).with("ROWCAST_JWT_SECRET", secret.expose());
    let source = source.with_default("ROWCAST_ALLOWED_ORIGINS", LOCAL_PAGES);
    let app = listen(&source).await?;
    cluster.record_server(&app.url())?;
    greet(&app, cluster, &admin_token(&source, &secret)?);
    if !plays {
        return run_until(app, signals).await;
    }
    let url = app.url();
    tokio::select! {
        served = run_until(app, signals) => served,
        () = demo::beside(&source, secret, &url) => Ok(()),
    }
}

/// A cluster of before the first release stays as it is. Its owner decides whether to remove it, and needs to know what to remove.
fn with_the_folder(error: MigrateError, dir: &Path) -> Failure {
    match error {
        MigrateError::Prerelease => Failure::Said(format!(
            "the development cluster in {0} was migrated by a Rowcast before 0.1.0, whose migrations were replaced: nothing was \
             changed in it; to begin anew without its data, remove the folder {0} and run `rowcast dev` again",
            dir.display()
        )),
        other => other.into(),
    }
}

/// Where nobody asked for a certain address and the usual one is taken, any free port serves a newcomer better than an
/// error does.
async fn listen(source: &Source) -> Result<App, Failure> {
    match App::new(&ServerConfig::read(source)?).await {
        Err(AppError::Listen(ListenError::Bind(address, error)))
            if error.kind() == ErrorKind::AddrInUse && !source.is_set("ROWCAST_LISTEN") =>
        {
            output::tell(&format!("{address} is taken: picking a free port"));
            let anywhere = source.clone().with("ROWCAST_LISTEN", "127.0.0.1:0");
            Ok(App::new(&ServerConfig::read(&anywhere)?).await?)
        }
        result => Ok(result?),
    }
}

fn admin_token(source: &Source, secret: &Secret) -> Result<Secret, Failure> {
    let (issuer, audience) = source.issuer_and_audience()?;
    let (issuer, audience) = (issuer.as_deref(), audience.as_deref());
    let mint = Mint { subject: "admin", role: Role::Admin, ttl: TOKEN_TTL, issuer, audience };
    Ok(mint.sign(secret, &Clock::system())?)
}

/// Says all that a newcomer needs. The line that begins with `ready` is the last, for scripts that wait for it.
fn greet(app: &App, cluster: &Cluster, token: &Secret) {
    output::print(&format!("server       {}", app.url()));
    match cluster.psql_line() {
        Some(psql) => {
            let insert =
                r#"insert into rowcast.events (type, payload) values ('note.added', '{"text":"hello"}') returning seq"#;
            let read = "select seq, type, payload from rowcast.query_events()";
            output::print(&format!("psql         {psql}"));
            output::print(&format!("first event  {psql} -c \"{}\" -c \"{read}\"", insert.replace('"', "\\\"")));
        }
        None => output::print("psql         is not on this machine (Debian: apt-get install postgresql-client)"),
    }
    let program = std::env::current_exe().map_or_else(|_| "rowcast".to_owned(), |path| path.display().to_string());
    output::print(&format!("follow       ROWCAST_TOKEN={} {program} tail --url {}", token.expose(), app.url()));
    output::print(&format!("database     {}", cluster.url()));
    output::print(&format!("admin token  {}", token.expose()));
    // The part behind `#` stays in the browser: no request and no log holds the token.
    output::print(&format!("dashboard    {}/#token={}", app.url(), token.expose()));
    output::print(&format!("ready        Ctrl-C stops it; the data stays in {}", cluster.dir().display()));
}

/// The cluster is managed by plain blocking code.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Failure::Io(std::io::Error::other(e)))
}
