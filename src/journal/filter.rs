//! What a reader wants to see: checked once, then asked of the database as SQL or of an event in memory. A test holds
//! that both answer alike.

use postgres_types::{ToSql, Type};
use uuid::Uuid;

use super::{Level, StoredEvent};

/// The most types of one filter.
pub const MAX_TYPES: usize = 64;

/// The names of [`Filter::parse`], each with the longest value in bytes that the table could hold.
const NAMES: [(&str, usize); 6] = [
    ("type", MAX_TYPES * (MAX_TYPE_BYTES + 3)),
    ("level", 8),
    ("symbol", 64),
    ("trade_id", 45),
    ("subject", 1024),
    ("owner", 256),
];
const MAX_TYPE_BYTES: usize = 128;

/// Conditions that an event must meet, all of them. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<TypePattern>,
    min_level: Option<Level>,
    symbol: Option<String>,
    trade_id: Option<Uuid>,
    subject: Option<String>,
    owner: Option<String>,
}

/// A type, or all types that begin with some words.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TypePattern {
    Exact(String),
    /// With the dot: `trade.`
    Prefix(String),
}

/// Why a filter is refused: which of its names, and what that must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {reason}")]
pub struct FilterError {
    /// `type`, `level`, … or what was given instead.
    pub name: String,
    /// Completes the sentence.
    pub reason: &'static str,
}

impl Filter {
    /// Reads names and values, as a query string or a `subscribe` message has them: `type` (a comma list of types and
    /// `prefix.*`), `level` (the least), `symbol`, `trade_id`, `subject`, `owner`; each at most once.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            let Some((known, longest)) = NAMES.into_iter().find(|(known, _)| *known == name) else {
                return Err(FilterError { name: name.chars().take(64).collect(), reason: "is not known" });
            };
            let refuse = |reason| FilterError { name: known.to_owned(), reason };
            if seen.contains(&known) {
                return Err(refuse("must be given at most once"));
            }
            seen.push(known);
            if value.is_empty() || value.len() > longest || value.contains('\0') {
                return Err(refuse(length(known)));
            }
            filter.set(known, value).map_err(refuse)?;
        }
        Ok(filter)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "type" => self.types = types(value)?,
            "level" => self.min_level = Some(Level::parse(value).ok_or(length("level"))?),
            "symbol" => self.symbol = Some(value.to_owned()),
            "trade_id" => self.trade_id = Some(Uuid::try_parse(value).map_err(|_| length("trade_id"))?),
            "subject" => self.subject = Some(value.to_owned()),
            _ => self.owner = Some(value.to_owned()),
        }
        Ok(())
    }

    /// The same, for the events of this owner alone.
    #[must_use]
    pub fn owned_by(mut self, owner: &str) -> Self {
        self.owner = Some(owner.to_owned());
        self
    }

    /// Whether every event meets it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this event meets it.
    pub fn matches(&self, event: &StoredEvent) -> bool {
        let is = |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        (self.types.is_empty() || self.types.iter().any(|t| t.matches(&event.kind)))
            && self.min_level.is_none_or(|least| event.level >= least)
            && is(&self.symbol, &event.symbol)
            && (self.trade_id.is_none() || self.trade_id == event.trade_id)
            && is(&self.subject, &event.subject)
            && is(&self.owner, &event.owner)
    }

    /// The conditions as SQL, with the values in `values`. Only what is asked for stands there, so that the planner
    /// sees which index fits.
    pub(super) fn conditions(&self, values: &mut Values) -> String {
        let mut sql = String::new();
        if !self.types.is_empty() {
            let any: Vec<_> = self.types.iter().map(|t| t.condition(values)).collect();
            sql.push_str(&format!(" and ({})", any.join(" or ")));
        }
        if let Some(least) = self.min_level.filter(|level| *level > Level::Debug) {
            let levels: Vec<&str> = Level::ALL.into_iter().filter(|l| *l >= least).map(Level::as_str).collect();
            sql.push_str(&format!(" and level = any ({})", values.push(levels, Type::TEXT_ARRAY)));
        }
        for (column, wanted) in [("symbol", &self.symbol), ("subject", &self.subject), ("owner", &self.owner)] {
            if let Some(wanted) = wanted {
                sql.push_str(&format!(" and {column} = {}", values.push(wanted.clone(), Type::TEXT)));
            }
        }
        if let Some(trade_id) = self.trade_id {
            sql.push_str(&format!(" and trade_id = {}", values.push(trade_id, Type::UUID)));
        }
        sql
    }
}

