//! Who is believed: attacks, good tokens, Firebase's rules, and sources of keys that fail in every way. No database.

mod attacks;
mod forge;
mod key_fetch;
mod key_server;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rowcast::auth::token::Mint;
use rowcast::auth::{FetchError, Identity, Role, TokenError, Verifier};
use rowcast::clock::Clock;
use rowcast::config::{Secret, TokenConfig};
use rowcast::http::HttpFetch;
use rowcast::shutdown::Shutdown;
use serde_json::{Value, json};

#[allow(unused_imports, reason = "for the tests of HTTP and WebSocket, which send the same table")]
pub(crate) use attacks::{Attack, attacks};
pub(crate) use forge::{AUDIENCE, ISSUER, PROJECT, jwks};

use crate::support::{JWT_SECRET, until};
use forge::{
    OURS, Signer, by_rsa, by_secret, claims, ed_jwks, firebase_claims, header, hs, now, ring, token, with, without,
    x509_map,
};
use key_server::{KeyServer, ok, with_headers};

/// A good token of the secret with this role.
pub(crate) fn with_role(role: &str) -> String {
    by_secret(&with(claims(), &json!({"role": role})))
}

fn config() -> TokenConfig {
    TokenConfig {
        secret: Some(Secret::new(JWT_SECRET)),
        jwks: None,
        firebase_project: None,
        issuer: Some(ISSUER.to_owned()),
        audience: Some(AUDIENCE.to_owned()),
    }
}

fn verifier(config: &TokenConfig) -> Verifier {
    Verifier::new(config, Clock::system(), Arc::new(HttpFetch::new())).unwrap()
}

/// Of the secret and of keys in a file, or of only one of both.
fn with_file(file: &tempfile::NamedTempFile, secret: bool) -> Verifier {
    std::fs::write(file.path(), jwks()).unwrap();
    let place = Some(file.path().to_str().unwrap().to_owned());
    verifier(&TokenConfig { jwks: place, secret: config().secret.filter(|_| secret), ..config() })
}

fn file() -> tempfile::NamedTempFile {
    tempfile::NamedTempFile::new().unwrap()
}

/// A token of the published Ed25519 key, under this name.
fn by_ed(kid: &str) -> String {
    token(header("EdDSA", kid).to_string(), claims().to_string(), Signer::Ed(&ring().ed))
}

