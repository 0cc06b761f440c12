//! A session over a WebSocket, from the upgrade to the close: it is found out who comes (`guest`) and what is wanted
//! (`said`), the stream is followed (`session`), and its end is told (`end`).

mod end;
mod guest;
mod hearing;
mod pings;
mod said;
mod session;
mod stream;

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use self::end::{End, finish};
use self::guest::Guest;
use self::session::Session;
use super::access::{NotIn, Reader, UpgradeToken};
use super::context::Context;
use super::guarded::Guarded;
use super::origin::Origin;
use super::paced::Paced;
use super::peer::Peer;
use super::problem::Problem;
use super::refusals;
use super::request_id::RequestId;
use super::respond::Outgoing;
use super::socket::Socket;
use super::visit::Visit;
use super::wire::Wire;
use super::{access, upgrade};
use crate::auth::Identity;
use crate::limit::Place;

/// The longest message of a client.
pub const MAX_MESSAGE: usize = 64 << 10;

/// A connection that was granted an upgrade, with what its request said.
#[derive(Debug)]
pub(super) struct Opening {
    upgrade: OnUpgrade,
    context: Arc<Context>,
    /// Who reads; none if it is still to say who it is. Or why it may not, which is said when the connection is there.
    reader: Result<Option<Reader>, End>,
    request_id: Option<RequestId>,
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
    let token = access::upgrade_token(request.headers())?;
    let place = Arc::clone(&context.sessions).try_acquire_owned().map_err(|_| Problem::too_many_sessions())?;
    let (reader, seat) = match token {
        // Everybody's stream begins as everybody's, whatever comes along; `auth` makes it another.
        _ if public => (Ok(Some(Reader::Public)), Some(visit.enter(context, None)?)),
        None => (Ok(None), None),
        Some(UpgradeToken::Header(token)) => {
            let (identity, seat) = known(context, visit, &token).await?;
            (Ok(Some(Reader::Known(identity))), Some(seat))
        }
        // A browser cannot read the answer to a refused upgrade.
        Some(UpgradeToken::Protocol(token)) => match known(context, visit, &token).await {
            Ok((identity, seat)) => (Ok(Some(Reader::Known(identity))), Some(seat)),
            Err(refused) => (Err(refused.into()), None),
        },
    };
    if context.shutdown.is_cancelled() {
        return Err(Problem::of(refusals::DRAINING));
    }
    peer.hand_over(Opening {
        upgrade: hyper::upgrade::on(&mut request),
        context: Arc::clone(context),
        reader,
        request_id: request.extensions().get::<RequestId>().cloned(),
        query: request.uri().query().map(str::to_owned),
        visit: Arc::clone(visit),
        place,
        seat,
    });
    Ok(response)
}

/// Whom a token speaks for, with a place among the sessions of that subject.
async fn known(context: &Context, visit: &Visit, token: &str) -> Result<(Identity, Place), NotIn> {
    let identity = access::upgrade_identity(context, visit, token).await?;
    let seat = visit.enter(context, Some(identity.subject())).map_err(NotIn::Refused)?;
    Ok((identity, seat))
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
        context.counts.session_begun();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let begun = Instant::now();
        let mut socket = socket;
        let end = match self.reader {
            Ok(reader) => {
                let guest = Guest { reader, visit: self.visit, seat: self.seat };
                Box::pin(open(&context, &mut socket, guest, self.query, &id)).await
            }
            Err(refused) => refused,
        };
        context.counts.session_ended(end.code());
        let request_id = self.request_id.as_ref().map(RequestId::as_str);
        let (code, reason, seconds) = (end.code(), end.reason(), begun.elapsed().as_secs());
        tracing::info!(request_id, session = id, code, reason, seconds, "a session has ended");
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
