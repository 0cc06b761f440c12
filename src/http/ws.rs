//! A session over a WebSocket: drives `session` with what comes from the socket, the clock and the tail, and writes what
//! follows. Nothing waits in line for a client but what it is being sent at this moment.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::access::{NotIn, Reader};
use super::guarded::{Guarded, Wire};
use super::origin::Origin;
use super::problem::Problem;
use super::query::Query;
use super::respond::Outgoing;
use super::router::{Context, Peer};
use super::socket::{Gone, Input, PING, Socket};
use super::visit::Visit;
use super::{access, upgrade};
use crate::auth::{Action, Identity, Presence};
use crate::clock::jitter;
use crate::journal::{self, Filter, QueryError, StoredEvent, tellable};
use crate::limit;
use crate::session::{Interest, Next, Place, Refused, Room, SEARCH_LIMIT, Start, Walk};
use crate::tail::pages::{Page, PageError, Position};
use crate::view::{Control, Fault, Stall, Views, time_text};

/// The longest message of a client.
pub const MAX_MESSAGE: usize = 64 << 10;
/// How long a client may take to say who it is, if its upgrade did not.
const AUTH_LIMIT: Duration = Duration::from_secs(5);
/// How long before its end a client is told that its token expires.
const EXPIRY_NOTICE: Duration = Duration::from_secs(30);
/// How much is put together for one write: at least one event, whatever it weighs.
const ROOM: Room = Room { events: 4096, bytes: 256 << 10 };
/// How long the other side may take to answer a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How long a client that had stalled may take to read that it was closed, and why.
const STALL_PATIENCE: Duration = Duration::from_secs(30);
/// The longest wait before a page that could not be loaded is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// A connection that was granted an upgrade, with what its request said.
#[derive(Debug)]
pub(super) struct Opening {
    upgrade: OnUpgrade,
    context: Arc<Context>,
    /// Who reads; none if it is still to say who it is.
    reader: Option<Reader>,
    query: Option<String>,
    visit: Arc<Visit>,
    place: OwnedSemaphorePermit,
    /// Once it is known whose.
    seat: Option<limit::Place>,
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The other side has closed, or is gone.
    Left,
    /// Nothing could be written for too long.
    Stalled,
    /// The server shuts down.
    Drained,
    /// For this reason, under this code.
    Closed(u16, Fault),
}

impl End {
    fn closed(close: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::Closed(close, Fault { code, message: message.into(), oldest: None })
    }

    fn revoked() -> Self {
        Self::closed(4403, "revoked", "The tokens of this subject were revoked.")
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::closed(4400, "bad_request", message)
    }

    /// The code under which it is counted.
    fn code(&self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Stalled => 4409,
            Self::Drained => 1012,
            Self::Closed(code, _) => *code,
        }
    }
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Away => Self::Left,
            Gone::TooBig => {
                Self::closed(1009, "message_too_big", format!("A message may be at most {MAX_MESSAGE} bytes."))
            }
            Gone::Utf8 => Self::bad_request("A text message must be UTF-8."),
            Gone::Protocol => Self::bad_request("The client breaks the WebSocket protocol."),
        }
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Expired { oldest } => {
                let message = "Events after this cursor were trimmed.".to_owned();
                Self::Closed(4410, Fault { code: "cursor_expired", message, oldest: Some(oldest) })
            }
            Refused::Invalid => {
                Self::closed(4411, "cursor_invalid", "The cursor is ahead of the stream or of another history.")
            }
            Refused::Unavailable(why) => {
                tracing::debug!(why, "a session cannot begin");
                Self::closed(1011, "database_unavailable", "The journal cannot be read at this moment.")
            }
        }
    }
}

/// What a problem with who it is means for a session.
fn refused(problem: &Problem) -> End {
    let close = match problem {
        problem if problem.is_forbidden() => 4403,
        problem if problem.is_rate_limited() => 4429,
        problem if problem.is_unavailable() => 1011,
        _ => 4401,
    };
    End::closed(close, problem.code(), problem.detail())
}

