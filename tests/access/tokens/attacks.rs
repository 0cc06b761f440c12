//! Tokens that must let nobody in. Each is a good token but for the one thing that its name says.

mod claim_attacks;

use serde_json::{Value, json};

use self::claim_attacks::{names, times, types};
use super::forge::{
    OURS, PUBLISHED_SECRET, Signer, by_secret, claims, encode, header, hs, modulus, ring, rsa_jwk, token, with, without,
};
use crate::support::JWT_SECRET;

/// A token, and why it is refused: for the log, so that a row that is refused for another reason than its own shows.
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) why: &'static str,
}

impl Attack {
    /// Whether the token arrives as it is in a header of HTTP, which takes no blanks at its ends and no control
    /// characters.
    pub(crate) fn fits_a_header(&self) -> bool {
        !self.token.is_empty() && self.token.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// All of them, for a server with the secret [`JWT_SECRET`], the keys of [`super::jwks`], and [`super::ISSUER`] and [`super::AUDIENCE`].
/// They hold for an hour.
pub(crate) fn attacks() -> Vec<Attack> {
    let mut table = Table(Vec::new());
    algorithms(&mut table);
    signatures(&mut table);
    headers(&mut table);
    kids(&mut table);
    malformed(&mut table);
    encodings(&mut table);
    times(&mut table);
    names(&mut table);
    types(&mut table);
    table.0
}

const ALG: &str = "alg is not that of the key";
const SIGNATURE: &str = "the signature is not of the key";
const BASE64: &str = "a part is not base64url";
const PARTS: &str = "it does not have three parts";
const UNSIGNED: &str = "it is not signed";
const HEADER: &str = "its header is not an object";
const CLAIMS: &str = "its claims are not an object";
const NOT_TAKEN: &str = "its header holds what is not taken from a token";
const NO_KEY: &str = "there is no key of this kid, or none could be had";

struct Table(Vec<Attack>);

impl Table {
    fn row(&mut self, name: impl Into<String>, why: &'static str, token: impl Into<String>) {
        self.0.push(Attack { name: name.into(), token: token.into(), why });
    }

    /// With this header and good claims.
    fn header(&mut self, name: &str, why: &'static str, header: &Value, signer: Signer<'_>) {
        self.row(name, why, token(header.to_string(), claims().to_string(), signer));
    }

    /// With these claims, signed by the secret.
    fn claims(&mut self, name: impl Into<String>, why: &'static str, claims: &Value) {
        self.row(name, why, by_secret(claims));
    }
}

fn algorithms(table: &mut Table) {
    let ring = ring();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let alg = json!({ "alg": none });
        let unsigned = token(alg.to_string(), claims().to_string(), Signer::Bytes(b""));
        table.row(format!("alg {none:?}, unsigned"), UNSIGNED, unsigned);
        table.header(&format!("alg {none:?}, signed all the same"), ALG, &alg, OURS);
    }
    let kid_none = with(header("none", "rsa"), &json!({}));
    table.header("alg none with a kid", ALG, &kid_none, Signer::Bytes(b"x"));
    table.header("alg missing", "alg is missing", &json!({ "typ": "JWT" }), OURS);
    for alg in [json!(null), json!(256), json!(["HS256"]), json!({ "HS256": true })] {
        table.header(&format!("alg {alg}"), "alg is not a text", &json!({ "alg": alg }), OURS);
    }
    for alg in ["hs256", "Hs256", "HS256 ", "HS256\0", "SHA256"] {
        table.header(&format!("alg {alg:?}"), ALG, &json!({ "alg": alg }), OURS);
    }
    table.header("HS512 by the secret", ALG, &json!({ "alg": "HS512" }), Signer::Hs512(JWT_SECRET.as_bytes()));
    table.header("HS256 by the secret that says RS256", ALG, &json!({ "alg": "RS256" }), OURS);
    table.header("rs256 in lower case", ALG, &header("rs256", "rsa"), Signer::Rs256(&ring.rsa));
    table.header("RS512 by the key for RS256", ALG, &header("RS512", "rsa"), Signer::Rs512(&ring.rsa));
    table.header("PS256 by the key for RS256", ALG, &header("PS256", "rsa"), Signer::Ps256(&ring.rsa));
    table.header("RS256 by the key for PS256", ALG, &header("RS256", "pss"), Signer::Rs256(&ring.pss));
    table.header(
        "RS256 by the key for PS256 that says PS256",
        SIGNATURE,
        &header("PS256", "pss"),
        Signer::Rs256(&ring.pss),
    );
    table.header("ES384 by the key of P-256", ALG, &header("ES384", "p256"), Signer::Ec(&ring.p256));
    table.header("EdDSA by an RSA key", ALG, &header("EdDSA", "rsa"), Signer::Rs256(&ring.rsa));
    let point = |kid: &str| header("HS256", kid);
    let public = ring.rsa_public_pem.as_bytes();
    table.header("HS256 by the public key as PEM", ALG, &point("rsa"), Signer::Secret(public));
    table.header("HS256 by the public key as PEM, no kid", SIGNATURE, &hs(), Signer::Secret(public));
    let trimmed = ring.rsa_public_pem.trim_end().as_bytes();
    table.header("HS256 by the public key as PEM without a line end", ALG, &point("rsa"), Signer::Secret(trimmed));
    let n = modulus(&ring.rsa);
    table.header("HS256 by the modulus", ALG, &point("rsa"), Signer::Secret(n.as_bytes()));
    let certificate = ring.rsa_certificate.as_bytes();
    table.header("HS256 by the certificate", ALG, &point("rsa"), Signer::Secret(certificate));
    table.header("HS256 by the secret with the kid of a key", ALG, &point("rsa"), OURS);
}

fn signatures(table: &mut Table) {
    let ring = ring();
    let other = "fedcba9876543210fedcba9876543210";
    table.header("signed by another secret", SIGNATURE, &hs(), Signer::Secret(other.as_bytes()));
    table.header("signed by an empty secret", SIGNATURE, &hs(), Signer::Secret(b""));
    let with_line_end = format!("{JWT_SECRET}\n");
    table.header("signed by the secret and a line end", SIGNATURE, &hs(), Signer::Secret(with_line_end.as_bytes()));
    table.header("signed by another RSA key", SIGNATURE, &header("RS256", "rsa"), Signer::Rs256(&ring.strange));
    table.header("signed by another published RSA key", SIGNATURE, &header("RS256", "rsa"), Signer::Rs256(&ring.pss));
    table.header("signed by another Ed25519 key", SIGNATURE, &header("EdDSA", "ed"), Signer::Ed(&ring.strange_ed));
    table.header("RS256 padded as PS256", SIGNATURE, &header("RS256", "rsa"), Signer::Ps256(&ring.rsa));
    table.header("ES256 as DER", SIGNATURE, &header("ES256", "p256"), Signer::Ec(&ring.p256_der));
    table.header("ES256 of zeros", SIGNATURE, &header("ES256", "p256"), Signer::Bytes(&[0; 64]));
    table.header("RS256 of zeros", SIGNATURE, &header("RS256", "rsa"), Signer::Bytes(&[0; 256]));
    table.header("a signature of one byte", SIGNATURE, &hs(), Signer::Bytes(b"x"));
    let good = by_secret(&claims());
    let admin = by_secret(&with(claims(), &json!({ "role": "admin" })));
    let (a, b): (Vec<_>, Vec<_>) = (good.split('.').collect(), admin.split('.').collect());
    table.row("the claims of another token", SIGNATURE, [a[0], b[1], a[2]].join("."));
    table.row("the signature of another token", SIGNATURE, [a[0], a[1], b[2]].join("."));
    table.row("header and claims swapped", "alg is missing", [a[1], a[0], a[2]].join("."));
    table.row("the header changed after signing", SIGNATURE, [&encode("{\"alg\": \"HS256\"}"), a[1], a[2]].join("."));
    let signature = OURS.sign(format!("{}.{}", a[0], a[1]).as_bytes());
    table.row("half a signature", SIGNATURE, [a[0], a[1], &encode(&signature[..16])].join("."));
    table.row("a signature and more", SIGNATURE, [a[0], a[1], &encode([signature, vec![0]].concat())].join("."));
}

fn headers(table: &mut Table) {
    let ring = ring();
    let strange = Signer::Rs256(&ring.strange);
    let jwk = with(rsa_jwk(&ring.strange), &json!({ "kid": "mine" }));
    let own = with(header("RS256", "mine"), &json!({ "jwk": jwk }));
    table.header("brings its own key", NOT_TAKEN, &own, strange);
    table.header("brings its own key under a known kid", NOT_TAKEN, &with(own, &json!({ "kid": "rsa" })), strange);
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:1/keys.json")),
        ("x5u", json!("http://127.0.0.1:1/cert.pem")),
        ("x5c", json!(["AAAA"])),
        ("jwk", json!(null)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
    ] {
        let extra = json!({ name: value });
        table.header(&format!("{name} {value}, by the secret"), NOT_TAKEN, &with(hs(), &extra), OURS);
        let by_key = with(header("RS256", "rsa"), &extra);
        table.header(&format!("{name} {value}, by a key"), NOT_TAKEN, &by_key, Signer::Rs256(&ring.rsa));
    }
    let unencoded = with(hs(), &json!({ "crit": ["b64"], "b64": false }));
    table.header("claims that are not encoded", NOT_TAKEN, &unencoded, OURS);
    for kind in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", ""] {
        let typ = with(hs(), &json!({ "typ": kind }));
        table.header(&format!("a token of the kind {kind:?}"), "it is a token of another kind", &typ, OURS);
    }
    table.header("typ 7", "typ is not a text", &with(hs(), &json!({ "typ": 7 })), OURS);
}

