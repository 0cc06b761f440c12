//! A session of which it is known who reads: the stream, what the client says meanwhile, and the clock. Nothing waits in
//! line for a client but what it is being sent at this moment.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep};

use super::end::End;
use super::guest::Guest;
use super::hearing::Hearing;
use super::said::Said;
use crate::auth::{Action, Identity, Presence};
use crate::clock::jitter;
use crate::http::access::{self, Reader};
use crate::http::guarded::Wire;
use crate::http::router::Context;
use crate::http::socket::{Gone, Input, PING, Socket};
use crate::journal::Filter;
use crate::session::{Place, Refused, Room, Run, Start, Step, Walker};
use crate::view::{Control, Stall, time_text};

/// How long before its end a client is told that its token expires.
const EXPIRY_NOTICE: Duration = Duration::from_secs(30);
/// How much is put together for one write: at least one event, whatever it weighs.
const ROOM: Room = Room { events: 4096, bytes: 256 << 10 };

/// One session of which it is known who reads.
pub(super) struct Session<'a> {
    context: &'a Arc<Context>,
    guest: Guest,
    reader: Reader,
    /// Where a revocation finds it; none for everybody's stream.
    presence: Option<Presence>,
    id: &'a str,
    stream: Stream,
    heartbeat: Instant,
    heard: Instant,
    hearing: Hearing,
    /// When to say that the token expires; none once it is said.
    notice: Option<Instant>,
    ends: Instant,
    /// While it drains: when to close.
    leaves: Option<Instant>,
    /// Whether the client was told so.
    told_to_leave: bool,
}

/// What it follows. A client is heard only while there is a stream, so that each `subscribe` has its `hello`, and nothing goes
/// before the first one.
#[allow(clippy::large_enum_variant, reason = "almost always it is the largest")]
enum Stream {
    /// Nothing yet.
    None,
    /// It looks for the place to begin at.
    Sought(BoxFuture<'static, Begun>),
    /// From its `hello` on.
    Followed(Walker),
}

/// What was asked for, and the place to begin at with the seq of the oldest event.
type Begun = (Filter, Result<(Place, i64), Refused>);

/// Why a session that waits goes on.
enum Wake {
    Input(Result<Input, Gone>),
    Begun(Begun),
    Step,
    Time,
    Drain,
    Revoked,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        context: &'a Arc<Context>,
        guest: Guest,
        reader: Reader,
        presence: Option<Presence>,
        id: &'a str,
    ) -> Self {
        let now = Instant::now();
        let mut session = Self {
            context,
            guest,
            reader,
            presence,
            id,
            stream: Stream::None,
            heartbeat: now + context.streams.heartbeat,
            heard: now,
            hearing: Hearing::new(now),
            notice: None,
            ends: now,
            leaves: None,
            told_to_leave: false,
        };
        session.mind_expiry(now);
        session
    }

    /// When the token ends, by the clock of this process's timers.
    fn mind_expiry(&mut self, now: Instant) {
        let until = |second| now + access::until(second);
        let identity = self.reader.identity();
        let notice = identity.map(|identity| identity.expires_at().saturating_sub(EXPIRY_NOTICE.as_secs()));
        self.notice = notice.map(until);
        self.ends = until(identity.map_or(u64::MAX, Identity::ends_at));
    }

    fn expires(&self) -> String {
        let expires = self.reader.identity().map_or(0, Identity::expires_at);
        access::second_text(expires)
    }

    /// Begins to look for the place to start from; the stream that there was ends here.
    pub(super) fn begin(&mut self, start: Start, filter: Filter) {
        let live = Arc::clone(&self.context.live);
        let requester = self.reader.requester(&self.guest.visit);
        self.stream = Stream::Sought(Box::pin(async move {
            let place = async { Ok((live.place_for(&requester, start, &filter).await?, live.oldest().await?)) };
            let place = place.await;
            (filter, place)
        }));
    }

