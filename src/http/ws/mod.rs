//! A session over a WebSocket, from the upgrade to the close: it is found out who comes (`guest`) and what is wanted
//! (`said`), the stream is followed (`session`), and its end is told (`end`).

mod end;
mod guest;
mod hearing;
mod said;
mod session;

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;

use self::end::{End, finish};
use self::guest::Guest;
use self::session::Session;
use super::access::Reader;
use super::guarded::{Guarded, Wire};
use super::origin::Origin;
use super::paced::Paced;
use super::problem::Problem;
use super::respond::Outgoing;
use super::router::{Context, Peer};
use super::socket::Socket;
use super::visit::Visit;
use super::{access, upgrade};
use crate::auth::Action;
use crate::limit::Place;

/// The longest message of a client.
pub const MAX_MESSAGE: usize = 64 << 10;

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
    seat: Option<Place>,
}

/// Grants an upgrade: who may not have one, or asks for it wrongly, is answered over HTTP.
pub(super) async fn upgrade(
    context: &Arc<Context>,
    peer: &Peer,
    visit: &Arc<Visit>,
    public: bool,
    mut request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    Origin::of(context, request.headers()).check(context)?;
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
        let stream = Paced::new(parts.io.into_inner().into_inner());
        let socket = Socket::new(stream, parts.read_buf, MAX_MESSAGE).await;
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

/// Finds out who it is and what is wanted, and follows the stream.
async fn open<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    mut guest: Guest,
    query: Option<String>,
    id: &str,
) -> End {
    match guest::begin(context, socket, &mut guest, query.as_deref()).await {
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
