//! The cost is linear in the length of the text, whatever it holds.

use super::{Redaction, counted};

/// Pieces at which a search begins, and that promise a secret when they are repeated.
#[rustfmt::skip]
const TEMPTING: &[&str] = &[
    "eyJ", "eyJaaaaaaaa.", "eyJaaaaaaaa.b.", "a://", "a://b:c", "a://b:c@", "://a:/", "token:", "token=", "token: ",
    "\"token\":", "\"", "\\", "\\\"", "'", "[", "{", "tokens=[", "tokens=[\"", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ", "-", "sk-", "sk-a", "ghp_", "Bearer ", "bearer a ", "basic AAAA", "Basic ", "\u{1b}[3m",
    "\u{1b}[3m=", "password", "password_", "hash_", "aB", "1", "12345678:AA", "cookie: ", "SG.",
    "SG.aaaaaaaaaaaaaaaaaaaa", "é", "token=a ", "\"token\": {\"", "a=", "x.", "AKIA", "\"value\":", "\"value\":1,",
    "{\"value\":{", "{\"name\":\"token\",\"value\":", "{\"name\":\"token\",\"a\":", "{\"AKIAIOSFODNN7EXAMPLE\":",
    "key-", "ewog", "ewogICAgICAg", "eyA", "eyAg.", "sig=", "sig=&sv=", ".atlasv1.", "0123456789.atlasv1.", ".abcdef",
    "MTIzNDU2.abcdef.", "---- BEGIN ", "---- BEGIN PRIVATE KEY ----", "secret: abc ", "\n", " ", "%25", "%",
    "\\u0022", "&quot;", "<a", "<password>", "<password>x", "<a key=\"", ">", "--", "--token ", "--token \"",
    "--token '--token \"", "--token -", "password \"", "\"token\", \"", "password   ", "value=", "name=\"a\" value=",
    "\"d\":\"aaaaaaaaaaaaaaaaaaaa\",", "{\"d\":\"aaaaaaaaaaaaaaaaaaaa\",\"a\":", "[\"token\",", "\"--token\",",
    "{\"token\":", "{\"password\":", "{\"password\":[1,", "token={", "secrets=[1,", "abandon ",
    "abandon abandon abandon xyz ", "\"abandon\",", "K", "5", "KwDiBf89QgGbjEhKnhXJuH7LrciVrizZ", "6P",
    "PuTTY-User-Key-File-2: ", "1234567890123|", "T3BlbkFJ", "JQQJ99", "0123456789abcdef0123456789abcdef-us",
    "v4.local.", "{\\\"a\\\":", "[\"[\\\"", "key ", "api key=", "token=[redacted]", "a_a_a_a_a_a_a_a=", "password_a_",
];

#[test]
fn the_cost_is_linear_whatever_the_text() {
    let redaction = Redaction::default();
    let mut costly = Vec::new();
    for piece in TEMPTING {
        let text = piece.repeat(40_000 / piece.len());
        let quoted = serde_json::to_string(&text).unwrap_or_default();
        let key = format!("{{{quoted}: {quoted}, \"token\": [{quoted}]}}");
        for (what, steps, bytes) in [
            ("text", counted(|| drop(redaction.text(&text))), text.len()),
            ("json", counted(|| drop(redaction.json(&key))), key.len()),
            ("line", counted(|| drop(redaction.json_line(&key))), key.len()),
            ("no json", counted(|| drop(redaction.json(&text))), text.len()),
        ] {
            // The bound is what is looked at ahead and behind at each byte, at most.
            if steps >= 200 * bytes + 1000 {
                costly.push(format!("{what} of {piece:?}: {steps} steps for {bytes} bytes"));
            }
        }
    }
    assert!(costly.is_empty(), "{costly:#?}");
}

#[test]
fn ordinary_payloads_cost_a_few_looks_at_each_byte() {
    let redaction = Redaction::default();
    let payload = r#"{"qty": "0.5", "side": "buy", "price": 64123.50, "note": "as agreed: see ticket", "at": "2026-01-27T10:00"}"#;
    let steps = counted(|| drop(redaction.json(payload)));
    assert!(steps < 5 * payload.len(), "{steps} steps for {} bytes", payload.len());
}

#[test]
fn depth_needs_no_stack() {
    let redaction = Redaction::default();
    let deep = |inner: &str| format!("{}{inner}{}", "[{\"a\":".repeat(100_000), "}]".repeat(100_000));
    let text = deep("{\"secret\": \"x\"}");
    assert!(redaction.json(&text) == deep("{\"secret\": \"[redacted]\"}"));
    let under = format!("{{\"secret\": {text}, \"n\": 1}}");
    assert_eq!(redaction.json(&under), "{\"secret\": \"[redacted]\", \"n\": 1}");
    assert_eq!(redaction.text(&format!("secrets={text}")), "secrets=[redacted]");
}
