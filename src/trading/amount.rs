//! Quantities, prices and money as clients write them: decimal digits in a string, so that nothing rounds them on the way.

use std::fmt;

/// The most characters of an amount: more than any value that the database takes.
const MAX_LENGTH: usize = 64;

/// A decimal number as it was written. Its limits are the database's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Amount(String);

/// The text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a decimal number in a string, as \"0.25\"")]
pub(super) struct BadAmount;

impl Amount {
    /// Reads digits with at most one point between them, and a minus before them perhaps. No exponents, no blanks.
    pub(super) fn parse(text: &str) -> Result<Self, BadAmount> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let plain = match unsigned.split_once('.') {
            Some((whole, fraction)) => digits(whole) && digits(fraction),
            None => digits(unsigned),
        };
        if plain && text.len() <= MAX_LENGTH { Ok(Self(text.to_owned())) } else { Err(BadAmount) }
    }

    /// The digits.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_one_point_between_them_are_an_amount() {
        for good in ["0", "1", "-1", "0.25", "00.10", "99999999999999999999.999999999999999999"] {
            assert!(Amount::parse(good).is_ok(), "{good}");
        }
        let long = "1".repeat(65);
        for bad in [
            "", "-", ".", "1.", ".5", "+1", "1e3", "NaN", "Infinity", " 1", "1 ", "1_0", "0x1", "1.2.3", "--1", "١",
            &long,
        ] {
            assert_eq!(Amount::parse(bad), Err(BadAmount), "{bad}");
        }
    }
}
