//! `rowcast tail`: follows a stream in the terminal, and comes back by itself.
//!
//! Events go to standard output, a line each; what happens to the connection goes to standard error. While standard
//! output takes nothing, nothing is read either, so that a pause of the reader costs no memory.

mod batch;
mod line;
mod row_line;
mod tables;
mod teller;
mod writer;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::time::Duration;

use clap::ArgMatches;
use futures_util::future::poll_immediate;
use uuid::Uuid;

use self::batch::{Batch, End};
use self::line::Look;
pub(super) use self::line::safe;
use self::tables::FollowTables;
use self::teller::Teller;
use super::{Failure, development, output};
use crate::auth::Role;
use crate::auth::token::Mint;
use crate::client::{Connector, Endpoint, Error, Item, LiveTables, Options, Selection, Start, Stream, Tokens};
use crate::clock::Clock;
use crate::config::{Secret, Source};
use crate::journal::Cursor;
use crate::shutdown;

/// The life of a token that this command mints for itself; it mints the next one in time.
const TTL: Duration = Duration::from_secs(300);
/// Whose such a token is.
const SUBJECT: &str = "rowcast-tail";

/// Follows the stream until its end, a signal, or the end of whoever reads.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let stop = shutdown::signals()?;
    let endpoint = development::endpoint(source, args)?;
    let tables = tables(args, &endpoint)?;
    let tokens = tokens(source, args, &endpoint)?;
    let authorities = args.get_one::<PathBuf>("ca-file").map(PathBuf::as_path);
    let connector = Connector::new(endpoint, authorities).map_err(|error| Failure::Said(error.to_string()))?;
    let once = args.get_flag("once");
    if !tables.is_empty() {
        let live = LiveTables::new(connector, tokens, tables, !once);
        return FollowTables::new(live, Batch::start()?, args.get_flag("json"), once).run(pin!(stop)).await;
    }
    // Whoever wants the backlog alone wants an answer, not patience.
    let options = Options { start: start(args), selection: selection(args), tokens, reconnect: !once };
    let mut follow = Follow {
        stream: Stream::new(connector, options),
        look: Look { json: args.get_flag("json"), colour: colour() },
        batch: Batch::start()?,
        written: None,
        teller: Teller::default(),
        once,
    };
    let outcome = follow.run(pin!(stop)).await;
    follow.end(outcome).await
}

/// A token that was given, or one that is minted with the secret, or none for the public stream.
fn tokens(source: &Source, args: &ArgMatches, endpoint: &Endpoint) -> Result<Tokens, Failure> {
    let given = args.get_one::<String>("token").cloned().or_else(|| std::env::var("ROWCAST_TOKEN").ok());
    if let Some(token) = given.filter(|token| !token.is_empty()) {
        return Ok(Tokens::fixed(Secret::new(token.trim())));
    }
    if endpoint.is_public() {
        return Ok(Tokens::none());
    }
    let Some(secret) = source.jwt_secret()? else {
        let line = "no token: give --token or ROWCAST_TOKEN, or ROWCAST_JWT_SECRET to mint one with";
        return Err(Failure::Usage(line.to_owned()));
    };
    let (issuer, audience) = source.issuer_and_audience()?;
    let mint = move || {
        let (issuer, audience) = (issuer.as_deref(), audience.as_deref());
        Mint { subject: SUBJECT, role: Role::Viewer, ttl: TTL, issuer, audience }.sign(&secret, &Clock::system())
    };
    mint()?;
    if args.contains_id("table") {
        output::tell(
            "as a viewer, whom rows of an owner are not shown: --token takes that of the owner or of an admin",
        );
    }
    Ok(Tokens::from_source(move || mint().ok()))
}

/// The tables that are followed; none if the stream is.
fn tables(args: &ArgMatches, endpoint: &Endpoint) -> Result<Vec<String>, Failure> {
    let tables = super::tables::given(args)?;
    if !tables.is_empty() && endpoint.is_public() {
        let why = "--table needs a token and the private stream: the public one does not tell what names a row";
        return Err(Failure::Usage(why.to_owned()));
    }
    Ok(tables)
}