impl TypePattern {
    fn parse(text: &str) -> Option<Self> {
        let (words, prefix) = text.strip_suffix(".*").map_or((text, false), |words| (words, true));
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if words.len() > MAX_TYPE_BYTES || !words.split('.').all(word) {
            return None;
        }
        Some(if prefix { Self::Prefix(format!("{words}.")) } else { Self::Exact(words.to_owned()) })
    }

    fn matches(&self, kind: &str) -> bool {
        match self {
            Self::Exact(wanted) => kind == wanted,
            Self::Prefix(words) => kind.starts_with(words),
        }
    }

    fn condition(&self, values: &mut Values) -> String {
        match self {
            Self::Exact(wanted) => format!("type = {}", values.push(wanted.clone(), Type::TEXT)),
            // "/" follows "." in the C collation, so this is exactly the prefix.
            Self::Prefix(words) => {
                let upto = format!("{}/", words.trim_end_matches('.'));
                let (from, upto) = (values.push(words.clone(), Type::TEXT), values.push(upto, Type::TEXT));
                format!("(type >= {from} and type < {upto})")
            }
        }
    }
}

fn types(list: &str) -> Result<Vec<TypePattern>, &'static str> {
    let patterns: Option<Vec<_>> = list.split(',').map(|item| TypePattern::parse(item.trim())).collect();
    let patterns = patterns.ok_or(length("type"))?;
    if patterns.len() > MAX_TYPES {
        return Err("must be at most 64 types");
    }
    Ok(patterns)
}

fn length(name: &str) -> &'static str {
    match name {
        "type" => "must be a comma list of at most 64 types: dotted lower-case words of at most 128 bytes, or prefix.*",
        "level" => "must be debug, info, warn, error or critical",
        "symbol" => "must be 1 to 64 bytes without NUL",
        "trade_id" => "must be a UUID",
        "subject" => "must be 1 to 1024 bytes without NUL",
        _ => "must be 1 to 256 bytes without NUL",
    }
}

/// The values of a statement, by their numbers.
#[derive(Default)]
pub(super) struct Values(Vec<(Box<dyn ToSql + Sync + Send>, Type)>);

impl Values {
    /// Adds a value and says how the statement calls it.
    pub(super) fn push(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> String {
        self.0.push((Box::new(value), kind));
        format!("${}", self.0.len())
    }

    /// All of them, as `query_typed` takes them.
    pub(super) fn all(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.0.iter().map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone())).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_each_name_once_and_refuses_what_no_event_can_have() {
        let all = [("type", "a.b, c.*"), ("level", "warn"), ("symbol", "S"), ("subject", "s"), ("owner", "o")];
        assert!(!Filter::parse(all).unwrap().is_empty());
        assert!(Filter::parse([]).unwrap().is_empty());
        let (long, many) = ("x".repeat(1025), vec!["a"; 65].join(","));
        let (words, upper) = ("a".repeat(129), "A".to_owned());
        for (name, value) in [
            ("type", ""),
            ("type", "a,"),
            ("type", "*"),
            ("type", ".*"),
            ("type", "a.*.b"),
            ("type", "a*"),
            ("type", many.as_str()),
            ("type", &words),
            ("type", &upper),
            ("type", "a\0"),
            ("level", "loud"),
            ("symbol", ""),
            ("symbol", &long[..65]),
            ("subject", &long),
            ("owner", &long[..257]),
            ("owner", "a\0"),
            ("trade_id", "x"),
            ("since", "1"),
        ] {
            assert_eq!(Filter::parse([(name, value)]).unwrap_err().name, name, "{value}");
        }
        assert!(Filter::parse([("type", vec!["a"; 64].join(",").as_str())]).is_ok());
        let twice = Filter::parse([("level", "info"), ("level", "info")]).unwrap_err();
        assert_eq!(twice.to_string(), "level must be given at most once");
    }

    #[test]
    fn a_prefix_is_whole_words() {
        let pattern = TypePattern::parse("trade.*").unwrap();
        assert!(pattern.matches("trade.opened") && pattern.matches("trade.a.b"));
        assert!(!pattern.matches("trade") && !pattern.matches("trades.opened") && !pattern.matches("trade_x.y"));
    }
}
