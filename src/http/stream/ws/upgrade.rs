//! The request for a WebSocket: who may not have one, or asks for it wrongly, is answered over HTTP.

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::{Request, Response};

use crate::auth::Identity;
use crate::http::request::authenticate::{self, AccessError, TokenChecks, UpgradeToken};
use crate::http::request::context::Context;
use crate::http::request::origin::Origin;
use crate::http::request::peer::{Peer, PendingSession};
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::http::response::request_id::RequestId;
use crate::http::stream::ws::accept::accept;
use crate::limit::ConnectionSlot;

/// Grants an upgrade: who may not have one, or asks for it wrongly, is answered over HTTP.
pub(in crate::http) async fn upgrade(
    context: &Arc<Context>,
    peer: &Peer,
    quota: &Arc<RequestQuota>,
    public: bool,
    mut request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    Origin::of(&context.allowed_origins, request.headers()).check(&context.refused_origins)?;
    let response = accept(request.version(), request.headers())?;
    if !request.body().is_end_stream() {
        return Err(Problem::bad_request("An upgrade has no body."));
    }
    let token = authenticate::upgrade_token(request.headers())?;
    let place = Arc::clone(&context.sessions).try_acquire_owned().map_err(|_| Problem::too_many_sessions())?;
    let (viewer, seat) = match token {
        // Everybody's stream begins as everybody's, whatever comes along; `auth` makes it another.
        _ if public => (Ok(Some(Viewer::Public)), Some(quota.enter(None)?)),
        None => (Ok(None), None),
        Some(UpgradeToken::Header(token)) => {
            let (identity, seat) = known(&context.tokens, quota, &token).await?;
            (Ok(Some(Viewer::Known(identity))), Some(seat))
        }
        // A browser cannot read the answer to a refused upgrade.
        Some(UpgradeToken::Protocol(token)) => match known(&context.tokens, quota, &token).await {
            Ok((identity, seat)) => (Ok(Some(Viewer::Known(identity))), Some(seat)),
            Err(refused) => (Err(refused.into()), None),
        },
    };
    if context.shutdown.is_cancelled() {
        return Err(Problem::of(refusals::DRAINING));
    }
    peer.hand_over(PendingSession {
        upgrade: hyper::upgrade::on(&mut request),
        context: Arc::clone(context),
        viewer,
        request_id: request.extensions().get::<RequestId>().cloned(),
        query: request.uri().query().map(str::to_owned),
        quota: Arc::clone(quota),
        place,
        seat,
    });
    Ok(response)
}

/// Whom a token speaks for, with a slot among the sessions of that subject.
async fn known(
    tokens: &TokenChecks,
    quota: &RequestQuota,
    token: &str,
) -> Result<(Identity, ConnectionSlot), AccessError> {
    let identity = tokens.identify_upgrade(quota, token).await?;
    let seat = quota.enter(Some(identity.subject())).map_err(AccessError::Refused)?;
    Ok((identity, seat))
}
