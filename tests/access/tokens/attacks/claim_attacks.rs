//! Tokens whose signature is good, and whose claims let nobody in.

use serde_json::{Value, json};

use super::super::forge::{AUDIENCE, ISSUER, by_rsa, claims, now, with, without};
use super::Table;

pub(super) fn times(table: &mut Table) {
    let now = now();
    let mut claim = |name: &str, why, time: u64, says: &str| {
        table.claims(format!("{name} {says}"), why, &with(claims(), &json!({ name: time })));
        let by_key = by_rsa(&with(claims(), &json!({ name: time })));
        table.row(format!("{name} {says}, by a key"), why, by_key);
    };
    claim("exp", "it has expired", now - 61, "a second past the leeway");
    claim("exp", "it has expired", now - 86_400, "yesterday");
    claim("exp", "it has expired", 0, "in 1970");
    // These must hold for as long as the table does.
    claim("iat", "iat is in the future", now + 7200, "in two hours");
    claim("nbf", "it is not valid yet", now + 7200, "in two hours");
    claim("iat", "iat is not a time", (now - 10) * 1000, "in milliseconds");
    claim("exp", "exp is not a time", (now + 3600) * 1000, "in milliseconds");
    claim("nbf", "nbf is not a time", u64::MAX, "at the end of all numbers");
    claim("exp", "exp is not a time", u64::MAX, "at the end of all numbers");
}

pub(super) fn names(table: &mut Table) {
    let missing = [
        ("exp", "exp is missing"),
        ("iat", "iat is missing"),
        ("sub", "sub is missing"),
        ("iss", "iss is not the issuer"),
        ("aud", "aud is not this audience"),
    ];
    for (name, why) in missing {
        table.claims(format!("no {name}"), why, &without(claims(), name));
        table.row(format!("no {name}, by a key"), why, by_rsa(&without(claims(), name)));
    }
    let long = "x".repeat(129);
    for (says, sub) in [
        ("empty", ""),
        ("of 129 bytes", &long),
        ("of 65 letters of two bytes", &"é".repeat(65)),
        ("with a NUL", "alice\0"),
        ("with a line end", "alice\nadmin"),
        ("with an escape", "\u{1b}[31malice"),
        ("with a control character beyond ASCII", "alice\u{85}"),
        ("of the server", "rowcast:"),
        ("of the server's demo", "rowcast:demo"),
    ] {
        table.claims(format!("sub {says}"), "sub is not a subject", &with(claims(), &json!({ "sub": sub })));
    }
    for iss in
        ["", "https://issuer.test", "https://issuer.test/x", "HTTPS://ISSUER.TEST/", " https://issuer.test/", AUDIENCE]
    {
        let claims = with(claims(), &json!({ "iss": iss }));
        table.claims(format!("iss {iss:?}"), "iss is not the issuer", &claims);
    }
    for aud in [
        json!(""),
        json!("rowcast"),
        json!("rowcast-test2"),
        json!("Rowcast-Test"),
        json!(ISSUER),
        json!([]),
        json!(["other", "rowcast"]),
        json!(["rowcast-test,other"]),
    ] {
        let claims = with(claims(), &json!({ "aud": aud }));
        table.claims(format!("aud {aud}"), "aud is not this audience", &claims);
    }
}

/// Whether a value has the type of a claim.
type Fits = fn(&Value) -> bool;

pub(super) fn types(table: &mut Table) {
    let others =
        [json!(null), json!(true), json!(7), json!("7"), json!([]), json!({}), json!(-7), json!(7.5), json!([7])];
    let text = |value: &Value| value.is_string();
    let time = |value: &Value| value.is_u64();
    fn texts(value: &Value) -> bool {
        value.as_array().is_some_and(|many| many.iter().all(Value::is_string))
    }
    let either = |value: &Value| value.is_string() || texts(value);
    let expected: [(&str, Fits, &str, &str); 9] = [
        ("exp", time, "exp is not a time", ""),
        ("iat", time, "iat is not a time", ""),
        ("nbf", time, "nbf is not a time", ""),
        ("jti", text, "jti is not a text", ""),
        ("iss", text, "iss is not a text", ""),
        ("sub", text, "sub is not a text", ""),
        ("aud", either, "aud is neither a text nor a list", "aud holds what is not a text"),
        ("role", text, "role is not a text", ""),
        ("roles", texts, "roles is not a list", "roles holds what is not a text"),
    ];
    for (name, right, why, why_inside) in expected {
        for value in others.iter().filter(|value| !right(value)) {
            let inside = value.is_array() && !why_inside.is_empty();
            let claims = with(claims(), &json!({ name: value }));
            table.claims(format!("{name} {value}"), if inside { why_inside } else { why }, &claims);
        }
    }
}