fn kids(table: &mut Table) {
    let ring = ring();
    let rsa = Signer::Rs256(&ring.rsa);
    for kid in [
        "unknown",
        "",
        "RSA",
        "rsa ",
        "rsa\0",
        "../../../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "http://127.0.0.1:1/keys",
        "rsa' or '1'='1",
        "rsa' union select 'x",
        "$(id)",
        "keys",
        "__proto__",
    ] {
        table.header(&format!("kid {kid:?}"), NO_KEY, &header("RS256", kid), rsa);
    }
    table.header("a kid of 4,000 bytes", NO_KEY, &header("RS256", &"k".repeat(4000)), rsa);
    let nothing = Signer::Secret(b"");
    table.header("kid /dev/null, by an empty secret", NO_KEY, &header("HS256", "/dev/null"), nothing);
    table.header("by a published secret", NO_KEY, &header("HS256", "oct"), Signer::Secret(PUBLISHED_SECRET));
    table.header("by a key for encryption", NO_KEY, &header("RS256", "encryption"), Signer::Rs256(&ring.encryption));
    table.header("by one of two keys with one kid", NO_KEY, &header("EdDSA", "twice"), Signer::Ed(&ring.ed));
    table.header("by a key without its kid", ALG, &without(header("RS256", "rsa"), "kid"), rsa);
    for kid in [json!(null), json!(7), json!(["rsa"]), json!({ "rsa": 1 }), json!(true)] {
        let wrong = with(hs(), &json!({ "kid": kid }));
        table.header(&format!("kid {kid}"), "kid is not a text", &wrong, OURS);
    }
}