    pub(super) async fn run<S: Wire>(mut self, socket: &mut Socket<S>) -> End {
        match self.follow(socket).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<Infallible, End> {
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
                Wake::Revoked => return Err(End::revoked()),
            }
        }
    }

    /// Whether the client is listened to: while there is a stream, and not faster than [`Hearing`] allows.
    fn hears(&self, now: Instant) -> bool {
        self.stream.is_followed() && self.hearing.next(now).is_none()
    }

    async fn wait<S: Wire>(&mut self, socket: &mut Socket<S>, timer: &mut Pin<Box<Sleep>>) -> Wake {
        let deadline = self.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let draining = self.leaves.is_some();
        let hears = self.hears(Instant::now());
        tokio::select! {
            biased;
            () = access::revoked(self.presence.as_ref()) => Wake::Revoked,
            input = socket.receive(), if hears => Wake::Input(input),
            wake = self.stream.goes_on() => wake,
            () = timer.as_mut() => Wake::Time,
            () = self.context.shutdown.cancelled(), if !draining => Wake::Drain,
        }
    }

    /// Writes all that is pending. A client that takes nothing for too long is closed.
    async fn write<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<(), End> {
        if !socket.is_pending() {
            return Ok(());
        }
        let begun = Instant::now();
        while socket.is_pending() {
            let stalls = Instant::now() + self.context.streams.write_stall;
            let written = tokio::time::timeout_at(stalls.min(self.ends), socket.write_some());
            tokio::select! {
                biased;
                () = access::revoked(self.presence.as_ref()) => {
                    // Nobody gets more than a frame beyond the end of his token by reading slowly.
                    socket.cut();
                    return Err(End::revoked());
                }
                written = written => match written {
                    Ok(written) => written?,
                    Err(_) if stalls > self.ends => {
                        socket.cut();
                        return self.tick(socket, self.ends);
                    }
                    Err(_) => return Err(End::Stalled),
                },
            }
        }
        // While it was not listened to, it could not be heard.
        self.heard += begun.elapsed();
        Ok(())
    }

    fn deadline(&self) -> Instant {
        let silence = self.stream.is_followed().then(|| self.heard + 2 * self.context.streams.heartbeat);
        let listens = self.hearing.next(Instant::now());
        let all = [Some(self.heartbeat), silence, self.notice, Some(self.ends), self.leaves, listens];
        all.into_iter().flatten().min().unwrap_or(self.ends)
    }

    /// Does what is due.
    fn tick<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) -> Result<(), End> {
        if self.presence.as_ref().is_some_and(Presence::is_revoked) {
            return Err(End::revoked());
        }
        if now >= self.ends {
            return Err(End::closed(4401, "token_expired", "The token has expired."));
        }
        if self.stream.is_followed() && now >= self.heard + 2 * self.context.streams.heartbeat {
            return Err(End::closed(4408, "timeout", "No sign of life for two heartbeats."));
        }
        if self.context.shutdown.is_cancelled() {
            self.drain(socket, now)?;
        }
        if self.notice.is_some_and(|notice| now >= notice) && self.stream.walker().is_some() {
            self.notice = None;
            socket.put(Control::AuthExpiring { at: self.expires() }.message());
        }
        if now >= self.heartbeat {
            self.beat(socket, now);
        }
        Ok(())
    }

    fn beat<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) {
        self.heartbeat = now + self.context.streams.heartbeat;
        socket.put(PING);
        let Some(walker) = self.stream.walker() else { return };
        let position = walker.look();
        let stalled = Stall::of(&self.context.tail.status.borrow(), self.reader.may(Action::OthersRows));
        // The tail may be well while what this session needs does not come.
        let own = walker.stalled_since().map(Stall::database);
        let stalled = stalled.or(own);
        let heartbeat = Control::Heartbeat {
            cursor: walker.cursor().to_string(),
            head: position.newest.seq,
            at: time_text(SystemTime::now()),
            tally: walker.tally(),
            stalled,
        };
        socket.put(heartbeat.message());
    }

    /// Takes the next step of the way; whether there may be another one at once.
    fn step<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<bool, End> {
        let Some(walker) = self.stream.walker() else { return Ok(false) };
        match walker.step(ROOM) {
            Step::Went(runs) => {
                self.context.counts.events_sent(runs.iter().map(Run::count).sum());
                runs.iter().for_each(|run| socket.put(run.messages()));
            }
            Step::Live => socket.put(Control::Live { cursor: walker.cursor().to_string() }.message()),
            // While the database is away the session stays, and asks again a little later.
            Step::Rests(_) | Step::Waits | Step::Away(_) => return Ok(false),
            Step::Ended(refused) => return Err(refused.into()),
        }
        Ok(true)
    }

    /// The place to begin at was found.
    fn greet<S: Wire>(
        &mut self,
        filter: &Filter,
        place: Result<(Place, i64), Refused>,
        socket: &mut Socket<S>,
    ) -> Result<(), End> {
        let (place, oldest) = place?;
        // Who reads may have become another since it was sent for.
        let filter = Arc::new(filter.clone().seen_by(self.reader.owners()));
        let hello = Control::Hello {
            session: self.id.to_owned(),
            cursor: place.cursor.to_string(),
            head: self.context.live.position().newest.seq,
            oldest,
            heartbeat_ms: u64::try_from(self.context.streams.heartbeat.as_millis()).unwrap_or(u64::MAX),
            view: self.reader.view_name(),
        };
        socket.put(hello.message());
        // Until now it could not be heard.
        self.heard = Instant::now();
        let walker = Walker::new(&self.context.live, place, filter, self.reader.view());
        self.stream = Stream::Followed(walker.on_behalf_of(self.reader.requester(&self.guest.visit)));
        Ok(())
    }

    /// The server shuts down. Who has a place in the stream is told from where to go on; who is only about to get one is
    /// greeted first, since nothing comes before a hello.
    fn drain<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) -> Result<(), End> {
        let window = self.context.drain;
        // Between 0.1 and 0.8 of the window, so that the last one is closed within it.
        let spread = || window.mul_f64(0.1 + (jitter() - 0.5) * 1.4);
        let leaves = *self.leaves.get_or_insert_with(|| now + spread());
        if !self.told_to_leave
            && let Some(walker) = self.stream.walker()
        {
            let retry_ms = u64::try_from(spread().as_millis()).unwrap_or(u64::MAX);
            socket.put(Control::Drain { retry_ms, cursor: walker.cursor().to_string() }.message());
            self.told_to_leave = true;
        }
        if now >= leaves { Err(End::Drained) } else { Ok(()) }
    }

    /// What the client says.
    async fn hear<S: Wire>(&mut self, input: Input, socket: &mut Socket<S>) -> Result<(), End> {
        self.heard = Instant::now();
        self.hearing.count(self.heard);
        let text = match input {
            Input::Text(text) => text,
            Input::Binary(_) => return Err(End::bad_request("Messages must be text.")),
            Input::Alive => return Ok(()),
            Input::Close => return Err(End::Left),
        };
        let request = Said::parse(&text).ok_or_else(|| {
            End::bad_request(
                "A message must be a JSON object with op ping, auth or subscribe, and no other fields than theirs.",
            )
        })?;
        match request {
            Said::Ping {} => socket.put(Control::Pong.message()),
            Said::Auth { token } => self.renew(&token, socket).await?,
            Said::Subscribe(subscription) => {
                let (start, filter) = subscription.read(&self.reader).map_err(End::bad_request)?;
                self.guest.visit.spend_by(self.context, &self.reader, start.pages()).await?;
                self.begin(start, filter);
            }
        }
        Ok(())
    }

    /// Another token takes the place of the one there was, and must be the same person's. On everybody's stream the first
    /// one makes it that person's: what comes from here on is what they may see, behind the same cursor.
    async fn renew<S: Wire>(&mut self, token: &str, socket: &mut Socket<S>) -> Result<(), End> {
        let before = self.reader.clone();
        let identity = self.guest.identify(self.context, token).await?;
        if before.identity().is_some_and(|before| before.subject() != identity.subject()) {
            return Err(End::closed(4403, "forbidden", "The token is of another subject."));
        }
        self.reader = Reader::Known(identity);
        self.guest.visit.spend_by(self.context, &self.reader, 1).await?;
        self.presence = access::enter(self.context, &self.reader)?;
        self.mind_expiry(Instant::now());
        if self.reader.owners() != before.owners()
            && let Some(walker) = self.stream.walker()
        {
            walker.see_as(self.reader.owners(), self.reader.view());
        }
        socket.put(Control::AuthOk { expires: self.expires() }.message());
        Ok(())
    }
}

impl Stream {
    fn is_followed(&self) -> bool {
        matches!(self, Self::Followed(_))
    }

    fn walker(&mut self) -> Option<&mut Walker> {
        match self {
            Self::Followed(walker) => Some(walker),
            Self::None | Self::Sought(_) => None,
        }
    }

    /// Waits until there is a place to begin at, or until a step may come to something. Can be dropped and called again.
    async fn goes_on(&mut self) -> Wake {
        match self {
            Self::None => std::future::pending().await,
            Self::Sought(begun) => {
                let begun = begun.await;
                *self = Self::None;
                Wake::Begun(begun)
            }
            Self::Followed(walker) => {
                walker.ready().await;
                Wake::Step
            }
        }
    }
}
