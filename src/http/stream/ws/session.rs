//! A session whose viewer is known: it sends the stream, reads the messages of the client, and watches the time. Nothing is queued
//! for a client except the write that is under way.

mod messages;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::time::{Instant, Sleep};

use crate::auth::{Action, Identity, Presence};
use crate::clock::jitter;
use crate::http::connection::socket::{PING, Socket};
use crate::http::connection::wire::{Wire, WriteStall};
use crate::http::request::context::Context;
use crate::http::request::viewer::{Viewer, second_text};
use crate::http::response::close_reason::CloseReason;
use crate::http::response::refusals;
use crate::http::stream::token_watch::{self, TokenExpiry};
use crate::http::stream::ws::handshake::Handshake;
use crate::http::stream::ws::message_rate::MessageRate;
use crate::http::stream::ws::pings::Pings;
use crate::http::stream::ws::session_stream::{SessionStream, Wake};
use crate::http::stream::ws::syncs::Syncs;
use crate::journal::Filter;
use crate::session::{EventRun, ReadError, SendBudget, Start, StartPoint, Step, StreamReader};
use crate::view::{Control, Stall, time_text};

/// How long before its token expires a client is told of it.
const EXPIRY_NOTICE: Duration = Duration::from_secs(30);
/// The budget of one write, which has at least one event, however large it is.
const WRITE_BUDGET: SendBudget = SendBudget { events: 4096, bytes: 256 << 10 };

