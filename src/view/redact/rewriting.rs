//! A text in which parts are replaced, and the mark that replaces them.

use std::borrow::Cow;

/// The text that stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// A text in which parts are replaced, in order. Nothing is copied before the first replacement.
pub(super) struct Rewriting<'a> {
    pub(super) text: &'a str,
    pub(super) out: String,
    pub(super) copied: usize,
}

impl<'a> Rewriting<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, out: String::new(), copied: 0 }
    }

    /// Replaces a part, which must lie behind all earlier ones, by these texts one after the other.
    pub(super) fn replace(&mut self, part: std::ops::Range<usize>, with: [&str; 3]) {
        self.out.push_str(&self.text[self.copied..part.start]);
        self.out.extend(with);
        self.copied = part.end;
    }

    pub(super) fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 && self.out.is_empty() {
            return Cow::Borrowed(self.text);
        }
        self.out.push_str(&self.text[self.copied..]);
        Cow::Owned(self.out)
    }
}

/// Counts the bytes that were looked at. Tests check with it that the cost is linear in the length of the text.
#[cfg(not(test))]
pub(super) fn steps(_: usize) {}

#[cfg(test)]
pub(super) fn steps(count: usize) {
    super::tests::STEPS.with(|steps| steps.set(steps.get() + count));
}