fn start(args: &ArgMatches) -> Start {
    let last = args.get_one::<u32>("last").map(|many| Start::Last(*many));
    last.or_else(|| args.get_one::<Start>("cursor").copied()).unwrap_or_default()
}

/// The value of `--cursor`.
pub(super) fn cursor(text: &str) -> Result<Start, String> {
    match text {
        "latest" => Ok(Start::Latest),
        "earliest" => Ok(Start::Earliest),
        cursor => cursor.parse().map(Start::After).map_err(|error| format!("{error}; or earliest, or latest")),
    }
}

fn selection(args: &ArgMatches) -> Selection {
    let text = |name: &str| args.get_one::<String>(name).cloned();
    let types = args.get_many::<String>("type").map(|types| types.map(String::as_str).collect::<Vec<_>>().join(","));
    let trade_id = args.get_one::<Uuid>("trade-id").map(Uuid::to_string);
    Selection { types, level: text("level"), symbol: text("symbol"), trade_id, subject: text("subject") }
}

/// Only for somebody who looks at it, and does not mind.
fn colour() -> bool {
    let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    std::io::stdout().is_terminal() && unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

struct Follow {
    stream: Stream,
    look: Look,
    batch: Batch,
    /// The cursor behind everything that has gone out.
    written: Option<Cursor>,
    teller: Teller,
    once: bool,
}

impl Follow {
    async fn run(&mut self, mut stop: Pin<&mut impl Future<Output = &'static str>>) -> End {
        loop {
            let item = {
                let mut next = pin!(self.stream.next());
                match poll_immediate(next.as_mut()).await {
                    Some(item) => Some(item),
                    // Nothing more for now: what is gathered goes out before the wait.
                    None if !self.batch.is_empty() => None,
                    None => tokio::select! {
                        item = next => Some(item),
                        _signal = stop.as_mut() => return End::Stopped,
                    },
                }
            };
            if let Some(Ok(Item::Event(event))) = &item {
                self.look.write(event, &mut self.batch.lines);
                if !self.batch.is_full() {
                    continue;
                }
            }
            // Before anything is told, so that both outputs are in the same order on a terminal.
            if let Some(end) = self.flush(stop.as_mut()).await {
                return end;
            }
            let end = match item {
                Some(Ok(item)) => self.tell(&item),
                Some(Err(error)) => Some(End::Failed(error)),
                None => None,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Writes what is gathered.
    async fn flush(&mut self, stop: Pin<&mut impl Future<Output = &'static str>>) -> Option<End> {
        match self.batch.flush(stop).await {
            Ok(stopped) => {
                self.written = self.stream.cursor();
                stopped.then_some(End::Stopped)
            }
            Err(end) => Some(end),
        }
    }

    /// Says what happens to the connection.
    fn tell(&mut self, item: &Item) -> Option<End> {
        if self.once && matches!(item, Item::Live(_)) {
            return Some(End::Read);
        }
        self.teller.tell(item);
        None
    }

    /// Says goodbye, and from where one can go on.
    async fn end(self, end: End) -> Result<(), Failure> {
        let go_on = self.written.map(|cursor| format!("go on with --cursor {cursor}"));
        self.stream.close().await;
        match end {
            End::ReaderGone => Ok(()),
            End::Read | End::Stopped => {
                if let Some(go_on) = go_on {
                    output::tell(&go_on);
                }
                Ok(())
            }
            End::Unwritten(error) => Err(error.into()),
            End::Failed(Error::CursorExpired { oldest }) => {
                let oldest = oldest.map_or_else(String::new, |seq| format!(", which is at seq {seq}"));
                let line = format!("the cursor has expired; --cursor earliest begins with the oldest event{oldest}");
                Err(Failure::Said(line))
            }
            End::Failed(error @ (Error::CursorInvalid(_) | Error::BadRequest(_))) => Err(said(&error, None)),
            End::Failed(error) => Err(said(&error, go_on)),
        }
    }
}

/// What the server says is not ours, so it must not move the cursor of a terminal.
fn said(error: &Error, go_on: Option<String>) -> Failure {
    let go_on = go_on.map_or_else(String::new, |go_on| format!("; {go_on}"));
    Failure::Said(safe(&format!("{error}{go_on}")).into_owned())
}
