//! The secrets that are put in, and how each is known again in what comes out.

use std::collections::BTreeSet;

use super::corpus::{BEFORE, SECRETS, whole};

/// Names of secrets, as they stand in JSON.
const KEYS: &[&str] = &[
    "password",
    "API-KEY",
    "apiKey",
    "Authorization",
    "Set-Cookie",
    "dbPassword",
    "x_auth token",
    "mnemonic",
    "PIN",
    "private_key",
    "CREDENTIALS",
    "pAsSwOrD",
    r"p\u0061ssword",
    r"\u0074oken",
    "client.secret",
    "seed-phrase",
];

/// What texts say around a secret.
const SAYINGS: &[&str] = &[
    "password=@ n=1",
    "Authorization: Bearer @\nhost: x",
    "at postgres://app:@@db/x",
    "redis://:@@cache",
    "{\"token\":\"@\"}",
    "{\"a\":\"{\\\"token\\\":\\\"@\\\"}\"}",
    "GET /ws?access_token=@&n=1",
    "Bearer @.abc-123",
    "AWS_SECRET_ACCESS_KEY=@",
];

/// Whether the n-th secret goes through the i-th of many like doors. Through each goes every so-many-th, because all of them through
/// all take minutes; what a text may hide behind is tried whole where texts are redacted. `scripts/torture secrets` asks for all.
pub(super) fn has_turn(n: usize, i: usize, of: usize) -> bool {
    std::env::var_os("TORTURE_SECRETS").is_some() || (n + i).is_multiple_of(of)
}

/// A payload with secrets in it and something harmless beside them.
pub(super) struct Planted {
    /// JSON, `NEAR` for what is harmless.
    pub(super) json: String,
    /// A text that holds the same secret.
    pub(super) text: String,
    /// What may not come out.
    pub(super) secrets: Vec<String>,
}

/// Everything that is put in.
pub(super) fn planted() -> Vec<Planted> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let looks = SECRETS.iter().map(|secret| {
        let secret = whole(secret);
        let text = quoted(&format!("see {secret}"));
        let escaped: String = secret.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
        let json = format!(
            r#"{{"near":"NEAR","note":{text},"deep":{{"list":[1,[{text}],{{"x":"{escaped}"}}]}},{}:2}}"#,
            quoted(&secret)
        );
        Planted { json, secrets: pieces(&secret), text: secret }
    });
    let names = KEYS.iter().enumerate().map(|(n, key)| {
        let secret = format!("name{n}Hush");
        let json = format!(
            r#"{{"{key}":"{secret}","near":"NEAR","deep":[{{"{key}":[1,{{"x":"{secret}"}},"}}"]}},{{"{key}" : 7351928{n}46}}]}}"#
        );
        Planted { json, text: format!("token={secret}"), secrets: vec![secret] }
    });
    let sayings = SAYINGS.iter().enumerate().map(|(n, saying)| {
        // The last at sign of a URL is its own.
        let secret = format!("said{n}Hush");
        let text = saying.replacen('@', &secret, 1);
        let json = format!(r#"{{"near":"NEAR","note":{0},"deep":[[{{"x":{0}}}]]}}"#, quoted(&text));
        Planted { json, text, secrets: vec![secret] }
    });
    looks.chain(names).chain(sayings).chain(behind()).collect()
}

/// All secrets at once behind each of the things that may stand before one, and glued to letters where their make allows.
fn behind() -> impl Iterator<Item = Planted> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    BEFORE.iter().enumerate().map(move |(n, before)| {
        let all = || SECRETS.iter().map(|secret| whole(secret));
        let texts: Vec<String> = all().map(|secret| quoted(&format!("see{before}{secret}"))).collect();
        let inner = quoted(&format!("[{}]", texts.join(",")));
        let json = format!(r#"{{"near":"NEAR","note":[{}],"deep":{{"inner":{inner}}}}}"#, texts.join(","));
        let glued = whole(["x·gh·p_0123456789abcdefghijABCDEFGHIJ012345", "x·AK·IAIOSFODNN7EXAMPLE"][n % 2]);
        let text = format!("n{before}{glued}");
        Planted { json, text, secrets: all().flat_map(|secret| pieces(&secret)).collect() }
    })
}

/// The parts of a secret by which it is known anywhere: not its words.
fn pieces(secret: &str) -> Vec<String> {
    let parts = secret.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
    let telling = |part: &&str| {
        let mixed = part.bytes().any(|b| b.is_ascii_lowercase()) && part.bytes().any(|b| b.is_ascii_uppercase());
        part.len() >= 6 && (mixed || part.bytes().any(|b| b.is_ascii_digit()))
    };
    let found: Vec<_> = parts.filter(telling).map(str::to_owned).collect();
    assert!(!found.is_empty(), "{secret} is known by nothing");
    found
}

/// All but letters and digits as `%xx`.
pub(super) fn encoded(text: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        plain if plain.is_ascii_alphanumeric() => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    });
    each.collect()
}

/// The text with what hides behind escapes of this kind: so many hexadecimal digits after a mark.
fn decoded(text: &str, mark: &str, digits: usize) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..digits).and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii);
        match code {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[digits..]);
            }
            None => {
                out.push_str(mark);
                out.push_str(part);
            }
        }
    }
    out
}

/// What is found of these, with what stands around it.
pub(super) fn found(heard: &str, secrets: &BTreeSet<String>) -> Vec<String> {
    let once = decoded(heard, "%", 2);
    let forms = [heard.to_owned(), decoded(heard, "\\u00", 2), decoded(&once, "%", 2), once];
    let mut found = Vec::new();
    for secret in secrets {
        for form in &forms {
            if let Some(at) = form.find(secret.as_str()) {
                let line = form[..at].rfind('\n').map_or(0, |line| line + 1);
                let line = line.max(at.saturating_sub(200));
                let around: Vec<_> = form.as_bytes()[line..].iter().copied().take(400).collect();
                found.push(format!("{secret}: {}", String::from_utf8_lossy(&around)));
                break;
            }
        }
    }
    found
}
