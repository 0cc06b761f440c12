//! The types that a filter names.

use postgres_types::Type;

use super::values::Values;

/// The longest type in bytes that the table could hold.
pub(super) const MAX_TYPE_BYTES: usize = 128;

/// A type, or all types that begin with some words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TypePattern {
    Exact(String),
    /// All types with this beginning, which includes the dot: `trade.`.
    Prefix(String),
}

impl TypePattern {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (words, prefix) = text.strip_suffix(".*").map_or((text, false), |words| (words, true));
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if words.len() > MAX_TYPE_BYTES || !words.split('.').all(word) {
            return None;
        }
        Some(if prefix { Self::Prefix(format!("{words}.")) } else { Self::Exact(words.to_owned()) })
    }

    pub(super) fn matches(&self, kind: &str) -> bool {
        match self {
            Self::Exact(wanted) => kind == wanted,
            Self::Prefix(words) => kind.starts_with(words),
        }
    }

    /// The type, or the prefix with its dot.
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Exact(words) | Self::Prefix(words) => words,
        }
    }

    /// The condition in SQL.
    pub(super) fn condition(&self, values: &mut Values) -> String {
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
