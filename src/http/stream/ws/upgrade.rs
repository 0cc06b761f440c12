//! The request for a WebSocket: checks that the client may have one, and refuses over HTTP.

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

/// Grants an upgrade and hands its session over to the connection, or refuses it over HTTP.
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
    let permit = Arc::clone(&context.sessions).try_acquire_owned().map_err(|_| Problem::too_many_sessions())?;
    let (viewer, slot) = match token {
        // A public stream begins with the public as viewer, even if the upgrade has a token. A later `auth` changes the viewer.
        _ if public => (Ok(Some(Viewer::Public)), Some(quota.take_session_slot(None)?)),
        None => (Ok(None), None),
        Some(UpgradeToken::Header(token)) => {
            let (identity, slot) = identify(&context.tokens, quota, &token).await?;
            (Ok(Some(Viewer::Known(identity))), Some(slot))
        }
        // A browser cannot read the response to a refused upgrade, so the refusal is sent over the WebSocket.
        Some(UpgradeToken::Protocol(token)) => match identify(&context.tokens, quota, &token).await {
            Ok((identity, slot)) => (Ok(Some(Viewer::Known(identity))), Some(slot)),
            Err(error) => (Err(error.into()), None),
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
        permit,
        slot,
    });
    Ok(response)
}

/// The identity that a token speaks for, with a slot among the sessions of its subject.
async fn identify(
    tokens: &TokenChecks,
    quota: &RequestQuota,
    token: &str,
) -> Result<(Identity, ConnectionSlot), AccessError> {
    let identity = tokens.identify_upgrade(quota, token).await?;
    let slot = quota.take_session_slot(Some(identity.subject())).map_err(AccessError::NotAllowed)?;
    Ok((identity, slot))
}
