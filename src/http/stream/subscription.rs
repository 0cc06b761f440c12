//! A subscription: the events that a client asks for, and from where.

use serde::Deserialize;

use crate::http::request::query::Query;
use crate::http::request::viewer::Viewer;
use crate::journal::Filter;
use crate::session::Start;

/// The filter of a stream and its start, as a client writes them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Subscription {
    cursor: Option<Text>,
    last: Option<Text>,
    r#type: Option<String>,
    level: Option<String>,
    symbol: Option<String>,
    trade_id: Option<String>,
    subject: Option<String>,
}

/// A text. A number is taken as its text, since programs write a bare seq as a number.
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

impl Subscription {
    /// Reads the parameters of an address.
    pub(in crate::http) fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut query = Query::parse(query).map_err(|error| error.to_string())?;
        let subscription = Self {
            cursor: query.take("cursor").map(Text::Text),
            last: query.take("last").map(Text::Text),
            r#type: query.take("type"),
            level: query.take("level"),
            symbol: query.take("symbol"),
            trade_id: query.take("trade_id"),
            subject: query.take("subject"),
        };
        query.none().map_err(|error| error.to_string())?;
        Ok(subscription)
    }

    /// The start, and the filter restricted to the events that the viewer may see.
    pub(in crate::http) fn resolve(self, viewer: &Viewer) -> Result<(Start, Filter), String> {
        let (cursor, last) = (self.cursor.map(Text::into_string), self.last.map(Text::into_string));
        let start = Start::parse(cursor.as_deref(), last.as_deref()).map_err(|error| error.to_string())?;
        let wanted = [
            ("type", &self.r#type),
            ("level", &self.level),
            ("symbol", &self.symbol),
            ("trade_id", &self.trade_id),
            ("subject", &self.subject),
        ];
        let pairs = wanted.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let filter = viewer.filter(pairs).map_err(|error| error.to_string())?;
        Ok((start, filter))
    }
}