impl From<NotIn> for End {
    fn from(not_in: NotIn) -> Self {
        match not_in {
            NotIn::Refused(problem) => refused(&problem),
            NotIn::Revoked => Self::revoked(),
        }
    }
}

/// What a client may send.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    Ping {},
    Auth { token: String },
    Subscribe(Subscription),
}

/// What to follow, and from where.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    cursor: Option<Text>,
    last: Option<Text>,
    r#type: Option<String>,
    level: Option<String>,
    symbol: Option<String>,
    trade_id: Option<String>,
    subject: Option<String>,
}

/// A text, or a number as programs write a bare seq.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Number(u64),
}

impl Text {
    fn into_string(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Said {
    /// One JSON object; arrays, which serde would take for one too, are none.
    fn parse(text: &str) -> Option<Self> {
        text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
    }
}

impl Subscription {
    /// From the parameters of an address.
    fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut query = Query::parse(query).map_err(|bad| bad.to_string())?;
        let subscription = Self {
            cursor: query.take("cursor").map(Text::Text),
            last: query.take("last").map(Text::Text),
            r#type: query.take("type"),
            level: query.take("level"),
            symbol: query.take("symbol"),
            trade_id: query.take("trade_id"),
            subject: query.take("subject"),
        };
        match query.rest().next() {
            Some((name, _)) => Err(format!("{} is not known", tellable(name))),
            None => Ok(subscription),
        }
    }

    fn read(self, reader: &Reader) -> Result<(Start, Filter), String> {
        let (cursor, last) = (self.cursor.map(Text::into_string), self.last.map(Text::into_string));
        let start = Start::parse(cursor.as_deref(), last.as_deref()).map_err(|bad| bad.to_string())?;
        let wanted = [
            ("type", &self.r#type),
            ("level", &self.level),
            ("symbol", &self.symbol),
            ("trade_id", &self.trade_id),
            ("subject", &self.subject),
        ];
        let pairs = wanted.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let filter = reader.filter(pairs).map_err(|bad| bad.to_string())?;
        Ok((start, filter))
    }
}

/// Grants an upgrade: who may not have one, or asks for it wrongly, is answered over HTTP.
pub(super) async fn upgrade(
    context: &Arc<Context>,
    peer: &Peer,
    visit: &Arc<Visit>,
    public: bool,
    mut request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    Origin::of(context, request.headers()).check()?;
    let response = upgrade::accept(request.version(), request.headers())?;
    if !request.body().is_end_stream() {
        return Err(Problem::bad_request("An upgrade has no body."));
    }
    let reader = match access::upgrade_token(request.headers())? {
        // Everybody's stream begins as everybody's, whatever comes along; `auth` makes it another.
        _ if public => Some(Reader::Public),
        Some(token) => Some(Reader::Known(access::verify(context, visit, &token).await?)),
        None => None,
    };
    if let Some(Reader::Known(identity)) = &reader {
        access::permit(identity, Action::Read)?;
    }
    let place = Arc::clone(&context.sessions).try_acquire_owned().map_err(|_| Problem::too_many_sessions())?;
    let subject = |reader: &Reader| reader.identity().map(|identity| Arc::clone(identity.subject()));
    let seat = reader.as_ref().map(|reader| visit.enter(context, subject(reader).as_deref())).transpose()?;
    if context.shutdown.is_cancelled() {
        return Err(Problem::unavailable("draining", "The server is shutting down."));
    }
    peer.hand_over(Opening {
        upgrade: hyper::upgrade::on(&mut request),
        context: Arc::clone(context),
        reader,
        query: request.uri().query().map(str::to_owned),
        visit: Arc::clone(visit),
        place,
        seat,
    });
    Ok(response)
}

impl Opening {
    /// Serves the session on the connection that the upgrade hands over, to its end.
    pub(super) async fn serve<S: Wire>(self) {
        let Ok(upgraded) = self.upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Guarded<S>>>() else { return };
        let socket = Socket::new(parts.io.into_inner().into_inner(), parts.read_buf, MAX_MESSAGE).await;
        socket.stream().hold_back();
        let _place = self.place;
        let context = self.context;
        let guest = Guest { reader: self.reader, visit: self.visit, seat: self.seat };
        context.counts.session_begun();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut socket = socket;
        let end = Box::pin(open(&context, &mut socket, guest, self.query, &id)).await;
        context.counts.session_ended(end.code());
        tracing::debug!(session = id, code = end.code(), "a session has ended");
        Box::pin(finish(&context, socket, end)).await;
    }
}

/// Who has come, as far as it is known, and the place that is taken for it.
#[derive(Debug)]
struct Guest {
    reader: Option<Reader>,
    visit: Arc<Visit>,
    seat: Option<limit::Place>,
}

impl Guest {
    /// Takes a token that came in a message.
    async fn identify(&mut self, context: &Context, token: &str) -> Result<Identity, End> {
        let identity = access::verify(context, &self.visit, token).await?;
        access::permit(&identity, Action::Read).map_err(|problem| refused(&problem))?;
        let same = self.reader.as_ref().and_then(Reader::identity).is_some_and(|i| i.subject() == identity.subject());
        if !same {
            let seat = self.visit.enter(context, Some(identity.subject())).map_err(|problem| refused(&problem))?;
            self.seat = Some(seat);
        }
        self.reader = Some(Reader::Known(identity.clone()));
        Ok(identity)
    }
}

/// Finds out who it is and what is wanted, and follows the stream.
async fn open<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    mut guest: Guest,
    query: Option<String>,
    id: &str,
) -> End {
    match begin(context, socket, &mut guest, query.as_deref()).await {
        Ok((reader, presence, start, filter)) => {
            let (subject, role) = reader.identity().map(|i| (&**i.subject(), i.role().as_str())).unzip();
            tracing::debug!(session = id, subject, role, "a session begins");
            let mut session = Session::new(context, guest, reader, presence, id);
            session.begin(start, filter);
            session.run(socket).await
        }
        Err(end) => end,
    }
}

/// What has to be right before a session begins.
async fn begin<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    guest: &mut Guest,
    query: Option<&str>,
) -> Result<(Reader, Option<Presence>, Start, Filter), End> {
    // Before anybody is waited for: a token in the address, say, is told at once that this is not the place.
    let subscription = Subscription::parse(query).map_err(End::bad_request)?;
    let reader = match &guest.reader {
        Some(reader) => reader.clone(),
        None => Reader::Known(introduce(context, socket, guest).await?),
    };
    let (start, filter) = subscription.read(&reader).map_err(End::bad_request)?;
    let presence = access::enter(context, &reader)?;
    Ok((reader, presence, start, filter))
}

