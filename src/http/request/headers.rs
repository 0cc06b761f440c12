//! Headers whose values are comma-separated lists.

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// The items of a header whose value is a comma-separated list. The header may have several lines.
pub(in crate::http) fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}
