//! One event as one line, for a person or a program. Whatever an event holds, it cannot do anything to a terminal.

use std::borrow::Cow;

use crate::client::{Details, Event};
use crate::journal::Level;

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// The event as JSON.
    pub(super) json: bool,
    /// The level in colour.
    pub(super) colour: bool,
}

impl Look {
    /// Adds the line of an event.
    pub(super) fn write(self, event: &Event, into: &mut Vec<u8>) {
        let line = match event.details() {
            Ok(details) if !self.json => Cow::Owned(self.human(event, &details)),
            _ => json_line(event.json()),
        };
        into.extend_from_slice(line.as_bytes());
        into.push(b'\n');
    }

    fn human(self, event: &Event, details: &Details<'_>) -> String {
        let about: Vec<_> = [&details.symbol, &details.subject].into_iter().flatten().map(|text| safe(text)).collect();
        let about = if about.is_empty() { "-".to_owned() } else { about.join(" ") };
        let (begin, end) = if self.colour { colour(event.level) } else { ("", "") };
        format!(
            "{}  {begin}{:<8}{end}  {:<20}  {about}  {}",
            time(&details.at),
            event.level.as_str(),
            safe(&event.kind),
            compact(details.payload.get()),
        )
    }
}

/// JSON of one line as it came, but for characters on which a terminal would act.
pub(super) fn json_line(json: &str) -> Cow<'_, str> {
    if json.chars().any(is_active) { Cow::Owned(compact(json)) } else { Cow::Borrowed(json) }
}

/// To the millisecond, in the form in which it came.
pub(super) fn short_time(at: &str) -> Cow<'_, str> {
    match (at.get(..23), at.get(23..)) {
        (Some(short), Some(rest)) if rest.ends_with('Z') => Cow::Owned(format!("{}Z", safe(short))),
        _ => safe(at),
    }
}

/// To the millisecond, in UTC as it came.
fn time(at: &str) -> Cow<'_, str> {
    match (at.get(..10), at.get(10..11), at.get(11..23)) {
        (Some(day), Some("T"), Some(clock)) => Cow::Owned(format!("{} {}", safe(day), safe(clock))),
        _ => safe(at),
    }
}

fn colour(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Debug => ("\x1b[2m", "\x1b[0m"),
        Level::Info => ("\x1b[32m", "\x1b[0m"),
        Level::Warn => ("\x1b[33m", "\x1b[0m"),
        Level::Error => ("\x1b[31m", "\x1b[0m"),
        Level::Critical => ("\x1b[1;31m", "\x1b[0m"),
    }
}

/// Characters on which a terminal would act instead of showing them: control characters, and those that turn or break lines or hide.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text with such characters written out, in the way of JSON: within JSON it still means the same.
pub(in crate::cli) fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push(c, &mut shown));
    Cow::Owned(shown)
}

fn push(c: char, into: &mut String) {
    if is_active(c) { into.push_str(&format!("\\u{:04x}", u32::from(c))) } else { into.push(c) }
}

/// JSON on one line: without the blanks between its parts.
pub(super) fn compact(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            push(c, &mut shown);
        } else if !c.is_ascii_whitespace() {
            in_string = c == '"';
            push(c, &mut shown);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        assert_eq!(safe("plain ü 東"), "plain ü 東");
        assert_eq!(safe("\x1b]0;x\x07\r\n\u{9b}2J\u{7f}\u{202e}"), r"\u001b]0;x\u0007\u000d\u000a\u009b2J\u007f\u202e");
    }

    #[test]
    fn json_is_compact_and_means_the_same() {
        assert_eq!(compact("{ \"a b\" : [ 1 ,\n\t2 ], \"q\\\" x\\\\\" : \" \" }"), r#"{"a b":[1,2],"q\" x\\":" "}"#);
        let shown = compact("{\"x\": \"\u{9b}31m\"}");
        assert_eq!(shown, r#"{"x":"\u009b31m"}"#);
        let same = serde_json::from_str::<serde_json::Value>(&shown).ok();
        assert_eq!(same, serde_json::from_str("{\"x\": \"\u{9b}31m\"}").ok());
    }

    #[test]
    fn the_time_is_short_and_never_trusted() {
        assert_eq!(time("2026-01-27T10:00:00.123456Z"), "2026-01-27 10:00:00.123");
        assert_eq!(time("\x1b[2J"), r"\u001b[2J");
        assert_eq!(short_time("2026-01-27T10:00:00.123456Z"), "2026-01-27T10:00:00.123Z");
        assert_eq!(short_time("2026-01-27T10:00:00.5Z"), "2026-01-27T10:00:00.5Z");
        assert_eq!(short_time("\x1b[2J"), r"\u001b[2J");
        assert_eq!(time("2026-01-27T10:00:00Z"), "2026-01-27T10:00:00Z");
        assert!(!time("2026-01-27T1\u{9b}0:00.1234567Z").chars().any(is_active));
    }
}