/// One session whose viewer is known.
pub(super) struct Session<'a> {
    context: &'a Arc<Context>,
    handshake: Handshake,
    viewer: Viewer,
    /// The registration under the viewer's subject, by which a revocation ends the session; none for the public.
    presence: Option<Presence>,
    id: &'a str,
    stream: SessionStream,
    syncs: Syncs,
    next_heartbeat: Instant,
    /// The last time that the client sent something, by the clock `Context::awake`, which stands still while this process is stopped.
    last_heard: Duration,
    message_rate: MessageRate,
    pings: Pings,
    expiry: TokenExpiry,
    /// The second of Unix time at which the client is told that its token expires; none once it was told.
    expiry_notice_at: Option<u64>,
    /// True once the backlog has been sent.
    caught_up: bool,
    /// The time to close, once the server shuts down.
    close_at: Option<Instant>,
    /// True once the client was told that the server shuts down.
    drain_sent: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        context: &'a Arc<Context>,
        handshake: Handshake,
        viewer: Viewer,
        presence: Option<Presence>,
        id: &'a str,
    ) -> Self {
        let now = Instant::now();
        let expiry = TokenExpiry::of(&context.tokens.clock, &viewer);
        let expiry_notice_at = expiry_notice_at(&viewer);
        Self {
            context,
            handshake,
            viewer,
            presence,
            id,
            stream: SessionStream::None,
            syncs: Syncs::default(),
            next_heartbeat: now + context.streams.heartbeat,
            last_heard: context.awake.elapsed(),
            message_rate: MessageRate::new(now),
            pings: Pings::new(),
            expiry,
            expiry_notice_at,
            caught_up: false,
            close_at: None,
            drain_sent: false,
        }
    }

    fn token_expiry_text(&self) -> String {
        second_text(self.viewer.identity().map_or(0, Identity::expires_at))
    }

    /// Begins to look for the start point of a new stream. The stream before ends.
    pub(super) fn subscribe(&mut self, start: Start, filter: Filter) {
        let announcer = Arc::clone(&self.context.announcer);
        let requester = self.handshake.quota.requester_of(&self.viewer);
        self.stream = SessionStream::Finding(Box::pin(async move {
            let found =
                async { Ok((announcer.start_point(&requester, start, &filter).await?, announcer.oldest().await?)) };
            let found = found.await;
            (filter, found)
        }));
    }

    /// Runs the session until it ends.
    pub(super) async fn run<S: Wire>(mut self, socket: &mut Socket<S>) -> CloseReason {
        match self.follow(socket).await {
            Ok(never) => match never {},
            Err(reason) => reason,
        }
    }

    async fn follow<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<Infallible, CloseReason> {
        let timer = tokio::time::sleep_until(self.next_heartbeat);
        let mut timer = Box::pin(timer);
        loop {
            self.write_pending(socket).await?;
            // The search for a sync goes on in the middle of a long backlog too, and before a heartbeat says that it stands still.
            let _went_on = self.syncs.advance(&self.context.announcer).now_or_never();
            self.handle_due(socket, Instant::now())?;
            // The client is read in the middle of a long backlog too.
            if self.reads_client(Instant::now())
                && let Some(input) = socket.receive().now_or_never()
            {
                self.handle_input(input?, socket).await?;
                continue;
            }
            let may_step_again = self.step(socket)?;
            self.answer_syncs(socket);
            if may_step_again || socket.is_pending() {
                continue;
            }
            match self.wait(socket, &mut timer).await {
                Wake::Input(input) => self.handle_input(input?, socket).await?,
                Wake::StartFound((filter, found)) => self.begin_stream(&filter, found, socket)?,
                Wake::Step | Wake::Deadline | Wake::Drain => {}
                Wake::Revoked => return Err(CloseReason::of(refusals::REVOKED)),
            }
        }
    }

    /// True while the messages of the client are read: while there is a stream, and no faster than [`MessageRate`] allows.
    fn reads_client(&self, now: Instant) -> bool {
        self.stream.is_reading() && self.message_rate.next_read_at(now).is_none()
    }

    async fn wait<S: Wire>(&mut self, socket: &mut Socket<S>, timer: &mut Pin<Box<Sleep>>) -> Wake {
        let deadline = self.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let draining = self.close_at.is_some();
        let (reads_client, sends) = (self.reads_client(Instant::now()), !self.has_sent_last_event());
        tokio::select! {
            biased;
            () = token_watch::revoked(self.presence.as_ref()) => Wake::Revoked,
            input = socket.receive(), if reads_client => Wake::Input(input),
            wake = self.stream.wait(), if sends => wake,
            () = self.syncs.advance(&self.context.announcer), if sends => Wake::Step,
            () = timer.as_mut() => Wake::Deadline,
            () = self.context.shutdown.cancelled(), if !draining => Wake::Drain,
        }
    }

    /// Writes everything that is pending. The session of a client that takes nothing for too long ends.
    async fn write_pending<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<(), CloseReason> {
        if !socket.is_pending() {
            return Ok(());
        }
        let (begun, awake) = (self.context.awake.elapsed(), &self.context.awake);
        let mut stall = WriteStall::new(self.context.streams.write_stall, awake, socket.stream());
        while socket.is_pending() {
            let check_at = (Instant::now() + stall.pause()).min(self.expiry.check_at());
            let check_at = self.close_at.map_or(check_at, |close_at| close_at.min(check_at));
            let draining = self.close_at.is_some();
            tokio::select! {
                biased;
                () = token_watch::revoked(self.presence.as_ref()) => {
                    // The client gets no more than the rest of one frame after its access has ended, however slowly it reads.
                    socket.cut();
                    return Err(CloseReason::of(refusals::REVOKED));
                }
                written = tokio::time::timeout_at(check_at, socket.write_some()) => match written {
                    Ok(written) => written?,
                    Err(_) if self.expiry.has_come() => {
                        socket.cut();
                        return Err(CloseReason::of(refusals::TOKEN_EXPIRED));
                    }
                    Err(_) if self.close_at.is_some_and(|close_at| Instant::now() >= close_at) => return Err(CloseReason::Drained),
                    Err(_) if stall.has_lasted_in_silence(awake, socket.stream()) => return Err(CloseReason::Stalled),
                    Err(_) => {}
                },
                // The `drain` follows the pending events, since its cursor counts them. A slow client may be closed before it gets there.
                () = self.context.shutdown.cancelled(), if !draining => self.drain(socket, Instant::now())?,
            }
        }
        // The client was not read during the write, so that time is no silence.
        self.last_heard += awake.elapsed().saturating_sub(begun);
        Ok(())
    }

    /// The time that the client may stay silent from now on.
    fn silence_left(&self) -> Duration {
        let silent = self.context.awake.elapsed().saturating_sub(self.last_heard);
        (2 * self.context.streams.heartbeat).saturating_sub(silent)
    }

    /// The time at which [`Self::handle_due`] is to be called next.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let silence = self.stream.is_reading().then(|| now + self.silence_left().max(self.context.awake.step()));
        let reads_at = self.message_rate.next_read_at(now);
        let first = self.next_heartbeat.min(self.expiry.check_at());
        [silence, self.close_at, reads_at].into_iter().flatten().fold(first, Instant::min)
    }

    /// Does everything that is due at this time: the end of the session, a notice, a heartbeat.
    fn handle_due<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) -> Result<(), CloseReason> {
        if self.presence.as_ref().is_some_and(Presence::is_revoked) {
            return Err(CloseReason::of(refusals::REVOKED));
        }
        if now >= self.next_heartbeat.min(self.expiry.check_at()) {
            self.check_expiry(socket)?;
        }
        if self.stream.is_reading() && self.silence_left().is_zero() {
            // The client may have sent something that is not read yet: this process may just have woken up.
            if socket.stream().unread() == 0 {
                return Err(CloseReason::because(refusals::TIMEOUT, "No sign of life for two heartbeats."));
            }
            self.last_heard = self.context.awake.elapsed();
        }
        if self.context.shutdown.is_cancelled() {
            self.drain(socket, now)?;
        }
        if now >= self.next_heartbeat {
            self.send_heartbeat(socket, now);
        }
        Ok(())
    }

    /// Looks at the clock. Ends the session if the token has expired, and tells the client if it is about to.
    fn check_expiry<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<(), CloseReason> {
        if self.expiry.has_come() {
            return Err(CloseReason::of(refusals::TOKEN_EXPIRED));
        }
        let Some(notice_at) = self.expiry_notice_at.filter(|_| self.stream.is_reading()) else { return Ok(()) };
        let left = self.expiry.until(notice_at);
        if left.is_zero() {
            self.expiry_notice_at = None;
            socket.put(Control::AuthExpiring { at: self.token_expiry_text() }.message());
        } else {
            self.expiry.check_within(left);
        }
        Ok(())
    }

    fn send_heartbeat<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) {
        self.next_heartbeat = now + self.context.streams.heartbeat;
        socket.put(PING);
        let Some(reader) = self.stream.reader() else { return };
        let position = reader.look();
        let stalled = Stall::of(&self.context.tail.status.borrow(), self.viewer.may(Action::OthersRows));
        // If the tail has not stalled, this session may still wait for the database.
        let stalled_since = reader.stalled_since().or(self.syncs.stalled_since());
        let stalled = stalled.or(stalled_since.map(Stall::database));
        let heartbeat = Control::Heartbeat {
            cursor: reader.cursor().to_string(),
            head: position.newest_seq(),
            at: time_text(SystemTime::now()),
            tally: reader.tally(),
            stalled,
        };
        socket.put(heartbeat.message());
    }

    /// True if no more events are sent. A client that was told of the shutdown in the middle of its backlog goes on elsewhere; more
    /// events would only stand between a slow client and the close.
    fn has_sent_last_event(&self) -> bool {
        self.drain_sent && !self.caught_up
    }

    /// Takes the next step of the reader. Returns true if another one may follow at once.
    fn step<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<bool, CloseReason> {
        if self.has_sent_last_event() {
            return Ok(false);
        }
        let Some(reader) = self.stream.reader() else { return Ok(false) };
        match reader.step(SendBudget { bytes: WRITE_BUDGET.bytes.min(self.pings.bytes_to_next()), ..WRITE_BUDGET }) {
            Step::Advanced(runs) => {
                self.context.counts.events_sent(runs.iter().map(EventRun::count).sum());
                let mut bytes = 0;
                for messages in runs.iter().map(EventRun::messages) {
                    bytes += messages.len();
                    socket.put(messages);
                }
                let ping = self.pings.after_events(bytes, Instant::now());
                socket.put(ping.unwrap_or_default());
            }
            Step::CaughtUp => {
                self.caught_up = true;
                socket.put(Control::Live { cursor: reader.cursor().to_string() }.message());
            }
            // While the database is unavailable the session stays, and the reader tries again later.
            Step::Idle(_) | Step::Loading | Step::Unavailable(_) => return Ok(false),
            Step::Failed(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Answers the syncs whose events have been sent, behind those events. A session that sends no more events answers none either.
    fn answer_syncs<S: Wire>(&mut self, socket: &mut Socket<S>) {
        if self.has_sent_last_event() {
            return;
        }
        let Some(reader) = self.stream.reader() else { return };
        while let Some(answer) = self.syncs.next_answer(reader, &self.context.announcer) {
            socket.put(answer.message());
        }
    }

    /// Sends the `hello` and begins the stream at the start point that was found.
    fn begin_stream<S: Wire>(
        &mut self,
        filter: &Filter,
        found: Result<(StartPoint, i64), ReadError>,
        socket: &mut Socket<S>,
    ) -> Result<(), CloseReason> {
        let (start, oldest) = found?;
        // The viewer may have changed by an `auth` since the start point was asked for.
        let filter = Arc::new(filter.clone().seen_by(self.viewer.owners()));
        let hello = Control::Hello {
            session: self.id.to_owned(),
            cursor: start.cursor.to_string(),
            head: self.context.announcer.announced_position().newest_seq(),
            oldest,
            heartbeat_ms: u64::try_from(self.context.streams.heartbeat.as_millis()).unwrap_or(u64::MAX),
            view: self.viewer.view_name(),
        };
        socket.put(hello.message());
        // The client was not read until now, so its silence begins here.
        self.last_heard = self.context.awake.elapsed();
        self.caught_up = false;
        // After the `hello` the client may be told that its token is about to expire, so that is checked at once.
        self.expiry.check_within(Duration::ZERO);
        let reader = StreamReader::new(&self.context.announcer, start, filter, self.viewer.view());
        self.stream = SessionStream::Reading(reader.on_behalf_of(self.handshake.quota.requester_of(&self.viewer)));
        Ok(())
    }

    /// The server shuts down. A client that has a stream is told its cursor; one whose start point is still looked for is sent its
    /// `hello` first, since nothing comes before a `hello`.
    fn drain<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) -> Result<(), CloseReason> {
        let window = self.context.drain;
        // Between 0.1 and 0.8 of the window, so that the last session is closed within it.
        let spread = || window.mul_f64(0.1 + (jitter() - 0.5) * 1.4);
        let close_at = *self.close_at.get_or_insert_with(|| now + spread());
        if !self.drain_sent
            && let Some(reader) = self.stream.reader()
        {
            let retry_ms = u64::try_from(spread().as_millis()).unwrap_or(u64::MAX);
            socket.put(Control::Drain { retry_ms, cursor: reader.cursor().to_string() }.message());
            self.drain_sent = true;
        }
        if now >= close_at { Err(CloseReason::Drained) } else { Ok(()) }
    }
}

/// The second of Unix time at which to tell a viewer that its token expires; none for the public.
fn expiry_notice_at(viewer: &Viewer) -> Option<u64> {
    Some(viewer.identity()?.expires_at().saturating_sub(EXPIRY_NOTICE.as_secs()))
}
