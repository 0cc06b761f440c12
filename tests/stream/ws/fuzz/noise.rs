//! What a client of the fuzz says: messages that are right, messages that almost are, noise, and frames that are none.

use serde_json::{Value, json};

use super::super::raw_websocket::{CLOSE, PING, PONG, TEXT, frame};

/// Numbers that follow from one number (splitmix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(number: u64) -> Self {
        Self(number.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this.
    pub(super) fn roll(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(below).unwrap()).unwrap()
    }

    pub(super) fn pick<'a, T>(&mut self, those: &'a [T]) -> &'a T {
        &those[self.roll(those.len())]
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        (0..self.roll(longest + 1)).map(|_| self.byte()).collect()
    }
}

/// Texts that have broken something somewhere.
const ODD: &[&str] = &[
    "",
    " ",
    "\0",
    "a\0b",
    "\u{feff}",
    "\u{202e}abc",
    "🙂",
    "ß",
    "日本",
    "\u{1}\t\r\n",
    "-1",
    "+1",
    "1e3",
    "0x10",
    "00000000000000000001",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "1.00000000",
    "1.0000000",
    "1.ZZZZZZZZ",
    "1.00000000.1",
    ".",
    "..",
    "*",
    ".*",
    "a.*",
    "a.*,",
    ",",
    "a,,b",
    "a.b.*,note.added",
    "null",
    "earliest ",
    "LATEST",
    "%00",
    "'; drop table rowcast.events; --",
    "\\",
    "\"",
    "{\"op\":\"ping\"}",
    "eyJhbGciOiJub25lIn0.e30.",
    "a.b.c",
];

/// Values of JSON, as they may stand in a message. What serde could not hold stands as it is written.
const ODD_VALUES: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "[[[[]]]]",
    "0",
    "-0",
    "-1",
    "1.0",
    "1e3",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890123456789012345678901234567890",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u0000\"",
    "\"\\x\"",
    "\"\u{1}\"",
    "NaN",
    "'x'",
    "\"\\u006eote.added\"",
    "",
];

const FIELDS: &[&str] =
    &["op", "token", "cursor", "last", "type", "level", "symbol", "trade_id", "subject", "owner", "", "Op"];

/// What clients know of the server.
pub(super) struct Words<'a> {
    pub(super) tokens: &'a [String],
    pub(super) cursors: &'a [String],
}

