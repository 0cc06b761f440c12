//! The texts of messages: they can be stored, shown and read by a person, and are about as long as they look.

/// The most characters (Unicode scalar values).
pub(super) const MAX_CHARS: usize = 10_000;
/// The most bytes of UTF-8, as the table has it. Only texts of mostly four-byte characters meet this first.
const MAX_BYTES: usize = 32 * 1024;

/// A text that a message may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(String);

/// The reason for which a text is refused. It repeats nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadText {
    /// There is nothing to see.
    #[error("text must hold something that can be seen")]
    Blank,
    /// Longer than a message may be.
    #[error("text must be at most {MAX_CHARS} characters and 32 KiB")]
    TooLong,
    /// A control character.
    #[error("text must not hold control characters other than tab and line end")]
    Control,
    /// A character that turns the direction of everything behind it.
    #[error("text must not hold characters that override the direction of text")]
    Override,
    /// A code point that Unicode has set aside as no character.
    #[error("text must not hold code points that are no characters")]
    NoCharacter,
}

impl Text {
    /// Checks the text of a client. CR LF becomes LF; everything else is kept as it is.
    pub(super) fn parse(text: &str) -> Result<Self, BadText> {
        // A long body is refused by its length, before any work that grows with it.
        if text.len() > 2 * MAX_BYTES {
            return Err(BadText::TooLong);
        }
        let text = text.replace("\r\n", "\n");
        check(&text)?;
        if text.len() > MAX_BYTES || text.chars().count() > MAX_CHARS {
            return Err(BadText::TooLong);
        }
        Ok(Self(text))
    }

    /// The words.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks that each character is allowed, and that at least one can be seen.
pub(super) fn check(text: &str) -> Result<(), BadText> {
    for c in text.chars() {
        match c {
            '\t' | '\n' => {}
            _ if c.is_control() => return Err(BadText::Control),
            // Embeddings and overrides; isolates and marks, which people need, may pass.
            '\u{202a}'..='\u{202e}' => return Err(BadText::Override),
            _ if is_no_character(c) => return Err(BadText::NoCharacter),
            _ => {}
        }
    }
    if text.chars().all(is_unseen) { Err(BadText::Blank) } else { Ok(()) }
}

/// True for the noncharacters of Unicode: U+FDD0 to U+FDEF, and the last two of every plane.
fn is_no_character(c: char) -> bool {
    let c = u32::from(c);
    (0xfdd0..=0xfdef).contains(&c) || c & 0xfffe == 0xfffe
}

/// True for blanks and for characters without a width of their own. A text of these alone would look empty.
fn is_unseen(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_kept_as_it_is() {
        for good in [
            "Hello",
            " two\n\tlines ",
            "שלום עולם",
            "مرحبا \u{2067}abc\u{2069}",
            "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝕏",
            "می‌خواهم",
            "e\u{301}",
            "\u{feff}a",
            "\u{e000}",
        ] {
            assert_eq!(Text::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(Text::parse("a\r\nb").unwrap().as_str(), "a\nb");
    }

    #[test]
    fn what_cannot_be_shown_or_deceives_is_refused() {
        for (bad, why) in [
            ("", BadText::Blank),
            (" \n\t\u{a0}\u{3000}", BadText::Blank),
            ("\u{200b}\u{200d}\u{feff}\u{2060}", BadText::Blank),
            ("a\0b", BadText::Control),
            ("a\rb", BadText::Control),
            ("\u{1b}[2J", BadText::Control),
            ("a\u{7f}", BadText::Control),
            ("a\u{9b}", BadText::Control),
            ("a\u{202e}b", BadText::Override),
            ("a\u{fffe}", BadText::NoCharacter),
            ("a\u{fdd0}", BadText::NoCharacter),
            ("a\u{10ffff}", BadText::NoCharacter),
        ] {
            assert_eq!(Text::parse(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn the_limits_are_characters_and_bytes() {
        assert!(Text::parse(&"x".repeat(MAX_CHARS)).is_ok());
        assert_eq!(Text::parse(&"x".repeat(MAX_CHARS + 1)), Err(BadText::TooLong));
        assert!(Text::parse(&"é".repeat(MAX_CHARS)).is_ok());
        assert!(Text::parse(&"𝕏".repeat(MAX_BYTES / 4)).is_ok());
        assert_eq!(Text::parse(&"𝕏".repeat(MAX_BYTES / 4 + 1)), Err(BadText::TooLong));
        assert_eq!(Text::parse(&"x".repeat(1 << 20)), Err(BadText::TooLong));
        assert!(Text::parse(&"\r\n".repeat(9_999).replace("\r\n\r\n", "x\r\n")).is_ok());
    }
}
