//! The tail of a node: it follows the journal, decides the head, and keeps pages.

mod fence;
mod pages;
mod tail_node;

pub(crate) use tail_node::Node;
