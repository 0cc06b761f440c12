//! Filters of readers. A filter is parsed once, then applied by the database, as SQL, or to an event in memory. A test holds both
//! to the same results.

use postgres_types::Type;
use uuid::Uuid;

use super::type_pattern::{MAX_TYPE_BYTES, TypePattern};
use super::values::Values;
use super::{Level, StoredEvent};

/// The most types of one filter.
pub const MAX_TYPES: usize = 64;

/// The names that [`Filter::parse`] takes, each with the length of the longest value, in bytes, that the table could hold.
const NAMES: [(&str, usize); 6] = [
    ("type", MAX_TYPES * (MAX_TYPE_BYTES + 3)),
    ("level", 8),
    ("symbol", 64),
    ("trade_id", 45),
    ("subject", 1024),
    ("owner", 256),
];

/// Conditions that an event must all meet. The default has no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<TypePattern>,
    min_level: Option<Level>,
    symbol: Option<String>,
    trade_id: Option<Uuid>,
    subject: Option<String>,
    owner: Option<String>,
    owners: Owners,
}

/// The owners whose events a reader may see. The server sets them, not the reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Owners {
    /// The events of all owners, and of nobody.
    #[default]
    Any,
    /// Nobody's events that are marked public. The public view decides further which types and fields it shows.
    Nobody,
    /// Nobody's events, and those of this owner.
    NobodyOr(String),
    /// The events of this owner alone.
    Only(String),
}

/// The narrowest condition of a filter, by which the announcer finds the readers that an event may be for without asking every filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FilterKey {
    /// This trade.
    Trade(Uuid),
    /// This subject.
    Subject(String),
    /// This owner.
    Owner(String),
    /// This symbol.
    Symbol(String),
    /// This type, or types under this prefix (with the dot).
    Type(String),
    /// No condition: every event.
    Any,
}