/// Waits for the first message, which must say who it is.
async fn introduce<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    guest: &mut Guest,
) -> Result<Identity, End> {
    let first = async {
        loop {
            match socket.receive().await? {
                Input::Text(text) => match Said::parse(&text) {
                    Some(Said::Auth { token }) => {
                        return guest.identify(context, &token).await;
                    }
                    Some(_) => return Err(End::closed(4401, "unauthorized", "The first message must be auth.")),
                    None => return Err(End::bad_request("The first message must be auth with a token.")),
                },
                Input::Binary(_) => return Err(End::bad_request("Messages must be text.")),
                Input::Close => return Err(End::Left),
                Input::Alive => {}
            }
        }
    };
    tokio::select! {
        known = tokio::time::timeout(AUTH_LIMIT, first) => {
            known.unwrap_or_else(|_| Err(End::closed(4408, "timeout", "No auth came in time.")))
        }
        () = context.shutdown.cancelled() => Err(End::Drained),
    }
}

async fn finish<S: Wire>(context: &Context, mut socket: Socket<S>, end: End) {
    // Within the window of a drain there is a tenth for the close, and another for the end of the connection.
    let limit = if context.shutdown.is_cancelled() { CLOSE_LIMIT.min(context.drain / 10) } else { CLOSE_LIMIT };
    match end {
        End::Left => socket.end(limit).await,
        End::Drained => socket.close(1012, "restart", limit).await,
        End::Closed(code, fault) => {
            let reason = fault.code;
            socket.put(Control::Error(fault).message());
            socket.close(code, reason, limit).await;
        }
        End::Stalled => {
            // What is under way must be whole before anything else can be said; the kernel is asked to take that little.
            // Whoever reads on answers what lies before the close, pings for example: that must find an open connection,
            // or the kernel would answer with a reset and drop the rest.
            socket.cut();
            socket.stream().let_go();
            let message = "Nothing could be written for too long; come back with the cursor.".to_owned();
            socket.put(Control::Error(Fault { code: "stalled", message, oldest: None }).message());
            tokio::select! {
                () = socket.close(4409, "stalled", STALL_PATIENCE) => {}
                () = context.shutdown.cancelled() => {}
            }
        }
    }
}

