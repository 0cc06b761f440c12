//! The weight of a payload: its length as Postgres sends it. Postgres stores a number such as `1e131000` in a dozen bytes and prints
//! all of its digits, so the text of a payload may be ten thousand times as long as the text that was written.

/// The most bytes of a payload, as the text that Postgres prints. `rowcast.check_event` holds every writer to it.
pub const MAX_PAYLOAD: usize = 262_144;
/// The most digits of a number before the point. Postgres refuses more.
const MAX_INTEGER: u64 = 131_072;
/// The most digits of a number behind the point. Postgres refuses more.
const MAX_FRACTION: u64 = 16_383;

/// The least that a JSON text weighs once Postgres prints it: without the blanks between its tokens, with its escapes read, and with
/// every digit of its numbers. The text must be well-formed.
pub fn weight(json: &str) -> usize {
    let bytes = json.as_bytes();
    let (mut at, mut total) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (read, weighs) = match byte {
            b' ' | b'\n' | b'\r' | b'\t' => (1, 0),
            b'"' => string(rest),
            b'-' | b'0'..=b'9' => number(rest),
            _ => (1, 1),
        };
        at += read;
        total = total.saturating_add(weighs);
    }
    total
}

/// The length of a string with its quotes, and what it weighs.
fn string(text: &[u8]) -> (usize, usize) {
    let (mut at, mut weighs) = (1, 2);
    while let Some(byte) = text.get(at) {
        let (read, more) = match byte {
            b'"' => return (at + 1, weighs),
            b'\\' => escape(text.get(at..).unwrap_or_default()),
            _ => (1, 1),
        };
        at += read;
        weighs += more;
    }
    (at, weighs)
}

/// The length of an escape, and the least that it weighs.
fn escape(text: &[u8]) -> (usize, usize) {
    if text.get(1) != Some(&b'u') {
        return (2, if text.get(1) == Some(&b'/') { 1 } else { 2 });
    }
    let digits = text.get(2..6).and_then(|digits| std::str::from_utf8(digits).ok());
    let weighs = match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        // Some of them are printed as \n and its like.
        Some(0..=0x1F) => 2,
        Some(0x20..=0x7F) => 1,
        Some(0x80..=0x7FF) => 2,
        // Half of a surrogate pair, which is four bytes together.
        Some(0xD800..=0xDFFF) => 2,
        _ => 3,
    };
    (6, weighs)
}

/// The length of a number, and how many characters Postgres prints for it.
fn number(text: &[u8]) -> (usize, usize) {
    let length =
        text.iter().position(|b| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).unwrap_or(text.len());
    let written = text.get(..length).unwrap_or_default();
    let printed = printed_length(written).and_then(|printed| usize::try_from(printed).ok());
    (length, printed.unwrap_or(length))
}

/// The number of characters that Postgres prints for a number; `None` if Postgres refuses it or prints it as it is written.
fn printed_length(written: &[u8]) -> Option<u64> {
    let at = written.iter().position(|byte| matches!(byte, b'e' | b'E'))?;
    let exponent: i64 = std::str::from_utf8(written.get(at + 1..)?).ok()?.parse().ok()?;
    let mantissa = written.get(..at)?;
    let (sign, mantissa) = mantissa.strip_prefix(b"-").map_or((0, mantissa), |rest| (1, rest));
    let mut parts = mantissa.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
    let zeros = whole.iter().chain(fraction).take_while(|byte| **byte == b'0').count();
    let is_zero = zeros == whole.len() + fraction.len();
    let count = |digits: usize| i64::try_from(digits).ok();
    let integer = if is_zero { 1 } else { (count(whole.len())? - count(zeros)?).checked_add(exponent)?.max(1) };
    let behind = count(fraction.len())?.checked_sub(exponent)?.max(0);
    let (integer, behind) = (u64::try_from(integer).ok()?, u64::try_from(behind).ok()?);
    if integer > MAX_INTEGER || behind > MAX_FRACTION {
        return None;
    }
    Some(sign + integer + if behind > 0 { behind + 1 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_weighs_all_of_its_digits() {
        // As Postgres 15 prints them.
        for (written, printed) in [
            ("1e131071", 131_072),
            ("-1E+131071", 131_073),
            ("1e-16383", 16_385),
            ("0e200000", 1),
            ("0e-16000", 16_002),
            ("0.00012e10", 7),
            ("1.50e1", 4),
            ("-0.5e3", 4),
            ("12e-3", 5),
            ("1.25", 4),
            ("-0", 2),
            ("123456789012345678901234567890", 30),
            // Refused by Postgres, so they weigh what is written.
            ("1e131072", 8),
            ("1e-16384", 8),
            ("1e99999999999999999999", 22),
        ] {
            assert_eq!(weight(written), printed, "{written}");
            assert_eq!(weight(&format!("[ {written} , {written}\n]")), 2 * printed + 3, "{written}");
        }
    }

    #[test]
    fn texts_weigh_what_they_stand_for_and_blanks_nothing() {
        for (written, weighs) in [
            (r#"{ "a" : "b" }"#, 9),
            (r#""1e131071 \" [ 2 ]""#, 19),
            (r#""\u00e9\u0041\ud83d\ude00\/\n\u0001""#, 2 + 2 + 1 + 4 + 1 + 2 + 2),
            ("\"é\"", 4),
            ("[true,null]", 11),
        ] {
            assert_eq!(weight(written), weighs, "{written}");
        }
    }
}
