//! Seals what is written into Redis with the key of the deployment, so that Redis can neither read nor forge it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};

use super::error::RelayError;
use crate::config::Secret;

/// The first byte of a text that is not sealed, and of one that is.
const OPEN: u8 = b'0';
const SEALED: u8 = b'1';

/// Seals and opens texts, or passes them on if there is no key.
pub(super) struct Seal(Option<RandomizedNonceKey>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seal").field(&self.0.is_some()).finish()
    }
}

impl Seal {
    pub(super) fn new(key: Option<&Secret>) -> Result<Self, RelayError> {
        let key = key.map(|secret| {
            let key = digest(&SHA256, secret.expose().as_bytes());
            RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| RelayError::Key)
        });
        Ok(Self(key.transpose()?))
    }

    /// Seals a text for one place. It opens only for the same place, so that Redis cannot move it.
    pub(super) fn close(&self, place: &str, text: &[u8]) -> Result<Vec<u8>, RelayError> {
        let Some(key) = &self.0 else { return Ok([&[OPEN], text].concat()) };
        let mut body = text.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(place), &mut body).map_err(|_| RelayError::Key)?;
        Ok([&[SEALED], nonce.as_ref().as_slice(), &body].concat())
    }

    /// Opens what [`Self::close`] made with the same key for the same place.
    pub(super) fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, RelayError> {
        match (sealed.split_first(), &self.0) {
            (Some((&OPEN, text)), None) => Ok(text.to_vec()),
            (Some((&SEALED, rest)), Some(key)) => {
                let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(RelayError::Forged)?;
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| RelayError::Forged)?;
                let mut body = body.to_vec();
                let length =
                    key.open_in_place(nonce, Aad::from(place), &mut body).map_err(|_| RelayError::Forged)?.len();
                body.truncate(length);
                Ok(body)
            }
            (Some((&SEALED, _)), None) => Err(RelayError::KeyMissing),
            (Some((&OPEN, _)), Some(_)) => Err(RelayError::NotSealed),
            _ => Err(RelayError::Garbled("a text without its first byte")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    fn seal(key: Option<&str>) -> Seal {
        Seal::new(key.map(Secret::new).as_ref()).unwrap()
    }

    #[test]
    fn a_sealed_text_opens_with_its_key_at_its_place_alone() {
        let (ours, other) = (seal(Some("a key")), seal(Some("another key")));
        let sealed = ours.close("events 7", b"payload").unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"payload"));
        assert_eq!(ours.open("events 7", &sealed).unwrap(), b"payload");
        assert!(matches!(ours.open("events 8", &sealed), Err(RelayError::Forged)));
        assert!(matches!(other.open("events 7", &sealed), Err(RelayError::Forged)));
        assert!(matches!(seal(None).open("events 7", &sealed), Err(RelayError::KeyMissing)));
        assert!(matches!(ours.open("events 7", &sealed[..9]), Err(RelayError::Forged)));
        // Equal texts do not look equal.
        assert_ne!(ours.close("events 7", b"payload").unwrap(), sealed);
    }

    #[test]
    fn an_open_text_is_refused_where_a_key_is_set() {
        let open = seal(None).close("events 7", b"payload").unwrap();
        assert_eq!(seal(None).open("anywhere", &open).unwrap(), b"payload");
        assert!(matches!(seal(Some("a key")).open("events 7", &open), Err(RelayError::NotSealed)));
        assert!(matches!(seal(None).open("events 7", b""), Err(RelayError::Garbled(_))));
        assert!(matches!(seal(None).open("events 7", b"x"), Err(RelayError::Garbled(_))));
    }
}