/// The error in a filter: the name, and what its value must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {reason}")]
pub struct FilterError {
    /// `type`, `level`, … or what was given instead.
    pub name: String,
    /// The rest of the sentence that begins with the name.
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
                return Err(FilterError { name: tellable(name).to_owned(), reason: "is not known" });
            };
            let refuse = |reason| FilterError { name: known.to_owned(), reason };
            if seen.contains(&known) {
                return Err(refuse("must be given at most once"));
            }
            seen.push(known);
            if value.is_empty() || value.len() > longest || value.contains('\0') {
                return Err(refuse(requirement(known)));
            }
            filter.set(known, value).map_err(refuse)?;
        }
        Ok(filter)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "type" => self.types = parse_types(value)?,
            "level" => self.min_level = Some(Level::parse(value).ok_or(requirement("level"))?),
            "symbol" => self.symbol = Some(value.to_owned()),
            "trade_id" => self.trade_id = Some(Uuid::try_parse(value).map_err(|_| requirement("trade_id"))?),
            "subject" => self.subject = Some(value.to_owned()),
            _ => self.owner = Some(value.to_owned()),
        }
        Ok(())
    }

    /// This filter, restricted to the events of this owner.
    #[must_use]
    pub fn owned_by(mut self, owner: &str) -> Self {
        self.owner = Some(owner.to_owned());
        self
    }

    /// This filter for a reader who may see the events of these owners alone.
    #[must_use]
    pub fn seen_by(mut self, owners: Owners) -> Self {
        self.owners = owners;
        self
    }

    /// True if every event meets the filter.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True if the filter has no condition but its owners, so that it passes all that its reader may see.
    pub fn is_unrestricted(&self) -> bool {
        Self { owners: Owners::Any, ..self.clone() }.is_empty()
    }

    /// The owners whose events its reader may see.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// The narrowest condition of the filter, or one key for each type of a list of types. An event that meets the filter has one of
    /// these keys.
    pub fn keys(&self) -> Vec<FilterKey> {
        let owner = self.owner.as_ref().or(match &self.owners {
            Owners::Only(owner) => Some(owner),
            _ => None,
        });
        let key = (self.trade_id.map(FilterKey::Trade))
            .or_else(|| self.subject.clone().map(FilterKey::Subject))
            .or_else(|| owner.cloned().map(FilterKey::Owner))
            .or_else(|| self.symbol.clone().map(FilterKey::Symbol));
        match key {
            Some(key) => vec![key],
            None if self.types.is_empty() => vec![FilterKey::Any],
            None => self.types.iter().map(|types| FilterKey::Type(types.words().to_owned())).collect(),
        }
    }

    /// True if an index serves the filter well: its narrowest condition is a trade, a subject, an owner or a symbol, or it asks for
    /// the few public events, which have an index of their own.
    pub fn is_narrow(&self) -> bool {
        self.owners == Owners::Nobody
            || !self.keys().iter().any(|key| matches!(key, FilterKey::Type(_) | FilterKey::Any))
    }

    /// True if this event meets the filter.
    pub fn matches(&self, event: &StoredEvent) -> bool {
        let is = |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
        (self.types.is_empty() || self.types.iter().any(|t| t.matches(&event.kind)))
            && self.min_level.is_none_or(|least| event.level >= least)
            && is(&self.symbol, &event.symbol)
            && (self.trade_id.is_none() || self.trade_id == event.trade_id)
            && is(&self.subject, &event.subject)
            && is(&self.owner, &event.owner)
            && self.owners.include(event.owner.as_deref())
            && (event.public_safe || self.owners != Owners::Nobody)
    }

    /// The conditions as SQL, with the values in `values`. A condition that the filter does not have is left out, so that the
    /// planner sees which index fits.
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
        sql.push_str(&match &self.owners {
            Owners::Any => String::new(),
            // With the list of types, since `last=10` must count events that are shown.
            Owners::Nobody => {
                " and owner is null and public_safe and type in (select type from rowcast.event_types)".to_owned()
            }
            Owners::NobodyOr(owner) => {
                format!(" and (owner is null or owner = {})", values.push(owner.clone(), Type::TEXT))
            }
            Owners::Only(owner) => format!(" and owner = {}", values.push(owner.clone(), Type::TEXT)),
        });
        sql
    }
}

impl Owners {
    /// True if an event of this owner may be seen.
    pub fn include(&self, owner: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Nobody => owner.is_none(),
            Self::NobodyOr(own) => owner.is_none_or(|owner| owner == own),
            Self::Only(own) => owner == Some(own),
        }
    }
}

impl FilterKey {
    /// Every key under which a reader may wait for this event.
    pub fn of(event: &StoredEvent) -> Vec<Self> {
        let mut keys = vec![Self::Any, Self::Type(event.kind.clone())];
        keys.extend(event.trade_id.map(Self::Trade));
        keys.extend(event.subject.clone().map(Self::Subject));
        keys.extend(event.owner.clone().map(Self::Owner));
        keys.extend(event.symbol.clone().map(Self::Symbol));
        let dots = event.kind.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
        keys.extend(dots.filter_map(|(at, _)| Some(Self::Type(event.kind.get(..=at)?.to_owned()))));
        keys
    }
}

/// The name that a client gave, or `a name` if it is not a plain word. Such a name may be a secret in the wrong place, so messages
/// do not repeat it.
pub fn tellable(name: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if name.len() <= 32 && !name.is_empty() && name.bytes().all(plain) { name } else { "a name" }
}

fn parse_types(list: &str) -> Result<Vec<TypePattern>, &'static str> {
    let patterns: Option<Vec<_>> = list.split(',').map(|item| TypePattern::parse(item.trim())).collect();
    let patterns = patterns.ok_or(requirement("type"))?;
    if patterns.len() > MAX_TYPES {
        return Err("must be at most 64 types");
    }
    Ok(patterns)
}

