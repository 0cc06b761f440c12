//! The tail: what is decided, in order, as soon as it is, and the pages in which everyone reads it.

pub mod pages;