/// One session of which it is known who reads.
struct Session<'a> {
    context: &'a Arc<Context>,
    guest: Guest,
    reader: Reader,
    /// Where a revocation finds it; none for everybody's stream.
    presence: Option<Presence>,
    id: &'a str,
    stream: Option<(Walk, Interest)>,
    /// What is under way and not here yet.
    work: Option<BoxFuture<'static, Work>>,
    /// After a failure: not before this.
    again: Option<Instant>,
    heartbeat: Instant,
    heard: Instant,
    /// When to say that the token expires; none once it is said.
    notice: Option<Instant>,
    ends: Instant,
    /// While it drains: when to close.
    leaves: Option<Instant>,
    /// Whether the client was told so.
    told_to_leave: bool,
}

/// What has come.
enum Work {
    Begun(Arc<Filter>, Result<(Place, i64), Refused>),
    Proven(Result<Place, Refused>),
    Page(Result<Arc<Page<Views>>, PageError>),
    Found(Position, Result<Vec<StoredEvent>, QueryError>),
    Expired(i64),
    Lost,
}

/// Why a session that waits goes on.
enum Wake {
    Input(Result<Input, Gone>),
    Work(Work),
    Head,
    Time,
    Drain,
    Revoked,
}

impl<'a> Session<'a> {
    fn new(context: &'a Arc<Context>, guest: Guest, reader: Reader, presence: Option<Presence>, id: &'a str) -> Self {
        let now = Instant::now();
        let mut session = Self {
            context,
            guest,
            reader,
            presence,
            id,
            stream: None,
            work: None,
            again: None,
            heartbeat: now + context.streams.heartbeat,
            heard: now,
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
    fn begin(&mut self, start: Start, filter: Filter) {
        let (live, filter) = (Arc::clone(&self.context.live), Arc::new(filter));
        self.stream = None;
        self.again = None;
        self.work = Some(Box::pin(async move {
            let place = async { Ok((live.place(start, &filter).await?, live.oldest().await?)) };
            let place = place.await;
            Work::Begun(filter, place)
        }));
    }

    async fn run<S: Wire>(mut self, socket: &mut Socket<S>) -> End {
        match self.follow(socket).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follow<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<std::convert::Infallible, End> {
        let timer = tokio::time::sleep_until(self.heartbeat);
        let mut timer = Box::pin(timer);
        loop {
            self.write(socket).await?;
            self.tick(socket, Instant::now())?;
            // A client is heard in the middle of a long backlog too.
            if let Some(input) = socket.receive().now_or_never() {
                self.hear(input?, socket).await?;
                continue;
            }
            if self.work.is_none() && self.step(socket)? || socket.is_pending() {
                continue;
            }
            match self.wait(socket, &mut timer).await {
                Wake::Input(input) => self.hear(input?, socket).await?,
                Wake::Work(work) => {
                    self.work = None;
                    self.done(work, socket)?;
                }
                Wake::Head | Wake::Time | Wake::Drain => {}
                Wake::Revoked => return Err(End::revoked()),
            }
        }
    }

    async fn wait<S: Wire>(&mut self, socket: &mut Socket<S>, timer: &mut std::pin::Pin<Box<Sleep>>) -> Wake {
        let deadline = self.deadline();
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let draining = self.leaves.is_some();
        let (work, stream) = (&mut self.work, &mut self.stream);
        tokio::select! {
            biased;
            () = access::revoked(self.presence.as_ref()) => Wake::Revoked,
            input = socket.receive() => Wake::Input(input),
            work = under_way(work) => Wake::Work(work),
            () = woken(stream), if self.again.is_none() => Wake::Head,
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
        let silence = self.heard + 2 * self.context.streams.heartbeat;
        let all = [Some(self.heartbeat), Some(silence), self.notice, Some(self.ends), self.leaves, self.again];
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
        if now >= self.heard + 2 * self.context.streams.heartbeat {
            return Err(End::closed(4408, "timeout", "No sign of life for two heartbeats."));
        }
        if self.context.shutdown.is_cancelled() {
            self.drain(socket, now)?;
        }
        if self.again.is_some_and(|again| now >= again) {
            self.again = None;
        }
        if self.notice.is_some_and(|notice| now >= notice) && self.stream.is_some() {
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
        let Some((walk, interest)) = &mut self.stream else { return };
        let position = interest.look(walk);
        let stalled = Stall::of(&self.context.tail.status.borrow(), self.reader.may(Action::OthersRows));
        let heartbeat = Control::Heartbeat {
            cursor: walk.cursor().to_string(),
            head: position.newest.seq,
            at: time_text(SystemTime::now()),
            tally: walk.tally(),
            stalled,
        };
        socket.put(heartbeat.message());
    }

    /// Takes the next step of the way, if there is one to take at once; else sends for what it needs, or rests.
    fn step<S: Wire>(&mut self, socket: &mut Socket<S>) -> Result<bool, End> {
        if self.again.is_some() {
            return Ok(false);
        }
        let Some((walk, interest)) = &mut self.stream else { return Ok(false) };
        let live = &self.context.live;
        let position = interest.look(walk);
        match walk.next(&position) {
            Next::Page(after) => match live.pages().at_hand(after) {
                Some(page) => {
                    self.take(&page, socket);
                    return Ok(true);
                }
                None => {
                    let pages = live.pages().clone();
                    self.work = Some(Box::pin(async move { Work::Page(pages.page_after(after).await) }));
                }
            },
            Next::Search(after, position) => {
                let (live, filter) = (Arc::clone(live), Arc::clone(walk.filter()));
                self.work = Some(Box::pin(async move {
                    let Ok(client) = live.database().get().await else { return Work::Lost };
                    let found = journal::query(&client, &filter, after, position.head, SEARCH_LIMIT).await;
                    Work::Found(position, found)
                }));
            }
            Next::Live => {
                socket.put(Control::Live { cursor: walk.cursor().to_string() }.message());
                return Ok(true);
            }
            Next::Rest => {}
            Next::Expired => {
                let live = Arc::clone(live);
                self.work = Some(Box::pin(async move { live.oldest().await.map_or(Work::Lost, Work::Expired) }));
            }
            Next::Prove => {
                let (live, filter, cursor) = (Arc::clone(live), Arc::clone(walk.filter()), walk.cursor());
                self.work =
                    Some(Box::pin(async move { Work::Proven(live.place(Start::After(cursor), &filter).await) }));
            }
        }
        Ok(false)
    }

    fn take<S: Wire>(&mut self, page: &Page<Views>, socket: &mut Socket<S>) {
        let Some((walk, _)) = &mut self.stream else { return };
        let mut room = ROOM;
        for run in walk.take(self.context.live.pages(), page, &mut room) {
            socket.put(run.messages());
        }
        self.context.counts.events_sent(ROOM.events - room.events);
    }

    /// Goes on with what has come.
    fn done<S: Wire>(&mut self, work: Work, socket: &mut Socket<S>) -> Result<(), End> {
        match work {
            Work::Begun(filter, place) => {
                let (place, oldest) = place?;
                // Who reads may have become another since it was sent for.
                let filter = Arc::new(Filter::clone(&filter).seen_by(self.reader.owners()));
                let walk = Walk::new(place, Arc::clone(&filter), self.reader.view());
                let hello = Control::Hello {
                    session: self.id.to_owned(),
                    cursor: walk.cursor().to_string(),
                    head: self.context.live.position().newest.seq,
                    oldest,
                    heartbeat_ms: u64::try_from(self.context.streams.heartbeat.as_millis()).unwrap_or(u64::MAX),
                    view: self.reader.view_name(),
                };
                socket.put(hello.message());
                self.stream = Some((walk, self.context.live.interest(&filter)));
            }
            Work::Proven(Ok(place)) => {
                if let Some((walk, _)) = &mut self.stream {
                    walk.proven(place);
                }
            }
            Work::Proven(Err(Refused::Unavailable(_))) | Work::Lost => self.retry(),
            Work::Proven(Err(refused)) => return Err(refused.into()),
            Work::Page(Ok(page)) => self.take(&page, socket),
            // Another history: the next step proves the cursor.
            Work::Page(Err(PageError::Reset)) => {}
            Work::Page(Err(_)) | Work::Found(_, Err(QueryError::Postgres(_))) => self.retry(),
            Work::Found(_, Err(QueryError::Expired { .. })) => {
                let live = Arc::clone(&self.context.live);
                self.work = Some(Box::pin(async move { live.oldest().await.map_or(Work::Lost, Work::Expired) }));
            }
            Work::Found(position, Ok(events)) => {
                if let Some((walk, _)) = &mut self.stream
                    && let Some(run) = walk.found(self.context.live.pages(), events, SEARCH_LIMIT, &position)
                {
                    self.context.counts.events_sent(run.each().count());
                    socket.put(run.messages());
                }
            }
            Work::Expired(oldest) => return Err(Refused::Expired { oldest }.into()),
        }
        Ok(())
    }

    /// The database is away: the session stays, and asks again a little later.
    fn retry(&mut self) {
        self.again = Some(Instant::now() + RETRY.mul_f64(jitter()));
    }

    /// The server shuts down. Who has a place in the stream is told from where to go on; who is only about to get one is
    /// greeted first, since nothing comes before a hello.
    fn drain<S: Wire>(&mut self, socket: &mut Socket<S>, now: Instant) -> Result<(), End> {
        let window = self.context.drain;
        // Between 0.1 and 0.8 of the window, so that the last one is closed within it.
        let spread = || window.mul_f64(0.1 + (jitter() - 0.5) * 1.4);
        let leaves = *self.leaves.get_or_insert_with(|| now + spread());
        if let Some((walk, _)) = self.stream.as_ref().filter(|_| !self.told_to_leave) {
            let retry_ms = u64::try_from(spread().as_millis()).unwrap_or(u64::MAX);
            socket.put(Control::Drain { retry_ms, cursor: walk.cursor().to_string() }.message());
            self.told_to_leave = true;
        }
        if now >= leaves { Err(End::Drained) } else { Ok(()) }
    }

    /// What the client says.
    async fn hear<S: Wire>(&mut self, input: Input, socket: &mut Socket<S>) -> Result<(), End> {
        self.heard = Instant::now();
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
        self.presence = access::enter(self.context, &self.reader)?;
        self.mind_expiry(Instant::now());
        if self.reader.owners() != before.owners()
            && let Some((walk, interest)) = &mut self.stream
        {
            // What is under way was looked up for who it was.
            self.work = None;
            let filter = Filter::clone(walk.filter()).seen_by(self.reader.owners());
            walk.refilter(Arc::new(filter));
            walk.see(self.reader.view());
            *interest = self.context.live.interest(walk.filter());
            // What is being fetched was asked for with the eyes of the former role.
            self.work = None;
        }
        socket.put(Control::AuthOk { expires: self.expires() }.message());
        Ok(())
    }
}

/// The work that is under way; for ever, if there is none.
async fn under_way(work: &mut Option<BoxFuture<'static, Work>>) -> Work {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// The next word from the tail; never, before there is a stream.
async fn woken(stream: &mut Option<(Walk, Interest)>) {
    match stream {
        Some((_, interest)) => interest.woken().await,
        None => std::future::pending().await,
    }
}