fn malformed(table: &mut Table) {
    let good = claims().to_string();
    let open = good.trim_end_matches('}');
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let signed = |header: &[u8], claims: &[u8]| token(header, claims, OURS);
    let headers: &[(&str, &[u8])] = &[
        ("that is empty", b""),
        ("that is no JSON", b"alg: HS256"),
        ("that is cut off", b"{\"alg\":\"HS256\""),
        ("that is a list", b"[{\"alg\":\"HS256\"}]"),
        ("that is a text", b"\"HS256\""),
        ("that is null", b"null"),
        ("with something after it", b"{\"alg\":\"HS256\"}{}"),
        ("with a byte order mark", b"\xef\xbb\xbf{\"alg\":\"HS256\"}"),
        ("that is not UTF-8", b"{\"alg\":\"HS256\",\"x\":\"\xff\"}"),
        ("with a comment", b"{\"alg\":\"HS256\"/**/}"),
        ("with two algs, none first", b"{\"alg\":\"none\",\"alg\":\"HS256\"}"),
        ("with two algs, none last", b"{\"alg\":\"HS256\",\"alg\":\"none\"}"),
        ("with alg twice, once escaped", b"{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}"),
        ("with kid twice", b"{\"alg\":\"HS256\",\"kid\":\"rsa\",\"kid\":\"ed\"}"),
    ];
    for (name, header) in headers {
        table.row(format!("a header {name}"), HEADER, signed(header, good.as_bytes()));
    }
    let nested = format!("{{\"alg\":\"HS256\",\"x\":{deep}}}");
    table.row("a header of 500 levels", HEADER, signed(nested.as_bytes(), good.as_bytes()));
    let hs = hs().to_string();
    let claims = [
        ("that are empty", String::new()),
        ("that are no JSON", "sub=alice".to_owned()),
        ("that are cut off", open.to_owned()),
        ("that are a list", format!("[{good}]")),
        ("that are a text", "\"alice\"".to_owned()),
        ("that are a token themselves", by_secret(&claims())),
        ("with something after them", format!("{good} x")),
        ("with sub twice", format!("{open},\"sub\":\"bob\"}}")),
        ("with sub twice, once escaped", format!("{open},\"s\\u0075b\":\"alice\"}}")),
        ("with exp twice", format!("{open},\"exp\":9999999999}}")),
        ("with role twice", format!("{open},\"role\":\"admin\"}}")),
        ("with a name twice further down", format!("{open},\"x\":{{\"y\":[{{\"a\":1,\"a\":2}}]}}}}")),
        ("of 500 levels", format!("{open},\"x\":{deep}}}")),
        ("with a lone surrogate", format!("{open},\"x\":\"\\ud800\"}}")),
        ("with a number beyond all", format!("{open},\"x\":1e999}}")),
    ];
    for (name, claims) in claims {
        table.row(format!("claims {name}"), CLAIMS, signed(hs.as_bytes(), claims.as_bytes()));
    }
    let not_text = [open.as_bytes(), b",\"x\":\"\xff\"}"].concat();
    table.row("claims that are not UTF-8", CLAIMS, signed(hs.as_bytes(), &not_text));
}