fn requirement(name: &str) -> &'static str {
    match name {
        "type" => "must be a comma list of at most 64 types: dotted lower-case words of at most 128 bytes, or prefix.*",
        "level" => "must be debug, info, warn, error or critical",
        "symbol" => "must be 1 to 64 bytes without NUL",
        "trade_id" => "must be a UUID",
        "subject" => "must be 1 to 1024 bytes without NUL",
        _ => "must be 1 to 256 bytes without NUL",
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
    fn only_plain_names_are_repeated() {
        let long = "x".repeat(33);
        let odd = ["", "Since", "hunter2", "eyJh.eyJz.c2ln", "token=x", "a-b", "\u{e9}", long.as_str()];
        assert!(odd.iter().all(|name| tellable(name) == "a name"));
        assert_eq!(tellable("access_token"), "access_token");
        assert_eq!(Filter::parse([("hunter2", "1")]).unwrap_err().to_string(), "a name is not known");
    }

    #[test]
    fn whoever_an_event_is_for_is_found_by_one_of_its_keys() {
        let filter = |pairs: &[(&str, &str)]| Filter::parse(pairs.iter().copied()).unwrap();
        let trade = Uuid::from_u128(7).to_string();
        let event = StoredEvent {
            seq: 1,
            id: Uuid::nil(),
            at: time::OffsetDateTime::UNIX_EPOCH,
            kind: "trade.order.filled".to_owned(),
            level: Level::Warn,
            public_safe: false,
            symbol: Some("S".to_owned()),
            trade_id: Some(Uuid::from_u128(7)),
            subject: Some("s".to_owned()),
            owner: Some("o".to_owned()),
            payload: "{}".to_owned(),
        };
        let narrow = [("trade_id", trade.as_str()), ("subject", "s"), ("owner", "o"), ("symbol", "S")];
        let broad = [("type", "trade.*"), ("type", "trade.order.*"), ("type", "trade.order.filled"), ("level", "warn")];
        for (pair, is_narrow) in narrow.map(|pair| (pair, true)).into_iter().chain(broad.map(|pair| (pair, false))) {
            let filter = filter(&[pair]);
            assert!(filter.matches(&event) && filter.is_narrow() == is_narrow, "{pair:?}");
            assert!(filter.keys().iter().any(|key| FilterKey::of(&event).contains(key)), "{pair:?}");
        }
        let several = filter(&[("type", "note.added,trade.order.*")]);
        assert_eq!(several.keys().iter().filter(|key| FilterKey::of(&event).contains(key)).count(), 1);
        // The narrowest goes first, and a reader who sees only own rows waits for those.
        assert_eq!(
            filter(&[("symbol", "S"), ("subject", "s"), ("type", "a")]).keys(),
            [FilterKey::Subject("s".to_owned())]
        );
        let own = filter(&[("symbol", "S")]).seen_by(Owners::Only("o".to_owned()));
        assert_eq!((own.keys(), own.is_unrestricted()), (vec![FilterKey::Owner("o".to_owned())], false));
        let all = filter(&[]).seen_by(Owners::NobodyOr("o".to_owned()));
        assert_eq!((all.keys(), all.is_unrestricted(), all.is_empty()), (vec![FilterKey::Any], true, false));
    }

    #[test]
    fn a_reader_sees_what_belongs_to_nobody_or_to_them() {
        let owners = [Owners::Any, Owners::Nobody, Owners::NobodyOr("o".into()), Owners::Only("o".into())];
        let seen = |owner| owners.clone().map(|owners| owners.include(owner));
        assert_eq!(seen(None), [true, true, true, false]);
        assert_eq!(seen(Some("o")), [true, false, true, true]);
        assert_eq!(seen(Some("p")), [true, false, false, false]);
    }

    #[test]
    fn a_prefix_is_whole_words() {
        let pattern = TypePattern::parse("trade.*").unwrap();
        assert!(pattern.matches("trade.opened") && pattern.matches("trade.a.b"));
        assert!(!pattern.matches("trade") && !pattern.matches("trades.opened") && !pattern.matches("trade_x.y"));
    }
}