impl Words<'_> {
    /// Where a client comes to: most know what may stand there.
    pub(super) fn target(&self, dice: &mut Dice) -> String {
        let mut target = (*dice.pick(&["/ws", "/ws", "/ws", "/public/ws"])).to_owned();
        for number in 0..dice.roll(3) {
            let (name, value) = self.parameter(dice);
            let value: String = match dice.roll(8) {
                0 => String::from_utf8_lossy(&dice.bytes(20)).bytes().map(|byte| format!("%{byte:02x}")).collect(),
                1 => "%zz%f".to_owned(),
                _ => value.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            };
            target.push(if number == 0 { '?' } else { '&' });
            target.push_str(&format!("{name}={value}"));
        }
        target
    }

    /// A condition or a place, mostly one that there is.
    fn parameter(&self, dice: &mut Dice) -> (&'static str, String) {
        let name = *dice.pick(&["cursor", "last", "type", "level", "symbol", "trade_id", "subject"]);
        if dice.roll(5) == 0 {
            return (name, (*dice.pick(ODD)).to_owned());
        }
        let value = match name {
            "cursor" if dice.roll(2) == 0 => dice.pick(self.cursors).as_str(),
            "cursor" => *dice.pick(&["earliest", "latest", "0", "5", "20", "9999999", "3.00000000"]),
            "last" => *dice.pick(&["0", "3", "10000", "10001"]),
            "type" => *dice.pick(&["note.added", "note.*", "trade.*,note.added", "nothing"]),
            "level" => *dice.pick(&["debug", "info", "critical"]),
            "trade_id" => "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10",
            _ => *dice.pick(&["BTC-USD", "x"]),
        };
        (name, value.to_owned())
    }

    /// A message that says who it is.
    pub(super) fn auth(&self, dice: &mut Dice) -> String {
        json!({ "op": "auth", "token": dice.pick(self.tokens) }).to_string()
    }

    fn message(&self, dice: &mut Dice) -> String {
        match dice.roll(6) {
            0 => r#"{"op":"ping"}"#.to_owned(),
            1 => r#"{"op":"sync","id":"now"}"#.to_owned(),
            2 => self.auth(dice),
            3 => json!({ "op": "auth", "token": dice.pick(ODD) }).to_string(),
            _ => {
                let mut message = json!({ "op": "subscribe" });
                for _ in 0..dice.roll(3) {
                    let (name, value) = self.parameter(dice);
                    let number: Option<u64> = value.parse().ok();
                    message[name] = match number {
                        Some(number) if dice.roll(2) == 0 => json!(number),
                        _ => Value::String(value),
                    };
                }
                message.to_string()
            }
        }
    }

    /// A message with something wrong in it, or only odd.
    fn spoiled(&self, dice: &mut Dice) -> Vec<u8> {
        let mut text = self.message(dice);
        for _ in 0..=dice.roll(2) {
            let end = text.rfind('}').unwrap_or(text.len());
            match dice.roll(10) {
                // Another field, or one a second time.
                0 | 1 => text.insert_str(end, &format!(",\"{}\":{}", dice.pick(FIELDS), dice.pick(ODD_VALUES))),
                2 | 3 => text.insert_str(end, &format!(",\"{}\":{}", dice.pick(FIELDS), Value::from(*dice.pick(ODD)))),
                // Another value in the place of a text.
                4 | 5 => {
                    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
                    if quotes.len() >= 2 {
                        let first = dice.roll(quotes.len() - 1);
                        let value: &str = dice.pick::<&str>(ODD_VALUES);
                        text.replace_range(quotes[first]..=quotes[first + 1], value);
                    }
                }
                6 => {
                    let depth = *dice.pick(&[100, 127, 128, 129, 10_000]);
                    let nested = "[".repeat(depth) + &"]".repeat(depth);
                    text.insert_str(end, &format!(",\"{}\":{nested}", dice.pick(FIELDS)));
                }
                7 => text = format!("[{text}]"),
                8 => {
                    text = format!(
                        "{}{text}{}",
                        dice.pick(&["", " ", "\n", "\u{feff}", "\0"]),
                        dice.pick(&["", " ", "{}", ","])
                    )
                }
                // As long as a message may be, and a byte more.
                _ => {
                    let longest = (64 << 10) + dice.roll(2);
                    text.push_str(&" ".repeat(longest.saturating_sub(text.len())));
                }
            }
        }
        let mut bytes = text.into_bytes();
        for _ in 0..dice.roll(3) {
            let at = dice.roll(bytes.len());
            match dice.roll(4) {
                0 => bytes[at] ^= 1 << dice.roll(8),
                1 => bytes.insert(at, dice.byte()),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        bytes
    }

    /// One thing that a client does, as it goes over the wire.
    pub(super) fn act(&self, dice: &mut Dice, out: &mut Vec<u8>) {
        match dice.roll(16) {
            0..5 => out.extend(frame(TEXT, self.message(dice).as_bytes())),
            5..9 => out.extend(frame(TEXT, &self.spoiled(dice))),
            9 => out.extend(frame(TEXT, &dice.bytes(300))),
            10 => out.extend(frame(0x82, &dice.bytes(300))),
            11 => out.extend(frame(*dice.pick(&[PING, PONG]), &dice.bytes(125))),
            12 => {
                let message = if dice.roll(3) == 0 { self.spoiled(dice) } else { self.message(dice).into_bytes() };
                fragments(dice, &message, out);
            }
            13 => out.extend(frame(CLOSE, &dice.bytes(130))),
            14 => any_frame(dice, out),
            _ => out.extend(dice.bytes(200)),
        }
    }
}

/// A message in several frames, with something between them; some forget the end, or begin another.
fn fragments(dice: &mut Dice, message: &[u8], out: &mut Vec<u8>) {
    let mut rest = message;
    let mut first = 0x01;
    while !rest.is_empty() {
        let (part, later) = rest.split_at(dice.roll(rest.len() + 1));
        rest = later;
        let last = rest.is_empty() && dice.roll(6) > 0;
        out.extend(frame(first | if last { 0x80 } else { 0 }, part));
        first = if dice.roll(20) == 0 { 0x01 } else { 0x00 };
        if dice.roll(3) == 0 {
            out.extend(frame(PING, &dice.bytes(20)));
        }
    }
}

/// Any opcode, any bits, a mask or none, and a length that need not be true.
fn any_frame(dice: &mut Dice, out: &mut Vec<u8>) {
    let payload = dice.bytes(200);
    out.push(if dice.roll(2) == 0 { dice.byte() } else { 0x80 | dice.byte() & 0x0f });
    let mask = if dice.roll(4) == 0 { 0 } else { 0x80 };
    let length = u64::try_from(payload.len()).unwrap();
    let said = *dice.pick(&[
        length,
        length,
        length + 1,
        length / 2,
        125,
        126,
        65_535,
        65_536,
        65_537,
        1 << 40,
        u64::MAX >> 1,
        u64::MAX,
    ]);
    // In the shortest form, or in another.
    let form = *dice.pick(&[0, 0, 1, 2]);
    match (form, u8::try_from(said), u16::try_from(said)) {
        (0, Ok(short @ 0..126), _) => out.push(mask | short),
        (0 | 1, _, Ok(middle)) => {
            out.push(mask | 126);
            out.extend(middle.to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend(said.to_be_bytes());
        }
    }
    if mask != 0 {
        out.extend([0; 4].map(|_: u8| dice.byte()));
    }
    out.extend(payload);
}
