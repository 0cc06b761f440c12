//! The keys of an identity provider, as it publishes them: a JWKS, or Google's map of certificates.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json::{self, Object};
use super::key::{Algorithm, Curve, Key};

/// Keys by their `kid`.
#[derive(Debug, Default)]
pub(super) struct KeySet(BTreeMap<String, Arc<Key>>);

/// The reason for which a published document holds no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("it is neither a JWKS nor a map of certificates")]
    Form,
    #[error("it holds no key that tokens can be checked with")]
    Usable,
}

impl KeySet {
    /// Reads the document of a provider. Keys that are not for signatures, have no `kid` or are of an unsupported type are
    /// skipped, since a provider may publish keys for other purposes. Usable keys that share a `kid` are all skipped, since
    /// nobody can tell which one a token means.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let published = json::object(bytes).ok_or(KeySetError::Form)?;
        let keys = match published.get("keys") {
            Some(Value::Array(keys)) => jwks(keys),
            _ => certificates(&published)?,
        };
        if keys.is_empty() { Err(KeySetError::Usable) } else { Ok(Self(keys)) }
    }

    pub(super) fn get(&self, kid: &str) -> Option<Arc<Key>> {
        self.0.get(kid).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// True if both sets have the same `kid`s.
    pub(super) fn has_same_kids(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }
}

fn jwks(keys: &[Value]) -> BTreeMap<String, Arc<Key>> {
    let mut named: BTreeMap<String, Option<Arc<Key>>> = BTreeMap::new();
    for jwk in keys.iter().filter_map(Value::as_object) {
        let Some(kid) = text(jwk, "kid").filter(|kid| !kid.is_empty()) else { continue };
        let Some(key) = verifying_key(jwk) else { continue };
        named
            .entry(kid.to_owned())
            .and_modify(|known| {
                tracing::warn!("two keys of an identity provider have one kid; neither is used");
                *known = None;
            })
            .or_insert_with(|| Some(Arc::new(key)));
    }
    named.into_iter().filter_map(|(kid, key)| Some((kid, key?))).collect()
}

fn certificates(published: &Object) -> Result<BTreeMap<String, Arc<Key>>, KeySetError> {
    let mut keys = BTreeMap::new();
    for (kid, pem) in published {
        let pem = pem.as_str().filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----")).ok_or(KeySetError::Form)?;
        if let Some(key) = Key::certificate(pem).filter(|_| !kid.is_empty()) {
            keys.insert(kid.clone(), Arc::new(key));
        }
    }
    Ok(keys)
}

/// The key of a JWK, if it is one that checks signatures.
fn verifying_key(jwk: &Object) -> Option<Key> {
    let for_signatures = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let may_verify = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    });
    if !for_signatures || !may_verify {
        return None;
    }
    let key = match text(jwk, "kty")? {
        "RSA" => {
            let algorithm = jwk.get("alg").map_or(Some(Algorithm::Rs256), |name| Algorithm::rsa(name.as_str()?))?;
            Key::rsa(algorithm, &bytes(jwk, "n")?, &bytes(jwk, "e")?)?
        }
        "EC" => {
            let curve = match text(jwk, "crv")? {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                _ => return None,
            };
            Key::ec(curve, &bytes(jwk, "x")?, &bytes(jwk, "y")?)?
        }
        "OKP" if text(jwk, "crv")? == "Ed25519" => Key::ed25519(&bytes(jwk, "x")?)?,
        // "oct" above all: a published secret is not secret.
        _ => return None,
    };
    let as_stated = jwk.get("alg").is_none_or(|name| name == key.algorithm().as_str());
    as_stated.then_some(key)
}

fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

