//! One key and the one algorithm that it is for.
//!
//! The algorithm belongs to the key: a token only repeats it, and is refused if it says another. So no token can have a
//! public key taken for a secret, or choose a weaker signature.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;

use crate::config::Secret;

/// The shortest RSA modulus that is believed, in bytes.
const MIN_MODULUS_BYTES: usize = 256;

/// The points of Ed25519 whose order divides 8, by their y with the sign of x cleared, in the two ways of writing 0 and 1 too:
/// one signature under such a key is good for any message.
const SMALL_ORDER: [[u8; 32]; 7] = [
    bytes32(0, 0, 0),
    bytes32(1, 0, 0),
    bytes32(0xec, 0xff, 0x7f),
    bytes32(0xed, 0xff, 0x7f),
    bytes32(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// A number of 32 bytes: the first byte, thirty times the middle one, and the last.
const fn bytes32(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

fn is_of_small_order(x: &[u8]) -> bool {
    SMALL_ORDER.iter().any(|point| {
        let mut pairs = point.iter().zip(x).enumerate();
        pairs.all(|(index, (known, byte))| *known == if index == 31 { byte & 0x7f } else { *byte })
    })
}

/// A way of signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hs256,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// The name in a header, exactly.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithms of an RSA key, by name.
    pub(super) fn rsa(name: &str) -> Option<Self> {
        let all = [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512];
        all.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    fn rsa_parameters(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Hs256 | Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

/// A curve of an EC key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Curve {
    P256,
    P384,
}

/// A key that verifies signatures.
pub(super) struct Key {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Key {
    /// The configured secret.
    pub(super) fn secret(secret: &Secret) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self { algorithm: Algorithm::Hs256, material: Material::Secret(Box::new(key)) }
    }

    /// An RSA key of modulus and exponent.
    pub(super) fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let (n, e) = (without_zeros(modulus), without_zeros(exponent));
        if n.len() < MIN_MODULUS_BYTES {
            return None;
        }
        let parsed = PublicKeyComponents { n, e }.to_parsed_public_key(algorithm.rsa_parameters()?).ok()?;
        Some(Self { algorithm, material: Material::Public(parsed) })
    }

    /// The RSA key for RS256 of a PEM certificate, as Google publishes them. Its chain, name and dates are not checked: it is
    /// trusted because of the URL that it was fetched from.
    pub(super) fn certificate(pem: &str) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let info = ParsedCertificate::try_from(&certificate).ok()?.subject_public_key_info();
        let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, info.as_ref()).ok()?;
        Some(Self { algorithm: Algorithm::Rs256, material: Material::Public(parsed) })
    }

    /// An EC key of the coordinates of its point.
    pub(super) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Option<Self> {
        let (algorithm, parameters, bytes) = match curve {
            Curve::P256 => (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
            Curve::P384 => (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
        };
        if x.len() != bytes || y.len() != bytes {
            return None;
        }
        // An uncompressed point begins with a 4.
        let point = [&[4], x, y].concat();
        let parsed = ParsedPublicKey::new(parameters, point).ok()?;
        Some(Self { algorithm, material: Material::Public(parsed) })
    }

    /// An Ed25519 key.
    pub(super) fn ed25519(x: &[u8]) -> Option<Self> {
        if x.len() != 32 || is_of_small_order(x) {
            return None;
        }
        let parsed = ParsedPublicKey::new(&ED25519, x).ok()?;
        Some(Self { algorithm: Algorithm::EdDsa, material: Material::Public(parsed) })
    }

    /// The only algorithm that the key is used for.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// True if the signature is of this key and over these bytes.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