fn encodings(table: &mut Table) {
    let good = by_secret(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { unreachable!() };
    table.row("nothing", PARTS, "");
    table.row("one dot", PARTS, ".");
    table.row("two dots", UNSIGNED, "..");
    table.row("a word", PARTS, "alice");
    table.row("the scheme before it", BASE64, format!("Bearer {good}"));
    table.row("no signature", PARTS, format!("{header}.{claims}"));
    table.row("no signature, but its dot", UNSIGNED, format!("{header}.{claims}."));
    table.row("no header", HEADER, format!(".{claims}.{signature}"));
    table.row("no claims", SIGNATURE, format!("{header}..{signature}"));
    table.row("four parts", PARTS, format!("{good}.{signature}"));
    table.row("five parts", PARTS, format!("{header}.{signature}.{claims}.{signature}.{signature}"));
    table.row("a dot before it", PARTS, format!(".{good}"));
    table.row("a dot after it", PARTS, format!("{good}."));
    table.row("two tokens", PARTS, format!("{good},{good}"));
    // 32 bytes are 43 characters, and 41 are no bytes at all.
    table.row("two characters cut off", BASE64, &good[..good.len() - 2]);
    table.row("cut in the middle", PARTS, &good[..header.len() + 5]);
    for (name, token) in [
        ("a blank before it", format!(" {good}")),
        ("a blank after it", format!("{good} ")),
        ("a line end after it", format!("{good}\n")),
        ("CR LF after it", format!("{good}\r\n")),
        ("a tab in it", format!("{header}.\t{claims}.{signature}")),
        ("a line end in it", format!("{header}.{claims}\n.{signature}")),
        ("a NUL after it", format!("{good}\0")),
        ("a quote around it", format!("\"{good}\"")),
        ("a letter beyond ASCII", format!("{good}é")),
        ("padding of the signature", format!("{good}=")),
        ("padding of the header", format!("{header}=.{claims}.{signature}")),
        ("percent encoding", format!("{header}%2E{claims}.{claims}.{signature}")),
    ] {
        table.row(name, BASE64, token);
    }
    table.row("dots of another script", PARTS, good.replace('.', "．"));
    // A token whose signature has both characters in which the alphabets differ.
    let either = (0..10_000).map(|n| by_secret(&with(super::forge::claims(), &json!({ "jti": n.to_string() }))));
    let mut either =
        either.filter(|token| token.rsplit('.').next().is_some_and(|s| s.contains('-') && s.contains('_')));
    let other_alphabet = either.next().unwrap().replace('-', "+").replace('_', "/");
    table.row("the other alphabet of base64", BASE64, other_alphabet);
    // The last of 43 characters carries four bits of the signature and two that must be zero.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(good.chars().last().unwrap()).unwrap();
    for stray in 1..4 {
        let last = &alphabet[last + stray..=last + stray];
        table.row(format!("stray bits {stray:02b}"), BASE64, format!("{}{last}", &good[..good.len() - 1]));
    }
    let long = json!({ "x": "x".repeat(7000) });
    table.claims("more than 8 KiB", "it is too long", &with(super::forge::claims(), &long));
    table.row("a megabyte", "it is too long", format!("{header}.{}.{signature}", "A".repeat(1 << 20)));
    table.row("a megabyte of dots", "it is too long", ".".repeat(1 << 20));
}