fn bytes(object: &Object, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(object, name)?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use serde_json::json;

    // The keys of the examples in RFC 7515 (A.3) and RFC 8037 (A.2), and a modulus of 2048 bits.
    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn modulus(bytes: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xc5; bytes])
    }

    fn set(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn algorithm(jwk: &Value) -> Option<Algorithm> {
        set(std::slice::from_ref(jwk)).ok().and_then(|set| set.get("k")).map(|key| key.algorithm())
    }

    #[test]
    fn the_algorithm_comes_from_the_key() {
        let rsa = |alg: Option<&str>| {
            let mut jwk = json!({ "kty": "RSA", "kid": "k", "n": modulus(256), "e": "AQAB" });
            if let Some(alg) = alg {
                jwk["alg"] = alg.into();
            }
            algorithm(&jwk)
        };
        assert_eq!(rsa(None), Some(Algorithm::Rs256));
        for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
            assert_eq!(rsa(Some(name)).map(Algorithm::as_str), Some(name));
        }
        for name in ["HS256", "none", "RS1", "RSA-OAEP", "ES256", "rs256", ""] {
            assert_eq!(rsa(Some(name)), None, "{name}");
        }
        assert_eq!(
            algorithm(&json!({ "kty": "EC", "kid": "k", "crv": "P-256", "x": X, "y": Y })),
            Some(Algorithm::Es256)
        );
        assert_eq!(algorithm(&json!({ "kty": "OKP", "kid": "k", "crv": "Ed25519", "x": ED })), Some(Algorithm::EdDsa));
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        let good = json!({ "kty": "OKP", "kid": "k", "crv": "Ed25519", "x": ED, "use": "sig", "key_ops": ["verify"] });
        assert!(algorithm(&good).is_some());
        let changes = [
            ("use", json!("enc")),
            ("use", json!(null)),
            ("key_ops", json!(["sign"])),
            ("key_ops", json!("verify")),
            ("kid", json!("")),
            ("kid", json!(7)),
            ("kty", json!("oct")),
            ("kty", json!("EC")),
            ("crv", json!("Ed448")),
            ("crv", json!("P-256")),
            ("alg", json!("ES256")),
            ("alg", json!(7)),
            ("x", json!("AAAA")),
            ("x", json!("not base64!")),
            ("x", json!(null)),
        ];
        for (name, value) in changes {
            let mut jwk = good.clone();
            jwk[name] = value.clone();
            assert_eq!(algorithm(&jwk), None, "{name}: {value}");
        }
        let ec =
            |x: &str, y: &str, crv: &str| algorithm(&json!({ "kty": "EC", "kid": "k", "crv": crv, "x": x, "y": y }));
        assert_eq!(ec(X, Y, "P-384"), None);
        assert_eq!(ec(X, Y, "P-521"), None);
        assert_eq!(ec(X, X, "P-256"), None, "a point that is not on the curve");
        assert_eq!(algorithm(&json!({ "kty": "oct", "kid": "k", "k": ED, "alg": "HS256" })), None);
        assert_eq!(algorithm(&json!({ "kty": "RSA", "kid": "k", "n": modulus(255), "e": "AQAB" })), None);
        assert_eq!(algorithm(&json!({ "kty": "RSA", "kid": "k", "n": modulus(256) })), None);
    }

    #[test]
    fn points_of_small_order_are_no_keys() {
        let mut points = vec![vec![0; 32], vec![0; 32], vec![0xff; 32], vec![0xff; 32], vec![0xff; 32]];
        points[1][0] = 1;
        for (point, first) in points[2..].iter_mut().zip([0xec, 0xed, 0xee]) {
            (point[0], point[31]) = (first, 0x7f);
        }
        for hex in [
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ] {
            points.push((0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect());
        }
        for mut point in points {
            for sign in [0, 0x80] {
                point[31] = point[31] & 0x7f | sign;
                let x = URL_SAFE_NO_PAD.encode(&point);
                let jwk = json!({ "kty": "OKP", "kid": "k", "crv": "Ed25519", "x": x });
                assert_eq!(algorithm(&jwk), None, "{point:02x?}");
            }
        }
    }

    #[test]
    fn an_ambiguous_kid_is_nobodys() {
        let key = |kid: &str, use_: &str| json!({ "kty": "OKP", "kid": kid, "crv": "Ed25519", "x": ED, "use": use_ });
        let ambiguous = set(&[key("a", "sig"), key("b", "sig"), key("a", "sig"), key("a", "sig")]).unwrap();
        assert!(ambiguous.get("a").is_none() && ambiguous.get("b").is_some());
        let other_purpose = set(&[key("a", "sig"), key("a", "enc"), json!(7)]).unwrap();
        assert_eq!((other_purpose.get("a").is_some(), other_purpose.len()), (true, 1));
        assert!(!ambiguous.has_same_kids(&other_purpose));
    }

    #[test]
    fn what_holds_no_key_is_refused_with_the_reason() {
        for form in ["", "[]", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "{\"a\":7}", "{\"a\":\"PEM\"}", "<html>"] {
            assert_eq!(KeySet::parse(form.as_bytes()).err(), Some(KeySetError::Form), "{form}");
        }
        let broken = json!({ "a": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }).to_string();
        for nothing in ["{}", "{\"keys\":[]}", "{\"keys\":[{}]}", &broken] {
            assert_eq!(KeySet::parse(nothing.as_bytes()).err(), Some(KeySetError::Usable), "{nothing}");
        }
    }

    #[test]
    fn the_key_of_a_certificate_must_be_rsa() {
        let ec = rcgen::generate_simple_self_signed(["securetoken".to_owned()]).unwrap();
        assert!(Key::certificate(&ec.cert.pem()).is_none());
        let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new([]).unwrap().self_signed(&rsa).unwrap();
        let set = KeySet::parse(json!({ "one": certificate.pem() }).to_string().as_bytes()).unwrap();
        assert_eq!(set.get("one").map(|key| key.algorithm()), Some(Algorithm::Rs256));
    }
}
