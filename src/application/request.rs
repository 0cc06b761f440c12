//! A request as an endpoint gets it: read, limited, and without a socket.

use bytes::Bytes;
use uuid::Uuid;

use super::ApplicationError;

/// A request whose token, rights and quota are checked.
#[derive(Debug)]
pub struct Request {
    /// The part of the address after `?`.
    pub query: Option<String>,
    /// The part of the path that `{id}` or `{key}` stands for.
    pub parameter: Parameter,
    /// The `Idempotency-Key`, where the endpoint takes one.
    pub idempotency_key: Option<String>,
    /// The body; empty where the endpoint takes none.
    pub body: Bytes,
}

/// The part of a path that `{id}` or `{key}` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// The pattern has none.
    None,
    /// A UUID in its usual form.
    Id(Uuid),
    /// Any text without a slash.
    Key(String),
}

impl Request {
    /// The part of the address after `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The id in the path. An endpoint without `{id}` in its pattern has nothing at such an address.
    pub fn id(&self) -> Result<Uuid, ApplicationError> {
        match self.parameter {
            Parameter::Id(id) => Ok(id),
            Parameter::None | Parameter::Key(_) => Err(ApplicationError::not_found()),
        }
    }

    /// The key in the path. An endpoint without `{key}` in its pattern has nothing at such an address.
    pub fn key(&self) -> Result<&str, ApplicationError> {
        match &self.parameter {
            Parameter::Key(key) => Ok(key),
            Parameter::None | Parameter::Id(_) => Err(ApplicationError::not_found()),
        }
    }
}
