//! One row of the table of routes: what a request needs, what it counts as, and the function that answers it.

use futures_util::future::BoxFuture;
use hyper::{Method, Response};

use crate::application::{Need, Rate, Verb};
use crate::auth::{Action, Extent, Identity};
use crate::http::request::authenticate;
use crate::http::request::call::Call;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;

/// One row of the table of routes.
pub(in crate::http) struct Route {
    pub(in crate::http) verb: Verb,
    /// `{id}` stands for a UUID in its usual form, `{key}` for any text without a slash, `{file}` for the rest.
    pub(in crate::http) pattern: &'static str,
    pub(in crate::http) needs: Need,
    pub(in crate::http) counts_as: Rate,
    pub(in crate::http) handler: Handler,
    /// True if the route exists only with `ROWCAST_PUBLIC_STREAM=on`.
    pub(in crate::http) only_if_public: bool,
}

pub(in crate::http) type Handled = BoxFuture<'static, Result<Response<Outgoing>, Problem>>;

/// The function that answers a request.
pub(in crate::http) enum Handler {
    /// Called without a token.
    Open(Box<dyn Fn(Call) -> Handled + Send + Sync>),
    /// Called with the identity that the token speaks for, which may do what the route needs.
    Known(Box<dyn Fn(Call, Identity) -> Handled + Send + Sync>),
}

impl Handler {
    pub(in crate::http) fn open(handle: impl Fn(Call) -> Handled + Send + Sync + 'static) -> Self {
        Self::Open(Box::new(handle))
    }

    pub(in crate::http) fn known(handle: impl Fn(Call, Identity) -> Handled + Send + Sync + 'static) -> Self {
        Self::Known(Box::new(handle))
    }
}

impl Route {
    pub(in crate::http) fn new(
        verb: Verb,
        pattern: &'static str,
        needs: Need,
        counts_as: Rate,
        handler: Handler,
    ) -> Self {
        Self { verb, pattern, needs, counts_as, handler, only_if_public: false }
    }

    /// Leaves the route out unless `ROWCAST_PUBLIC_STREAM=on`.
    pub(in crate::http) fn only_if_public(self) -> Self {
        Self { only_if_public: true, ..self }
    }

    /// The methods of HTTP that the route answers.
    pub(in crate::http) fn methods(&self) -> &'static [Method] {
        match self.verb {
            Verb::Get => &[Method::GET, Method::HEAD],
            Verb::GetOnly => &[Method::GET],
            Verb::Post => &[Method::POST],
            Verb::Put => &[Method::PUT],
            Verb::Patch => &[Method::PATCH],
        }
    }

    /// Refuses an identity whose role may not do what the route needs.
    pub(in crate::http) fn permit(&self, identity: &Identity) -> Result<(), Problem> {
        match self.needs {
            Need::Probe | Need::Public | Need::Token => Ok(()),
            Need::Right(action) | Need::RightAfterUpgrade(action) => authenticate::permit(identity, action),
            Need::RightToAll(action) => permit_all(identity, action),
        }
    }
}

fn permit_all(identity: &Identity, action: Action) -> Result<(), Problem> {
    authenticate::permit(identity, action)?;
    if identity.role().extent(action) < Extent::All {
        return Err(Problem::forbidden("The role of the token does not allow this."));
    }
    Ok(())
}