#[tokio::test]
async fn no_attack_gets_in_and_each_is_refused_for_its_own_reason() {
    let file = file();
    let verifier = with_file(&file, true);
    let attacks = attacks();
    let names: BTreeSet<_> = attacks.iter().map(|attack| &attack.name).collect();
    assert_eq!(names.len(), attacks.len(), "a name is there twice");
    assert!(attacks.len() >= 45 && attacks.iter().filter(|a| a.fits_a_header()).count() >= 45);
    let mut wrong = Vec::new();
    for attack in &attacks {
        assert_eq!(verifier.verify(&attack.token).await, Err(TokenError::Unauthorized), "{}", attack.name);
        match verifier.examine(&attack.token).await {
            Err(rejection) if rejection.reason == attack.why => {}
            other => wrong.push(format!("{}: {other:?} and not {:?}", attack.name, attack.why)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What the attacks are made of is good.
    assert!(verifier.verify(&by_secret(&claims())).await.is_ok());
    assert!(verifier.verify(&by_rsa(&claims())).await.is_ok());
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_is_believed() {
    let file = file();
    let verifier = with_file(&file, true);
    let ring = ring();
    let kinds = [
        (hs(), OURS),
        (header("RS256", "rsa"), Signer::Rs256(&ring.rsa)),
        (header("PS256", "pss"), Signer::Ps256(&ring.pss)),
        (header("ES256", "p256"), Signer::Ec(&ring.p256)),
        (header("ES384", "p384"), Signer::Ec(&ring.p384)),
        (header("EdDSA", "ed"), Signer::Ed(&ring.ed)),
    ];
    for (header, signer) in kinds {
        let identity = verifier.examine(&token(header.to_string(), claims().to_string(), signer)).await;
        let identity = identity.unwrap_or_else(|no| panic!("{header}: {no:?}"));
        assert_eq!((&**identity.subject(), identity.role()), ("alice", Role::Viewer));
        assert_eq!(identity.ends_at(), identity.expires_at() + 60);
        assert!(identity.issued_at() < now() && now() < identity.expires_at());
    }
}

#[tokio::test]
async fn what_a_good_token_may_say_besides_is_let_be() {
    let file = file();
    let verifier = with_file(&file, true);
    for change in [
        json!({ "aud": ["other", AUDIENCE] }),
        json!({ "sub": "x".repeat(128) }),
        json!({ "sub": "auth0|Zoë 🦀" }),
        json!({ "exp": now() - 30 }),
        json!({ "iat": now() + 30, "nbf": now() + 30 }),
        json!({ "exp": 253_402_300_799_u64 }),
        json!({ "email": "a@b", "firebase": { "identities": {} }, "x": [1.5, null, true] }),
        json!({ "padding": "x".repeat(4000) }),
    ] {
        let answer = verifier.examine(&by_secret(&with(claims(), &change))).await;
        assert!(answer.is_ok(), "{change}: {answer:?}");
    }
    for change in [json!({ "typ": "at+jwt" }), json!({ "typ": "application/JWT" }), json!({ "x5t": "x", "other": [1] })]
    {
        let header = with(hs(), &change).to_string();
        let answer = verifier.examine(&token(header, claims().to_string(), OURS)).await;
        assert!(answer.is_ok(), "{change}: {answer:?}");
    }
    let optional = ["nbf", "jti", "role"].iter().fold(claims(), |claims, name| without(claims, name));
    let bare = token(r#"{"alg":"HS256"}"#, optional.to_string(), OURS);
    assert_eq!(verifier.verify(&bare).await.map(|identity| identity.role()), Ok(Role::User));
}

#[tokio::test]
async fn a_good_token_whose_role_nobody_knows_is_forbidden() {
    let verifier = verifier(&config());
    let verify = async |role: Value| verifier.verify(&by_secret(&with(without(claims(), "role"), &role))).await;
    for unknown in [json!({ "role": "root" }), json!({ "roles": [] }), json!({ "roles": ["a", "b"] })] {
        assert_eq!(verify(unknown).await, Err(TokenError::Forbidden));
    }
    let strongest = verify(json!({ "roles": ["user", "root", "engine", "viewer"] })).await;
    assert_eq!(strongest.map(|identity| identity.role()), Ok(Role::Engine));
}

#[tokio::test]
async fn the_secret_alone_ignores_kid_and_keys_alone_require_it() {
    let secret_only = verifier(&config());
    let with_kid = token(header("HS256", "anything").to_string(), claims().to_string(), OURS);
    assert!(secret_only.verify(&with_kid).await.is_ok());
    assert_eq!(secret_only.examine(&by_rsa(&claims())).await.unwrap_err().reason, "alg is not that of the key");
    assert_eq!(secret_only.fetch_keys().await, None);
    let file = file();
    let keys_only = with_file(&file, false);
    assert!(keys_only.verify(&by_rsa(&claims())).await.is_ok());
    assert_eq!(keys_only.examine(&by_secret(&claims())).await.unwrap_err().reason, "kid is missing");
    assert_eq!(keys_only.fetch_keys().await, Some(Ok(5)));
}

#[tokio::test]
async fn what_is_minted_is_believed() {
    let verifier = verifier(&config());
    let mint = Mint {
        subject: "alice",
        role: Role::Operator,
        ttl: Duration::from_secs(60),
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
    };
    let token = mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap();
    let identity = verifier.verify(token.expose()).await.unwrap();
    assert_eq!((&**identity.subject(), identity.role()), ("alice", Role::Operator));
    let open = TokenConfig { issuer: None, audience: None, ..config() };
    assert!(self::verifier(&open).verify(token.expose()).await.is_ok());
}

#[test]
fn a_configuration_that_believes_nobody_or_anybody_is_refused() {
    let refused = |config: TokenConfig| {
        Verifier::new(&config, Clock::system(), Arc::new(HttpFetch::new())).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(refused(TokenConfig { secret: None, ..config() }), "no key for tokens");
    let open = TokenConfig { jwks: Some("/keys".to_owned()), audience: None, ..config() };
    assert!(refused(open).contains("ROWCAST_JWT_AUDIENCE"));
    assert!(refused(TokenConfig { jwks: Some("ftp://a/b".to_owned()), ..config() }).contains("ROWCAST_JWKS"));
}

// ---- Firebase ------------------------------------------------------------------------------------------------------

fn firebase(place: &str) -> TokenConfig {
    TokenConfig {
        secret: None,
        jwks: Some(place.to_owned()),
        firebase_project: Some(PROJECT.to_owned()),
        issuer: None,
        audience: None,
    }
}

#[tokio::test]
async fn firebase_tokens_are_held_to_its_rules() {
    let server = KeyServer::start(with_headers("cache-control: public, max-age=20000\r\n", &x509_map("rsa"))).await;
    let verifier = verifier(&firebase(&server.url()));
    let good: Identity = verifier.verify(&by_rsa(&firebase_claims())).await.unwrap();
    assert_eq!((&**good.subject(), good.role()), ("alice", Role::Viewer));
    let future = now() + 3600;
    for (changes, why) in [
        (json!({ "iss": ISSUER }), "iss is not the issuer"),
        (json!({ "iss": "https://securetoken.google.com/other" }), "iss is not the issuer"),
        (json!({ "iss": format!("https://securetoken.google.com/{PROJECT}/") }), "iss is not the issuer"),
        (json!({ "aud": "other" }), "aud is not this audience"),
        (json!({ "auth_time": future }), "auth_time is in the future"),
        (json!({ "auth_time": "1" }), "auth_time is not a time"),
        (json!({ "auth_time": null }), "auth_time is not a time"),
        (json!({ "iat": future }), "iat is in the future"),
        (json!({ "exp": now() - 61 }), "it has expired"),
        (json!({ "sub": "" }), "sub is not a subject"),
        (json!({ "sub": "x".repeat(129) }), "sub is not a subject"),
    ] {
        let refused = verifier.examine(&by_rsa(&with(firebase_claims(), &changes))).await.unwrap_err();
        assert_eq!((refused.error, refused.reason), (TokenError::Unauthorized, why), "{changes}");
    }
    let missing = verifier.examine(&by_rsa(&without(firebase_claims(), "auth_time"))).await.unwrap_err();
    assert_eq!(missing.reason, "auth_time is missing");
    let ring = ring();
    for (algorithm, signer) in [
        ("PS256", Signer::Ps256(&ring.rsa)),
        ("RS512", Signer::Rs512(&ring.rsa)),
        ("HS256", Signer::Secret(ring.rsa_certificate.as_bytes())),
        ("none", Signer::Bytes(b"x")),
    ] {
        let token = token(header(algorithm, "rsa").to_string(), firebase_claims().to_string(), signer);
        assert_eq!(verifier.examine(&token).await.unwrap_err().reason, "alg is not that of the key", "{algorithm}");
    }
    assert_eq!(server.connections(), 1, "a token of another algorithm has nothing fetched");
}

#[tokio::test]
async fn firebase_takes_rs256_only_also_from_a_jwks() {
    let server = KeyServer::start(ok(&jwks())).await;
    let verifier = verifier(&firebase(&server.url()));
    assert!(verifier.verify(&by_rsa(&firebase_claims())).await.is_ok());
    let ed = token(header("EdDSA", "ed").to_string(), firebase_claims().to_string(), Signer::Ed(&ring().ed));
    assert_eq!(verifier.verify(&ed).await, Err(TokenError::Unauthorized));
}

#[tokio::test]
async fn beside_firebase_the_secret_has_its_own_issuer_and_audience() {
    let server = KeyServer::start(ok(&x509_map("rsa"))).await;
    let both = verifier(&TokenConfig { secret: config().secret, ..firebase(&server.url()) });
    let anybody = without(without(claims(), "iss"), "aud");
    assert!(both.verify(&by_secret(&anybody)).await.is_ok());
    assert!(both.verify(&by_rsa(&firebase_claims())).await.is_ok());
    assert_eq!(both.verify(&by_rsa(&anybody)).await, Err(TokenError::Unauthorized));
    let strict =
        verifier(&TokenConfig { firebase_project: Some(PROJECT.to_owned()), jwks: Some(server.url()), ..config() });
    assert!(strict.verify(&by_secret(&claims())).await.is_ok());
    assert_eq!(strict.verify(&by_secret(&anybody)).await, Err(TokenError::Unauthorized));
    assert!(strict.verify(&by_rsa(&firebase_claims())).await.is_ok());
}

// ---- sources of keys -----------------------------------------------------------------------------------------------

/// Of keys at this server alone.
fn of_server(server: &KeyServer) -> Verifier {
    verifier(&TokenConfig { secret: None, jwks: Some(server.url()), ..config() })
}

#[tokio::test]
async fn keys_that_rotate_are_found_at_once_and_old_ones_end() {
    let server = KeyServer::start(ok(&ed_jwks("one"))).await;
    let verifier = of_server(&server);
    assert!(verifier.verify(&by_ed("one")).await.is_ok());
    server.answers(ok(&ed_jwks("two")));
    assert!(verifier.verify(&by_ed("two")).await.is_ok());
    assert_eq!(verifier.verify(&by_ed("one")).await, Err(TokenError::Unauthorized));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_first_keys_are_fetched_once_for_everybody() {
    let server = KeyServer::start(ok(&ed_jwks("one"))).await;
    let verifier = of_server(&server);
    let token = by_ed("one");
    let answers = join_all((0..200).map(|_| verifier.verify(&token))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_storm_of_unknown_kids_fetches_once() {
    let server = KeyServer::start(ok(&ed_jwks("one"))).await;
    let verifier = of_server(&server);
    assert!(verifier.verify(&by_ed("one")).await.is_ok());
    for _ in 0..3 {
        let tokens: Vec<_> = (0..200).map(|n| by_ed(&format!("unknown {n}"))).collect();
        let answers = join_all(tokens.iter().map(|token| verifier.verify(token))).await;
        assert!(answers.iter().all(|answer| *answer == Err(TokenError::Unauthorized)));
    }
    assert_eq!(server.connections(), 2);
    assert!(verifier.verify(&by_ed("one")).await.is_ok());
}

#[tokio::test]
async fn keys_are_kept_when_their_source_breaks_or_goes() {
    let chunk = "x".repeat(64 * 1024);
    let endless =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", format!("10000\r\n{chunk}\r\n").repeat(17));
    let answers = [
        ok("{\"keys\":["),
        ok("<html>"),
        ok("{\"keys\":[]}"),
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n".to_vec(),
        endless.into_bytes(),
        b"no HTTP\r\n\r\n".to_vec(),
    ];
    for answer in answers {
        let server = KeyServer::start(ok(&ed_jwks("one"))).await;
        let verifier = of_server(&server);
        assert!(verifier.verify(&by_ed("one")).await.is_ok());
        let says = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        server.answers(answer);
        assert_eq!(verifier.verify(&by_ed("two")).await, Err(TokenError::Unauthorized), "{says}");
        assert_eq!(server.connections(), 2, "{says}");
        assert!(verifier.verify(&by_ed("one")).await.is_ok(), "{says}");
        drop(server);
        assert!(matches!(verifier.fetch_keys().await, Some(Err(_))), "{says}");
        assert!(verifier.verify(&by_ed("one")).await.is_ok(), "{says}");
    }
}

#[tokio::test]
async fn without_keys_their_tokens_are_refused_and_those_of_the_secret_believed() {
    let server = KeyServer::start(ok("{}")).await;
    let place = Some(server.url());
    let verifier = verifier(&TokenConfig { jwks: place, ..config() });
    for _ in 0..20 {
        assert_eq!(verifier.verify(&by_ed("one")).await, Err(TokenError::Unauthorized));
    }
    assert_eq!(server.connections(), 1, "a source that fails is not hammered");
    assert!(verifier.verify(&by_secret(&claims())).await.is_ok());
    assert!(matches!(verifier.fetch_keys().await, Some(Err(FetchError::Broken(_)))));
}

#[tokio::test]
async fn a_server_has_its_keys_before_the_first_token() {
    let server = KeyServer::start(ok(&ed_jwks("one"))).await;
    let verifier = of_server(&server);
    let shutdown = Shutdown::new();
    let keeping = tokio::spawn(verifier.clone().keep_keys(shutdown.clone()));
    until("the keys are fetched", async || server.connections() == 1).await;
    assert!(verifier.verify(&by_ed("one")).await.is_ok());
    assert_eq!(server.connections(), 1);
    shutdown.cancel();
    keeping.await.unwrap();
}
