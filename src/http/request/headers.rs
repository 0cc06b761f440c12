//! Headers that are lists.

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// The items of a header that is a comma list, however many lines it has.
pub(in crate::http) fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}
