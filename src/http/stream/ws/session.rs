//! A session whose viewer is known: the stream, what the client says meanwhile, and the clock. Nothing waits in
//! line for a client but what it is being sent at this moment.

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
use crate::journal::Filter;
use crate::session::{EventRun, Refused, SendBudget, Start, StartPoint, Step, StreamReader};
use crate::view::{Control, Stall, time_text};

/// How long before its end a client is told that its token expires.
const EXPIRY_NOTICE: Duration = Duration::from_secs(30);
/// How much is put together for one write: at least one event, whatever it weighs.
const ROOM: SendBudget = SendBudget { events: 4096, bytes: 256 << 10 };

/// One session whose viewer is known.
pub(super) struct Session<'a> {
    context: &'a Arc<Context>,
    handshake: Handshake,
    viewer: Viewer,
    /// Where a revocation finds it; none for everybody's stream.
    presence: Option<Presence>,
    id: &'a str,
    stream: SessionStream,
    heartbeat: Instant,
    /// When there was a sign of life last, in time in which this process ran.
    heard: Duration,
    message_rate: MessageRate,
    pings: Pings,
    expiry: TokenExpiry,
    /// The second at which to say that the token expires; none once it is said.
    notice: Option<u64>,
    /// The backlog has been sent.
    caught_up: bool,
    /// While it drains: when to close.
    leaves: Option<Instant>,
    /// The client was told so.
    told_to_leave: bool,
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
        let notice = notice_of(&viewer);
        Self {
            context,
            handshake,
            viewer,
            presence,
            id,
            stream: SessionStream::None,
            heartbeat: now + context.streams.heartbeat,
            heard: context.awake.elapsed(),
            message_rate: MessageRate::new(now),
            pings: Pings::new(),
            expiry,
            notice,
            caught_up: false,
            leaves: None,
            told_to_leave: false,
        }
    }

    fn expires(&self) -> String {
        let expires = self.viewer.identity().map_or(0, Identity::expires_at);
        second_text(expires)
    }

    /// Begins to look for the place to start from; the stream that there was ends here.
    pub(super) fn begin(&mut self, start: Start, filter: Filter) {
        let live = Arc::clone(&self.context.announcer);
        let requester = self.handshake.quota.requester_of(&self.viewer);
        self.stream = SessionStream::Sought(Box::pin(async move {
            let place = async { Ok((live.start_point(&requester, start, &filter).await?, live.oldest().await?)) };
            let place = place.await;
            (filter, place)
        }));
    }

    pub(super) async fn run<S: Wire>(mut self, socket: &mut Socket<S>) -> CloseReason {
        match self.follow(socket).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<Infallible, CloseReason> {
        let timer = tokio::time::sleep_until(self.heartbeat);
        let mut timer = Box::pin(timer);
        loop {
            self.write(socket).await?;
            self.tick(socket, Instant::now())?;
            // A client is heard in the middle of a long backlog too.
            if self.hears(Instant::now())
                && let Some(input) = socket.receive().now_or_never()
            {
                self.hear(input?, socket).await?;
                continue;
            }
            if self.step(socket)? || socket.is_pending() {
                continue;
            }
            match self.wait(socket, &mut timer).await {
                Wake::Input(input) => self.hear(input?, socket).await?,
                Wake::Begun((filter, place)) => self.greet(&filter, place, socket)?,
                Wake::Step | Wake::Time | Wake::Drain => {}
                Wake::Revoked => return Err(CloseReason::of(refusals::REVOKED)),
            }
        }
    }

    /// True while the client is read: while there is a stream, and not faster than [`MessageRate`] allows.
    fn hears(&self, now: Instant) -> bool {
        self.stream.is_followed() && self.message_rate.next(now).is_none()
    }

    async fn wait<S: Wire>(&mut self, socket: &mut Socket<S>, timer: &mut Pin<Box<Sleep>>) -> Wake {
        let deadline = self.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let draining = self.leaves.is_some();
        let (hears, rests) = (self.hears(Instant::now()), self.rests_until_close());
        tokio::select! {
            biased;
            () = token_watch::revoked(self.presence.as_ref()) => Wake::Revoked,
            input = socket.receive(), if hears => Wake::Input(input),
            wake = self.stream.goes_on(), if !rests => wake,
            () = timer.as_mut() => Wake::Time,
            () = self.context.shutdown.cancelled(), if !draining => Wake::Drain,
        }
    }

    /// Writes all that is pending. A client that takes nothing for too long is closed.
    async fn write<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<(), CloseReason> {
        if !socket.is_pending() {
            return Ok(());
        }
        let (begun, awake) = (self.context.awake.elapsed(), &self.context.awake);
        let mut stall = WriteStall::new(self.context.streams.write_stall, awake, socket.stream());
        while socket.is_pending() {
            let look = (Instant::now() + stall.pause()).min(self.expiry.look());
            let look = self.leaves.map_or(look, |leaves| leaves.min(look));
            let draining = self.leaves.is_some();
            tokio::select! {
                biased;
                () = token_watch::revoked(self.presence.as_ref()) => {
                    // Nobody gets more than a frame beyond the end of his token by reading slowly.
                    socket.cut();
                    return Err(CloseReason::of(refusals::REVOKED));
                }
                written = tokio::time::timeout_at(look, socket.write_some()) => match written {
                    Ok(written) => written?,
                    Err(_) if self.expiry.has_come() => {
                        socket.cut();
                        return Err(CloseReason::of(refusals::TOKEN_EXPIRED));
                    }
                    Err(_) if self.leaves.is_some_and(|leaves| Instant::now() >= leaves) => return Err(CloseReason::Drained),
                    Err(_) if stall.has_lasted_in_silence(awake, socket.stream()) => return Err(CloseReason::Stalled),
                    Err(_) => {}
                },
                // Behind what is pending, so that its cursor is right. A slow client may have to be closed before it comes to it.
                () = self.context.shutdown.cancelled(), if !draining => self.drain(socket, Instant::now())?,
            }
        }
        // While it was not listened to, it could not be heard.
        self.heard += awake.elapsed().saturating_sub(begun);
        Ok(())
    }

    /// How much longer a client may be silent.
    fn silence_left(&self) -> Duration {
        let silent = self.context.awake.elapsed().saturating_sub(self.heard);
        (2 * self.context.streams.heartbeat).saturating_sub(silent)
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let silence = self.stream.is_followed().then(|| now + self.silence_left().max(self.context.awake.step()));
        let listens = self.message_rate.next(now);
        let first = self.heartbeat.min(self.expiry.look());
        [silence, self.leaves, listens].into_iter().flatten().fold(first, Instant::min)
    }

    /// Does what is due.
    fn tick<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) -> Result<(), CloseReason> {
        if self.presence.as_ref().is_some_and(Presence::is_revoked) {
            return Err(CloseReason::of(refusals::REVOKED));
        }
        if now >= self.heartbeat.min(self.expiry.look()) {
            self.mind_expiry(socket)?;
        }
        if self.stream.is_followed() && self.silence_left().is_zero() {
            // A sign of life may have come that nobody has looked at: this process may just have woken up.
            if socket.stream().unread() == 0 {
                return Err(CloseReason::because(refusals::TIMEOUT, "No sign of life for two heartbeats."));
            }
            self.heard = self.context.awake.elapsed();
        }
        if self.context.shutdown.is_cancelled() {
            self.drain(socket, now)?;
        }
        if now >= self.heartbeat {
            self.beat(socket, now);
        }
        Ok(())
    }

    /// Looks at the clock: whether the token is over, or about to be.
    fn mind_expiry<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<(), CloseReason> {
        if self.expiry.has_come() {
            return Err(CloseReason::of(refusals::TOKEN_EXPIRED));
        }
        let Some(notice) = self.notice.filter(|_| self.stream.is_followed()) else { return Ok(()) };
        let left = self.expiry.until(notice);
        if left.is_zero() {
            self.notice = None;
            socket.put(Control::AuthExpiring { at: self.expires() }.message());
        } else {
            self.expiry.look_within(left);
        }
        Ok(())
    }

    fn beat<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) {
        self.heartbeat = now + self.context.streams.heartbeat;
        socket.put(PING);
        let Some(reader) = self.stream.reader() else { return };
        let position = reader.look();
        let stalled = Stall::of(&self.context.tail.status.borrow(), self.viewer.may(Action::OthersRows));
        // The tail may be well while what this session needs does not come.
        let own = reader.stalled_since().map(Stall::database);
        let stalled = stalled.or(own);
        let heartbeat = Control::Heartbeat {
            cursor: reader.cursor().to_string(),
            head: position.newest_seq(),
            at: time_text(SystemTime::now()),
            tally: reader.tally(),
            stalled,
        };
        socket.put(heartbeat.message());
    }

    /// True if nothing more is sent: who is in the middle of a backlog when it is told to leave goes on elsewhere. More of it would
    /// only stand between a slow client and the close.
    fn rests_until_close(&self) -> bool {
        self.told_to_leave && !self.caught_up
    }

    /// Takes the next step of the way; whether there may be another one at once.
    fn step<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<bool, CloseReason> {
        if self.rests_until_close() {
            return Ok(false);
        }
        let Some(reader) = self.stream.reader() else { return Ok(false) };
        match reader.step(SendBudget { bytes: ROOM.bytes.min(self.pings.room()), ..ROOM }) {
            Step::Advanced(runs) => {
                self.context.counts.events_sent(runs.iter().map(EventRun::count).sum());
                let mut bytes = 0;
                for messages in runs.iter().map(EventRun::messages) {
                    bytes += messages.len();
                    socket.put(messages);
                }
                let ping = self.pings.after(bytes, Instant::now());
                socket.put(ping.unwrap_or_default());
            }
            Step::CaughtUp => {
                self.caught_up = true;
                socket.put(Control::Live { cursor: reader.cursor().to_string() }.message());
            }
            // While the database is away the session stays, and asks again a little later.
            Step::Idle(_) | Step::Loading | Step::Unavailable(_) => return Ok(false),
            Step::Refused(refused) => return Err(refused.into()),
        }
        Ok(true)
    }

    /// The place to begin at was found.
    fn greet<S: Wire>(
        &mut self,
        filter: &Filter,
        place: Result<(StartPoint, i64), Refused>,
        socket: &mut Socket<S>,
    ) -> Result<(), CloseReason> {
        let (place, oldest) = place?;
        // Who reads may have become another since it was sent for.
        let filter = Arc::new(filter.clone().seen_by(self.viewer.owners()));
        let hello = Control::Hello {
            session: self.id.to_owned(),
            cursor: place.cursor.to_string(),
            head: self.context.announcer.position().newest_seq(),
            oldest,
            heartbeat_ms: u64::try_from(self.context.streams.heartbeat.as_millis()).unwrap_or(u64::MAX),
            view: self.viewer.view_name(),
        };
        socket.put(hello.message());
        // Until now it could not be heard.
        self.heard = self.context.awake.elapsed();
        self.caught_up = false;
        // Now it may be told that its token expires.
        self.expiry.look_within(Duration::ZERO);
        let reader = StreamReader::new(&self.context.announcer, place, filter, self.viewer.view());
        self.stream = SessionStream::Followed(reader.on_behalf_of(self.handshake.quota.requester_of(&self.viewer)));
        Ok(())
    }

    /// The server shuts down. Who has a place in the stream is told from where to go on; who is only about to get one is
    /// greeted first, since nothing comes before a hello.
    fn drain<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) -> Result<(), CloseReason> {
        let window = self.context.drain;
        // Between 0.1 and 0.8 of the window, so that the last one is closed within it.
        let spread = || window.mul_f64(0.1 + (jitter() - 0.5) * 1.4);
        let leaves = *self.leaves.get_or_insert_with(|| now + spread());
        if !self.told_to_leave
            && let Some(reader) = self.stream.reader()
        {
            let retry_ms = u64::try_from(spread().as_millis()).unwrap_or(u64::MAX);
            socket.put(Control::Drain { retry_ms, cursor: reader.cursor().to_string() }.message());
            self.told_to_leave = true;
        }
        if now >= leaves { Err(CloseReason::Drained) } else { Ok(()) }
    }
}

/// When to tell a viewer that its token expires.
fn notice_of(viewer: &Viewer) -> Option<u64> {
    Some(viewer.identity()?.expires_at().saturating_sub(EXPIRY_NOTICE.as_secs()))
}
