//! `rowcast tail`: follows a stream in the terminal, and comes back by itself.
//!
//! Events go to standard output, a line each; what happens to the connection goes to standard error. While standard
//! output takes nothing, nothing is read either, so that a pause of the reader costs no memory.

mod line;
mod writer;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::time::Duration;

use clap::ArgMatches;
use futures_util::future::poll_immediate;
use tokio::time::timeout;
use uuid::Uuid;

use self::line::{Look, safe};
use self::writer::Writer;
use super::{Failure, development, output};
use crate::auth::Role;
use crate::auth::token::Mint;
use crate::client::{Connector, Endpoint, Error, Heartbeat, Item, Options, Selection, Start, Stream, Tokens};
use crate::clock::Clock;
use crate::config::{Secret, Source};
use crate::journal::Cursor;
use crate::shutdown;

/// The life of a token that this command mints for itself; it mints the next one in time.
const TTL: Duration = Duration::from_secs(300);
/// Whose such a token is.
const SUBJECT: &str = "rowcast-tail";
/// So much is gathered before it is written, when more is there already.
const BATCH: usize = 64 << 10;

/// How long what is being written may still take after a signal, so that the cursor that is told stands behind it.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// Follows the stream until its end, a signal, or the end of whoever reads.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let stop = shutdown::signals()?;
    let endpoint = development::endpoint(source, args)?;
    let tokens = tokens(source, args, &endpoint)?;
    let authorities = args.get_one::<PathBuf>("ca-file").map(PathBuf::as_path);
    let connector = Connector::new(endpoint, authorities).map_err(|error| Failure::Said(error.to_string()))?;
    let once = args.get_flag("once");
    // Whoever wants the backlog alone wants an answer, not patience.
    let options = Options { start: start(args), selection: selection(args), tokens, reconnect: !once };
    let mut follow = Follow {
        stream: Stream::new(connector, options),
        look: Look { json: args.get_flag("json"), colour: colour() },
        writer: Writer::start()?,
        batch: Vec::new(),
        written: None,
        stalled: false,
        live: false,
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
    Ok(Tokens::from_source(move || mint().ok()))
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

/// Why following ended.
enum End {
    /// The backlog is read.
    Read,
    /// Whoever read our output is gone.
    ReaderGone,
    /// A signal came.
    Stopped,
    /// The stream cannot go on.
    Failed(Error),
    /// Standard output cannot be written.
    Unwritten(std::io::Error),
}

struct Follow {
    stream: Stream,
    look: Look,
    writer: Writer,
    /// Lines that are still to go out.
    batch: Vec<u8>,
    /// The cursor behind everything that has gone out.
    written: Option<Cursor>,
    stalled: bool,
    live: bool,
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
                self.look.write(event, &mut self.batch);
                if self.batch.len() < BATCH {
                    continue;
                }
            }
            // Before anything is told, so that both outputs are in the same order on a terminal.
            if let Some(end) = self.flush(stop.as_mut()).await {
                return end;
            }
            let end = match item {
                Some(Ok(item)) => self.tell(item),
                Some(Err(error)) => Some(End::Failed(error)),
                None => None,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Writes what is gathered, and waits until it is written.
    async fn flush(&mut self, stop: Pin<&mut impl Future<Output = &'static str>>) -> Option<End> {
        let mut stopped = false;
        if !self.batch.is_empty() {
            let mut write = pin!(self.writer.write(std::mem::take(&mut self.batch)));
            let written = tokio::select! {
                biased;
                written = write.as_mut() => written,
                _signal = stop => {
                    stopped = true;
                    match timeout(LAST_WRITE, write).await {
                        Ok(written) => written,
                        Err(_takes_nothing) => return Some(End::Stopped),
                    }
                }
            };
            if let Err(error) = written {
                let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
                return Some(if gone { End::ReaderGone } else { End::Unwritten(error) });
            }
        }
        self.written = self.stream.cursor();
        stopped.then_some(End::Stopped)
    }

    /// Says what happens to the connection.
    fn tell(&mut self, item: Item) -> Option<End> {
        match item {
            Item::Connected(hello) => {
                output::tell(&safe(&format!("connected at cursor {}, head {}", hello.cursor, hello.head)));
            }
            Item::Resumed(hello) => output::tell(&safe(&format!("resumed at cursor {}", hello.cursor))),
            Item::Lost { why, retry_in } => {
                output::tell(&safe(&format!("{why}; trying again in {:.1} s", retry_in.as_secs_f64())));
            }
            Item::Draining { retry_in } => {
                output::tell(&format!("the server shuts down; coming back in {:.1} s", retry_in.as_secs_f64()));
            }
            Item::Live(_) if self.once => return Some(End::Read),
            Item::Live(_) if !self.live => {
                self.live = true;
                output::tell("live: the backlog is read");
            }
            Item::Heartbeat(heartbeat) => self.tell_stalled(&heartbeat),
            _ => {}
        }
        None
    }

    fn tell_stalled(&mut self, heartbeat: &Heartbeat) {
        let stalled = heartbeat.stalled.as_ref().filter(|stalled| !stalled.is_null());
        match (stalled, self.stalled) {
            (Some(stalled), false) => output::tell(&safe(&format!("the stream is held back: {stalled}"))),
            (None, true) => output::tell("the stream is not held back any more"),
            _ => {}
        }
        self.stalled = stalled.is_some();
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
