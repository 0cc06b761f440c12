//! The tail: everything that commits, once, in order, as soon as it is decided.

mod duty;
mod fence;
#[cfg(test)]
mod model;
