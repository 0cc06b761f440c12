//! Which address is which route, where an address may hold an id or a key.

use hyper::Method;

use crate::auth::Action;

/// The routes of the trading application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Route {
    Trades,
    Trade,
    Close,
    Orders,
    Order,
    Snapshots,
    Config,
    Setting,
    PublicTrades,
    PublicSnapshots,
}

impl Route {
    /// The route at this path.
    pub(in crate::http) fn at(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match parts.as_slice() {
            ["v1", "trades"] => Self::Trades,
            ["v1", "trades", id] if !id.is_empty() => Self::Trade,
            ["v1", "trades", id, "close"] if !id.is_empty() => Self::Close,
            ["v1", "orders"] => Self::Orders,
            ["v1", "orders", id] if !id.is_empty() => Self::Order,
            ["v1", "snapshots"] => Self::Snapshots,
            ["v1", "config"] => Self::Config,
            ["v1", "config", key] if !key.is_empty() => Self::Setting,
            ["public", "v1", "trades"] => Self::PublicTrades,
            ["public", "v1", "snapshots"] => Self::PublicSnapshots,
            _ => return None,
        })
    }

    /// The methods, as the `Allow` header lists them.
    pub(in crate::http) fn allow(self) -> &'static str {
        match self {
            Self::Trades | Self::Orders | Self::Snapshots => "GET, HEAD, POST",
            Self::Trade | Self::Config | Self::PublicTrades | Self::PublicSnapshots => "GET, HEAD",
            Self::Close => "POST",
            Self::Order => "PATCH",
            Self::Setting => "PUT",
        }
    }

    /// What one must be allowed to do there; `None` where everyone may.
    pub(in crate::http) fn needs(self, method: &Method) -> Option<Action> {
        match self {
            _ if self.is_public() => None,
            _ if !super::is_writing(method) => Some(Action::Read),
            Self::Setting => Some(Action::Administer),
            _ => Some(Action::Write),
        }
    }

    /// Whether it is for everyone.
    pub(in crate::http) fn is_public(self) -> bool {
        matches!(self, Self::PublicTrades | Self::PublicSnapshots)
    }

    /// The code for what is sent there and cannot be stored.
    pub(super) fn invalid(self) -> &'static str {
        match self {
            Self::Trades | Self::Trade | Self::Close | Self::PublicTrades => "invalid_trade",
            Self::Orders | Self::Order => "invalid_order",
            Self::Snapshots | Self::PublicSnapshots => "invalid_snapshot",
            Self::Config | Self::Setting => "invalid_setting",
        }
    }
}

/// The id or key in a path.
pub(super) fn parameter(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/")?.split('/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_their_routes_and_nowhere_else() {
        for (path, route) in [
            ("/v1/trades", Some(Route::Trades)),
            ("/v1/trades/x", Some(Route::Trade)),
            ("/v1/trades/x/close", Some(Route::Close)),
            ("/v1/orders", Some(Route::Orders)),
            ("/v1/orders/x", Some(Route::Order)),
            ("/v1/snapshots", Some(Route::Snapshots)),
            ("/v1/config", Some(Route::Config)),
            ("/v1/config/risk.limit", Some(Route::Setting)),
            ("/public/v1/trades", Some(Route::PublicTrades)),
            ("/public/v1/snapshots", Some(Route::PublicSnapshots)),
            ("/v1/trades/", None),
            ("/v1/trades//close", None),
            ("/v1/trades/x/open", None),
            ("/v1/orders/x/close", None),
            ("/v1/snapshots/x", None),
            ("/public/v1/orders", None),
            ("/public/v1/trades/x", None),
            ("v1/trades", None),
        ] {
            assert_eq!(Route::at(path), route, "{path}");
        }
        assert_eq!(parameter("/v1/config/risk.limit"), Some("risk.limit"));
        assert_eq!(parameter("/v1/trades/x/close"), Some("x"));
    }
}
