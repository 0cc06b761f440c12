//! Keys, and tokens made of any header, any claims and any key.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::JWT_SECRET;

pub(crate) const ISSUER: &str = "https://issuer.test/";
pub(crate) const AUDIENCE: &str = "rowcast-test";
pub(crate) const PROJECT: &str = "demo-project";
/// A symmetric key that is published, which nobody must believe.
pub(super) const PUBLISHED_SECRET: &[u8] = b"a secret that everybody can read here";

/// Private keys, made once: RSA takes its time.
pub(super) struct Ring {
    /// Published as `rsa`, for RS256.
    pub(super) rsa: RsaKeyPair,
    pub(super) rsa_certificate: String,
    pub(super) rsa_public_pem: String,
    /// Published as `pss`, for PS256.
    pub(super) pss: RsaKeyPair,
    /// Published for encryption only.
    pub(super) encryption: RsaKeyPair,
    /// Published nowhere.
    pub(super) strange: RsaKeyPair,
    pub(super) p256: EcdsaKeyPair,
    /// The same key, signing in DER as JWS does not.
    pub(super) p256_der: EcdsaKeyPair,
    pub(super) p384: EcdsaKeyPair,
    pub(super) ed: Ed25519KeyPair,
    pub(super) strange_ed: Ed25519KeyPair,
}

pub(super) fn ring() -> &'static Ring {
    static RING: OnceLock<Ring> = OnceLock::new();
    RING.get_or_init(|| {
        let (rsa, rsa_certificate, rsa_public_pem) = rsa();
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let pkcs8 = p256.to_pkcs8v1().unwrap();
        Ring {
            rsa,
            rsa_certificate,
            rsa_public_pem,
            pss: self::rsa().0,
            encryption: self::rsa().0,
            strange: self::rsa().0,
            p256_der: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap(),
            p256,
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
            strange_ed: Ed25519KeyPair::generate().unwrap(),
        }
    })
}

/// A key, its certificate, and its public part as PEM.
fn rsa() -> (RsaKeyPair, String, String) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new([]).unwrap().self_signed(&pair).unwrap().pem();
    let public = rcgen::PublicKeyData::subject_public_key_info(&pair);
    let public = pem("PUBLIC KEY", &public);
    (RsaKeyPair::from_pkcs8(&pair.serialize_der()).unwrap(), certificate, public)
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}

/// The modulus of a key of 2048 bits.
pub(super) fn modulus(key: &RsaKeyPair) -> String {
    // RSAPublicKey: a sequence of two integers, the first with a zero before it.
    let der = key.public_key().as_ref();
    assert_eq!((der.len(), der[8], &der[265..]), (270, 0, &[2, 3, 1, 0, 1][..]));
    encode(&der[9..265])
}

pub(super) fn rsa_jwk(key: &RsaKeyPair) -> Value {
    json!({ "kty": "RSA", "n": modulus(key), "e": "AQAB" })
}

fn ec_jwk(key: &EcdsaKeyPair, curve: &str) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
}

fn ed_jwk(key: &Ed25519KeyPair) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) })
}

pub(super) fn with(mut object: Value, changes: &Value) -> Value {
    object.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    object
}

pub(super) fn without(mut object: Value, name: &str) -> Value {
    assert!(object.as_object_mut().unwrap().remove(name).is_some());
    object
}

/// The JWKS that the tokens of this file belong to.
pub(crate) fn jwks() -> String {
    let ring = ring();
    let keys = [
        with(rsa_jwk(&ring.rsa), &json!({ "kid": "rsa", "use": "sig" })),
        with(rsa_jwk(&ring.pss), &json!({ "kid": "pss", "alg": "PS256" })),
        with(rsa_jwk(&ring.encryption), &json!({ "kid": "encryption", "use": "enc" })),
        with(ec_jwk(&ring.p256, "P-256"), &json!({ "kid": "p256", "alg": "ES256" })),
        with(ec_jwk(&ring.p384, "P-384"), &json!({ "kid": "p384" })),
        with(ed_jwk(&ring.ed), &json!({ "kid": "ed", "key_ops": ["verify"] })),
        with(ed_jwk(&ring.ed), &json!({ "kid": "twice" })),
        with(ed_jwk(&ring.strange_ed), &json!({ "kid": "twice" })),
        json!({ "kty": "oct", "kid": "oct", "alg": "HS256", "k": encode(PUBLISHED_SECRET) }),
    ];
    json!({ "keys": keys }).to_string()
}

/// A JWKS of one key under this name.
pub(super) fn ed_jwks(kid: &str) -> String {
    json!({ "keys": [with(ed_jwk(&ring().ed), &json!({ "kid": kid }))] }).to_string()
}

/// The map that Google publishes, of one certificate.
pub(super) fn x509_map(kid: &str) -> String {
    json!({ kid: ring().rsa_certificate }).to_string()
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What signs.
#[derive(Clone, Copy)]
pub(super) enum Signer<'a> {
    Secret(&'a [u8]),
    Hs512(&'a [u8]),
    Rs256(&'a RsaKeyPair),
    Rs512(&'a RsaKeyPair),
    Ps256(&'a RsaKeyPair),
    Ec(&'a EcdsaKeyPair),
    Ed(&'a Ed25519KeyPair),
    Bytes(&'a [u8]),
}

impl Signer<'_> {
    pub(super) fn sign(self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let mac = |algorithm, key: &[u8]| hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec();
        let rsa = |key: &RsaKeyPair, padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match self {
            Self::Secret(key) => mac(hmac::HMAC_SHA256, key),
            Self::Hs512(key) => mac(hmac::HMAC_SHA512, key),
            Self::Rs256(key) => rsa(key, &RSA_PKCS1_SHA256),
            Self::Rs512(key) => rsa(key, &RSA_PKCS1_SHA512),
            Self::Ps256(key) => rsa(key, &RSA_PSS_SHA256),
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

/// A token of these texts, whatever they are.
pub(super) fn token(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>, signer: Signer<'_>) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = signer.sign(signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(super) const OURS: Signer<'static> = Signer::Secret(JWT_SECRET.as_bytes());

/// The header of a good token of the secret.
pub(super) fn hs() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

/// The header of a good token of a published key.
pub(super) fn header(algorithm: &str, kid: &str) -> Value {
    json!({ "alg": algorithm, "typ": "JWT", "kid": kid })
}

/// The claims of a good token, for an hour.
pub(super) fn claims() -> Value {
    let now = now();
    json!({
        "sub": "alice", "role": "viewer", "iat": now - 10, "nbf": now - 10, "exp": now + 3600,
        "iss": ISSUER, "aud": AUDIENCE, "jti": "1"
    })
}

/// Those of a good Firebase token.
pub(super) fn firebase_claims() -> Value {
    let issuer = format!("https://securetoken.google.com/{PROJECT}");
    with(claims(), &json!({ "iss": issuer, "aud": PROJECT, "auth_time": now() - 100 }))
}

/// A token of the secret.
pub(super) fn by_secret(claims: &Value) -> String {
    token(hs().to_string(), claims.to_string(), OURS)
}

/// A token of the published RSA key.
pub(super) fn by_rsa(claims: &Value) -> String {
    token(header("RS256", "rsa").to_string(), claims.to_string(), Signer::Rs256(&ring().rsa))
}
